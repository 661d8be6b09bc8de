//! From the configuration's vocabulary to those of the virtual routers and of the kernel's network.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use kconf_parser::config::{
    self, Destination, IpvlanMode, Named, Tracked, Tracking, VirtualInterfaceKind, Vrrp,
    VrrpChecksum, VrrpInstance, VrrpVersion,
};
use netif::firewall::FirewallConfig;
use netif::{IpvlanReach, MacAddress};
use vrrp_proto::config::{
    AddressListCheck, AnnounceConfig, Authentication, Delivery, GroupConfig, NamedInstance,
    PacingConfig, Peer, Preempt, ReminderConfig,
};
use vrrp_proto::track::Weight;
use vrrp_proto::wire::ChecksumRule;
use vrrp_proto::{
    AdvertInterval, Family, HardwareAddress, InstanceConfig, Name, Priority, RouterConfig,
    TrackerConfig, Version, VirtualAddress, Vrid,
};

use super::iproute2::{self, Table};
use super::network;
use crate::vrrp::holding::{Holding, Holdings, VirtualKind, VirtualLink};
use crate::vrrp::seam::tracker;

/// What the VRRP process goes by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VrrpPlan {
    /// For the machine.
    pub router: RouterConfig,
    /// For the kernel.
    pub holdings: Holdings,
    /// Interfaces whose changes count only when they last: time until down, until up.
    pub delays: BTreeMap<Name, (Duration, Duration)>,
    /// Size of the sockets' receive buffers; `None` leaves the kernel's.
    pub receive_buffer: Option<usize>,
    /// How far the real-time priority of the process may rise by itself, and after what lateness.
    pub automatic_priority: Option<(u8, Duration)>,
    /// How the packet filter for `no_accept` and virtual MACs is made.
    pub filter: FirewallConfig,
}

/// Makes the plan of a configuration. What is wrong in it is left out and told, a phrase for each;
/// a caller that must not lose anything refuses a plan with problems.
///
/// `startup_delay` is how long the instances wait at the start of this process; see
/// [`startup_delay`].
#[must_use]
pub fn vrrp(config: &Vrrp, startup_delay: Duration) -> (VrrpPlan, Vec<String>) {
    let mut problems = Vec::new();
    let mut plan = VrrpPlan {
        delays: delays(config),
        filter: filter(config),
        automatic_priority: config
            .globals
            .max_auto_priority
            .map(|most| (most, config.globals.min_auto_priority_delay)),
        receive_buffer: config
            .instances
            .iter()
            .filter_map(|it| it.rx_buffer)
            .max()
            .and_then(|size| usize::try_from(size).ok()),
        ..VrrpPlan::default()
    };
    let mut taken = HashSet::new();
    for instance in &config.instances {
        let name = Name::from(instance.name.as_str());
        let virtual_link = virtual_link(config, instance, &mut taken);
        let holding = virtual_link.and_then(|it| holding(instance, it));
        let (holding, converted) = match (holding, self::instance(config, instance)) {
            (Ok(holding), Ok(converted)) => (holding, converted),
            (Err(problem), _) | (_, Err(problem)) => {
                problems.push(format!("({name}) {problem}"));
                continue;
            }
        };
        let config = with_addresses(converted, instance, &holding, startup_delay);
        plan.router.instances.push(NamedInstance {
            name: name.clone(),
            config,
        });
        plan.holdings.instances.insert(name, holding);
    }
    plan.router.groups = groups(config);
    plan.router.pacing = pacing(config, &plan.router);
    match fixed(config) {
        Ok(fixed) => plan.holdings.fixed = fixed,
        Err(problem) => problems.push(problem),
    }
    drop_unsound(&mut plan, &mut problems);
    (plan, problems)
}

