//! A Master: its rhythm, its rivals, and its addresses.
//!
//! # Design: hosts must learn who won
//!
//! Two Masters that could not hear each other have both announced the addresses, and hosts believe
//! whoever spoke last. When they hear each other again, the one that yields says a last
//! advertisement of its lower priority, and the one that stays announces the addresses again; what
//! if that word is lost is told in `last_word.rs`. A Master that is replaced in the ordinary course
//! of preemption says the same word; the new one expects it and does not announce a second time.

use std::net::IpAddr;
use std::time::Duration;

use super::Instance;
use super::check::{Addresses, Advertisement};
use super::election::{self, Contest};
use super::output::{Event, Output, Suspicion};
use super::reason::{Heard, Reason};
use super::state::{Master, Phase, Rival};
use crate::input::Trouble;
use crate::time::Time;
use crate::types::{HardwareAddress, Name};
use crate::wire::AdvertisedPriority;

/// Advertisements of a lower Master after which it seems not to hear us.
const DEAF_AFTER: u64 = 3;

/// Advertisements of another owner after which an owner doubts itself.
const DOUBT_AFTER: u32 = 3;

/// Failures in a row after which an instance leaves its addresses to another router.
const MOST_INSTALL_FAILURES: u32 = 3;

/// The least time between two answers to another host's claim. Source: RFC 5227 section 2.1.1.
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);

impl Instance {
    const fn holding(&mut self) -> Option<&mut Master> {
        match &mut self.phase {
            Phase::Master(master) => Some(master),
            _ => None,
        }
    }

    fn own_interval(&self) -> Duration {
        self.config.advert_interval.as_duration()
    }

    // === Advertisements ===

    pub(super) fn master_advertisement(&mut self, now: Time, advertisement: &Advertisement) {
        let address = advertisement.source;
        let AdvertisedPriority::Priority(priority) = advertisement.priority else {
            return self.rival_resigned(now, address);
        };
        let heard = Heard { address, priority };
        let Some(source) = self.source else {
            return;
        };
        match election::contest((self.effective, source), (priority, address)) {
            Contest::TheyWin => self.yield_to(now, advertisement, heard),
            // It came while this instance stood still, and so did others: one answer to all.
            Contest::WeWin if self.stands_still(now) => {
                if let Some(master) = self.holding() {
                    master.overheard = true;
                }
            }
            Contest::WeWin => self.lower_heard(now, advertisement, heard),
            Contest::Same => {
                if self.limits.same_address.occur(now).is_some() {
                    self.event(Event::SameAddress { address });
                }
            }
        }
    }

    fn rival_resigned(&mut self, now: Time, from: IpAddr) {
        let interval = self.own_interval();
        self.event(Event::ResignationHeard { from });
        self.advertise_again();
        if let Some(master) = self.holding() {
            master.advert_at = now + interval;
        }
        // Who resigns was Master, so hosts may believe in it.
        if !self.expected(now, from) {
            self.announce_over(now);
        }
    }

    /// Whether this is the last word of the Master that this one took over from.
    fn expected(&mut self, now: Time, address: IpAddr) -> bool {
        let Some(master) = self.holding() else {
            return false;
        };
        let taken_from = master.taken_from;
        let expected = taken_from.is_some_and(|(it, until)| it == address && now <= until);
        if expected {
            master.taken_from = None;
        }
        expected
    }

    fn yield_to(&mut self, now: Time, advertisement: &Advertisement, by: Heard) {
        let ours = self.effective;
        if by.priority.is_owner() && ours.is_owner() {
            self.owner_conflict(now, by.address);
        }
        let last_word = self.say_last_word(now, advertisement);
        self.release();
        self.learn(by.address, advertisement.interval);
        self.enter_backup(now, Reason::Outranked { by, ours }, Some(by));
        if let Phase::Backup(backup) = &mut self.phase {
            backup.last_word = last_word;
        }
    }

    fn lower_heard(&mut self, now: Time, advertisement: &Advertisement, rival: Heard) {
        let address = rival.address;
        if rival.priority.is_owner() {
            self.owner_conflict(now, address);
            self.doubt_ownership(now);
        }
        if self.expected(now, address) {
            self.event(Event::GoodbyeHeard { rival });
        } else {
            let clash = advertisement.addresses == Addresses::Disjoint;
            self.hear_rival(now, address, clash.then_some(Suspicion::VridClash));
            let ours = self.effective;
            if self.is_over_due(now) {
                self.event(Event::LowerPriorityHeard { rival, ours });
            }
            self.announce_over(now);
        }
        if self.config.answer_lower {
            self.advertise_again();
        }
    }

