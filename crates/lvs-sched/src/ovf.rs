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