/// Takes out what the machine would refuse, until it refuses nothing.
fn drop_unsound(plan: &mut VrrpPlan, problems: &mut Vec<String>) {
    let router = &mut plan.router;
    let known: HashSet<Name> = router.instances.iter().map(|it| it.name.clone()).collect();
    for group in &mut router.groups {
        group.members.retain(|member| known.contains(member));
    }
    while let Err(errors) = router.check() {
        let before = router.instances.len() + router.groups.len();
        for (name, error) in errors {
            problems.push(format!("({name}) {error}"));
            router.groups.retain(|group| group.name != name);
            if let Some(place) = router.instances.iter().rposition(|it| it.name == name) {
                router.instances.remove(place);
                plan.holdings.instances.remove(&name);
                for group in &mut router.groups {
                    group.members.retain(|member| *member != name);
                }
            }
        }
        // Every error names something that is there; should one not, this must end all the same.
        if before == router.instances.len() + router.groups.len() {
            router.instances.clear();
            router.groups.clear();
        }
    }
    router.groups.retain(|group| !group.members.is_empty());
}

/// How long instances are idle at the start, on a machine that has been up for `uptime`.
#[must_use]
pub fn startup_delay(config: &Vrrp, uptime: Duration) -> Duration {
    let globals = &config.globals;
    let after_boot = globals.delay_after_boot.saturating_sub(uptime);
    globals.startup_delay.max(after_boot)
}

fn instance(config: &Vrrp, from: &VrrpInstance) -> Result<InstanceConfig, String> {
    let version = match from.version {
        VrrpVersion::V2 => Version::V2,
        VrrpVersion::V3 => Version::V3,
    };
    let family = match from.family {
        config::Family::Inet => Family::Ipv4,
        config::Family::Inet6 => Family::Ipv6,
    };
    let vrid = Vrid::try_from(from.vrid).map_err(|error| error.to_string())?;
    let priority = Priority::try_from(from.priority).map_err(|error| error.to_string())?;
    let is_owner = priority.is_owner();
    let garp = &from.garp;
    let none = Duration::ZERO;
    let defaults = InstanceConfig::new(version, family, vrid, "");
    Ok(InstanceConfig {
        interface: from.interface.as_deref().map(Name::from),
        track_interface: from.track_primary,
        source: from.source,
        delivery: delivery(&from.destination),
        priority,
        advert_interval: interval(version, from.advert_int)?,
        down_adverts: from.down_timer_adverts,
        preempt: match (from.preempt || is_owner, from.preempt_delay) {
            (false, _) => Preempt::Never,
            (true, delay) if delay.is_zero() || is_owner => Preempt::AtOnce,
            (true, delay) => Preempt::After(delay),
        },
        accept: from.accept || is_owner,
        authentication: match from.authentication {
            None => Authentication::None,
            Some(config::Authentication::Password(secret)) => Authentication::Pass(secret),
            Some(config::Authentication::Header(secret)) => Authentication::Ah(secret),
        },
        checksum: match from.checksum {
            VrrpChecksum::PseudoHeader | VrrpChecksum::PseudoHeaderOnly => {
                ChecksumRule::PseudoHeader
            }
            VrrpChecksum::OldUnicast => ChecksumRule::PseudoHeaderToGroup,
            VrrpChecksum::AsV2 => ChecksumRule::Plain,
        },
        address_list: match from.skip_check_adv_addr {
            true => AddressListCheck::Skip,
            false => AddressListCheck::Report,
        },
        answer_lower: !from.lower_prio_no_advert,
        answer_higher: from.higher_prio_send_advert || !from.strict,
        owner_ignores: from.owner_ignore_adverts && is_owner,
        yield_after_stall: from.timer_expired_backup.is_some() && !from.preempt && !is_owner,
        announce: AnnounceConfig {
            delay: garp.delay.unwrap_or(none),
            repeat: garp.repeat,
            refresh: garp.refresh.unwrap_or(none),
            refresh_repeat: garp.refresh_repeat,
            lower_delay: garp.lower_prio_delay.unwrap_or(none),
            lower_repeat: garp.lower_prio_repeat,
        },
        trackers: trackers(config, from, is_owner),
        ..defaults
    })
}

