//! Bidirectional forwarding detection (BFD) without I/O: packets, sessions, timers.
//!
//! Two systems send each other small packets, every few milliseconds, and know within a few of these
//! intervals that the other one, or the path to it, is gone. This crate decides what to send and when,
//! and whether the neighbor is there. It opens no socket, reads no clock and starts no task: its
//! caller, the driver, does that. So an hour of packets is tested in milliseconds.
//!
//! It does asynchronous mode over one hop (RFC 5880, RFC 5881) and over several (RFC 5883), for IPv4
//! and IPv6, one session for each configured neighbor. It refuses to do authentication, the echo
//! function, and demand mode of its own; a neighbor may be in demand mode.
//!
//! # A driver
//!
//! ```
//! use bfd_proto::{
//!     Datagram, Hops, NamedSession, Node, Output, Path, SessionConfig, State, Time,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (east, west) = ("192.0.2.1".parse()?, "192.0.2.2".parse()?);
//! let mut nodes = [(east, west, Node::new(1)), (west, east, Node::new(2))];
//! let mut now = Time::ZERO; // a real driver reads its monotonic clock
//! for (own, peer, node) in &mut nodes {
//!     let config = SessionConfig::new(Path::try_new(*peer, Some(*own), Hops::Single)?);
//!     node.configure(now, &[NamedSession { name: "peer".into(), config }])?;
//! }
//! let mut log = Vec::new();
//! while nodes.iter().any(|(_, _, it)| it.sessions()[0].state() != State::Up) {
//!     // 1. Serve the next deadline of either, or wait for it on a socket.
//!     let deadlines = nodes.iter().filter_map(|(_, _, node)| node.poll_timeout());
//!     now = deadlines.min().ok_or("nothing to wait for")?;
//!     for sender in 0..2 {
//!         nodes[sender].2.handle_timeout(now);
//!         // 2. Do what is asked. Here the wire is an index.
//!         while let Some(step) = nodes[sender].2.poll_output() {
//!             match step.output {
//!                 Output::Send(transmit) => {
//!                     let source = nodes[sender].0;
//!                     let (destination, _, receiver) = &mut nodes[1 - sender];
//!                     let datagram = Datagram {
//!                         source,
//!                         destination: *destination,
//!                         hop_limit: Some(transmit.hop_limit.get()),
//!                         hops: transmit.path.hops(), // the port it came in on
//!                         payload: &transmit.payload,
//!                     };
//!                     receiver.handle_datagram(now, &datagram);
//!                 }
//!                 Output::StateChanged(change) => {
//!                     log.push(format!("{sender}: {} ({})", change.to, change.reason));
//!                 }
//!             }
//!         }
//!     }
//! }
//! let expected = ["1: Init (neighbor is Down)", "0: Up (neighbor is Init)", "1: Up (neighbor is Up)"];
//! assert_eq!(log, expected);
//! # Ok(())
//! # }
//! ```
//!
//! # Modules
//!
//! | module | what is in it |
//! |---|---|
//! | [`node`] | all sessions of a system: who gets a packet, reload |
//! | [`session`] | one session: its states, timers, outputs and reasons |
//! | [`config`] | what they go by |
//! | [`packet`] | bytes |
//! | [`rejected`] | why packets are dropped, and counters |
//! | [`fuzzing`] | promises as functions: what fuzz targets and property tests call |
//! | [`time`] | moments and intervals |

pub mod config;
pub mod fuzzing;
pub mod node;
pub mod packet;
pub mod rejected;
pub mod session;
pub mod time;

pub use config::{ConfigError, Hops, Name, NamedSession, Path, SessionConfig};
pub use node::{Datagram, Node, NodeOutput};
pub use packet::{Diagnostic, Discriminator, Packet, ParseError, State};
pub use rejected::{Rejected, Rejections, Statistics};
pub use session::{Output, Reason, Remote, Session, Transition, Transmit};
pub use time::{BadInterval, Interval, Time};
