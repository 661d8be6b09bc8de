//! `fo`, weighted failover: always the eligible destination with the greatest weight, the first in
//! the list of equals. Kernel: `ip_vs_fo.c`.

use crate::{Destination, DestinationId, Destinations, Flow, Scheduler, SchedulerKind};

/// See the [module](self).
#[derive(Debug, Default)]
pub struct Failover;

impl Scheduler for Failover {
    fn kind(&self) -> SchedulerKind {
        SchedulerKind::Failover
    }

    fn pick(&mut self, destinations: &Destinations, _: &Flow) -> Option<DestinationId> {
        heaviest(destinations.listed().iter().filter(|d| d.is_eligible()))
    }
}

/// The one with the greatest weight, the first of equals.
pub(crate) fn heaviest<'a>(
    mut among: impl Iterator<Item = &'a Destination>,
) -> Option<DestinationId> {
    let first = among.next()?;
    Some(
        among
            .fold(
                first,
                |best, d| if d.weight > best.weight { d } else { best },
            )
            .id,
    )
}

#[cfg(test)]
mod tests {
    use crate::testing::{edit, load, picks, pool};
    use crate::{SchedulerKind, Settings};

    #[test]
    fn the_heaviest_takes_all() {
        let mut pool = pool(SchedulerKind::Failover, Settings::default(), &[5, 7, 7, 2]);
        load(&mut pool, 3, 1000, 1000);
        assert_eq!(
            picks(&mut pool, 2),
            [3, 3],
            "the first in the list of equals"
        );
        edit(&mut pool, 3, 0);
        assert_eq!(picks(&mut pool, 1), [2]);
    }
}
