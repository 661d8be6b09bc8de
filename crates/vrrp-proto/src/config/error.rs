//! What can be wrong with a configuration.

use std::net::IpAddr;

use crate::types::{AdvertInterval, Name, Version, Vrid};

/// A rule that a configuration breaks. It always comes from the caller, never from a packet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Version 2 has no IPv6.
    #[error("version 2 knows IPv4 only; use version 3 for IPv6")]
    Version2OverIpv6,
    /// The interval cannot be said in this version.
    #[error("an advertisement interval of {1} cannot be said in version {0}")]
    Interval(Version, AdvertInterval),
    /// Version 3 has no authentication.
    #[error("version 3 has no authentication")]
    AuthenticationInVersion3,
    /// An address is not of the instance's family, or not one that a host can have.
    #[error("{0} is not a usable address of the instance's family")]
    WrongFamily(IpAddr),
    /// An address is listed twice on one interface.
    #[error("{0} is listed twice")]
    DuplicateAddress(IpAddr),
    /// More addresses than an advertisement can count.
    #[error("{0} addresses are advertised; the most is 255")]
    TooManyAddresses(usize),
    /// A multicast instance without interface, or a unicast one with neither interface nor source.
    #[error("neither an interface nor a source address says where to send from")]
    NoInterface,
    /// The destination is not a group of the instance's family.
    #[error("{0} is not a multicast group of the instance's family")]
    NotAGroup(IpAddr),
    /// A peer is listed twice.
    #[error("the peer {0} is listed twice")]
    DuplicatePeer(IpAddr),
    /// A peer's least hop limit is above its greatest.
    #[error("the hop limits of peer {0} leave nothing to accept")]
    HopLimits(IpAddr),
    /// Out of range.
    #[error("the down timer must be 1 to 100 advertisements, not {0}")]
    DownAdverts(u8),
    /// The owner of the addresses preempts at once.
    #[error("the address owner (priority 255) always preempts, and at once")]
    OwnerMustPreempt,
    /// `yield_after_stall` would be undone by preemption.
    #[error("to yield after a stall needs an instance that never preempts")]
    YieldNeedsNopreempt,
    /// `owner_ignores` on a router that is no owner.
    #[error("only the address owner (priority 255) may ignore advertisements")]
    NotOwner,
    /// A tracked object is listed twice.
    #[error("{0} is tracked twice")]
    DuplicateTracker(Name),
    /// The owner's priority never changes.
    #[error("{0} has a weight, but the priority of an address owner never changes")]
    OwnerWithWeight(Name),
    /// The name is taken.
    #[error("another one has this name")]
    DuplicateName,
    /// Same interface, family, destination and VRID as another instance.
    #[error(
        "another instance has virtual router identifier {0} on the same interface, family and destination"
    )]
    DuplicateVrid(Vrid),
    /// A group names an instance that does not exist.
    #[error("the member {0} does not exist")]
    UnknownMember(Name),
    /// An instance is in two groups, or twice in one.
    #[error("the member {0} is in a group already")]
    MemberOfTwoGroups(Name),
}
