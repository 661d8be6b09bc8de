//! What a monitor knows, and how it changes: values only.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::address::{AddressEntry, Lifetime};
use crate::link::Link;
use crate::name::LinkIndex;
use crate::route::Route;
use crate::rule::Rule;

/// Something that happened to an interface, an address, a route or a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Event {
    /// An interface has come.
    LinkAdded(Link),
    /// An interface has changed: up or down, carrier, name, MTU, address.
    LinkChanged {
        /// As it was.
        before: Link,
        /// As it is.
        after: Link,
    },
    /// An interface is gone, removed or moved to another network namespace.
    LinkRemoved(Link),
    /// An address has come; an IPv6 one may not be usable yet.
    AddressAdded(AddressEntry),
    /// An address has changed, such as when duplicate address detection is over. That lifetimes
    /// run down is no change.
    AddressChanged {
        /// As it was.
        before: AddressEntry,
        /// As it is.
        after: AddressEntry,
    },
    /// An address is gone.
    AddressRemoved(AddressEntry),
    /// A route has come.
    RouteAdded(Route),
    /// A route is gone.
    RouteRemoved(Route),
    /// A rule has come.
    RuleAdded(Rule),
    /// A rule is gone.
    RuleRemoved(Rule),
}

/// What the kernel tells an address by, on all interfaces.
type AddressKey = (LinkIndex, IpAddr, Option<IpAddr>, u8);

/// Interfaces, addresses, routes and rules as last heard of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    links: BTreeMap<LinkIndex, Link>,
    addresses: BTreeMap<AddressKey, AddressEntry>,
    routes: Vec<Route>,
    rules: Vec<Rule>,
}

impl Snapshot {
    /// All interfaces, by index.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.values()
    }

    /// The interface with this index.
    pub fn link(&self, index: LinkIndex) -> Option<&Link> {
        self.links.get(&index)
    }

    /// The interface with this name.
    pub fn find_link(&self, name: &str) -> Option<&Link> {
        self.links().find(|link| link.name == name)
    }

    /// All addresses.
    pub fn addresses(&self) -> impl Iterator<Item = &AddressEntry> {
        self.addresses.values()
    }

    /// The addresses of an interface.
    pub fn addresses_of(&self, link: LinkIndex) -> impl Iterator<Item = &AddressEntry> {
        self.addresses().filter(move |entry| entry.link == link)
    }

    /// The routes that are watched.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The rules that are watched.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    pub(crate) fn set_link(&mut self, link: Link, events: &mut Vec<Event>) {
        match self.links.insert(link.index, link.clone()) {
            None => events.push(Event::LinkAdded(link)),
            Some(before) if before != link => events.push(Event::LinkChanged {
                before,
                after: link,
            }),
            Some(_) => {}
        }
    }

    /// An interface takes its addresses with it; the kernel need not have said so.
    pub(crate) fn remove_link(&mut self, index: LinkIndex, events: &mut Vec<Event>) {
        let addresses: Vec<_> = self.addresses_of(index).map(key).collect();
        for address in addresses {
            self.remove_address(&address, events);
        }
        events.extend(self.links.remove(&index).map(Event::LinkRemoved));
    }

    pub(crate) fn set_address(&mut self, entry: AddressEntry, events: &mut Vec<Event>) {
        match self.addresses.insert(key(&entry), entry.clone()) {
            None => events.push(Event::AddressAdded(entry)),
            Some(before) if !differ_in_lifetime_only(&before, &entry) => {
                events.push(Event::AddressChanged {
                    before,
                    after: entry,
                });
            }
            Some(_) => {}
        }
    }

    pub(crate) fn forget_address(&mut self, entry: &AddressEntry, events: &mut Vec<Event>) {
        self.remove_address(&key(entry), events);
    }

    fn remove_address(&mut self, key: &AddressKey, events: &mut Vec<Event>) {
        events.extend(self.addresses.remove(key).map(Event::AddressRemoved));
    }

    /// Replaces all interfaces. What is gone is told first, so that a name that another interface
    /// has taken meanwhile is free when that one comes.
    pub(crate) fn replace_links(&mut self, links: Vec<Link>, events: &mut Vec<Event>) {
        let gone: Vec<_> = self
            .links
            .keys()
            .filter(|index| !links.iter().any(|link| link.index == **index))
            .copied()
            .collect();
        for index in gone {
            self.remove_link(index, events);
        }
        for link in links {
            self.set_link(link, events);
        }
    }

    /// Replaces all addresses.
    pub(crate) fn replace_addresses(
        &mut self,
        entries: Vec<AddressEntry>,
        events: &mut Vec<Event>,
    ) {
        let entries: BTreeMap<_, _> = entries
            .into_iter()
            .map(|entry| (key(&entry), entry))
            .collect();
        let gone: Vec<_> = self
            .addresses
            .keys()
            .filter(|key| !entries.contains_key(key))
            .copied()
            .collect();
        for key in gone {
            self.remove_address(&key, events);
        }
        for entry in entries.into_values() {
            self.set_address(entry, events);
        }
    }

    /// Replaces all routes.
    pub(crate) fn replace_routes(&mut self, mut routes: Vec<Route>, events: &mut Vec<Event>) {
        // Lifetimes run down; that is no change.
        for route in &mut routes {
            route.expires = None;
        }
        let (gone, come) = differences(&self.routes, &routes);
        events.extend(gone.into_iter().map(Event::RouteRemoved));
        events.extend(come.into_iter().map(Event::RouteAdded));
        self.routes = routes;
    }

    /// Replaces all rules.
    pub(crate) fn replace_rules(&mut self, rules: Vec<Rule>, events: &mut Vec<Event>) {
        let (gone, come) = differences(&self.rules, &rules);
        events.extend(gone.into_iter().map(Event::RuleRemoved));
        events.extend(come.into_iter().map(Event::RuleAdded));
        self.rules = rules;
    }
}

