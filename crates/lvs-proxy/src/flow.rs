//! UDP flows of one worker and service, and when they expire.
//!
//! # Design
//! Pure: what a flow consists of besides its timer is a type parameter, and time is passed in. Flows stand in
//! slots, so that a listing can go on where it left off; an index leads from the key to the slot. Expiry walks
//! over all slots: it is done once a second, and the order of deadlines changes with every datagram.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// What makes two datagrams one flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FlowKey {
    pub(crate) client: SocketAddr,
    /// The address that the client sent to.
    pub(crate) local: IpAddr,
    /// With one-packet scheduling a client has a socket per server.
    pub(crate) server: Option<SocketAddr>,
}

/// The flows of one listening socket.
#[derive(Debug)]
pub(crate) struct Flows<T> {
    slots: Vec<Option<Slot<T>>>,
    free: Vec<usize>,
    index: HashMap<FlowKey, usize>,
}

#[derive(Debug)]
struct Slot<T> {
    key: FlowKey,
    expires: Duration,
    flow: T,
}

impl<T> Default for Flows<T> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            index: HashMap::new(),
        }
    }
}

impl<T> Flows<T> {
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// The flow of `key`, whose timer starts again: a datagram passes.
    pub(crate) fn touch(&mut self, key: &FlowKey, expires: Duration) -> Option<&mut T> {
        let slot = self.slots.get_mut(*self.index.get(key)?)?.as_mut()?;
        slot.expires = expires;
        Some(&mut slot.flow)
    }

    /// Adds a flow and returns the one that had the key before.
    #[must_use]
    pub(crate) fn insert(&mut self, key: FlowKey, expires: Duration, flow: T) -> Option<T> {
        let old = self.remove(&key);
        let slot = Some(Slot { key, expires, flow });
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
        self.index.insert(key, at);
        old
    }

    pub(crate) fn remove(&mut self, key: &FlowKey) -> Option<T> {
        let at = self.index.remove(key)?;
        self.free.push(at);
        self.slots.get_mut(at)?.take().map(|slot| slot.flow)
    }

    /// Takes out the flows whose time is over at `now`.
    #[must_use]
    pub(crate) fn expire(&mut self, now: Duration) -> Vec<T> {
        let over: Vec<_> = self
            .slots
            .iter()
            .flatten()
            .filter(|slot| slot.expires <= now)
            .map(|slot| slot.key)
            .collect();
        over.iter().filter_map(|key| self.remove(key)).collect()
    }

    /// The slot at `cursor` or the first filled one after it, and the cursor to go on with.
    pub(crate) fn at_or_after(&self, cursor: usize) -> Option<(usize, &FlowKey, Duration, &T)> {
        let found = self
            .slots
            .get(cursor..)?
            .iter()
            .enumerate()
            .find_map(|(i, slot)| Some((i, slot.as_ref()?)));
        found.map(|(i, slot)| (cursor + i + 1, &slot.key, slot.expires, &slot.flow))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(port: u16) -> FlowKey {
        let client = SocketAddr::new([192, 0, 2, 1].into(), port);
        FlowKey {
            client,
            local: [10, 0, 0, 1].into(),
            server: None,
        }
    }

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_datagram_starts_the_timer_again() {
        let mut flows = Flows::default();
        assert_eq!(flows.insert(key(1), s(300), "one"), None);
        assert_eq!(flows.insert(key(2), s(300), "two"), None);
        assert_eq!(flows.touch(&key(1), s(400)), Some(&mut "one"));
        assert_eq!(flows.touch(&key(3), s(400)), None);
        assert_eq!(flows.expire(s(299)), [""; 0]);
        assert_eq!(flows.expire(s(300)), ["two"]);
        assert_eq!(flows.expire(s(400)), ["one"]);
        assert_eq!(flows.len(), 0);
    }

    #[test]
    fn one_packet_flows_of_a_client_stand_side_by_side() {
        let mut flows = Flows::default();
        for last in 1..=2 {
            let server = Some(SocketAddr::new([10, 1, 0, last].into(), 53));
            assert_eq!(
                flows.insert(FlowKey { server, ..key(1) }, s(30), last),
                None
            );
        }
        assert_eq!(flows.insert(key(1), s(30), 3), None);
        assert_eq!(flows.insert(key(1), s(30), 4), Some(3));
        assert_eq!(flows.len(), 3);
    }

    proptest! {
        /// Exactly those go whose last datagram is long enough ago, and a listing sees the others once.
        #[test]
        fn expiry_follows_the_last_datagram(datagrams in prop::collection::vec((0u16..30, 0u64..40), 0..200)) {
            let mut flows = Flows::default();
            let mut model: HashMap<u16, Duration> = HashMap::new();
            let mut now = s(0);
            for (port, pass) in datagrams {
                now += s(pass);
                let mut gone = flows.expire(now);
                gone.sort_unstable();
                let mut expected: Vec<u16> =
                    model.iter().filter(|(_, at)| **at <= now).map(|(port, _)| *port).collect();
                expected.sort_unstable();
                prop_assert_eq!(gone, expected);
                model.retain(|_, at| *at > now);
                if flows.touch(&key(port), now + s(60)).is_none() {
                    prop_assert!(!model.contains_key(&port));
                    prop_assert_eq!(flows.insert(key(port), now + s(60), port), None);
                }
                model.insert(port, now + s(60));
                let mut listed = Vec::new();
                let mut cursor = 0;
                while let Some((next, _, expires, port)) = flows.at_or_after(cursor) {
                    prop_assert_eq!(model.get(port), Some(&expires));
                    listed.push(*port);
                    cursor = next;
                }
                prop_assert_eq!(listed.len(), model.len());
            }
        }
    }
}
