//! A userspace dataplane with the face of IPVS.
//!
//! [`Proxy`] accepts TCP connections and UDP datagrams for virtual services and forwards them to real servers that
//! [`lvs_sched`] chooses, with the rules of Linux's IPVS: weights, thresholds, persistence, counters, states. It
//! needs neither root nor a kernel module. Its only face is the IPVS table of [`ipvs_netlink`], so whatever manages
//! a kernel's table manages this one with the same bytes.
//!
//! It refuses to read configuration, to check servers, to look into what it forwards, and to do what only a kernel
//! can: firewall marks, services on all ports, SCTP, passing on the client's address.
//!
//! # Example
//!
//! ```
//! use std::io::{Read as _, Write as _};
//! use std::net::{TcpListener, TcpStream};
//!
//! use ipvs_netlink::{Client, Destination, ForwardMethod, ServiceKey, VirtualService};
//! use lvs_proxy::{Proxy, ProxyConfig};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = TcpListener::bind("127.0.0.1:0")?;
//! let free = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
//!
//! let proxy = Proxy::start(ProxyConfig::default())?;
//! let mut table = Client::connect(proxy.transport())?;
//! let service = ServiceKey::tcp(free);
//! table.add_service(&VirtualService::new(service, "wlc".parse()?))?;
//! table.add_destination(&service, &Destination::new(server.local_addr()?, ForwardMethod::Masq))?;
//!
//! let mut client = TcpStream::connect(free)?;
//! client.write_all(b"through the proxy")?;
//! let (mut accepted, _) = server.accept()?;
//! let mut seen = [0; 17];
//! accepted.read_exact(&mut seen)?;
//! assert_eq!(&seen, b"through the proxy");
//! # Ok(())
//! # }
//! ```
//!
//! # Choice of an allocator
//!
//! Each connection takes a few blocks that are aligned to cache lines (tokio's task and sockets), at which glibc's
//! allocator is slow. With mimalloc as the program's allocator, as in `examples/proxy.rs` and `lvsd`, short
//! connections cost about a tenth less processor time.
//!
//! # Where it differs from the kernel
//!
//! - A server that refuses a connection, or cannot be reached, is passed over for the next one
//!   ([`ProxyConfig::connect_attempts`]); IPVS lets the client see the refusal. A persistent client moves with it.
//! - When no server is available a client is reset after it was accepted; IPVS answers "port unreachable".
//! - Connections of a removed server go on until they end; IPVS drops their packets. A UDP client is sent to
//!   another server with its next datagram.
//! - An idle established connection is not forgotten after its timeout: TCP's keepalive probes count as its
//!   traffic. A half-closed one is, after FIN_WAIT's or CLOSE_WAIT's timeout without data.
//! - Packets and bytes are counted as pieces of payload, without headers, handshakes and acknowledgements.
//! - The forwarding method of a destination is shown as it was set and acts like masquerading; the server sees the
//!   director's address.
//! - Ended connections that linger as inactive are bounded in number ([`ProxyConfig::lingering_limit`]).
//!
//! # Modules
//!
//! | module | what is in it |
//! |---|---|
//! | `proxy`, `config`, `shared`, `limits` | start and drain, settings, what all threads share |
//! | `control`, `face` | the dataplane behind the table, and its clients |
//! | `worker`, `listener` | threads, listening sockets |
//! | `service`, `persistence` | the one place that picks a destination, templates |
//! | `tcp`, `relay`, `pipe` | a connection, its data, splice(2) |
//! | `udp`, `flow`, `datagram` | UDP flows |
//! | `connections`, `linger`, `state` | the connection table, ended entries, TCP states |
//! | `stats`, `limiter` | counters and rates, rate-limited logging |
//!
//! # Design
//!
//! A connection belongs to the worker that accepted it, from its first byte to its last; workers share the pools of
//! the services and nothing else. The mutex of a pool is taken when a connection is made, established, half
//! closed and forgotten, never for its data. What can be decided without sockets and clocks (states, templates,
//! lingering entries, flows, rates) is in modules that take time as a value.

mod config;
mod connections;
mod control;
mod datagram;
mod face;
mod flow;
mod limiter;
mod limits;
mod linger;
mod listener;
mod persistence;
mod pipe;
mod proxy;
mod relay;
mod service;
mod shared;
mod state;
mod stats;
mod tcp;
mod udp;
mod worker;

pub use config::ProxyConfig;
pub use control::Control;
pub use listener::ListenError;
pub use proxy::{Drained, Proxy};
