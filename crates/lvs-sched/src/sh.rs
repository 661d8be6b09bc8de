//! `sh`, source hashing: the client's address decides. Kernel: `ip_vs_sh.c`.
//!
//! # Design
//!
//! 256 buckets are filled from the list, round after round, each destination taking as many in a
//! row as it has weight, but at least one: a quiesced destination owns buckets too. Without the
//! flag *fallback* a flow whose bucket belongs to an ineligible one is refused. With it further
//! buckets are tried, of which the first is 2h, not h + 1, as in the kernel.

use crate::{
    Change, DestinationId, Destinations, Flow, Scheduler, SchedulerFlags, SchedulerKind, Settings,
    hash,
};

/// The number of buckets. Kernel: `CONFIG_IP_VS_SH_TAB_BITS`, 8 by default.
pub const BUCKETS: usize = 256;

/// See the [module](self).
#[derive(Debug)]
pub struct SourceHash {
    /// Position in the list per bucket; beyond the list where the list is empty.
    buckets: Box<[usize; BUCKETS]>,
    flags: SchedulerFlags,
}

impl Default for SourceHash {
    fn default() -> Self {
        Self {
            buckets: Box::new([usize::MAX; BUCKETS]),
            flags: SchedulerFlags::default(),
        }
    }
}

impl Scheduler for SourceHash {
    fn kind(&self) -> SchedulerKind {
        SchedulerKind::SourceHash
    }

    fn update(&mut self, destinations: &Destinations, _: Change) {
        self.buckets.fill(usize::MAX);
        let turn = |(position, weight): (usize, u32)| {
            // No more than all buckets can be taken in one turn.
            std::iter::repeat_n(position, (weight.max(1) as usize).min(BUCKETS))
        };
        let weights = destinations.listed().iter().map(|d| d.weight).enumerate();
        for (bucket, position) in self.buckets.iter_mut().zip(weights.cycle().flat_map(turn)) {
            *bucket = position;
        }
    }

    fn pick(&mut self, destinations: &Destinations, flow: &Flow) -> Option<DestinationId> {
        let port = if self.flags.port {
            u32::from(flow.src_port)
        } else {
            0
        };
        let hash = hash::golden8(hash::fold(flow.src).wrapping_add(port));
        let eligible = |bucket: u8| {
            let position = self.buckets[usize::from(bucket)]; // 256 buckets, a u8
            destinations
                .listed()
                .get(position)
                .filter(|d| d.is_eligible())
                .map(|d| d.id)
        };
        eligible(hash).or_else(|| {
            if !self.flags.fallback {
                return None;
            }
            (0..=u8::MAX).find_map(|offset| eligible(offset.wrapping_add(hash).wrapping_add(hash)))
        })
    }

    fn configure(&mut self, settings: &Settings) {
        self.flags = settings.flags;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Protocol;
    use crate::testing::{edit, flow, pick_for, picks, pool, remove, server};

    fn numbers(weights: &[u32]) -> Vec<usize> {
        let mut destinations = Destinations::default();
        for (number, weight) in (1..).zip(weights) {
            let config = crate::DestinationConfig::with_weight(*weight);
            destinations.insert(server(number), 8080, &config);
        }
        let mut hash = SourceHash::default();
        hash.update(&destinations, Change::Started);
        // Position 0 is the one added last.
        hash.buckets
            .iter()
            .map(|position| weights.len() - position)
            .collect()
    }

    #[test]
    fn buckets_go_round_by_weight_from_the_head() {
        assert_eq!(
            numbers(&[1, 2, 3])[..12],
            [3, 3, 3, 2, 2, 1, 3, 3, 3, 2, 2, 1]
        );
        assert_eq!(
            numbers(&[1, 0, 2])[..8],
            [3, 3, 2, 1, 3, 3, 2, 1],
            "a quiesced one has buckets"
        );
        assert!(
            numbers(&[5, 300]).iter().all(|number| *number == 2),
            "a round beyond the table"
        );
    }

    #[test]
    fn the_port_counts_if_asked_for() {
        // 203.0.113.9 has bucket 64, with port 12345 bucket 159.
        let flags = SchedulerFlags {
            port: true,
            fallback: false,
        };
        let mut with_port = pool(SchedulerKind::SourceHash, flags, &[1, 2, 3]);
        let mut without = pool(SchedulerKind::SourceHash, Settings::default(), &[1, 2, 3]);
        assert_eq!(picks(&mut without, 1), [numbers(&[1, 2, 3])[64] as u8]);
        assert_eq!(picks(&mut with_port, 1), [numbers(&[1, 2, 3])[159] as u8]);
        let udp = Flow {
            protocol: Protocol::Udp,
            ..flow()
        };
        assert_eq!(
            pick_for(&mut with_port, &udp),
            numbers(&[1, 2, 3])[159] as u8
        );
    }

    #[test]
    fn fallback_tries_the_double_of_the_bucket_first() {
        let weights = [1, 1, 1, 1, 1];
        // Bucket 64 is 1's, bucket 128 is 2's.
        assert_eq!((numbers(&weights)[64], numbers(&weights)[128]), (1, 2));
        let mut pool = pool(SchedulerKind::SourceHash, Settings::default(), &weights);
        assert_eq!(picks(&mut pool, 1), [1]);
        edit(&mut pool, 1, 0);
        assert_eq!(picks(&mut pool, 1), [0], "without fallback it is refused");
        pool.set_settings(SchedulerFlags {
            fallback: true,
            port: false,
        });
        assert_eq!(picks(&mut pool, 1), [2]);
        edit(&mut pool, 2, 0);
        // Bucket 129 is 1's again, bucket 130 is 5's.
        assert_eq!(picks(&mut pool, 1), [5]);
        for number in 1..=5 {
            remove(&mut pool, number);
        }
        assert_eq!(picks(&mut pool, 1), [0]);
    }
}
