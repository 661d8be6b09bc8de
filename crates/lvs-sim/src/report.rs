//! What a replay found.

use std::net::SocketAddr;

use serde::Serialize;

/// The outcome of replaying one trace.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Name of the scenario.
    pub name: String,
    /// The scheduler, or `conn`.
    pub group: String,
    /// Release of the kernel that recorded it.
    pub kernel: String,
    /// How many decisions were made anew and compared with the kernel's.
    pub compared: usize,
    /// How many times the order and the weights of all destinations were compared.
    pub tables: usize,
    /// Decisions that could not be made anew, and why. They count neither way.
    pub skipped: Vec<Skipped>,
    /// The first thing that came out differently; the replay ends there.
    pub difference: Option<Difference>,
}

/// The outcome in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Everything was compared and is equal.
    Equal,
    /// Equal as far as it was compared, but something was [skipped](Report::skipped).
    Incomplete,
    /// There is a [difference](Report::difference).
    Different,
}

impl Report {
    /// The outcome in a word.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        if self.difference.is_some() {
            Outcome::Different
        } else if self.skipped.is_empty() {
            Outcome::Equal
        } else {
            Outcome::Incomplete
        }
    }
}

/// A decision that could not be made anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Its line in the trace.
    pub line: usize,
    /// Why.
    pub reason: String,
}

/// A decision, or a table, that differs from the kernel's.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// The line in the trace.
    pub line: usize,
    /// That line as it stands.
    pub event: String,
    /// The service.
    pub service: String,
    /// Its scheduler.
    pub scheduler: &'static str,
    /// Seconds since the start of the trace.
    pub time: f64,
    /// What differs.
    pub what: Disagreement,
    /// The destinations as they were for this decision, in the kernel's order.
    pub destinations: Vec<DestinationState>,
    /// The lines before, the nearest last.
    pub before: Vec<(usize, String)>,
}

/// The two answers that differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum Disagreement {
    /// Another server was chosen, or none.
    Choice {
        /// The kernel's choice; `None` if it refused the flow.
        kernel: Option<SocketAddr>,
        /// The replay's choice.
        replay: Option<SocketAddr>,
    },
    /// The destination list is another, or in another order.
    Table {
        /// Destinations and weights as the kernel told them.
        kernel: Vec<(SocketAddr, u32)>,
        /// The same as the replay has them.
        replay: Vec<(SocketAddr, u32)>,
    },
}

/// A destination at the time of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct DestinationState {
    /// Address and port as configured.
    pub address: SocketAddr,
    /// Present weight.
    pub weight: u32,
    /// Active connections.
    pub active_conns: u32,
    /// Inactive connections.
    pub inactive_conns: u32,
    /// Upper threshold, 0 for none.
    pub upper_threshold: u32,
    /// Lower threshold, 0 for none.
    pub lower_threshold: u32,
    /// The overloaded mark.
    pub overloaded: bool,
}
