//! What a running director says about itself: the answer of the control socket, and its JSON shape.
//!
//! # Design
//! Plain values, the same for the socket, `lvsd status --json` and the table on a terminal, so no
//! reader can know more than another. Times are milliseconds since 1970 (`*_unix_ms`), lengths of
//! time are seconds (`*_seconds`); enums are their names in lower case. Fields are only ever added:
//! a reader ignores what it does not know, and every field that may be missing has a default.

mod bfd;
mod vrrp;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

pub use bfd::{BfdCounters, BfdSessionStatus, BfdState, BfdStatus};
pub use vrrp::{
    SecondMaster, VrrpCounters, VrrpGroupStatus, VrrpInstanceStatus, VrrpRouter, VrrpState,
    VrrpStatus,
};

/// The whole state of a director at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The version of lvskit, such as `0.1.0`.
    pub version: String,
    /// The process id of the parent: the one to send signals to.
    pub pid: u32,
    /// The configuration file, as given.
    pub config_file: PathBuf,
    /// When the parent started.
    pub started_unix_ms: u64,
    /// How long the parent has been running, in seconds.
    pub uptime_seconds: f64,
    /// The last reload that was asked for; `None` before the first.
    #[serde(default)]
    pub last_reload: Option<ReloadStatus>,
    /// Where the traffic goes through, and why there.
    pub dataplane: DataplaneStatus,
    /// The child processes.
    pub processes: Vec<ProcessStatus>,
    /// The virtual servers in the order of the configuration.
    pub services: Vec<ServiceStatus>,
    /// The virtual routers; empty without a VRRP process.
    #[serde(default)]
    pub vrrp: VrrpStatus,
    /// The BFD sessions; empty without any.
    #[serde(default)]
    pub bfd: BfdStatus,
    /// The alert mails.
    #[serde(default)]
    pub mail: MailStatus,
}

/// How alert mails fare since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MailStatus {
    /// Mails that wait for the relay, or for it to take them for all of their recipients.
    pub queued: u64,
    /// Mails that the relay has taken; counted again for recipients that it takes later.
    pub sent: u64,
    /// Recipients that were put off, each time.
    pub deferred: u64,
    /// Recipients that were refused for good.
    pub refused: u64,
    /// Tries that ended because the relay could not be spoken to.
    pub failures: u64,
    /// Mails that were given up: too many, too old, or without a relay.
    pub lost: u64,
    /// Why the last such try ended.
    pub last_failure: Option<String>,
}

/// How the last reload ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadStatus {
    /// When it was asked for.
    pub at_unix_ms: u64,
    /// Whether the new configuration is in force. When not, the one before it is.
    pub applied: bool,
    /// What was found in the file, a line each, errors and warnings.
    pub problems: Vec<String>,
}

/// Which of the two dataplanes carries the traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DataplaneKind {
    /// The kernel's IPVS.
    Kernel,
    /// The proxy child.
    Userspace,
}

/// The dataplane in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataplaneStatus {
    /// Which one.
    pub kind: DataplaneKind,
    /// Why this one, in a sentence.
    pub reason: String,
    /// Where the userspace dataplane's IPVS table answers; `None` for the kernel's.
    #[serde(default)]
    pub socket: Option<PathBuf>,
    /// Whether the table answers now.
    pub connected: bool,
}

/// A child process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessStatus {
    /// `checker`, `proxy` or `vrrp`.
    pub name: String,
    /// The process id; `None` while it waits to be started again.
    #[serde(default)]
    pub pid: Option<u32>,
    /// How many times it has been started again after it died.
    pub restarts: u64,
}

/// A virtual server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// As in the log: `[10.0.0.1]:tcp:80`, `[GROUP]`, `FWM 5`.
    pub name: String,
    /// The scheduler, such as `wrr`.
    pub scheduler: String,
    /// Whether it has its quorum.
    pub up: bool,
    /// The weight that must be alive.
    pub quorum: u64,
    /// By how much the weight must pass the quorum to gain it, and fall below it to lose it.
    pub hysteresis: u64,
    /// The weight of the servers that are up.
    pub alive_weight: u64,
    /// The IPVS services it stands for: one, or those of a group.
    pub addresses: Vec<AddressStatus>,
    /// Its real servers in the order of the configuration, then the sorry server.
    pub servers: Vec<ServerStatus>,
}

