//! Shows and edits IPVS tables as ipvsadm does.
fn main() {}
