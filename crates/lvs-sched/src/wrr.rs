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
