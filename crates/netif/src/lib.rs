//! Linux interfaces for virtual routers and real servers: links, addresses, routes, rules, virtual
//! MACs, packet filter, raw sockets.
//!
//! [`Rtnetlink`] reads and changes what the kernel has, by calls that say what went wrong, where,
//! and with which errno; its `ensure` calls make something be so and tell what they had to do.
//! [`Monitor`] tells what changes. [`VrrpSocket`] and [`FrameSocket`] send and receive for an event
//! loop that keeps its own time. [`sysctl`] changes settings and takes exactly these changes back,
//! [`vmac`] makes interfaces with virtual MACs, [`firewall`] drops what is sent to addresses that
//! are not ours.
//!
//! It refuses to decide, to wait, to run programs, and to know what VRRP says: the bytes are the
//! caller's. Everything belongs to the network namespace of the thread that opened it.
//!
//! # Example
//!
//! Taking a virtual address and telling the neighbours, as a router that becomes master does:
//!
//! ```no_run
//! use netif::{Address, Ensured, Family, FrameSocket, Outgoing, Rtnetlink, VrrpSocket};
//! use netif::{VRRP_GROUP_V4, VrrpSocketConfig, source_address};
//!
//! # fn advert() -> Vec<u8> { Vec::new() }
//! # fn gratuitous_arp() -> Vec<u8> { Vec::new() }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut rtnetlink = Rtnetlink::open()?;
//! let eth0 = rtnetlink.expect_link("eth0")?;
//! let entries = rtnetlink.addresses()?;
//! let source = source_address(&entries, eth0.index, Family::Inet, &[]).ok_or("no address")?;
//!
//! let socket = VrrpSocket::open(VrrpSocketConfig::multicast(Family::Inet, eth0.index))?;
//! socket.send(&Outgoing {
//!     source,
//!     destination: VRRP_GROUP_V4.into(),
//!     ttl: 255,
//!     identification: 0,
//!     payload: &advert(),
//! })?;
//!
//! let virtual_address = Address::new("192.0.2.1/24".parse()?);
//! if rtnetlink.ensure_address(eth0.index, &virtual_address)? != Ensured::Already {
//!     FrameSocket::open()?.send(eth0.index, &gratuitous_arp())?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Modules
//!
//! | module | what is in it |
//! |---|---|
//! | `link`, `address`, `route`, `route_metrics`, `rule`, `scope`, `name`, `family` | the values, and their messages |
//! | `rtnetlink`, `routing`, `tunnel`, [`vmac`] | typed calls |
//! | `snapshot`, `monitor` | what is there, and what changes |
//! | `vrrp_socket`, `announce`, `source` | protocol 112, Ethernet frames, the address to send from |
//! | [`sysctl`] | settings of interfaces |
//! | [`firewall`] | nftables tables |
//! | `codec`, `netlink`, `error` | messages and attributes, one conversation, what a refusal means |
//!
//! # Design
//!
//! Numbers and sockets are neli's, the walk over messages is our own and never panics on what comes
//! from the kernel. Values are read and written by functions of bytes; only `netlink`, `monitor`
//! and the sockets touch the system. Tested against the kernel in network namespaces, with
//! keepalived as the other end.

mod address;
mod announce;
mod codec;
mod error;
mod family;
pub mod firewall;
#[doc(hidden)]
pub mod fuzzing;
pub mod ipvlan;
mod link;
mod monitor;
mod name;
mod netlink;
mod route;
mod route_metrics;
mod routing;
mod rtnetlink;
mod rule;
mod scope;
mod snapshot;
mod source;
pub mod sysctl;
mod tunnel;
pub mod vmac;
mod vrrp_socket;

pub use address::{Address, AddressEntry, AddressOptions, AddressState, Lifetime};
pub use announce::FrameSocket;
pub use codec::ParseError;
pub use error::{NetifError, Refused};
pub use family::Family;
pub use link::{IpvlanReach, Link, LinkChange, LinkFlags, MacvlanMode, NewLink};
pub use monitor::{Monitor, Watch};
pub use name::{LinkIndex, LinkName, LinkNameError, MacAddress, MacAddressError};
pub use route::{
    NextHop, PROTOCOL_BOOT, PROTOCOL_KEEPALIVED, Placement, Route, RouteFilter, RouteKind,
    RouterPreference, TABLE_LOCAL, TABLE_MAIN, default_net,
};
pub use route_metrics::{RouteMetric, RouteMetrics};
pub use rtnetlink::{Ensured, Rtnetlink};
pub use rule::{Rule, RuleAction};
pub use scope::Scope;
pub use snapshot::{Event, Snapshot};
pub use source::source_address;
pub use tunnel::Tunnel;
pub use vrrp_socket::{
    Outgoing, Payload, RECEIVE_SIZE, Received, VRRP_GROUP_V4, VRRP_GROUP_V6, VrrpSocket,
    VrrpSocketConfig,
};
