//! Entries that outlive their connection: TIME_WAIT and CLOSE.
//!
//! IPVS keeps an entry for a while after its connection ended, and the entry counts as inactive at its
//! destination until then. It leaves earlier when its client uses the same port again, and here also when more
//! than a bounded number linger.
//!
//! # Design
//! A store of slots with one list per kind threaded through them. All entries of one kind stay equally long, so a
//! list in order of arrival is in order of expiry too, and everything here takes constant time. The index holds
//! hashes instead of addresses: a collision (one in 2^64) lets an entry go too early and does no other harm.
//! Time is passed in.

use std::{collections::HashMap, time::Duration};

/// Which list an entry belongs to; each has one lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Ended by both sides.
    TimeWait,
    /// Reset.
    Close,
}

/// The lingering entries of one worker.
#[derive(Debug)]
pub(crate) struct Lingering<T> {
    slots: Vec<Slot<T>>,
    free: Vec<usize>,
    index: HashMap<u64, usize>,
    lists: [List; 2],
    capacity: usize,
}

#[derive(Debug)]
struct Slot<T> {
    entry: Option<Entry<T>>,
    previous: Option<usize>,
    next: Option<usize>,
}

#[derive(Debug)]
struct Entry<T> {
    key: u64,
    kind: Kind,
    expires: Duration,
    value: T,
}

#[derive(Clone, Copy, Debug, Default)]
struct List {
    first: Option<usize>,
    last: Option<usize>,
}

impl<T> Lingering<T> {
    /// Room for `capacity` entries; at least one.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            index: HashMap::new(),
            lists: [List::default(); 2],
            capacity: capacity.max(1),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Adds an entry and returns those that have to go for it: the one with the same key, and the one that
    /// expires next if there is no room.
    #[must_use]
    pub(crate) fn insert(
        &mut self,
        key: u64,
        kind: Kind,
        expires: Duration,
        value: T,
    ) -> [Option<T>; 2] {
        let same = self.remove(key);
        let oldest = if self.len() >= self.capacity {
            self.remove_next()
        } else {
            None
        };
        let entry = Entry {
            key,
            kind,
            expires,
            value,
        };
        let previous = self.lists[kind as usize].last;
        let slot = Slot {
            entry: Some(entry),
            previous,
            next: None,
        };
        let at = match self.free.pop() {
            Some(at) => {
                self.slots[at] = slot;
                at
            }
            None => {
                self.slots.push(slot);
                self.slots.len() - 1
            }
        };
        match previous {
            Some(previous) => self.slots[previous].next = Some(at),
            None => self.lists[kind as usize].first = Some(at),
        }
        self.lists[kind as usize].last = Some(at);
        self.index.insert(key, at);
        [same, oldest]
    }

    /// Takes out the entry with this key.
    pub(crate) fn remove(&mut self, key: u64) -> Option<T> {
        let at = self.index.get(&key).copied()?;
        self.take(at)
    }

    /// Takes out one entry whose time is over at `now`; to be called until it returns none.
    pub(crate) fn pop_expired(&mut self, now: Duration) -> Option<T> {
        let (at, expires) = self.next()?;
        if expires > now {
            return None;
        }
        self.take(at)
    }

    /// When the next entry goes.
    #[cfg(test)]
    pub(crate) fn poll_timeout(&self) -> Option<Duration> {
        self.next().map(|(_, expires)| expires)
    }

    /// The slot at `cursor` or the first filled one after it, and the cursor to go on with.
    ///
    /// Entries that come and go between two calls may be missed or seen twice, as in the kernel's file.
    pub(crate) fn at_or_after(&self, cursor: usize) -> Option<(usize, Duration, &T)> {
        let rest = self.slots.get(cursor..)?;
        rest.iter().enumerate().find_map(|(i, slot)| {
            slot.entry
                .as_ref()
                .map(|entry| (cursor + i + 1, entry.expires, &entry.value))
        })
    }

    fn next(&self) -> Option<(usize, Duration)> {
        let head = |list: &List| {
            let at = list.first?;
            Some((at, self.slots.get(at)?.entry.as_ref()?.expires))
        };
        self.lists
            .iter()
            .filter_map(head)
            .min_by_key(|(_, expires)| *expires)
    }

    fn remove_next(&mut self) -> Option<T> {
        let (at, _) = self.next()?;
        self.take(at)
    }

    fn take(&mut self, at: usize) -> Option<T> {
        let slot = self.slots.get_mut(at)?;
        let entry = slot.entry.take()?;
        let (previous, next) = (slot.previous.take(), slot.next.take());
        let list = &mut self.lists[entry.kind as usize];
        match previous {
            Some(previous) => self.slots[previous].next = next,
            None => list.first = next,
        }
        match next {
            Some(next) => self.slots[next].previous = previous,
            None => list.last = previous,
        }
        self.index.remove(&entry.key);
        self.free.push(at);
        self.give_back();
        Some(entry.value)
    }

