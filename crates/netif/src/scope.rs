//! Where an address or a route is valid.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The scope of an IPv4 address or route: how far away it is valid, or its target stands. IPv6
/// ignores it. Source: `RT_SCOPE_*` of `linux/rtnetlink.h`, `scope` in `ip address` and keepalived.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Scope(pub u8);

impl Scope {
    /// Everywhere: `global`, also called universe. The default.
    pub const GLOBAL: Self = Self(libc::RT_SCOPE_UNIVERSE);
    /// Inside the site: `site`.
    pub const SITE: Self = Self(libc::RT_SCOPE_SITE);
    /// On this link: `link`.
    pub const LINK: Self = Self(libc::RT_SCOPE_LINK);
    /// On this host: `host`.
    pub const HOST: Self = Self(libc::RT_SCOPE_HOST);
    /// Nowhere: `nowhere`.
    pub const NOWHERE: Self = Self(libc::RT_SCOPE_NOWHERE);
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::GLOBAL => f.write_str("global"),
            Self::SITE => f.write_str("site"),
            Self::LINK => f.write_str("link"),
            Self::HOST => f.write_str("host"),
            Self::NOWHERE => f.write_str("nowhere"),
            Self(number) => number.fmt(f),
        }
    }
}