    /// Whether the own advertisement has been due for so long that others may have noticed.
    pub(super) fn stands_still(&self, now: Time) -> bool {
        let tolerance = election::tolerance(self.own_interval());
        matches!(&self.phase, Phase::Master(it) if now.since(it.advert_at) > tolerance)
    }

    /// Whether an interval has passed since the addresses were announced over another Master.
    fn is_over_due(&self, now: Time) -> bool {
        matches!(&self.phase, Phase::Master(it) if it.lower_quiet_until <= now)
    }

    /// Announces the addresses because another Master did; once in an interval. What comes sooner
    /// is made up for by the second set, or by one of its own: the last one may not have reached
    /// the hosts of another Master.
    fn announce_over(&mut self, now: Time) {
        let interval = self.own_interval();
        let announce = self.config.announce;
        let over_due = self.is_over_due(now);
        let Some(master) = self.holding() else {
            return;
        };
        if over_due {
            master.lower_quiet_until = now + interval;
        }
        if announce.lower_repeat == 0 {
            return;
        }
        if over_due {
            let delay = announce.lower_delay;
            master.lower_second_at = (!delay.is_zero()).then(|| now + delay);
            self.announce_all(announce.lower_repeat);
        } else {
            let later = master.lower_quiet_until + election::tolerance(interval);
            master.lower_second_at.get_or_insert(later);
        }
    }

    /// A member of the sync group has heard an advertisement of lower priority.
    pub(crate) fn announce_with_group(&mut self, now: Time) {
        let now = self.advance(now);
        self.announce_over(now);
    }

    fn owner_conflict(&mut self, now: Time, address: IpAddr) {
        if self.limits.owner_conflict.occur(now).is_some() {
            self.event(Event::OwnerConflict { address });
        }
    }

    /// Two owners: the one with the higher address goes on, unless the other does not yield.
    fn doubt_ownership(&mut self, now: Time) {
        let patience = self.own_interval() * 6 / 5;
        let doubt = &mut self.doubt;
        if doubt.adverts == 0 {
            doubt.since = now;
        }
        doubt.adverts += 1;
        if doubt.adverts >= DOUBT_AFTER && now.since(doubt.since) >= patience {
            doubt.doubted = true;
        }
    }

    // === Rivals ===

    /// Another router acts as Master; with a suspicion why, or none yet.
    pub(super) fn hear_rival(&mut self, now: Time, address: IpAddr, suspicion: Option<Suspicion>) {
        let silence = self.own_interval() * 3;
        let Some(master) = self.holding() else {
            return;
        };
        let known = master.rival.filter(|it| it.address == address);
        let mut rival = match (known, master.rival) {
            (Some(rival), _) => rival,
            (None, Some(other)) if now.since(other.heard_at) <= silence => return,
            (None, _) => Rival {
                address,
                since: now,
                heard_at: now,
                packets: 0,
                suspicion: None,
            },
        };
        rival.heard_at = now;
        rival.packets += 1;
        let deaf = (rival.packets >= DEAF_AFTER).then_some(Suspicion::OneWayLink);
        let suspicion = rival.suspicion.or(suspicion).or(deaf);
        let told = rival.suspicion.is_some();
        rival.suspicion = suspicion;
        master.rival = Some(rival);
        if let (Some(suspicion), false) = (suspicion, told) {
            self.event(Event::SecondMaster { address, suspicion });
        }
    }

    fn forget_rival(&mut self, now: Time) {
        let silence = self.own_interval() * 3;
        let Some(master) = self.holding() else {
            return;
        };
        let Some(rival) = master.rival.filter(|it| now.since(it.heard_at) > silence) else {
            return;
        };
        master.rival = None;
        if rival.suspicion.is_some() {
            self.event(Event::SecondMasterGone {
                address: rival.address,
                since: rival.since,
            });
        }
    }

    // === Timers ===

    pub(super) fn master_timeout(&mut self, now: Time) {
        let Phase::Master(Master { advert_at, .. }) = self.phase else {
            return;
        };
        if advert_at <= now && !self.advert_due(now, advert_at) {
            return;
        }
        let announce = self.config.announce;
        let reminders = self.config.reminders.clone();
        let due = |at: &mut Option<Time>| at.take_if(|at| *at <= now).is_some();
        if self.holding().is_some_and(|it| due(&mut it.second_at)) {
            self.announce_all(announce.repeat);
        }
        if self
            .holding()
            .is_some_and(|it| due(&mut it.lower_second_at))
        {
            self.announce_all(announce.lower_repeat);
        }
        if self.holding().is_some_and(|it| due(&mut it.refresh_at)) {
            if let Some(master) = self.holding() {
                master.refresh_at = Some(now + announce.refresh);
            }
            self.announce_all(announce.refresh_repeat);
        }
        if self.holding().is_some_and(|it| due(&mut it.remind_at)) {
            if let Some(master) = self.holding() {
                master.remind_at = Some(now + reminders.interval);
            }
            self.remind(&reminders.interfaces);
        }
        if self.holding().is_some_and(|it| due(&mut it.restore_at)) {
            self.restore(now);
        }
    }

