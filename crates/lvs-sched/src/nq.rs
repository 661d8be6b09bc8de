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

#[cfg(test)]
mod tests {
    use crate::testing::{load, picks, pool};
    use crate::{SchedulerKind, Settings};

    #[test]
    fn an_idle_one_is_taken_whatever_its_weight() {
        let mut pool = pool(SchedulerKind::NeverQueue, Settings::default(), &[50, 1, 0]);
        load(&mut pool, 2, 0, 99);
        assert_eq!(
            picks(&mut pool, 1),
            [2],
            "the first without active connections"
        );
        load(&mut pool, 2, 1, 0);
        assert_eq!(picks(&mut pool, 1), [1]);
        load(&mut pool, 1, 20, 0);
        assert_eq!(
            picks(&mut pool, 1),
            [1],
            "nobody idle: as sed, 21 / 50 is less than 2 / 1"
        );
    }
}
