//! `wlc`, weighted least connections: the eligible destination with the least overhead per weight,
//! the first in the list of equals. Kernel: `ip_vs_wlc.c`.

use crate::{DestinationId, Destinations, Flow, Scheduler, SchedulerKind, least};

/// See the [module](self).
#[derive(Debug, Default)]
pub struct WeightedLeastConnection;

impl Scheduler for WeightedLeastConnection {
    fn kind(&self) -> SchedulerKind {
        SchedulerKind::WeightedLeastConnection
    }

    fn pick(&mut self, destinations: &Destinations, _: &Flow) -> Option<DestinationId> {
        least::wlc(destinations.listed()).map(|d| d.id)
    }
}
