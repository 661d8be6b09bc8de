//! The table of destination addresses that lblc and lblcr share, with its housekeeping.
//!
//! # Design
//!
//! Addresses live in 1024 buckets because the partial collection goes by buckets: which idle
//! addresses are dropped first is visible in later choices. The number of entries is kept as the
//! kernel keeps it, by its own arithmetic, not counted: see [`Table::count_replacement`].

use std::net::IpAddr;
use std::time::Duration;

use crate::hash;

const BUCKETS: usize = 1024;
/// Time between two housekeeping runs.
const PERIOD: Duration = Duration::from_secs(60);
/// Every so many runs all entries are looked at.
const RUNS_PER_FULL_CHECK: u32 = 30;
/// More entries than this, and each run collects some.
const MAX_ENTRIES: u64 = 16 * BUCKETS as u64;
/// Entries used within this time survive the partial collection.
const RECENT: Duration = Duration::from_secs(360);

/// What is remembered for one destination address.
#[derive(Debug)]
pub(crate) struct Entry<T> {
    address: IpAddr,
    /// When a flow to this address was last scheduled.
    pub(crate) last_use: Duration,
    /// The server or servers of the address.
    pub(crate) value: T,
}

/// Destination address to `T`.
#[derive(Debug)]
pub(crate) struct Table<T> {
    buckets: Vec<Vec<Entry<T>>>,
    entries: u64,
    rover: usize,
    runs: u32,
    next_run: Duration,
}

impl<T> Table<T> {
    /// An empty table; the first housekeeping run is due 60 s from `now`.
    pub(crate) fn new(now: Duration) -> Self {
        let buckets = std::iter::repeat_with(Vec::new).take(BUCKETS).collect();
        Self {
            buckets,
            entries: 0,
            rover: 0,
            runs: 1,
            next_run: now + PERIOD,
        }
    }

    pub(crate) fn find(&mut self, address: IpAddr) -> Option<&mut Entry<T>> {
        let bucket = self.buckets.get_mut(bucket_of(address))?;
        bucket.iter_mut().find(|entry| entry.address == address)
    }

    /// Remembers `value`; the address is not in the table.
    pub(crate) fn insert(&mut self, address: IpAddr, value: T, now: Duration) {
        if let Some(bucket) = self.buckets.get_mut(bucket_of(address)) {
            bucket.push(Entry {
                address,
                last_use: now,
                value,
            });
            self.entries += 1;
        }
    }

    /// lblc has replaced an entry. The kernel counts the new one and forgets to take off the old
    /// one, for good; so partial collection begins after enough replacements of few addresses.
    pub(crate) fn count_replacement(&mut self) {
        self.entries += 1;
    }

    /// When the next housekeeping run is due.
    pub(crate) fn next_run(&self) -> Duration {
        self.next_run
    }

    /// One housekeeping run, if it is due.
    pub(crate) fn run(&mut self, now: Duration, expiration: Duration) {
        if now < self.next_run {
            return;
        }
        self.next_run = now + PERIOD;
        if self.runs.is_multiple_of(RUNS_PER_FULL_CHECK) {
            for bucket in 0..BUCKETS {
                self.collect(bucket, now, expiration);
            }
            self.runs = 1;
        } else if self.entries <= MAX_ENTRIES {
            self.runs += 1;
        } else {
            self.collect_some(now);
        }
    }

    /// Drops idle entries bucket by bucket until the goal is reached.
    fn collect_some(&mut self, now: Duration) {
        let goal = ((self.entries - MAX_ENTRIES) * 4 / 3).min(MAX_ENTRIES / 2);
        let mut dropped = 0;
        for _ in 0..BUCKETS {
            self.rover = (self.rover + 1) % BUCKETS;
            dropped += self.collect(self.rover, now, RECENT);
            if dropped >= goal {
                return;
            }
        }
    }

    fn collect(&mut self, bucket: usize, now: Duration, unused_for: Duration) -> u64 {
        let Some(bucket) = self.buckets.get_mut(bucket) else {
            return 0;
        };
        let before = bucket.len();
        bucket.retain(|entry| entry.last_use.saturating_add(unused_for) > now);
        let dropped = (before - bucket.len()) as u64;
        self.entries -= dropped;
        dropped
    }
}

fn bucket_of(address: IpAddr) -> usize {
    hash::golden10(hash::fold(address)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u32) -> IpAddr {
        IpAddr::V4(n.into())
    }

    fn run_until(table: &mut Table<()>, end: u64, expiration: Duration) {
        while table.next_run() <= Duration::from_secs(end) {
            let due = table.next_run();
            table.run(due, expiration);
        }
    }

    #[test]
    fn the_full_check_comes_with_every_thirtieth_run() {
        let mut table = Table::new(Duration::ZERO);
        table.insert(address(1), (), Duration::ZERO);
        let short = Duration::from_secs(10);
        run_until(&mut table, 1799, short);
        assert!(table.find(address(1)).is_some());
        assert_eq!(table.next_run(), Duration::from_secs(1800));
        run_until(&mut table, 1800, short);
        assert!(table.find(address(1)).is_none());

        table.insert(address(2), (), Duration::from_secs(1800));
        run_until(&mut table, 3599, short);
        assert!(table.find(address(2)).is_some());
        run_until(&mut table, 3600, short);
        assert!(table.find(address(2)).is_none());
    }

    #[test]
    fn an_entry_expires_at_its_time_not_before() {
        for (expiration, survives) in [(1800, false), (1801, true)] {
            let mut table = Table::new(Duration::ZERO);
            table.insert(address(1), (), Duration::ZERO);
            run_until(&mut table, 1800, Duration::from_secs(expiration));
            assert_eq!(table.find(address(1)).is_some(), survives, "{expiration}");
        }
    }

    #[test]
    fn an_early_run_does_nothing() {
        let mut table: Table<()> = Table::new(Duration::from_secs(5));
        table.run(Duration::from_secs(64), Duration::ZERO);
        assert_eq!(table.next_run(), Duration::from_secs(65));
        assert_eq!(table.runs, 1);
    }

    #[test]
    fn partial_collection_begins_above_16384_entries_and_spares_recent_ones() {
        let mut table = Table::new(Duration::ZERO);
        for n in 0..MAX_ENTRIES as u32 {
            table.insert(address(n), (), Duration::ZERO);
        }
        let day = Duration::from_secs(86_400);
        run_until(&mut table, 420, day);
        assert_eq!(
            table.entries, MAX_ENTRIES,
            "at the limit nothing is collected"
        );
        assert_eq!(table.runs, 8);

        table.insert(address(u32::MAX), (), Duration::from_secs(420));
        table.run(Duration::from_secs(480), day);
        assert!(table.entries < MAX_ENTRIES);
        assert_eq!(table.runs, 8, "the way to the full check stands still");
        assert_eq!(
            table.rover, 1,
            "the first bucket looked at is the one after the first"
        );
        assert!(table.find(address(u32::MAX)).is_some());
    }

    #[test]
    fn replacements_count_as_entries_for_good() {
        let mut table = Table::new(Duration::ZERO);
        table.insert(address(1), (), Duration::ZERO);
        for _ in 0..MAX_ENTRIES {
            table.count_replacement();
        }
        run_until(&mut table, 360, Duration::from_secs(86_400));
        assert!(
            table.find(address(1)).is_none(),
            "collected although it is the only one"
        );
        assert_eq!(table.entries, MAX_ENTRIES);
    }
}
