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

#[cfg(test)]
mod tests {
    use crate::testing::{load, picks, pool};
    use crate::{SchedulerKind, Settings};

    #[test]
    fn an_active_connection_weighs_256_inactive_ones() {
        let mut pool = pool(
            SchedulerKind::LeastConnection,
            Settings::default(),
            &[9, 1, 0],
        );
        assert_eq!(
            picks(&mut pool, 1),
            [2],
            "the first in the list of equals, never the quiesced"
        );
        load(&mut pool, 2, 1, 0);
        load(&mut pool, 1, 0, 255);
        assert_eq!(picks(&mut pool, 1), [1]);
        load(&mut pool, 1, 0, 256);
        assert_eq!(picks(&mut pool, 1), [2]);
        load(&mut pool, 1, 0, 257);
        assert_eq!(picks(&mut pool, 1), [2]);
    }
}
