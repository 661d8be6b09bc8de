//! Criterion benches of the hot paths; see the `benches` folder.

pub mod configurations;
