//! From what is to what shall be, in as few commands as possible.
//!
//! Design: a pure function of two lists. Services and destinations are matched by their keys;
//! counters and connections of what stays are untouched, because it is edited and never made anew.
//! The order of commands keeps traffic flowing while they are done one by one: services that go make
//! room first, then each service gets its settings, new destinations, changed ones, and only then
//! loses those that go, so that it is never empty in between.

use serde::{Deserialize, Serialize};

use crate::command::Command;
use crate::destination::Destination;
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
    let Matches { pairs, gone } = matches(wished, actual, |rules| rules.service.key);
    let mut commands = Vec::new();
    commands.extend(gone.map(|rules| Command::DeleteService(rules.service.key)));
    for (new, old) in pairs {
        let destinations = match old {
            None => {
                commands.push(Command::AddService(new.service.clone()));
                &[]
            }
            Some(old) => {
                if old.service != new.service {
                    commands.push(Command::EditService(new.service.clone()));
                }
                old.destinations.as_slice()
            }
        };
        let service = new.service.key;
        plan_destinations(&new.destinations, destinations, service, &mut commands);
    }
    commands
}

fn plan_destinations(
    wished: &[Destination],
    actual: &[Destination],
    service: ServiceKey,
    commands: &mut Vec<Command>,
) {
    let edit = |new: &Destination| Command::EditDestination {
        service,
        destination: *new,
    };
    let pairs = || wished.iter().zip(actual);
    if wished.len() == actual.len() && pairs().all(|(new, old)| new.key() == old.key()) {
        // The usual case in the usual order: nothing comes or goes, and nothing need be looked up.
        let changed = pairs().filter(|(new, old)| new != old);
        commands.extend(changed.map(|(new, _)| edit(new)));
        return;
    }
    let Matches { pairs, gone } = matches(wished, actual, Destination::key);
    let added = pairs.iter().filter(|(_, old)| old.is_none());
    commands.extend(added.map(|(new, _)| Command::AddDestination {
        service,
        destination: **new,
    }));
    let changed = pairs
        .iter()
        .filter(|(new, old)| old.is_some_and(|old| old != *new));
    commands.extend(changed.map(|(new, _)| edit(new)));
    commands.extend(gone.map(|old| Command::DeleteDestination {
        service,
        destination: old.key(),
    }));
}

/// What two lists have in common, by key.
struct Matches<'a, T, G> {
    /// Each that is wished, in that order, and what there is of its key.
    pairs: Vec<(&'a T, Option<&'a T>)>,
    /// What is not wished, in the order of what there is.
    gone: G,
}

