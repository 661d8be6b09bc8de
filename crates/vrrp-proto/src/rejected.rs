//! Why a received packet was dropped, and how often.

use std::fmt;

use serde::ser::SerializeMap as _;
use serde::{Deserialize, Serialize, Serializer};

use crate::wire::ParseError;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)+) => {
        /// Why a received packet was dropped. Each has a counter of its own.
        ///
        /// Whoever can reach the interface can raise these counters, so a driver logs them at a
        /// limited rate; [`Event::Rejected`](crate::Event::Rejected) comes at such a rate.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum Rejected {
            $($(#[$doc])* $name,)+
        }

        impl Rejected {
            /// Every reason, in the order of the checks.
            pub const ALL: &[Self] = &[$(Self::$name),+];
        }

        impl fmt::Display for Rejected {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$name => $text,)+
                })
            }
        }
    };
}

reasons! {
    /// The IP header contradicts itself, or the packet carries something else.
    IpHeader = "bad IP header",
    /// No virtual router listens to this identifier here.
    UnknownVrid = "unknown virtual router identifier",
    /// Of the other family.
    Family = "wrong address family",
    /// Multicast with a TTL or hop limit other than 255: it came through a router.
    HopLimit = "TTL or hop limit is not 255",
    /// The other version, or none that exists.
    Version = "wrong version",
    /// Shorter or longer than its own header says.
    Length = "wrong length",
    /// Not an advertisement.
    Type = "wrong type",
    /// The checksum holds by no rule.
    Checksum = "wrong checksum",
    /// Sent to the group, but this instance takes unicast; or the reverse.
    Delivery = "unicast and multicast mixed",
    /// Its sender is not a configured peer.
    UnknownPeer = "sender is not a peer",
    /// Its hop limit is outside what the peer is allowed.
    PeerHopLimit = "TTL or hop limit outside the peer's range",
    /// An authentication type that nobody knows.
    AuthUnknown = "unknown authentication type",
    /// Another authentication type than ours.
    AuthMismatch = "other authentication type",
    /// Wrong password or digest.
    AuthFailed = "wrong password or digest",
    /// A sequence number that was used before.
    AuthReplay = "replayed",
    /// Version 2: another advertisement interval than ours. Version 3: an interval of 0.
    Interval = "other advertisement interval",
    /// Other addresses than ours, where the configuration demands the same.
    AddressList = "other list of addresses",
    /// This router owns the addresses and ignores advertisements.
    OwnerIgnores = "ignored by the address owner",
    /// The instance takes no part: Initialize or Fault.
    NotRunning = "instance is not running",
}

impl From<ParseError> for Rejected {
    fn from(error: ParseError) -> Self {
        match error {
            ParseError::Truncated | ParseError::TrailingBytes => Self::Length,
            ParseError::Version(_) => Self::Version,
            ParseError::Type(_) => Self::Type,
            ParseError::Vrid => Self::UnknownVrid,
            ParseError::Checksum => Self::Checksum,
            ParseError::Interval => Self::Interval,
            ParseError::IpHeader | ParseError::Protocol(_) => Self::IpHeader,
            ParseError::AuthenticationHeader => Self::AuthFailed,
        }
    }
}

/// How often each reason occurred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rejections {
    counts: [u64; Rejected::ALL.len()],
}

impl Rejections {
    /// How often this reason occurred.
    pub fn of(&self, reason: Rejected) -> u64 {
        self.counts.get(reason as usize).copied().unwrap_or(0)
    }

    /// Every reason with its count, in the order of the checks.
    pub fn iter(&self) -> impl Iterator<Item = (Rejected, u64)> {
        Rejected::ALL
            .iter()
            .map(|reason| (*reason, self.of(*reason)))
    }

    /// All of them together.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub(crate) fn count(&mut self, reason: Rejected) -> u64 {
        match self.counts.get_mut(reason as usize) {
            Some(count) => {
                *count += 1;
                *count
            }
            None => 0,
        }
    }
}

/// A map from reason to count, without those that never occurred.
impl Serialize for Rejections {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (reason, count) in self.iter().filter(|(_, count)| *count > 0) {
            map.serialize_entry(&reason, &count)?;
        }
        map.end()
    }
}

/// What an instance has counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Statistics {
    /// Advertisements that passed all checks.
    pub received: u64,
    /// Advertisements that were sent, one for each peer of a unicast instance.
    pub sent: u64,
    /// Times it became Master.
    pub became_master: u64,
    /// Times it stopped being Master.
    pub released_master: u64,
    /// Advertisements of priority 0 that were received.
    pub priority_zero_received: u64,
    /// Advertisements of priority 0 that were sent.
    pub priority_zero_sent: u64,
    /// Announcements of addresses.
    pub announced: u64,
    /// Times that it was called so late that others may have noticed.
    pub stalls: u64,
    /// Times that the driver could not send.
    pub send_failures: u64,
    /// What was dropped.
    pub rejected: Rejections,
}
