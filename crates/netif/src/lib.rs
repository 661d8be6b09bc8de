//! Linux interfaces.

mod address;
mod announce;
mod codec;
mod error;
mod family;
pub mod firewall;
#[doc(hidden)]
pub mod fuzzing;
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
pub use link::{Link, LinkChange, LinkFlags, MacvlanMode, NewLink};
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
