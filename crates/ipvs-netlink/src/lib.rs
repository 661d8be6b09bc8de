//! The IPVS generic-netlink protocol: both ends of it.
