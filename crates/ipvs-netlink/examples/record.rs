//! Asks the kernel's IPVS many things, also wrong ones, and prints the requests with the answers.
//!
//! This is where `tests/recorded/*.txt` come from. It flushes the table: run it in a machine or
//! network namespace of its own, with `ip_vs` and its schedulers loaded.

use std::io;
use std::num::NonZeroU32;
use std::time::Duration;

use ipvs_netlink::codec::{Messages, Writer};
use ipvs_netlink::exchange::{Exchange, Query};
use ipvs_netlink::uapi::*;
use ipvs_netlink::*;
use neli::consts::nl::NlmF;

fn main() -> io::Result<()> {
    let mut recorder = Recorder {
        transport: KernelTransport::open()?,
        family: 0x10,
        sequence: 1,
    };
    recorder.query("find the family", &Query::Family);
    recorder.malformed_family();
    recorder.family = 0x1c;
    recorder.command("empty the table", &Command::Flush);
    recorder.query("info", &Query::Info);
    recorder.queries();
    recorder.services();
    recorder.destinations();
    recorder.incomplete();
    recorder.rest();
    recorder.random(150);
    Ok(())
}

struct Recorder {
    transport: KernelTransport,
    family: u16,
    sequence: u32,
}

fn tcp(port: u16) -> ServiceKey {
    ServiceKey::tcp(([10, 0, 0, 1], port).into())
}

fn name(text: &str) -> Name {
    text.parse().unwrap_or_default()
}

fn server(text: &str) -> Destination {
    let address = text.parse().unwrap_or_else(|_| ([0, 0, 0, 0], 0).into());
    Destination::new(address, ForwardMethod::Masq)
}

fn mark(mark: u32, family: AddressFamily) -> ServiceKey {
    ServiceKey::Mark {
        mark: NonZeroU32::new(mark).unwrap_or(NonZeroU32::MIN),
        family,
    }
}

impl Recorder {
    /// Sends a request and prints what comes until nothing comes any more.
    fn send(&mut self, title: &str, request: &[u8]) {
        println!("# {title}\n> {}", hex(request));
        self.sequence += 1;
        let _ = self.transport.send(request);
        let mut answer = Vec::new();
        while self
            .transport
            .receive(&mut answer, Duration::from_millis(1))
            .is_ok()
        {}
        for message in Messages::new(&answer).flatten() {
            println!("< {}", hex(message.raw));
        }
    }

    fn query(&mut self, title: &str, query: &Query) {
        let mut bytes = Vec::new();
        let _ = Exchange::query(query, self.family, self.sequence, &mut bytes);
        self.send(title, &bytes);
    }

    fn command(&mut self, title: &str, command: &Command) {
        let mut bytes = Vec::new();
        let _ = Exchange::commands([command], self.family, self.sequence, &mut bytes);
        self.send(title, &bytes);
    }

