//! Replays scheduler traces and compares schedulers.
fn main() {}
