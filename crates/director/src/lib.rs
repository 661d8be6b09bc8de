//! Puts the crates of lvskit together into a load-balancing director.

pub mod control;
pub mod rundir;
pub mod status;
