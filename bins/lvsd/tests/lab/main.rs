//! `lvsd` on a kernel with IPVS: run by `cargo xtask lab`.

mod director;
mod kernel;
mod realserver;
