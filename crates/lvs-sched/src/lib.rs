//! The IPVS schedulers, decision for decision as the Linux kernel makes them.
//!
//! A [`Pool`] is one virtual service's list of real servers under one scheduler. A dataplane adds,
//! edits and removes destinations, asks for a server per new flow, and reports what becomes of its
//! connections. Given the same history a pool chooses what Linux 6.1 chooses; the recorded traces
//! in `tests/recorded` are replayed against it to hold it to that.
//!
//! What it refuses to do: it has no sockets, no clock, no threads, no randomness of its own, and
//! keeps no connections. Time and seeds come in as arguments.
//!
//! ```
//! use std::time::Duration;
//! use lvs_sched::{DestinationConfig, Flow, Pool, Protocol, SchedulerKind, Settings};
//!
//! let mut pool = Pool::new("wrr".parse::<SchedulerKind>()?, Settings::default(), Duration::ZERO);
//! let a = pool.add("192.168.0.1".parse()?, 8080, DestinationConfig::with_weight(3))?;
//! let b = pool.add("192.168.0.2".parse()?, 8080, DestinationConfig::with_weight(1))?;
//!
//! let flow = Flow {
//!     src: "203.0.113.9".parse()?,
//!     src_port: 40_000,
//!     dst: "10.0.0.1".parse()?,
//!     dst_port: 80,
//!     protocol: Protocol::Tcp,
//!     now: Duration::from_secs(1),
//! };
//! // A service that was built up step by step serves everybody once, the last added first, before
//! // the weights show.
//! let choices: Vec<_> = (0..6).filter_map(|_| pool.pick(&flow)).collect();
//! assert_eq!(choices, [b, a, a, a, b, a]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Modules
//!
//! * [`destination`]: one real server: address, settings, counts, the id that names it
//! * [`flow`]: what is known of the packet that asks
//! * [`settings`]: scheduler flags and expirations
//! * [`scheduler`]: the trait, and when its methods are called
//! * [`destinations`]: the ordered list, and the removed ones that may return
//! * [`overload`]: the rules of the overloaded mark
//! * [`pool`]: all of these together, for a dataplane
//! * [`registry`]: the schedulers by name
//! * [`hash`]: the kernel's hash functions
//! * [`rr`], [`wrr`], [`lc`], [`wlc`], [`lblc`], [`lblcr`], [`sh`], [`dh`], [`sed`], [`nq`],
//!   [`fo`], [`ovf`], [`mh`], [`twos`]: a scheduler each

pub mod destination;
pub mod destinations;
pub mod flow;
pub mod hash;
mod least;
mod locality;
pub mod overload;
pub mod pool;
pub mod registry;
pub mod scheduler;
pub mod settings;
#[cfg(test)]
mod testing;

pub mod dh;
pub mod fo;
pub mod lblc;
pub mod lblcr;
pub mod lc;
pub mod mh;
pub mod nq;
pub mod ovf;
pub mod rr;
pub mod sed;
pub mod sh;
pub mod twos;
pub mod wlc;
pub mod wrr;

pub use destination::{Destination, DestinationConfig, DestinationId, MAX_WEIGHT};
pub use destinations::Destinations;
pub use flow::{Flow, Protocol};
pub use pool::{Pool, PoolError};
pub use registry::{SchedulerKind, UnknownScheduler};
pub use scheduler::{Change, Scheduler};
pub use settings::{SchedulerFlags, Settings};
