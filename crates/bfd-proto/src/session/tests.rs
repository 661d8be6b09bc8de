//! Every transition, every timer.

use super::*;
use crate::config::{Hops, Path};

const LOCAL: Discriminator = Discriminator::new(5).unwrap();

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn interval(millis: u64) -> Interval {
    Interval::try_from(Duration::from_millis(millis)).unwrap()
}

/// 50 ms to send, 100 ms to receive, and 3 packets.
fn config() -> SessionConfig {
    let path = Path::try_new([192, 0, 2, 2].into(), None, Hops::Single).unwrap();
    SessionConfig {
        min_tx: interval(50),
        min_rx: interval(100),
        multiplier: NonZeroU8::new(3).unwrap(),
        ..SessionConfig::new(path)
    }
}

/// A packet of a neighbor that sends every 200 ms, receives every 20 ms, and allows for 4.
fn says(state: State) -> Packet {
    Packet {
        diagnostic: Diagnostic::NONE,
        state,
        poll: false,
        is_final: false,
        independent: false,
        demand: false,
        multiplier: NonZeroU8::new(4).unwrap(),
        my_discriminator: Discriminator::new(9).unwrap(),
        your_discriminator: Some(LOCAL),
        desired_min_tx_us: 200_000,
        required_min_rx_us: 20_000,
        required_min_echo_rx_us: 0,
    }
}

/// A session and its clock.
struct Bench {
    session: Session,
    now: Time,
}

impl Bench {
    fn new(config: SessionConfig) -> Self {
        let now = Time::from_millis(10_000);
        let session = Session::new("peer".into(), config, LOCAL, 1, now);
        Self { session, now }
    }

    /// In this state, with nothing left to do.
    fn in_state(config: SessionConfig, state: State) -> Self {
        let mut bench = Self::new(config);
        bench.timeout();
        match state {
            State::AdminDown => bench.session.disable(bench.now),
            State::Down => {}
            State::Init => bench.hear(says(State::Down)),
            State::Up => {
                bench.hear(says(State::Init));
                bench.hear(Packet {
                    is_final: true,
                    ..says(State::Up)
                });
            }
        }
        bench.sent();
        assert_eq!(bench.session.state(), state);
        bench
    }

    fn hear(&mut self, packet: Packet) {
        self.session.handle_packet(self.now, Some(255), &packet);
    }

    fn timeout(&mut self) {
        self.session.handle_timeout(self.now);
    }

    /// Goes to the next deadline and serves it.
    fn next(&mut self) -> Time {
        self.now = self.session.poll_timeout().unwrap();
        self.timeout();
        self.now
    }

    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.session.poll_output()).collect()
    }

    fn sent(&mut self) -> Vec<Packet> {
        let outputs = self.outputs().into_iter();
        let sent = outputs.filter_map(|output| match output {
            Output::Send(transmit) => Some(Packet::parse(&transmit.payload).unwrap()),
            Output::StateChanged(_) => None,
        });
        sent.collect()
    }
}

#[test]
fn every_state_has_its_answer_to_everything() {
    use State::{AdminDown, Down, Init, Up};
    // The states after: Down, Init, Up, AdminDown heard; silence; taken out of service.
    for (before, after) in [
        (Down, [Init, Up, Down, Down, Down, AdminDown]),
        (Init, [Init, Up, Up, Down, Down, AdminDown]),
        (Up, [Down, Up, Up, Down, Down, AdminDown]),
        (AdminDown, [AdminDown; 6]),
    ] {
        for (event, expected) in after.into_iter().enumerate() {
            let mut bench = Bench::in_state(config(), before);
            let heard = [Down, Init, Up, AdminDown].get(event).copied();
            match (heard, event) {
                (Some(state), _) => bench.hear(says(state)),
                (None, 4) => {
                    // As long as it takes, whatever else is to be done meanwhile.
                    let silent = bench.now + Duration::from_secs(60);
                    bench.now = silent;
                    bench.timeout();
                }
                (None, _) => bench.session.disable(bench.now),
            }
            let place = format!("{before}, event {event}");
            assert_eq!(bench.session.state(), expected, "{place}");
            let outputs = bench.outputs();
            let changes: Vec<_> = outputs
                .iter()
                .filter_map(|output| match output {
                    Output::StateChanged(change) => Some((change.from, change.to)),
                    Output::Send(_) => None,
                })
                .collect();
            let packets = outputs.len() - changes.len();
            if before == expected {
                assert_eq!(changes, [], "{place}");
            } else {
                assert_eq!(changes, [(before, expected)], "{place}");
                // It is told at once, and rightly.
                assert!(packets >= 1, "{place}");
                let diagnostic = match (expected, event) {
                    (AdminDown, _) => Diagnostic::ADMIN_DOWN,
                    (Down, 4) => Diagnostic::TIME_EXPIRED,
                    (Down, _) => Diagnostic::NEIGHBOR_DOWN,
                    _ => Diagnostic::NONE,
                };
                assert_eq!(bench.session.diagnostic(), diagnostic, "{place}");
                let Some(Output::Send(last)) = outputs.last() else {
                    panic!("{place}: {outputs:?}");
                };
                let last = Packet::parse(&last.payload).unwrap();
                assert_eq!((last.state, last.diagnostic), (expected, diagnostic));
            }
        }
    }
}

