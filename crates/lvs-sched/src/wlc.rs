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

#[cfg(test)]
mod tests {
    use crate::testing::{load, picks, pool};
    use crate::{SchedulerKind, Settings};

    #[test]
    fn overhead_is_divided_by_weight() {
        let mut pool = pool(
            SchedulerKind::WeightedLeastConnection,
            Settings::default(),
            &[3, 1],
        );
        assert_eq!(
            picks(&mut pool, 2),
            [2, 2],
            "all idle: the first, until it has a connection"
        );
        load(&mut pool, 2, 1, 0);
        load(&mut pool, 1, 3, 0);
        assert_eq!(
            picks(&mut pool, 1),
            [2],
            "equal shares: the first in the list"
        );
        load(&mut pool, 2, 1, 1);
        assert_eq!(picks(&mut pool, 1), [1]);
    }
}
