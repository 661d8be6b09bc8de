//! `sed`, shortest expected delay: as wlc with active connections + 1 as the cost. Inactive
//! connections do not count, so UDP flows, which are never active, all look alike to it.
//! Kernel: `ip_vs_sed.c`.

use crate::{DestinationId, Destinations, Flow, Scheduler, SchedulerKind, least};

/// See the [module](self).
#[derive(Debug, Default)]
pub struct ShortestExpectedDelay;

impl Scheduler for ShortestExpectedDelay {
    fn kind(&self) -> SchedulerKind {
        SchedulerKind::ShortestExpectedDelay
    }

    fn pick(&mut self, destinations: &Destinations, _: &Flow) -> Option<DestinationId> {
        least::least_loaded(destinations.listed(), least::expected_delay).map(|d| d.id)
    }
}
