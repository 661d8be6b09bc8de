//! The states and what each of them holds.
//!
//! What a state does not hold cannot be used in it, and what the next state does not take along is
//! gone: no timer of a Backup can fire in a Master.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::last_word::LastWord;
use super::output::Suspicion;
use super::reason::Heard;
use crate::config::VirtualAddress;
use crate::time::Time;

/// The state of a virtual router. Source: RFC 9568 section 6.4 (which says Active where operators
/// and RFC 3768 say Master); Fault is keepalived's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not started: the start-up delay runs, the interface or a tracked object is not known yet;
    /// or stopped.
    Initialize,
    /// Listens to a Master.
    Backup,
    /// Holds the addresses.
    Master,
    /// Something that it needs is broken; it takes no part.
    Fault,
}

impl State {
    /// The operators' name: `MASTER`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Initialize => "INIT",
            Self::Backup => "BACKUP",
            Self::Master => "MASTER",
            Self::Fault => "FAULT",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A state with its data.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    Initialize(Initialize),
    Backup(Backup),
    Master(Master),
    Fault(Fault),
}

impl Phase {
    pub(super) const fn state(&self) -> State {
        match self {
            Self::Initialize(_) => State::Initialize,
            Self::Backup(_) => State::Backup,
            Self::Master(_) => State::Master,
            Self::Fault(_) => State::Fault,
        }
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        match self {
            Self::Initialize(initialize) => initialize.delayed_until,
            Self::Backup(backup) => backup.deadline(),
            Self::Master(master) => master.deadline(),
            Self::Fault(fault) => fault.retry_at,
        }
    }
}

/// Waiting for the start.
#[derive(Clone, Debug, Default)]
pub(super) struct Initialize {
    /// The end of the start-up delay; `None` once it is over.
    pub(super) delayed_until: Option<Time>,
    /// When the process before this one, which was Master, was last known to be alive.
    pub(super) resumes: Option<Time>,
    /// Stopped for good.
    pub(super) stopped: bool,
}

/// What a Backup waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// The whole down interval.
    Full,
    /// The skew time, after a resignation.
    Skew,
    /// Listening after a stall.
    Listen,
}

/// Listening to a Master.
#[derive(Clone, Debug)]
pub(super) struct Backup {
    /// What is waited for.
    pub(super) wait: Wait,
    /// Since when.
    pub(super) started: Time,
    /// When it is over; `None` once it is over and the sync group has still to agree.
    pub(super) down_at: Option<Time>,
    /// When to look whether this instance is awake though nothing is heard.
    pub(super) watch_at: Option<Time>,
    /// Until when a Master of lower priority is accepted, once one was heard.
    pub(super) preempt_at: Option<Time>,
    /// The Master that was last accepted.
    pub(super) master: Option<Heard>,
    /// The Master of lower priority that is being ignored.
    pub(super) discarded: Option<Heard>,
    /// Who resigned.
    pub(super) resigned: Option<IpAddr>,
    /// When a Master was last accepted, else when this state began.
    pub(super) silent_since: Time,
    /// What it said when it yielded to a better Master, until that is answered.
    pub(super) last_word: Option<LastWord>,
}

impl Backup {
    fn deadline(&self) -> Option<Time> {
        earliest([self.down_at, self.watch_at])
    }
}

/// Holding the addresses.
#[derive(Clone, Debug)]
pub(super) struct Master {
    /// The next advertisement.
    pub(super) advert_at: Time,
    /// The second set of announcements.
    pub(super) second_at: Option<Time>,
    /// The next refresh.
    pub(super) refresh_at: Option<Time>,
    /// The next reminder.
    pub(super) remind_at: Option<Time>,
    /// The second set after an advertisement of lower priority.
    pub(super) lower_second_at: Option<Time>,
    /// Before that, no further set because of an advertisement of lower priority.
    pub(super) lower_quiet_until: Time,
    /// Before that, no further answer to another host's claim.
    pub(super) defend_quiet_until: Time,
    /// Addresses that are to be put back.
    pub(super) missing: Vec<VirtualAddress>,
    /// When to put them back.
    pub(super) restore_at: Option<Time>,
    /// Before that, what is lost is not put back.
    pub(super) restore_quiet_until: Time,
    /// The Master that this one took over from though it was alive, and until when its goodbye is
    /// expected.
    pub(super) taken_from: Option<(IpAddr, Time)>,
    /// Another Master that is heard.
    pub(super) rival: Option<Rival>,
    /// Whether one was heard while this one stood still.
    pub(super) overheard: bool,
}

impl Master {
    fn deadline(&self) -> Option<Time> {
        earliest([
            Some(self.advert_at),
            self.second_at,
            self.refresh_at,
            self.remind_at,
            self.lower_second_at,
            self.restore_at,
        ])
    }
}

/// Taking no part.
#[derive(Clone, Debug, Default)]
pub(super) struct Fault {
    /// When to try again what the driver could not do.
    pub(super) retry_at: Option<Time>,
}

/// Another Master that a Master hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rival {
    /// Who.
    pub address: IpAddr,
    /// Since when.
    pub since: Time,
    /// When it was last heard.
    pub heard_at: Time,
    /// How many of its packets were heard.
    pub packets: u64,
    /// Why it may be a Master, too; `None` as long as it may just be yielding.
    pub suspicion: Option<Suspicion>,
}

fn earliest<const N: usize>(deadlines: [Option<Time>; N]) -> Option<Time> {
    deadlines.into_iter().flatten().min()
}