fn with_addresses(
    mut config: InstanceConfig,
    from: &VrrpInstance,
    holding: &Holding,
    startup_delay: Duration,
) -> InstanceConfig {
    let advertised = from.addresses.len();
    let held = holding.addresses.iter().enumerate();
    config.addresses = held
        .map(|(place, held)| VirtualAddress {
            address: held.address.ip(),
            interface: held.interface.clone(),
            advertised: place < advertised,
            announced: true,
        })
        .collect();
    config.startup_delay = startup_delay;
    config.reminders = reminders(from, holding);
    let of_link = holding.virtual_link.as_ref().and_then(VirtualLink::source);
    config.source = config.source.or(of_link);
    config
}

/// Interfaces that have addresses and carry no advertisements: all of them, or the virtual ones.
fn reminders(from: &VrrpInstance, holding: &Holding) -> ReminderConfig {
    let virtual_link = holding.virtual_link.as_ref();
    let carrier = match virtual_link {
        Some(link) if !link.sends_on_base => Some(link.name.clone()),
        _ => from.interface.as_deref().map(Name::from),
    };
    let is_asked = |name: &Name| {
        let is_virtual = virtual_link.is_some_and(|link| link.name == *name);
        Some(name) != carrier.as_ref() && (from.garp.extra_all || is_virtual)
    };
    let interfaces = holding.addresses.iter().map(|it| &it.interface);
    let interfaces: BTreeSet<&Name> = interfaces.filter(|it| is_asked(it)).collect();
    ReminderConfig {
        interval: match interfaces.is_empty() {
            true => Duration::ZERO,
            false => from.garp.extra_interface.unwrap_or_default(),
        },
        interfaces: interfaces.into_iter().cloned().collect(),
    }
}

fn interval(version: Version, interval: Duration) -> Result<AdvertInterval, String> {
    let converted = match version {
        Version::V2 => u8::try_from(interval.as_secs())
            .ok()
            .map(AdvertInterval::from_secs),
        Version::V3 => u16::try_from(interval.as_millis() / 10)
            .ok()
            .map(AdvertInterval::from_centis),
    };
    match converted {
        Some(Ok(interval)) => Ok(interval),
        Some(Err(error)) => Err(error.to_string()),
        None => Err(format!("advert_int {interval:?} is too long")),
    }
}

fn delivery(destination: &Destination) -> Delivery {
    match destination {
        Destination::Multicast(group) => Delivery::Multicast { group: *group },
        Destination::Unicast(unicast) => Delivery::Unicast {
            peers: unicast
                .peers
                .iter()
                .map(|peer| Peer {
                    min_hop_limit: peer.min_ttl,
                    max_hop_limit: peer.max_ttl,
                    ..Peer::new(peer.address)
                })
                .collect(),
            hop_limit: unicast.ttl,
            peers_only: true,
        },
    }
}

// === Tracking ===

/// What an instance tracks: its own objects, those of its group, and the interfaces that its
/// addresses stand on. The group's weight wins.
fn trackers(config: &Vrrp, instance: &VrrpInstance, is_owner: bool) -> Vec<TrackerConfig> {
    let group = config.group_of(&instance.name);
    let mut trackers: Vec<TrackerConfig> = Vec::new();
    let of_group = group.into_iter().flat_map(|group| tracked(&group.tracking));
    let on_others = instance
        .addresses
        .iter()
        .chain(&instance.excluded_addresses)
        .filter(|address| !address.options().no_track)
        .filter_map(|address| address.interface.as_deref());
    let on_others = on_others.map(|name| decisive(tracker::interface(name)));
    let source = instance.source.filter(|_| instance.track_source);
    let source = source.map(|address| decisive(tracker::source(address)));
    let has_none = match &instance.destination {
        Destination::Unicast(unicast) => unicast.peers.is_empty(),
        Destination::Multicast(_) => false,
    };
    let peers = has_none.then(|| decisive(tracker::peers()));
    let all = of_group
        .chain(tracked(&instance.tracking))
        .chain(on_others)
        .chain(source)
        .chain(peers);
    for tracker in all {
        let is_own = instance
            .interface
            .as_deref()
            .is_some_and(|own| tracker.name == tracker::interface(own));
        // No priority but 255 makes an owner, so nothing changes it.
        let is_idle = is_owner && tracker.weight.is_some();
        if !is_own && !is_idle && !trackers.iter().any(|it| it.name == tracker.name) {
            trackers.push(tracker);
        }
    }
    trackers
}