/// One IPVS service of a virtual server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AddressStatus {
    /// As in the log: `[10.0.0.1]:tcp:80`.
    pub name: String,
    /// Whether the dataplane has it.
    pub state: AddressState,
    /// Its counters.
    #[serde(default)]
    pub counters: Counters,
}

/// Whether the dataplane carries a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "is")]
pub enum AddressState {
    /// The dataplane has not answered yet.
    Pending,
    /// It takes connections.
    Serving,
    /// The dataplane refused it; it is tried again.
    Failed {
        /// The reason and the remedy.
        reason: String,
    },
}

/// What a server is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServerRole {
    /// A `real_server`.
    Real,
    /// The `sorry_server`.
    Sorry,
}

/// A real server, or the sorry server, of a virtual server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerStatus {
    /// As in the log: `[10.0.1.1]:tcp:80`.
    pub name: String,
    /// Its address and port.
    pub address: SocketAddr,
    /// What it is there for.
    pub role: ServerRole,
    /// Whether all its checks say that it lives; always true for a sorry server.
    pub up: bool,
    /// Whether it is in the dataplane's table.
    pub in_table: bool,
    /// The weight in the table, or the one it would have there. 0 takes no new connection.
    pub weight: u32,
    /// The weight of the configuration.
    pub configured_weight: u32,
    /// Its checks in the order of the configuration.
    pub checks: Vec<CheckStatus>,
    /// Its counters over all addresses of the service.
    #[serde(default)]
    pub counters: Counters,
}

/// One check of a real server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckStatus {
    /// The keyword: `TCP_CHECK`, `HTTP_GET`, `SSL_GET`.
    pub kind: String,
    /// Whether it says that the server lives.
    pub up: bool,
    /// What the last try found; `None` before the first.
    #[serde(default)]
    pub last: Option<CheckResult>,
}

/// What a try of a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckResult {
    /// Whether it succeeded.
    pub success: bool,
    /// What was seen, such as `connection refused`.
    pub reason: String,
    /// When it ended.
    pub at_unix_ms: u64,
}

/// What the dataplane counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Connections that are established now.
    pub active_conns: u64,
    /// Connections that are known but not established.
    pub inactive_conns: u64,
    /// Connections since the service or server was added.
    pub conns: u64,
    /// Packets from clients.
    pub in_packets: u64,
    /// Packets to clients.
    pub out_packets: u64,
    /// Bytes from clients.
    pub in_bytes: u64,
    /// Bytes to clients.
    pub out_bytes: u64,
}

impl Counters {
    /// The sum of two.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            active_conns: self.active_conns.saturating_add(other.active_conns),
            inactive_conns: self.inactive_conns.saturating_add(other.inactive_conns),
            conns: self.conns.saturating_add(other.conns),
            in_packets: self.in_packets.saturating_add(other.in_packets),
            out_packets: self.out_packets.saturating_add(other.out_packets),
            in_bytes: self.in_bytes.saturating_add(other.in_bytes),
            out_bytes: self.out_bytes.saturating_add(other.out_bytes),
        }
    }
}

/// Milliseconds since 1970, as all times of a [`Status`] are given; 0 for times before that.
#[must_use]
pub fn unix_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_the_documented_names() {
        let state = serde_json::to_value(AddressState::Failed {
            reason: "address in use".into(),
        });
        assert_eq!(
            state.unwrap(),
            serde_json::json!({"is": "failed", "reason": "address in use"})
        );
        assert_eq!(
            serde_json::to_value(DataplaneKind::Userspace).unwrap(),
            serde_json::json!("userspace")
        );
    }

    #[test]
    fn missing_counters_are_zero_and_unknown_fields_are_ignored() {
        let counters: Counters =
            serde_json::from_str(r#"{"conns": 7, "of_another_version": true}"#).unwrap();
        assert_eq!(counters.conns, 7);
        assert_eq!(counters.active_conns, 0);
    }

    #[test]
    fn times_before_1970_are_zero() {
        assert_eq!(unix_ms(UNIX_EPOCH - Duration::from_secs(1)), 0);
        assert_eq!(unix_ms(UNIX_EPOCH + Duration::from_millis(1500)), 1500);
    }
}