    fn raw(&mut self, title: &str, flags: NlmF, command: u8, fill: impl FnOnce(&mut Writer<'_>)) {
        let mut bytes = Vec::new();
        Writer::new(&mut bytes).generic(self.family, flags, self.sequence, 0, command, fill);
        self.send(title, &bytes);
    }

    fn malformed_family(&mut self) {
        let one = NlmF::REQUEST | NlmF::ACK;
        self.raw("find another family", one, 3, |w| w.text(2, "IPVX"));
        self.raw("find no family", one, 3, |_| {});
    }

    fn queries(&mut self) {
        let one = NlmF::REQUEST | NlmF::ACK;
        let dump = NlmF::REQUEST | NlmF::DUMP;
        for (command, text) in [(0, "zero"), (14, "set info"), (99, "unknown")] {
            self.raw(&format!("command {text}"), one, command, |_| {});
        }
        self.raw("dump of what has none", dump, IPVS_CMD_GET_INFO, |_| {});
        self.raw("destinations without dump", one, IPVS_CMD_GET_DEST, |_| {});
        self.raw("daemons without dump", one, IPVS_CMD_GET_DAEMON, |_| {});
        self.raw("service without key", one, IPVS_CMD_GET_SERVICE, |_| {});
        self.raw("destinations without key", dump, IPVS_CMD_GET_DEST, |_| {});
        self.raw("not a request", NlmF::ACK, IPVS_CMD_GET_INFO, |_| {});
        let family = std::mem::replace(&mut self.family, 77);
        self.raw("unknown family", one, 1, |_| {});
        self.family = 3;
        self.raw("control type", one, 1, |_| {});
        self.family = family;
        self.query("timeouts", &Query::Timeouts);
        self.query("daemons", &Query::Daemons);
        self.query("no services", &Query::Services);
        self.query("no such service", &Query::Service(tcp(80)));
        self.query(
            "destinations of no such service",
            &Query::Destinations(tcp(80)),
        );
    }

    fn services(&mut self) {
        let plain = VirtualService::new(tcp(80), name("wrr"));
        self.command("add a service", &Command::AddService(plain.clone()));
        self.command("add it again", &Command::AddService(plain.clone()));
        self.query("get it", &Query::Service(tcp(80)));
        let unknown = VirtualService::new(tcp(80), name("nosuch"));
        self.command(
            "exists, and no such scheduler",
            &Command::AddService(unknown.clone()),
        );
        self.command(
            "edit to no such scheduler",
            &Command::EditService(unknown.clone()),
        );
        let missing = VirtualService {
            key: tcp(81),
            ..unknown
        };
        self.command("no such scheduler", &Command::AddService(missing.clone()));
        self.command("edit no such service", &Command::EditService(missing));
        self.command(
            "no scheduler",
            &Command::AddService(VirtualService::new(tcp(81), name(""))),
        );
        self.command(
            "scheduler none",
            &Command::AddService(VirtualService::new(tcp(82), name("none"))),
        );
        self.query("get scheduler none", &Query::Service(tcp(82)));
        let persistent = VirtualService {
            persistence_timeout: Some(Duration::from_secs(50)),
            persistence_granularity: Granularity::Mask([255, 255, 0, 255].into()),
            flags: ServiceFlags::SCHED_1 | ServiceFlags::SCHED_3,
            ..plain
        };
        self.command("edit", &Command::EditService(persistent.clone()));
        self.query("get the edited", &Query::Service(tcp(80)));
        let engine = VirtualService {
            persistence_engine: Some(name("nosuch")),
            ..persistent
        };
        self.command("no such engine", &Command::EditService(engine));
        self.query("still the edited", &Query::Service(tcp(80)));
        let v6 = ServiceKey::udp(
            "[2001:db8::1]:53"
                .parse()
                .unwrap_or_else(|_| ([0; 4], 0).into()),
        );
        for prefix in [0, 1, 64, 128, 129] {
            let service = VirtualService {
                persistence_granularity: Granularity::Prefix(prefix),
                ..VirtualService::new(v6, name("sh"))
            };
            self.command(&format!("prefix {prefix}"), &Command::AddService(service));
        }
        self.query("get prefix 1", &Query::Service(v6));
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let service = VirtualService::new(mark(7, family), name("mh"));
            self.command("a mark", &Command::AddService(service));
            self.query("get the mark", &Query::Service(mark(7, family)));
        }
        let big = VirtualService {
            persistence_timeout: Some(Duration::from_secs(40_000_000)),
            ..VirtualService::new(tcp(90), name("rr"))
        };
        self.command("a long time", &Command::AddService(big));
        self.query("get a long time", &Query::Service(tcp(90)));
        self.command("delete it", &Command::DeleteService(tcp(90)));
        self.command("delete it again", &Command::DeleteService(tcp(90)));
    }

