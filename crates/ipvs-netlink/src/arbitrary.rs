//! Random values for property tests.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use proptest::prelude::*;

use crate::codec::AddressFamily;
use crate::*;

pub(crate) fn name() -> impl Strategy<Value = Name> {
    "[a-z]{1,15}".prop_map(|text| Name::try_new(&text).unwrap())
}

fn ipv4() -> impl Strategy<Value = IpAddr> {
    any::<u32>().prop_map(|bits| Ipv4Addr::from(bits).into())
}

fn ipv6() -> impl Strategy<Value = IpAddr> {
    any::<u128>().prop_map(|bits| Ipv6Addr::from(bits).into())
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![ipv4(), ipv6()]
}

pub(crate) fn service_key() -> impl Strategy<Value = ServiceKey> {
    let protocol = prop_oneof![
        Just(Protocol::Tcp),
        Just(Protocol::Udp),
        Just(Protocol::Sctp)
    ];
    let family = prop_oneof![Just(AddressFamily::Inet), Just(AddressFamily::Inet6)];
    prop_oneof![
        (protocol, address(), any::<u16>()).prop_map(|(protocol, address, port)| {
            ServiceKey::Address {
                protocol,
                address,
                port,
            }
        }),
        (1_u32.., family).prop_map(|(mark, family)| ServiceKey::Mark {
            mark: NonZeroU32::new(mark).unwrap(),
            family,
        }),
    ]
}

pub(crate) fn service() -> impl Strategy<Value = VirtualService> {
    let flags = any::<u32>().prop_map(ServiceFlags::from_bits);
    let timeout = proptest::option::of(any::<u32>().prop_map(|s| Duration::from_secs(s.into())));
    let granularity = (any::<u32>(), 1_u8..=127);
    (
        service_key(),
        name(),
        flags,
        timeout,
        granularity,
        proptest::option::of(name()),
    )
        .prop_map(
            |(key, scheduler, flags, persistence_timeout, (mask, prefix), persistence_engine)| {
                VirtualService {
                    key,
                    scheduler,
                    flags,
                    persistence_timeout,
                    persistence_granularity: match key.family() {
                        AddressFamily::Inet if mask != u32::MAX => {
                            Granularity::Mask(Ipv4Addr::from(mask))
                        }
                        AddressFamily::Inet6 => Granularity::Prefix(prefix),
                        AddressFamily::Inet => Granularity::Host,
                    },
                    persistence_engine,
                }
            },
        )
}

fn forward() -> impl Strategy<Value = ForwardMethod> {
    let checksum = prop_oneof![
        Just(TunnelChecksum::None),
        Just(TunnelChecksum::Full),
        Just(TunnelChecksum::Remote)
    ];
    prop_oneof![
        Just(ForwardMethod::Masq),
        Just(ForwardMethod::Local),
        Just(ForwardMethod::DirectRoute),
        Just(ForwardMethod::Bypass),
        (5_u8..8).prop_map(ForwardMethod::Other),
        Just(ForwardMethod::Tunnel(TunnelKind::Ipip)),
        (any::<u16>(), checksum.clone())
            .prop_map(|(port, checksum)| ForwardMethod::Tunnel(TunnelKind::Gue { port, checksum })),
        checksum.prop_map(|checksum| ForwardMethod::Tunnel(TunnelKind::Gre { checksum })),
        (3_u8.., any::<u16>(), any::<u16>()).prop_map(|(kind, port, flags)| {
            ForwardMethod::Tunnel(TunnelKind::Other { kind, port, flags })
        }),
    ]
}

pub(crate) fn destination() -> impl Strategy<Value = Destination> {
    (
        address(),
        any::<u16>(),
        forward(),
        any::<u32>(),
        any::<u32>(),
        any::<u32>(),
    )
        .prop_map(
            |(address, port, forward, weight, upper_threshold, lower_threshold)| Destination {
                address,
                port,
                forward,
                weight,
                upper_threshold,
                lower_threshold,
            },
        )
}

pub(crate) fn stats() -> impl Strategy<Value = Stats> {
    any::<[u64; 10]>().prop_map(|v| Stats {
        conns: v[0],
        in_packets: v[1],
        out_packets: v[2],
        in_bytes: v[3],
        out_bytes: v[4],
        conns_per_second: v[5],
        in_packets_per_second: v[6],
        out_packets_per_second: v[7],
        in_bytes_per_second: v[8],
        out_bytes_per_second: v[9],
    })
}

fn daemon() -> impl Strategy<Value = SyncDaemon> {
    // Up to 21474836 seconds the kernel takes; the daemon's length it raises to 1024.
    (
        role(),
        name(),
        any::<u8>(),
        1024_u16..,
        address(),
        1_u16..,
        1_u8..,
    )
        .prop_map(
            |(role, interface, sync_id, max_length, group, port, ttl)| SyncDaemon {
                role,
                interface,
                sync_id,
                max_length: Some(max_length),
                group: Some(group),
                port: Some(port),
                ttl: Some(ttl),
            },
        )
}

fn role() -> impl Strategy<Value = DaemonRole> {
    prop_oneof![Just(DaemonRole::Master), Just(DaemonRole::Backup)]
}

pub(crate) fn command() -> impl Strategy<Value = Command> {
    let timeout = || proptest::option::of((1_u64..21_474_836).prop_map(Duration::from_secs));
    prop_oneof![
        service().prop_map(Command::AddService),
        service().prop_map(Command::EditService),
        service_key().prop_map(Command::DeleteService),
        (service_key(), destination()).prop_map(|(service, destination)| Command::AddDestination {
            service,
            destination
        }),
        (service_key(), destination()).prop_map(|(service, destination)| {
            Command::EditDestination {
                service,
                destination,
            }
        }),
        (service_key(), destination()).prop_map(|(service, destination)| {
            Command::DeleteDestination {
                service,
                destination: destination.key(),
            }
        }),
        Just(Command::Flush),
        proptest::option::of(service_key()).prop_map(Command::Zero),
        (timeout(), timeout(), timeout()).prop_map(|(tcp, tcp_fin, udp)| Command::SetTimeouts(
            TimeoutsUpdate { tcp, tcp_fin, udp }
        )),
        daemon().prop_map(Command::StartDaemon),
        role().prop_map(Command::StopDaemon),
    ]
}
