//! Ways into and out of each state. What is done on the way is written here, once.

use std::time::Duration;

use super::output::{Event, Output, Transition};
use super::reason::{FaultCause, Heard, Reason};
use super::state::{Backup, Fault, Master, Phase, Wait};
use super::{INSTALL_PAUSE, Instance, election};
use crate::config::{Delivery, InstanceConfig};
use crate::time::Time;
use crate::types::{AdvertInterval, Name, Version};
use crate::wire::AdvertisedPriority;

impl Instance {
    /// Leaves Initialize: everything is known.
    pub(super) fn start(&mut self, now: Time) {
        let resumes = match &self.phase {
            Phase::Initialize(initialize) => initialize.resumes,
            _ => None,
        };
        if let Some(cause) = self.faults.first().cloned() {
            self.remove_all();
            return self.enter_fault(now, Reason::Fault { cause });
        }
        if let Some(since) = resumes.filter(|since| now < *since + self.shortest_down()) {
            let silent_for = now.since(since);
            return self.enter_master(now, Reason::Resumed { silent_for });
        }
        if self.config.priority.is_owner() && self.group.is_none() {
            return self.enter_master(now, Reason::AddressOwner);
        }
        self.remove_all();
        self.enter_backup(now, Reason::Started, None);
        self.claim_if_owner();
    }

    /// Leaves Fault: no cause is left.
    pub(super) fn recover(&mut self, now: Time) {
        if self.config.priority.is_owner() && self.group.is_none() {
            self.enter_master(now, Reason::Recovered);
        } else {
            self.enter_backup(now, Reason::Recovered, None);
            self.claim_if_owner();
        }
        // Peers and routers on the way may have forgotten where a unicast router lives.
        if let Delivery::Unicast { .. } = self.config.delivery
            && let (Some(interface), Some(address)) = (self.config.interface.clone(), self.source)
        {
            self.statistics.announced += 1;
            self.outputs
                .push_back(Output::Announce { interface, address });
        }
    }

    /// An address owner in a sync group waits for the other members, but not for a Master.
    fn claim_if_owner(&mut self) {
        if self.config.priority.is_owner()
            && let Phase::Backup(backup) = &mut self.phase
        {
            backup.down_at = None;
            backup.watch_at = None;
        }
    }

    /// Enters Fault from whatever state.
    pub(super) fn fail(&mut self, now: Time, cause: FaultCause) {
        if let Phase::Master(_) = self.phase {
            self.resign();
        }
        self.enter_fault(now, Reason::Fault { cause });
    }

    fn enter_fault(&mut self, now: Time, reason: Reason) {
        let retry_at = self.installs.fault.map(|_| now + INSTALL_PAUSE);
        self.enter(now, Phase::Fault(Fault { retry_at }), reason);
    }

    /// Leaves the protocol: a stop, or another virtual router.
    pub(super) fn leave(&mut self, now: Time, reason: Reason) {
        match &self.phase {
            Phase::Initialize(initialize) if initialize.stopped => return,
            // What a process that died has left would stay for ever.
            Phase::Initialize(_) => self.remove_all(),
            Phase::Master(_) => self.resign(),
            Phase::Backup(_) | Phase::Fault(_) => {}
        }
        self.enter(now, Phase::Initialize(super::Initialize::default()), reason);
    }

    /// Becomes Master. The order of the outputs is that of RFC 9568 section 6.4.1 and 6.4.2.
    pub(super) fn enter_master(&mut self, now: Time, reason: Reason) {
        let interval = self.config.advert_interval.as_duration();
        let after = |delay: Duration| (!delay.is_zero()).then(|| now + delay);
        let announce = self.config.announce;
        let master = Master {
            advert_at: now + interval,
            second_at: after(announce.delay),
            refresh_at: after(announce.refresh),
            remind_at: after(self.config.reminders.interval),
            lower_second_at: None,
            lower_quiet_until: now,
            defend_quiet_until: now,
            missing: Vec::new(),
            restore_at: None,
            restore_quiet_until: now,
            taken_from: match &reason {
                Reason::Preempting { master } => Some((master.address, now + interval * 2)),
                _ => None,
            },
            rival: None,
            overheard: false,
        };
        self.doubt = super::Doubt::default();
        self.settle_priority(now);
        if self.master_interval != interval {
            let from = std::mem::replace(&mut self.master_interval, interval);
            let to = self.config.advert_interval;
            self.event(Event::IntervalRestored { from, to });
        }
        self.statistics.became_master += 1;
        self.advertise_again();
        if !self.config.addresses.is_empty() {
            self.outputs.push_back(Output::InstallAddresses {
                addresses: self.config.addresses.clone(),
                accept: self.config.accept,
            });
        }
        self.announce_all(announce.repeat);
        self.enter(now, Phase::Master(master), reason);
    }

