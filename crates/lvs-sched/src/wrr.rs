//! `wrr`, weighted round robin: turns in proportion to the weights, interleaved from the heaviest
//! down. Kernel: `ip_vs_wrr.c`.
//!
//! # Design
//!
//! A walk round the list takes every destination whose weight reaches a level; at the end of the
//! list the level sinks by the greatest common divisor of the weights, and from the bottom goes
//! back to the top. Three things are the kernel's own and kept here:
//!
//! * Any add, edit or removal sends the pointer back to the head.
//! * A service that is built up destination by destination starts at level 1, so its first round
//!   takes everybody once. Only a service switched to wrr starts at the top.
//! * The walk gives up only after a full descent, whose exact end decides at which level the next
//!   flow finds it.
//!
//! With weights up to 2³¹ - 1 a descent could take as many rounds as that. Rounds in which
//! certainly nobody is taken are skipped in one step; the outcome is the same.

use crate::{Change, Destination, DestinationId, Destinations, Flow, Scheduler, SchedulerKind};

/// See the [module](self).
#[derive(Debug, Default)]
pub struct WeightedRoundRobin {
    /// The destination the walk has come to; `None` is the head of the list, before the first.
    last: Option<usize>,
    /// Greatest common divisor of the weights; 1 if there are none.
    step: i64,
    /// The level to start a descent from.
    top: i64,
    /// Destinations of at least this weight are taken in the present round.
    level: i64,
}

impl Scheduler for WeightedRoundRobin {
    fn kind(&self) -> SchedulerKind {
        SchedulerKind::WeightedRoundRobin
    }

    fn update(&mut self, destinations: &Destinations, change: Change) {
        let list = destinations.listed();
        self.last = None;
        self.step = list.iter().map(weight).fold(0, gcd).max(1);
        self.top = list.iter().map(weight).max().unwrap_or(0) - (self.step - 1);
        if change == Change::Started || self.level > self.top || self.level == 0 {
            self.level = self.top;
        } else if self.step > 1 {
            self.level = self.level / self.step * self.step + 1;
        }
    }

    fn pick(&mut self, destinations: &Destinations, _: &Flow) -> Option<DestinationId> {
        if self.top <= 0 {
            return None;
        }
        let list = destinations.listed();
        let started_at = self.last;
        let mut position = self.last;
        let mut stop = None;
        let mut last_pass = false;
        let mut restarted = false;
        let mut heaviest = None;
        loop {
            let from = position.map_or(0, |p| p + 1);
            for (here, d) in list.iter().enumerate().skip(from) {
                if !d.overloaded && weight(d) >= self.level {
                    self.last = Some(here);
                    return Some(d.id);
                }
                if stop == Some(here) {
                    self.last = Some(here);
                    return None;
                }
            }
            position = None;
            self.level -= self.step;
            if self.level <= 0 {
                self.level = self.top;
                if last_pass || started_at.is_none() {
                    self.last = None;
                    return None;
                }
                restarted = true;
            }
            let heaviest = *heaviest.get_or_insert_with(|| heaviest_free(list));
            self.skip_empty_rounds(heaviest);
            last_pass = self.level <= self.step;
            if last_pass && restarted && started_at.is_some() {
                stop = started_at;
            }
        }
    }
}

impl WeightedRoundRobin {
    /// Sinks the level over rounds that take nobody and are not the last of a descent.
    fn skip_empty_rounds(&mut self, heaviest: i64) {
        let floor = heaviest.max(self.step);
        if self.level > floor {
            // As many steps as levels of this descent lie above the floor; stays above 0, since
            // the level was above `floor` one step before and `floor` is at least one step.
            let rounds = (self.level - floor + self.step - 1) / self.step;
            self.level -= rounds * self.step;
        }
    }
}

fn weight(destination: &Destination) -> i64 {
    i64::from(destination.weight)
}

