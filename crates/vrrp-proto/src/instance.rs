//! One virtual router: the public machine.
//!
//! | state | an advertisement … | the timer … | a fault |
//! |---|---|---|---|
//! | Initialize | is ignored | start-up delay over: Backup; the owner: Master | Fault |
//! | Backup | of priority 0: wait for the skew time only | runs out: Master | Fault |
//! | | of a Master not below us, or without preemption: wait anew | | |
//! | | of a Master that has not answered our last word: the word again, now and then | | |
//! | | of a lower Master: ignored | | |
//! | Master | of priority 0: answered at once | advertise again | resign, Fault |
//! | | of a better Master: Backup | | |
//! | | of a lower Master: answered at once, addresses announced | | |
//! | Fault | is ignored | | last cause gone: Backup; the owner: Master |
//!
//! Source: RFC 3768 and RFC 9568 section 6.4; Fault and all that leads there is keepalived's.
//!
//! # Design
//!
//! The state is an enum whose variants own their timers, so none survives a change of state. Every
//! input ends in `settle`, the one place that compares what is with what should be: priority,
//! causes of fault, conditions of the start. Leaving a state and entering the next are functions of
//! their own, so what is done on the way in or out is written once.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use crate::config::{ConfigError, Delivery, InstanceConfig, Preempt};
use crate::input::{InterfaceState, Trouble};
use crate::rejected::{Rejected, Statistics};
use crate::time::Time;
use crate::track::{TrackReport, Trackers};
use crate::types::{Family, Name, Priority};
use crate::wire::ChecksumRule;
use crate::wire::ip::{Carried, Datagram};

mod auth;
mod backup;
mod check;
pub mod election;
mod last_word;
mod limit;
mod master;
mod output;
mod reason;
mod send;
mod state;
mod status;
mod transition;

pub use output::{Event, Output, Suspicion, Transition, Transmit};
pub use reason::{FaultCause, Heard, Reason};
pub use state::{Rival, State};
pub use status::{Status, Timers};

use self::check::Advertisement;
use self::limit::Limits;
use self::send::Sender;
use self::state::{Initialize, Phase};

/// How long an instance leaves its addresses to others after it could not add them.
const INSTALL_PAUSE: Duration = Duration::from_secs(30);

/// A virtual router.
///
/// The methods fall into four groups:
///
/// - What comes in: [`handle_datagram`](Self::handle_datagram),
///   [`handle_interface`](Self::handle_interface), [`handle_track`](Self::handle_track),
///   [`handle_trouble`](Self::handle_trouble), [`handle_timeout`](Self::handle_timeout).
/// - Commands: [`reconfigure`](Self::reconfigure), [`resume`](Self::resume),
///   [`announce`](Self::announce), [`stop`](Self::stop).
/// - What goes out: [`poll_output`](Self::poll_output), [`poll_timeout`](Self::poll_timeout).
/// - Getters: all others. They change nothing.
///
/// After any call of the first two groups, drain `poll_output` until it returns `None`, do what it
/// says in its order, then arm a timer for `poll_timeout`. When a timer and a socket are ready
/// together, read the socket first: what the Master said counts more than that it seemed silent. A
/// `handle_timeout` that comes late, early or twice is harmless; one that comes so late that
/// others may have noticed is seen as a stall. `now` that goes back counts as the latest `now`.
///
/// A new instance is in [`State::Initialize`]. It starts once the start-up delay is over, its
/// interface was reported, and so was every tracked object without weight.
#[derive(Clone, Debug)]
pub struct Instance {
    name: Name,
    config: InstanceConfig,
    phase: Phase,
    now: Time,
    since: Time,
    reason: Reason,
    interface: Option<InterfaceState>,
    source: Option<IpAddr>,
    /// The last source address, for a last word when there is none any more.
    last_source: Option<IpAddr>,
    trackers: Trackers,
    effective: Priority,
    /// Interval of the Master: learnt in version 3, else ours.
    master_interval: Duration,
    faults: Vec<FaultCause>,
    group: Option<Name>,
    group_fault: Option<Name>,
    installs: Installs,
    doubt: Doubt,
    checksum_seen: ChecksumRule,
    limits: Limits,
    sender: Sender,
    statistics: Statistics,
    outputs: VecDeque<Output>,
}

