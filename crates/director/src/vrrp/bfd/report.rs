//! From the sessions to what the director says about them.

use std::collections::BTreeMap;
use std::time::SystemTime;

use bfd_proto::{Hops, Node, Rejections, Session, State, Time};

use crate::status::{BfdCounters, BfdSessionStatus, BfdState, BfdStatus, unix_ms};

/// The status of all; `today` is the time of day at `now`.
pub(super) fn status(node: &Node, now: Time, today: SystemTime) -> BfdStatus {
    let sessions = node.sessions().iter();
    BfdStatus {
        sessions: sessions.map(|it| session(it, now, today)).collect(),
        unclaimed: rejected(node.unclaimed()),
    }
}

fn session(from: &Session, now: Time, today: SystemTime) -> BfdSessionStatus {
    let path = &from.config().path;
    let counted = from.statistics();
    let since = today.checked_sub(now.since(from.since())).unwrap_or(today);
    let remote = from.remote();
    BfdSessionStatus {
        name: from.name().to_string(),
        neighbor: path.neighbor(),
        source: path.source(),
        multihop: path.hops() == Hops::Multi,
        state: state(from.state()),
        since_unix_ms: unix_ms(since),
        reason: match from.reason() {
            Some(reason) => reason.to_string(),
            None => "not heard yet".to_owned(),
        },
        diagnostic: from.diagnostic().to_string(),
        remote_state: remote.map(|it| state(it.state)),
        remote_diagnostic: remote.map(|it| it.diagnostic.to_string()),
        transmit_interval_seconds: from.transmit_interval().as_secs_f64(),
        detection_time_seconds: from.detection_time().map(|time| time.as_secs_f64()),
        counters: BfdCounters {
            received: counted.received,
            sent: counted.sent,
            send_failures: counted.send_failures,
            ups: counted.ups,
            downs: counted.downs,
            rejected: rejected(&counted.rejected),
        },
    }
}

const fn state(state: State) -> BfdState {
    match state {
        State::AdminDown => BfdState::AdminDown,
        State::Down => BfdState::Down,
        State::Init => BfdState::Init,
        State::Up => BfdState::Up,
    }
}

fn rejected(from: &Rejections) -> BTreeMap<String, u64> {
    let some = from.iter().filter(|(_, count)| *count > 0);
    some.map(|(reason, count)| (reason.to_string(), count))
        .collect()
}
