//! An instance as an operator sees it.

use std::net::IpAddr;

use serde::Serialize;

use super::Instance;
use super::reason::{FaultCause, Heard, Reason};
use super::state::{Phase, Rival, State};
use crate::rejected::Statistics;
use crate::time::Time;
use crate::types::{AdvertInterval, Family, Name, Priority, Version, Vrid};

/// Everything about an instance at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Its name.
    pub name: Name,
    /// Its virtual router identifier.
    pub vrid: Vrid,
    /// Its version.
    pub version: Version,
    /// Its family.
    pub family: Family,
    /// Its interface.
    pub interface: Option<Name>,
    /// Its state.
    pub state: State,
    /// Since when it is in this state.
    pub since: Time,
    /// Why it is in this state.
    pub reason: Reason,
    /// The same as a sentence.
    pub reason_text: String,
    /// Its configured priority.
    pub priority: Priority,
    /// Its priority with the adjustments of tracked objects.
    pub effective_priority: Priority,
    /// Its own advertisement interval.
    pub advert_interval: AdvertInterval,
    /// The source address of its advertisements.
    pub source: Option<IpAddr>,
    /// In Backup: the Master that was last accepted.
    pub master: Option<Heard>,
    /// In Backup: a Master of lower priority that is about to be replaced.
    pub discarded: Option<Heard>,
    /// As Master: another Master that is heard.
    pub rival: Option<Rival>,
    /// Why it is in Fault.
    pub faults: Vec<FaultCause>,
    /// Its sync group.
    pub group: Option<Name>,
    /// What it waits for.
    pub timers: Timers,
    /// What it has counted.
    pub statistics: Statistics,
}

/// The deadlines that are armed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Timers {
    /// Initialize: end of the start-up delay.
    pub startup: Option<Time>,
    /// Backup: when it takes over.
    pub master_down: Option<Time>,
    /// Backup: until when a Master of lower priority is accepted.
    pub preempt: Option<Time>,
    /// Master: the next advertisement.
    pub advertisement: Option<Time>,
    /// Master: the next announcement of addresses.
    pub announcement: Option<Time>,
    /// Master: when missing addresses are put back.
    pub restore: Option<Time>,
    /// Fault: when it tries again.
    pub retry: Option<Time>,
}

impl Instance {
    /// Everything about it at this moment.
    pub fn status(&self) -> Status {
        let config = &self.config;
        let (master, discarded, rival) = match &self.phase {
            Phase::Backup(backup) => (backup.master, backup.discarded, None),
            Phase::Master(master) => (None, None, master.rival),
            Phase::Initialize(_) | Phase::Fault(_) => (None, None, None),
        };
        Status {
            name: self.name.clone(),
            vrid: config.vrid,
            version: config.version,
            family: config.family,
            interface: config.interface.clone(),
            state: self.state(),
            since: self.since,
            reason: self.reason.clone(),
            reason_text: self.reason.to_string(),
            priority: config.priority,
            effective_priority: self.effective,
            advert_interval: config.advert_interval,
            source: self.source,
            master,
            discarded,
            rival,
            faults: self.faults.clone(),
            group: self.group.clone(),
            timers: self.timers(),
            statistics: self.statistics,
        }
    }

    fn timers(&self) -> Timers {
        match &self.phase {
            Phase::Initialize(initialize) => Timers {
                startup: initialize.delayed_until,
                ..Timers::default()
            },
            Phase::Backup(backup) => Timers {
                master_down: backup.down_at,
                preempt: backup.preempt_at,
                ..Timers::default()
            },
            Phase::Master(master) => {
                let sets = [
                    master.second_at,
                    master.refresh_at,
                    master.remind_at,
                    master.lower_second_at,
                ];
                Timers {
                    advertisement: Some(master.advert_at),
                    announcement: sets.into_iter().flatten().min(),
                    restore: master.restore_at,
                    ..Timers::default()
                }
            }
            Phase::Fault(fault) => Timers {
                retry: fault.retry_at,
                ..Timers::default()
            },
        }
    }
}
