//! What sessions go by.

use std::net::IpAddr;
use std::num::NonZeroU8;
use std::sync::Arc;

use crate::time::Interval;

/// The name of a session.
pub type Name = Arc<str>;

/// How many routers lie between the two systems.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Hops {
    /// None. Source: RFC 5881.
    #[default]
    Single,
    /// Any number. Source: RFC 5883.
    Multi,
}

impl Hops {
    /// The UDP port that packets are sent to. Source: RFC 5881 section 4, RFC 5883 section 5.
    pub const fn port(self) -> u16 {
        match self {
            Self::Single => 3784,
            Self::Multi => 4784,
        }
    }
}

/// Between whom a session is. No two sessions may have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    neighbor: IpAddr,
    source: Option<IpAddr>,
    hops: Hops,
}

impl Path {
    /// To `neighbor`, from `source` or, with `None`, from the address that the kernel chooses.
    ///
    /// # Errors
    ///
    /// When the addresses are of different families.
    pub fn try_new(
        neighbor: IpAddr,
        source: Option<IpAddr>,
        hops: Hops,
    ) -> Result<Self, ConfigError> {
        match source {
            Some(source) if source.is_ipv4() != neighbor.is_ipv4() => {
                Err(ConfigError::Family { neighbor, source })
            }
            _ => Ok(Self {
                neighbor,
                source,
                hops,
            }),
        }
    }

    /// The other system.
    pub const fn neighbor(&self) -> IpAddr {
        self.neighbor
    }

    /// Our address, where it is fixed.
    pub const fn source(&self) -> Option<IpAddr> {
        self.source
    }

    /// How far it is.
    pub const fn hops(&self) -> Hops {
        self.hops
    }

    /// Whether a packet from `neighbor` to `local` belongs here.
    pub(crate) fn carries(&self, neighbor: IpAddr, local: IpAddr, hops: Hops) -> bool {
        let ours = self.source.is_none_or(|source| source == local);
        self.neighbor == neighbor && ours && self.hops == hops
    }

    /// Whether a packet could belong to either.
    fn overlaps(&self, other: &Self) -> bool {
        let sources = match (self.source, other.source) {
            (Some(one), Some(two)) => one == two,
            _ => true,
        };
        self.neighbor == other.neighbor && self.hops == other.hops && sources
    }
}

/// A session's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionConfig {
    /// Between whom.
    pub path: Path,
    /// Time between our packets while the session is up, unless the neighbor wants them slower.
    /// Default 10 ms. Source: RFC 5880 section 6.8.1 (bfd.DesiredMinTxInterval); keepalived `min_tx`.
    pub min_tx: Interval,
    /// Least time between packets of the neighbor that we can take. Default 10 ms. Source: RFC 5880
    /// section 6.8.1 (bfd.RequiredMinRxInterval); keepalived `min_rx`.
    pub min_rx: Interval,
    /// Time between our packets while the session is not up; less than a second counts as one
    /// second, as RFC 5880 section 6.8.3 wants it. Default 1 s. Source: keepalived `idle_tx`.
    pub idle_tx: Interval,
    /// How many of our packets the neighbor may miss before it takes us for down. 1 makes a session
    /// go down by a single lost packet. Default 5. Source: RFC 5880 section 6.8.1 (bfd.DetectMult);
    /// keepalived `multiplier`.
    pub multiplier: NonZeroU8,
    /// Whether the neighbor must begin. Two passive ends wait for ever. Default: no. Source: RFC 5880
    /// section 6.1; keepalived `passive`.
    pub passive: bool,
    /// TTL or hop limit of our packets. Anything but 255 on a single hop is dropped by others.
    /// Default 255. Source: RFC 5881 section 5; keepalived `ttl`, `hoplimit`.
    pub hop_limit: NonZeroU8,
    /// Least TTL or hop limit that the neighbor's packets may come in with; 0: any. Default 255: who is
    /// not on the same link can forge no packet that is accepted. Source: RFC 5881 section 5;
    /// keepalived `ttl` less `max_hops`.
    pub least_hop_limit: u8,
}

impl SessionConfig {
    /// The defaults, which are keepalived's.
    pub const fn new(path: Path) -> Self {
        Self {
            path,
            min_tx: Interval::FAST,
            min_rx: Interval::FAST,
            idle_tx: Interval::SLOW,
            multiplier: NonZeroU8::new(5).expect("not zero"),
            passive: false,
            hop_limit: NonZeroU8::MAX,
            least_hop_limit: u8::MAX,
        }
    }
}

/// A session with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedSession {
    /// Its name, unique among all.
    pub name: Name,
    /// What it goes by.
    pub config: SessionConfig,
}

/// What is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The two ends are of different families.
    #[error("{source} cannot reach {neighbor}, which is of another family")]
    Family {
        /// The other system.
        neighbor: IpAddr,
        /// Our address.
        r#source: IpAddr,
    },
    /// Two sessions have one name.
    #[error("two sessions are named {name}")]
    Name {
        /// The name.
        name: Name,
    },
    /// Two sessions could claim the same packets.
    #[error("{first} and {second} are with the same neighbor, over the same path")]
    Path {
        /// The one.
        first: Name,
        /// The other.
        second: Name,
    },
}

/// Whether sessions can be run together.
///
/// # Errors
///
/// The first that is like one before it.
pub fn check(sessions: &[NamedSession]) -> Result<(), ConfigError> {
    for (place, session) in sessions.iter().enumerate() {
        for earlier in sessions.iter().take(place) {
            if earlier.name == session.name {
                return Err(ConfigError::Name {
                    name: session.name.clone(),
                });
            }
            if earlier.config.path.overlaps(&session.config.path) {
                return Err(ConfigError::Path {
                    first: earlier.name.clone(),
                    second: session.name.clone(),
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(name: &str, neighbor: &str, source: Option<&str>, hops: Hops) -> NamedSession {
        let source = source.map(|it| it.parse().unwrap());
        let path = Path::try_new(neighbor.parse().unwrap(), source, hops).unwrap();
        NamedSession {
            name: name.into(),
            config: SessionConfig::new(path),
        }
    }

    #[test]
    fn the_ends_are_of_one_family() {
        let error = Path::try_new(
            "192.0.2.1".parse().unwrap(),
            Some("::1".parse().unwrap()),
            Hops::Single,
        );
        assert!(matches!(error, Err(ConfigError::Family { .. })));
    }

    #[test]
    fn no_packet_belongs_to_two_sessions() {
        let first = session("a", "192.0.2.1", Some("192.0.2.9"), Hops::Single);
        for (second, is_fine) in [
            (
                session("b", "192.0.2.1", Some("192.0.2.9"), Hops::Single),
                false,
            ),
            (session("b", "192.0.2.1", None, Hops::Single), false),
            (
                session("b", "192.0.2.1", Some("192.0.2.8"), Hops::Single),
                true,
            ),
            (
                session("b", "192.0.2.1", Some("192.0.2.9"), Hops::Multi),
                true,
            ),
            (
                session("b", "192.0.2.2", Some("192.0.2.9"), Hops::Single),
                true,
            ),
            (session("a", "192.0.2.2", None, Hops::Single), false),
        ] {
            let both = [first.clone(), second];
            assert_eq!(check(&both).is_ok(), is_fine, "{both:?}");
        }
    }
}
