//! Puts the crates of lvskit together into a load-balancing director.
