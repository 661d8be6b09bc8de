//! Addresses, routes and rules that VRRP sets.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{Family, Interface};

/// An entry of `virtual_ipaddress`, `virtual_ipaddress_excluded` or `static_ipaddress`.
///
/// Source: keepalived.conf(5) `virtual_ipaddress`, ip-address(8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// Address and prefix length. Default length: that of a single host, 32 or 128.
    pub address: IpNet,
    /// Interface that gets it. Default: none, that of the instance; for a static address,
    /// `default_interface`. `dev`.
    pub interface: Option<Interface>,
    /// Everything that is rarely written. `None`: nothing of it is.
    pub options: Option<Box<AddressOptions>>,
}

impl Address {
    /// The address alone.
    pub fn ip(&self) -> IpAddr {
        self.address.addr()
    }

    /// The options, or the defaults.
    pub fn options(&self) -> AddressOptions {
        self.options.as_deref().cloned().unwrap_or_default()
    }

    /// How long the address is preferred as a source; `None`: for ever.
    ///
    /// Default: for ever, but 0 for an IPv6 address with length 128. `preferred_lft`.
    pub fn preferred_lifetime(&self) -> Option<Duration> {
        match self.options.as_ref().and_then(|some| some.preferred_lft) {
            Some(Lifetime::Forever) => None,
            Some(Lifetime::For(time)) => Some(time),
            None => (self.address.prefix_len() == 128).then_some(Duration::ZERO),
        }
    }
}

/// Options of an [`Address`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressOptions {
    /// Broadcast address. Default: none. IPv4 only. `brd`.
    pub broadcast: Option<Broadcast>,
    /// Label, at most 15 bytes. Default: none. IPv4 only. `label`.
    pub label: Option<String>,
    /// Scope: 0 global, 200 site, 253 link, 254 host, 255 nowhere, or another number. Default:
    /// none, global. IPv4 only. `scope`.
    pub scope: Option<Named<u8>>,
    /// The other end of a point-to-point link. Default: none. `peer`.
    pub peer: Option<IpNet>,
    /// Whether it gets a virtual interface of its own. Default: off. `use_vmac`.
    pub use_vmac: bool,
    /// Mobile IPv6 home address. Default: off. `home`.
    pub home: bool,
    /// Whether duplicates are looked for: `-nodad` means the contrary of what it says. Default:
    /// off. IPv6 only.
    pub detect_duplicates: bool,
    /// Whether temporary addresses are made from it. Default: off. `mngtmpaddr`.
    pub manage_temporary: bool,
    /// Whether no route to its prefix is made. Default: off. `noprefixroute`.
    pub no_prefix_route: bool,
    /// Whether its multicast group is joined. Default: off. `autojoin`.
    pub autojoin: bool,
    /// Whether its loss does not matter. Default: off. `no_track`.
    pub no_track: bool,
    /// How long it is preferred. Default: see [`Address::preferred_lifetime`]. `preferred_lft`.
    pub preferred_lft: Option<Lifetime>,
    /// For a static address: instances that fault when it cannot be restored. `track_group`.
    pub track_group: Option<String>,
}

/// A broadcast address. Source: keepalived.conf(5) `brd`, ip-address(8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Broadcast {
    /// `+`: the host bits set.
    HostBitsSet,
    /// `-`: the host bits clear.
    HostBitsClear,
    /// This one.
    Address(Ipv4Addr),
}

/// A time that may have no end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lifetime {
    /// `forever`.
    Forever,
    /// So long. Whole seconds.
    For(Duration),
}

/// A number, or a name that iproute2's tables turn into one.
///
/// Names that are built into ip(8) have become numbers already; others are in files such as
/// `/etc/iproute2/rt_tables`, which this crate does not read.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Named<N> {
    /// The number.
    Number(N),
    /// A name.
    Name(String),
}