    /// Gives memory back once nothing lingers any more.
    fn give_back(&mut self) {
        if self.free.len() == self.slots.len() && self.slots.len() > 1024 {
            self.slots = Vec::new();
            self.free = Vec::new();
            self.index = HashMap::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn both_kinds_go_in_order_of_expiry() {
        let mut lingering = Lingering::new(10);
        assert_eq!(
            lingering.insert(1, Kind::TimeWait, s(120), "a"),
            [None, None]
        );
        assert_eq!(lingering.insert(2, Kind::Close, s(11), "b"), [None, None]);
        assert_eq!(
            lingering.insert(3, Kind::TimeWait, s(122), "c"),
            [None, None]
        );
        assert_eq!(lingering.poll_timeout(), Some(s(11)));
        assert_eq!(lingering.pop_expired(s(10)), None);
        assert_eq!(lingering.pop_expired(s(121)), Some("b"));
        assert_eq!(lingering.pop_expired(s(121)), Some("a"));
        assert_eq!(lingering.pop_expired(s(121)), None);
        assert_eq!(lingering.poll_timeout(), Some(s(122)));
    }

    #[test]
    fn the_same_key_and_a_full_store_push_out() {
        let mut lingering = Lingering::new(2);
        assert_eq!(lingering.insert(1, Kind::TimeWait, s(1), "a"), [None, None]);
        assert_eq!(
            lingering.insert(1, Kind::TimeWait, s(2), "b"),
            [Some("a"), None]
        );
        assert_eq!(lingering.insert(2, Kind::Close, s(1), "c"), [None, None]);
        assert_eq!(
            lingering.insert(3, Kind::TimeWait, s(3), "d"),
            [None, Some("c")]
        );
        assert_eq!(lingering.len(), 2);
    }

    #[derive(Clone, Debug)]
    enum Operation {
        Insert(u64, Kind),
        Remove(u64),
        Pass(u64),
    }

    fn operation() -> impl Strategy<Value = Operation> {
        let kind = prop_oneof![Just(Kind::TimeWait), Just(Kind::Close)];
        prop_oneof![
            (0u64..20, kind).prop_map(|(key, kind)| Operation::Insert(key, kind)),
            (0u64..20).prop_map(Operation::Remove),
            (0u64..8).prop_map(Operation::Pass),
        ]
    }

    proptest! {
        /// Against a plain list that does the same the slow way.
        #[test]
        fn agrees_with_a_list(operations in prop::collection::vec(operation(), 0..200)) {
            let mut lingering = Lingering::new(12);
            let mut model: Vec<(u64, Duration, u32)> = Vec::new();
            let mut now = Duration::ZERO;
            for (number, operation) in operations.into_iter().enumerate() {
                let number = u32::try_from(number).expect("fewer than 200");
                match operation {
                    Operation::Insert(key, kind) => {
                        let expires = now + if kind == Kind::Close { s(10) } else { s(120) };
                        let pushed = lingering.insert(key, kind, expires, number);
                        let same = model.iter().position(|e| e.0 == key).map(|at| model.remove(at).2);
                        prop_assert_eq!(pushed[0], same);
                        if model.len() == 12 {
                            let soonest = model.iter().map(|e| e.1).min();
                            let at = model.iter().position(|e| Some(e.2) == pushed[1]).expect("known");
                            prop_assert_eq!(Some(model.remove(at).1), soonest);
                        }
                        model.push((key, expires, number));
                    }
                    Operation::Remove(key) => {
                        let expected = model.iter().position(|e| e.0 == key).map(|at| model.remove(at).2);
                        prop_assert_eq!(lingering.remove(key), expected);
                    }
                    Operation::Pass(seconds) => {
                        now += s(seconds);
                        let mut gone = Vec::new();
                        while let Some(value) = lingering.pop_expired(now) {
                            gone.push(value);
                        }
                        gone.sort_unstable();
                        let expected: Vec<u32> = model.iter().filter(|e| e.1 <= now).map(|e| e.2).collect();
                        model.retain(|e| e.1 > now);
                        prop_assert_eq!(gone, expected);
                    }
                }
                prop_assert_eq!(lingering.len(), model.len());
                prop_assert_eq!(lingering.poll_timeout(), model.iter().map(|e| e.1).min());
                let mut listed = Vec::new();
                let mut cursor = 0;
                while let Some((next, _, value)) = lingering.at_or_after(cursor) {
                    listed.push(*value);
                    cursor = next;
                }
                listed.sort_unstable();
                prop_assert_eq!(listed, model.iter().map(|e| e.2).collect::<Vec<_>>());
            }
        }
    }
}
