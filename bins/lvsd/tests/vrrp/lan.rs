//! A segment with hosts.

use lvs_testkit::netns::{self, Namespace};

/// Hosts joined by a bridge; host `n`, from 1, has 10.0.0.`n` and fd00::`n` on eth0.
pub(crate) struct Lan<const N: usize> {
    pub(crate) hosts: [Namespace; N],
    pub(crate) switch: Namespace,
}

impl<const N: usize> Lan<N> {
    /// `None`, and a counted skip, where network namespaces are not permitted.
    pub(crate) fn new() -> Option<Self> {
        let [switch] = netns::hosts()?;
        let hosts = netns::hosts::<N>()?;
        switch.ip("link add br0 type bridge");
        switch.ip("link set br0 up");
        let lan = Self { hosts, switch };
        for number in 1..=N {
            lan.plug_in(number);
        }
        Some(lan)
    }

    /// The host with this number, from 1.
    pub(crate) fn host(&self, number: usize) -> &Namespace {
        &self.hosts[number - 1]
    }

    /// Gives a host its interface, for the first time or again.
    pub(crate) fn plug_in(&self, number: usize) {
        let host = self.host(number);
        // Addresses shall be usable at once.
        host.command(
            "sysctl",
            "-q -w net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0",
        );
        netns::cable(host, "eth0", &self.switch, &format!("port{number}"));
        self.switch.ip(&format!("link set port{number} master br0"));
        host.ip(&format!("addr add 10.0.0.{number}/24 dev eth0"));
        host.ip(&format!("addr add fd00::{number}/64 dev eth0 nodad"));
    }

    /// Whether a host has this address.
    pub(crate) fn has(&self, number: usize, address: &str) -> bool {
        let host = self.host(number);
        !host.ip(&format!("-o addr show to {address}")).is_empty()
    }

    /// Has a host lose advertisements that come to it: all, or those that a match of nft names.
    pub(crate) fn deafen(&self, number: usize, which: &str) {
        let host = self.host(number);
        let chain = "add chain ip deaf input { type filter hook input priority raw ; }";
        let rule = format!("add rule ip deaf input ip protocol 112 {which} drop");
        for command in ["add table ip deaf", chain, &rule] {
            host.command("nft", command);
        }
    }

    /// Ends what [`deafen`](Self::deafen) began.
    pub(crate) fn hear_again(&self, number: usize) {
        self.host(number).command("nft", "delete table ip deaf");
    }
}
