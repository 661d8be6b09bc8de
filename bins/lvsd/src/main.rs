//! The director daemon: reads keepalived.conf, checks servers, balances traffic.
fn main() {}