/// Something whose loss is a fault.
const fn decisive(name: Name) -> TrackerConfig {
    TrackerConfig {
        name,
        weight: None,
        reverse: false,
    }
}

fn tracked(tracking: &Tracking) -> impl Iterator<Item = TrackerConfig> {
    let of = |list: &[Tracked], name: fn(&str) -> Name| -> Vec<TrackerConfig> {
        let convert = |tracked: &Tracked| TrackerConfig {
            name: name(&tracked.name),
            weight: weight(tracked.weight.value),
            reverse: tracked.weight.reverse,
        };
        list.iter().map(convert).collect()
    };
    [
        of(&tracking.interfaces, tracker::interface),
        of(&tracking.scripts, tracker::script),
        of(&tracking.files, tracker::file),
        of(&tracking.processes, tracker::process),
        of(&tracking.bfd, tracker::bfd),
    ]
    .into_iter()
    .flatten()
}

/// 0 makes it a matter of fault. The configuration keeps the ranges.
fn weight(value: i16) -> Option<Weight> {
    Weight::try_from(value.clamp(-254, 254)).ok()
}

fn delays(config: &Vrrp) -> BTreeMap<Name, (Duration, Duration)> {
    let delays = config.interface_delays.iter();
    delays
        .map(|it| (Name::from(it.interface.as_str()), (it.down, it.up)))
        .collect()
}

/// The packet filter is always nftables; where `vrrp_iptables` asks for the older one, too.
fn filter(config: &Vrrp) -> FirewallConfig {
    let wished = &config.globals.firewall;
    let defaults = FirewallConfig::default();
    FirewallConfig {
        table: wished.nftables.clone().unwrap_or(defaults.table),
        priority: wished.nftables_priority.unwrap_or(defaults.priority),
        counters: wished.nftables_counters,
    }
}

// === Groups, pacing ===

fn groups(config: &Vrrp) -> Vec<GroupConfig> {
    let convert = |group: &config::SyncGroup| GroupConfig {
        name: Name::from(group.name.as_str()),
        members: group.members.iter().map(|it| it.as_str().into()).collect(),
    };
    config.sync_groups.iter().map(convert).collect()
}

fn pacing(config: &Vrrp, router: &RouterConfig) -> Vec<PacingConfig> {
    let groups = config.garp_groups.iter().map(|group| PacingConfig {
        interfaces: group
            .interfaces
            .iter()
            .map(|it| it.as_str().into())
            .collect(),
        arp_gap: group.garp_interval,
        neighbour_gap: group.gna_interval,
    });
    let mut pacing: Vec<PacingConfig> = groups.collect();
    let globals = &config.globals;
    if globals.garp_interval.is_zero() && globals.gna_interval.is_zero() {
        return pacing;
    }
    let grouped: HashSet<Name> = pacing.iter().flat_map(|it| it.interfaces.clone()).collect();
    let addresses = router.instances.iter().flat_map(|it| &it.config.addresses);
    let others: BTreeSet<&Name> = addresses
        .map(|address| &address.interface)
        .filter(|name| !grouped.contains(*name))
        .collect();
    pacing.extend(others.into_iter().map(|name| PacingConfig {
        interfaces: vec![name.clone()],
        arp_gap: globals.garp_interval,
        neighbour_gap: globals.gna_interval,
    }));
    pacing
}

// === What is held ===

