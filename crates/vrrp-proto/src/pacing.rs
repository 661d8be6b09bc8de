//! A minimum gap between the announcements of an interface.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use crate::config::{PacingConfig, VirtualAddress};
use crate::time::Time;
use crate::types::{Family, Name};

/// An announcement that waits for its turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) instance: Name,
    pub(crate) interface: Name,
    pub(crate) address: IpAddr,
}

/// All lanes: one for each family of each group of interfaces that has a gap.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pacing {
    lanes: Vec<Lane>,
}

#[derive(Clone, Debug)]
struct Lane {
    interfaces: Vec<Name>,
    family: Family,
    gap: Duration,
    free_at: Time,
    queue: VecDeque<Waiting>,
}

impl Pacing {
    /// Goes by another configuration. What waits in a lane that is gone is returned.
    pub(crate) fn reconfigure(&mut self, configs: &[PacingConfig]) -> Vec<Waiting> {
        let old = std::mem::take(&mut self.lanes);
        for config in configs {
            let gaps = [
                (Family::Ipv4, config.arp_gap),
                (Family::Ipv6, config.neighbour_gap),
            ];
            for (family, gap) in gaps.into_iter().filter(|(_, gap)| !gap.is_zero()) {
                self.lanes.push(Lane {
                    interfaces: config.interfaces.clone(),
                    family,
                    gap,
                    free_at: Time::ZERO,
                    queue: VecDeque::new(),
                });
            }
        }
        let mut orphans = Vec::new();
        for lane in old {
            for waiting in lane.queue {
                match self.lane(&waiting) {
                    Some(lane) => lane.queue.push_back(waiting),
                    None => orphans.push(waiting),
                }
            }
        }
        orphans
    }

    /// Takes an announcement; returns it if it may go out at once.
    pub(crate) fn offer(&mut self, now: Time, waiting: Waiting) -> Option<Waiting> {
        let Some(lane) = self.lane(&waiting) else {
            return Some(waiting);
        };
        if lane.queue.is_empty() && lane.free_at <= now {
            lane.free_at = now + lane.gap;
            return Some(waiting);
        }
        lane.queue.push_back(waiting);
        None
    }

    /// Drops what waits for addresses that an instance has given up.
    pub(crate) fn forget(&mut self, instance: &Name, addresses: &[VirtualAddress]) {
        let gone = |it: &Waiting| {
            let mut addresses = addresses.iter();
            it.instance == *instance && addresses.any(|entry| entry.address == it.address)
        };
        for lane in &mut self.lanes {
            lane.queue.retain(|waiting| !gone(waiting));
        }
    }

    /// The next announcement whose turn has come.
    pub(crate) fn due(&mut self, now: Time) -> Option<Waiting> {
        let mut lanes = self.lanes.iter_mut();
        let lane = lanes.find(|lane| lane.free_at <= now && !lane.queue.is_empty())?;
        lane.free_at = now + lane.gap;
        lane.queue.pop_front()
    }

    /// When the next one has its turn.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let busy = self.lanes.iter().filter(|lane| !lane.queue.is_empty());
        busy.map(|lane| lane.free_at).min()
    }

    fn lane(&mut self, waiting: &Waiting) -> Option<&mut Lane> {
        let family = Family::of(waiting.address);
        let mut lanes = self.lanes.iter_mut();
        lanes.find(|lane| lane.family == family && lane.interfaces.contains(&waiting.interface))
    }
}