/// How the driver fares with adding addresses.
#[derive(Clone, Copy, Debug, Default)]
struct Installs {
    /// Failures in a row, and the time of the last one.
    failures: u32,
    failed_at: Time,
    /// What has become a cause of fault.
    fault: Option<IpAddr>,
    /// After such a fault no living Master is preempted: it can do what we could not.
    probation: bool,
}

/// How sure an address owner is of its ownership.
#[derive(Clone, Copy, Debug, Default)]
struct Doubt {
    /// Advertisements of another owner that should have yielded, and the time of the first.
    adverts: u32,
    since: Time,
    /// Whether our priority is 254 therefore.
    doubted: bool,
}

impl Instance {
    /// A virtual router in [`State::Initialize`].
    ///
    /// # Errors
    ///
    /// What is wrong with the configuration.
    pub fn new(name: Name, config: InstanceConfig, now: Time) -> Result<Self, ConfigError> {
        config.check()?;
        let initialize = Initialize {
            delayed_until: Some(now + config.startup_delay),
            ..Initialize::default()
        };
        let mut instance = Self {
            name,
            phase: Phase::Initialize(initialize),
            now,
            since: now,
            reason: Reason::Started,
            interface: None,
            source: None,
            last_source: None,
            trackers: Trackers::new(config.trackers.clone()),
            effective: config.priority,
            master_interval: config.advert_interval.as_duration(),
            faults: Vec::new(),
            group: None,
            group_fault: None,
            installs: Installs::default(),
            doubt: Doubt::default(),
            checksum_seen: config.checksum,
            limits: Limits::default(),
            sender: Sender::new(&config, now),
            statistics: Statistics::default(),
            outputs: VecDeque::new(),
            config,
        };
        instance.find_source();
        Ok(instance)
    }

    // === What comes in ===

    /// A packet came in on the instance's interface.
    pub fn handle_datagram(&mut self, now: Time, datagram: &Datagram<'_>) {
        let now = self.advance(now);
        match datagram.parse() {
            Ok(carried) => self.handle_carried(now, &carried),
            Err(error) => self.reject(now, None, error.into()),
        }
    }

    pub(crate) fn handle_carried(&mut self, now: Time, carried: &Carried<'_>) {
        let now = self.advance(now);
        if let Phase::Initialize(_) | Phase::Fault(_) = self.phase {
            self.statistics.rejected.count(Rejected::NotRunning);
            return;
        }
        match check::check(&self.config, &mut self.sender.sequences, carried) {
            Ok(advertisement) => self.accept(now, &advertisement),
            Err(reason) => self.reject(now, Some(carried.source), reason),
        }
    }

    /// The instance's interface is as told.
    pub fn handle_interface(&mut self, now: Time, state: &InterfaceState) {
        let now = self.advance(now);
        self.interface = Some(state.clone());
        self.find_source();
        self.installs = Installs::default();
        self.settle(now);
    }

    /// A tracked object has a new status. One that is not tracked is ignored.
    pub fn handle_track(&mut self, now: Time, report: &TrackReport) {
        let now = self.advance(now);
        if self.trackers.report(report) {
            self.settle(now);
        }
    }

    /// Something went wrong outside.
    pub fn handle_trouble(&mut self, now: Time, trouble: &Trouble) {
        let now = self.advance(now);
        self.master_trouble(now, trouble);
        self.settle(now);
    }

    /// A deadline may have come.
    pub fn handle_timeout(&mut self, now: Time) {
        let now = self.advance(now);
        match &mut self.phase {
            Phase::Initialize(initialize) => {
                if initialize.delayed_until.is_some_and(|until| until <= now) {
                    initialize.delayed_until = None;
                }
            }
            Phase::Backup(_) => self.backup_timeout(now),
            Phase::Master(_) => self.master_timeout(now),
            Phase::Fault(fault) => {
                if fault.retry_at.is_some_and(|at| at <= now) {
                    fault.retry_at = None;
                    self.installs.fault = None;
                }
            }
        }
        self.settle(now);
    }

    // === Commands ===

