//! What an instance asks of its driver, in the order in which it has to be done.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::reason::{FaultCause, Heard, Reason};
use super::state::State;
use crate::config::VirtualAddress;
use crate::rejected::Rejected;
use crate::time::{Time, seconds};
use crate::types::{AdvertInterval, HardwareAddress, Name, Priority};
use crate::wire::{ChecksumRule, hex, ip};

/// One step for the driver. There is one queue of them, because their order is meaning:
///
/// - becoming Master: advertisement, addresses, announcements, then the change of state;
/// - yielding: a last advertisement, addresses removed, then the change of state;
/// - stopping or failing: priority 0, addresses removed, then the change of state.
///
/// What the driver fails to do comes back as a [`Trouble`](crate::Trouble).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// Send this now.
    SendAdvertisement(Transmit),
    /// Add these addresses to their interfaces, then the routes and rules that go with them. What
    /// is there already stays.
    InstallAddresses {
        /// The addresses, in order.
        addresses: Vec<VirtualAddress>,
        /// Accept packets to them; false asks for a filter.
        accept: bool,
    },
    /// Remove rules, routes and then these addresses, last one first. What is not there is no
    /// error. Comes at the start, too, for what a process that died has left. An address owner's
    /// driver spares the addresses that the interface has of its own.
    RemoveAddresses {
        /// The addresses, in the order in which they were added.
        addresses: Vec<VirtualAddress>,
    },
    /// Send one gratuitous ARP or unsolicited neighbour advertisement; see
    /// [`wire::garp`](crate::wire::garp).
    Announce {
        /// Interface that holds the address.
        interface: Name,
        /// The address.
        address: IpAddr,
    },
    /// The state is another one: log it, tell status, run notify scripts.
    StateChanged(Transition),
    /// Something that an operator may want to know.
    Event(Event),
}

/// A packet to send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transmit {
    /// Interface to send from; `None` leaves it to the routing table.
    pub interface: Option<Name>,
    /// Source address.
    pub source: IpAddr,
    /// The group, or a peer.
    pub destination: IpAddr,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// IPv4: the whole packet with its header, for a socket with `IP_HDRINCL`. IPv6: what follows
    /// the header, checksum included.
    #[serde(with = "hex_vec")]
    pub packet: Vec<u8>,
}

impl Transmit {
    /// What follows the IP header: VRRP, or an authentication header and VRRP.
    pub fn payload(&self) -> &[u8] {
        let header = match self.source {
            IpAddr::V4(_) => ip::IPV4_HEADER_LEN,
            IpAddr::V6(_) => 0,
        };
        self.packet.get(header..).unwrap_or_default()
    }
}

mod hex_vec {
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        super::hex::serialize(bytes, serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        super::hex::deserialize(deserializer).map(std::borrow::Cow::into_owned)
    }
}

/// A change of state and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// The state before. `Initialize` at the start.
    pub from: State,
    /// The state now. `Initialize` after a stop or a removal.
    pub to: State,
    /// Why, for logs and status; its `Display` is a sentence without a full stop.
    pub reason: Reason,
    /// The effective priority at this moment.
    pub priority: Priority,
}

