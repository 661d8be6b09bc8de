//! The control packet.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |Vers |  Diag   |Sta|P|F|C|A|D|M|  Detect Mult  |    Length     |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                       My Discriminator                        |
//! |                      Your Discriminator                       |
//! |                    Desired Min TX Interval                    |
//! |                   Required Min RX Interval                    |
//! |                 Required Min Echo RX Interval                 |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```
//!
//! Source: RFC 5880 section 4.1; the order of the checks is that of section 6.8.6.

use std::fmt;
use std::num::{NonZeroU8, NonZeroU32};

/// Length of a packet without authentication.
pub const LENGTH: usize = 24;

const VERSION: u8 = 1;

const POLL: u8 = 0x20;
const FINAL: u8 = 0x10;
const INDEPENDENT: u8 = 0x08;
const AUTHENTICATED: u8 = 0x04;
const DEMAND: u8 = 0x02;
const MULTIPOINT: u8 = 0x01;

/// The state of a session. Source: RFC 5880 section 4.1 (Sta).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum State {
    /// Taken out of service by an administrator.
    AdminDown,
    /// Nothing is heard of the neighbour, or it has just been lost.
    #[default]
    Down,
    /// The neighbour is heard, but does not know that yet.
    Init,
    /// Both hear each other.
    Up,
}

impl State {
    const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::AdminDown,
            1 => Self::Down,
            2 => Self::Init,
            _ => Self::Up,
        }
    }

    const fn bits(self) -> u8 {
        match self {
            Self::AdminDown => 0,
            Self::Down => 1,
            Self::Init => 2,
            Self::Up => 3,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AdminDown => "AdminDown",
            Self::Down => "Down",
            Self::Init => "Init",
            Self::Up => "Up",
        })
    }
}

/// Why a session changed its state the last time: 0 to 31. Source: RFC 5880 section 4.1 (Diag).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Diagnostic(u8);

impl Diagnostic {
    /// No Diagnostic.
    pub const NONE: Self = Self(0);
    /// Control Detection Time Expired.
    pub const TIME_EXPIRED: Self = Self(1);
    /// Echo Function Failed.
    pub const ECHO_FAILED: Self = Self(2);
    /// Neighbor Signaled Session Down.
    pub const NEIGHBOR_DOWN: Self = Self(3);
    /// Forwarding Plane Reset.
    pub const PLANE_RESET: Self = Self(4);
    /// Path Down.
    pub const PATH_DOWN: Self = Self(5);
    /// Concatenated Path Down.
    pub const CONCATENATED_PATH_DOWN: Self = Self(6);
    /// Administratively Down.
    pub const ADMIN_DOWN: Self = Self(7);
    /// Reverse Concatenated Path Down.
    pub const REVERSE_PATH_DOWN: Self = Self(8);

    /// The number.
    pub const fn as_u8(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Diagnostic {
    /// In the words of the RFC.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            0 => "No Diagnostic",
            1 => "Control Detection Time Expired",
            2 => "Echo Function Failed",
            3 => "Neighbor Signaled Session Down",
            4 => "Forwarding Plane Reset",
            5 => "Path Down",
            6 => "Concatenated Path Down",
            7 => "Administratively Down",
            8 => "Reverse Concatenated Path Down",
            other => return write!(f, "Reserved ({other})"),
        })
    }
}

/// Names a session on the system that runs it; never zero. Source: RFC 5880 section 6.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Discriminator(NonZeroU32);

