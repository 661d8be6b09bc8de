//! Counters, connections, unknown attributes, and the client for tokio.

use ipvs_netlink::codec::{Messages, Writer};
use ipvs_netlink::uapi::*;
use ipvs_netlink::*;
use lvs_testkit::lab::{self, Host, LIMIT, Lab};
use lvs_testkit::wait_until;
use std::time::Duration;

use crate::{tcp, with_client};

/// A client, a director with one service by NAT, and a server behind it.
fn balanced(lab: &Lab) -> (Host, Host) {
    let (outside, inside) = (lab.switch("outside"), lab.switch("inside"));
    let client = lab.host("client");
    client.plug(&outside, "eth0", &["10.0.0.2/24"]);
    let director = lab.host("director");
    director.plug(&outside, "eth0", &["10.0.0.1/24"]);
    director.plug(&inside, "eth1", &["10.1.0.1/24"]);
    director.forward_packets();
    let server = lab.host("server");
    server.plug(&inside, "eth0", &["10.1.0.2/24"]);
    server.route("default via 10.1.0.1");
    server.serve("page", &[80]);
    director.enter(|| {
        let mut ipvs = Client::connect(KernelTransport::open().unwrap()).unwrap();
        let key = tcp("10.0.0.1:80");
        ipvs.add_service(&VirtualService::new(key, "rr".parse().unwrap()))
            .unwrap();
        let address = "10.1.0.2:80".parse().unwrap();
        ipvs.add_destination(&key, &Destination::new(address, ForwardMethod::Masq))
            .unwrap();
    });
    (client, director)
}

#[test]
fn connections_and_counters_of_real_traffic() {
    let Some(lab) = lab::enter() else { return };
    let (client, director) = balanced(&lab);
    for _ in 0..5 {
        assert_eq!(client.fetch("http://10.0.0.1/"), "page");
    }
    director.enter(|| {
        let mut ipvs = Client::connect(KernelTransport::open().unwrap()).unwrap();
        let mut found = Vec::new();
        ipvs.connections(|entry| found.push(entry)).unwrap();
        assert_eq!(found.len(), 5);
        for entry in &found {
            assert_eq!(entry.client.ip().to_string(), "10.0.0.2");
            assert_eq!(entry.virtual_address, "10.0.0.1:80".parse().unwrap());
            assert_eq!(entry.destination, "10.1.0.2:80".parse().unwrap());
        }
        let key = tcp("10.0.0.1:80");
        // The kernel brings the counters up to date every two seconds.
        let stats = wait_until("the counters", LIMIT, || {
            let stats = ipvs.service(&key).unwrap().stats;
            (stats.conns == 5 && stats.out_bytes > 0).then_some(stats)
        });
        assert!(stats.in_packets >= 5 * 4 && stats.in_bytes > stats.in_packets);
        let entry = ipvs.destinations(&key).unwrap().remove(0);
        assert_eq!(entry.status.stats.conns, 5);
        assert_eq!(entry.status.active_conns + entry.status.inactive_conns, 5);

        let tokio = ::tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let async_found = tokio.block_on(async {
            let socket = tokio::KernelSocket::open().unwrap();
            let mut ipvs = tokio::Client::connect(socket).await.unwrap();
            let mut found = Vec::new();
            ipvs.connections(|entry| found.push(entry)).await.unwrap();
            found
        });
        assert_eq!(async_found.len(), 5);
    });
}

#[test]
fn the_client_for_tokio_does_the_same() {
    let Some(lab) = lab::enter() else { return };
    with_client(&lab.host("director"), |mut blocking| {
        let tokio = ::tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        tokio.block_on(async {
            let socket = tokio::KernelSocket::open().unwrap();
            let mut client = tokio::Client::connect(socket).await.unwrap();
            let key = tcp("10.0.0.1:80");
            let mut commands = vec![Command::AddService(VirtualService::new(
                key,
                "rr".parse().unwrap(),
            ))];
            for host in 0..=255 {
                let address = ([10, 1, 0, host], 80).into();
                let destination = Destination::new(address, ForwardMethod::Masq);
                commands.push(Command::AddDestination {
                    service: key,
                    destination,
                });
                // Every other one twice.
                if host % 2 == 0 {
                    commands.push(Command::AddDestination {
                        service: key,
                        destination,
                    });
                }
            }
            let failures = client.apply(&commands).await.unwrap();
            assert_eq!(failures.len(), 128);
            assert!(
                failures
                    .iter()
                    .all(|one| one.refused.reason() == Reason::DestinationExists)
            );
            assert_eq!(client.info().await.unwrap(), blocking.info().unwrap());
            assert_eq!(client.rules().await.unwrap(), blocking.rules().unwrap());
            let error = client.service(&tcp("10.0.0.9:9")).await.unwrap_err();
            assert_eq!(error.refused().unwrap().reason(), Reason::NoSuchService);
        });
    });
}

/// A kernel that also sends attributes of a later version, or no 64-bit counters.
struct Altered {
    inner: KernelTransport,
    alter: fn(&[u8]) -> Vec<u8>,
}

impl Transport for Altered {
    fn send(&mut self, messages: &[u8]) -> std::io::Result<()> {
        self.inner.send(messages)
    }

    fn receive(&mut self, buffer: &mut Vec<u8>, limit: Duration) -> std::io::Result<usize> {
        let mut real = Vec::new();
        let count = self.inner.receive(&mut real, limit)?;
        buffer.extend((self.alter)(&real));
        Ok(count)
    }
}

