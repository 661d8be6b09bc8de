//! The IPVS schedulers, decision for decision as the Linux kernel makes them.
