//! `lblcr`, locality-based least connections with replication: as lblc, but a busy address gets
//! further servers, and loses one again when its set has not changed for a long time.
//! Kernel: `ip_vs_lblcr.c`.
//!
//! # Design
//!
//! Unlike lblc it honours the overloaded mark of the servers it remembers. A server that is
//! removed stays in its sets, unused; it is taken out of a set as the most loaded like any other,
//! which is why [`Destinations`] remembers the counts of removed servers.

use std::time::Duration;

use crate::locality::Table;
use crate::{
    Destination, DestinationId, Destinations, Flow, Scheduler, SchedulerKind, Settings, least,
};

/// See the [module](self).
#[derive(Debug)]
pub struct LocalityLeastConnectionReplicated {
    table: Table<ServerSet>,
    expiration: Duration,
}

/// The servers of an address.
#[derive(Debug)]
struct ServerSet {
    /// The one that joined last in front.
    members: Vec<DestinationId>,
    last_modified: Duration,
}

impl LocalityLeastConnectionReplicated {
    /// A scheduler that remembers no address; its housekeeping starts from `now`.
    #[must_use]
    pub fn new(now: Duration) -> Self {
        Self {
            table: Table::new(now),
            expiration: Settings::default().lblcr_expiration,
        }
    }
}

impl Scheduler for LocalityLeastConnectionReplicated {
    fn kind(&self) -> SchedulerKind {
        SchedulerKind::LocalityLeastConnectionReplicated
    }

    fn pick(&mut self, destinations: &Destinations, flow: &Flow) -> Option<DestinationId> {
        let list = destinations.listed();
        let Some(entry) = self.table.find(flow.dst) else {
            let chosen = least::wlc(list)?.id;
            let set = ServerSet {
                members: vec![chosen],
                last_modified: flow.now,
            };
            self.table.insert(flow.dst, set, flow.now);
            return Some(chosen);
        };
        entry.last_use = flow.now;
        let set = &mut entry.value;
        // Chosen before the set shrinks, and used even if it is the one to go.
        let least_loaded = set.least_loaded(destinations);
        set.shrink(destinations, flow.now, self.expiration);
        if let Some(server) = least_loaded
            && !least::is_hot(server, list)
        {
            return Some(server.id);
        }
        let chosen = least::wlc(list)?.id;
        set.join(destinations, chosen, flow.now);
        Some(chosen)
    }

    fn configure(&mut self, settings: &Settings) {
        self.expiration = settings.lblcr_expiration;
    }

    fn poll_timeout(&self) -> Option<Duration> {
        Some(self.table.next_run())
    }

    fn handle_timeout(&mut self, now: Duration) {
        self.table.run(now, self.expiration);
    }
}

