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

#[cfg(test)]
mod tests {
    use crate::testing::{add, edit, picks, pool, remove};
    use crate::{SchedulerKind, Settings};

    #[test]
    fn the_one_added_last_comes_first_and_weights_do_not_matter() {
        let mut pool = pool(SchedulerKind::RoundRobin, Settings::default(), &[1, 50, 2]);
        assert_eq!(picks(&mut pool, 7), [3, 2, 1, 3, 2, 1, 3]);
    }

    #[test]
    fn one_added_at_the_head_waits_for_the_next_round() {
        let mut pool = pool(SchedulerKind::RoundRobin, Settings::default(), &[1, 1, 1]);
        assert_eq!(picks(&mut pool, 1), [3]);
        add(&mut pool, 4, 1);
        assert_eq!(picks(&mut pool, 4), [2, 1, 4, 3]);
    }

    #[test]
    fn after_the_removal_of_the_last_choice_its_successor_is_next() {
        let mut pool = pool(
            SchedulerKind::RoundRobin,
            Settings::default(),
            &[1, 1, 1, 1],
        );
        assert_eq!(picks(&mut pool, 2), [4, 3]);
        remove(&mut pool, 3);
        assert_eq!(picks(&mut pool, 2), [2, 1]);
        remove(&mut pool, 4);
        assert_eq!(picks(&mut pool, 2), [2, 1]);
    }

    #[test]
    fn after_the_removal_of_the_head_the_new_head_is_next() {
        let mut pool = pool(SchedulerKind::RoundRobin, Settings::default(), &[1, 1, 1]);
        assert_eq!(picks(&mut pool, 1), [3]);
        remove(&mut pool, 3);
        assert_eq!(picks(&mut pool, 2), [2, 1]);
    }

    #[test]
    fn quiesced_ones_are_passed_by_and_a_failed_round_moves_nothing() {
        let mut pool = pool(SchedulerKind::RoundRobin, Settings::default(), &[1, 0, 1]);
        assert_eq!(picks(&mut pool, 3), [3, 1, 3]);
        edit(&mut pool, 3, 0);
        edit(&mut pool, 1, 0);
        assert_eq!(picks(&mut pool, 2), [0, 0]);
        edit(&mut pool, 3, 1);
        edit(&mut pool, 2, 1);
        assert_eq!(picks(&mut pool, 1), [2]);
    }
}