/// A route. Source: keepalived.conf(5) `virtual_routes`, ip-route(8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Kind. Default: unicast.
    pub kind: RouteKind,
    /// Where to. The default route is 0.0.0.0/0 or ::/0. `to`.
    pub destination: IpNet,
    /// Source prefix. Default: any. IPv6 only. `from`.
    pub from: Option<IpNet>,
    /// The gateway. Default: none. `via`.
    pub via: Option<IpAddr>,
    /// Preferred source. Default: none. `src`.
    pub source: Option<IpAddr>,
    /// Output interface. Default: none; `default_interface` for static routes. `dev`.
    pub interface: Option<Interface>,
    /// Scope. Default: none, global, or link without a gateway. IPv4 only. `scope`.
    pub scope: Option<Named<u8>>,
    /// Table. Default: none, main (254). `table`.
    pub table: Option<Named<u32>>,
    /// Metric. Default: none, 0. `metric`.
    pub metric: Option<u32>,
    /// Type of service. Default: none, 0. IPv4 only. `tos`.
    pub tos: Option<Named<u8>>,
    /// Who made it. Default: none, keepalived (18). `protocol`.
    pub protocol: Option<Named<u8>>,
    /// Whether the gateway need not be reachable by another route. Default: off. `onlink`.
    pub onlink: bool,
    /// Lightweight tunnel, as written. Default: none. `encap`.
    pub encap: Vec<String>,
    /// Lifetime. Default: none. IPv6 only. `expires`.
    pub expires: Option<Duration>,
    /// Numbers that TCP and IP use for this route. Default: none.
    pub metrics: Vec<RouteMetric>,
    /// Realms, as written. Default: none. IPv4 only. `realms`.
    pub realms: Option<String>,
    /// Congestion control algorithm, and whether it is locked. Default: none. `congctl`.
    pub congctl: Option<(String, bool)>,
    /// Router preference: `low`, `medium`, `high` or a number. Default: none. IPv6 only. `pref`.
    pub preference: Option<String>,
    /// MPLS TTL propagation. Default: none. `ttl-propagate`.
    pub ttl_propagate: Option<bool>,
    /// Where it is put among others of the same destination. Default: before them.
    pub insertion: Insertion,
    /// Paths of a multipath route. Default: none. `nexthop`.
    pub nexthops: Vec<NextHop>,
    /// VRF whose table is used. Default: none. `vrf`.
    pub vrf: Option<Interface>,
    /// Whether its loss does not matter. Default: off. `no_track`.
    pub no_track: bool,
    /// For a static route: instances that fault when it cannot be restored. `track_group`.
    pub track_group: Option<String>,
}

impl Route {
    /// A unicast route without anything else.
    pub fn to(destination: IpNet) -> Self {
        Self {
            kind: RouteKind::Unicast,
            destination,
            from: None,
            via: None,
            source: None,
            interface: None,
            scope: None,
            table: None,
            metric: None,
            tos: None,
            protocol: None,
            onlink: false,
            encap: Vec::new(),
            expires: None,
            metrics: Vec::new(),
            realms: None,
            congctl: None,
            preference: None,
            ttl_propagate: None,
            insertion: Insertion::default(),
            nexthops: Vec::new(),
            vrf: None,
            no_track: false,
            track_group: None,
        }
    }
}

/// Kind of a route. Source: kernel `RTN_*`, ip-route(8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are those of ip-route(8)")]
pub enum RouteKind {
    Unicast,
    Local,
    Broadcast,
    Multicast,
    Throw,
    Unreachable,
    Prohibit,
    Blackhole,
    Nat,
    Anycast,
}

/// A number of [`Route::metrics`]. Source: kernel `RTAX_*`, ip-route(8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteMetric {
    /// Which: `mtu`, `hoplimit`, `advmss`, `rtt`, `rttvar`, `rto_min`, `reordering`, `window`,
    /// `cwnd`, `ssthresh`, `initcwnd`, `initrwnd`, `features`, `quickack`, `fastopen_no_cookie`.
    pub name: String,
    /// The number in the kernel's unit: `rtt` in 1/8 ms, `rttvar` in 1/4 ms, `rto_min` in ms.
    pub value: u32,
    /// Whether the kernel must not change it. Default: off. `lock`.
    pub lock: bool,
}

