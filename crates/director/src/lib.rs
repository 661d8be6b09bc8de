//! Puts the crates of lvskit together into a load-balancing director.

pub mod control;
pub mod exit;
pub mod ipc;
pub mod logging;
pub mod pidfile;
pub mod role;
pub mod rundir;
pub mod status;
pub mod supervisor;
