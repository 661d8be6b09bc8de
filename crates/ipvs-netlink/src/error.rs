//! What can go wrong when talking to IPVS.
//!
//! Design: one errno means different things for different commands (`ENOENT`: no such scheduler
//! when a service is added, no such destination when one is deleted), so the pair is kept and
//! [`Refused::reason`] names it.

use std::fmt;
use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::codec::ParseError;
use crate::command::CommandKind;

/// Why a request to IPVS failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IpvsError {
    /// The socket failed.
    #[error("cannot talk to IPVS: {0}")]
    Transport(#[from] io::Error),
    /// The other end closed the connection before it had answered.
    #[error("IPVS closed the connection")]
    Closed,
    /// Nothing came for that long.
    #[error("no answer from IPVS within {limit:?}")]
    TimedOut {
        /// How long was waited.
        limit: Duration,
    },
    /// The other end has no generic netlink family of the name `IPVS`: the module is not loaded.
    #[error("no IPVS here (module ip_vs not loaded)")]
    NoFamily,
    /// The answer is not what it should be.
    #[error("unreadable answer from IPVS: {0}")]
    Malformed(#[from] ParseError),
    /// A line of the connection list is not what it should be.
    #[error("unreadable line in the connection list: {line:?}")]
    MalformedConnection {
        /// The line.
        line: String,
    },
    /// The table changed again and again while it was read.
    #[error("the table changed while it was read")]
    Interrupted,
    /// IPVS said no.
    #[error("{0}")]
    Refused(#[from] Refused),
}

impl IpvsError {
    /// IPVS's refusal, if it is one.
    pub fn refused(&self) -> Option<&Refused> {
        match self {
            Self::Refused(refused) => Some(refused),
            _ => None,
        }
    }
}

/// A refusal of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub struct Refused {
    /// What was asked for.
    pub command: CommandKind,
    /// The kernel's error number, positive.
    pub errno: i32,
    /// What the dataplane says in words (`NLMSGERR_ATTR_MSG`); the kernel's IPVS rarely says
    /// anything.
    pub message: Option<String>,
}

/// What the pair of command and errno means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Add service: it is there already.
    ServiceExists,
    /// The service is not there.
    NoSuchService,
    /// Add or edit service: the scheduler or the persistence engine is not there.
    NoSuchSchedulerOrEngine,
    /// Add destination: it is there already.
    DestinationExists,
    /// Edit or delete destination: it is not there.
    NoSuchDestination,
    /// Add or edit destination: negative weight, or the lower threshold above the upper one.
    OutOfRange,
    /// Add or edit destination: address not unicast, or another family without a tunnel; generally
    /// an attribute that is missing or wrong.
    Invalid,
    /// Start daemon: it runs already.
    DaemonRuns,
    /// Stop daemon: it does not run.
    NoSuchDaemon,
    /// The caller lacks `CAP_NET_ADMIN`.
    NotPermitted,
    /// Anything else: see [`Refused::errno`].
    Other,
}

impl Refused {
    /// What it means.
    pub fn reason(&self) -> Reason {
        use CommandKind as C;
        match (self.command, self.errno) {
            (_, libc::EPERM | libc::EACCES) => Reason::NotPermitted,
            (C::AddService, libc::EEXIST) => Reason::ServiceExists,
            (C::AddDestination, libc::EEXIST) => Reason::DestinationExists,
            (C::StartDaemon, libc::EEXIST) => Reason::DaemonRuns,
            (C::StopDaemon, libc::ESRCH) => Reason::NoSuchDaemon,
            (_, libc::ESRCH) => Reason::NoSuchService,
            (C::AddService | C::EditService, libc::ENOENT) => Reason::NoSuchSchedulerOrEngine,
            (C::EditDestination | C::DeleteDestination, libc::ENOENT) => Reason::NoSuchDestination,
            (C::AddDestination | C::EditDestination, libc::ERANGE) => Reason::OutOfRange,
            (_, libc::EINVAL) => Reason::Invalid,
            _ => Reason::Other,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.command)?;
        if let Some(message) = &self.message {
            return f.write_str(message);
        }
        f.write_str(match self.reason() {
            Reason::ServiceExists => "service already exists",
            Reason::NoSuchService => "no such service",
            Reason::NoSuchSchedulerOrEngine => "scheduler or persistence engine not found",
            Reason::DestinationExists => "destination already exists",
            Reason::NoSuchDestination => "no such destination",
            Reason::OutOfRange => "weight or threshold out of range",
            Reason::Invalid => "invalid value, or address not unicast",
            Reason::DaemonRuns => "daemon already runs",
            Reason::NoSuchDaemon => "no such daemon runs",
            Reason::NotPermitted => "not permitted (CAP_NET_ADMIN is needed)",
            Reason::Other => return io::Error::from_raw_os_error(self.errno).fmt(f),
        })
    }
}
