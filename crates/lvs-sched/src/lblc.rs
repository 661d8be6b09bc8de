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
