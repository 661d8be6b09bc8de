//! Two nodes on a wire that loses, delays and is cut, by seeds; what they drop; what a reload does;
//! and the promises of the fuzz targets.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU8;
use std::time::Duration;

use bfd_proto::fuzzing::{self, Operation};
use bfd_proto::{
    Datagram, Hops, Interval, NamedSession, Node, Output, Packet, Path, Reason, Rejected,
    SessionConfig, State, Time, Transition,
};
use proptest::collection::vec;
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand_pcg::Pcg32;

const EAST: [u8; 4] = [192, 0, 2, 1];
const WEST: [u8; 4] = [192, 0, 2, 2];

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn session(own: [u8; 4], peer: [u8; 4], fast: u64) -> NamedSession {
    let path = Path::try_new(peer.into(), Some(own.into()), Hops::Single).unwrap();
    let interval = Interval::try_from(millis(fast)).unwrap();
    let config = SessionConfig {
        min_tx: interval,
        min_rx: interval,
        ..SessionConfig::new(path)
    };
    NamedSession {
        name: "peer".into(),
        config,
    }
}

/// Two nodes and what is under way between them.
struct Pair {
    now: Time,
    nodes: [Node; 2],
    addresses: [IpAddr; 2],
    /// By arrival and number: for whom, what.
    wire: BTreeMap<(Time, u64), (usize, Vec<u8>)>,
    count: u64,
    /// Of a thousand packets from each.
    lost: [u32; 2],
    delay: (Duration, Duration),
    random: Pcg32,
    changes: [Vec<Transition>; 2],
    /// When each has sent, but for answers to polls.
    sent: [Vec<Time>; 2],
}

impl Pair {
    fn new(seed: u64, fast: u64) -> Self {
        let mut nodes = [Node::new(seed), Node::new(seed + 1_000_000)];
        let [east, west] = &mut nodes;
        let wanted = [session(EAST, WEST, fast)];
        east.configure(Time::ZERO, &wanted).unwrap();
        let wanted = [session(WEST, EAST, fast)];
        west.configure(Time::ZERO, &wanted).unwrap();
        Self {
            now: Time::ZERO,
            nodes,
            addresses: [EAST.into(), WEST.into()],
            wire: BTreeMap::new(),
            count: 0,
            lost: [0; 2],
            delay: (millis(1), millis(2)),
            random: Pcg32::seed_from_u64(seed),
            changes: [Vec::new(), Vec::new()],
            sent: [Vec::new(), Vec::new()],
        }
    }

    fn states(&self) -> [State; 2] {
        [0, 1].map(|side| self.nodes[side].sessions()[0].state())
    }

    fn settle(&mut self) {
        for side in 0..2 {
            while let Some(step) = self.nodes[side].poll_output() {
                match step.output {
                    Output::StateChanged(change) => self.changes[side].push(change),
                    Output::Send(transmit) => {
                        let packet = Packet::parse(&transmit.payload).unwrap();
                        if !packet.is_final {
                            self.sent[side].push(self.now);
                        }
                        if self.random.random_range(0..1000) < self.lost[side] {
                            continue;
                        }
                        let (least, most) = self.delay;
                        let micros = self.random.random_range(0..=(most - least).as_micros());
                        let delay = least + Duration::from_micros(micros as u64);
                        self.count += 1;
                        let key = (self.now + delay, self.count);
                        self.wire.insert(key, (1 - side, transmit.payload.to_vec()));
                    }
                }
            }
        }
    }

    /// Goes to the next thing that happens.
    fn step(&mut self) {
        self.settle();
        let deadlines = self.nodes.iter().filter_map(Node::poll_timeout);
        let arrival = self.wire.keys().next().map(|(at, _)| *at);
        self.now = deadlines.chain(arrival).min().unwrap().max(self.now);
        while let Some(entry) = self.wire.first_entry() {
            if entry.key().0 > self.now {
                break;
            }
            let (side, payload) = entry.remove();
            let datagram = Datagram {
                source: self.addresses[1 - side],
                destination: self.addresses[side],
                hop_limit: Some(255),
                hops: Hops::Single,
                payload: &payload,
            };
            self.nodes[side].handle_datagram(self.now, &datagram);
        }
        for node in &mut self.nodes {
            node.handle_timeout(self.now);
        }
        self.settle();
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.step();
        }
    }

    /// Runs until both are in these states; how long that took.
    fn until(&mut self, states: [State; 2]) -> Duration {
        let start = self.now;
        while self.states() != states {
            self.step();
            assert!(
                self.now.since(start) < millis(60_000),
                "{:?}",
                self.states()
            );
        }
        self.now.since(start)
    }
}

