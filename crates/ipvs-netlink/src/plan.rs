//! From what is to what shall be, in as few commands as possible.
//!
//! Design: a pure function of two lists. Services and destinations are matched by their keys;
//! counters and connections of what stays are untouched, because it is edited and never made anew.
//! The order of commands keeps traffic flowing while they are done one by one: services that go make
//! room first, then each service gets its settings, new destinations, changed ones, and only then
//! loses those that go, so that it is never empty in between.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::command::Command;
use crate::destination::{Destination, DestinationKey};
use crate::service::{ServiceKey, VirtualService};

/// A service with its destinations, in the order in which they were or shall be added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceRules {
    /// The service.
    pub service: VirtualService,
    /// Its destinations. Of several with one key the last counts.
    pub destinations: Vec<Destination>,
}

/// The smallest list of commands that turns `actual` into `wished`.
///
/// Doing them in order on a table that holds `actual` gives exactly `wished`; planning again then
/// gives nothing. The order of destinations that stay is kept, new ones are added in wished order.
/// Of several wished services with one key the last counts.
pub fn plan(wished: &[ServiceRules], actual: &[ServiceRules]) -> Vec<Command> {
    let wanted: HashMap<ServiceKey, &ServiceRules> = wished
        .iter()
        .map(|rules| (rules.service.key, rules))
        .collect();
    let present: HashMap<ServiceKey, &ServiceRules> = actual
        .iter()
        .map(|rules| (rules.service.key, rules))
        .collect();
    let mut commands = Vec::new();

    for key in unique(actual.iter().map(|rules| rules.service.key)) {
        if !wanted.contains_key(&key) {
            commands.push(Command::DeleteService(key));
        }
    }
    for key in unique(wished.iter().map(|rules| rules.service.key)) {
        let Some(rules) = wanted.get(&key) else {
            continue;
        };
        match present.get(&key) {
            None => {
                commands.push(Command::AddService(rules.service.clone()));
                plan_destinations(&rules.destinations, &[], key, &mut commands);
            }
            Some(old) => {
                if old.service != rules.service {
                    commands.push(Command::EditService(rules.service.clone()));
                }
                plan_destinations(&rules.destinations, &old.destinations, key, &mut commands);
            }
        }
    }
    commands
}

fn plan_destinations(
    wished: &[Destination],
    actual: &[Destination],
    service: ServiceKey,
    commands: &mut Vec<Command>,
) {
    let wanted = by_key(wished);
    let present = by_key(actual);
    let order = || unique(wished.iter().map(Destination::key));

    for key in order() {
        if let (Some(destination), None) = (wanted.get(&key), present.get(&key)) {
            commands.push(Command::AddDestination {
                service,
                destination: **destination,
            });
        }
    }
    for key in order() {
        if let (Some(destination), Some(old)) = (wanted.get(&key), present.get(&key))
            && destination != old
        {
            commands.push(Command::EditDestination {
                service,
                destination: **destination,
            });
        }
    }
    for key in unique(actual.iter().map(Destination::key)) {
        if !wanted.contains_key(&key) {
            commands.push(Command::DeleteDestination {
                service,
                destination: key,
            });
        }
    }
}

fn by_key(destinations: &[Destination]) -> HashMap<DestinationKey, &Destination> {
    destinations
        .iter()
        .map(|destination| (destination.key(), destination))
        .collect()
}

/// Each key once, where it first stands.
fn unique<K: Copy + Eq + std::hash::Hash>(keys: impl Iterator<Item = K>) -> Vec<K> {
    let mut seen = std::collections::HashSet::new();
    keys.filter(|key| seen.insert(*key)).collect()
}
