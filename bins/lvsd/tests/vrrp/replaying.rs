//! Packets that somebody has recorded and sends again, and packets that come more than once.

use std::net::Ipv4Addr;

use director::status::VrrpState::{Backup, Master};
use lvs_testkit::netns::Namespace;
use lvs_testkit::wait_until;
use netif::{Family, Outgoing, Payload, RECEIVE_SIZE, VrrpSocket, VrrpSocketConfig};
use nix::net::if_::if_nametoindex;
use vrrp_proto::config::MULTICAST_V4;

use crate::lan::Lan;
use crate::router::{FAST, Keepalived, LIMIT, Router, Story, instance, together};

const AH: &str = "authentication {\n auth_type AH\n auth_pass s3cret\n }";

/// The first router of a pair.
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

/// A packet with what an authentication header covers.
struct Recorded {
    identification: u16,
    ttl: u8,
    payload: Vec<u8>,
}

/// Hears everything on its segment, and can say it again as if it were the first router.
struct Recorder {
    socket: VrrpSocket,
}

impl Recorder {
    fn on(host: &Namespace, payload: Payload) -> Self {
        let open = || {
            let link = if_nametoindex("eth0").expect("it has one");
            VrrpSocket::open(VrrpSocketConfig {
                family: Family::Inet,
                link: netif::LinkIndex::new(link),
                group: Some(MULTICAST_V4.into()),
                payload,
                receive_buffer: None,
            })
        };
        let socket = host.run(open).expect("a raw socket");
        Self { socket }
    }

    /// The next packets of the first router.
    fn record(&self, count: usize) -> Vec<Recorded> {
        let mut buffer = vec![0; RECEIVE_SIZE];
        let mut recorded = Vec::new();
        wait_until("advertisements", LIMIT, || {
            while let Ok(Some(received)) = self.socket.receive(&mut buffer) {
                if received.source == FIRST {
                    recorded.push(Recorded {
                        identification: u16::from_be_bytes([
                            received.header[4],
                            received.header[5],
                        ]),
                        ttl: received.ttl.unwrap_or(255),
                        payload: received.payload.to_vec(),
                    });
                }
            }
            (recorded.len() >= count).then_some(())
        });
        recorded
    }

    fn replay(&self, packet: &Recorded) {
        let packet = Outgoing {
            source: FIRST.into(),
            destination: MULTICAST_V4.into(),
            ttl: packet.ttl,
            identification: packet.identification,
            payload: &packet.payload,
        };
        self.socket.send(&packet).expect("the segment takes it");
    }
}

fn replayed(router: &Router) -> u64 {
    let counters = router.instance("VI").map(|it| it.counters);
    counters.map_or(0, |it| it.rejected.get("replayed").copied().unwrap_or(0))
}

/// Who is the first router.
enum First {
    Ours(Router),
    Theirs(Keepalived),
}

fn recorded_packets_end_nothing_and_keep_nobody_alive(is_ours: bool) -> Option<()> {
    let lan = Lan::<3>::new()?;
    let recorder = Recorder::on(lan.host(3), Payload::Ah);
    // Also what it says at its end.
    let text = instance(150, AH);
    let start = || {
        Some(match is_ours {
            true => {
                let first = Router::start(lan.host(1), &text);
                first.wait_for(Master);
                First::Ours(first)
            }
            false => {
                let first = Keepalived::start(lan.host(1), &text)?;
                first.wait_for("MASTER");
                First::Theirs(first)
            }
        })
    };
    let first = start()?;
    let second = Router::start(lan.host(2), &instance(100, AH));
    second.wait("the master to be heard", |it| {
        it.instance("VI").is_some_and(|it| it.master.is_some())
    });
    let adverts = recorder.record(2);
    match first {
        First::Ours(first) => drop(first.stop()),
        First::Theirs(first) => drop(first.stop()),
    }
    second.wait_for(Master);
    let farewell = recorder.record(1);
    let first = start()?;
    second.wait_for(Backup);
    // As if it were gone.
    for packet in farewell.iter().chain(&adverts).cycle().take(40) {
        recorder.replay(packet);
    }
    second.wait("all of them to be counted", |it| replayed(it) == 40);
    assert_eq!(second.wait_for(Backup).counters.became_master, 1);
    let line = "advert of 10.0.0.1 ignored: replayed";
    assert_eq!(second.count(line), 1, "{}", second.log());
    // As if it were there.
    match first {
        First::Ours(first) => first.cut_power(),
        First::Theirs(first) => first.cut_power(),
    }
    second.wait("taking over", |it| {
        adverts.iter().for_each(|packet| recorder.replay(packet));
        it.instance("VI").is_some_and(|it| it.state == Master)
    });
    assert!(second.count(line) <= 2, "{}", second.log());
    Some(())
}

#[test]
fn recorded_packets_are_worth_nothing_with_an_authentication_header() {
    let story = |name, is_ours| -> Story<'_> {
        let tell = move || {
            // Skipped where there is no keepalived.
            let _ = recorded_packets_end_nothing_and_keep_nobody_alive(is_ours);
        };
        (name, Box::new(tell))
    };
    together([story("ours", true), story("keepalived's", false)]);
}

#[test]
fn packets_that_come_several_times_change_nothing() {
    let Some(lan) = Lan::<3>::new() else { return };
    let recorder = Recorder::on(lan.host(3), Payload::Vrrp);
    let first = Router::start(lan.host(1), &instance(150, FAST));
    first.wait_for(Master);
    let second = Router::start(lan.host(2), &instance(100, FAST));
    second.wait("the master to be heard", |it| {
        it.instance("VI").is_some_and(|it| it.master.is_some())
    });
    let received = second.wait_for(Backup).counters.received;
    for _ in 0..10 {
        for packet in recorder.record(1) {
            (0..3).for_each(|_| recorder.replay(&packet));
        }
    }
    second.wait("all of them", |it| {
        it.wait_for(Backup).counters.received >= received + 40
    });
    assert_eq!(second.wait_for(Backup).counters.became_master, 0);
    // It hears nothing of what seems to come from itself.
    let counters = first.wait_for(Master).counters;
    assert_eq!((counters.became_master, counters.received), (1, 0));
    // They tell of who is there, and when nobody tells any more, nobody is.
    first.cut_power();
    let reason = second.wait_for(Master).reason;
    assert!(
        reason.starts_with("no advert of 10.0.0.1 for 0.3"),
        "{reason}"
    );
}
