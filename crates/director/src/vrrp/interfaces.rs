//! Which interfaces the virtual routers look at, and changes that count only when they last.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use vrrp_proto::{InterfaceState, Name, Time};

/// Time until a change counts: to down, to up.
pub(super) type Delays = BTreeMap<Name, (Duration, Duration)>;

/// What is told about interfaces, and when. Values only.
#[derive(Debug, Default)]
pub(super) struct Interfaces {
    delays: Delays,
    known: BTreeMap<Name, Known>,
    changes: VecDeque<Change>,
}

/// A change that counts.
#[derive(Debug)]
pub(super) struct Change {
    /// Of this interface.
    pub(super) name: Name,
    /// How it is now.
    pub(super) state: InterfaceState,
    /// Whether it has gone up or down, and is not seen for the first time.
    pub(super) is_flip: bool,
}

#[derive(Debug)]
struct Known {
    seen: InterfaceState,
    told: InterfaceState,
    /// When `seen.up` is to be told if it is still so.
    due: Option<Time>,
}

impl Interfaces {
    pub(super) fn set_delays(&mut self, delays: Delays) {
        self.delays = delays;
    }

    /// Forgets interfaces that nobody looks at any more.
    pub(super) fn retain(&mut self, wanted: impl Fn(&Name) -> bool) {
        self.known.retain(|name, _| wanted(name));
    }

    /// An interface looks like this. The first look counts at once.
    pub(super) fn handle_seen(&mut self, now: Time, name: &Name, seen: InterfaceState) {
        let delays = self.delays.get(name).copied().unwrap_or_default();
        let Some(known) = self.known.get_mut(name) else {
            let known = Known {
                seen: seen.clone(),
                told: seen.clone(),
                due: None,
            };
            self.known.insert(name.clone(), known);
            self.changes.push_back(Change {
                name: name.clone(),
                state: seen,
                is_flip: false,
            });
            return;
        };
        if seen.up == known.told.up {
            known.due = None;
        } else if seen.up != known.seen.up || known.due.is_none() {
            let delay = if seen.up { delays.1 } else { delays.0 };
            known.due = Some(now + delay);
        }
        known.seen = seen;
        known.tell(now, name, &mut self.changes);
    }

    /// A change may have lasted long enough.
    pub(super) fn handle_timeout(&mut self, now: Time) {
        for (name, known) in &mut self.known {
            known.tell(now, name, &mut self.changes);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Time> {
        self.known.values().filter_map(|known| known.due).min()
    }

    /// The next change that counts.
    pub(super) fn poll_change(&mut self) -> Option<Change> {
        self.changes.pop_front()
    }
}

impl Known {
    fn tell(&mut self, now: Time, name: &Name, changes: &mut VecDeque<Change>) {
        let up = match self.due {
            Some(due) if due <= now => {
                self.due = None;
                self.seen.up
            }
            Some(_) => self.told.up,
            None => self.seen.up,
        };
        let tell = InterfaceState {
            up,
            addresses: self.seen.addresses.clone(),
        };
        if tell != self.told {
            let is_flip = tell.up != self.told.up;
            self.told = tell.clone();
            changes.push_back(Change {
                name: name.clone(),
                state: tell,
                is_flip,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eth0() -> Name {
        "eth0".into()
    }

    fn told(interfaces: &mut Interfaces) -> Vec<bool> {
        std::iter::from_fn(|| interfaces.poll_change())
            .map(|change| change.state.up)
            .collect()
    }

    fn with_delays(down: u64, up: u64) -> Interfaces {
        let mut interfaces = Interfaces::default();
        let delays = (Duration::from_secs(down), Duration::from_secs(up));
        interfaces.set_delays(Delays::from([(eth0(), delays)]));
        let now = Time::from_secs(100);
        interfaces.handle_seen(now, &eth0(), InterfaceState::up([]));
        assert_eq!(told(&mut interfaces), [true]);
        interfaces
    }

    #[test]
    fn without_a_delay_changes_count_at_once() {
        let mut interfaces = with_delays(0, 0);
        let now = Time::from_secs(101);
        interfaces.handle_seen(now, &eth0(), InterfaceState::down());
        interfaces.handle_seen(now, &eth0(), InterfaceState::down());
        assert_eq!(told(&mut interfaces), [false]);
        assert_eq!(interfaces.poll_timeout(), None);
    }

    #[test]
    fn a_change_counts_when_it_lasts() {
        let mut interfaces = with_delays(2, 5);
        interfaces.handle_seen(Time::from_secs(101), &eth0(), InterfaceState::down());
        interfaces.handle_seen(Time::from_secs(102), &eth0(), InterfaceState::down());
        assert_eq!(interfaces.poll_timeout(), Some(Time::from_secs(103)));
        interfaces.handle_timeout(Time::from_secs(102));
        assert!(told(&mut interfaces).is_empty());
        interfaces.handle_timeout(Time::from_secs(103));
        assert_eq!(told(&mut interfaces), [false]);
        interfaces.handle_seen(Time::from_secs(104), &eth0(), InterfaceState::up([]));
        assert_eq!(interfaces.poll_timeout(), Some(Time::from_secs(109)));
        interfaces.handle_timeout(Time::from_secs(109));
        assert_eq!(told(&mut interfaces), [true]);
    }

    #[test]
    fn a_flap_is_not_told_but_new_addresses_are() {
        let mut interfaces = with_delays(2, 2);
        interfaces.handle_seen(Time::from_secs(101), &eth0(), InterfaceState::down());
        let address = "10.0.0.1".parse().unwrap();
        interfaces.handle_seen(Time::from_secs(102), &eth0(), InterfaceState::up([address]));
        assert_eq!(interfaces.poll_timeout(), None);
        assert_eq!(
            interfaces
                .poll_change()
                .map(|change| (change.name, change.state)),
            Some((eth0(), InterfaceState::up([address])))
        );
        interfaces.handle_timeout(Time::from_secs(110));
        assert!(told(&mut interfaces).is_empty());
    }

    #[test]
    fn one_that_nobody_looks_at_is_forgotten() {
        let mut interfaces = with_delays(0, 0);
        interfaces.retain(|_| false);
        interfaces.handle_seen(Time::from_secs(101), &eth0(), InterfaceState::up([]));
        assert_eq!(told(&mut interfaces), [true]);
    }
}
