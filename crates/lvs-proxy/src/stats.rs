//! Counters and rates of a service or a destination.
//!
//! # Design
//! A counter is a row of cells, one per worker, each on cache lines of its own. Only its own worker writes a
//! cell, so counting is a plain load and store without a locked instruction; a reader adds the cells up. Zeroing
//! (`ipvsadm -Z`) moves a base instead of touching the cells, so that it needs no agreement with the workers.
//! [`Estimator`] is a pure machine fed with totals every [`SAMPLE_INTERVAL`].

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// How often [`Counters::sample`] is to be called: the kernel's estimator works in steps of 2 s.
pub(crate) const SAMPLE_INTERVAL: Duration = Duration::from_secs(2);

/// Sums since the start or the last zeroing.
///
/// Packets are pieces of data as they were read from a socket (a datagram; for TCP whatever one read or splice
/// returned), bytes are payload. The kernel counts IP packets and their headers: it sees those, a proxy does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) conns: u64,
    pub(crate) in_packets: u64,
    pub(crate) out_packets: u64,
    pub(crate) in_bytes: u64,
    pub(crate) out_bytes: u64,
}

/// Averages per second, as `ipvsadm -L --rate` shows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rates {
    pub(crate) conns: u64,
    pub(crate) in_packets: u64,
    pub(crate) out_packets: u64,
    pub(crate) in_bytes: u64,
    pub(crate) out_bytes: u64,
}

/// Which way data flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the client to the real server.
    In,
    /// From the real server to the client.
    Out,
}

/// The counters of one service or destination.
#[derive(Debug)]
pub(crate) struct Counters {
    cells: Box<[Cell]>,
    estimate: Mutex<Estimate>,
}

/// One worker's share of [`Counters`]. Two cache lines: x86 fetches them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Cell {
    conns: AtomicU64,
    in_packets: AtomicU64,
    out_packets: AtomicU64,
    in_bytes: AtomicU64,
    out_bytes: AtomicU64,
}

#[derive(Debug, Default)]
struct Estimate {
    base: Totals,
    estimator: Estimator,
}

/// The kernel's rate estimator: a moving average over steps of 2 s in which the newest step weighs a quarter.
///
/// Kept in fixed point as the kernel does, ten bits behind the point for connections and packets, five for bytes,
/// so that the figures fade in the same steps. Source: `net/netfilter/ipvs/ip_vs_est.c` (its description).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Estimator {
    last: Totals,
    conns: i64,
    in_packets: i64,
    out_packets: i64,
    in_bytes: i64,
    out_bytes: i64,
}

