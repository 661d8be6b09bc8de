//! `lblc`, locality-based least connections: an address keeps its server, so that the server's
//! cache stays warm, until the server is gone or too busy. Kernel: `ip_vs_lblc.c`.
//!
//! # Design
//!
//! The address is the one the client sent to, so lblc is made for firewall-mark services in front
//! of caches. Two of the kernel's habits are kept on purpose: the overloaded mark of a remembered
//! server is not looked at, so that it takes flows beyond its upper threshold; and a removed
//! server that comes back has its addresses back, unless they were asked for meanwhile.

use std::time::Duration;

use crate::locality::Table;
use crate::{DestinationId, Destinations, Flow, Scheduler, SchedulerKind, Settings, least};

/// See the [module](self).
#[derive(Debug)]
pub struct LocalityLeastConnection {
    table: Table<DestinationId>,
    expiration: Duration,
}

impl LocalityLeastConnection {
    /// A scheduler that remembers no address; its housekeeping starts from `now`.
    #[must_use]
    pub fn new(now: Duration) -> Self {
        Self {
            table: Table::new(now),
            expiration: Settings::default().lblc_expiration,
        }
    }
}

impl Scheduler for LocalityLeastConnection {
    fn kind(&self) -> SchedulerKind {
        SchedulerKind::LocalityLeastConnection
    }

    fn pick(&mut self, destinations: &Destinations, flow: &Flow) -> Option<DestinationId> {
        let list = destinations.listed();
        let mut entry = self.table.find(flow.dst);
        if let Some(entry) = &mut entry {
            entry.last_use = flow.now;
        }
        if let Some(entry) = &entry
            && let Some(server) = destinations.available(entry.value)
            && server.weight > 0
            && !least::is_hot(server, list)
        {
            return Some(server.id);
        }
        let chosen = least::wlc(list)?.id;
        match entry {
            Some(entry) if entry.value == chosen => {}
            Some(entry) => {
                entry.value = chosen;
                self.table.count_replacement();
            }
            None => self.table.insert(flow.dst, chosen, flow.now),
        }
        Some(chosen)
    }

    fn configure(&mut self, settings: &Settings) {
        self.expiration = settings.lblc_expiration;
    }

    fn poll_timeout(&self) -> Option<Duration> {
        Some(self.table.next_run())
    }

    fn handle_timeout(&mut self, now: Duration) {
        self.table.run(now, self.expiration);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{add, edit, flow_to, load, pick_for, pool, remove, server};
    use crate::{DestinationConfig, Pool};

    fn service(weights: &[u32]) -> Pool {
        pool(
            SchedulerKind::LocalityLeastConnection,
            Settings::default(),
            weights,
        )
    }

    #[test]
    fn an_address_keeps_its_server_until_it_is_hot() {
        let mut pool = service(&[2, 2]);
        assert_eq!(pick_for(&mut pool, &flow_to(1, 0)), 2);
        load(&mut pool, 2, 2, 99);
        assert_eq!(
            pick_for(&mut pool, &flow_to(1, 0)),
            2,
            "as many active ones as weight"
        );
        assert_eq!(
            pick_for(&mut pool, &flow_to(9, 0)),
            1,
            "another address goes elsewhere"
        );
        load(&mut pool, 2, 3, 0);
        load(&mut pool, 1, 1, 0);
        assert_eq!(
            pick_for(&mut pool, &flow_to(1, 0)),
            2,
            "hot, but nobody is half idle"
        );
        load(&mut pool, 1, 0, 0);
        assert_eq!(pick_for(&mut pool, &flow_to(1, 0)), 1);
        load(&mut pool, 2, 0, 0);
        assert_eq!(pick_for(&mut pool, &flow_to(1, 0)), 1, "and stays there");
    }

    #[test]
    fn the_overloaded_mark_of_a_remembered_server_is_not_looked_at() {
        let mut pool = service(&[1]);
        let config = DestinationConfig {
            weight: 9,
            upper_threshold: 2,
            lower_threshold: 0,
        };
        pool.edit(server(1), 8080, config).unwrap();
        assert_eq!(pick_for(&mut pool, &flow_to(1, 0)), 1);
        load(&mut pool, 1, 2, 0);
        assert_eq!(pick_for(&mut pool, &flow_to(1, 0)), 1);
        assert_eq!(
            pick_for(&mut pool, &flow_to(2, 0)),
            0,
            "a new address it does not get"
        );
    }

    #[test]
    fn a_server_that_comes_back_has_its_addresses_back() {
        let mut pool = service(&[1, 1]);
        assert_eq!(pick_for(&mut pool, &flow_to(1, 0)), 2);
        assert_eq!(pick_for(&mut pool, &flow_to(2, 0)), 2);
        remove(&mut pool, 2);
        assert_eq!(
            pick_for(&mut pool, &flow_to(2, 0)),
            1,
            "asked for meanwhile"
        );
        add(&mut pool, 3, 1);
        add(&mut pool, 2, 1);
        assert_eq!(pick_for(&mut pool, &flow_to(1, 0)), 2);
        assert_eq!(pick_for(&mut pool, &flow_to(2, 0)), 1);
        edit(&mut pool, 1, 0);
        assert_eq!(
            pick_for(&mut pool, &flow_to(2, 0)),
            2,
            "quiesced: the address moves"
        );
    }

    #[test]
    fn idle_addresses_are_forgotten_at_the_full_check() {
        let mut pool = service(&[1, 1]);
        pool.set_settings(Settings {
            lblc_expiration: Duration::from_secs(600),
            ..Settings::default()
        });
        assert_eq!(pick_for(&mut pool, &flow_to(1, 0)), 2);
        assert_eq!(pick_for(&mut pool, &flow_to(2, 1300)), 2);
        load(&mut pool, 2, 0, 1);
        for _ in 0..30 {
            let due = pool.poll_timeout().unwrap();
            pool.handle_timeout(due);
        }
        assert_eq!(pool.poll_timeout(), Some(Duration::from_secs(31 * 60)));
        assert_eq!(
            pick_for(&mut pool, &flow_to(1, 1800)),
            1,
            "forgotten, so chosen anew"
        );
        assert_eq!(
            pick_for(&mut pool, &flow_to(2, 1800)),
            2,
            "used within ten minutes"
        );
    }

    /// A kernel was seen to do this after 16600 replacements.
    #[test]
    fn replacements_bring_the_partial_collection_about() {
        let remembered = |replacements: u32| {
            let mut pool = service(&[1, 1]);
            for n in 0..=replacements {
                let (quiesced, server) = if n % 2 == 0 { (1, 2) } else { (2, 1) };
                edit(&mut pool, quiesced, 0);
                edit(&mut pool, server, 1);
                assert_eq!(pick_for(&mut pool, &flow_to(1, 0)), server);
            }
            edit(&mut pool, 1, 1);
            load(&mut pool, 2, 0, 1);
            for _ in 0..6 {
                let due = pool.poll_timeout().unwrap();
                pool.handle_timeout(due);
            }
            // Not used for six minutes: if it was collected, the idle one is chosen anew.
            pick_for(&mut pool, &flow_to(1, 360)) == 2
        };
        assert!(remembered(16_382));
        assert!(!remembered(16_384));
    }
}
