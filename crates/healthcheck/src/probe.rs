//! Probes: ask one server once, on tokio.
//!
//! [`Probe::run`] does one step of a check and returns its [`Outcome`]. It never fails in another
//! way, and never takes longer than the check's timeout.
//!
//! # Design
//!
//! A probe decides as little as it can: what goes out and whether an answer is good is the business
//! of [`dialogue`](crate::dialogue). One deadline covers all of a probe, from the socket to the
//! last byte of the body; keepalived's `connect_timeout` starts anew with each stage, so that a
//! server that drips holds its checker for long. A probe runs in the caller's task and spawns
//! nothing: dropping the future ends all of it, socket included.

use std::future::Future;
use std::io;
use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::verdict::{Cause, Failure, Outcome, Stage};

pub use self::connect::Connect;
pub use self::http::{HttpProbe, Url};
pub use self::tcp::TcpProbe;
pub use self::tls::TlsClient;

mod connect;
mod http;
mod tcp;
mod tls;

/// Any probe of this crate.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Probe {
    /// `TCP_CHECK`.
    Tcp(TcpProbe),
    /// `HTTP_GET`, `SSL_GET`.
    Http(HttpProbe),
}

impl Probe {
    /// How many steps a round has: [`ScheduleConfig::steps`](crate::ScheduleConfig::steps).
    pub fn steps(&self) -> NonZeroU32 {
        match self {
            Self::Tcp(_) => NonZeroU32::MIN,
            Self::Http(probe) => probe.steps(),
        }
    }

    /// Runs one step, counted from 0.
    pub async fn run(&self, step: u32) -> Outcome {
        match self {
            Self::Tcp(probe) => probe.run().await,
            Self::Http(probe) => probe.run(step).await,
        }
    }
}

/// Runs `probe` and measures it.
async fn measure<F>(limit: Duration, probe: impl FnOnce(Deadline) -> F) -> Outcome
where
    F: Future<Output = Result<(), Failure>>,
{
    let start = Instant::now();
    let deadline = Deadline {
        at: start.checked_add(limit),
        limit,
    };
    match probe(deadline).await {
        Ok(()) => Outcome::Success {
            latency: start.elapsed(),
        },
        Err(failure) => Outcome::Failure(failure),
    }
}

/// The one deadline of a probe.
#[derive(Clone, Copy, Debug)]
struct Deadline {
    /// `None` if it is beyond what an `Instant` can hold.
    at: Option<Instant>,
    limit: Duration,
}

impl Deadline {
    /// Waits for `work`, but not longer than to the deadline.
    async fn within<T>(
        self,
        stage: Stage,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let Some(at) = self.at else {
            return work.await;
        };
        match timeout_at(at, work).await {
            Ok(result) => result,
            Err(_) => Err(Failure::TimedOut {
                stage,
                limit: self.limit,
            }),
        }
    }
}

/// What an error of the operating system means for a connection in this stage.
fn io_failure(stage: Stage, error: &io::Error) -> Failure {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::ConnectionRefused => Failure::Refused,
        Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::PermissionDenied => {
            Failure::Unreachable(Cause::of(error))
        }
        Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe => Failure::Reset(stage),
        Kind::AddrNotAvailable | Kind::AddrInUse if stage == Stage::Connecting => {
            Failure::Source(Cause::of(error))
        }
        _ => Failure::Io {
            stage,
            cause: Cause::of(error),
        },
    }
}
