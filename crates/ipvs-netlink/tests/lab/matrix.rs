//! Every kind of service and destination: what was added, changed and read is the same.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

use ipvs_netlink::*;
use lvs_testkit::lab;

use crate::with_client;

const SCHEDULERS: [&str; 13] = [
    "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh",
];

fn keys() -> Vec<ServiceKey> {
    let mut keys = Vec::new();
    for address in ["10.0.0.1", "fd00::1"] {
        let address: IpAddr = address.parse().unwrap();
        for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Sctp] {
            keys.push(ServiceKey::Address {
                protocol,
                address,
                port: 80,
            });
        }
    }
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mark = NonZeroU32::new(7).unwrap();
        keys.push(ServiceKey::Mark { mark, family });
    }
    keys
}

fn server(family: AddressFamily, number: u16) -> SocketAddr {
    match family {
        AddressFamily::Inet => ([10, 1, 0, number as u8], 8080).into(),
        AddressFamily::Inet6 => ([0xfd00, 0, 0, 1, 0, 0, 0, number], 8080).into(),
    }
}

#[test]
fn families_protocols_and_schedulers() {
    let Some(lab) = lab::enter() else { return };
    with_client(&lab.host("director"), |mut client| {
        for key in keys() {
            for scheduler in SCHEDULERS {
                let what = format!("{key} {scheduler}");
                let service = VirtualService::new(key, scheduler.parse().unwrap());
                client.add_service(&service).expect(&what);
                let destination = Destination::new(server(key.family(), 1), ForwardMethod::Masq);
                client.add_destination(&key, &destination).expect(&what);
                let rules = client.rules().unwrap();
                let destinations = vec![destination];
                assert_eq!(
                    rules,
                    [ServiceRules {
                        service,
                        destinations
                    }],
                    "{what}"
                );
                client.delete_service(&key).expect(&what);
            }
        }
        assert_eq!(client.rules().unwrap(), []);
    });
}

#[test]
fn settings_of_services() {
    let Some(lab) = lab::enter() else { return };
    with_client(&lab.host("director"), |mut client| {
        for key in keys() {
            let plain = VirtualService::new(key, "sh".parse().unwrap());
            let granularity = match key.family() {
                AddressFamily::Inet => Granularity::Mask(Ipv4Addr::new(255, 255, 255, 0)),
                AddressFamily::Inet6 => Granularity::Prefix(64),
            };
            let persistent = VirtualService {
                flags: ServiceFlags::SCHED_1 | ServiceFlags::SCHED_2,
                persistence_timeout: Some(Duration::from_secs(360)),
                persistence_granularity: granularity,
                ..plain.clone()
            };
            client.add_service(&plain).unwrap();
            let mut variants = vec![persistent.clone(), plain.clone()];
            if key.protocol() == Some(Protocol::Udp) {
                variants.push(VirtualService {
                    flags: ServiceFlags::ONE_PACKET,
                    ..plain
                });
                variants.push(VirtualService {
                    persistence_engine: Some("sip".parse().unwrap()),
                    ..persistent
                });
            }
            for service in variants {
                client
                    .edit_service(&service)
                    .unwrap_or_else(|error| panic!("{service:?}: {error}"));
                assert_eq!(client.service(&key).unwrap().service, service);
            }
        }
        assert_eq!(client.services().unwrap().len(), keys().len());
        client.execute(&Command::Zero(None)).unwrap();
        client.execute(&Command::Zero(Some(keys()[0]))).unwrap();
        client.execute(&Command::Flush).unwrap();
        assert_eq!(client.services().unwrap(), []);
    });
}

#[test]
fn forwarding_and_tunnels() {
    let Some(lab) = lab::enter() else { return };
    with_client(&lab.host("director"), |mut client| {
        let checksums = [TunnelChecksum::None, TunnelChecksum::Full];
        let mut methods = vec![
            ForwardMethod::Masq,
            ForwardMethod::DirectRoute,
            ForwardMethod::Tunnel(TunnelKind::Ipip),
        ];
        for checksum in checksums {
            methods.push(ForwardMethod::Tunnel(TunnelKind::Gre { checksum }));
        }
        for checksum in [checksums[0], checksums[1], TunnelChecksum::Remote] {
            let port = 6080;
            methods.push(ForwardMethod::Tunnel(TunnelKind::Gue { port, checksum }));
        }
        for key in keys() {
            let service = VirtualService::new(key, "wlc".parse().unwrap());
            client.add_service(&service).unwrap();
            let mut wished = Vec::new();
            for (number, forward) in (1..).zip(&methods) {
                let families = match forward {
                    // Only a tunnel may lead into the other family.
                    ForwardMethod::Tunnel(_) => vec![AddressFamily::Inet, AddressFamily::Inet6],
                    _ => vec![key.family()],
                };
                for family in families {
                    let mut destination = Destination::new(server(family, number), *forward);
                    client
                        .add_destination(&key, &destination)
                        .unwrap_or_else(|error| panic!("{destination:?}: {error}"));
                    destination.weight = 0;
                    destination.upper_threshold = 1000;
                    destination.lower_threshold = 800;
                    client.edit_destination(&key, &destination).unwrap();
                    wished.push(destination);
                }
            }
            let mut entries = client.destinations(&key).unwrap();
            entries.reverse();
            let found: Vec<_> = entries.iter().map(|entry| entry.destination).collect();
            assert_eq!(found, wished, "{key}");
            for destination in &wished {
                client.delete_destination(&key, &destination.key()).unwrap();
            }
            assert_eq!(client.destinations(&key).unwrap(), []);
        }
    });
}

