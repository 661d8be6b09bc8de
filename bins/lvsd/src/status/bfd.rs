//! The BFD sessions in the table of `lvsd status`.

use std::time::{Duration, SystemTime};

use comfy_table::{Cell, CellAlignment, Color};
use director::status::{BfdSessionStatus, BfdState, BfdStatus, unix_ms};

use super::{age, table};

/// A line for each session, below a line of headings. Empty without any.
pub(super) fn render(bfd: &BfdStatus, colour: bool, now: SystemTime) -> String {
    if bfd.sessions.is_empty() {
        return String::new();
    }
    let heads = [
        "session", "state", "for", "neighbor", "sends", "detects", "reason",
    ];
    let mut table = table(heads.map(Cell::new), colour);
    for session in &bfd.sessions {
        let (state, paint) = state(session.state);
        let mut state = Cell::new(state);
        if colour {
            state = state.fg(paint);
        }
        let lasting = unix_ms(now).saturating_sub(session.since_unix_ms);
        table.add_row([
            Cell::new(&session.name),
            state,
            Cell::new(age(Duration::from_millis(lasting))),
            Cell::new(session.neighbor),
            Cell::new(millis(Some(session.transmit_interval_seconds)))
                .set_alignment(CellAlignment::Right),
            Cell::new(millis(session.detection_time_seconds)).set_alignment(CellAlignment::Right),
            Cell::new(reason(session)),
        ]);
    }
    format!("\n{}\n", table.trim_fmt())
}

const fn state(state: BfdState) -> (&'static str, Color) {
    match state {
        BfdState::AdminDown => ("ADMINDOWN", Color::DarkGrey),
        BfdState::Down => ("DOWN", Color::Red),
        BfdState::Init => ("INIT", Color::Yellow),
        BfdState::Up => ("UP", Color::Green),
    }
}

/// Why it is in this state, and what drops packets that might be the neighbor's.
fn reason(session: &BfdSessionStatus) -> String {
    let rejected = &session.counters.rejected;
    match rejected.iter().max_by_key(|(_, count)| **count) {
        Some((why, count)) if session.state != BfdState::Up => {
            format!("{} ({count} packets dropped: {why})", session.reason)
        }
        _ => session.reason.clone(),
    }
}

fn millis(seconds: Option<f64>) -> String {
    match seconds {
        Some(seconds) => format!("{} ms", (seconds * 1e6).round() / 1e3),
        None => "-".to_owned(),
    }
}
