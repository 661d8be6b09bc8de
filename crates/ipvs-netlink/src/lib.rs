//! The IPVS generic-netlink protocol: both ends of it.
//!
//! Linux's virtual server (IPVS) is read and changed over generic netlink. This crate has the
//! values ([`VirtualService`], [`Destination`], [`Stats`]…), their bytes, a [`Client`] over any
//! [`Transport`], and the answering end: a [`Table`] in memory that judges and answers as the kernel
//! does, behind which a userspace dataplane may sit. [`plan()`] finds the few commands between what
//! is and what shall be.
//!
//! It refuses to load modules, to schedule or move packets, and to guess: an error of the kernel
//! stays an error with its command and number, and "could not tell" is never "not there".
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use ipvs_netlink::{Client, Destination, ForwardMethod, InProcess, ServiceKey, Table, VirtualService};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let table = Arc::new(Mutex::new(Table::new(())));
//! let mut client = Client::connect(InProcess::new(table))?;
//!
//! let key = ServiceKey::tcp("10.0.0.1:80".parse()?);
//! client.add_service(&VirtualService::new(key, "wrr".parse()?))?;
//! let server = Destination::new("10.1.0.1:8080".parse()?, ForwardMethod::Masq);
//! client.add_destination(&key, &server)?;
//! client.edit_destination(&key, &Destination { weight: 5, ..server })?;
//!
//! for entry in client.destinations(&key)? {
//!     assert_eq!(entry.destination.weight, 5);
//!     println!("{}: {} active", entry.destination.key(), entry.status.active_conns);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Modules
//!
//! | module | what is in it |
//! |---|---|
//! | [`uapi`] | the numbers of `linux/ip_vs.h` |
//! | [`codec`] | messages and attributes: reader, writer, bounds |
//! | `service`, `destination`, `stats`, `timeouts`, `info`, `daemon`, `connection` | the values |
//! | `command`, `plan` | changes as values, and the smallest list of them |
//! | [`exchange`] | one conversation without socket and clock |
//! | `conversation`, `calls` | the typed calls, without socket and clock |
//! | `client`, `tokio`, `transport`, [`unix`], [`socket`], `in_process` | typed calls, and what carries them |
//! | `sockopt` | destinations by the kernel's older interface, which is quicker |
//! | `table`, `session` | the answering end |
//! | `error` | what a refusal means |
//!
//! # Design
//!
//! Bytes, conversation and judgement are functions of values; only [`unix`], [`socket`], `sockopt` and
//! `tokio` touch the system. The client for tokio (feature `tokio`, on by default) differs from the blocking
//! one in a loop of a dozen lines. Both ends live in one crate so that each tests the other, and both are held
//! against replies recorded from Linux 6.1.

#[cfg(test)]
mod arbitrary;
mod calls;
mod client;
pub mod codec;
mod command;
mod connection;
mod conversation;
mod daemon;
mod destination;
mod error;
pub mod exchange;
#[doc(hidden)]
pub mod fuzzing;
mod in_process;
mod info;
mod name;
mod plan;
mod service;
mod session;
pub mod socket;
mod sockopt;
mod stats;
mod table;
mod timeouts;
#[cfg(feature = "tokio")]
pub mod tokio;
mod transport;
pub mod uapi;
pub mod unix;

pub use client::Client;
pub use codec::{AddressFamily, ParseError};
pub use command::{Command, CommandKind};
pub use connection::ConnectionEntry;
pub use daemon::{DaemonRole, SyncDaemon};
pub use destination::{
    Destination, DestinationEntry, DestinationKey, DestinationStatus, ForwardMethod,
    TunnelChecksum, TunnelKind,
};
pub use error::{IpvsError, Reason, Refused};
pub use exchange::Failure;
pub use in_process::InProcess;
pub use info::{Info, Version};
pub use name::{Name, NameError};
pub use plan::{ServiceRules, plan};
pub use service::{Granularity, Protocol, ServiceEntry, ServiceFlags, ServiceKey, VirtualService};
pub use session::Session;
pub use socket::KernelTransport;
pub use sockopt::QuickReader;
pub use stats::Stats;
pub use table::{Dataplane, Refusal, Table};
pub use timeouts::{Timeouts, TimeoutsUpdate};
pub use transport::{MESSAGE_CONNECTIONS, Transport};
pub use unix::UnixTransport;
