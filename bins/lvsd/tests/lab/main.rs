//! `lvsd` on the kernel's IPVS, in the lab.

mod director;
mod table;
