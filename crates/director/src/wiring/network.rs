//! Addresses, routes and rules: from the configuration's vocabulary to the kernel's.

use ipnet::IpNet;
use kconf_parser::config::{
    self, Broadcast, Insertion, Named, Route as RouteConfig, RouteKind as ConfiguredKind,
    Rule as RuleConfig,
};
use netif::{
    Address, AddressOptions, Family, Lifetime, LinkName, NextHop, PROTOCOL_KEEPALIVED, Placement,
    Route, RouteKind, RouteMetric, RouteMetrics, RouterPreference, Rule, RuleAction, Scope,
    TABLE_MAIN,
};
use vrrp_proto::Name;

use super::iproute2::{self, Table};
use crate::vrrp::holding::{HeldAddress, HeldRoute, HeldRule};

/// An address; `own` is where it goes unless it says otherwise.
pub(super) fn address(from: &config::Address, own: Option<&Name>) -> Result<HeldAddress, String> {
    let options = from.options();
    let interface = from.interface.as_deref().map(Name::from);
    let interface = interface.or_else(|| own.cloned());
    let interface =
        interface.ok_or_else(|| format!("address {} has no interface", from.address))?;
    let plain = Address::new(from.address);
    let preferred = from.preferred_lifetime();
    let address = Address {
        peer: options.peer,
        label: options.label,
        scope: match options.scope {
            Some(scope) => Scope(iproute2::number(&scope, Table::Scopes)?),
            None => plain.scope,
        },
        broadcast: broadcast(options.broadcast, from.address),
        preferred: preferred.map_or(Lifetime::Forever, Lifetime::For),
        options: AddressOptions {
            no_duplicate_detection: from.ip().is_ipv6() && !options.detect_duplicates,
            home: options.home,
            no_prefix_route: options.no_prefix_route,
            manage_temporary: options.manage_temporary,
            auto_join: options.autojoin,
        },
        protocol: PROTOCOL_KEEPALIVED,
        ..plain
    };
    Ok(HeldAddress {
        interface,
        address,
        is_tracked: !options.no_track,
    })
}

fn broadcast(wished: Option<Broadcast>, net: IpNet) -> Option<std::net::Ipv4Addr> {
    let IpNet::V4(net) = net else {
        return None;
    };
    wished.map(|wished| match wished {
        Broadcast::HostBitsSet => net.broadcast(),
        Broadcast::HostBitsClear => net.network(),
        Broadcast::Address(address) => address,
    })
}

/// A route; `own` is the interface of the instance, for those that name none and have no gateway.
pub(super) fn route(from: &RouteConfig, own: Option<&Name>) -> Result<HeldRoute, String> {
    let unsupported = [
        (!from.encap.is_empty(), "encap"),
        (
            from.nexthops.iter().any(|hop| !hop.encap.is_empty()),
            "encap",
        ),
        (from.vrf.is_some(), "vrf"),
        (from.ttl_propagate.is_some(), "ttl-propagate"),
        (
            from.nexthops.iter().any(|hop| hop.realms.is_some()),
            "realms of a nexthop",
        ),
    ];
    if let Some((_, what)) = unsupported.iter().find(|(is_there, _)| *is_there) {
        let destination = from.destination;
        return Err(format!(
            "route to {destination}: {what} cannot be set by this version"
        ));
    }
    let kind = route_kind(from.kind);
    let leads_somewhere = !matches!(
        kind,
        RouteKind::Blackhole | RouteKind::Unreachable | RouteKind::Prohibit | RouteKind::Throw
    );
    let mut hops = Vec::new();
    let mut interfaces = Vec::new();
    if from.nexthops.is_empty() {
        let named = from.interface.as_deref().map(Name::from);
        let interface = match (named, from.via, leads_somewhere) {
            (Some(name), _, _) => Some(name),
            (None, None, true) => own.cloned(),
            (None, ..) => None,
        };
        if leads_somewhere || interface.is_some() || from.via.is_some() {
            hops.push(NextHop {
                on_link: from.onlink,
                ..NextHop::new(from.via, None)
            });
            interfaces.push(interface);
        }
    }
    for hop in &from.nexthops {
        hops.push(NextHop {
            weight: hop.weight.max(1),
            on_link: hop.onlink,
            ..NextHop::new(hop.via, None)
        });
        interfaces.push(hop.interface.as_deref().map(Name::from));
    }
    let route = Route {
        source: match from.from {
            Some(IpNet::V6(net)) => Some(net),
            _ => None,
        },
        preferred_source: from.source,
        hops,
        table: match &from.table {
            Some(table) => iproute2::number(table, Table::Tables)?,
            None => TABLE_MAIN,
        },
        metric: from.metric,
        scope: match &from.scope {
            Some(scope) => Some(Scope(iproute2::number(scope, Table::Scopes)?)),
            None => None,
        },
        tos: match &from.tos {
            Some(tos) => iproute2::number(tos, Table::DsField)?,
            None => 0,
        },
        protocol: protocol(from.protocol.as_ref())?,
        metrics: metrics(from)?,
        preference: from.preference.as_deref().map(preference).transpose()?,
        expires: from.expires,
        realms: from.realms.as_deref().map(realms).transpose()?,
        ..Route::without_hop(from.destination, kind)
    };
    Ok(HeldRoute {
        route,
        interfaces,
        placement: match from.insertion {
            Insertion::Prepend => Placement::Prepend,
            Insertion::Add => Placement::Add,
            Insertion::Append => Placement::Append,
        },
        is_tracked: !from.no_track,
    })
}