/// Something that an operator may want to know. None of them asks the driver to act, but each that
/// a stranger can cause comes at a limited rate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The effective priority is another one.
    PriorityChanged {
        /// Before.
        from: Priority,
        /// Now.
        to: Priority,
    },
    /// A Backup hears another Master than before.
    MasterChanged {
        /// The one before, if any.
        from: Option<IpAddr>,
        /// The one now.
        to: Heard,
    },
    /// Version 3: a Backup goes by the Master's interval, which is another one than before.
    IntervalLearnt {
        /// Before.
        #[serde(with = "seconds")]
        from: Duration,
        /// Now.
        to: AdvertInterval,
        /// Whose it is.
        master: IpAddr,
    },
    /// Version 3: a new Master goes back to its own interval.
    IntervalRestored {
        /// The one that was learnt.
        #[serde(with = "seconds")]
        from: Duration,
        /// The configured one.
        to: AdvertInterval,
    },
    /// A Backup hears a Master of lower priority and does not restart its timer. Once for each
    /// Master.
    LowerPriorityDiscarded {
        /// The Master.
        master: Heard,
    },
    /// A Master hears an advertisement of lower priority. For keepalived's `MASTER_RX_LOWER_PRI`.
    LowerPriorityHeard {
        /// Its sender.
        rival: Heard,
        /// Our priority.
        ours: Priority,
    },
    /// A Master hears the last advertisement of the one that it took over from.
    GoodbyeHeard {
        /// Its sender.
        rival: Heard,
    },
    /// A Backup that has yielded says its last word for the third time, as the Master has not
    /// answered: it does not hear us, or was told not to answer. Once for each time of yielding.
    LastWordUnanswered {
        /// The Master.
        master: Heard,
    },
    /// A Master resigned by priority 0.
    ResignationHeard {
        /// Its sender.
        from: IpAddr,
    },
    /// The preemption delay runs.
    PreemptDelayStarted {
        /// When it ends.
        until: Time,
    },
    /// The preemption delay is over without effect, as a better Master is there.
    PreemptDelayStopped,
    /// Packets were dropped. At most one event a minute for each reason.
    Rejected {
        /// Who sent the last one, as far as its header could be read.
        source: Option<IpAddr>,
        /// Why it was dropped.
        reason: Rejected,
        /// How many of this kind there were since the last such event.
        count: u64,
    },
    /// An advertisement was accepted though its addresses are not ours. At most one event a minute.
    AddressListDiffers {
        /// Its sender.
        source: IpAddr,
    },
    /// An advertisement's checksum follows another rule than ours. Once for each rule.
    ChecksumDiffers {
        /// Its sender.
        source: IpAddr,
        /// The rule by which it holds.
        rule: ChecksumRule,
    },
    /// While we are Master, another router acts as one, too. Once until it has been silent.
    SecondMaster {
        /// Who.
        address: IpAddr,
        /// Why it may be.
        suspicion: Suspicion,
    },
    /// The second Master has not been heard for three intervals.
    SecondMasterGone {
        /// Who.
        address: IpAddr,
        /// Since when it had been heard.
        since: Time,
    },
    /// Another router has our priority and our address, or our own packets come back.
    SameAddress {
        /// The address.
        address: IpAddr,
    },
    /// Another router is configured as address owner, too.
    OwnerConflict {
        /// Which.
        address: IpAddr,
    },
    /// The driver called later than it was asked to: the process, or the machine, stood still.
    Stalled {
        /// How late.
        #[serde(with = "seconds")]
        late: Duration,
        /// A Backup listens until then before it takes over.
        listen_until: Option<Time>,
    },
    /// Addresses were missing while Master and are being put back.
    AddressesMissing {
        /// Which.
        addresses: Vec<IpAddr>,
    },
    /// An address could not be added; it is tried again after an advertisement interval.
    AddressNotInstalled {
        /// Which.
        address: IpAddr,
        /// The driver's words.
        detail: String,
    },
    /// Another host claims one of our addresses. It is announced again, at most once in 10 s.
    AddressClaimed {
        /// Which.
        address: IpAddr,
        /// Where it claims to live.
        hardware: HardwareAddress,
    },
    /// The driver could not send. Once until it has sent for a minute without failure.
    SendFailed {
        /// The driver's words.
        detail: String,
    },
    /// In Fault, the causes are others than before.
    FaultCausesChanged {
        /// All of them now.
        causes: Vec<FaultCause>,
    },
}

/// Why two routers may both be Master.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Suspicion {
    /// It does not yield to our higher priority: it does not hear us, though we hear it.
    OneWayLink,
    /// It lists none of our addresses: two virtual routers with one identifier.
    VridClash,
    /// It has another authentication type or password.
    Authentication,
    /// It has another advertisement interval, which version 2 does not accept.
    Interval,
    /// It lists other addresses, and the configuration demands the same.
    AddressList,
    /// It speaks the other version.
    Version,
    /// It was not configured as a peer, or speaks multicast to unicast.
    Peers,
}

impl Suspicion {
    /// What a dropped packet makes likely.
    pub(crate) const fn of(reason: Rejected) -> Option<Self> {
        Some(match reason {
            Rejected::Version => Self::Version,
            Rejected::AuthUnknown | Rejected::AuthMismatch | Rejected::AuthFailed => {
                Self::Authentication
            }
            Rejected::Interval => Self::Interval,
            Rejected::AddressList => Self::AddressList,
            Rejected::Delivery | Rejected::UnknownPeer | Rejected::PeerHopLimit => Self::Peers,
            _ => return None,
        })
    }
}

impl std::fmt::Display for Suspicion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::OneWayLink => "it does not seem to hear us",
            Self::VridClash => "another virtual router has the same identifier",
            Self::Authentication => "its authentication differs",
            Self::Interval => "its advertisement interval differs",
            Self::AddressList => "its list of addresses differs",
            Self::Version => "it speaks the other version",
            Self::Peers => "it is not a peer of ours",
        })
    }
}
