//! Replays load-balancing decisions in virtual time.
//!
//! [`Trace`](trace::Trace) reads a recorded scenario: services, servers, packets, waits, and what a
//! Linux kernel answered to each. [`replay`](replay::replay()) makes every decision anew with
//! [`lvs_sched`] and reports the first one that differs.
//!
//! What it refuses to do: it opens no file but the trace it is given, has no clock (time is what
//! the trace says), and never guesses. A decision that cannot be made from what a trace tells is
//! reported as skipped, not as equal.
//!
//! ```
//! use lvs_sim::{report::Outcome, replay::replay, trace::Trace};
//!
//! let text = r#"{"ev":"trace","format":1,"name":"two-servers"}
//! {"ev":"svc-add","svc":"s","proto":"udp","addr":"10.0.0.1","port":53,"sched":"rr"}
//! {"ev":"dest-add","svc":"s","dest":"192.168.0.1:53","weight":1}
//! {"ev":"dest-add","svc":"s","dest":"192.168.0.2:53","weight":1}
//! {"ev":"open","id":1,"svc":"s","src":"203.0.113.9","sport":4000,"got":"192.168.0.2:53"}
//! {"ev":"open","id":2,"svc":"s","src":"203.0.113.9","sport":4001,"got":"192.168.0.1:53"}
//! "#;
//! let trace = Trace::read("two-servers.jsonl".as_ref(), text.as_bytes())?;
//! let report = replay(&trace)?;
//! assert_eq!(report.outcome(), Outcome::Equal);
//! assert_eq!(report.compared, 2);
//! # Ok::<(), lvs_sim::trace::TraceError>(())
//! ```
//!
//! # Modules
//!
//! * [`trace`]: the format, and reading it
//! * [`mod@replay`]: the replay
//! * [`report`]: what it found

mod connections;
pub mod replay;
pub mod report;
mod service;
mod sysctl;
mod tcp_state;
pub mod trace;