const UP: [State; 2] = [State::Up; 2];
const DOWN: [State; 2] = [State::Down; 2];

#[test]
fn both_come_up_and_stay_up_at_the_speed_that_was_agreed_on() {
    for seed in 0..60 {
        let mut pair = Pair::new(seed, 10);
        // The one that was not heard the first time says it again within a second.
        assert!(pair.until(UP) < millis(1100));
        pair.run(millis(2000));
        let changes = pair.changes.iter().map(Vec::len).max();
        assert!(changes <= Some(2), "{:?}", pair.changes);
        for (side, node) in pair.nodes.iter().enumerate() {
            let session = &node.sessions()[0];
            assert_eq!(session.transmit_interval(), millis(10));
            assert_eq!(session.detection_time(), Some(millis(50)));
            assert!(!session.is_polling());
            let late: Vec<_> = pair.sent[side].iter().rev().take(150).collect();
            let gaps = late.windows(2).map(|two| two[0].since(*two[1]));
            for gap in gaps {
                assert!((millis(10) * 3 / 4..=millis(10)).contains(&gap), "{gap:?}");
            }
        }
    }
}

#[test]
fn a_cut_in_one_direction_is_seen_by_both_and_its_end_too() {
    for seed in 0..60 {
        let mut pair = Pair::new(seed, 10);
        pair.until(UP);
        pair.run(millis(500));
        let deaf = usize::try_from(seed % 2).unwrap();
        pair.lost[1 - deaf] = 1000;
        let cut = pair.now;
        pair.until(DOWN);
        let [own, other] = [deaf, 1 - deaf].map(|side| *pair.changes[side].last().unwrap());
        // Counted from the last packet that came through, which was sent before the cut.
        assert_eq!(own.reason, Reason::Silence(millis(50)));
        let took = own.at.since(cut);
        assert!((millis(40)..=millis(52)).contains(&took), "{took:?}");
        // The other one is told at once.
        assert!(matches!(other.reason, Reason::NeighborDown(why) if why.as_u8() == 1));
        assert!(other.at.since(own.at) <= millis(2));
        // It says that it is down, which the deaf one cannot hear: Down and Init, never Up.
        pair.run(millis(5000));
        assert!(pair.states().iter().all(|state| *state != State::Up));
        pair.lost = [0; 2];
        assert!(pair.until(UP) < millis(1100));
    }
}

#[test]
fn lost_packets_do_no_harm_until_as_many_are_lost_as_are_allowed_for() {
    let mut downs = 0;
    for seed in 0..30 {
        let mut pair = Pair::new(seed, 10);
        pair.lost = [50; 2];
        pair.until(UP);
        let from = pair.changes[0].len();
        pair.run(millis(10_000));
        downs += pair.changes[0].len() - from;
        pair.lost = [700; 2];
        pair.run(millis(3000));
        pair.lost = [0; 2];
        pair.run(millis(1500));
        assert_eq!(pair.states(), UP, "seed {seed}");
    }
    // Five packets in a row of which each is lost once in 20: once in 3 million, and here are 60 000.
    assert!(downs <= 2, "{downs}");
}

#[test]
fn delay_is_no_loss() {
    for seed in 0..50 {
        let mut pair = Pair::new(seed, 10);
        pair.delay = (millis(100), millis(130));
        pair.until(UP);
        pair.run(millis(5000));
        assert_eq!(pair.states(), UP);
        assert!(pair.changes.iter().all(|it| it.len() <= 2));
    }
}

#[test]
fn a_neighbor_that_starts_again_is_another_one() {
    for seed in 0..50 {
        let mut pair = Pair::new(seed, 10);
        pair.until(UP);
        pair.run(millis(200));
        pair.nodes[1] = Node::new(seed + 77);
        let wanted = [session(WEST, EAST, 10)];
        pair.nodes[1].configure(pair.now, &wanted).unwrap();
        pair.step();
        // What still comes for the old one is for nobody.
        pair.until(UP);
        let reasons: Vec<_> = pair.changes[0].iter().map(|it| it.reason).collect();
        assert!(
            matches!(
                reasons[reasons.len() - 3..],
                [Reason::NeighborDown(_), Reason::Heard(_), Reason::Heard(_)]
                    | [_, Reason::NeighborDown(_), Reason::Heard(_)]
                    | [Reason::Silence(_), Reason::Heard(_), Reason::Heard(_)]
            ),
            "{reasons:?}"
        );
    }
}

