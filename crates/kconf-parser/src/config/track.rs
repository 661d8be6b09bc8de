//! What is tracked: scripts, files, processes, interfaces, BFD sessions.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{NotifyDeleted, Script, ScriptUser};

/// Name of an interface, 1..=15 bytes.
pub type Interface = String;

/// What an instance or group tracks. Source: keepalived.conf(5) `track_interface` and so on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tracking {
    /// `track_interface`.
    pub interfaces: Vec<Tracked>,
    /// `track_script`: names of [`VrrpScript`]s, all of which exist.
    pub scripts: Vec<Tracked>,
    /// `track_file`: names of [`TrackFile`]s, all of which exist.
    pub files: Vec<Tracked>,
    /// `track_process`: names of [`TrackProcess`]es, all of which exist.
    pub processes: Vec<Tracked>,
    /// `track_bfd`: names of [`BfdInstance`]s, all of which exist.
    pub bfd: Vec<Tracked>,
}

/// Something tracked, and what it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tracked {
    /// Name of the interface, script, file, process or session.
    pub name: String,
    /// What it does. Default: that of what is tracked; for an interface a weight of 0.
    pub weight: Weight,
}

/// How something tracked changes the priority.
///
/// 0: the instance faults while it is bad. Above 0: added while it is good. Below 0: subtracted
/// while it is bad. For a [`TrackFile`], the factor of its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weight {
    /// -253..=253; for files and processes -254..=254.
    pub value: i16,
    /// Whether good and bad are swapped. Default: off. `reverse`.
    pub reverse: bool,
}

/// A command that is run again and again. Source: keepalived.conf(5) `vrrp_script`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VrrpScript {
    /// Name, unique in the file.
    pub name: String,
    /// The command, with its user. `script`, `user`.
    pub script: Script,
    /// Time between the beginnings of two runs. 1 ms..=4294 s, default 1 s. `interval`.
    pub interval: Duration,
    /// A run that takes longer has failed. 1 ms..=4294 s, default [`Self::interval`]. `timeout`.
    pub timeout: Duration,
    /// What it does for those who do not say otherwise. Default 0. `weight`.
    pub weight: Weight,
    /// Successes in a row that make it good. At least 1, default 1. `rise`.
    pub rise: u32,
    /// Failures in a row that make it bad. At least 1, default 1. `fall`.
    pub fall: u32,
    /// Whether it counts as bad before it was run. Default: off. `init_fail`.
    pub init_fail: bool,
}

/// A file whose number changes priorities. Source: keepalived.conf(5) `track_file`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackFile {
    /// Name, unique in the file.
    pub name: String,
    /// The file. `file`.
    pub path: PathBuf,
    /// Factor of its number for those who do not say otherwise. Default 1. `weight`.
    pub weight: Weight,
    /// What is written to it at start. Default: nothing. `init_file`.
    pub init: Option<InitFile>,
}

/// What is written to a [`TrackFile`] at start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitFile {
    /// The number. Default 0.
    pub value: i32,
    /// Whether a file that is there is overwritten. Default: off. `overwrite`.
    pub overwrite: bool,
}

/// A process that must run. Source: keepalived.conf(5) `vrrp_track_process`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackProcess {
    /// Name, unique in the file.
    pub name: String,
    /// Command name, as in `/proc/PID/comm`, or the command. `process`.
    pub process: String,
    /// Parameters. Default: none, whatever they are. `process`.
    pub parameters: Vec<String>,
    /// How parameters are compared. Default: exactly; not at all when there are none.
    /// `param_match`.
    pub parameter_match: ParameterMatch,
    /// What it does for those who do not say otherwise. Default 0. `weight`.
    pub weight: Weight,
    /// Least number of processes. 1..=65535, default 1. `quorum`.
    pub quorum: u32,
    /// Greatest number of processes. 0..=65535, default: none; 0: there must be none.
    /// `quorum_max`.
    pub quorum_max: Option<u32>,
    /// How long the quorum must be held before it counts. Up to 3600 s, default 0. `fork_delay`.
    pub fork_delay: Duration,
    /// How long the quorum must be lost before it counts. Up to 3600 s, default 0.
    /// `terminate_delay`.
    pub terminate_delay: Duration,
    /// Whether [`Self::process`] is compared with the command as it was called, not with the name of
    /// the process. Default: off; on when parameters are compared. `full_command`.
    pub full_command: bool,
}