#[test]
fn intervals_are_negotiated_and_slow_while_not_up() {
    let mut bench = Bench::new(config());
    assert_eq!(bench.session.poll_timeout(), Some(bench.now));
    bench.timeout();
    let [first] = bench.sent()[..] else { panic!() };
    assert_eq!(first.desired_min_tx_us, 1_000_000);
    assert_eq!(first.required_min_rx_us, 100_000);
    assert_eq!(first.your_discriminator, None);
    assert_eq!(bench.session.transmit_interval(), millis(1000));
    assert_eq!(bench.session.detection_time(), None);
    bench.hear(says(State::Init));
    let [up] = bench.sent()[..] else { panic!() };
    assert_eq!((up.state, up.poll), (State::Up, true));
    assert_eq!(up.desired_min_tx_us, 50_000);
    assert_eq!(up.your_discriminator, Discriminator::new(9));
    // Ours is 50 ms and theirs 20 ms; theirs is 200 ms and ours 100 ms.
    assert_eq!(bench.session.transmit_interval(), millis(50));
    assert_eq!(bench.session.detection_time(), Some(millis(4 * 200)));
    let slow = Packet {
        required_min_rx_us: 300_000,
        desired_min_tx_us: 10_000,
        ..says(State::Up)
    };
    bench.hear(slow);
    assert_eq!(bench.session.transmit_interval(), millis(300));
    assert_eq!(bench.session.detection_time(), Some(millis(4 * 100)));
    // Less than a second is a second.
    let hasty = SessionConfig {
        idle_tx: interval(10),
        ..config()
    };
    assert_eq!(Bench::new(hasty).session.transmit_interval(), millis(1000));
    let lazy = SessionConfig {
        idle_tx: interval(3000),
        ..config()
    };
    assert_eq!(Bench::new(lazy).session.transmit_interval(), millis(3000));
}

#[test]
fn silence_lasts_as_long_as_the_detection_time_to_the_nanosecond() {
    let mut bench = Bench::in_state(config(), State::Up);
    let heard = bench.now;
    let mut last = heard;
    while bench.session.state() == State::Up {
        last = bench.next();
    }
    assert_eq!(last, heard + millis(800));
    assert_eq!(bench.session.remote(), None);
    let [.., Output::StateChanged(change), Output::Send(_)] = bench.outputs()[..] else {
        panic!("something else at the end");
    };
    assert_eq!(change.reason, Reason::Silence(millis(800)));
    assert_eq!(change.reason.to_string(), "nothing heard for 800ms");
    assert_eq!(bench.session.statistics().downs, 1);
}

#[test]
fn packets_come_a_quarter_early_at_most_and_never_late() {
    for (multiplier, least, most) in [(3, 37_500_000, 50_000_000), (1, 37_500_000, 45_000_000)] {
        let config = SessionConfig {
            multiplier: NonZeroU8::new(multiplier).unwrap(),
            ..config()
        };
        let mut bench = Bench::in_state(config, State::Up);
        let mut gaps = Vec::new();
        let mut last = None;
        for _ in 0..2000 {
            bench.hear(says(State::Up));
            let now = bench.next();
            assert_eq!(bench.sent().len(), 1);
            let gap = last.map(|last| now.since(last).as_nanos());
            gaps.extend(gap);
            last = Some(now);
        }
        let (first, last) = (gaps.iter().min().unwrap(), gaps.iter().max().unwrap());
        assert!((least..least + 200_000).contains(first), "{first}");
        assert!((most - 200_000..=most).contains(last), "{last}");
    }
}

#[test]
fn changes_while_up_are_polled_for() {
    let mut bench = Bench::in_state(config(), State::Up);
    let changed = SessionConfig {
        min_tx: interval(400),
        min_rx: interval(30),
        ..config()
    };
    bench.session.reconfigure(bench.now, changed);
    let [told] = bench.sent()[..] else { panic!() };
    assert!(told.poll);
    assert_eq!(
        (told.desired_min_tx_us, told.required_min_rx_us),
        (400_000, 30_000)
    );
    // Until it has answered we send as fast as before and expect no more than before.
    let fast = Packet {
        desired_min_tx_us: 20_000,
        ..says(State::Up)
    };
    bench.hear(fast);
    assert_eq!(bench.session.transmit_interval(), millis(50));
    assert_eq!(bench.session.detection_time(), Some(millis(4 * 100)));
    // The next change waits for its turn; every packet polls until then.
    bench.session.reconfigure(bench.now, config());
    bench.next();
    let [again] = bench.sent()[..] else { panic!() };
    assert!(again.poll && again.desired_min_tx_us == 400_000);
    let answer = Packet {
        is_final: true,
        ..fast
    };
    bench.hear(answer);
    // Which makes it faster to send, at once, and slower to receive, at once.
    let [third] = bench.sent()[..] else { panic!() };
    assert!(third.poll && third.desired_min_tx_us == 50_000);
    assert_eq!(bench.session.transmit_interval(), millis(50));
    assert_eq!(bench.session.detection_time(), Some(millis(4 * 100)));
    bench.hear(answer);
    assert!(!bench.session.is_polling());
    bench.next();
    assert!(bench.sent().iter().all(|packet| !packet.poll));
}