    /// Becomes Backup, listening to this Master if there is one. A Master has let go before.
    pub(super) fn enter_backup(&mut self, now: Time, reason: Reason, master: Option<Heard>) {
        if master.is_none() {
            self.master_interval = self.config.advert_interval.as_duration();
        }
        let mut backup = Backup {
            wait: Wait::Full,
            started: now,
            down_at: None,
            watch_at: None,
            preempt_at: None,
            master,
            discarded: None,
            resigned: None,
            silent_since: now,
            last_word: None,
        };
        self.arm(&mut backup, now, Wait::Full);
        self.enter(now, Phase::Backup(backup), reason);
    }

    /// Starts a Backup's timers.
    pub(super) fn arm(&self, backup: &mut Backup, now: Time, wait: Wait) {
        let interval = self.master_interval;
        let down_at = now + self.span(wait);
        let watch_at = now + interval + election::tolerance(interval);
        backup.wait = wait;
        backup.started = now;
        backup.down_at = Some(down_at);
        backup.watch_at = (wait == Wait::Full && watch_at < down_at).then_some(watch_at);
    }

    /// How long a Backup waits.
    pub(super) fn span(&self, wait: Wait) -> Duration {
        let (version, priority) = (self.config.version, self.effective);
        let interval = self.master_interval;
        let adverts = self.config.down_adverts;
        match wait {
            Wait::Full => election::master_down_interval(version, priority, interval, adverts),
            Wait::Skew => election::skew_time(version, priority, interval),
            Wait::Listen => election::master_down_interval(version, priority, interval, 1),
        }
    }

    /// For how long a Master may be silent without any Backup taking over, less the one interval
    /// in which its last advertisement may have come.
    pub(super) fn shortest_down(&self) -> Duration {
        let interval = self.config.advert_interval.as_duration();
        interval * u32::from(self.config.down_adverts.saturating_sub(1))
    }

    /// Stops being Master without a better one: priority 0, then the addresses.
    pub(super) fn resign(&mut self) {
        let interval = self.config.advert_interval;
        self.advertise(AdvertisedPriority::Resign, interval);
        self.release();
    }

    /// Stops being Master, without a word.
    pub(super) fn release(&mut self) {
        self.remove_all();
        self.statistics.released_master += 1;
    }

    fn remove_all(&mut self) {
        if !self.config.addresses.is_empty() {
            let addresses = self.config.addresses.clone();
            self.outputs
                .push_back(Output::RemoveAddresses { addresses });
        }
    }

    fn enter(&mut self, now: Time, phase: Phase, reason: Reason) {
        let from = self.state();
        self.phase = phase;
        self.since = now;
        self.reason = reason.clone();
        self.outputs.push_back(Output::StateChanged(Transition {
            from,
            to: self.state(),
            reason,
            priority: self.effective,
        }));
    }

    /// Sends a Master's advertisement.
    pub(super) fn advertise_again(&mut self) {
        let interval = self.config.advert_interval;
        self.advertise(AdvertisedPriority::Priority(self.effective), interval);
    }

    /// Sends an advertisement. One that has just lost its address still resigns by it.
    pub(super) fn advertise(&mut self, priority: AdvertisedPriority, interval: AdvertInterval) {
        let Some(source) = self.source.or(self.last_source) else {
            return;
        };
        let packets = self
            .sender
            .advertise(&self.config, source, priority, interval);
        for packet in packets {
            self.statistics.sent += 1;
            if priority == AdvertisedPriority::Resign {
                self.statistics.priority_zero_sent += 1;
            }
            self.outputs.push_back(Output::SendAdvertisement(packet));
        }
    }

    /// Announces each address so many times, all of them in turn; not those that are missing.
    pub(super) fn announce_all(&mut self, repeat: u32) {
        let mut addresses = self.config.addresses.clone();
        if let Phase::Master(master) = &self.phase {
            addresses.retain(|it| !master.missing.contains(it));
        }
        self.announce_some(&addresses, repeat);
    }

    /// Announces the first address of each interface.
    pub(super) fn remind(&mut self, interfaces: &[Name]) {
        let addresses = &self.config.addresses;
        let first = |name: &Name| {
            let mut there = addresses.iter();
            there
                .find(|it| it.announced && it.interface == *name)
                .cloned()
        };
        let first: Vec<_> = interfaces.iter().filter_map(first).collect();
        self.announce_some(&first, 1);
    }