/// What is only in `before`, and what is only in `after`; equal ones are counted.
fn differences<T: Clone + Eq + std::hash::Hash>(before: &[T], after: &[T]) -> (Vec<T>, Vec<T>) {
    let count = |list: &[T]| {
        let mut counts = std::collections::HashMap::new();
        for item in list {
            *counts.entry(item.clone()).or_insert(0_usize) += 1;
        }
        counts
    };
    let only_in = |list: &[T], other: &[T]| {
        let mut left = count(other);
        let missing = |item: &&T| match left.get_mut(*item) {
            Some(count) if *count > 0 => {
                *count -= 1;
                false
            }
            _ => true,
        };
        list.iter().filter(missing).cloned().collect()
    };
    (only_in(before, after), only_in(after, before))
}

fn key(entry: &AddressEntry) -> AddressKey {
    let peer = entry.address.peer;
    let prefix = peer.unwrap_or(entry.address.net).prefix_len();
    (
        entry.link,
        entry.address.ip(),
        peer.map(|peer| peer.addr()),
        prefix,
    )
}

fn differ_in_lifetime_only(before: &AddressEntry, after: &AddressEntry) -> bool {
    let without = |entry: &AddressEntry| {
        let mut entry = entry.clone();
        entry.address.preferred = Lifetime::Forever;
        entry.address.valid = Lifetime::Forever;
        entry
    };
    without(before) == without(after)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::address::{Address, AddressState};
    use crate::link::LinkFlags;

    fn link(index: u32, name: &str, flags: u32) -> Link {
        Link {
            index: LinkIndex::new(index).unwrap(),
            name: name.into(),
            kind: None,
            flags: LinkFlags::from_bits(flags),
            carrier: true,
            mtu: 1500,
            mac: None,
            macvlan_mode: None,
            lower: None,
            master: None,
        }
    }

    fn address(index: u32, last: u8, tentative: bool) -> AddressEntry {
        AddressEntry {
            link: LinkIndex::new(index).unwrap(),
            address: Address::new(format!("10.0.0.{last}/24").parse().unwrap()),
            state: AddressState {
                tentative,
                ..AddressState::default()
            },
        }
    }

    /// A kernel's doing, as events would tell it.
    #[derive(Clone, Debug)]
    enum Change {
        Link(u32, u32),
        NoLink(u32),
        Address(u32, u8, bool),
        NoAddress(u32, u8),
    }

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![
            (1_u32..4, 0_u32..3).prop_map(|(index, flags)| Change::Link(index, flags)),
            (1_u32..4).prop_map(Change::NoLink),
            (1_u32..4, 0_u8..3, any::<bool>()).prop_map(|(i, n, t)| Change::Address(i, n, t)),
            (1_u32..4, 0_u8..3).prop_map(|(index, n)| Change::NoAddress(index, n)),
        ]
    }

    fn apply(snapshot: &mut Snapshot, change: &Change, events: &mut Vec<Event>) {
        match *change {
            Change::Link(index, flags) => snapshot.set_link(link(index, "x", flags), events),
            Change::NoLink(index) => {
                snapshot.remove_link(LinkIndex::new(index).unwrap(), events);
            }
            Change::Address(index, n, tentative) => {
                snapshot.set_address(address(index, n, tentative), events);
            }
            Change::NoAddress(index, n) => {
                snapshot.forget_address(&address(index, n, false), events);
            }
        }
    }

    /// What a listener makes of events alone.
    fn follow(snapshot: &mut Snapshot, events: &[Event]) {
        for event in events {
            match event.clone() {
                Event::LinkAdded(link) => {
                    assert_eq!(snapshot.links.insert(link.index, link), None);
                }
                Event::LinkChanged { before, after } => {
                    assert_ne!(before, after);
                    assert_eq!(snapshot.links.insert(after.index, after), Some(before));
                }
                Event::LinkRemoved(link) => {
                    assert_eq!(snapshot.links.remove(&link.index), Some(link));
                }
                Event::AddressAdded(entry) => {
                    assert_eq!(snapshot.addresses.insert(key(&entry), entry), None);
                }
                Event::AddressChanged { before, after } => {
                    assert_ne!(before, after);
                    let old = snapshot.addresses.insert(key(&after), after);
                    assert_eq!(old, Some(before));
                }
                Event::AddressRemoved(entry) => {
                    assert_eq!(snapshot.addresses.remove(&key(&entry)), Some(entry));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    proptest! {
        /// Whoever follows the events has the same picture, also over a resynchronisation in which
        /// any number of changes were not heard of.
        #[test]
        fn events_tell_the_whole_story(
            heard in prop::collection::vec(change(), 0..20),
            missed in prop::collection::vec(change(), 0..20),
        ) {
            let mut kernel = Snapshot::default();
            let mut events = Vec::new();
            for change in &heard {
                apply(&mut kernel, change, &mut events);
            }
            let mut listener = Snapshot::default();
            follow(&mut listener, &events);
            prop_assert_eq!(&listener, &kernel);

            let mut ours = kernel.clone();
            for change in &missed {
                apply(&mut kernel, change, &mut Vec::new());
            }
            let mut events = Vec::new();
            ours.replace_links(kernel.links().cloned().collect(), &mut events);
            ours.replace_addresses(kernel.addresses().cloned().collect(), &mut events);
            prop_assert_eq!(&ours, &kernel);
            follow(&mut listener, &events);
            prop_assert_eq!(&listener, &kernel);
        }
    }

    #[test]
    fn lifetimes_running_down_are_no_news() {
        let mut snapshot = Snapshot::default();
        let mut events = Vec::new();
        let mut entry = address(1, 1, false);
        for seconds in [10, 9] {
            let left = std::time::Duration::from_secs(seconds);
            entry.address.valid = Lifetime::For(left);
            snapshot.set_address(entry.clone(), &mut events);
        }
        assert_eq!(events.len(), 1, "{events:?}");
    }

    #[test]
    fn equal_rules_are_counted() {
        assert_eq!(differences(&[1, 1, 2], &[1, 3]), (vec![1, 2], vec![3]));
        assert_eq!(differences(&[1], &[1, 1]), (vec![], vec![1]));
    }
}
