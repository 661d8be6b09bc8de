//! Linux interfaces.

mod address;
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

pub use address::{Address, AddressEntry, AddressOptions, AddressState, Lifetime};
pub use codec::ParseError;
pub use error::{NetifError, Refused};
pub use family::Family;
pub use link::{Link, LinkChange, LinkFlags, MacvlanMode, NewLink};
pub use name::{LinkIndex, LinkName, LinkNameError, MacAddress, MacAddressError};
pub use rtnetlink::{Ensured, Rtnetlink};
pub use scope::Scope;
pub use tunnel::Tunnel;
