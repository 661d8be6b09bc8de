//! IPv4 or IPv6, as a netlink number.

use std::net::IpAddr;

/// Address family.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub enum Family {
    /// IPv4, `AF_INET`.
    Inet,
    /// IPv6, `AF_INET6`.
    Inet6,
}

impl Family {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Inet, Self::Inet6];

    /// The family of `address`.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Inet,
            IpAddr::V6(_) => Self::Inet6,
        }
    }

    /// The family of the number `AF_INET` or `AF_INET6`.
    pub fn from_number(number: u8) -> Option<Self> {
        match i32::from(number) {
            libc::AF_INET => Some(Self::Inet),
            libc::AF_INET6 => Some(Self::Inet6),
            _ => None,
        }
    }

    /// `AF_INET` or `AF_INET6`.
    pub fn number(self) -> u8 {
        match self {
            Self::Inet => libc::AF_INET as u8,
            Self::Inet6 => libc::AF_INET6 as u8,
        }
    }

    /// Bits of an address: 32 or 128, the longest prefix.
    pub fn bits(self) -> u8 {
        match self {
            Self::Inet => 32,
            Self::Inet6 => 128,
        }
    }
}

impl std::fmt::Display for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Inet => "IPv4",
            Self::Inet6 => "IPv6",
        })
    }
}
