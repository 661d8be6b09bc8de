//! Linux interfaces.

mod address;
mod announce;
mod codec;
mod error;
mod family;
mod link;
mod name;
mod netlink;
mod rtnetlink;
mod scope;
pub mod sysctl;
mod tunnel;
mod vrrp_socket;

pub use address::{Address, AddressEntry, AddressOptions, AddressState, Lifetime};
pub use announce::FrameSocket;
pub use codec::ParseError;
pub use error::{NetifError, Refused};
pub use family::Family;
pub use link::{Link, LinkChange, LinkFlags, MacvlanMode, NewLink};
pub use name::{LinkIndex, LinkName, LinkNameError, MacAddress, MacAddressError};
pub use rtnetlink::{Ensured, Rtnetlink};
pub use scope::Scope;
pub use tunnel::Tunnel;
pub use vrrp_socket::{
    Outgoing, Payload, RECEIVE_SIZE, Received, VRRP_GROUP_V4, VRRP_GROUP_V6, VrrpSocket,
    VrrpSocketConfig,
};