/// Writes the service or destination of each answer anew, with what `change` makes of its attributes.
fn rewrite(bytes: &[u8], change: fn(u16, &[u8], &mut Writer<'_>)) -> Vec<u8> {
    let mut altered = Vec::new();
    for message in Messages::new(bytes).map(Result::unwrap) {
        let Some((command, attributes)) = message.generic().ok().filter(|_| message.kind > 0x10)
        else {
            Writer::new(&mut altered).message(
                message.kind,
                message.flags,
                message.sequence,
                0,
                |w| {
                    w.raw(message.payload);
                },
            );
            continue;
        };
        let (kind, flags, sequence) = (message.kind, message.flags, message.sequence);
        Writer::new(&mut altered).generic(kind, flags, sequence, 0, command, |writer| {
            for attribute in attributes.map(Result::unwrap) {
                if !matches!(attribute.kind, IPVS_CMD_ATTR_SERVICE | IPVS_CMD_ATTR_DEST)
                    || attribute.payload.len() <= 4
                {
                    writer.attribute(attribute.kind, attribute.payload);
                    continue;
                }
                writer.nest(attribute.kind, |writer| {
                    for inner in attribute.nested().map(Result::unwrap) {
                        change(inner.kind, inner.payload, writer);
                    }
                });
            }
        });
    }
    altered
}

#[test]
fn later_and_earlier_kernels_are_understood() {
    let Some(lab) = lab::enter() else { return };
    let (client, director) = balanced(&lab);
    client.fetch("http://10.0.0.1/");
    director.enter(|| {
        let key = tcp("10.0.0.1:80");
        let mut plain = Client::connect(KernelTransport::open().unwrap()).unwrap();
        wait_until("the counters", LIMIT, || {
            (plain.service(&key).unwrap().stats.out_bytes > 0).then_some(())
        });
        let later = |bytes: &[u8]| {
            rewrite(bytes, |kind, payload, writer| {
                writer.attribute(200, b"from a later version");
                writer.attribute(kind, payload);
                writer.u8(201, 1);
            })
        };
        let earlier = |bytes: &[u8]| {
            rewrite(bytes, |kind, payload, writer| {
                // Both numbers are above those of other attributes of services and destinations.
                let wide = (kind == IPVS_SVC_ATTR_STATS64 && payload.len() > 100)
                    || (kind == IPVS_DEST_ATTR_STATS64 && payload.len() > 100);
                if !wide {
                    writer.attribute(kind, payload);
                }
            })
        };
        for alter in [later, earlier] {
            let inner = KernelTransport::open().unwrap();
            let mut altered = Client::connect(Altered { inner, alter }).unwrap();
            let service = altered.service(&key).unwrap();
            assert_eq!(service.stats.conns, 1);
            assert_eq!(service.service, plain.service(&key).unwrap().service);
            assert!(service.stats.out_bytes > 0);
            let entries = altered.destinations(&key).unwrap();
            assert_eq!(
                entries[0].destination,
                plain.destinations(&key).unwrap()[0].destination
            );
            assert_eq!(entries[0].status.stats.conns, 1);
            assert_eq!(altered.services().unwrap().len(), 1);
        }
    });
}

#[test]
fn rules_are_what_the_dumps_say() {
    let Some(lab) = lab::enter() else { return };
    with_client(&lab.host("director"), |mut client| {
        let gue = TunnelKind::Gue {
            port: 6080,
            checksum: TunnelChecksum::Full,
        };
        let tunnel = |kind| ForwardMethod::Tunnel(kind);
        let (masq, route) = (ForwardMethod::Masq, ForwardMethod::DirectRoute);
        let wide = |address: &str, forward| Destination {
            weight: i32::MAX as u32,
            upper_threshold: 70_000,
            lower_threshold: 5,
            ..Destination::new(address.parse().unwrap(), forward)
        };
        let mark = |family| ServiceKey::Mark {
            mark: std::num::NonZeroU32::MAX,
            family,
        };
        let tables = [
            (tcp("10.0.0.1:80"), vec![]),
            (
                tcp("10.0.0.2:80"),
                vec![
                    wide("10.1.0.1:80", masq),
                    wide("10.1.0.2:81", masq),
                    wide("10.1.0.3:0", route),
                    wide("10.0.0.2:80", masq),
                ],
            ),
            (
                tcp("10.0.0.3:80"),
                vec![wide("10.1.0.1:80", masq), wide("10.1.0.2:80", tunnel(gue))],
            ),
            // One whose servers are not all of its family, and where the last ones are not.
            (
                tcp("10.0.0.4:80"),
                vec![
                    wide("10.1.0.1:80", route),
                    wide("[fd01::1]:80", tunnel(TunnelKind::Ipip)),
                ],
            ),
            (tcp("[fd00::1]:80"), vec![wide("[fd01::1]:80", masq)]),
            (
                ServiceKey::udp("10.0.0.2:80".parse().unwrap()),
                vec![wide("10.1.0.9:53", masq)],
            ),
            (
                mark(AddressFamily::Inet),
                vec![wide("10.1.0.1:0", route), wide("10.1.0.2:0", route)],
            ),
            (mark(AddressFamily::Inet6), vec![wide("[fd01::2]:0", route)]),
        ];
        for (key, destinations) in &tables {
            let service = VirtualService::new(*key, "rr".parse().unwrap());
            client.add_service(&service).unwrap();
            for destination in destinations {
                client.add_destination(key, destination).unwrap();
            }
        }
        let rules = client.rules().unwrap();
        assert_eq!(rules.len(), tables.len());
        for one in rules {
            let key = one.service.key;
            let mut dumped: Vec<_> = client.destinations(&key).unwrap();
            dumped.reverse();
            let dumped: Vec<_> = dumped.iter().map(|entry| entry.destination).collect();
            assert_eq!(one.destinations, dumped, "{key}");
        }
    });
}
