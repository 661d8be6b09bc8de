//! `twos`, power of two choices: of two destinations drawn at random by weight, the less loaded.
//! Kernel: `ip_vs_twos.c`.
//!
//! # Design
//!
//! The draw is the kernel's, off by one and all: numbers run from 0 to the sum of the weights
//! inclusive, so that the first eligible destination has one chance more than its weight. The
//! random numbers come from a seed ([`Settings::seed`](crate::Settings)), hence a run can be
//! repeated; they are not the kernel's numbers.

use crate::{Destination, DestinationId, Destinations, Flow, Scheduler, SchedulerKind};

/// See the [module](self).
#[derive(Debug)]
pub struct PowerOfTwo {
    state: u64,
}

impl PowerOfTwo {
    /// A scheduler whose draws are determined by `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// SplitMix64, the upper half: a step of the golden ratio and a mix.
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) >> 32
    }
}

impl Scheduler for PowerOfTwo {
    fn kind(&self) -> SchedulerKind {
        SchedulerKind::PowerOfTwo
    }

    fn pick(&mut self, destinations: &Destinations, _: &Flow) -> Option<DestinationId> {
        let list = destinations.listed();
        let sum: u64 = list
            .iter()
            .filter(|d| d.is_eligible())
            .map(|d| u64::from(d.weight))
            .sum();
        if sum == 0 {
            return None;
        }
        let first = drawn(list, self.random() % (sum + 1))?;
        let second = drawn(list, self.random() % (sum + 1))?;
        let load =
            |d: &Destination, by: &Destination| u128::from(by.weight) * u128::from(d.overhead());
        Some(if load(first, second) > load(second, first) {
            second.id
        } else {
            first.id
        })
    }
}

/// The eligible destination at which the weights, added up along the list, reach `number`.
fn drawn(list: &[Destination], mut number: u64) -> Option<&Destination> {
    list.iter().filter(|d| d.is_eligible()).find(|d| {
        number = number.saturating_sub(u64::from(d.weight));
        number == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;
    use crate::testing::{load, picks, pool};

    #[test]
    fn a_seed_makes_a_sequence() {
        let settings = |seed| Settings {
            seed,
            ..Settings::default()
        };
        let sequence = |seed| {
            picks(
                &mut pool(SchedulerKind::PowerOfTwo, settings(seed), &[1, 2, 3]),
                40,
            )
        };
        assert_eq!(sequence(1), sequence(1));
        assert_ne!(sequence(1), sequence(2));
    }

    #[test]
    fn a_draw_follows_the_weights_with_one_chance_more_for_the_first() {
        let pool = pool(SchedulerKind::PowerOfTwo, Settings::default(), &[1, 0, 3]);
        let drawn = |number| drawn(pool.destinations(), number).unwrap().weight;
        assert_eq!(
            [drawn(0), drawn(1), drawn(2), drawn(3), drawn(4)],
            [3, 3, 3, 3, 1]
        );
    }

    #[test]
    fn the_less_loaded_of_two_wins() {
        let mut pool = pool(SchedulerKind::PowerOfTwo, Settings::default(), &[1, 1]);
        load(&mut pool, 1, 100, 0);
        let busy = picks(&mut pool, 300)
            .iter()
            .filter(|number| **number == 1)
            .count();
        // Only if both draws hit it: one chance in nine.
        assert!((15..60).contains(&busy), "{busy}");
    }
}
