//! What can be wrong with a trace.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::MAX_LINE;

/// A file that is no trace.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is nothing in the file.
    #[error("{}:1: empty, a trace begins with a `trace` line", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A line is not what it should be.
    #[error("{}:{line}: {fault}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// What is wrong with it.
        fault: Fault,
    },
}

/// What is wrong with a line of a trace.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Not JSON, or not an event of the format.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// Longer than [`MAX_LINE`].
    #[error("line longer than {MAX_LINE} bytes")]
    TooLong,
    /// Not UTF-8.
    #[error("not UTF-8")]
    NotText,
    /// The first line is another event.
    #[error("the first line must be a `trace` event")]
    NoHeader,
    /// A `trace` event that is not the first line.
    #[error("a second `trace` event")]
    SecondHeader,
    /// A format from the future.
    #[error("format {0} is not known, only 1 is")]
    Format(u32),
    /// An event without its answer, as in a scenario that has not been recorded.
    #[error("the kernel's answer `{0}` is missing: a scenario that was not recorded?")]
    NoAnswer(&'static str),
    /// A wait that is negative, endless or beyond [`MAX_WAIT`](super::MAX_WAIT).
    #[error("wait of {0} seconds")]
    Wait(f64),
    /// A service is named that does not exist at that time.
    #[error("no service `{0}`")]
    NoService(String),
    /// A service is created that exists.
    #[error("service `{0}` exists")]
    ServiceExists(String),
    /// A service is neither protocol, address and port nor a firewall mark.
    #[error("a service needs `proto`, `addr` and `port`, or `fwmark`")]
    NoServiceKey,
    /// An address family other than 4 or 6.
    #[error("address family {0}, must be 4 or 6")]
    Family(u8),
    /// A scheduler that does not exist.
    #[error(transparent)]
    Scheduler(#[from] lvs_sched::UnknownScheduler),
    /// A service flag that does not exist.
    #[error("unknown flag `{0}`")]
    Flag(String),
    /// A netmask that is none.
    #[error("bad netmask `{0}`")]
    Netmask(String),
    /// A change of the destinations that the kernel would have refused.
    #[error(transparent)]
    Destination(#[from] lvs_sched::PoolError),
    /// An `open` of a firewall-mark service lacks where it goes.
    #[error("an `open` of a firewall-mark service needs `proto`, `dst` and `dport`")]
    NoTarget,
    /// A flow is opened whose number is taken.
    #[error("flow {0} exists")]
    FlowExists(u64),
    /// A packet of a flow that was never opened.
    #[error("no flow {0}")]
    NoFlow(u64),
    /// A packet's flags hold a letter that is no TCP flag.
    #[error("bad TCP flags `{0}`")]
    TcpFlags(String),
    /// Counts of a destination that is not in the service.
    #[error("counts of `{dest}`, which is not in service `{svc}`")]
    NoDestination {
        /// The service.
        svc: String,
        /// The destination.
        dest: SocketAddr,
    },
    /// The value of a kernel variable cannot be understood.
    #[error("bad value of `{0}`")]
    SysctlValue(String),
    /// The waits add up to more than the replay can count.
    #[error("more time passes than a replay can count")]
    TimeOverflow,
}
