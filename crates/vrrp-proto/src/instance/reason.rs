//! Why something happened, in words for logs and status.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::{Seconds, seconds};
use crate::types::{Name, Priority};

/// A router that was heard, and the priority that it advertised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// Its address.
    pub address: IpAddr,
    /// Its priority.
    pub priority: Priority,
}

/// Why the state changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// The instance starts.
    Started,
    /// It owns the addresses and needs no election.
    AddressOwner,
    /// A restarted process goes on as the Master that it was.
    Resumed {
        /// Time since the process before it was last known to be alive.
        #[serde(with = "seconds")]
        silent_for: Duration,
    },
    /// No advertisement for the whole down interval.
    MasterSilent {
        /// The Master that was last heard, if any.
        master: Option<Heard>,
        /// How long nothing was heard.
        #[serde(with = "seconds")]
        silent_for: Duration,
    },
    /// The Master resigned by priority 0.
    MasterResigned {
        /// Who it was.
        master: IpAddr,
    },
    /// A living Master of lower priority is replaced.
    Preempting {
        /// Who it is.
        master: Heard,
    },
    /// A better Master was heard.
    Outranked {
        /// Who it is.
        by: Heard,
        /// Our priority.
        ours: Priority,
    },
    /// There is a cause of fault.
    Fault {
        /// The first one; all are in the instance's status.
        cause: FaultCause,
    },
    /// The last cause of fault is gone.
    Recovered,
    /// The sync group does so.
    Group {
        /// The group.
        group: Name,
        /// The member that decided.
        member: Name,
    },
    /// The instance was not scheduled for so long that another may be Master.
    Stalled {
        /// How late it was.
        #[serde(with = "seconds")]
        late: Duration,
    },
    /// The router stops.
    Stopped,
    /// A new configuration is without this instance.
    Removed,
    /// A new configuration makes another virtual router of this instance.
    Reconfigured,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started => f.write_str("start"),
            Self::AddressOwner => f.write_str("address owner, priority 255"),
            Self::Resumed { silent_for } => {
                write!(f, "was master {} ago", Seconds(*silent_for))
            }
            Self::MasterSilent { master, silent_for } => match master {
                Some(heard) => {
                    let silent_for = Seconds(*silent_for);
                    write!(f, "no advert of {} for {silent_for}", heard.address)
                }
                None => write!(f, "no advert of anybody for {}", Seconds(*silent_for)),
            },
            Self::MasterResigned { master } => write!(f, "{master} resigned"),
            Self::Preempting { master } => {
                write!(
                    f,
                    "preempting {} with priority {}",
                    master.address, master.priority
                )
            }
            Self::Outranked { by, ours } => write!(
                f,
                "advert of {} with priority {}, ours {ours}",
                by.address, by.priority
            ),
            Self::Fault { cause } => cause.fmt(f),
            Self::Recovered => f.write_str("no cause of fault is left"),
            Self::Group { group, member } => write!(f, "group {group} follows {member}"),
            Self::Stalled { late } => write!(f, "was not scheduled for {}", Seconds(*late)),
            Self::Stopped => f.write_str("stop"),
            Self::Removed => f.write_str("removed from the configuration"),
            Self::Reconfigured => f.write_str("another virtual router in the new configuration"),
        }
    }
}

/// Why an instance cannot take part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FaultCause {
    /// The interface is down, has no carrier, or does not exist.
    InterfaceDown {
        /// Which.
        interface: Name,
    },
    /// The interface has no address of the family that could be the source of advertisements, or
    /// not the configured one.
    NoAddress {
        /// Which.
        interface: Name,
    },
    /// A tracked object without weight is bad.
    Tracked {
        /// Which.
        tracker: Name,
        /// The driver's words.
        detail: String,
    },
    /// Another member of the sync group has a fault.
    Group {
        /// The group.
        group: Name,
        /// The member.
        member: Name,
    },
    /// The addresses cannot be added.
    NotInstalled {
        /// The one that failed last.
        address: IpAddr,
    },
}

impl fmt::Display for FaultCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InterfaceDown { interface } => write!(f, "interface {interface} down"),
            Self::NoAddress { interface } => write!(f, "no usable address on {interface}"),
            Self::Tracked { tracker, detail } if detail.is_empty() => {
                write!(f, "{tracker} is bad")
            }
            Self::Tracked { tracker, detail } => write!(f, "{tracker} {detail}"),
            Self::Group { group, member } => {
                write!(f, "member {member} of group {group} has a fault")
            }
            Self::NotInstalled { address } => write!(f, "{address} cannot be added"),
        }
    }
}
