//! `nq`, never queue: the first eligible destination in the list without an active connection,
//! whatever its weight; if there is none, as sed. Kernel: `ip_vs_nq.c`.

use crate::{DestinationId, Destinations, Flow, Scheduler, SchedulerKind, least};

/// See the [module](self).
#[derive(Debug, Default)]
pub struct NeverQueue;

impl Scheduler for NeverQueue {
    fn kind(&self) -> SchedulerKind {
        SchedulerKind::NeverQueue
    }

    fn pick(&mut self, destinations: &Destinations, _: &Flow) -> Option<DestinationId> {
        let list = destinations.listed();
        list.iter()
            .find(|d| d.is_eligible() && d.active_conns == 0)
            .or_else(|| least::least_loaded(list, least::expected_delay))
            .map(|d| d.id)
    }
}
