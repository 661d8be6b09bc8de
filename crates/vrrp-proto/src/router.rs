//! All virtual routers of a process behind one door.
//!
//! # Design
//!
//! The RFC calls a router that runs VRRP a VRRP router, whatever the number of its virtual routers.
//! [`Router`] owns the instances and what they have in common: who gets a packet, sync groups, the
//! gap between announcements, reload. Everything that comes in is an [`Input`] value and everything
//! that goes out a [`RouterOutput`] value, so a recording of the one replays the other.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{ConfigError, RouterConfig};
use crate::input::{Input, InterfaceState, Trouble};
use crate::instance::{Event, Instance, Output, Reason, State, Transition};
use crate::pacing::{Pacing, Waiting};
use crate::rejected::{Rejected, Rejections};
use crate::sync_group::SyncGroup;
use crate::time::Time;
use crate::track::TrackReport;
use crate::types::{Family, Name};
use crate::wire::field;
use crate::wire::ip::{Carried, Datagram};

mod groups;
mod listeners;
mod reload;

use self::listeners::{Listeners, is_addressed};

/// One step for the driver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouterOutput {
    /// A step of an instance.
    Instance {
        /// Which.
        instance: Name,
        /// What to do.
        output: Output,
    },
    /// The members of a group are about to follow one of them. Comes after that one's change of
    /// state and before the others'.
    GroupSyncing {
        /// Which group.
        group: Name,
        /// Who decided.
        member: Name,
        /// The state that all are to have.
        to: State,
    },
    /// The members of a group have all changed their state. Comes after the members' own.
    GroupChanged {
        /// Which group.
        group: Name,
        /// The state before.
        from: State,
        /// The state now.
        to: State,
    },
    /// Packets that are for no instance. At most one such output a minute for each interface and VRID.
    Unclaimed {
        /// Where they came in.
        interface: Name,
        /// Who sent the last one, if its header could be read.
        source: Option<IpAddr>,
        /// Its virtual router identifier, if it has one.
        vrid: Option<u8>,
        /// Why it is for nobody.
        reason: Rejected,
    },
}

/// A configuration that was refused, with every instance and group that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub struct Refused {
    /// Each name with the first rule that it breaks; never empty.
    pub errors: Vec<(Name, ConfigError)>,
}

impl Refused {
    fn text(&self) -> String {
        let lines = self
            .errors
            .iter()
            .map(|(name, error)| format!("{name}: {error}"));
        lines.collect::<Vec<_>>().join("; ")
    }
}

/// All virtual routers of a process.
///
/// The methods fall into the four groups of [`Instance`], and the same order of calls applies:
/// after any `handle_*` or command, drain [`poll_output`](Self::poll_output), then arm a timer for
/// [`poll_timeout`](Self::poll_timeout); read sockets before timers.
///
/// A `Router` remembers how interfaces and tracked objects are, so they may be reported before or
/// after an instance that needs them comes into the configuration.
#[derive(Debug, Default)]
pub struct Router {
    instances: Vec<Instance>,
    places: HashMap<Name, usize>,
    listeners: Listeners,
    groups: Vec<SyncGroup>,
    pacing: Pacing,
    interfaces: HashMap<Name, InterfaceState>,
    tracked: HashMap<Name, TrackReport>,
    virtual_addresses: HashSet<IpAddr>,
    deadlines: BTreeSet<(Time, usize)>,
    armed: Vec<Option<Time>>,
    unclaimed: Rejections,
    told_unclaimed: HashMap<Name, HashMap<Option<u8>, Time>>,
    outputs: VecDeque<RouterOutput>,
}

/// The least time between two [`RouterOutput::Unclaimed`] of an interface and a VRID.
const UNCLAIMED_GAP: Duration = Duration::from_secs(60);

impl Router {
    /// A router without instances; give it a configuration.
    pub fn new() -> Self {
        Self::default()
    }

    /// Anything that can happen.
    ///
    /// # Errors
    ///
    /// Only for [`Input::Configure`]: what is wrong with the configuration.
    pub fn handle(&mut self, now: Time, input: &Input<'_>) -> Result<(), Refused> {
        match input {
            Input::Configure(config) => return self.configure(now, config),
            Input::Resume {
                instance,
                silent_for,
            } => self.resume(now, instance, *silent_for),
            Input::Datagram {
                interface,
                datagram,
            } => self.handle_datagram(now, interface.as_str(), datagram),
            Input::Interface { interface, state } => self.handle_interface(now, interface, state),
            Input::Track(report) => self.handle_track(now, report),
            Input::Trouble { instance, trouble } => self.handle_trouble(now, instance, trouble),
            Input::Announce { instance } => self.announce(now, instance),
            Input::Timeout => self.handle_timeout(now),
            Input::Stop => self.stop(now),
        }
        Ok(())
    }

    // === What comes in ===