impl ServerSet {
    /// The eligible member in the service with the least overhead per weight, the first of equals.
    fn least_loaded<'a>(&self, destinations: &'a Destinations) -> Option<&'a Destination> {
        let mut members = self
            .members
            .iter()
            .filter_map(|&id| destinations.available(id))
            .filter(|d| d.is_eligible());
        let first = members.next()?;
        Some(members.fold(first, |best, d| {
            if least::less_loaded(d, best, Destination::overhead) {
                d
            } else {
                best
            }
        }))
    }

    /// Lets the most loaded member go if there is more than one and none came or went for longer
    /// than `expiration`. Neither the overloaded mark nor removal protects a member; weight 0 does.
    fn shrink(&mut self, destinations: &Destinations, now: Duration, expiration: Duration) {
        if self.members.len() <= 1 || now <= self.last_modified.saturating_add(expiration) {
            return;
        }
        let mut members = self
            .members
            .iter()
            .filter_map(|&id| destinations.get(id))
            .filter(|d| d.weight > 0);
        let Some(first) = members.next() else { return };
        let most_loaded = members.fold(first, |worst, d| {
            if least::less_loaded(worst, d, Destination::overhead) {
                d
            } else {
                worst
            }
        });
        self.members.retain(|&id| id != most_loaded.id);
        self.last_modified = now;
    }

    /// Puts a server in front, unless it is a member.
    fn join(&mut self, destinations: &Destinations, id: DestinationId, now: Duration) {
        if !self.members.contains(&id) {
            // Those the pool has forgotten can never come back under this id.
            self.members
                .retain(|&member| destinations.get(member).is_some());
            self.members.insert(0, id);
            self.last_modified = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{add, flow_to, load, pick_for, pool, remove, server};
    use crate::{DestinationConfig, Pool};

    /// Servers 1 to 3 of weight 2; sets shrink after 100 s.
    fn service() -> Pool {
        let settings = Settings {
            lblcr_expiration: Duration::from_secs(100),
            ..Settings::default()
        };
        pool(
            SchedulerKind::LocalityLeastConnectionReplicated,
            settings,
            &[2, 2, 2],
        )
    }

    #[test]
    fn a_hot_set_grows_and_the_least_loaded_member_serves() {
        let mut pool = service();
        assert_eq!(pick_for(&mut pool, &flow_to(1, 0)), 3);
        load(&mut pool, 3, 3, 0);
        assert_eq!(pick_for(&mut pool, &flow_to(1, 0)), 2, "joins");
        load(&mut pool, 2, 1, 0);
        assert_eq!(
            pick_for(&mut pool, &flow_to(1, 0)),
            2,
            "not 1, which is idle but no member"
        );
        load(&mut pool, 3, 0, 1);
        assert_eq!(pick_for(&mut pool, &flow_to(1, 0)), 3);
    }

    #[test]
    fn a_set_that_did_not_change_loses_its_most_loaded_member() {
        let mut pool = service();
        assert_eq!(pick_for(&mut pool, &flow_to(1, 0)), 3);
        load(&mut pool, 3, 3, 0);
        assert_eq!(pick_for(&mut pool, &flow_to(1, 10)), 2);
        load(&mut pool, 3, 0, 9);
        load(&mut pool, 2, 0, 8);
        assert_eq!(
            pick_for(&mut pool, &flow_to(1, 110)),
            2,
            "at 100 s it may stay"
        );
        load(&mut pool, 2, 0, 10);
        assert_eq!(pick_for(&mut pool, &flow_to(1, 111)), 3, "2 has left");
        load(&mut pool, 3, 0, 99);
        assert_eq!(
            pick_for(&mut pool, &flow_to(1, 300)),
            3,
            "the last member stays"
        );
    }

    #[test]
    fn the_overloaded_mark_is_honoured() {
        let mut pool = service();
        let config = DestinationConfig {
            weight: 2,
            upper_threshold: 1,
            lower_threshold: 0,
        };
        pool.edit(server(3), 8080, config).unwrap();
        assert_eq!(pick_for(&mut pool, &flow_to(1, 0)), 3);
        load(&mut pool, 3, 1, 0);
        assert_eq!(pick_for(&mut pool, &flow_to(1, 0)), 2);
    }

    #[test]
    fn a_removed_member_keeps_its_seat_and_can_be_the_one_to_go() {
        let mut pool = service();
        assert_eq!(pick_for(&mut pool, &flow_to(1, 0)), 3);
        load(&mut pool, 3, 3, 0);
        assert_eq!(pick_for(&mut pool, &flow_to(1, 0)), 2);
        load(&mut pool, 2, 1, 0);
        remove(&mut pool, 3);
        assert_eq!(pick_for(&mut pool, &flow_to(1, 0)), 2);
        add(&mut pool, 3, 2);
        load(&mut pool, 3, 0, 0);
        assert_eq!(pick_for(&mut pool, &flow_to(1, 0)), 3, "back in its seat");
        load(&mut pool, 3, 2, 0);
        remove(&mut pool, 3);
        assert_eq!(
            pick_for(&mut pool, &flow_to(1, 101)),
            2,
            "3 goes for good, the most loaded"
        );
        add(&mut pool, 3, 2);
        load(&mut pool, 3, 0, 0);
        assert_eq!(pick_for(&mut pool, &flow_to(1, 101)), 2);
    }
}
