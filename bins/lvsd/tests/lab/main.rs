//! `lvsd` on a kernel with IPVS: run by `cargo xtask lab`.
//!
//! `nat`, `dr`, `tun` and `mark` are the deployments of docs/deployments.md, with its files:
//! `cargo xtask lab nat --keep` builds one, tries it, and gives a shell in it.

mod deployment;
mod director;
mod dr;
mod ipvlan;
mod kernel;
mod mark;
mod nat;
mod pair;
mod realserver;
mod telling;
mod tun;