impl Counters {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            cells: (0..workers.max(1)).map(|_| Cell::default()).collect(),
            estimate: Mutex::default(),
        }
    }

    /// The cell that worker number `worker`, and nobody else, may count in.
    pub(crate) fn cell(&self, worker: usize) -> &Cell {
        // Worker numbers are below the count that `new` was called with: both come from the same configuration.
        &self.cells[worker]
    }

    /// Sums since the last zeroing.
    pub(crate) fn totals(&self) -> Totals {
        let raw = self.raw();
        raw.since(&self.lock().base)
    }

    pub(crate) fn rates(&self) -> Rates {
        self.lock().estimator.rates()
    }

    /// Feeds the estimator; to be called every [`SAMPLE_INTERVAL`].
    pub(crate) fn sample(&self) {
        let raw = self.raw();
        self.lock().estimator.sample(&raw);
    }

    /// Begins again at zero, rates included.
    pub(crate) fn zero(&self) {
        let raw = self.raw();
        *self.lock() = Estimate {
            base: raw,
            estimator: Estimator {
                last: raw,
                ..Estimator::default()
            },
        };
    }

    fn raw(&self) -> Totals {
        self.cells
            .iter()
            .fold(Totals::default(), |sum, cell| Totals {
                conns: sum.conns.wrapping_add(cell.conns.load(Relaxed)),
                in_packets: sum.in_packets.wrapping_add(cell.in_packets.load(Relaxed)),
                out_packets: sum.out_packets.wrapping_add(cell.out_packets.load(Relaxed)),
                in_bytes: sum.in_bytes.wrapping_add(cell.in_bytes.load(Relaxed)),
                out_bytes: sum.out_bytes.wrapping_add(cell.out_bytes.load(Relaxed)),
            })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Estimate> {
        self.estimate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cell {
    /// Counts a new connection.
    pub(crate) fn connection(&self) {
        bump(&self.conns, 1);
    }

    /// Counts one piece of data.
    pub(crate) fn packet(&self, way: Way, bytes: usize) {
        let (packets, sum) = match way {
            Way::In => (&self.in_packets, &self.in_bytes),
            Way::Out => (&self.out_packets, &self.out_bytes),
        };
        bump(packets, 1);
        bump(sum, bytes as u64);
    }
}

impl Totals {
    fn since(&self, base: &Self) -> Self {
        Self {
            conns: self.conns.wrapping_sub(base.conns),
            in_packets: self.in_packets.wrapping_sub(base.in_packets),
            out_packets: self.out_packets.wrapping_sub(base.out_packets),
            in_bytes: self.in_bytes.wrapping_sub(base.in_bytes),
            out_bytes: self.out_bytes.wrapping_sub(base.out_bytes),
        }
    }
}

impl Estimator {
    /// Takes in the totals at the end of a step of 2 s.
    pub(crate) fn sample(&mut self, totals: &Totals) {
        let step = totals.since(&self.last);
        self.last = *totals;
        average(&mut self.conns, step.conns, 9);
        average(&mut self.in_packets, step.in_packets, 9);
        average(&mut self.out_packets, step.out_packets, 9);
        average(&mut self.in_bytes, step.in_bytes, 4);
        average(&mut self.out_bytes, step.out_bytes, 4);
    }

    pub(crate) fn rates(&self) -> Rates {
        Rates {
            conns: read(self.conns, 10),
            in_packets: read(self.in_packets, 10),
            out_packets: read(self.out_packets, 10),
            in_bytes: read(self.in_bytes, 5),
            out_bytes: read(self.out_bytes, 5),
        }
    }
}

/// Adds without a locked instruction; right because a cell has one writer.
fn bump(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(by), Relaxed);
}

/// `shift` is one less than the bits behind the point, because a step lasts two seconds.
fn average(value: &mut i64, step: u64, shift: u32) {
    let rate = i64::try_from(step)
        .unwrap_or(i64::MAX >> 10)
        .saturating_mul(1 << shift);
    *value += (rate - *value) >> 2;
}

fn read(value: i64, bits: u32) -> u64 {
    let half = (1 << (bits - 1)) - 1;
    u64::try_from(value.saturating_add(half) >> bits).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn conns(conns: u64) -> Totals {
        Totals {
            conns,
            in_bytes: conns * 100,
            ..Totals::default()
        }
    }

    #[test]
    fn cells_add_up_and_zero_moves_the_base() {
        let counters = Counters::new(2);
        counters.cell(0).connection();
        counters.cell(1).connection();
        counters.cell(0).packet(Way::In, 10);
        counters.cell(1).packet(Way::Out, 7);
        let expected = Totals {
            conns: 2,
            in_packets: 1,
            out_packets: 1,
            in_bytes: 10,
            out_bytes: 7,
        };
        assert_eq!(counters.totals(), expected);
        counters.zero();
        assert_eq!(counters.totals(), Totals::default());
        counters.cell(1).packet(Way::Out, 5);
        assert_eq!(
            counters.totals(),
            Totals {
                out_packets: 1,
                out_bytes: 5,
                ..Totals::default()
            }
        );
    }

    #[test]
    fn zeroing_forgets_the_rates_and_what_was_counted_before() {
        let counters = Counters::new(1);
        (0..400).for_each(|_| counters.cell(0).connection());
        counters.sample();
        assert_eq!(counters.rates().conns, 50);
        counters.zero();
        assert_eq!(counters.rates(), Rates::default());
        counters.sample();
        assert_eq!(counters.rates(), Rates::default());
    }

    #[test]
    fn a_quarter_of_each_step_is_taken_in() {
        let mut estimator = Estimator::default();
        // 200 connections in 2 s are 100 a second.
        let mut seen = Vec::new();
        for step in 1..=4 {
            estimator.sample(&conns(200 * step));
            seen.push(estimator.rates().conns);
        }
        assert_eq!(seen, [25, 44, 58, 68]);
        estimator.sample(&conns(800));
        assert_eq!(estimator.rates().conns, 51);
        assert!(
            (5000..=5200).contains(&estimator.rates().in_bytes),
            "{:?}",
            estimator.rates()
        );
    }

    #[test]
    fn a_rate_fades_to_nothing() {
        let mut estimator = Estimator::default();
        estimator.sample(&conns(1_000_000));
        for _ in 0..60 {
            estimator.sample(&conns(1_000_000));
        }
        assert_eq!(estimator.rates(), Rates::default());
    }

    proptest! {
        #[test]
        fn a_steady_rate_is_found(per_second in 1u64..1_000_000) {
            let mut estimator = Estimator::default();
            for step in 1..=120 {
                estimator.sample(&conns(per_second * 2 * step));
            }
            let found = estimator.rates();
            prop_assert!(found.conns.abs_diff(per_second) <= 1, "{} for {}", found.conns, per_second);
            prop_assert!(found.in_bytes.abs_diff(per_second * 100) <= 1);
        }
    }
}
