//! `lc`, least connections: the eligible destination with the least overhead, the first in the
//! list of equals; weights matter only as zero or not. Kernel: `ip_vs_lc.c`.

use crate::{Destination, DestinationId, Destinations, Flow, Scheduler, SchedulerKind};

/// See the [module](self).
#[derive(Debug, Default)]
pub struct LeastConnection;

impl Scheduler for LeastConnection {
    fn kind(&self) -> SchedulerKind {
        SchedulerKind::LeastConnection
    }

    fn pick(&mut self, destinations: &Destinations, _: &Flow) -> Option<DestinationId> {
        // `min_by_key` gives the first of equals.
        let eligible = destinations.listed().iter().filter(|d| d.is_eligible());
        eligible
            .min_by_key(|d| Destination::overhead(d))
            .map(|d| d.id)
    }
}
