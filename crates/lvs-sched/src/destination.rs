//! One real server of a virtual service as the schedulers see it.
//!
//! # Design
//!
//! A [`Destination`] is plain data. Its counts and its overloaded mark are written only by
//! [`Destinations`](crate::Destinations) and [`Pool`](crate::Pool); everybody else reads.
//! Destinations are referred to by [`DestinationId`], which names the *entry*: it survives removal
//! and return, because the kernel gives a returning server its old entry back with all counts.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The greatest weight a destination may have: the kernel keeps weights in a signed 32-bit integer.
pub const MAX_WEIGHT: u32 = i32::MAX as u32;

/// Names a destination entry of one [`Pool`](crate::Pool), for as long as the entry lives.
///
/// The entry keeps its id while it is edited, removed and put back. Ids are meaningless in another
/// pool, and an id whose entry has been forgotten is never given out again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DestinationId {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

impl fmt::Display for DestinationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}.{}", self.slot, self.generation)
    }
}

/// What an operator sets for a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DestinationConfig {
    /// Share of new flows relative to the others; 0 ..= [`MAX_WEIGHT`], default 1. 0 quiesces:
    /// no new flow by scheduling, existing ones go on. Source: `IPVS_DEST_ATTR_WEIGHT`.
    pub weight: u32,
    /// Connections (active + inactive) at which the destination counts as overloaded; default 0,
    /// none. Source: `IPVS_DEST_ATTR_U_THRESH`.
    pub upper_threshold: u32,
    /// Connections below which the overload ends; not above `upper_threshold`; default 0, which
    /// means three quarters of the upper one. Source: `IPVS_DEST_ATTR_L_THRESH`.
    pub lower_threshold: u32,
}

impl Default for DestinationConfig {
    fn default() -> Self {
        Self {
            weight: 1,
            upper_threshold: 0,
            lower_threshold: 0,
        }
    }
}

impl DestinationConfig {
    /// A destination of this weight without thresholds.
    #[must_use]
    pub const fn with_weight(weight: u32) -> Self {
        Self {
            weight,
            upper_threshold: 0,
            lower_threshold: 0,
        }
    }
}

/// A destination entry: address, settings, live counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The name of this entry.
    pub id: DestinationId,
    /// The server's address.
    pub address: IpAddr,
    /// The server's port; 0 means the port the client asked for.
    pub port: u16,
    /// Present weight; 0 means quiesced, not absent.
    pub weight: u32,
    /// The weight of the last add, or of the last edit that did not set 0. Used by `mh` alone.
    pub last_weight: u32,
    /// See [`DestinationConfig::upper_threshold`].
    pub upper_threshold: u32,
    /// See [`DestinationConfig::lower_threshold`].
    pub lower_threshold: u32,
    /// Connections in an active state (TCP: `SYN_RECV`, `ESTABLISHED` and their like; UDP: never).
    pub active_conns: u32,
    /// All other connections that still have an entry.
    pub inactive_conns: u32,
    /// Persistence templates that point here. They count in no other number.
    pub persist_conns: u32,
    /// The sticky mark of section "thresholds" in [`overload`](crate::overload). A stored bit, not
    /// a condition: see there when it changes.
    pub overloaded: bool,
}

impl Destination {
    /// `active_conns + inactive_conns`.
    #[must_use]
    pub fn total_conns(&self) -> u64 {
        u64::from(self.active_conns) + u64::from(self.inactive_conns)
    }

    /// What a connection costs in the eyes of lc, wlc, lblc, lblcr and twos: an active one weighs
    /// as much as 256 inactive ones.
    #[must_use]
    pub fn overhead(&self) -> u64 {
        u64::from(self.active_conns) * 256 + u64::from(self.inactive_conns)
    }

    /// May a scheduler give new flows to it: weight above 0 and not overloaded.
    #[must_use]
    pub fn is_eligible(&self) -> bool {
        self.weight > 0 && !self.overloaded
    }

    /// Address and port; port 0 as it stands.
    #[must_use]
    pub fn socket_addr(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }

    /// The settings as an operator would write them.
    #[must_use]
    pub fn config(&self) -> DestinationConfig {
        DestinationConfig {
            weight: self.weight,
            upper_threshold: self.upper_threshold,
            lower_threshold: self.lower_threshold,
        }
    }
}
