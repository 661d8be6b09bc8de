//! Criterion benches of the hot paths; see the `benches` folder.
