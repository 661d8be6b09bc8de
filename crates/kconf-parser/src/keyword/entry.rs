//! Blocks whose lines are entries, and the option words of each.

/// What the lines of a block are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EntryKind {
    /// `virtual_ipaddress`: an address and options.
    Address,
    /// `static_ipaddress`.
    StaticAddress,
    /// `virtual_routes`, `static_routes`: as for ip-route(8).
    Route,
    /// `virtual_rules`, `static_rules`: as for ip-rule(8).
    Rule,
    /// `track_interface`: an interface and perhaps a weight.
    TrackInterface,
    /// `track_script` and so on: a name and perhaps a weight.
    Track,
    /// `unicast_peer`: an address and perhaps limits.
    Peer,
    /// `virtual_server_group`: an address with port, a range, or a mark.
    Service,
    /// `linkbeat_interfaces`: an interface and perhaps a method.
    Linkbeat,
    /// `interface_up_down_delays`: an interface and one or two times.
    Delay,
}

/// An option word of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryOption {
    /// The word.
    pub name: &'static str,
    /// How many words follow it.
    pub args: usize,
}

const fn o(name: &'static str, args: usize) -> EntryOption {
    EntryOption { name, args }
}

impl EntryKind {
    /// The option words of an entry.
    pub fn options(self) -> &'static [EntryOption] {
        match self {
            Self::Address | Self::StaticAddress => ADDRESS,
            Self::Route => ROUTE,
            Self::Rule => RULE,
            Self::TrackInterface | Self::Track => TRACK,
            Self::Peer => PEER,
            Self::Linkbeat => LINKBEAT,
            Self::Service | Self::Delay => &[],
        }
    }

    /// The option with this exact name.
    pub fn option(self, name: &str) -> Option<EntryOption> {
        self.options()
            .iter()
            .copied()
            .find(|option| option.name == name)
    }
}

const ADDRESS: &[EntryOption] = &[
    o("dev", 1),
    o("brd", 1),
    o("broadcast", 1),
    o("label", 1),
    o("scope", 1),
    o("peer", 1),
    o("use_vmac", 0),
    o("home", 0),
    o("-nodad", 0),
    o("mngtmpaddr", 0),
    o("noprefixroute", 0),
    o("autojoin", 0),
    o("no_track", 0),
    o("preferred_lft", 1),
    o("track_group", 1),
];

const ROUTE: &[EntryOption] = &[
    o("to", 1),
    o("via", 1),
    o("gw", 1),
    o("src", 1),
    o("dev", 1),
    o("oif", 1),
    o("scope", 1),
    o("table", 1),
    o("metric", 1),
    o("priority", 1),
    o("preference", 1),
    o("from", 1),
    o("tos", 1),
    o("dsfield", 1),
    o("protocol", 1),
    o("onlink", 0),
    o("encap", 1),
    o("expires", 1),
    o("mtu", 1),
    o("hoplimit", 1),
    o("advmss", 1),
    o("rtt", 1),
    o("rttvar", 1),
    o("rto_min", 1),
    o("reordering", 1),
    o("window", 1),
    o("cwnd", 1),
    o("ssthresh", 1),
    o("realms", 1),
    o("initcwnd", 1),
    o("initrwnd", 1),
    o("features", 1),
    o("quickack", 1),
    o("congctl", 1),
    o("pref", 1),
    o("ttl-propagate", 1),
    o("fastopen_no_cookie", 1),
    o("add", 0),
    o("prepend", 0),
    o("append", 0),
    o("nexthop", 0),
    o("or", 1),
    o("vrf", 1),
    o("inet", 0),
    o("inet6", 0),
    o("no_track", 0),
    o("track_group", 1),
    o("weight", 1),
    o("default", 0),
    o("unicast", 0),
    o("local", 0),
    o("broadcast", 0),
    o("multicast", 0),
    o("throw", 0),
    o("unreachable", 0),
    o("prohibit", 0),
    o("blackhole", 0),
    o("nat", 0),
];

const RULE: &[EntryOption] = &[
    o("from", 1),
    o("to", 1),
    o("table", 1),
    o("lookup", 1),
    o("preference", 1),
    o("priority", 1),
    o("order", 1),
    o("not", 0),
    o("tos", 1),
    o("dsfield", 1),
    o("fwmark", 1),
    o("realms", 1),
    o("suppress_prefixlength", 1),
    o("sup_pl", 1),
    o("suppress_ifgroup", 1),
    o("sup_group", 1),
    o("iif", 1),
    o("dev", 1),
    o("oif", 1),
    o("tunnel-id", 1),
    o("uidrange", 1),
    o("l3mdev", 0),
    o("protocol", 1),
    o("ipproto", 1),
    o("sport", 1),
    o("dport", 1),
    o("goto", 1),
    o("nop", 0),
    o("type", 0),
    o("blackhole", 0),
    o("unreachable", 0),
    o("prohibit", 0),
    o("inet", 0),
    o("inet6", 0),
    o("no_track", 0),
    o("track_group", 1),
];

const TRACK: &[EntryOption] = &[o("weight", 1), o("reverse", 0), o("noreverse", 0)];

const PEER: &[EntryOption] = &[o("min_ttl", 1), o("max_ttl", 1)];

const LINKBEAT: &[EntryOption] = &[o("MII", 0), o("ETHTOOL", 0), o("IOCTL", 0)];
