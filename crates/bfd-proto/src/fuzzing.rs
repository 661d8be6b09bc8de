//! What the fuzz targets call; the property tests call it, too.
//!
//! Each function takes anything at all and panics when a promise of this crate is broken.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU8;
use std::time::Duration;

use crate::config::{Hops, Name, NamedSession, Path, SessionConfig};
use crate::node::{Datagram, Node};
use crate::packet::{LENGTH, Packet, State};
use crate::session::Output;
use crate::time::{Interval, Time};

const OURS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const THEIRS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

/// No packet makes the parser or a node panic; what is understood is written again as it was; each
/// packet is counted once.
pub fn packets(data: &[u8]) {
    if let Ok(packet) = Packet::parse(data) {
        let written = packet.write();
        assert_eq!(Packet::parse(&written), Ok(packet));
        // Its length may be longer than what we write.
        for (place, (ours, theirs)) in written.iter().zip(data).enumerate() {
            assert!(ours == theirs || place == 3, "byte {place} differs");
        }
    }
    let mut node = Node::new(7);
    assert_eq!(node.configure(Time::ZERO, &sessions(0)), Ok(()));
    for (times, source) in [OURS, THEIRS].into_iter().enumerate() {
        node.handle_datagram(Time::ZERO, &datagram(source, data));
        while node.poll_output().is_some() {}
        assert_eq!(counted(&node), 1 + u64::try_from(times).unwrap_or(0));
    }
}

fn counted(node: &Node) -> u64 {
    let sessions = node.sessions().iter().map(|it| {
        let counters = it.statistics();
        counters.received + counters.rejected.total()
    });
    sessions.sum::<u64>() + node.unclaimed().total()
}

const fn datagram(source: IpAddr, payload: &[u8]) -> Datagram<'_> {
    Datagram {
        source,
        destination: OURS,
        hop_limit: Some(255),
        hops: Hops::Single,
        payload,
    }
}

/// Two sessions, of the second of which the number makes more or less.
fn sessions(number: u8) -> Vec<NamedSession> {
    let session = |name: &str, hops, number: u8| {
        let path = Path::try_new(THEIRS, Some(OURS), hops).ok()?;
        let interval = Duration::from_millis(10 + u64::from(number));
        let config = SessionConfig {
            min_tx: Interval::try_from(interval).ok()?,
            min_rx: Interval::try_from(interval * 2).ok()?,
            multiplier: NonZeroU8::new(number % 4 + 1)?,
            passive: number & 0x40 != 0,
            ..SessionConfig::new(path)
        };
        Some(NamedSession {
            name: name.into(),
            config,
        })
    };
    let first = session("first", Hops::Single, 0);
    let second = session("second", Hops::Multi, number).filter(|_| number < 0x80);
    first.into_iter().chain(second).collect()
}

/// One thing that happens to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What.
    pub kind: u8,
    /// How much of it.
    pub amount: u8,
    /// How many milliseconds later than the one before, squared.
    pub later: u8,
}

impl Operation {
    /// One operation for every three bytes.
    pub fn all_of(data: &[u8]) -> Vec<Self> {
        let (chunks, _) = data.as_chunks::<3>();
        let operations = chunks.iter().map(|&[kind, amount, later]| Self {
            kind,
            amount,
            later,
        });
        operations.collect()
    }
}

/// Whatever happens in whatever order: every change of state is told, each step ends, a deadline that
/// is served does not stay, and no session sends faster than three quarters of its interval without a
/// reason.
pub fn operations(operations: &[Operation]) {
    let mut now = Time::ZERO;
    let mut node = Node::new(1);
    let mut states = HashMap::new();
    let mut sent = [0; LENGTH];
    for operation in operations {
        let later = u64::from(operation.later);
        now = now + Duration::from_millis(later * later);
        match operation.kind % 8 {
            0 => assert_eq!(node.configure(now, &sessions(operation.amount)), Ok(())),
            1 => node.stop(now),
            // Their answer to the last packet, more or less.
            kind @ 2..=4 => {
                let mut answer = sent;
                answer[0] = 0x20;
                answer[1] = operation.amount;
                let (mine, yours) = (4..8, 8..12);
                answer.copy_within(mine, yours.start);
                if kind == 3 {
                    answer[yours].fill(0);
                }
                answer[7] |= 1;
                if kind == 4
                    && let Some(byte) = answer.get_mut(usize::from(operation.later) % LENGTH)
                {
                    *byte = operation.amount;
                }
                node.handle_datagram(now, &datagram(THEIRS, &answer));
            }
            5 => node.handle_send_failure("first"),
            _ => {
                if let Some(at) = node.poll_timeout() {
                    now = now.max(at);
                }
                node.handle_timeout(now);
                let next = node.poll_timeout();
                assert!(next.is_none_or(|at| at > now), "a deadline stays");
            }
        }
        drain(&mut node, &mut states, &mut sent);
    }
}

fn drain(node: &mut Node, states: &mut HashMap<Name, State>, sent: &mut [u8; LENGTH]) {
    let mut count = 0;
    while let Some(step) = node.poll_output() {
        match step.output {
            Output::Send(transmit) => *sent = transmit.payload,
            Output::StateChanged(change) => {
                let before = states.insert(step.session, change.to);
                let before = before.filter(|it| *it != State::AdminDown);
                assert_eq!(before.unwrap_or(State::Down), change.from);
            }
        }
        count += 1;
        assert!(count < 100, "outputs without end");
    }
    for session in node.sessions() {
        let known = states.get(session.name()).copied();
        let known = known.filter(|it| *it != State::AdminDown);
        assert_eq!(known.unwrap_or(State::Down), session.state(), "not told");
        if session.state() == State::Up {
            assert!(session.detection_time().is_some(), "up without a neighbor");
        }
    }
}
