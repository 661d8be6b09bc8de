//! A running proxy with real sockets on loopback.
//!
//! - `support`: the proxy under test, servers that say who they are, clients.
//! - `data`: bytes, half-close, back-pressure, resets.
//! - `choice`: which server is chosen: order, weights, thresholds, persistence, failover.
//! - `change`: the table changes while connections live.
//! - `table`: counters, states, refusals, the Unix socket.
//! - `udp`: flows, one-packet scheduling, source addresses.
//! - `drain`: draining and the end.

mod change;
mod choice;
mod data;
mod drain;

mod support;
mod table;
mod udp;
