//! A Backup: what it makes of advertisements, and of silence.
//!
//! # Design: silence and sleep
//!
//! A Backup that was not scheduled cannot tell a dead Master from its own absence. So while nothing
//! is heard it asks to be woken once for every missing advertisement; in good times these wake-ups
//! never come, because each advertisement moves them. If one of them, or the end of the wait, comes
//! later than half an interval, the instance stood still and what it did not hear means nothing: it
//! listens for one more interval and the skew time before it takes over. Without a stall nothing is
//! delayed.

use super::check::Advertisement;
use super::output::Event;
use super::reason::{Heard, Reason};
use super::state::{Backup, Phase, Wait};
use super::{Instance, election};
use crate::config::Preempt;
use crate::time::Time;
use crate::wire::AdvertisedPriority;

impl Instance {
    pub(super) fn backup_advertisement(&mut self, now: Time, advertisement: &Advertisement) {
        let Phase::Backup(backup) = &self.phase else {
            return;
        };
        let mut backup = backup.clone();
        match advertisement.priority {
            AdvertisedPriority::Resign => self.master_resigned(now, advertisement, &mut backup),
            AdvertisedPriority::Priority(priority) => {
                let heard = Heard {
                    address: advertisement.source,
                    priority,
                };
                self.master_heard(now, advertisement, heard, &mut backup);
            }
        }
        self.phase = Phase::Backup(backup);
    }

    fn master_resigned(&mut self, now: Time, advertisement: &Advertisement, backup: &mut Backup) {
        let from = advertisement.source;
        let before = backup.down_at;
        self.arm(backup, now, Wait::Skew);
        // A wait that ends sooner stays: resignations must not keep a Backup from its duty.
        backup.down_at = backup.down_at.min(before.or(backup.down_at));
        backup.resigned = Some(from);
        self.event(Event::ResignationHeard { from });
    }

    fn master_heard(
        &mut self,
        now: Time,
        advertisement: &Advertisement,
        heard: Heard,
        backup: &mut Backup,
    ) {
        let lower = heard.priority < self.effective;
        let accepted = match self.preempt() {
            _ if !lower => {
                if backup.preempt_at.take().is_some() {
                    self.event(Event::PreemptDelayStopped);
                }
                true
            }
            Preempt::Never => true,
            Preempt::AtOnce => false,
            Preempt::After(delay) => {
                if backup.preempt_at.is_none() {
                    let until = now + delay;
                    backup.preempt_at = Some(until);
                    self.event(Event::PreemptDelayStarted { until });
                }
                backup.preempt_at.is_some_and(|until| now < until)
            }
        };
        if !accepted {
            if backup.discarded.map(|it| it.address) != Some(heard.address) {
                self.event(Event::LowerPriorityDiscarded { master: heard });
            }
            backup.discarded = Some(heard);
            return;
        }
        let before = backup.master.replace(heard);
        if before.map(|it| it.address) != Some(heard.address) {
            self.event(Event::MasterChanged {
                from: before.map(|it| it.address),
                to: heard,
            });
        }
        self.learn(heard.address, advertisement.interval);
        self.arm(backup, now, Wait::Full);
        backup.discarded = None;
        backup.resigned = None;
        backup.silent_since = now;
        self.repeat_last_word(now, advertisement, heard, backup);
    }

    pub(super) fn backup_timeout(&mut self, now: Time) {
        let Phase::Backup(backup) = &self.phase else {
            return;
        };
        let mut backup = backup.clone();
        let tolerance = election::tolerance(self.master_interval);
        if let Some(at) = backup.watch_at.filter(|at| *at <= now) {
            if now.since(at) > tolerance {
                return self.listen_first(now, at, backup);
            }
            let next = at + self.master_interval;
            backup.watch_at = Some(next).filter(|at| Some(*at) < backup.down_at);
        }
        if let Some(at) = backup.down_at.filter(|at| *at <= now) {
            // A machine that is always late would listen for ever: to listen twice it must have
            // missed the whole first time.
            let allowed = match backup.wait {
                Wait::Listen => self.span(Wait::Listen),
                Wait::Full | Wait::Skew => tolerance,
            };
            if now.since(at) > allowed {
                return self.listen_first(now, at, backup);
            }
            backup.down_at = None;
            backup.watch_at = None;
            let reason = Self::expiry(now, &backup);
            self.phase = Phase::Backup(backup);
            if self.group.is_none() {
                self.enter_master(now, reason);
            }
            return;
        }
        self.phase = Phase::Backup(backup);
    }

    /// Why a Backup whose wait is over becomes Master.
    fn expiry(now: Time, backup: &Backup) -> Reason {
        match (backup.wait, backup.resigned, backup.discarded) {
            (Wait::Skew, Some(master), _) => Reason::MasterResigned { master },
            (_, _, Some(master)) => Reason::Preempting { master },
            _ => Reason::MasterSilent {
                master: backup.master,
                silent_for: now.since(backup.silent_since),
            },
        }
    }

    /// Why this member of a sync group is ready to be Master.
    pub(crate) fn readiness(&self) -> Option<Reason> {
        match &self.phase {
            Phase::Backup(_) if self.config.priority.is_owner() => Some(Reason::AddressOwner),
            Phase::Backup(backup) => Some(Self::expiry(self.now, backup)),
            _ => None,
        }
    }

    fn listen_first(&mut self, now: Time, at: Time, mut backup: Backup) {
        self.statistics.stalls += 1;
        self.arm(&mut backup, now, Wait::Listen);
        let listen_until = backup.down_at;
        self.phase = Phase::Backup(backup);
        self.event(Event::Stalled {
            late: now.since(at),
            listen_until,
        });
    }

    /// Counts the wait anew from its beginning, with the present priority and intervals.
    pub(super) fn backup_retime(&mut self, now: Time) {
        let Phase::Backup(backup) = &self.phase else {
            return;
        };
        if backup.down_at.is_none() {
            return;
        }
        let mut backup = backup.clone();
        let (started, wait) = (backup.started, backup.wait);
        self.arm(&mut backup, started, wait);
        // What lies behind would look like a stall.
        backup.down_at = backup.down_at.map(|at| at.max(now));
        while let Some(at) = backup.watch_at.filter(|at| *at < now) {
            let next = at + self.master_interval;
            backup.watch_at = Some(next).filter(|at| Some(*at) < backup.down_at);
        }
        self.phase = Phase::Backup(backup);
    }
}
