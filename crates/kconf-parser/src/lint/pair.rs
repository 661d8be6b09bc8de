//! What the two directors of a pair must agree on, and what must differ.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use crate::Analysis;
use crate::ast::{Block, Value};
use crate::config::{Destination, Family, Scheduler, VirtualServer, VrrpInstance, VrrpVersion};
use crate::diagnostic::{Code, Diagnostic};
use crate::keyword::BlockKind;
use crate::source::{NOWHERE, Place, Span};

/// Compares the configurations of two directors that stand in for each other.
///
/// The places are those of `one`; texts name the lines of `other`. Virtual routers belong together
/// by number and address family, whatever their names. An error means that the two will not
/// work together: both become master, or none hears the other.
pub fn compare_pair(one: &Analysis, other: &Analysis) -> Vec<Diagnostic> {
    let mut pair = Pair {
        one: Side::new(one),
        other: Side::new(other),
        found: Vec::new(),
    };
    pair.globals();
    pair.instances();
    pair.services();
    pair.found
}

/// One director.
struct Side<'p> {
    analysis: &'p Analysis,
    instances: HashMap<&'p str, &'p Block>,
}

impl<'p> Side<'p> {
    fn new(analysis: &'p Analysis) -> Self {
        let blocks = analysis.ast.children(BlockKind::VrrpInstance);
        let named = blocks.filter_map(|block| match block.name {
            Some(Value::Word(word)) => Some((analysis.sources.slice(word.span), block)),
            _ => None,
        });
        Self {
            analysis,
            instances: named.collect(),
        }
    }

    /// The line of an instance that says something, else its head.
    fn span(&self, instance: &VrrpInstance, keywords: &[&str]) -> Span {
        let Some(block) = self.instances.get(instance.name.as_str()) else {
            return Span::default();
        };
        let settings = keywords.iter().find_map(|keyword| block.setting(keyword));
        let blocks = || {
            let inner = &block.blocks;
            inner
                .iter()
                .find(|inner| keywords.contains(&inner.kind.name()))
        };
        settings
            .map(|setting| setting.span)
            .or_else(|| blocks().map(|inner| inner.head))
            .unwrap_or(block.head)
    }

    fn place(&self, span: Span) -> Place {
        self.analysis.sources.place(span)
    }

    /// A place as `file:line`.
    fn at(&self, span: Span) -> String {
        let location = self.analysis.sources.location(self.place(span));
        format!("{}:{}", location.path.display(), location.line)
    }
}

struct Pair<'p> {
    one: Side<'p>,
    other: Side<'p>,
    found: Vec<Diagnostic>,
}

/// Two virtual routers that belong together.
#[derive(Clone, Copy)]
struct Both<'p> {
    one: &'p VrrpInstance,
    other: &'p VrrpInstance,
}

impl<'p> Pair<'p> {
    /// Reports a line of both instances; `must` makes it an error.
    fn tell(
        &mut self,
        code: Code,
        both: Both<'_>,
        keywords: &[&str],
        (must, message): (bool, String),
        help: &str,
    ) {
        let place = self.one.place(self.one.span(both.one, keywords));
        let at = self.other.at(self.other.span(both.other, keywords));
        let help = format!("{help}; the other line is {at}");
        let diagnostic = match must {
            true => Diagnostic::error(code, place, message),
            false => Diagnostic::warning(code, place, message),
        };
        self.found.push(diagnostic.help(help));
    }