impl Discriminator {
    /// `None` for zero, which means "not known".
    pub const fn new(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number.
    pub const fn as_u32(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for Discriminator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

/// A control packet without authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Why the sender changed its state the last time.
    pub diagnostic: Diagnostic,
    /// The sender's state.
    pub state: State,
    /// The sender wants an answer with [`is_final`](Self::is_final).
    pub poll: bool,
    /// This is the answer to a poll.
    pub is_final: bool,
    /// The sender's BFD goes on while its control plane restarts.
    pub independent: bool,
    /// The sender is in demand mode: it wants no periodic packets while both are up.
    pub demand: bool,
    /// How many packets of the sender may be missed.
    pub multiplier: NonZeroU8,
    /// The sender's session.
    pub my_discriminator: Discriminator,
    /// The receiver's session; `None` as long as the sender does not know it.
    pub your_discriminator: Option<Discriminator>,
    /// How fast the sender wants to send, in microseconds.
    pub desired_min_tx_us: u32,
    /// How fast the sender can receive, in microseconds; 0: it wants no periodic packets.
    pub required_min_rx_us: u32,
    /// How fast it can receive echo packets, in microseconds; 0: not at all.
    pub required_min_echo_rx_us: u32,
}

/// What is wrong with a packet, in the order of the checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ParseError {
    /// Shorter than every packet.
    #[error("shorter than a control packet")]
    Truncated,
    /// Another version than 1.
    #[error("version {0} is not 1")]
    Version(u8),
    /// Its length is too small for a packet, or larger than what was received.
    #[error("wrong length")]
    Length,
    /// It says that no packet may be missed.
    #[error("detection multiplier of zero")]
    Multiplier,
    /// For many receivers, which this version of the protocol does not have.
    #[error("multipoint bit is set")]
    Multipoint,
    /// Its sender's session has no name.
    #[error("discriminator of the sender is zero")]
    Discriminator,
    /// It knows no session of ours, yet calls it established.
    #[error("discriminator of the receiver is zero in state {0}")]
    State(State),
    /// It has authentication data, and no session of ours has a key.
    #[error("authenticated, which is not in use")]
    Authentication,
}

impl Packet {
    /// Reads a packet. What follows its own length is ignored.
    ///
    /// # Errors
    ///
    /// The first check that fails.
    pub fn parse(data: &[u8]) -> Result<Self, ParseError> {
        let Some((fixed, _)) = data.split_first_chunk::<LENGTH>() else {
            return Err(ParseError::Truncated);
        };
        let [first, second, multiplier, length, words @ ..] = fixed;
        let version = first >> 5;
        if version != VERSION {
            return Err(ParseError::Version(version));
        }
        let authenticated = second & AUTHENTICATED != 0;
        let least = if authenticated { LENGTH + 2 } else { LENGTH };
        let length = usize::from(*length);
        if length < least || length > data.len() {
            return Err(ParseError::Length);
        }
        let multiplier = NonZeroU8::new(*multiplier).ok_or(ParseError::Multiplier)?;
        if second & MULTIPOINT != 0 {
            return Err(ParseError::Multipoint);
        }
        let (words, _) = words.as_chunks::<4>();
        let mut words = words.iter().map(|word| u32::from_be_bytes(*word));
        let mut next = || words.next().unwrap_or_default();
        let my_discriminator = Discriminator::new(next()).ok_or(ParseError::Discriminator)?;
        let your_discriminator = Discriminator::new(next());
        let state = State::from_bits(second >> 6);
        if your_discriminator.is_none() && matches!(state, State::Init | State::Up) {
            return Err(ParseError::State(state));
        }
        if authenticated {
            return Err(ParseError::Authentication);
        }
        Ok(Self {
            diagnostic: Diagnostic(first & 0x1f),
            state,
            poll: second & POLL != 0,
            is_final: second & FINAL != 0,
            independent: second & INDEPENDENT != 0,
            demand: second & DEMAND != 0,
            multiplier,
            my_discriminator,
            your_discriminator,
            desired_min_tx_us: next(),
            required_min_rx_us: next(),
            required_min_echo_rx_us: next(),
        })
    }

    /// The bytes of the packet.
    pub fn write(&self) -> [u8; LENGTH] {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let flags = flag(self.poll, POLL)
            | flag(self.is_final, FINAL)
            | flag(self.independent, INDEPENDENT)
            | flag(self.demand, DEMAND);
        let head = [
            VERSION << 5 | self.diagnostic.0,
            self.state.bits() << 6 | flags,
            self.multiplier.get(),
            0x18,
        ];
        let words = [
            self.my_discriminator.as_u32(),
            self.your_discriminator.map_or(0, Discriminator::as_u32),
            self.desired_min_tx_us,
            self.required_min_rx_us,
            self.required_min_echo_rx_us,
        ];
        let mut bytes = [0; LENGTH];
        let all = head
            .into_iter()
            .chain(words.into_iter().flat_map(u32::to_be_bytes));
        for (place, byte) in bytes.iter_mut().zip(all) {
            *place = byte;
        }
        bytes
    }
}

#[cfg(test)]
mod tests;
