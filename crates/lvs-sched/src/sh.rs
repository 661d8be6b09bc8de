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
