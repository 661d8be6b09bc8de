//! `ovf`, weighted overflow: as fo, but a destination whose active connections exceed its weight
//! passes the flow on to the next heaviest. So one takes weight + 1 active connections; UDP never
//! fills any. Kernel: `ip_vs_ovf.c`.

use crate::fo::heaviest;
use crate::{DestinationId, Destinations, Flow, Scheduler, SchedulerKind};

/// See the [module](self).
#[derive(Debug, Default)]
pub struct Overflow;

impl Scheduler for Overflow {
    fn kind(&self) -> SchedulerKind {
        SchedulerKind::Overflow
    }

    fn pick(&mut self, destinations: &Destinations, _: &Flow) -> Option<DestinationId> {
        let list = destinations.listed();
        heaviest(
            list.iter()
                .filter(|d| d.is_eligible() && d.active_conns <= d.weight),
        )
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{load, picks, pool};
    use crate::{SchedulerKind, Settings};

    #[test]
    fn one_takes_a_connection_more_than_its_weight() {
        let mut pool = pool(SchedulerKind::Overflow, Settings::default(), &[2, 3]);
        load(&mut pool, 2, 3, 50);
        assert_eq!(picks(&mut pool, 1), [2]);
        load(&mut pool, 2, 4, 0);
        assert_eq!(picks(&mut pool, 1), [1]);
        load(&mut pool, 1, 3, 0);
        assert_eq!(picks(&mut pool, 1), [0], "all are full");
    }
}
