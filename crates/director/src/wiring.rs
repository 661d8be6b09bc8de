//! From the vocabulary of the configuration to those of the checks, of IPVS and of VRRP.
//!
//! # Design
//! The libraries below know nothing of each other, so each has its own word for a protocol or a
//! server. All translations are here and decide nothing: a question that comes up here belongs into
//! the parser's `resolve`, which can point at a line.

pub mod bfd;
mod iproute2;
mod network;
pub mod vrrp;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;

use healthcheck::probe::{self, Connect, HttpProbe, Probe, TcpProbe, TlsClient};
use healthcheck::schedule::Period;
use healthcheck::{
    CheckConfig, Expectation, Md5Digest, Protocol, ScheduleConfig, ServerConfig, ServerId,
    SorryConfig, StatusSet, VirtualServerConfig,
};
use ipvs_netlink::{
    AddressFamily, Destination, DestinationKey, Granularity, Name, ServiceFlags, ServiceKey,
    ServiceRules, TunnelKind, VirtualService,
};
use kconf_parser::config::{
    self, Check, CheckKind, Endpoint, Family, ForwardMethod, Globals, VirtualServerId,
};

/// The protocol of a virtual server as its servers are named by.
#[must_use]
pub fn protocol(service: &config::VirtualServer) -> Protocol {
    match (&service.id, service.protocol) {
        (VirtualServerId::FirewallMark { .. }, _) => Protocol::None,
        (_, config::Protocol::Tcp) => Protocol::Tcp,
        (_, config::Protocol::Udp) => Protocol::Udp,
        (_, config::Protocol::Sctp) => Protocol::Sctp,
    }
}

/// The checks that can be run, each with the server it looks at, in the order of the configuration.
pub fn checks(service: &config::VirtualServer) -> impl Iterator<Item = (ServerId, &Check)> {
    let protocol = protocol(service);
    service.real_servers.iter().flat_map(move |server| {
        let id = ServerId::new(server.address, protocol);
        let checks = server.checks.iter().filter(|check| is_supported(check));
        checks.map(move |check| (id, check))
    })
}

/// Whether this version has a probe for the check. Its server counts as up otherwise.
#[must_use]
pub fn is_supported(check: &Check) -> bool {
    matches!(check.kind, CheckKind::Tcp | CheckKind::Http(_))
}

/// The pool machine's configuration; `checks` gives those of a server.
pub fn virtual_server(
    service: &config::VirtualServer,
    globals: &Globals,
    mut checks: impl FnMut(ServerId) -> Vec<CheckConfig>,
) -> VirtualServerConfig {
    let protocol = protocol(service);
    let servers = service.real_servers.iter().map(|server| {
        let id = ServerId::new(server.address, protocol);
        ServerConfig {
            inhibit_on_failure: server.inhibit_on_failure,
            checks: checks(id),
            ..ServerConfig::new(id, server.weight)
        }
    });
    VirtualServerConfig {
        servers: servers.collect(),
        sorry_server: service.sorry_server.as_ref().map(|sorry| SorryConfig {
            inhibit: sorry.inhibit,
            ..SorryConfig::new(ServerId::new(sorry.address, protocol))
        }),
        quorum: service.quorum,
        hysteresis: service.hysteresis,
        omega: service.omega,
        notify_initial: globals.rs_init_notifies,
        ..VirtualServerConfig::new(service.id.to_string())
    }
}

/// A check's life in time.
#[must_use]
pub fn schedule(check: &Check) -> ScheduleConfig {
    let (steps, fast_recovery) = match &check.kind {
        CheckKind::Http(http) => (
            u32::try_from(http.urls.len()).unwrap_or(u32::MAX),
            http.fast_recovery,
        ),
        _ => (1, false),
    };
    ScheduleConfig {
        delay_loop: check.delay_loop,
        retry: check.retry,
        delay_before_retry: check.delay_before_retry,
        warmup: check.warmup,
        alpha: check.alpha,
        steps: NonZeroU32::new(steps).unwrap_or(NonZeroU32::MIN),
        fast_recovery,
        period: match check.kind {
            CheckKind::Misc(_) => Period::FromStart,
            _ => Period::FromEnd,
        },
    }
}