#[test]
fn who_stops_or_removes_a_session_says_so() {
    for removes in [false, true] {
        let mut pair = Pair::new(3, 10);
        pair.until(UP);
        pair.run(millis(100));
        match removes {
            true => pair.nodes[1].configure(pair.now, &[]).unwrap(),
            false => pair.nodes[1].stop(pair.now),
        }
        let start = pair.now;
        while pair.nodes[0].sessions()[0].state() == State::Up {
            pair.step();
        }
        assert!(pair.now.since(start) <= millis(2));
        let reason = pair.changes[0].last().unwrap().reason;
        assert!(matches!(reason, Reason::NeighborAdminDown(_)), "{reason}");
        assert_eq!(pair.nodes[1].poll_timeout(), None);
    }
}

#[test]
fn a_reload_leaves_alone_what_has_not_changed() {
    let mut pair = Pair::new(5, 10);
    pair.until(UP);
    pair.run(millis(100));
    let before = pair.nodes[0].sessions()[0].discriminator();
    let deadline = pair.nodes[0].poll_timeout();
    let more = NamedSession {
        name: "other".into(),
        ..session(EAST, [192, 0, 2, 3], 10)
    };
    let now = pair.now;
    // Another one before it, so that it has another place.
    let wanted = [more, session(EAST, WEST, 10)];
    pair.nodes[0].configure(now, &wanted).unwrap();
    let own = pair.nodes[0].session("peer").unwrap();
    assert_eq!(own.discriminator(), before);
    assert_eq!(own.poll_timeout(), deadline);
    let wanted = [session(EAST, WEST, 40)];
    pair.nodes[0].configure(now, &wanted).unwrap();
    pair.run(millis(500));
    assert_eq!(pair.states(), UP);
    assert!(pair.changes[0].iter().all(|it| it.at <= now));
    // Both go by the slower of the two.
    for node in &pair.nodes {
        assert_eq!(node.sessions()[0].transmit_interval(), millis(40));
    }
    // What cannot be leaves everything as it is; another path is another session.
    let twice = [session(EAST, WEST, 10), session(EAST, WEST, 10)];
    assert!(pair.nodes[0].configure(pair.now, &twice).is_err());
    assert_eq!(pair.states(), UP);
    let wanted = [session(EAST, [192, 0, 2, 3], 10)];
    pair.nodes[0].configure(pair.now, &wanted).unwrap();
    let own = &pair.nodes[0].sessions()[0];
    assert_eq!(own.state(), State::Down);
    assert_ne!(own.discriminator(), before);
    pair.settle();
    assert_eq!(pair.changes[0].last().unwrap().reason, Reason::Disabled);
}

