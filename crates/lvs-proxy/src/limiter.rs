//! Keeps what a stranger can trigger from filling the log.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// How often one kind of event is logged.
const INTERVAL: Duration = Duration::from_secs(60);

/// Lets one event a minute through and counts the others.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    /// When the next one may pass, in nanoseconds of the proxy's clock.
    next: AtomicU64,
    held_back: AtomicU64,
}

impl Limiter {
    /// Whether an event at `now` is to be logged, and then how many were held back since the last one.
    pub(crate) fn admit(&self, now: Duration) -> Option<u64> {
        let now_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let next = self.next.load(Relaxed);
        let after = now_ns.saturating_add(INTERVAL.as_nanos() as u64);
        if now_ns < next
            || self
                .next
                .compare_exchange(next, after, Relaxed, Relaxed)
                .is_err()
        {
            self.held_back.fetch_add(1, Relaxed);
            return None;
        }
        Some(self.held_back.swap(0, Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_a_minute_and_the_rest_counted() {
        let limiter = Limiter::default();
        let at = |seconds| limiter.admit(Duration::from_secs(seconds));
        assert_eq!(
            [at(5), at(6), at(64), at(65), at(66)],
            [Some(0), None, None, Some(2), None]
        );
    }
}