    /// Sends the advertisement that is due; whether the instance is still Master.
    fn advert_due(&mut self, now: Time, due: Time) -> bool {
        let interval = self.own_interval();
        let late = now.since(due);
        let stalled = late > election::tolerance(interval);
        if stalled {
            self.statistics.stalls += 1;
            self.event(Event::Stalled {
                late,
                listen_until: None,
            });
        }
        let replaced = late >= self.shortest_down();
        if stalled && replaced && self.config.yield_after_stall {
            self.resign();
            self.enter_backup(now, Reason::Stalled { late }, None);
            return false;
        }
        let mut overheard = false;
        if let Some(master) = self.holding() {
            overheard = std::mem::take(&mut master.overheard);
            // A little lateness is made up for, so that the rhythm holds.
            master.advert_at = if stalled { now } else { due } + interval;
            if stalled && replaced {
                // Another may have announced the addresses meanwhile; a better one answers first.
                master.second_at = Some(now + interval);
            }
        }
        self.forget_rival(now);
        self.advertise_again();
        if overheard {
            self.announce_over(now);
        }
        true
    }

    // === Trouble ===

    pub(super) fn master_trouble(&mut self, now: Time, trouble: &Trouble) {
        match trouble {
            Trouble::AddressLost { address, interface } => {
                self.address_missing(now, *address, interface, Duration::ZERO);
            }
            Trouble::AddressNotInstalled {
                address,
                interface,
                detail,
            } => self.not_installed(now, *address, interface, detail),
            Trouble::SendFailed { detail } => {
                self.statistics.send_failures += 1;
                if self.limits.send_failed.occur(now).is_some() {
                    let detail = detail.clone();
                    self.event(Event::SendFailed { detail });
                }
            }
            Trouble::AddressClaimed { address, hardware } => {
                self.defend(now, *address, *hardware);
            }
        }
    }

    /// Puts an address on the list of those that are put back, at once or after a while.
    fn address_missing(&mut self, now: Time, address: IpAddr, interface: &Name, after: Duration) {
        let held = self.config.addresses.iter();
        let mut held = held.filter(|it| it.address == address && it.interface == *interface);
        let Some(entry) = held.next().cloned() else {
            return;
        };
        let Some(master) = self.holding() else {
            return;
        };
        if !master.missing.contains(&entry) {
            master.missing.push(entry);
        }
        let at = master.restore_quiet_until.max(now + after);
        let at = master.restore_at.map_or(at, |before| before.min(at));
        master.restore_at = Some(at);
        if at <= now {
            master.restore_at = None;
            self.restore(now);
        }
    }

    fn restore(&mut self, now: Time) {
        let interval = self.own_interval();
        let Some(master) = self.holding() else {
            return;
        };
        master.restore_quiet_until = now + interval;
        let addresses = std::mem::take(&mut master.missing);
        if addresses.is_empty() {
            return;
        }
        self.event(Event::AddressesMissing {
            addresses: addresses.iter().map(|it| it.address).collect(),
        });
        self.outputs.push_back(Output::InstallAddresses {
            addresses: addresses.clone(),
            accept: self.config.accept,
        });
        self.announce_some(&addresses, self.config.announce.repeat);
    }

    fn not_installed(&mut self, now: Time, address: IpAddr, interface: &Name, detail: &str) {
        let Phase::Master(_) = self.phase else {
            return;
        };
        self.event(Event::AddressNotInstalled {
            address,
            detail: detail.to_owned(),
        });
        let interval = self.own_interval();
        let installs = &mut self.installs;
        if now.since(installs.failed_at) > interval * 3 {
            installs.failures = 0;
        }
        // All addresses that fail at one time are one failure.
        if installs.failures == 0 || now > installs.failed_at {
            installs.failures += 1;
        }
        installs.failed_at = now;
        if installs.failures >= MOST_INSTALL_FAILURES {
            installs.failures = 0;
            installs.fault = Some(address);
            installs.probation = true;
        } else {
            self.address_missing(now, address, interface, interval);
        }
    }

    fn defend(&mut self, now: Time, address: IpAddr, hardware: HardwareAddress) {
        let held = self.config.addresses.iter();
        let held: Vec<_> = held.filter(|it| it.address == address).cloned().collect();
        let Some(master) = self.holding() else {
            return;
        };
        if held.is_empty() || now < master.defend_quiet_until {
            return;
        }
        master.defend_quiet_until = now + DEFEND_INTERVAL;
        self.event(Event::AddressClaimed { address, hardware });
        self.announce_some(&held, 1);
    }
}