/// How parameters of a process are compared. Source: keepalived.conf(5) `param_match`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ParameterMatch {
    /// Whatever they are. The default without parameters and without `param_match`.
    #[default]
    Any,
    /// All of them, and no more: none, when `param_match` is written and no parameter is.
    Exact,
    /// The first ones, of which the last need only begin alike. `initial`.
    Initial,
    /// The first ones. `partial`.
    Partial,
}

/// A BFD session. Source: keepalived.conf(5) `bfd_instance`, RFC 5880, RFC 5881.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BfdInstance {
    /// Name, unique in the file, at most 31 bytes.
    pub name: String,
    /// The peer. `neighbor_ip`.
    pub neighbor: IpAddr,
    /// Local address. Default: chosen by the kernel. `source_ip`.
    pub source: Option<IpAddr>,
    /// Shortest time between packets that we can take. From 1 ms, default 10 ms. `min_rx`.
    pub min_rx: Duration,
    /// Time between our packets. From 1 ms, default 10 ms. `min_tx`.
    pub min_tx: Duration,
    /// The same while the session is not up. From 1 s, default 1 s. `idle_tx`.
    pub idle_tx: Duration,
    /// Packets missed before the session is down. 1..=255, default 5. `multiplier`.
    pub multiplier: u8,
    /// Whether the peer must begin. Default: off. `passive`.
    pub passive: bool,
    /// TTL or hop limit of packets. Default: none, which keepalived takes for 255 over IPv4 and 64 over
    /// IPv6. `ttl`, `hoplimit`.
    pub ttl: Option<u8>,
    /// How far the TTL of their packets may be below [`Self::ttl`]; -1 and 255: any. Default 0.
    /// `max_hops`.
    pub max_hops: i16,
    /// Whether port 4784 is used instead of 3784. Default: off. `multihop`.
    pub multihop: bool,
    /// What it does for those who do not say otherwise. Default 0. `weight`.
    pub weight: Weight,
    /// Whether VRRP instances hear of it. Default: on, off with only `checker`.
    pub for_vrrp: bool,
    /// Whether `BFD_CHECK`s hear of it. Default: on, off with only `vrrp`.
    pub for_checker: bool,
}

/// Instances that fault when a static item cannot be restored. Source: keepalived.conf(5)
/// `track_group`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackGroup {
    /// Name, unique in the file.
    pub name: String,
    /// Names of the instances, all of which exist. `group`.
    pub members: Vec<String>,
}

/// Commands that are run when the state changes; each may be absent.
///
/// Source: keepalived.conf(5) `notify_master` and so on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notify {
    /// `notify_master`.
    pub master: Option<Script>,
    /// `notify_backup`.
    pub backup: Option<Script>,
    /// `notify_fault`.
    pub fault: Option<Script>,
    /// `notify_stop`.
    pub stop: Option<Script>,
    /// For every change, with four more arguments: INSTANCE or GROUP, name, state, priority.
    /// `notify`.
    pub any: Option<Script>,
    /// When a reload removes the instance. `notify_deleted`.
    pub deleted: NotifyDeleted,
    /// When a master hears a lower priority. `notify_master_rx_lower_pri`.
    pub rx_lower_priority: Option<Script>,
}

/// Who runs a script that names nobody: kept here so that the two ways to say so are one.
pub(crate) fn with_user(script: &Script, user: Option<&ScriptUser>) -> Script {
    Script {
        argv: script.argv.clone(),
        user: user.or(script.user.as_ref()).cloned(),
    }
}
