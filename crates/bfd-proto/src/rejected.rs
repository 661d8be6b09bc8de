//! Why a received packet was dropped, and how often.

use std::fmt;

use crate::packet::ParseError;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)+) => {
        /// Why a received packet was dropped. Each has a counter of its own.
        ///
        /// Whoever can reach us can raise these counters, so a driver logs them at a limited rate.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    /// Shorter than every packet.
    Truncated = "shorter than a control packet",
    /// Another version than 1.
    Version = "wrong version",
    /// Its length is too small for a packet, or larger than what was received.
    Length = "wrong length",
    /// A detection multiplier of zero.
    Multiplier = "detection multiplier is zero",
    /// For many receivers.
    Multipoint = "multipoint bit is set",
    /// Its sender's session has no name.
    Discriminator = "discriminator of the sender is zero",
    /// Init or Up, though its sender does not know our session.
    State = "established without our discriminator",
    /// With authentication, which no session of ours has.
    Authentication = "authenticated",
    /// It names a session that we do not have.
    UnknownSession = "no session has this discriminator",
    /// It names none, and nobody waits for packets of this sender.
    UnknownNeighbor = "sender is no neighbor",
    /// It names a session with somebody else, over another path, or over more or fewer hops.
    OtherNeighbor = "session is with another neighbor",
    /// It has come over more routers than it may.
    HopLimit = "TTL or hop limit is too low",
    /// Our session is administratively down.
    AdminDown = "session is administratively down",
}

impl From<ParseError> for Rejected {
    fn from(error: ParseError) -> Self {
        match error {
            ParseError::Truncated => Self::Truncated,
            ParseError::Version(_) => Self::Version,
            ParseError::Length => Self::Length,
            ParseError::Multiplier => Self::Multiplier,
            ParseError::Multipoint => Self::Multipoint,
            ParseError::Discriminator => Self::Discriminator,
            ParseError::State(_) => Self::State,
            ParseError::Authentication => Self::Authentication,
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
        let all = Rejected::ALL.iter();
        all.map(|reason| (*reason, self.of(*reason)))
    }

    /// All of them together.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub(crate) fn count(&mut self, reason: Rejected) {
        if let Some(count) = self.counts.get_mut(reason as usize) {
            *count += 1;
        }
    }
}

/// What a session has counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Packets that passed all checks.
    pub received: u64,
    /// Packets that the driver was told to send.
    pub sent: u64,
    /// Packets that the driver could not send.
    pub send_failures: u64,
    /// Times it came up.
    pub ups: u64,
    /// Times it went down after it was up.
    pub downs: u64,
    /// What was dropped.
    pub rejected: Rejections,
}