    pub(super) fn announce_some(
        &mut self,
        addresses: &[crate::config::VirtualAddress],
        repeat: u32,
    ) {
        for _ in 0..repeat.max(1) {
            for entry in addresses.iter().filter(|entry| entry.announced) {
                self.statistics.announced += 1;
                self.outputs.push_back(Output::Announce {
                    interface: entry.interface.clone(),
                    address: entry.address,
                });
            }
        }
    }

    /// Goes by a new configuration of the same virtual router, in whatever state.
    pub(super) fn adopt(&mut self, now: Time, config: InstanceConfig) {
        let old = std::mem::replace(&mut self.config, config);
        let new = self.config.clone();
        let interval = new.advert_interval.as_duration();
        if let Phase::Master(master) = &mut self.phase {
            master.advert_at = master.advert_at.min(now + interval);
            master.missing.retain(|entry| new.addresses.contains(entry));
            if new.announce.refresh != old.announce.refresh {
                let refresh = new.announce.refresh;
                master.refresh_at = (!refresh.is_zero()).then(|| now + refresh);
            }
            if new.reminders.interval != old.reminders.interval {
                let interval = new.reminders.interval;
                master.remind_at = (!interval.is_zero()).then(|| now + interval);
            }
            self.master_interval = interval;
            self.exchange_addresses(now, &old, &new);
        } else if old.advert_interval != new.advert_interval {
            let learnt = new.version == Version::V3
                && matches!(&self.phase, Phase::Backup(it) if it.master.is_some());
            if !learnt {
                self.master_interval = interval;
            }
            self.backup_retime(now);
        }
        if old.down_adverts != new.down_adverts {
            self.backup_retime(now);
        }
    }

    fn exchange_addresses(&mut self, now: Time, old: &InstanceConfig, new: &InstanceConfig) {
        let without = |these: &InstanceConfig, those: &InstanceConfig| -> Vec<_> {
            let kept = |entry: &&_| !those.addresses.contains(entry);
            these.addresses.iter().filter(kept).cloned().collect()
        };
        let removed = without(old, new);
        if !removed.is_empty() {
            self.outputs
                .push_back(Output::RemoveAddresses { addresses: removed });
        }
        let added = without(new, old);
        if !added.is_empty() || old.accept != new.accept {
            self.outputs.push_back(Output::InstallAddresses {
                addresses: added.clone(),
                accept: new.accept,
            });
            self.announce_some(&added, new.announce.repeat);
            if let Phase::Master(master) = &mut self.phase
                && !new.announce.delay.is_zero()
            {
                master.second_at = Some(now + new.announce.delay);
            }
        }
    }

    // === For the sync group ===

    /// Makes the instance a member of this group, or of none.
    pub(crate) fn join(&mut self, now: Time, group: Option<Name>) {
        let now = self.advance(now);
        if self.group == group {
            return;
        }
        self.group = group;
        self.group_fault = None;
        // What the old group has not agreed to is waited for anew.
        if self.is_ready()
            && let Phase::Backup(backup) = &self.phase
        {
            let mut backup = backup.clone();
            self.arm(&mut backup, now, Wait::Full);
            self.phase = Phase::Backup(backup);
        }
        self.settle(now);
    }

    /// Whether it would be Master if the other members agreed.
    pub(crate) const fn is_ready(&self) -> bool {
        matches!(&self.phase, Phase::Backup(backup) if backup.down_at.is_none())
    }

    /// Becomes Master with its group.
    pub(crate) fn promote(&mut self, now: Time, reason: Reason) {
        let now = self.advance(now);
        if let Phase::Backup(_) = self.phase {
            self.enter_master(now, reason);
        }
    }

    /// Becomes Backup with its group.
    pub(crate) fn demote(&mut self, now: Time, reason: Reason) {
        let now = self.advance(now);
        if let Phase::Master(_) = self.phase {
            self.resign();
            self.enter_backup(now, reason, None);
        }
    }

    /// Another member has a fault, or none has any more.
    pub(crate) fn set_group_fault(&mut self, now: Time, member: Option<Name>) {
        let now = self.advance(now);
        if self.group_fault != member {
            self.group_fault = member;
            self.settle(now);
        }
    }

    /// Learns the Master's interval; version 3 only.
    pub(super) fn learn(&mut self, master: std::net::IpAddr, interval: AdvertInterval) {
        let learnt = interval.as_duration();
        if self.config.version == Version::V3 && learnt != self.master_interval {
            let from = std::mem::replace(&mut self.master_interval, learnt);
            self.event(Event::IntervalLearnt {
                from,
                to: interval,
                master,
            });
        }
    }
}