    /// Goes by another configuration from now on.
    ///
    /// A Master stays Master and an address that is in both configurations is not touched, unless
    /// the new one is another virtual router (VRID, version, family, interface or destination):
    /// then the instance resigns and starts anew, without start-up delay.
    ///
    /// # Errors
    ///
    /// What is wrong with the configuration; then nothing has changed.
    pub fn reconfigure(&mut self, now: Time, config: InstanceConfig) -> Result<(), ConfigError> {
        config.check()?;
        let now = self.advance(now);
        if same_router(&self.config, &config) {
            self.adopt(now, config);
        } else {
            if self.state() != State::Initialize {
                self.leave(now, Reason::Reconfigured);
            }
            self.config = config;
            self.interface = None;
            self.phase = Phase::Initialize(Initialize {
                delayed_until: Some(now),
                ..Initialize::default()
            });
        }
        self.sender.reconfigure(&self.config);
        self.trackers.reconfigure(self.config.trackers.clone());
        self.find_source();
        self.installs = Installs::default();
        self.checksum_seen = self.config.checksum;
        self.settle(now);
        Ok(())
    }

    /// A process that was Master of this virtual router died `silent_for` ago. Its last
    /// advertisement may be one interval older; if even so no Backup can have taken over yet, the
    /// instance starts as Master, and its addresses are never removed. To be said before the
    /// interface is reported. A `silent_for` that is too short risks two Masters for a moment.
    pub fn resume(&mut self, now: Time, silent_for: Duration) {
        let now = self.advance(now);
        if let Phase::Initialize(initialize) = &mut self.phase {
            initialize.resumes = Some(now - silent_for);
        }
    }

    /// Announces the addresses again, if Master.
    pub fn announce(&mut self, now: Time) {
        self.advance(now);
        if let Phase::Master(_) = self.phase {
            self.announce_all(self.config.announce.repeat);
        }
    }

    /// Resigns, if Master, and takes no part any more.
    pub fn stop(&mut self, now: Time, reason: Reason) {
        let now = self.advance(now);
        self.leave(now, reason);
        self.phase = Phase::Initialize(Initialize {
            stopped: true,
            ..Initialize::default()
        });
    }

    // === What goes out ===