#[test]
fn a_poll_is_answered_at_once_and_outside_of_the_rhythm() {
    let mut bench = Bench::in_state(config(), State::Up);
    let deadline = bench.session.transmit_deadline();
    bench.now = bench.now + millis(20);
    bench.hear(Packet {
        poll: true,
        ..says(State::Up)
    });
    let [answer] = bench.sent()[..] else { panic!() };
    assert!(answer.is_final && !answer.poll);
    assert_eq!(bench.session.transmit_deadline(), deadline);
}

#[test]
fn who_is_passive_speaks_only_while_the_neighbor_is_heard() {
    let passive = SessionConfig {
        passive: true,
        ..config()
    };
    let mut bench = Bench::new(passive);
    assert_eq!(bench.session.poll_timeout(), None);
    bench.timeout();
    bench.hear(Packet {
        your_discriminator: None,
        ..says(State::Down)
    });
    assert_eq!(bench.session.state(), State::Init);
    bench.timeout();
    assert_eq!(bench.sent().len(), 1);
    bench.now = bench.now + millis(800);
    bench.timeout();
    assert_eq!(bench.session.state(), State::Down);
    assert_eq!(bench.sent(), []);
    assert_eq!(bench.session.poll_timeout(), None);
}

#[test]
fn a_neighbor_that_wants_no_packets_gets_none_until_it_is_forgotten() {
    let mut bench = Bench::in_state(config(), State::Up);
    bench.hear(Packet {
        required_min_rx_us: 0,
        ..says(State::Up)
    });
    assert_eq!(bench.next(), Time::from_millis(10_800));
    assert_eq!(bench.session.state(), State::Down);
    assert_eq!(bench.sent().len(), 1);
}

#[test]
fn a_neighbor_in_demand_mode_is_left_alone_while_both_are_up() {
    let mut bench = Bench::in_state(config(), State::Up);
    let demanding = Packet {
        demand: true,
        ..says(State::Up)
    };
    bench.hear(demanding);
    assert_eq!(bench.session.transmit_deadline(), None);
    // But for a poll, which needs an answer.
    let slower = SessionConfig {
        min_tx: interval(70),
        ..config()
    };
    bench.session.reconfigure(bench.now, slower);
    assert!(bench.session.transmit_deadline().is_some());
    bench.hear(Packet {
        is_final: true,
        ..demanding
    });
    assert_eq!(bench.session.transmit_deadline(), None);
}

#[test]
fn what_the_neighbor_wants_faster_it_gets_at_once() {
    let mut bench = Bench::in_state(config(), State::Up);
    bench.hear(Packet {
        required_min_rx_us: 700_000,
        ..says(State::Up)
    });
    bench.now = bench.now + millis(300);
    assert!(bench.session.transmit_deadline().unwrap() > bench.now);
    bench.hear(says(State::Up));
    assert!(bench.session.transmit_deadline().unwrap() < bench.now);
}

#[test]
fn packets_from_too_far_away_are_dropped() {
    for (least_hop_limit, hop_limit, passes) in [
        (255, Some(255), true),
        (255, Some(254), false),
        (255, None, false),
        (252, Some(252), true),
        (252, Some(251), false),
        (0, Some(0), true),
        (0, None, true),
    ] {
        let config = SessionConfig {
            least_hop_limit,
            ..config()
        };
        let mut bench = Bench::new(config);
        let now = bench.now;
        bench
            .session
            .handle_packet(now, hop_limit, &says(State::Down));
        let counted = bench.session.statistics();
        let rejected = counted.rejected.of(Rejected::HopLimit);
        assert_eq!(
            (counted.received == 1, rejected),
            (passes, u64::from(!passes))
        );
        assert_eq!(bench.session.remote().is_some(), passes);
    }
}

#[test]
fn time_does_not_go_back() {
    let mut bench = Bench::in_state(config(), State::Up);
    let deadline = bench.session.detection_deadline();
    bench.now = Time::ZERO;
    bench.hear(says(State::Up));
    bench.timeout();
    assert_eq!(bench.session.detection_deadline(), deadline);
    assert_eq!(bench.session.state(), State::Up);
}
