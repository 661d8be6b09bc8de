//! Puts the crates of lvskit together into a load-balancing director.

pub mod check_log;
pub mod checker;
pub mod child;
pub mod config;
pub mod control;
pub mod daemon;
pub mod dataplane;
pub mod engine;
pub mod exit;
pub mod ipc;
pub mod logging;
pub mod message;
pub mod notify;
pub mod options;
pub mod parent;
pub mod pidfile;
pub mod privileges;
pub mod proxy;
pub mod reconcile;
pub mod report;
pub mod role;
pub mod rundir;
pub mod socket;
pub mod status;
pub mod supervisor;
pub mod wiring;
