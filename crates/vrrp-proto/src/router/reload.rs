//! From one configuration to the next.

use std::collections::HashMap;

use super::listeners::Listeners;
use super::{Refused, Router};
use crate::config::{NamedInstance, RouterConfig};
use crate::instance::{Instance, Reason, State};
use crate::sync_group::SyncGroup;
use crate::time::Time;
use crate::track::TrackReport;
use crate::types::Name;

impl Router {
    pub(super) fn retire(&mut self, now: Time, place: usize) {
        if let Some(instance) = self.instances.get_mut(place) {
            instance.stop(now, Reason::Removed);
            self.drain(now, place);
        }
    }

    /// Keeps, changes and makes instances so that they are the wished ones, in this order.
    pub(super) fn rebuild(&mut self, now: Time, wished: &[NamedInstance]) -> Result<(), Refused> {
        let old = std::mem::take(&mut self.instances);
        let mut old: HashMap<Name, Instance> =
            old.into_iter().map(|it| (it.name().clone(), it)).collect();
        for NamedInstance { name, config } in wished {
            let refused = |error| Refused {
                errors: vec![(name.clone(), error)],
            };
            let instance = match old.remove(name) {
                Some(instance) if instance.config() == config => instance,
                Some(mut instance) => {
                    instance.reconfigure(now, config.clone()).map_err(refused)?;
                    instance
                }
                None => Instance::new(name.clone(), config.clone(), now).map_err(refused)?,
            };
            self.instances.push(instance);
        }
        let names = self.instances.iter().map(|it| it.name().clone());
        self.places = names.zip(0..).collect();
        self.listeners = Listeners::of_all(&self.instances);
        let lent = self.instances.iter().map(Instance::config);
        let lent = lent.filter(|config| !config.priority.is_owner());
        let lent = lent.flat_map(|config| &config.addresses);
        self.virtual_addresses = lent.map(|entry| entry.address).collect();
        self.deadlines.clear();
        self.armed = vec![None; self.instances.len()];
        for place in 0..self.instances.len() {
            self.drain(now, place);
            self.rearm(place);
        }
        Ok(())
    }

    pub(super) fn regroup(&mut self, now: Time, config: &RouterConfig) {
        let old = std::mem::take(&mut self.groups);
        let mut group_of = HashMap::new();
        for group in &config.groups {
            let members = group.members.iter();
            let members: Vec<usize> = members
                .filter_map(|name| self.places.get(name).copied())
                .collect();
            group_of.extend(members.iter().map(|place| (*place, group.name.clone())));
            let before = old.iter().find(|it| it.name == group.name);
            self.groups.push(SyncGroup {
                name: group.name.clone(),
                members,
                state: before.map_or(State::Initialize, |it| it.state),
            });
        }
        for place in 0..self.instances.len() {
            let group = group_of.get(&place).cloned();
            self.member(now, place, |it| it.join(now, group));
        }
    }

    /// Tells an instance all that is known already.
    pub(super) fn inform(&mut self, now: Time, place: usize) {
        let Some(config) = self.instances.get(place).map(Instance::config) else {
            return;
        };
        let trackers = config.trackers.iter();
        let reports: Vec<TrackReport> = trackers
            .filter_map(|it| self.tracked.get(&it.name).cloned())
            .collect();
        let interface = config.interface.clone();
        for report in reports {
            self.member(now, place, |it| it.handle_track(now, &report));
        }
        if let Some(name) = interface
            && let Some(state) = self.interfaces.get(&name)
        {
            let seen = self.without_virtual(state);
            self.show_interface(now, place, &name, &seen);
        }
    }
}
