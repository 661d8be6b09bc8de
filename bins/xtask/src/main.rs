//! What CI and people run: tests, benches, labs.
fn main() {}
