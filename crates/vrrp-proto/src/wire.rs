//! Bytes on the wire.
//!
//! Each VRRP format has two levels. `Packet` is a view over bytes with a getter and a setter for
//! every field; it judges nothing but the length. `Repr` is what we understand of it, as plain
//! values.
//!
//! - After `new_checked` no getter of a view panics, whatever the bytes are.
//! - `Repr::parse` fails with the rule that was broken, and never panics.
//! - `Repr::emit` into `buffer_len()` bytes never panics; all bytes are written.
//!
//! Formats that are not VRRP's own (IPv4 header, ARP, neighbour advertisement) are built with
//! `pnet_packet`; what comes from the network is measured here before it is looked at.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::types::Priority;

pub mod ah;
pub mod checksum;
pub mod garp;
pub(crate) mod hex;
pub mod ip;
pub mod v2;
pub mod v3;

pub use checksum::ChecksumRule;

/// Number of VRRP among the protocols over IP.
pub const PROTOCOL_VRRP: u8 = 112;

/// Number of the authentication header among the protocols over IP.
pub const PROTOCOL_AH: u8 = 51;

/// The one type of VRRP packets: an advertisement.
pub const TYPE_ADVERTISEMENT: u8 = 1;

/// TTL or hop limit of multicast advertisements. Source: RFC 9568 section 5.1.1.3.
pub const HOP_LIMIT: u8 = 255;

/// Type of service, or traffic class, of what we send: internetwork control, as keepalived.
pub const TRAFFIC_CLASS: u8 = 0xc0;

/// Why bytes are no VRRP packet: the rule that they break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Shorter than its header, or than its own count of addresses demands.
    #[error("truncated")]
    Truncated,
    /// Longer than its own count of addresses allows.
    #[error("bytes after the end")]
    TrailingBytes,
    /// Not the version that was expected.
    #[error("version {0}")]
    Version(u8),
    /// Not an advertisement.
    #[error("type {0}")]
    Type(u8),
    /// Virtual router identifier 0.
    #[error("virtual router identifier 0")]
    Vrid,
    /// The checksum does not hold by any rule.
    #[error("wrong checksum")]
    Checksum,
    /// An advertisement interval of 0.
    #[error("advertisement interval 0")]
    Interval,
    /// Not an IP packet of this family, or one whose lengths contradict each other.
    #[error("bad IP header")]
    IpHeader,
    /// An IP packet that carries something else.
    #[error("IP protocol {0}")]
    Protocol(u8),
    /// An authentication header of another size, or that carries something else.
    #[error("bad authentication header")]
    AuthenticationHeader,
}

/// The priority field of an advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "u8", into = "u8")]
pub enum AdvertisedPriority {
    /// 0: the Master stops; a Backup takes over after its skew time.
    Resign,
    /// 1 to 255.
    Priority(Priority),
}

impl AdvertisedPriority {
    /// The number on the wire.
    pub const fn as_u8(self) -> u8 {
        match self {
            Self::Resign => 0,
            Self::Priority(priority) => priority.as_u8(),
        }
    }
}

impl From<u8> for AdvertisedPriority {
    fn from(value: u8) -> Self {
        Priority::try_from(value).map_or(Self::Resign, Self::Priority)
    }
}

impl From<AdvertisedPriority> for u8 {
    fn from(priority: AdvertisedPriority) -> Self {
        priority.as_u8()
    }
}

impl fmt::Display for AdvertisedPriority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_u8().fmt(f)
    }
}

/// The bytes of a field. All views read through this, so that a wrong offset reads zeros instead
/// of panicking.
pub(crate) fn field<const N: usize>(data: &[u8], at: usize) -> [u8; N] {
    data.get(at..)
        .and_then(<[u8]>::first_chunk)
        .copied()
        .unwrap_or([0; N])
}

/// Writes the bytes of a field, if they are there.
pub(crate) fn set_field<const N: usize>(data: &mut [u8], at: usize, value: [u8; N]) {
    if let Some(chunk) = data.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *chunk = value;
    }
}