/// Where a route is put. Source: keepalived.conf(5) `add`, `prepend`, `append`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Insertion {
    /// Before others of the same destination. The default.
    #[default]
    Prepend,
    /// Only if there is no other.
    Add,
    /// Behind them.
    Append,
}

/// One path of a multipath route. Source: keepalived.conf(5) `nexthop`, ip-route(8).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextHop {
    /// The gateway. Default: none. `via`.
    pub via: Option<IpAddr>,
    /// Output interface. Default: none. `dev`.
    pub interface: Option<Interface>,
    /// Share of the packets, 1..=256. Default 1. `weight`.
    pub weight: u16,
    /// Whether the gateway need not be reachable by another route. Default: off. `onlink`.
    pub onlink: bool,
    /// Lightweight tunnel, as written. Default: none. `encap`.
    pub encap: Vec<String>,
    /// Realms, as written. Default: none. `realms`.
    pub realms: Option<String>,
}

/// A policy rule. Source: keepalived.conf(5) `virtual_rules`, ip-rule(8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Family. Default: that of the addresses in it, else IPv4.
    pub family: Family,
    /// Whether what does not match is meant. Default: off. `not`.
    pub invert: bool,
    /// Source prefix. Default: any. `from`.
    pub from: Option<IpNet>,
    /// Destination prefix. Default: any. `to`.
    pub to: Option<IpNet>,
    /// What is done. `table`, `goto`, `nop`, `blackhole`, `unreachable`, `prohibit`.
    pub action: RuleAction,
    /// Place among the rules, lower ones first. Default: none, 16384 and down, in the order of the
    /// text. `preference`, `priority`, `order`.
    pub preference: Option<u32>,
    /// Firewall mark and mask. Default: none. `fwmark`.
    pub fwmark: Option<(u32, u32)>,
    /// Type of service. Default: none. `tos`.
    pub tos: Option<Named<u8>>,
    /// Realms, as written. Default: none. IPv4 only. `realms`.
    pub realms: Option<String>,
    /// Input interface. Default: any. `iif`.
    pub input_interface: Option<Interface>,
    /// Output interface. Default: any. `oif`.
    pub output_interface: Option<Interface>,
    /// Results with this prefix length or less do not count. `suppress_prefixlength`.
    pub suppress_prefix_length: Option<u32>,
    /// Results on this interface group do not count. `suppress_ifgroup`.
    pub suppress_interface_group: Option<Named<u32>>,
    /// Tunnel id. Default: none. `tunnel-id`.
    pub tunnel_id: Option<u64>,
    /// User ids, first and last. Default: any. `uidrange`.
    pub users: Option<(u32, u32)>,
    /// Whether the table of the l3 master device is used. Default: off. `l3mdev`.
    pub l3mdev: bool,
    /// Who made it. Default: none, keepalived (18). `protocol`.
    pub protocol: Option<Named<u8>>,
    /// IP protocol. Default: any. `ipproto`.
    pub ip_protocol: Option<Named<u8>>,
    /// Source ports, first and last. Default: any. `sport`.
    pub source_ports: Option<(u16, u16)>,
    /// Destination ports, first and last. Default: any. `dport`.
    pub destination_ports: Option<(u16, u16)>,
    /// Whether its loss does not matter. Default: off. `no_track`.
    pub no_track: bool,
    /// For a static rule: instances that fault when it cannot be restored. `track_group`.
    pub track_group: Option<String>,
}

/// What a [`Rule`] does. Source: kernel `FR_ACT_*`, ip-rule(8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RuleAction {
    /// Looks the route up in this table.
    Table(Named<u32>),
    /// Goes on with the rule of this preference.
    Goto(u32),
    /// Nothing.
    Nop,
    /// Drops the packet silently.
    Blackhole,
    /// Drops it as unreachable.
    Unreachable,
    /// Drops it as prohibited.
    Prohibit,
}