    /// A packet came in on an interface.
    pub fn handle_datagram(&mut self, now: Time, interface: &str, datagram: &Datagram<'_>) {
        let carried = match datagram.parse() {
            Ok(carried) => carried,
            Err(error) => return self.unclaimed(now, interface, None, None, error.into()),
        };
        let [vrid] = field(carried.payload, 1);
        let key = (Family::of(carried.source), vrid);
        let candidates = self.listeners.of(interface, key);
        match self.choose(candidates, &carried) {
            Some(place) => self.with(now, place, |it| it.handle_carried(now, &carried)),
            None => {
                let (source, vrid) = (Some(carried.source), Some(vrid));
                self.unclaimed(now, interface, source, vrid, Rejected::UnknownVrid);
            }
        }
    }

    /// An interface is as told.
    pub fn handle_interface(&mut self, now: Time, interface: &Name, state: &InterfaceState) {
        self.interfaces.insert(interface.clone(), state.clone());
        let seen = self.without_virtual(state);
        for place in 0..self.instances.len() {
            self.show_interface(now, place, interface, &seen);
        }
    }

    /// A tracked object has a new status.
    pub fn handle_track(&mut self, now: Time, report: &TrackReport) {
        self.tracked.insert(report.tracker.clone(), report.clone());
        for place in 0..self.instances.len() {
            self.with(now, place, |it| it.handle_track(now, report));
        }
    }

    /// Something went wrong outside of an instance. One that does not exist (any more) is ignored.
    pub fn handle_trouble(&mut self, now: Time, instance: &Name, trouble: &Trouble) {
        if let Some(&place) = self.places.get(instance) {
            self.with(now, place, |it| it.handle_trouble(now, trouble));
        }
    }

    /// A deadline may have come.
    pub fn handle_timeout(&mut self, now: Time) {
        let due = self.deadlines.iter().take_while(|(at, _)| *at <= now);
        for place in due.map(|(_, place)| *place).collect::<Vec<_>>() {
            self.with(now, place, |it| it.handle_timeout(now));
        }
        while let Some(waiting) = self.pacing.due(now) {
            self.push_announcement(waiting);
        }
    }

    // === Commands ===

    /// Goes by this configuration from now on: at the start, and at a reload. Instances are
    /// matched by name; one that is the same in both configurations does not notice.
    ///
    /// # Errors
    ///
    /// All that is wrong with it; then nothing has changed.
    pub fn configure(&mut self, now: Time, config: &RouterConfig) -> Result<(), Refused> {
        config.check().map_err(|errors| Refused { errors })?;
        let wished: HashSet<&Name> = config.instances.iter().map(|it| &it.name).collect();
        for place in 0..self.instances.len() {
            let gone = self.instances.get(place).map(Instance::name);
            if gone.is_some_and(|name| !wished.contains(name)) {
                self.retire(now, place);
            }
        }
        for waiting in self.pacing.reconfigure(&config.pacing) {
            self.push_announcement(waiting);
        }
        self.rebuild(now, &config.instances)?;
        self.regroup(now, config);
        for place in 0..self.instances.len() {
            self.inform(now, place);
        }
        for place in 0..self.groups.len() {
            self.coordinate(now, place, None);
        }
        Ok(())
    }

    /// A process that died was Master of this instance; see [`Instance::resume`]. To be said
    /// after the first configuration and before interfaces are reported.
    pub fn resume(&mut self, now: Time, instance: &Name, silent_for: Duration) {
        if let Some(&place) = self.places.get(instance) {
            self.with(now, place, |it| it.resume(now, silent_for));
        }
    }

    /// Announces an instance's addresses again, if it is Master.
    pub fn announce(&mut self, now: Time, instance: &Name) {
        if let Some(&place) = self.places.get(instance) {
            self.with(now, place, |it| it.announce(now));
        }
    }

    /// Resigns everywhere.
    pub fn stop(&mut self, now: Time) {
        for place in 0..self.instances.len() {
            // Not coordinated: each of them resigns by itself.
            if let Some(instance) = self.instances.get_mut(place) {
                instance.stop(now, Reason::Stopped);
            }
            self.drain(now, place);
            self.rearm(place);
        }
        for place in 0..self.groups.len() {
            self.tell_group(place);
        }
    }

    // === What goes out ===