/// How a check asks its server; `None` for kinds that [`is_supported`] denies.
#[must_use]
pub fn probe(check: &Check, tls: &TlsClient) -> Option<Probe> {
    let connect = Connect {
        source: source(check),
        interface: check.bind.interface.clone(),
        mark: (check.fwmark != 0).then_some(check.fwmark),
        timeout: check.connect_timeout,
        ..Connect::new(check.target)
    };
    match &check.kind {
        CheckKind::Tcp => Some(Probe::Tcp(TcpProbe { connect })),
        CheckKind::Http(http) => {
            let urls = http.urls.iter().map(url).collect();
            Some(Probe::Http(HttpProbe {
                tls: http.tls.then(|| tls.clone()),
                version: match http.version {
                    config::HttpVersion::Http10 => healthcheck::HttpVersion::Http10,
                    config::HttpVersion::Http10Close => healthcheck::HttpVersion::Http10Close,
                    config::HttpVersion::Http11 => healthcheck::HttpVersion::Http11,
                },
                ..HttpProbe::new(connect, urls)
            }))
        }
        _ => None,
    }
}

fn url(url: &config::Url) -> probe::Url {
    let ranges = url.status.iter().map(|range| range.first..=range.last);
    probe::Url {
        path: url.path.clone(),
        virtualhost: url.virtualhost.clone(),
        sni: url.sni.clone(),
        expect: Expectation {
            // The parser lets only good ranges pass, and never an empty list.
            status: StatusSet::try_new(ranges).unwrap_or_default(),
            digest: url.digest.map(Md5Digest::from_bytes),
        },
    }
}

/// The local end of a probe. A port alone is bound on every address of the target's family.
fn source(check: &Check) -> Option<SocketAddr> {
    let port = check.bind.port.unwrap_or(0);
    match (check.bind.address, check.target.ip()) {
        (Some(address), _) => Some(SocketAddr::new(address, port)),
        (None, _) if port == 0 => None,
        (None, IpAddr::V4(_)) => Some(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port)),
        (None, IpAddr::V6(_)) => Some(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port)),
    }
}

/// The IPVS services that a virtual server stands for, with the destinations of `pool`.
///
/// `pool` holds the wished servers: address, whether it is the sorry server, weight.
#[must_use]
pub fn rules(
    service: &config::VirtualServer,
    pool: &[healthcheck::PoolEntry],
) -> Vec<ServiceRules> {
    let destinations = destinations(service, pool);
    let keys = service
        .endpoints
        .iter()
        .filter_map(|endpoint| service_key(service, endpoint));
    keys.map(|key| ServiceRules {
        service: virtual_service(service, key),
        destinations: destinations.clone(),
    })
    .collect()
}

/// What names an endpoint in IPVS; `None` for firewall mark 0, which no service can have.
#[must_use]
pub fn service_key(service: &config::VirtualServer, endpoint: &Endpoint) -> Option<ServiceKey> {
    match *endpoint {
        Endpoint::Address(address) => Some(ServiceKey::Address {
            protocol: match service.protocol {
                config::Protocol::Tcp => ipvs_netlink::Protocol::Tcp,
                config::Protocol::Udp => ipvs_netlink::Protocol::Udp,
                config::Protocol::Sctp => ipvs_netlink::Protocol::Sctp,
            },
            address: address.ip(),
            port: address.port(),
        }),
        Endpoint::FirewallMark { mark, family } => Some(ServiceKey::Mark {
            mark: NonZeroU32::new(mark)?,
            family: match family {
                Family::Inet => AddressFamily::Inet,
                Family::Inet6 => AddressFamily::Inet6,
            },
        }),
    }
}

/// The name of an IPVS service in log lines: `[10.0.0.1]:tcp:80`, `FWM 5`.
#[must_use]
pub fn service_name(key: &ServiceKey) -> String {
    match key {
        // keepalived says nothing of the family.
        ServiceKey::Mark { mark, .. } => format!("FWM {mark}"),
        ServiceKey::Address { .. } => key.to_string(),
    }
}

/// The name of a destination in log lines: `[10.0.1.1]:tcp:80`, `[10.0.1.1]:none:80` behind a firewall
/// mark.
#[must_use]
pub fn server_name(service: &ServiceKey, destination: &DestinationKey) -> String {
    let protocol = match service {
        ServiceKey::Address { protocol, .. } => match protocol {
            ipvs_netlink::Protocol::Tcp => Protocol::Tcp,
            ipvs_netlink::Protocol::Udp => Protocol::Udp,
            ipvs_netlink::Protocol::Sctp => Protocol::Sctp,
        },
        ServiceKey::Mark { .. } => Protocol::None,
    };
    let address = SocketAddr::new(destination.address, destination.port);
    ServerId::new(address, protocol).to_string()
}

