//! `lvsd realserver` on a host of the lab.

use lvs_testkit::lab::{Host, enter};

/// The virtual addresses of the deployments that need it.
pub(crate) const VIPS: [&str; 2] = ["192.0.2.10", "2001:db8:2::10"];

/// A host that was made a real server, and what it was before.
pub(crate) struct RealServer {
    pub(crate) host: Host,
    mode: &'static str,
    before: String,
}

/// All that `lvsd realserver` may change.
fn state(host: &Host) -> String {
    let addresses = host.run(&["ip", "-o", "address"]);
    let links = host.run(&["ip", "-o", "link", "show", "up"]);
    let routes = host.run(&[
        "sh",
        "-c",
        "ip route show table all; ip -6 route show table all",
    ]);
    let settings = host.run(&[
        "sh",
        "-c",
        "sysctl -a 2> /dev/null | grep -E 'arp_|rp_filter'",
    ]);
    // Without counters and lifetimes.
    let mut lines: Vec<String> = [addresses, links, routes, settings]
        .concat()
        .lines()
        .map(|line| line.split(" expires").next().unwrap_or(line).to_owned())
        .collect();
    lines.sort();
    lines.join("\n")
}

fn lines(text: &str) -> std::collections::BTreeSet<String> {
    text.lines().map(str::to_owned).collect()
}

fn call(host: &Host, words: &[&str]) -> String {
    host.run(&[&["lvsd", "realserver"], words].concat())
}

impl RealServer {
    /// Makes `host` a real server of both virtual addresses, twice.
    pub(crate) fn up(host: &Host, mode: &'static str) -> Self {
        let up = ["up", "--vip", VIPS[0], VIPS[1], "--mode", mode];
        // Interfaces that come with a module stay as long as that.
        call(host, &up);
        call(host, &["down"]);
        let before = state(host);
        let planned = call(host, &[up.as_slice(), &["--dry-run"]].concat());
        assert_eq!(state(host), before, "a dry run changes nothing");
        let done = call(host, &up);
        assert_eq!(done, planned);
        assert_eq!(call(host, &up), "", "once is enough");
        let status = call(host, &["status", "--json"]);
        assert!(status.contains("\"complete\": true"), "{status}");
        Self {
            host: host.clone(),
            mode,
            before,
        }
    }

    /// Undoes it, one address after the other, and finds everything as it was.
    pub(crate) fn down(self) {
        let host = &self.host;
        call(host, &["down", "--vip", VIPS[0], "--mode", self.mode]);
        let status = call(host, &["status"]);
        assert!(status.starts_with(VIPS[1]), "{status}");
        call(host, &["down"]);
        assert_eq!(call(host, &["down"]), "");
        let (before, after) = (lines(&self.before), lines(&state(host)));
        let differing: Vec<_> = before.symmetric_difference(&after).collect();
        assert!(differing.is_empty(), "{differing:#?}");
    }
}

#[test]
fn a_real_server_is_set_up_and_undone_exactly() {
    let Some(lab) = enter() else { return };
    let wire = lab.switch("wire");
    for (name, mode) in [("web1", "dr"), ("web2", "tun")] {
        let host = lab.host(name);
        host.plug(&wire, "eth0", &["192.0.2.11/24", "2001:db8:2::11/64"]);
        // Values that differ from ours and from the defaults.
        host.sysctl("net.ipv4.conf.all.arp_announce", "1");
        host.sysctl("net.ipv4.conf.all.rp_filter", "1");
        let server = RealServer::up(&host, mode);
        // Somebody takes an address away: the status says so, and "up" puts it back.
        let dev = if mode == "dr" { "lo" } else { "tunl0" };
        host.ip(&format!("address del 192.0.2.10/32 dev {dev}"));
        let mut status = std::process::Command::new("lvsd");
        let status = host.output(status.args(["realserver", "status"]));
        assert_eq!(status.status.code(), Some(1));
        let text = String::from_utf8_lossy(&status.stdout);
        assert!(
            text.contains(&format!("192.0.2.10 {mode} on {dev}: MISSING")),
            "{text}"
        );
        let again = call(&host, &["up", "--vip", VIPS[0], "--mode", mode]);
        assert_eq!(again, format!("ip addr add 192.0.2.10/32 dev {dev}\n"));
        server.down();
    }
    // The address of an interface that the network asks is no virtual one.
    let host = lab.host("web3");
    host.plug(&wire, "eth0", &["192.0.2.10/24"]);
    let mut refused = std::process::Command::new("lvsd");
    let refused = host.output(refused.args(["realserver", "up", "--vip", VIPS[0], "--mode", "dr"]));
    assert_eq!(refused.status.code(), Some(1));
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(
        text.contains("192.0.2.10 is an address of eth0 here"),
        "{text}"
    );
}