    fn globals(&mut self) {
        let (one, other) = (&self.one.analysis.config, &self.other.analysis.config);
        let (a, b) = (&one.globals, &other.globals);
        let place = |side: &Side<'_>, keyword: &str| {
            let mut blocks = side.analysis.ast.children(BlockKind::GlobalDefs);
            blocks
                .find_map(|block| Some(block.setting(keyword)?.span))
                .unwrap_or_default()
        };
        if a.router_id.is_some() && a.router_id == b.router_id {
            let message = "both directors have this `router_id`: their mails look the same";
            let at = self.one.place(place(&self.one, "router_id"));
            let help = "give each a name of its own";
            let found = Diagnostic::warning(Code::PairRouterId, at, message).help(help);
            self.found.push(found);
        }
        if let (Some(mine), Some(theirs)) = (&a.lvs_sync_daemon, &b.lvs_sync_daemon)
            && (mine.sync_id, mine.port, mine.group) != (theirs.sync_id, theirs.port, theirs.group)
        {
            let message = "the sync daemons of the two do not hear each other: id, port or group \
                           differ";
            let at = self.one.place(place(&self.one, "lvs_sync_daemon"));
            let there = self.other.at(place(&self.other, "lvs_sync_daemon"));
            let help = format!("write the same; the other line is {there}");
            let found = Diagnostic::error(Code::PairSyncDaemon, at, message).help(help);
            self.found.push(found);
        }
    }

    fn instances(&mut self) {
        let (one, other) = (self.one.analysis, self.other.analysis);
        let mut left: HashMap<(u8, Family), Vec<&'p VrrpInstance>> = HashMap::new();
        for theirs in &other.config.vrrp.instances {
            left.entry((theirs.vrid, theirs.family))
                .or_default()
                .push(theirs);
        }
        for mine in &one.config.vrrp.instances {
            let candidates = left.get_mut(&(mine.vrid, mine.family));
            let theirs = candidates.and_then(|candidates| {
                let named = candidates
                    .iter()
                    .position(|theirs| theirs.name == mine.name);
                let index = named.or_else(|| (!candidates.is_empty()).then_some(0))?;
                Some(candidates.remove(index))
            });
            match theirs {
                Some(theirs) => self.instance(Both {
                    one: mine,
                    other: theirs,
                }),
                None => {
                    let place = self.one.place(self.one.span(mine, &["virtual_router_id"]));
                    self.alone(place, mine, None);
                }
            }
        }
        let mut alone: Vec<&VrrpInstance> = left.into_values().flatten().collect();
        alone.sort_by(|a, b| a.name.cmp(&b.name));
        for theirs in alone {
            let at = self
                .other
                .at(self.other.span(theirs, &["virtual_router_id"]));
            self.alone(NOWHERE, theirs, Some(at));
        }
    }

    fn alone(&mut self, place: Place, instance: &VrrpInstance, at: Option<String>) {
        let (name, vrid) = (&instance.name, instance.vrid);
        let message = match at {
            None => format!("the other director has no virtual router {vrid} beside `{name}`"),
            Some(at) => {
                format!("this director has no virtual router {vrid} beside `{name}` at {at}")
            }
        };
        let help = "if it fails, nobody takes its addresses over";
        let found = Diagnostic::error(Code::PairNoPartner, place, message).help(help);
        self.found.push(found);
    }

    fn instance(&mut self, both: Both<'_>) {
        let Both { one, other } = both;
        let master = "both become master";
        if one.version != other.version {
            let message = "the versions of VRRP differ: neither hears the other".to_owned();
            let code = Code::PairVersion;
            self.tell(
                code,
                both,
                &["version"],
                (true, message),
                "write the same `version`",
            );
            return;
        }
        if one.advert_int != other.advert_int {
            let must = one.version == VrrpVersion::V2;
            let message = format!(
                "the intervals differ: {} s here, {} s there",
                one.advert_int.as_secs_f64(),
                other.advert_int.as_secs_f64()
            );
            let help = match must {
                true => "version 2 drops such advertisements, so both become master",
                false => "the backup takes over that of the master; write the same",
            };
            self.tell(
                Code::PairInterval,
                both,
                &["advert_int"],
                (must, message),
                help,
            );
        }
        if one.authentication != other.authentication {
            let message = "the authentication differs: neither accepts the other".to_owned();
            let code = Code::PairAuthentication;
            let keywords = ["authentication"];
            self.tell(
                code,
                both,
                &keywords,
                (true, message),
                "write the same type and password",
            );
        }
        self.addresses(both, master);
        self.destinations(both);
        self.priorities(both);
        if one.checksum != other.checksum && one.version == VrrpVersion::V3 {
            let keywords = ["v3_checksum_as_v2", "old_unicast_checksum"];
            let message = "the checksums are made in different ways".to_owned();
            let code = Code::PairChecksum;
            self.tell(
                code,
                both,
                &keywords,
                (true, message),
                "write the same in both",
            );
        }
        let groups = (
            self.one.analysis.config.vrrp.group_of(&one.name).is_some(),
            self.other
                .analysis
                .config
                .vrrp
                .group_of(&other.name)
                .is_some(),
        );
        if groups.0 != groups.1 {
            let message = "only one of the two is in a `vrrp_sync_group`".to_owned();
            let help = "then its companions move without the others on one side";
            self.tell(Code::PairGroup, both, &[], (false, message), help);
        }
    }

    fn addresses(&mut self, both: Both<'_>, consequence: &str) {
        let set = |instance: &VrrpInstance| -> BTreeSet<IpAddr> {
            instance
                .addresses
                .iter()
                .map(crate::config::Address::ip)
                .collect()
        };
        let (one, other) = (set(both.one), set(both.other));
        let list = |addresses: Vec<String>| addresses.join(", ");
        let only = |a: &BTreeSet<IpAddr>, b: &BTreeSet<IpAddr>| {
            list(a.difference(b).map(ToString::to_string).collect())
        };
        if one == other {
            return;
        }
        let (here, there) = (only(&one, &other), only(&other, &one));
        let message = match (here.is_empty(), there.is_empty()) {
            (false, true) => format!("only here: {here}"),
            (true, false) => format!("only on the other director: {there}"),
            _ => format!("only here: {here}; only on the other director: {there}"),
        };
        let message = format!("the virtual addresses differ: {message}");
        let help =
            format!("up to keepalived 2.3.2 such advertisements are dropped, so {consequence}");
        let keywords = ["virtual_ipaddress"];
        self.tell(Code::PairAddresses, both, &keywords, (true, message), &help);
    }

    fn destinations(&mut self, both: Both<'_>) {
        let Both { one, other } = both;
        let code = Code::PairDestination;
        let keywords = ["unicast_peer", "mcast_dst_ip"];
        match (&one.destination, &other.destination) {
            (Destination::Multicast(a), Destination::Multicast(b)) => {
                if a != b {
                    let message = format!("the groups differ: {a} here, {b} there");
                    let help = "neither hears the other";
                    self.tell(code, both, &keywords, (true, message), help);
                }
            }
            (Destination::Unicast(a), Destination::Unicast(b)) => {
                if one.source.is_some() && one.source == other.source {
                    let message = "both directors send from the same address".to_owned();
                    let help = "each needs its own";
                    self.tell(code, both, &["unicast_src_ip"], (true, message), help);
                    return;
                }
                let has = |peers: &crate::config::Unicast, source: Option<IpAddr>| {
                    source.is_none_or(|source| peers.peers.iter().any(|p| p.address == source))
                };
                if let Some(source) = other.source.filter(|_| !has(a, other.source)) {
                    let message = format!("{source}, the other director, is not among the peers");
                    let help = "it never hears this one";
                    self.tell(code, both, &keywords, (true, message), help);
                }
                if let Some(source) = one.source.filter(|_| !has(b, one.source)) {
                    let message =
                        format!("{source}, this director, is not among the peers of the other");
                    let help = "it never hears the other one";
                    self.tell(code, both, &keywords, (true, message), help);
                }
            }
            _ => {
                let message = "one of the two uses unicast, the other multicast".to_owned();
                let help = "neither hears the other";
                self.tell(code, both, &keywords, (true, message), help);
            }
        }
    }

    fn priorities(&mut self, both: Both<'_>) {
        let Both { one, other } = both;
        if one.priority == other.priority {
            let owner = one.is_owner();
            let message = match owner {
                true => "both directors own the addresses: priority 255".to_owned(),
                false => format!("both have the priority {}", one.priority),
            };
            let help = "the address of the interface decides who is master; give the preferred \
                        one more";
            let keywords = ["priority", "state"];
            self.tell(Code::PairPriority, both, &keywords, (owner, message), help);
            return;
        }
        let lower_only = match one.priority < other.priority {
            true => !one.preempt && other.preempt,
            false => !other.preempt && one.preempt,
        };
        if lower_only {
            let message = "only the director of the lower priority has `nopreempt`".to_owned();
            let help = "it has no effect there: write it for the one that comes back";
            self.tell(
                Code::PairPreempt,
                both,
                &["nopreempt"],
                (false, message),
                help,
            );
        }
    }

    fn services(&mut self) {
        let (one, other) = (self.one.analysis, self.other.analysis);
        let theirs: HashMap<_, &VirtualServer> =
            other.config.services.iter().map(|s| (&s.id, s)).collect();
        let blocks: Vec<&Block> = one.ast.children(BlockKind::VirtualServer).collect();
        let mut heads: HashMap<String, Span> = HashMap::new();
        for block in blocks {
            heads.entry(head_text(one, block)).or_insert(block.head);
        }
        for mine in &one.config.services {
            let place = |pair: &Self| {
                let head = heads.get(&id_text(mine)).copied().unwrap_or_default();
                pair.one.place(head)
            };
            let Some(theirs) = theirs.get(&mine.id) else {
                let message = format!("the other director has no service {}", mine.id);
                let help = "it goes dark when the other one is master";
                let found = Diagnostic::warning(Code::PairService, place(self), message);
                self.found.push(found.help(help));
                continue;
            };
            let addresses = |service: &VirtualServer| {
                let servers = service.real_servers.iter();
                servers.map(|server| server.address).collect::<Vec<_>>()
            };
            let (a, b) = (addresses(mine), addresses(theirs));
            let (mut sorted, mut other_sorted) = (a.clone(), b.clone());
            sorted.sort();
            other_sorted.sort();
            let (code, message, help) = if mine.scheduler != theirs.scheduler {
                (
                    Code::PairService,
                    format!(
                        "the schedulers differ: {} here, {} there",
                        mine.scheduler, theirs.scheduler
                    ),
                    "clients are balanced in another way after a failover",
                )
            } else if sorted != other_sorted {
                (
                    Code::PairService,
                    format!("the real servers of {} differ", mine.id),
                    "clients find other servers after a failover",
                )
            } else if a != b && mine.scheduler == Scheduler::Mh {
                (
                    Code::PairServerOrder,
                    "`mh` needs the real servers in the same order on both".to_owned(),
                    "otherwise clients change their servers at a failover",
                )
            } else {
                continue;
            };
            let found = Diagnostic::warning(code, place(self), message).help(help);
            self.found.push(found);
        }
    }
}

/// What tells a service apart, from its block.
fn head_text(analysis: &Analysis, block: &Block) -> String {
    use crate::ast::Target;
    match &block.name {
        Some(Value::Target(Target::Address(address, port))) => {
            format!("{address} {}", port.unwrap_or(0))
        }
        Some(Value::Target(Target::FirewallMark(mark))) => format!("fwmark {mark}"),
        Some(Value::Target(Target::Group(name))) => {
            format!("group {}", analysis.sources.slice(name.span))
        }
        _ => String::new(),
    }
}

/// The same from the service.
fn id_text(service: &VirtualServer) -> String {
    use crate::config::VirtualServerId;
    match &service.id {
        VirtualServerId::Address { address, .. } => format!("{} {}", address.ip(), address.port()),
        VirtualServerId::FirewallMark { mark, .. } => format!("fwmark {mark}"),
        VirtualServerId::Group { name, .. } => format!("group {name}"),
    }
}