    /// The next step for the driver.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) has to be called next; `None` for never.
    /// Any call of the first two groups may change it.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        self.phase.deadline()
    }

    // === Getters ===

    /// Its name.
    pub const fn name(&self) -> &Name {
        &self.name
    }

    /// What it goes by.
    pub const fn config(&self) -> &InstanceConfig {
        &self.config
    }

    /// Its state.
    pub const fn state(&self) -> State {
        self.phase.state()
    }

    /// The priority with the adjustments of tracked objects.
    pub const fn effective_priority(&self) -> Priority {
        self.effective
    }

    /// Its interface as it was last reported.
    pub const fn interface(&self) -> Option<&InterfaceState> {
        self.interface.as_ref()
    }

    /// The source address of its advertisements, if it has one.
    pub const fn source(&self) -> Option<IpAddr> {
        self.source
    }

    /// Why it is in [`State::Fault`]; empty in all other states but Initialize.
    pub fn faults(&self) -> &[FaultCause] {
        &self.faults
    }

    /// What it has counted.
    pub const fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    // === Common to all states ===

    /// Time never goes back.
    fn advance(&mut self, now: Time) -> Time {
        self.now = self.now.max(now);
        self.now
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn accept(&mut self, now: Time, advertisement: &Advertisement) {
        self.statistics.received += 1;
        if advertisement.priority == crate::wire::AdvertisedPriority::Resign {
            self.statistics.priority_zero_received += 1;
        }
        let source = advertisement.source;
        if advertisement.checksum != self.checksum_seen {
            self.checksum_seen = advertisement.checksum;
            let rule = advertisement.checksum;
            self.event(Event::ChecksumDiffers { source, rule });
        }
        if advertisement.addresses != check::Addresses::Same
            && self.limits.address_list.occur(now).is_some()
        {
            self.event(Event::AddressListDiffers { source });
        }
        match self.phase {
            Phase::Backup(_) => self.backup_advertisement(now, advertisement),
            Phase::Master(_) => self.master_advertisement(now, advertisement),
            Phase::Initialize(_) | Phase::Fault(_) => {}
        }
        self.settle(now);
    }

    fn reject(&mut self, now: Time, source: Option<IpAddr>, reason: Rejected) {
        self.statistics.rejected.count(reason);
        if let Some(count) = self.limits.rejected(reason, now) {
            self.event(Event::Rejected {
                source,
                reason,
                count,
            });
        }
        if let (Some(source), Some(suspicion)) = (source, Suspicion::of(reason)) {
            self.hear_rival(now, source, Some(suspicion));
        }
    }

    /// Compares what is with what should be, and acts on the difference.
    fn settle(&mut self, now: Time) {
        self.settle_priority(now);
        let faults: Vec<FaultCause> = self.own_faults().chain(self.group_faults()).collect();
        let changed = faults != self.faults;
        self.faults = faults;
        match &self.phase {
            Phase::Initialize(initialize) => {
                let delayed = initialize.delayed_until.is_some_and(|until| now < until);
                if !initialize.stopped && !delayed && !self.is_waiting() {
                    self.start(now);
                }
            }
            Phase::Fault(_) if self.faults.is_empty() => self.recover(now),
            Phase::Fault(_) if changed => {
                let causes = self.faults.clone();
                self.event(Event::FaultCausesChanged { causes });
            }
            Phase::Fault(_) => {}
            Phase::Backup(_) | Phase::Master(_) => {
                if let Some(cause) = self.faults.first().cloned() {
                    self.fail(now, cause);
                }
            }
        }
    }

    fn settle_priority(&mut self, now: Time) {
        let from = self.effective;
        let to = if self.doubt.doubted {
            Priority::HIGHEST
        } else {
            self.trackers.effective(self.config.priority)
        };
        if from != to {
            self.effective = to;
            self.event(Event::PriorityChanged { from, to });
            self.backup_retime(now);
        }
    }

    /// Whether something that decides about the start is not known yet.
    fn is_waiting(&self) -> bool {
        let interface = self.config.interface.is_some() && self.interface.is_none();
        interface || self.trackers.waiting()
    }

    /// Causes of fault that are this instance's own.
    pub(crate) fn own_faults(&self) -> impl Iterator<Item = FaultCause> {
        let link = self.link_fault();
        let tracked = self.trackers.faults();
        let tracked = tracked.map(|(tracker, detail)| FaultCause::Tracked {
            tracker: tracker.clone(),
            detail: detail.to_owned(),
        });
        let address = self.installs.fault;
        let installs = address.map(|address| FaultCause::NotInstalled { address });
        link.into_iter().chain(tracked).chain(installs)
    }

    fn link_fault(&self) -> Option<FaultCause> {
        let interface = self.config.interface.as_ref()?.clone();
        let down = self.interface.as_ref().is_some_and(|state| !state.up);
        if down && self.config.track_interface {
            return Some(FaultCause::InterfaceDown { interface });
        }
        let known = self.interface.is_some();
        (known && self.source.is_none()).then_some(FaultCause::NoAddress { interface })
    }

    fn group_faults(&self) -> Option<FaultCause> {
        Some(FaultCause::Group {
            group: self.group.clone()?,
            member: self.group_fault.clone()?,
        })
    }

    fn find_source(&mut self) {
        self.source = self.choose_source();
        self.last_source = self.source.or(self.last_source);
    }

    /// The configured source, else the first fit address of the interface.
    fn choose_source(&self) -> Option<IpAddr> {
        if self.config.source.is_some() {
            return self.config.source;
        }
        let owner = self.config.priority.is_owner();
        let ours = |address| self.config.addresses.iter().any(|it| it.address == address);
        let addresses = self.interface.iter().flat_map(|state| &state.addresses);
        let mut fit = addresses
            .copied()
            .filter(|it| Family::of(*it) == self.config.family && (owner || !ours(*it)));
        match self.config.family {
            Family::Ipv4 => fit.next(),
            Family::Ipv6 => {
                let fit: Vec<IpAddr> = fit.collect();
                let multicast = matches!(self.config.delivery, Delivery::Multicast { .. });
                let local = fit.iter().find(|it| is_link_local(it));
                let any = fit.first().filter(|_| !multicast);
                local.or(any).copied()
            }
        }
    }

    /// Whether a living Master of lower priority is replaced.
    fn preempt(&self) -> Preempt {
        if self.installs.probation {
            Preempt::Never
        } else {
            self.config.preempt
        }
    }
}

const fn is_link_local(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// Whether two configurations are of the same virtual router.
fn same_router(a: &InstanceConfig, b: &InstanceConfig) -> bool {
    let group = |delivery: &Delivery| match delivery {
        Delivery::Multicast { group } => Some(*group),
        Delivery::Unicast { .. } => None,
    };
    let key = |it: &InstanceConfig| (it.vrid, it.version, it.family, group(&it.delivery));
    key(a) == key(b) && a.interface == b.interface
}
