//! What a running director says about its BFD sessions.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// All BFD sessions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BfdStatus {
    /// The sessions in the order of the configuration.
    pub sessions: Vec<BfdSessionStatus>,
    /// Packets that were for no session, by what was wrong with them; only those that occurred.
    pub unclaimed: BTreeMap<String, u64>,
}

/// The state of a session. Source: RFC 5880 section 4.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BfdState {
    /// Taken out of service.
    AdminDown,
    /// The neighbor is not heard, or was just lost.
    Down,
    /// The neighbor is heard, but does not know that yet.
    Init,
    /// Both hear each other.
    Up,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BfdSessionStatus {
    /// Its name.
    pub name: String,
    /// The other system.
    pub neighbor: IpAddr,
    /// Our address, where the configuration fixes it.
    #[serde(default)]
    pub source: Option<IpAddr>,
    /// Whether there may be routers between the two.
    pub multihop: bool,
    /// Its state.
    pub state: BfdState,
    /// Since when.
    pub since_unix_ms: u64,
    /// Why it is in this state, as a phrase.
    pub reason: String,
    /// The same as our packets say it, in the words of RFC 5880.
    pub diagnostic: String,
    /// The state that the neighbor says it is in; `None` while it is not heard.
    #[serde(default)]
    pub remote_state: Option<BfdState>,
    /// Why the neighbor changed its state the last time.
    #[serde(default)]
    pub remote_diagnostic: Option<String>,
    /// Time between our packets as agreed on, in seconds.
    pub transmit_interval_seconds: f64,
    /// How long the neighbor may be silent, in seconds; `None` while it is not heard.
    #[serde(default)]
    pub detection_time_seconds: Option<f64>,
    /// Counters since the session was made.
    pub counters: BfdCounters,
}

/// What a session has counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BfdCounters {
    /// Packets that passed all checks.
    pub received: u64,
    /// Packets that were sent, or tried to be.
    pub sent: u64,
    /// Packets that could not be sent.
    pub send_failures: u64,
    /// Times it came up.
    pub ups: u64,
    /// Times it went down after it was up.
    pub downs: u64,
    /// Packets that were dropped, by reason; only those that occurred.
    pub rejected: BTreeMap<String, u64>,
}
