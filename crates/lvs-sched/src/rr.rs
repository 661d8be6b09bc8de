//! `rr`, round robin: each eligible destination in turn. Kernel: `ip_vs_rr.c`.
//!
//! # Design
//!
//! The state is the position of the destination chosen last. A destination that is added at the
//! head is passed by until the walk has wrapped round; the first choice of a fresh service is the
//! head, thus the destination added last. When the one chosen last is removed, its predecessor
//! takes its part, so that its successor comes next.

use crate::{Change, DestinationId, Destinations, Flow, Scheduler, SchedulerKind};

/// See the [module](self).
#[derive(Debug, Default)]
pub struct RoundRobin {
    /// The destination chosen last; `None` is the head of the list, before the first one.
    last: Option<usize>,
}

impl Scheduler for RoundRobin {
    fn kind(&self) -> SchedulerKind {
        SchedulerKind::RoundRobin
    }

    fn update(&mut self, _: &Destinations, change: Change) {
        let Some(last) = self.last else { return };
        self.last = match change {
            Change::Started => None,
            Change::Added { position } if position <= last => Some(last + 1),
            Change::Removed { position } if position <= last => last.checked_sub(1),
            Change::Added { .. } | Change::Removed { .. } | Change::Edited { .. } => Some(last),
        };
    }

    fn pick(&mut self, destinations: &Destinations, _: &Flow) -> Option<DestinationId> {
        let list = destinations.listed();
        let after = self.last.map_or(0, |last| last + 1);
        let behind = list.iter().enumerate().skip(after);
        let before = list.iter().enumerate().take(after);
        let (position, chosen) = behind.chain(before).find(|(_, d)| d.is_eligible())?;
        self.last = Some(position);
        Some(chosen.id)
    }
}
