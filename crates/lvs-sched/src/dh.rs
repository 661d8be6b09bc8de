//! `dh`, destination hashing: the address the client sent to decides. Kernel: `ip_vs_dh.c`.
//!
//! # Design
//!
//! 256 buckets hold the destinations in turn from the head of the list, whatever their weights. If
//! the one in the bucket may not take the flow, nobody does: there is no fallback. An ordinary
//! service has one address, hence one bucket; dh is made for firewall-mark services.

use crate::{Change, DestinationId, Destinations, Flow, Scheduler, SchedulerKind, hash};

/// See the [module](self).
#[derive(Debug, Default)]
pub struct DestinationHash {
    /// Bucket i holds destination i modulo this; 0 before the first. That is the kernel's table,
    /// which is refilled at each add and removal, without storing it.
    destinations: usize,
}

impl Scheduler for DestinationHash {
    fn kind(&self) -> SchedulerKind {
        SchedulerKind::DestinationHash
    }

    fn update(&mut self, destinations: &Destinations, _: Change) {
        self.destinations = destinations.listed().len();
    }

    fn pick(&mut self, destinations: &Destinations, flow: &Flow) -> Option<DestinationId> {
        let bucket = usize::from(hash::golden8(hash::fold(flow.dst)));
        let position = bucket.checked_rem(self.destinations)?;
        destinations
            .listed()
            .get(position)
            .filter(|d| d.is_eligible())
            .map(|d| d.id)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{edit, flow_to, pick_for, picks, pool, remove};
    use crate::{SchedulerKind, Settings};

    #[test]
    fn the_bucket_of_the_address_decides_alone() {
        let mut pool = pool(
            SchedulerKind::DestinationHash,
            Settings::default(),
            &[1, 9, 2],
        );
        // 10.0.0.1 has bucket 39; 39 modulo 3 is 0, the head.
        assert_eq!(picks(&mut pool, 2), [3, 3]);
        edit(&mut pool, 3, 0);
        assert_eq!(picks(&mut pool, 1), [0], "no fallback");
        // 39 modulo 2 is 1, the second.
        remove(&mut pool, 3);
        assert_eq!(picks(&mut pool, 1), [1]);
        remove(&mut pool, 1);
        remove(&mut pool, 2);
        assert_eq!(pick_for(&mut pool, &flow_to(1, 0)), 0);
    }
}
