//! What is said to a server and how its answer is judged, without any I/O.

pub mod digest;
pub mod http;
