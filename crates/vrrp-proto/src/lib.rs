//! VRRP versions 2 and 3 without I/O: packets, the virtual router machine, sync groups.
//!
//! Two or more routers share addresses; one of them, the Master, holds them, and another takes over
//! when it is not heard any more. This crate decides who holds them and when, and says so as values
//! in an order. It opens no socket, reads no clock, starts no task and changes no interface: its
//! caller, the driver, does that. So a partition of an hour is tested in microseconds, and what
//! happened on a live router can be recorded and replayed.
//!
//! What it refuses to do: read a configuration file, run scripts, look at interfaces. The driver
//! tells what it sees as an [`Input`], and does what a [`RouterOutput`] says.
//!
//! # A driver
//!
//! ```
//! use std::time::Duration;
//! use vrrp_proto::config::NamedInstance;
//! use vrrp_proto::{
//!     Family, InstanceConfig, InterfaceState, Output, Router, RouterConfig, RouterOutput, State,
//!     Time, Version, Vrid,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let vrid = Vrid::try_from(51)?;
//! let config = InstanceConfig::new(Version::V3, Family::Ipv4, vrid, "eth0")
//!     .with_address("192.0.2.10".parse()?);
//! let named = NamedInstance { name: "web".into(), config };
//! let config = RouterConfig { instances: vec![named], ..RouterConfig::default() };
//!
//! let mut now = Time::ZERO; // a real driver reads its monotonic clock
//! let mut router = Router::new();
//! router.configure(now, &config)?;
//! let eth0 = InterfaceState::up(["192.0.2.1".parse()?]);
//! router.handle_interface(now, &"eth0".into(), &eth0);
//!
//! let mut log = Vec::new();
//! while router.instance("web").map(|it| it.state()) != Some(State::Master) {
//!     // 1. Do what is asked, in the order in which it is asked.
//!     while let Some(step) = router.poll_output() {
//!         let RouterOutput::Instance { instance, output } = step else { continue };
//!         match output {
//!             Output::SendAdvertisement(packet) => assert_eq!(packet.packet.len(), 32),
//!             Output::InstallAddresses { .. } => {} // rtnetlink: add
//!             Output::RemoveAddresses { .. } => {}  // rtnetlink: delete
//!             Output::Announce { .. } => {}         // packet socket: wire::garp
//!             Output::StateChanged(change) => {
//!                 log.push(format!("{instance}: {} ({})", change.to, change.reason));
//!             }
//!             Output::Event(event) => log.push(format!("{event:?}")),
//!         }
//!     }
//!     // 2. Wait for a packet (`handle_datagram`), a change of an interface
//!     //    (`handle_interface`), or this deadline; read sockets first.
//!     if let Some(deadline) = router.poll_timeout() {
//!         now = deadline;
//!         router.handle_timeout(now);
//!     }
//! }
//! assert_eq!(log, ["web: BACKUP (start)"]);
//! assert_eq!(now, Time::after_epoch(Duration::from_nanos(3_609_375_000)));
//! # Ok(())
//! # }
//! ```
//!
//! `examples/duel.rs` is two such routers on a wire made of memory. A driver of a single virtual
//! router can use an [`Instance`] alone, by the same calls.
//!
//! # Modules
//!
//! | module | what is in it |
//! |---|---|
//! | [`router`] | all virtual routers of a process: who gets a packet, sync groups, reload |
//! | [`instance`] | one virtual router: its states, timers, outputs and reasons |
//! | [`instance::election`] | who wins and after how long, as pure functions |
//! | [`config`] | what they go by |
//! | [`input`] | what can happen, as values to record |
//! | [`track`] | from tracked objects to a priority or a fault |
//! | [`rejected`] | why packets are dropped, and counters |
//! | [`wire`] | bytes: VRRP of both versions, IP authentication header, gratuitous ARP, neighbour advertisement |
//! | [`fuzzing`] | promises as functions: what fuzz targets and property tests call |
//! | [`types`], [`time`] | values with ranges; moments |

pub mod config;
pub mod fuzzing;
pub mod input;
pub mod instance;
mod pacing;
pub mod rejected;
pub mod router;
mod sync_group;
pub mod time;
pub mod track;
pub mod types;
pub mod wire;

pub use config::{ConfigError, InstanceConfig, RouterConfig, VirtualAddress};
pub use input::{Input, InterfaceState, Record, Trouble};
pub use instance::{
    Event, FaultCause, Heard, Instance, Output, Reason, Rival, State, Status, Suspicion,
    Transition, Transmit,
};
pub use rejected::{Rejected, Rejections, Statistics};
pub use router::{Refused, Router, RouterOutput};
pub use time::Time;
pub use track::{TrackReport, TrackStatus, TrackerConfig};
pub use types::{
    AdvertInterval, Family, HardwareAddress, Name, OutOfRange, Priority, Version, Vrid,
};
pub use wire::ip::Datagram;
