//! Health checks for load balancers: pure schedules and verdicts, thin probes.
//!
//! The crate answers one question: which real servers of a virtual service should get traffic now?
//! It does so in the terms of keepalived.conf (`delay_loop`, `retry`, `alpha`, `quorum`,
//! `inhibit_on_failure`, …) in three layers:
//!
//! 1. A **probe** ([`probe`]) asks one server once and returns an [`Outcome`], within one deadline
//!    for all of it.
//! 2. A **schedule** ([`Schedule`]) decides when to probe, and turns outcomes into a [`Verdict`].
//! 3. A **virtual server** ([`VirtualServer`]) turns the verdicts of all checks of all its real
//!    servers into a wished pool of servers with weights, and tells what has to be announced to
//!    whom.
//!
//! Layers 2 and 3 are plain state machines: no socket, no clock, no task. They can be driven by any
//! runtime, and by tests in virtual time.
//!
//! What it refuses to do: read a configuration file, talk to IPVS, run scripts, send mail. It says
//! what should be done; its caller does it.
//!
//! ```
//! use healthcheck::{
//!     CheckConfig, CheckId, Protocol, ServerConfig, ServerId, Verdict, VirtualServer,
//!     VirtualServerConfig,
//! };
//!
//! let web = ServerId::new("10.0.0.2:80".parse().unwrap(), Protocol::Tcp);
//! let check = CheckConfig { id: CheckId(0), initial: Verdict::Up };
//! let mut service = VirtualServer::new(VirtualServerConfig {
//!     servers: vec![ServerConfig { checks: vec![check], ..ServerConfig::new(web, 3) }],
//!     ..VirtualServerConfig::new("[10.0.0.1]:tcp:80")
//! });
//! while service.poll_output().is_some() {}
//! assert_eq!(service.pool().map(|entry| entry.weight).collect::<Vec<_>>(), [3]);
//!
//! service.handle_verdict(web, CheckId(0), Verdict::Down);
//! let lines: Vec<String> = std::iter::from_fn(|| service.poll_output())
//!     .filter_map(|output| output.line().map(ToString::to_string))
//!     .collect();
//! assert_eq!(lines, [
//!     "Removing service [10.0.0.2]:tcp:80 from VS [10.0.0.1]:tcp:80",
//!     "Lost quorum 1-0=1 > 0 for VS [10.0.0.1]:tcp:80",
//! ]);
//! assert_eq!(service.pool().count(), 0);
//! ```
//!
//! # Modules
//!
//! | module | what is in it |
//! |---|---|
//! | [`schedule`] | one check's life in time |
//! | [`verdict`] | outcomes, failures, verdicts, evidence |
//! | [`check_line`] | keepalived's log lines about a check |
//! | [`quorum`] | one virtual service's pool: quorum, sorry server, weights, notifications |
//! | [`dialogue`] | what is said to a server and how its answer is judged, without I/O |
//! | [`probe`] | TCP, TLS and HTTP probes on tokio (feature `tokio`, on by default) |

pub mod check_line;
pub mod dialogue;
#[cfg(feature = "tokio")]
pub mod probe;
pub mod quorum;
pub mod schedule;
pub mod verdict;

pub use check_line::{CheckKind, check_lines};
pub use dialogue::digest::Md5Digest;
pub use dialogue::http::{Expectation, HttpVersion, StatusSet};
pub use quorum::{
    CheckConfig, CheckId, PoolEntry, Protocol, ServerConfig, ServerId, SorryConfig, VirtualServer,
    VirtualServerConfig,
};
pub use schedule::{Schedule, ScheduleConfig};
pub use verdict::{Cause, Evidence, Failure, Outcome, Stage, Verdict};