const fn route_kind(kind: ConfiguredKind) -> RouteKind {
    match kind {
        ConfiguredKind::Unicast => RouteKind::Unicast,
        ConfiguredKind::Local => RouteKind::Local,
        ConfiguredKind::Broadcast => RouteKind::Broadcast,
        ConfiguredKind::Multicast => RouteKind::Multicast,
        ConfiguredKind::Throw => RouteKind::Throw,
        ConfiguredKind::Unreachable => RouteKind::Unreachable,
        ConfiguredKind::Prohibit => RouteKind::Prohibit,
        ConfiguredKind::Blackhole => RouteKind::Blackhole,
        // RTN_NAT of linux/rtnetlink.h, which kernels have not acted on since 2.6.
        ConfiguredKind::Nat => RouteKind::Other(10),
        ConfiguredKind::Anycast => RouteKind::Anycast,
    }
}

fn protocol(wished: Option<&Named<u8>>) -> Result<u8, String> {
    wished.map_or(Ok(PROTOCOL_KEEPALIVED), |named| {
        iproute2::number(named, Table::Protocols)
    })
}

fn metrics(from: &RouteConfig) -> Result<RouteMetrics, String> {
    let mut metrics = RouteMetrics::default();
    for configured in &from.metrics {
        let metric = match configured.name.as_str() {
            "mtu" => RouteMetric::Mtu,
            "window" => RouteMetric::Window,
            "rtt" => RouteMetric::Rtt,
            "rttvar" => RouteMetric::RttVar,
            "ssthresh" => RouteMetric::SlowStartThreshold,
            "cwnd" => RouteMetric::CongestionWindow,
            "advmss" => RouteMetric::AdvertisedMss,
            "reordering" => RouteMetric::Reordering,
            "hoplimit" => RouteMetric::HopLimit,
            "initcwnd" => RouteMetric::InitialCongestionWindow,
            "features" => RouteMetric::Features,
            "rto_min" => RouteMetric::RtoMin,
            "initrwnd" => RouteMetric::InitialReceiveWindow,
            "quickack" => RouteMetric::QuickAck,
            "fastopen_no_cookie" => RouteMetric::FastOpenNoCookie,
            other => return Err(format!("unknown metric {other} of a route")),
        };
        metrics.set(metric, configured.value);
        if configured.lock {
            metrics.lock(metric);
        }
    }
    if let Some((algorithm, lock)) = &from.congctl {
        metrics.set_congestion_control(algorithm, *lock);
    }
    Ok(metrics)
}

fn preference(text: &str) -> Result<RouterPreference, String> {
    match text {
        "low" => Ok(RouterPreference::Low),
        "medium" => Ok(RouterPreference::Medium),
        "high" => Ok(RouterPreference::High),
        other => Err(format!(
            "router preference {other} is none of low, medium, high"
        )),
    }
}

/// `TO` or `FROM/TO`, numbers or names: from in the upper half.
fn realms(text: &str) -> Result<u32, String> {
    let number = |text: &str| -> Result<u32, String> {
        let named = match text.parse() {
            Ok(number) => Named::Number(number),
            Err(_) => Named::Name(text.to_owned()),
        };
        iproute2::number(&named, Table::Realms)
    };
    match text.split_once('/') {
        Some((from, to)) => Ok(number(from)? << 16 | number(to)? & 0xffff),
        None => number(text),
    }
}

/// A rule.
pub(super) fn rule(from: &RuleConfig) -> Result<HeldRule, String> {
    let family = match from.family {
        config::Family::Inet => Family::Inet,
        config::Family::Inet6 => Family::Inet6,
    };
    let action = match &from.action {
        _ if from.l3mdev => RuleAction::L3Master,
        config::RuleAction::Table(table) => {
            RuleAction::Table(iproute2::number(table, Table::Tables)?)
        }
        config::RuleAction::Goto(preference) => RuleAction::Goto(*preference),
        config::RuleAction::Nop => RuleAction::Nop,
        config::RuleAction::Blackhole => RuleAction::Blackhole,
        config::RuleAction::Unreachable => RuleAction::Unreachable,
        config::RuleAction::Prohibit => RuleAction::Prohibit,
    };
    let link = |name: &Option<String>| -> Result<Option<LinkName>, String> {
        let name = name.as_deref().map(str::parse);
        name.transpose()
            .map_err(|error: netif::LinkNameError| error.to_string())
    };
    let rule = Rule {
        priority: from.preference,
        invert: from.invert,
        from: from.from,
        to: from.to,
        tos: match &from.tos {
            Some(tos) => iproute2::number(tos, Table::DsField)?,
            None => 0,
        },
        mark: from.fwmark,
        incoming: link(&from.input_interface)?,
        outgoing: link(&from.output_interface)?,
        ip_protocol: match &from.ip_protocol {
            Some(protocol) => Some(iproute2::number(protocol, Table::IpProtocols)?),
            None => None,
        },
        source_ports: from.source_ports,
        destination_ports: from.destination_ports,
        users: from.users,
        tunnel: from.tunnel_id,
        suppress_prefix_length: from.suppress_prefix_length,
        suppress_group: match &from.suppress_interface_group {
            Some(group) => Some(iproute2::number(group, Table::Groups)?),
            None => None,
        },
        realms: from.realms.as_deref().map(realms).transpose()?,
        protocol: protocol(from.protocol.as_ref())?,
        ..Rule::new(family, action)
    };
    Ok(HeldRule {
        rule,
        is_tracked: !from.no_track,
    })
}
