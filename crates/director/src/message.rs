//! What the processes of a director tell each other.
//!
//! # Design
//! One enum per direction and child. The first message to a child is always its start, with all that
//! it needs: children read no file and no flag of their own, so a restarted child and a first one
//! are the same. States travel up as soon as they change and before anything is done about them in
//! the table, so that the parent never knows less than the table shows.

use std::path::PathBuf;
use std::time::Duration;

use kconf_parser::Config;
use serde::{Deserialize, Serialize};
use vrrp_proto::Name;

use crate::engine::ServiceState;
use crate::logging::LogOptions;
use crate::mail::Alert;
use crate::status::{BfdStatus, DataplaneKind, ServiceStatus, VrrpStatus};
use crate::vrrp::dump::Dump;
use crate::vrrp::order::WasMaster;

/// From the parent to the checker.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum ToChecker {
    /// The first message.
    Start(Box<CheckerStart>),
    /// Another configuration is in force, already checked.
    Reload(Box<Config>),
    /// The userspace dataplane's table answers, for the first time or again after a restart.
    TableReady,
    /// Exactly these virtual routers are master now.
    Masters(Vec<Name>),
    /// Send a [`FromChecker::Status`] with this number.
    Status(u64),
    /// Write keepalived's file.
    Dump,
    /// End: announce what `omega` asks for, empty the table if that is wanted, exit 0.
    Stop,
}

/// All that a checker needs to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CheckerStart {
    /// Where to log.
    pub log: LogOptions,
    /// Its pid file.
    pub pid_file: PathBuf,
    /// Which dataplane.
    pub dataplane: DataplaneKind,
    /// Where the userspace dataplane's table answers.
    pub ipvs_socket: PathBuf,
    /// Leave the table as it is when stopping (`--dont-release-ipvs`).
    pub keep_ipvs: bool,
    /// The configuration in force.
    pub config: Config,
    /// Where its predecessor got to; empty at the first start.
    pub states: Vec<ServiceState>,
    /// Whether it is the director's first one.
    pub is_first: bool,
    /// Where it keeps the record of what it has put into the table.
    pub record: PathBuf,
    /// How often it looks at the table; `None` only at reloads.
    pub audit_interval: Option<Duration>,
    /// The virtual routers that are master.
    pub masters: Vec<Name>,
}

/// What is to be told to those outside who asked to be told, by the parent for all processes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Told {
    /// A line for the pipes, as it is written there.
    Line(String),
    /// A mail.
    Mail(Alert),
}

/// From the checker to the parent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum FromChecker {
    /// The configuration of the start or of the last [`ToChecker::Reload`] is in force.
    Configured,
    /// The states of these services are now so. Those not named are as before.
    States(Vec<ServiceState>),
    /// Something has happened to a virtual or real server.
    Told(Told),
    /// The answer to [`ToChecker::Status`].
    Status {
        /// The number of the question.
        number: u64,
        /// Whether the table answers.
        connected: bool,
        /// The virtual servers.
        services: Vec<ServiceStatus>,
    },
}

/// From the parent to the proxy.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum ToProxy {
    /// The first message.
    Start(Box<ProxyStart>),
    /// Take no new connection, let the others end for at most this long, then exit 0.
    Drain(Duration),
}

/// All that a proxy needs to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProxyStart {
    /// Where to log.
    pub log: LogOptions,
    /// Where its table is to answer.
    pub ipvs_socket: PathBuf,
}

/// From the proxy to the parent.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum FromProxy {
    /// The table answers.
    Ready,
}

/// From the parent to the VRRP process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum ToVrrp {
    /// The first message.
    Start(Box<VrrpStart>),
    /// Another configuration is in force, already checked.
    Reload(Box<Config>),
    /// Send a [`FromVrrp::Status`] with this number.
    Status(u64),
    /// Write one of keepalived's files.
    Dump(Dump),
    /// End: resign, give the addresses back, exit 0.
    Stop,
}

/// All that a VRRP process needs to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VrrpStart {
    /// Where to log.
    pub log: LogOptions,
    /// Its pid file.
    pub pid_file: PathBuf,
    /// Leave addresses, routes and rules as they are when stopping (`--dont-release-vrrp`).
    pub keep_vrrp: bool,
    /// Run no BFD session (`--no_bfd`).
    pub no_bfd: bool,
    /// Where to record the machine's inputs (`--record`).
    pub record: Option<PathBuf>,
    /// The configuration in force.
    pub config: Config,
    /// Whether another VRRP process ran before: there is no delay at the start then.
    pub is_restart: bool,
    /// What its predecessor was master of.
    pub resume: Vec<WasMaster>,
}

/// From the VRRP process to the parent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum FromVrrp {
    /// The configuration of the start or of the last [`ToVrrp::Reload`] is in force.
    Configured,
    /// Exactly these instances are master now.
    Masters(Vec<Name>),
    /// Something has happened to an instance or a group.
    Told(Told),
    /// The answer to [`ToVrrp::Status`].
    Status {
        /// The number of the question.
        number: u64,
        /// The instances and groups.
        vrrp: VrrpStatus,
        /// The BFD sessions.
        bfd: BfdStatus,
    },
}