fn heaviest_free(list: &[Destination]) -> i64 {
    list.iter()
        .filter(|d| !d.overloaded)
        .map(weight)
        .max()
        .unwrap_or(0)
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::{add, edit, load, picks, pool, server};
    use crate::{DestinationConfig, Pool, Settings};

    /// Servers 1, 2, 3 of weights 4, 2, 6.
    fn service() -> Pool {
        pool(
            SchedulerKind::WeightedRoundRobin,
            Settings::default(),
            &[4, 2, 6],
        )
    }

    #[test]
    fn a_service_built_up_begins_with_a_flat_round() {
        let mut pool = service();
        assert_eq!(picks(&mut pool, 11), [3, 2, 1, 3, 3, 1, 3, 2, 1, 3, 3]);
    }

    #[test]
    fn a_service_switched_over_begins_at_the_top() {
        let mut pool = pool(SchedulerKind::RoundRobin, Settings::default(), &[4, 2, 6]);
        pool.set_scheduler(SchedulerKind::WeightedRoundRobin, Duration::ZERO);
        assert_eq!(picks(&mut pool, 8), [3, 3, 1, 3, 2, 1, 3, 3]);
    }

    #[test]
    fn the_same_scheduler_again_changes_nothing() {
        let mut pool = service();
        assert_eq!(picks(&mut pool, 4), [3, 2, 1, 3]);
        pool.set_scheduler(SchedulerKind::WeightedRoundRobin, Duration::ZERO);
        assert_eq!(picks(&mut pool, 4), [3, 1, 3, 2]);
    }

    #[test]
    fn every_edit_sends_the_walk_to_the_head_on_the_same_level() {
        let mut pool = service();
        assert_eq!(picks(&mut pool, 8), [3, 2, 1, 3, 3, 1, 3, 2]);
        // On the lowest level, with 1 still to come.
        edit(&mut pool, 2, 2);
        assert_eq!(picks(&mut pool, 4), [3, 2, 1, 3]);
    }

    #[test]
    fn a_change_puts_the_level_on_the_new_grid() {
        let mut pool = pool(
            SchedulerKind::WeightedRoundRobin,
            Settings::default(),
            &[3, 1],
        );
        // A flat round, then level 3, then level 2.
        assert_eq!(picks(&mut pool, 4), [2, 1, 1, 1]);
        edit(&mut pool, 1, 4);
        edit(&mut pool, 2, 2);
        // Weights 4 and 2: levels 3 and 1, and level 2 becomes 3.
        assert_eq!(picks(&mut pool, 4), [1, 2, 1, 1]);
    }

    #[test]
    fn overloaded_ones_lose_their_turns() {
        let mut pool = service();
        let config = DestinationConfig {
            weight: 6,
            upper_threshold: 5,
            lower_threshold: 0,
        };
        pool.edit(server(3), 8080, config).unwrap();
        load(&mut pool, 3, 5, 0);
        assert_eq!(picks(&mut pool, 6), [2, 1, 1, 2, 1, 1]);
        load(&mut pool, 1, 9, 0);
        assert_eq!(
            picks(&mut pool, 3),
            [2, 1, 1],
            "others' connections are no matter"
        );
    }

    #[test]
    fn nobody_to_choose() {
        let mut pool = pool(SchedulerKind::WeightedRoundRobin, Settings::default(), &[]);
        assert_eq!(picks(&mut pool, 2), [0, 0]);
        add(&mut pool, 1, 0);
        assert_eq!(picks(&mut pool, 2), [0, 0]);
        add(&mut pool, 2, 3);
        assert_eq!(picks(&mut pool, 2), [2, 2]);
    }

    /// The walk, round by round as the kernel goes it, without skipping.
    fn slow_pick(this: &mut WeightedRoundRobin, list: &[Destination]) -> Option<DestinationId> {
        if this.top <= 0 {
            return None;
        }
        let started_at = this.last;
        let (mut position, mut stop) = (this.last, None);
        let (mut last_pass, mut restarted) = (false, false);
        loop {
            for (here, d) in list.iter().enumerate().skip(position.map_or(0, |p| p + 1)) {
                if !d.overloaded && weight(d) >= this.level {
                    this.last = Some(here);
                    return Some(d.id);
                }
                if stop == Some(here) {
                    this.last = Some(here);
                    return None;
                }
            }
            position = None;
            this.level -= this.step;
            if this.level <= 0 {
                this.level = this.top;
                if last_pass || started_at.is_none() {
                    this.last = None;
                    return None;
                }
                restarted = true;
            }
            last_pass = this.level <= this.step;
            if last_pass && restarted && started_at.is_some() {
                stop = started_at;
            }
        }
    }

    proptest::proptest! {
        /// Skipping rounds changes neither the choice nor the state left behind.
        #[test]
        fn skipping_rounds_is_invisible(
            servers in proptest::collection::vec((0..40u32, proptest::bool::weighted(0.4)), 1..7),
            factor in 1..5u32,
            last in 0..8usize,
            level in 0..200i64,
        ) {
            let mut destinations = Destinations::default();
            for (number, (weight, overloaded)) in (1..).zip(&servers) {
                let config = DestinationConfig::with_weight(weight * factor);
                let id = destinations.insert(server(number), 80, &config);
                destinations.get_mut(id).unwrap().overloaded = *overloaded;
            }
            let mut fast = WeightedRoundRobin::default();
            fast.update(&destinations, Change::Started);
            fast.last = last.checked_sub(1).filter(|last| *last < servers.len());
            if fast.top > 0 {
                fast.level = level % fast.top + 1;
            }
            let mut slow = WeightedRoundRobin { last: fast.last, ..fast };
            for _ in 0..20 {
                let expected = slow_pick(&mut slow, destinations.listed());
                proptest::prop_assert_eq!(fast.pick(&destinations, &crate::testing::flow()), expected);
                proptest::prop_assert_eq!((fast.last, fast.level), (slow.last, slow.level));
            }
        }
    }
}