    fn destinations(&mut self) {
        let service = tcp(80);
        let add = |destination| Command::AddDestination {
            service,
            destination,
        };
        let edit = |destination| Command::EditDestination {
            service,
            destination,
        };
        let first = Destination {
            weight: 3,
            upper_threshold: 9,
            ..server("10.1.0.1:8080")
        };
        self.command("add a destination", &add(first));
        self.command("add it again", &add(first));
        self.command("add another", &add(server("10.1.0.2:80")));
        self.query("two destinations", &Query::Destinations(service));
        for (low, high, weight) in [(5, 4, 1), (5, 0, 1), (5, 5, 1), (0, 0, i32::MAX as u32)] {
            let destination = Destination {
                lower_threshold: low,
                upper_threshold: high,
                weight,
                ..first
            };
            self.command(&format!("edit {low} {high} {weight}"), &edit(destination));
        }
        self.command(
            "negative weight",
            &edit(Destination {
                weight: 1 << 31,
                ..first
            }),
        );
        self.command(
            "negative weight of none",
            &edit(Destination {
                weight: 1 << 31,
                ..server("10.1.0.9:1")
            }),
        );
        self.command("edit no such destination", &edit(server("10.1.0.9:1")));
        self.query("destinations", &Query::Destinations(service));
        for text in [
            "0.0.0.0:1",
            "0.0.0.1:1",
            "224.0.0.1:1",
            "239.255.255.255:1",
            "240.0.0.1:1",
            "255.255.255.255:1",
            "127.0.0.1:1",
            "127.255.255.255:1",
            "1.2.3.4:0",
            "169.254.1.1:1",
        ] {
            self.command(&format!("add {text}"), &add(server(text)));
        }
        let v6 = ServiceKey::udp(
            "[2001:db8::1]:53"
                .parse()
                .unwrap_or_else(|_| ([0; 4], 0).into()),
        );
        for text in [
            "[::]:1",
            "[::1]:1",
            "[fe80::1]:1",
            "[ff02::1]:1",
            "[2001:db8::5]:0",
            "[::ffff:1.2.3.4]:1",
            "[fc00::1]:1",
            "[fec0::1]:1",
            "[2001:db8::5]:0",
        ] {
            let destination = server(text);
            let command = Command::AddDestination {
                service: v6,
                destination,
            };
            self.command(&format!("add {text}"), &command);
        }
        let kinds = [
            TunnelKind::Ipip,
            TunnelKind::Gue {
                port: 6080,
                checksum: TunnelChecksum::Remote,
            },
            TunnelKind::Gue {
                port: 0,
                checksum: TunnelChecksum::None,
            },
            TunnelKind::Gre {
                checksum: TunnelChecksum::Full,
            },
            TunnelKind::Other {
                kind: 3,
                port: 5,
                flags: 9,
            },
            TunnelKind::Other {
                kind: 9,
                port: 0,
                flags: 0,
            },
        ];
        for (number, kind) in kinds.into_iter().enumerate() {
            let destination = Destination {
                forward: ForwardMethod::Tunnel(kind),
                ..server(&format!("[2001:db8:1::{number}]:80"))
            };
            self.command(&format!("tunnel {kind:?}"), &add(destination));
        }
        self.command(
            "other family without tunnel",
            &add(server("[2001:db8:1::9]:80")),
        );
        for number in 1..8 {
            let destination = Destination {
                forward: ForwardMethod::Other(number),
                ..server(&format!("10.1.1.{number}:80"))
            };
            self.command(&format!("forward {number}"), &add(destination));
        }
        self.query("destinations", &Query::Destinations(service));
        self.query("destinations of IPv6", &Query::Destinations(v6));
        let gone = ServiceKey::tcp(([10, 0, 0, 99], 80).into());
        let destination = server("10.1.0.1:1");
        self.command(
            "add to none",
            &Command::AddDestination {
                service: gone,
                destination,
            },
        );
        self.command(
            "edit of none",
            &Command::EditDestination {
                service: gone,
                destination,
            },
        );
        let key = destination.key();
        self.command(
            "delete of none",
            &Command::DeleteDestination {
                service: gone,
                destination: key,
            },
        );
        self.command(
            "delete no such destination",
            &Command::DeleteDestination {
                service,
                destination: key,
            },
        );
        for text in ["10.1.0.1:8080", "[2001:db8:1::0]:80"] {
            let destination = server(text).key();
            self.command(
                "delete",
                &Command::DeleteDestination {
                    service,
                    destination,
                },
            );
        }
        self.query("destinations", &Query::Destinations(service));
    }