    /// The next step for the driver.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<RouterOutput> {
        self.outputs.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) has to be called next; `None` for never.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        let instances = self.deadlines.first().map(|(at, _)| *at);
        [instances, self.pacing.deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    // === Getters ===

    /// The instance whose deadline comes first; `None` if none has one.
    ///
    /// A driver may want to be more exact for a Backup, whose deadline is the end of a silence and
    /// rarely comes, than for a Master, which has one for every advertisement.
    #[must_use]
    pub fn next_due(&self) -> Option<&Instance> {
        let (_, place) = self.deadlines.first()?;
        self.instances.get(*place)
    }

    /// The instances, in the order of the configuration.
    pub fn instances(&self) -> &[Instance] {
        &self.instances
    }

    /// The instance of this name.
    pub fn instance(&self, name: &str) -> Option<&Instance> {
        self.instances.get(*self.places.get(name)?)
    }

    /// The groups and their states, in the order of the configuration.
    pub fn groups(&self) -> impl Iterator<Item = (&Name, State)> {
        self.groups.iter().map(|group| (&group.name, group.state))
    }

    /// Packets that were for no instance, by reason.
    pub const fn unclaimed_packets(&self) -> &Rejections {
        &self.unclaimed
    }

    // === One instance ===

    /// Calls an instance and does all that follows.
    fn with(&mut self, now: Time, place: usize, call: impl FnOnce(&mut Instance)) {
        let Some(instance) = self.instances.get_mut(place) else {
            return;
        };
        call(instance);
        let heard_lower = self.drain(now, place);
        self.rearm(place);
        let group = self
            .groups
            .iter()
            .position(|it| it.members.contains(&place));
        if let Some(group) = group {
            if heard_lower {
                self.announce_group(now, group, place);
            }
            self.coordinate(now, group, Some(place));
        }
    }

    /// Moves an instance's outputs to the queue; whether a lower Master was heard.
    fn drain(&mut self, now: Time, place: usize) -> bool {
        let mut heard_lower = false;
        let Some(instance) = self.instances.get_mut(place) else {
            return false;
        };
        let name = instance.name().clone();
        while let Some(output) = instance.poll_output() {
            match &output {
                Output::Announce { interface, address } => {
                    let waiting = Waiting {
                        instance: name.clone(),
                        interface: interface.clone(),
                        address: *address,
                    };
                    if self.pacing.offer(now, waiting).is_none() {
                        continue;
                    }
                }
                Output::RemoveAddresses { addresses } => self.pacing.forget(&name, addresses),
                Output::Event(Event::LowerPriorityHeard { .. }) => heard_lower = true,
                _ => {}
            }
            self.outputs.push_back(RouterOutput::Instance {
                instance: name.clone(),
                output,
            });
        }
        heard_lower
    }

    fn rearm(&mut self, place: usize) {
        let deadline = self.instances.get(place).and_then(Instance::poll_timeout);
        let Some(armed) = self.armed.get_mut(place) else {
            return;
        };
        let before = std::mem::replace(armed, deadline);
        if before != deadline {
            if let Some(at) = before {
                self.deadlines.remove(&(at, place));
            }
            self.deadlines.extend(deadline.map(|at| (at, place)));
        }
    }

    fn push_announcement(&mut self, waiting: Waiting) {
        self.outputs.push_back(RouterOutput::Instance {
            instance: waiting.instance,
            output: Output::Announce {
                interface: waiting.interface,
                address: waiting.address,
            },
        });
    }

    /// An interface's state without virtual addresses: those cannot be a source.
    fn without_virtual(&self, state: &InterfaceState) -> InterfaceState {
        let own = |address: &&IpAddr| !self.virtual_addresses.contains(*address);
        InterfaceState {
            up: state.up,
            addresses: state.addresses.iter().filter(own).copied().collect(),
        }
    }

    fn show_interface(&mut self, now: Time, place: usize, name: &Name, seen: &InterfaceState) {
        let Some(instance) = self.instances.get(place) else {
            return;
        };
        let concerned = instance.config().interface.as_ref() == Some(name);
        if concerned && instance.interface() != Some(seen) {
            self.with(now, place, |it| it.handle_interface(now, seen));
        }
    }

    fn unclaimed(
        &mut self,
        now: Time,
        interface: &str,
        source: Option<IpAddr>,
        vrid: Option<u8>,
        reason: Rejected,
    ) {
        self.unclaimed.count(reason);
        let told = self.told_unclaimed.get(interface);
        let told = told.and_then(|vrids| vrids.get(&vrid));
        if told.is_some_and(|at| now < *at + UNCLAIMED_GAP) {
            return;
        }
        let interface = Name::from(interface);
        let vrids = self.told_unclaimed.entry(interface.clone()).or_default();
        vrids.insert(vrid, now);
        self.outputs.push_back(RouterOutput::Unclaimed {
            interface,
            source,
            vrid,
            reason,
        });
    }

    /// Of instances with one VRID the one that the packet was sent to.
    fn choose(&self, candidates: &[usize], carried: &Carried<'_>) -> Option<usize> {
        let fits = |place: &&usize| {
            let config = self.instances.get(**place).map(Instance::config);
            config.is_some_and(|config| is_addressed(config, carried))
        };
        candidates
            .iter()
            .find(fits)
            .or_else(|| candidates.first())
            .copied()
    }
}

impl RouterOutput {
    /// The change of state that this is, with the name of its instance.
    pub const fn transition(&self) -> Option<(&Name, &Transition)> {
        match self {
            Self::Instance {
                instance,
                output: Output::StateChanged(transition),
            } => Some((instance, transition)),
            _ => None,
        }
    }
}
