//! Puts the crates of lvskit together into a load-balancing director.
//!
//! A director reads a `keepalived.conf`, checks real servers, and keeps an IPVS table as the
//! configuration and the checks wish it: the kernel's, or that of a userspace proxy of its own. This
//! crate is all of it but the command line.
//!
//! It refuses to know what the libraries below know: no syntax of the configuration, no rule of a
//! check or a quorum, no byte of IPVS, no scheduler. It joins them ([`wiring`], [`engine`],
//! [`reconcile`]), gives them processes, sockets and clocks ([`parent`], [`checker`], [`proxy`]), and
//! tells what goes on ([`logging`], [`status`], [`control`]).
//!
//! # Example
//!
//! The deciding part needs no process, socket or clock. Here a server fails in virtual time:
//!
//! ```
//! use std::time::{Instant, SystemTime};
//!
//! use director::engine::{Engine, Output};
//! use director::wiring;
//! use healthcheck::{Failure, Outcome};
//! use kconf_parser::loader::MemoryLoader;
//!
//! let text = "virtual_server 10.0.0.1 80 {\n protocol TCP\n lb_algo rr\n lb_kind NAT\n\
//!     real_server 10.0.1.1 80 {\n TCP_CHECK {\n }\n }\n\
//!     real_server 10.0.1.2 80 {\n }\n }\n";
//! let files = MemoryLoader::default().with("/k.conf", text);
//! let analysis = kconf_parser::analyze("/k.conf".as_ref(), &Default::default(), &files);
//! assert!(!analysis.has_errors());
//!
//! let mut engine = Engine::new(&analysis.config, Vec::new(), Instant::now(), 0);
//! let mut lines = Vec::new();
//! while lines.last().is_none_or(|line: &String| !line.starts_with("Removing ")) {
//!     match engine.poll_output() {
//!         Some(Output::Log(line)) => lines.push(line),
//!         Some(Output::StartProbe { check, probe, .. }) => {
//!             let refused = Outcome::Failure(Failure::Refused);
//!             engine.handle_outcome(Instant::now(), SystemTime::now(), check, probe, refused);
//!         }
//!         Some(_) => {}
//!         // A driver waits for this moment; here it comes at once.
//!         None => engine.handle_timeout(engine.poll_timeout().expect("a check is due")),
//!     }
//! }
//! let service = &engine.services()[0];
//! let pool: Vec<_> = service.machine().pool().collect();
//! assert_eq!(wiring::rules(service.config(), &pool)[0].destinations.len(), 1);
//! ```
//!
//! # Modules
//!
//! | module | what is in it |
//! |---|---|
//! | [`engine`] | all checks and pools of a configuration as one machine; reload and restart |
//! | [`reconcile`] | the wished table against the real one; refusals and new tries |
//! | [`settings`] | timeouts and sync daemons, likewise |
//! | [`record`], [`statefile`] | what is ours in the table, in a file that survives a crash |
//! | [`realserver`] | a host as a real server of LVS-DR or LVS-TUN |
//! | [`namespace`] | the network namespace that all of it runs in |
//! | [`supervisor`] | when a child that died is started again |
//! | [`wiring`] | from the configuration's vocabulary to those of checks and IPVS |
//! | [`config`], [`not_yet`] | reading a configuration, whether a reload may take it, what is not done |
//! | [`parent`], [`checker`], [`proxy`], [`vrrp`] | the processes |
//! | [`child`], [`ipc`], [`message`], [`role`] | how they are started and what they say to each other |
//! | [`dataplane`] | which dataplane, and the thread that talks to its table |
//! | [`notify`], [`script`], [`privileges`] | scripts: who runs them, in which order |
//! | [`pipes`], [`mail`] | named pipes and mails, which the parent has for all processes |
//! | [`status`], [`control`], [`report`] | what a running director tells, and how to ask it |
//! | `datafile` | the files that keepalived writes on signals |
//! | [`logging`], [`check_log`], [`table_log`] | log lines, keepalived's where it has one |
//! | [`daemon`], [`pidfile`], [`rundir`], [`socket`], [`exit`], [`options`] | being a daemon |

pub mod check_log;
pub mod checker;
pub mod child;
pub mod config;
mod console;
pub mod control;
pub mod daemon;
mod datafile;
pub mod dataplane;
pub mod engine;
pub mod exit;
pub mod ipc;
pub mod logging;
pub mod mail;
pub mod message;
pub mod namespace;
pub mod not_yet;
pub mod notify;
pub mod options;
pub mod parent;
pub mod pidfile;
pub mod pipes;
pub mod privileges;
pub mod proxy;
pub mod realserver;
pub mod reconcile;
pub mod record;
pub mod report;
pub mod role;
pub mod rundir;
mod scheduling;
pub mod script;
pub mod settings;
pub mod socket;
pub mod statefile;
pub mod status;
pub mod supervisor;
pub mod table_log;
mod usage;
pub mod vrrp;
pub mod wiring;