    /// Requests that lack something, or have something strange.
    fn incomplete(&mut self) {
        let one = NlmF::REQUEST | NlmF::ACK;
        let bare = |w: &mut Writer<'_>| {
            w.u16(IPVS_SVC_ATTR_AF, 2);
            w.u16(IPVS_SVC_ATTR_PROTOCOL, 6);
            w.address(IPVS_SVC_ATTR_ADDR, [10, 0, 0, 1].into());
            w.port(IPVS_SVC_ATTR_PORT, 80);
        };
        for command in 1..=16 {
            if [4, 8, 11, 13, 14, 15].contains(&command) {
                continue;
            }
            self.raw(&format!("empty command {command}"), one, command, |_| {});
            self.raw(&format!("key only, command {command}"), one, command, |w| {
                w.nest(IPVS_CMD_ATTR_SERVICE, bare);
            });
            self.raw(
                &format!("empty service, command {command}"),
                one,
                command,
                |w| {
                    w.nest(IPVS_CMD_ATTR_SERVICE, |_| {});
                },
            );
            self.raw(
                &format!("unknown key only, command {command}"),
                one,
                command,
                |w| {
                    w.nest(IPVS_CMD_ATTR_SERVICE, |w| {
                        bare(w);
                        w.port(IPVS_SVC_ATTR_PORT, 8888);
                    });
                },
            );
        }
        // What was in the table is gone: ZERO, FLUSH and DELETE are among the above.
        let service = VirtualService::new(tcp(80), name("rr"));
        self.command("add again", &Command::AddService(service));
        let full = [
            (IPVS_SVC_ATTR_SCHED_NAME, b"rr\0\0".as_slice()),
            (IPVS_SVC_ATTR_FLAGS, &[8, 0, 0, 0, 8, 0, 0, 0]),
            (IPVS_SVC_ATTR_TIMEOUT, &[0; 4]),
            (IPVS_SVC_ATTR_NETMASK, &[255, 255, 255, 0]),
        ];
        for command in [IPVS_CMD_NEW_SERVICE, IPVS_CMD_SET_SERVICE] {
            for missing in 0..=full.len() {
                self.raw(
                    &format!("without {missing}, command {command}"),
                    one,
                    command,
                    |w| {
                        w.nest(IPVS_CMD_ATTR_SERVICE, |w| {
                            bare(w);
                            for (index, (kind, bytes)) in full.iter().enumerate() {
                                if index != missing {
                                    w.attribute(*kind, bytes);
                                }
                            }
                        });
                    },
                );
                self.query("after it", &Query::Service(tcp(80)));
            }
        }
        let mut odd = |title: &str, extra: &dyn Fn(&mut Writer<'_>)| {
            self.raw(title, one, IPVS_CMD_SET_SERVICE, |w| {
                w.nest(IPVS_CMD_ATTR_SERVICE, |w| {
                    bare(w);
                    for (kind, bytes) in full {
                        w.attribute(kind, bytes);
                    }
                    extra(w);
                });
            });
        };
        odd("long scheduler", &|w| {
            w.text(IPVS_SVC_ATTR_SCHED_NAME, "1234567890123456")
        });
        odd("scheduler of 15", &|w| {
            w.text(IPVS_SVC_ATTR_SCHED_NAME, "123456789012345")
        });
        odd("scheduler without end", &|w| {
            w.attribute(IPVS_SVC_ATTR_SCHED_NAME, b"rr")
        });
        odd("scheduler of nothing", &|w| {
            w.attribute(IPVS_SVC_ATTR_SCHED_NAME, b"")
        });
        odd("family 77", &|w| w.u16(IPVS_SVC_ATTR_AF, 77));
        odd("protocol 1", &|w| w.u16(IPVS_SVC_ATTR_PROTOCOL, 1));
        odd("protocol 47", &|w| w.u16(IPVS_SVC_ATTR_PROTOCOL, 47));
        odd("mark 0", &|w| w.u32(IPVS_SVC_ATTR_FWMARK, 0));
        odd("address of 4 bytes", &|w| {
            w.attribute(IPVS_SVC_ATTR_ADDR, &[10, 0, 0, 1])
        });
        odd("address of 20 bytes", &|w| {
            w.attribute(IPVS_SVC_ATTR_ADDR, &[10; 20])
        });
        odd("port of 4 bytes", &|w| w.u32(IPVS_SVC_ATTR_PORT, 0x5000));
        odd("port of 1 byte", &|w| w.u8(IPVS_SVC_ATTR_PORT, 80));
        odd("all flags", &|w| {
            w.attribute(IPVS_SVC_ATTR_FLAGS, &[255; 8])
        });
        odd("an unknown attribute", &|w| w.u32(99, 5));
        odd("empty engine", &|w| w.text(IPVS_SVC_ATTR_PE_NAME, ""));
        self.query("after all that", &Query::Services);
        let destination = [
            (
                IPVS_DEST_ATTR_ADDR,
                [10, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0].as_slice(),
            ),
            (IPVS_DEST_ATTR_PORT, &[0, 80]),
            (IPVS_DEST_ATTR_FWD_METHOD, &[0; 4]),
            (IPVS_DEST_ATTR_WEIGHT, &[1, 0, 0, 0]),
            (IPVS_DEST_ATTR_U_THRESH, &[0; 4]),
            (IPVS_DEST_ATTR_L_THRESH, &[0; 4]),
        ];
        for command in [IPVS_CMD_NEW_DEST, IPVS_CMD_SET_DEST, IPVS_CMD_DEL_DEST] {
            for missing in 0..=destination.len() {
                self.raw(
                    &format!("without {missing}, command {command}"),
                    one,
                    command,
                    |w| {
                        w.nest(IPVS_CMD_ATTR_SERVICE, bare);
                        w.nest(IPVS_CMD_ATTR_DEST, |w| {
                            for (index, (kind, bytes)) in destination.iter().enumerate() {
                                if index != missing {
                                    w.attribute(*kind, bytes);
                                }
                            }
                        });
                    },
                );
            }
        }
        self.query("after all that", &Query::Destinations(tcp(80)));
    }

    fn rest(&mut self) {
        let seconds = |seconds: u64| Some(Duration::from_secs(seconds));
        for (tcp, tcp_fin, udp) in [
            (10, 0, 0),
            (0, 20, 30),
            (0, 0, 0),
            (21_474_836, 1, 1),
            (21_474_837, 5, 5),
            (5, 4_294_967_295, 5),
            (900, 120, 300),
        ] {
            let update = TimeoutsUpdate {
                tcp: seconds(tcp),
                tcp_fin: seconds(tcp_fin),
                udp: seconds(udp),
            };
            self.command(
                &format!("timeouts {tcp} {tcp_fin} {udp}"),
                &Command::SetTimeouts(update),
            );
            self.query("timeouts", &Query::Timeouts);
        }
        self.command("zero all", &Command::Zero(None));
        self.command("zero one", &Command::Zero(Some(tcp(80))));
        self.command("zero none", &Command::Zero(Some(tcp(81))));
    }

    /// Changes that nobody thought of, over few keys, and the table after each ten.
    fn random(&mut self, count: usize) {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = |below: u32| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 33) as u32 % below
        };
        self.command("flush", &Command::Flush);
        for number in 0..count {
            let key = match random(4) {
                0 => mark(1 + random(2), AddressFamily::Inet),
                1 => ServiceKey::udp(([10, 0, 0, 1], 1 + random(2) as u16).into()),
                _ => tcp(1 + random(2) as u16),
            };
            let flags = [
                ServiceFlags::NONE,
                ServiceFlags::ONE_PACKET,
                ServiceFlags::SCHED_2,
            ];
            let service = VirtualService {
                flags: flags[random(3) as usize],
                persistence_timeout: (random(2) == 0).then(|| Duration::from_secs(77)),
                ..VirtualService::new(key, name(["rr", "wlc", "x"][random(3) as usize]))
            };
            let destination = Destination {
                forward: [
                    ForwardMethod::Masq,
                    ForwardMethod::DirectRoute,
                    ForwardMethod::Tunnel(TunnelKind::Ipip),
                ][random(3) as usize],
                weight: random(5),
                upper_threshold: random(4),
                lower_threshold: random(3),
                ..server(&format!("10.1.0.{}:{}", random(3), 80 + random(2)))
            };
            let service_key = key;
            let command = match random(16) {
                0..=3 => Command::AddService(service),
                4 | 5 => Command::EditService(service),
                6 => Command::DeleteService(key),
                7..=11 => Command::AddDestination {
                    service: key,
                    destination,
                },
                12 | 13 => Command::EditDestination {
                    service: key,
                    destination,
                },
                14 => Command::DeleteDestination {
                    service: service_key,
                    destination: destination.key(),
                },
                _ => Command::Zero(Some(key)),
            };
            self.command(&format!("{number}: {command}"), &command);
            self.query("destinations", &Query::Destinations(key));
        }
        self.query("services", &Query::Services);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