/// Matches by walking through both in the order of their keys: a map of each would take longer to
/// fill than to ask.
fn matches<'a, T, K: Ord>(
    wished: &'a [T],
    actual: &'a [T],
    key: fn(&T) -> K,
) -> Matches<'a, T, impl Iterator<Item = &'a T>> {
    let by_key = |list: &'a [T]| {
        let mut places: Vec<usize> = (0..list.len()).collect();
        places.sort_by_key(|place| list.get(*place).map(key));
        // Of those with one key the last, which stands first when read backwards.
        places.reverse();
        places.dedup_by_key(|place| list.get(*place).map(key));
        places.reverse();
        places
    };
    let mut old = by_key(actual).into_iter().peekable();
    let mut pairs = Vec::with_capacity(wished.len());
    let mut gone = Vec::new();
    for place in by_key(wished) {
        let Some(new) = wished.get(place) else {
            continue;
        };
        let key_of = |place: &usize| actual.get(*place).map(key);
        while let Some(before) = old.next_if(|place| key_of(place) < Some(key(new))) {
            gone.push(before);
        }
        let same = old.next_if(|place| key_of(place) == Some(key(new)));
        pairs.push((place, new, same.and_then(|place| actual.get(place))));
    }
    gone.extend(old);
    gone.sort_unstable();
    pairs.sort_unstable_by_key(|(place, ..)| *place);
    Matches {
        pairs: pairs.into_iter().map(|(_, new, old)| (new, old)).collect(),
        gone: gone.into_iter().filter_map(|place| actual.get(place)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::{DestinationKey, ForwardMethod, Table};

    /// Tables over few keys, so that two of them have much in common.
    fn rules() -> impl Strategy<Value = Vec<ServiceRules>> {
        let destinations = prop::collection::btree_map(0_u8..6, (0_u32..3, 0_u32..2), 0..6);
        let settings = (0_usize..2, prop::bool::ANY, destinations);
        prop::collection::btree_map(0_u16..6, settings, 0..6).prop_map(|services| {
            services
                .into_iter()
                .map(|(port, settings)| service_rules(port, settings))
                .collect()
        })
    }

    fn service_rules(
        port: u16,
        (scheduler, persistent, destinations): (usize, bool, BTreeMap<u8, (u32, u32)>),
    ) -> ServiceRules {
        let key = ServiceKey::tcp(([10, 0, 0, 1], port).into());
        let scheduler = ["rr", "wlc"][scheduler].parse().unwrap();
        ServiceRules {
            service: VirtualService {
                persistence_timeout: persistent.then(|| Duration::from_secs(50)),
                ..VirtualService::new(key, scheduler)
            },
            destinations: destinations
                .into_iter()
                .map(|(host, (weight, threshold))| Destination {
                    weight,
                    upper_threshold: threshold,
                    ..Destination::new(([10, 1, 0, host + 1], 80).into(), ForwardMethod::Masq)
                })
                .collect(),
        }
    }

    /// A table that holds `rules`, made from nothing.
    fn table(rules: &[ServiceRules]) -> Table<()> {
        let mut table = Table::new(());
        for command in plan(rules, &[]) {
            table.execute(&command).unwrap();
        }
        table
    }

    /// What counts: everything but order.
    fn content(
        rules: &[ServiceRules],
    ) -> HashMap<VirtualService, HashMap<DestinationKey, Destination>> {
        let destinations = |rules: &ServiceRules| {
            rules
                .destinations
                .iter()
                .map(|one| (one.key(), *one))
                .collect()
        };
        rules
            .iter()
            .map(|rules| (rules.service.clone(), destinations(rules)))
            .collect()
    }

    fn by_key(destinations: &[Destination]) -> HashMap<DestinationKey, &Destination> {
        destinations.iter().map(|one| (one.key(), one)).collect()
    }

    /// How many services and destinations differ: no list of commands can be shorter. What goes or
    /// comes with a service: destinations go with it, but each has to be added.
    fn distance(wished: &[ServiceRules], actual: &[ServiceRules]) -> usize {
        let find = |all: &[ServiceRules], key| {
            all.iter()
                .find(|rules: &&ServiceRules| rules.service.key == key)
                .cloned()
        };
        let gone = actual
            .iter()
            .filter(|old| find(wished, old.service.key).is_none())
            .count();
        let changed: usize = wished
            .iter()
            .map(|new| {
                let Some(old) = find(actual, new.service.key) else {
                    return 1 + new.destinations.len();
                };
                let (new_ones, old_ones) = (by_key(&new.destinations), by_key(&old.destinations));
                let edits = new_ones
                    .iter()
                    .filter(|(key, one)| old_ones.get(*key) != Some(*one));
                let removed = old_ones.keys().filter(|key| !new_ones.contains_key(*key));
                usize::from(new.service != old.service) + edits.count() + removed.count()
            })
            .sum();
        gone + changed
    }

    proptest! {
        #[test]
        fn a_plan_is_enough_and_no_more(wished in rules(), actual in rules()) {
            let mut table = table(&actual);
            prop_assert_eq!(content(&table.rules()), content(&actual));
            let commands = plan(&wished, &table.rules());
            for command in &commands {
                table.execute(command).unwrap();
            }
            prop_assert_eq!(content(&table.rules()), content(&wished));
            prop_assert_eq!(plan(&wished, &table.rules()), []);
            prop_assert_eq!(commands.len(), distance(&wished, &actual));
        }

        #[test]
        fn no_service_is_empty_on_the_way(wished in rules(), actual in rules()) {
            let mut table = table(&actual);
            let filled = |rules: &[ServiceRules]| -> HashMap<ServiceKey, bool> {
                rules.iter().map(|one| (one.service.key, !one.destinations.is_empty())).collect()
            };
            let (before, after) = (filled(&actual), filled(&wished));
            for command in plan(&wished, &table.rules()) {
                table.execute(&command).unwrap();
                for (key, is_filled) in filled(&table.rules()) {
                    let was = before.get(&key) == Some(&true);
                    let will_be = after.get(&key) == Some(&true);
                    prop_assert!(is_filled || !was || !will_be, "{key} is empty after {command}");
                }
            }
        }
    }

    #[test]
    fn a_fresh_table_is_filled_in_wished_order() {
        let mut rules = service_rules(80, (0, false, BTreeMap::new()));
        for host in [3, 1, 2] {
            let address = ([10, 1, 0, host], 80).into();
            rules
                .destinations
                .push(Destination::new(address, ForwardMethod::Masq));
        }
        assert_eq!(table(std::slice::from_ref(&rules)).rules(), [rules]);
    }

    #[test]
    fn of_two_with_one_key_the_last_counts() {
        let first = service_rules(80, (0, false, BTreeMap::new()));
        let second = service_rules(80, (1, true, BTreeMap::new()));
        let commands = plan(&[first, second.clone()], &[]);
        assert_eq!(commands, [Command::AddService(second.service)]);
    }
}