fn virtual_service(service: &config::VirtualServer, key: ServiceKey) -> VirtualService {
    // Names of schedulers and engines are short; one that is not would be refused by the dataplane.
    let name = |text: &str| Name::try_new(text).unwrap_or_default();
    let mut flags = ServiceFlags::NONE;
    for (set, flag) in [
        (service.one_packet, ServiceFlags::ONE_PACKET),
        (service.scheduler_flags.flag1, ServiceFlags::SCHED_1),
        (service.scheduler_flags.flag2, ServiceFlags::SCHED_2),
        (service.scheduler_flags.flag3, ServiceFlags::SCHED_3),
    ] {
        if set {
            flags = flags | flag;
        }
    }
    let persistence = service.persistence.as_ref();
    let granularity = persistence.and_then(|persistence| persistence.granularity);
    VirtualService {
        flags,
        persistence_timeout: persistence.map(|persistence| persistence.timeout),
        persistence_granularity: match granularity {
            // As a dump shows them, or each start would change the service.
            None | Some(config::Granularity::Mask(Ipv4Addr::BROADCAST)) => Granularity::Host,
            Some(config::Granularity::Prefix(128)) => Granularity::Host,
            Some(config::Granularity::Mask(mask)) => Granularity::Mask(mask),
            Some(config::Granularity::Prefix(length)) => Granularity::Prefix(length),
        },
        persistence_engine: persistence
            .and_then(|persistence| persistence.engine.as_deref())
            .map(name),
        ..VirtualService::new(key, name(service.scheduler.name()))
    }
}

fn destinations(
    service: &config::VirtualServer,
    pool: &[healthcheck::PoolEntry],
) -> Vec<Destination> {
    use healthcheck::quorum::Role;
    let mut destinations: Vec<Destination> = Vec::with_capacity(pool.len());
    for entry in pool {
        let address = entry.server.address;
        let wished = match entry.role {
            Role::Real => service.real_server(address).map(|server| Destination {
                weight: entry.weight,
                upper_threshold: server.upper_threshold,
                lower_threshold: server.lower_threshold,
                ..Destination::new(address, forward(server.method))
            }),
            Role::Sorry => service.sorry_server.as_ref().map(|sorry| Destination {
                weight: entry.weight,
                ..Destination::new(address, forward(sorry.method))
            }),
        };
        let Some(wished) = wished else { continue };
        // A sorry server may be one of the real servers: it wins while it is in charge.
        match destinations
            .iter_mut()
            .find(|known| known.key() == wished.key())
        {
            Some(known) if wished.weight > 0 => *known = wished,
            Some(_) => {}
            None => destinations.push(wished),
        }
    }
    destinations
}

fn forward(method: ForwardMethod) -> ipvs_netlink::ForwardMethod {
    use ipvs_netlink::ForwardMethod as Ipvs;
    match method {
        ForwardMethod::Masq => Ipvs::Masq,
        ForwardMethod::DirectRoute => Ipvs::DirectRoute,
        ForwardMethod::Tunnel => Ipvs::Tunnel(TunnelKind::Ipip),
        ForwardMethod::TunnelGue { port, checksum } => Ipvs::Tunnel(TunnelKind::Gue {
            port,
            checksum: tunnel_checksum(checksum),
        }),
        ForwardMethod::TunnelGre { checksum } => Ipvs::Tunnel(TunnelKind::Gre {
            checksum: tunnel_checksum(checksum),
        }),
    }
}

fn tunnel_checksum(checksum: config::TunnelChecksum) -> ipvs_netlink::TunnelChecksum {
    match checksum {
        config::TunnelChecksum::None => ipvs_netlink::TunnelChecksum::None,
        config::TunnelChecksum::Full => ipvs_netlink::TunnelChecksum::Full,
        config::TunnelChecksum::Remote => ipvs_netlink::TunnelChecksum::Remote,
    }
}

#[cfg(test)]
pub(crate) mod tests;
