//! The state of a virtual server as a value that outlives its process.

use healthcheck::quorum::Snapshot;
use healthcheck::schedule::Progress;
use healthcheck::{CheckId, ServerId};
use kconf_parser::config::{self, VirtualServerId};
use serde::{Deserialize, Serialize};

/// What is known about a virtual server: kept by the parent, given to a restarted checker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceState {
    /// Which one.
    pub id: VirtualServerId,
    /// Its servers, their verdicts and its quorum.
    pub snapshot: Snapshot,
    /// Its checks and how far each has got.
    pub checks: Vec<CheckState>,
}

/// What is known about a check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckState {
    /// Its number in [`ServiceState::snapshot`].
    pub id: CheckId,
    /// The real server it looks at.
    pub server: ServerId,
    /// What it is: a check with another configuration is another check.
    pub config: config::Check,
    /// How far it has got.
    pub progress: Progress,
    /// When its last probe ended, in milliseconds since 1970.
    #[serde(default)]
    pub last_at_unix_ms: Option<u64>,
}
