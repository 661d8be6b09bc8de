//! A userspace dataplane with the face of IPVS.