#[test]
fn timeouts_and_daemons() {
    let Some(lab) = lab::enter() else { return };
    with_client(&lab.host("director"), |mut client| {
        let update = TimeoutsUpdate {
            tcp: Some(Duration::from_secs(1000)),
            tcp_fin: None,
            udp: Some(Duration::from_secs(60)),
        };
        let before = client.timeouts().unwrap();
        client.set_timeouts(&update).unwrap();
        assert_eq!(client.timeouts().unwrap(), before.updated(&update));

        let full = SyncDaemon {
            role: DaemonRole::Master,
            interface: "d0".parse().unwrap(),
            sync_id: 5,
            max_length: Some(1400),
            group: Some("ff02::99".parse().unwrap()),
            port: Some(9999),
            ttl: Some(3),
        };
        let bare = SyncDaemon {
            role: DaemonRole::Backup,
            sync_id: 0,
            max_length: None,
            group: None,
            port: None,
            ttl: None,
            ..full
        };
        client.execute(&Command::StartDaemon(full.clone())).unwrap();
        client.execute(&Command::StartDaemon(bare)).unwrap();
        let daemons = client.daemons().unwrap();
        assert_eq!(daemons[0], full);
        let defaults = (daemons[1].max_length, daemons[1].group, daemons[1].port);
        let group = "224.0.0.81".parse().unwrap();
        assert_eq!(defaults, (Some(1472), Some(group), Some(8848)));
        for (role, thread) in [
            (DaemonRole::Master, "ipvs-m"),
            (DaemonRole::Backup, "ipvs-b"),
        ] {
            lvs_testkit::wait_until("a running thread", Duration::from_secs(30), || {
                has_run(thread)
            });
            client.execute(&Command::StopDaemon(role)).unwrap();
        }
        assert_eq!(client.daemons().unwrap(), []);
    });
}

/// Whether a thread of the kernel has begun its work. To stop one before is EINTR for the kernel, and netlink
/// answers nothing then.
fn has_run(name: &str) -> Option<()> {
    let threads = std::fs::read_dir("/proc").unwrap().flatten();
    let statuses = threads.filter_map(|it| std::fs::read_to_string(it.path().join("status")).ok());
    let mut ours = statuses.filter(|it| it.starts_with(&format!("Name:\t{name}")));
    let status = ours.next()?;
    let switches = status
        .lines()
        .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
    // It sleeps once before it begins.
    (switches.trim().parse::<u64>().ok()? > 1).then_some(())
}

#[test]
fn refusals_have_their_reasons() {
    let Some(lab) = lab::enter() else { return };
    with_client(&lab.host("director"), |mut client| {
        let key = crate::tcp("10.0.0.1:80");
        let service = VirtualService::new(key, "rr".parse().unwrap());
        let destination = Destination::new(([10, 1, 0, 1], 80).into(), ForwardMethod::Masq);
        let add = Command::AddDestination {
            service: key,
            destination,
        };
        let edit = Command::EditDestination {
            service: key,
            destination,
        };
        let unknown = VirtualService {
            scheduler: "none-such".parse().unwrap(),
            ..service
        };
        let heavy = Destination {
            weight: u32::MAX,
            ..destination
        };
        let foreign = Destination::new("[fd00::1]:80".parse().unwrap(), ForwardMethod::Masq);
        let steps = [
            (
                Command::EditService(service.clone()),
                Some(Reason::NoSuchService),
            ),
            (add.clone(), Some(Reason::NoSuchService)),
            (
                Command::AddService(unknown),
                Some(Reason::NoSuchSchedulerOrEngine),
            ),
            (Command::AddService(service.clone()), None),
            (Command::AddService(service), Some(Reason::ServiceExists)),
            (edit, Some(Reason::NoSuchDestination)),
            (add.clone(), None),
            (add, Some(Reason::DestinationExists)),
            (
                Command::EditDestination {
                    service: key,
                    destination: heavy,
                },
                Some(Reason::OutOfRange),
            ),
            (
                Command::AddDestination {
                    service: key,
                    destination: foreign,
                },
                Some(Reason::Invalid),
            ),
            (
                Command::StopDaemon(DaemonRole::Master),
                Some(Reason::NoSuchDaemon),
            ),
        ];
        for (command, reason) in &steps {
            let result = client.execute(command);
            let found = result
                .err()
                .and_then(|error| Some(error.refused()?.reason()));
            assert_eq!(found, *reason, "{command}");
        }
    });
}
