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

#[cfg(test)]
mod tests {
    use crate::testing::{load, picks, pool};
    use crate::{SchedulerKind, Settings};

    #[test]
    fn the_new_connection_is_counted_in_and_inactive_ones_are_not() {
        let mut pool = pool(
            SchedulerKind::ShortestExpectedDelay,
            Settings::default(),
            &[4, 1],
        );
        assert_eq!(picks(&mut pool, 1), [1], "idle, but four times as fast");
        load(&mut pool, 1, 3, 1000);
        assert_eq!(
            picks(&mut pool, 1),
            [2],
            "equal delays: the first in the list"
        );
        load(&mut pool, 2, 1, 0);
        assert_eq!(picks(&mut pool, 1), [1]);
    }
}
