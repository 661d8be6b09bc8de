//! x
pub mod config;
pub mod time;
pub mod track;
pub mod types;
pub mod wire;
pub enum State {}