#[test]
fn every_reason_to_drop_a_packet_has_its_counter() {
    let mut node = Node::new(1);
    let now = Time::ZERO;
    let admin = NamedSession {
        name: "other".into(),
        ..session(EAST, [192, 0, 2, 3], 10)
    };
    node.configure(now, &[session(EAST, WEST, 10), admin])
        .unwrap();
    node.handle_timeout(now);
    let Some(Output::Send(first)) = node.poll_output().map(|step| step.output) else {
        panic!("nothing was sent");
    };
    let ours = &first.payload[4..8];
    let good: Vec<u8> = [
        &first.payload[..4],
        &[0, 0, 0, 9],
        ours,
        &first.payload[12..],
    ]
    .concat();
    let with = |place: usize, value: u8| {
        let mut packet = good.clone();
        packet[place] = value;
        packet
    };
    let unnamed = |state: u8| {
        let mut packet = with(1, state);
        packet[8..12].fill(0);
        packet
    };
    let west = IpAddr::from(WEST);
    let stranger = IpAddr::from([192, 0, 2, 99]);
    let cases = [
        (good[..23].to_vec(), west, 255, Rejected::Truncated),
        (with(0, 0x40), west, 255, Rejected::Version),
        (with(3, 23), west, 255, Rejected::Length),
        (with(3, 25), west, 255, Rejected::Length),
        (with(2, 0), west, 255, Rejected::Multiplier),
        (with(1, 0x41), west, 255, Rejected::Multipoint),
        (with(7, 0), west, 255, Rejected::Discriminator),
        (unnamed(0xc0), west, 255, Rejected::State),
        (unnamed(0x80), west, 255, Rejected::State),
        (
            [with(1, 0x44), vec![1, 2]].concat(),
            west,
            255,
            Rejected::Length,
        ),
        (
            {
                let mut packet = [with(1, 0x44), vec![1, 2]].concat();
                packet[3] = 26;
                packet
            },
            west,
            255,
            Rejected::Authentication,
        ),
        (with(8, !good[8]), west, 255, Rejected::UnknownSession),
        (unnamed(0x40), stranger, 255, Rejected::UnknownNeighbor),
        (good.clone(), stranger, 255, Rejected::OtherNeighbor),
        (good.clone(), west, 254, Rejected::HopLimit),
    ];
    let count = |node: &Node, reason| {
        let all = node.sessions().iter().map(|it| it.statistics().rejected);
        all.chain([*node.unclaimed()])
            .map(|it| it.of(reason))
            .sum::<u64>()
    };
    let mut seen = vec![Rejected::AdminDown];
    for (payload, source, hop_limit, reason) in cases {
        let datagram = Datagram {
            source,
            destination: EAST.into(),
            hop_limit: Some(hop_limit),
            hops: Hops::Single,
            payload: &payload,
        };
        let before: Vec<_> = Rejected::ALL.iter().map(|it| count(&node, *it)).collect();
        node.handle_datagram(now, &datagram);
        let after = Rejected::ALL.iter().map(|it| count(&node, *it));
        let raised: Vec<_> = after
            .zip(before)
            .zip(Rejected::ALL)
            .filter(|((after, before), _)| after != before)
            .map(|(_, reason)| *reason)
            .collect();
        assert_eq!(raised, [reason]);
        assert_eq!(node.sessions()[0].remote(), None, "{reason}");
        seen.push(reason);
    }
    // The wrong port.
    let datagram = Datagram {
        source: west,
        destination: EAST.into(),
        hop_limit: Some(255),
        hops: Hops::Multi,
        payload: &good,
    };
    node.handle_datagram(now, &datagram);
    assert_eq!(count(&node, Rejected::OtherNeighbor), 2);
    let missing: Vec<_> = Rejected::ALL
        .iter()
        .filter(|it| !seen.contains(it))
        .collect();
    assert_eq!(missing, [] as [&Rejected; 0]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_safe(data in vec(any::<u8>(), 0..64)) {
        fuzzing::packets(&data);
    }

    #[test]
    fn bytes_that_begin_well_are_safe(mut data in vec(any::<u8>(), 24..40), diagnostic in 0..32_u8) {
        data[0] = 0x20 | diagnostic;
        data[1] &= 0xfa;
        data[3] = 24;
        fuzzing::packets(&data);
    }

    #[test]
    fn any_operations_keep_the_promises(
        operations in vec((any::<u8>(), any::<u8>(), any::<u8>()), 0..80),
    ) {
        let operations: Vec<Operation> = operations
            .into_iter()
            .map(|(kind, amount, later)| Operation { kind, amount, later })
            .collect();
        fuzzing::operations(&operations);
    }

    #[test]
    fn a_packet_is_read_as_it_was_written(
        bits in any::<(u8, bool, bool, bool, bool)>(),
        numbers in any::<(u32, u32, u32, u32)>(),
        multiplier in 1..=255_u8,
        mine in 1..=u32::MAX,
        known in any::<bool>(),
    ) {
        // A diagnostic and a state can only come from bytes.
        let states: &[State] = match known {
            true => &[State::AdminDown, State::Down, State::Init, State::Up],
            false => &[State::AdminDown, State::Down],
        };
        let yours = bfd_proto::Discriminator::new(numbers.0 | 1);
        let packet = Packet {
            diagnostic: bfd_proto::Diagnostic::PATH_DOWN,
            state: states[usize::from(bits.0) % states.len()],
            poll: bits.1,
            is_final: bits.2,
            independent: bits.3,
            demand: bits.4,
            multiplier: NonZeroU8::new(multiplier).unwrap(),
            my_discriminator: bfd_proto::Discriminator::new(mine).unwrap(),
            your_discriminator: yours.filter(|_| known),
            desired_min_tx_us: numbers.1,
            required_min_rx_us: numbers.2,
            required_min_echo_rx_us: numbers.3,
        };
        prop_assert_eq!(Packet::parse(&packet.write()), Ok(packet));
    }
}
