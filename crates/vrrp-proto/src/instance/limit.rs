//! Events that strangers can cause, at a limited rate.

use std::time::Duration;

use crate::rejected::Rejected;
use crate::time::Time;

/// The least time between two events of one kind.
const GAP: Duration = Duration::from_secs(60);

/// One kind of event.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limit {
    quiet_until: Option<Time>,
    held_back: u64,
}

impl Limit {
    /// Counts one occurrence; how many to tell of, if it is time to.
    pub(super) fn occur(&mut self, now: Time) -> Option<u64> {
        self.held_back += 1;
        if self.quiet_until.is_some_and(|until| now < until) {
            return None;
        }
        self.quiet_until = Some(now + GAP);
        Some(std::mem::take(&mut self.held_back))
    }
}

/// All kinds.
#[derive(Clone, Debug, Default)]
pub(super) struct Limits {
    rejected: [Limit; Rejected::ALL.len()],
    pub(super) address_list: Limit,
    pub(super) same_address: Limit,
    pub(super) owner_conflict: Limit,
    pub(super) send_failed: Limit,
}

impl Limits {
    pub(super) fn rejected(&mut self, reason: Rejected, now: Time) -> Option<u64> {
        self.rejected.get_mut(reason as usize)?.occur(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_a_minute_tells_of_all() {
        let mut limit = Limit::default();
        assert_eq!(limit.occur(Time::from_secs(5)), Some(1));
        assert_eq!(limit.occur(Time::from_secs(6)), None);
        assert_eq!(limit.occur(Time::from_secs(64)), None);
        assert_eq!(limit.occur(Time::from_secs(65)), Some(3));
        assert_eq!(limit.occur(Time::from_secs(200)), Some(1));
    }
}