fn holding(from: &VrrpInstance, virtual_link: Option<VirtualLink>) -> Result<Holding, String> {
    let base = from.interface.as_deref().map(Name::from);
    let own = virtual_link.as_ref().map(|it| it.name.clone()).or(base);
    let addresses = from.addresses.iter().chain(&from.excluded_addresses);
    let addresses = addresses.map(|address| network::address(address, own.as_ref()));
    let addresses = addresses.collect::<Result<Vec<_>, _>>()?;
    let routes = from
        .routes
        .iter()
        .map(|it| network::route(it, own.as_ref()));
    let rules = from.rules.iter().map(network::rule);
    let promote: BTreeSet<Name> = match from.promote_secondaries {
        true => addresses.iter().map(|it| it.interface.clone()).collect(),
        false => BTreeSet::new(),
    };
    Ok(Holding {
        virtual_link,
        routes: routes.collect::<Result<_, _>>()?,
        rules: rules.collect::<Result<_, _>>()?,
        promote_secondaries: promote.into_iter().collect(),
        no_group_reports: false,
        addresses,
    })
}

fn fixed(config: &Vrrp) -> Result<Holding, String> {
    let default = config.globals.default_interface.as_deref();
    let default = Name::from(default.unwrap_or("eth0"));
    let addresses = config.static_addresses.iter();
    let addresses = addresses.map(|it| network::address(it, Some(&default)));
    let routes = config.static_routes.iter();
    let routes = routes.map(|it| network::route(it, None));
    Ok(Holding {
        addresses: addresses.collect::<Result<_, _>>()?,
        routes: routes.collect::<Result<_, _>>()?,
        rules: config
            .static_rules
            .iter()
            .map(network::rule)
            .collect::<Result<_, _>>()?,
        no_group_reports: config.globals.disable_local_igmp,
        ..Holding::default()
    })
}

/// The virtual interface of an instance. Names are given in the order of the text, each once.
fn virtual_link(
    config: &Vrrp,
    instance: &VrrpInstance,
    taken: &mut HashSet<String>,
) -> Result<Option<VirtualLink>, String> {
    let (Some(wished), Some(base)) = (&instance.virtual_interface, &instance.interface) else {
        return Ok(None);
    };
    let prefix = &config.globals.vmac_prefix;
    let vrid = instance.vrid;
    let mut names = std::iter::once(format!("{prefix}.{vrid}"))
        .chain((1..).map(|number: u32| format!("{prefix}{number}.{vrid}")));
    let chosen = wished.name.clone();
    let Some(name) = chosen.or_else(|| names.find(|name| !taken.contains(name))) else {
        return Ok(None);
    };
    taken.insert(name.clone());
    let is_ipv4 = instance.family == config::Family::Inet;
    let mut sends_on_base =
        wished.xmit_base || matches!(instance.destination, Destination::Unicast(_));
    let kind = match &wished.kind {
        VirtualInterfaceKind::Macvlan { mac } => {
            let family = match is_ipv4 {
                true => Family::Ipv4,
                false => Family::Ipv6,
            };
            let vrid = Vrid::try_from(vrid).map_err(|error| error.to_string())?;
            let of_router = HardwareAddress::of_virtual_router(family, vrid);
            VirtualKind::Macvlan {
                mac: MacAddress(mac.unwrap_or(of_router.0)),
            }
        }
        VirtualInterfaceKind::Ipvlan { address, mode } => {
            // Without an address of its own it has nothing to send from.
            sends_on_base |= address.is_none();
            VirtualKind::Ipvlan {
                address: address.map(netif::Address::new),
                reach: match mode {
                    IpvlanMode::Bridge => IpvlanReach::Bridge,
                    IpvlanMode::Private => IpvlanReach::Private,
                    IpvlanMode::Vepa => IpvlanReach::Vepa,
                },
            }
        }
    };
    let group = wished.group.as_ref().map(|group| {
        let named = match group.parse() {
            Ok(number) => Named::Number(number),
            Err(_) => Named::Name(group.clone()),
        };
        iproute2::number(&named, Table::Groups)
    });
    Ok(Some(VirtualLink {
        name: name.into(),
        base: base.as_str().into(),
        kind,
        group: group.transpose()?,
        is_ipv4,
        sends_on_base,
    }))
}

#[cfg(test)]
mod tests;
