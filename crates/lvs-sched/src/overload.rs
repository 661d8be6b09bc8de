//! The overloaded mark: a stored bit with its own rules of change.
//!
//! | event | effect |
//! | --- | --- |
//! | a connection or template is bound | set if an upper threshold exists and the total, the new one counted, has reached it |
//! | a connection or template is unbound | cleared if the total is then below the lower threshold; without one, below three quarters of the upper; without both, always |
//! | add, edit | cleared if the new upper threshold is 0 or greater than the old one |
//!
//! Nothing else touches it: a connection that turns inactive clears nothing, and an edit never sets
//! it even if the total already stands above the new limit. Templates count in no total.
//!
//! # Design
//!
//! The rules stand apart from the [`Pool`](crate::Pool) because a replay applies them to counts
//! that somebody else has kept.

use crate::Destination;

/// A connection or template was bound to `destination`; its count is in already.
pub(crate) fn on_bind(destination: &mut Destination) {
    let upper = u64::from(destination.upper_threshold);
    if upper != 0 && destination.total_conns() >= upper {
        destination.overloaded = true;
    }
}

/// A connection or template of `destination` has gone; its count is off already.
pub(crate) fn on_unbind(destination: &mut Destination) {
    let total = destination.total_conns();
    let upper = u64::from(destination.upper_threshold);
    let lower = u64::from(destination.lower_threshold);
    let clear = if lower != 0 {
        total < lower
    } else if upper != 0 {
        total * 4 < upper * 3
    } else {
        true
    };
    if clear {
        destination.overloaded = false;
    }
}

/// New settings are about to be written; `destination` still has the old ones.
pub(crate) fn on_write(destination: &mut Destination, new_upper: u32) {
    if new_upper == 0 || new_upper > destination.upper_threshold {
        destination.overloaded = false;
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{pool, server};
    use crate::{DestinationConfig, Pool, SchedulerKind, Settings};

    fn service(upper_threshold: u32, lower_threshold: u32) -> Pool {
        let mut pool = pool(SchedulerKind::RoundRobin, Settings::default(), &[1]);
        set(&mut pool, upper_threshold, lower_threshold);
        pool
    }

    fn set(pool: &mut Pool, upper_threshold: u32, lower_threshold: u32) {
        let config = DestinationConfig {
            weight: 1,
            upper_threshold,
            lower_threshold,
        };
        pool.edit(server(1), 8080, config).unwrap();
    }

    /// Binds (positive) or unbinds connections one by one; gives the mark after each.
    fn marks(pool: &mut Pool, change: i32) -> String {
        let id = pool.find(server(1), 8080).unwrap();
        (0..change.abs())
            .map(|_| {
                if change > 0 {
                    pool.bind(id)
                } else {
                    pool.unbind(id)
                }
                if pool.destination(id).unwrap().overloaded {
                    'x'
                } else {
                    '.'
                }
            })
            .collect()
    }

    #[test]
    fn set_at_the_upper_and_cleared_below_three_quarters() {
        let mut pool = service(4, 0);
        assert_eq!(marks(&mut pool, 5), "...xx");
        assert_eq!(marks(&mut pool, -5), "xx...");
    }

    #[test]
    fn a_lower_threshold_clears_instead() {
        let mut pool = service(4, 2);
        assert_eq!(marks(&mut pool, 4), "...x");
        assert_eq!(marks(&mut pool, -4), "xx..");
    }

    #[test]
    fn edits_clear_only_upwards_and_set_never() {
        let mut pool = service(4, 0);
        assert_eq!(marks(&mut pool, 4), "...x");
        let overloaded = |pool: &Pool| pool.destinations()[0].overloaded;
        set(&mut pool, 4, 0);
        assert!(overloaded(&pool), "the same");
        set(&mut pool, 2, 0);
        assert!(overloaded(&pool), "lower");
        set(&mut pool, 3, 0);
        assert!(!overloaded(&pool), "higher, though the total is above it");
        assert_eq!(marks(&mut pool, 1), "x");
        set(&mut pool, 0, 0);
        assert!(!overloaded(&pool), "none");
    }

    #[test]
    fn templates_look_and_do_not_count() {
        let mut pool = service(2, 0);
        let id = pool.find(server(1), 8080).unwrap();
        pool.bind_template(id);
        assert_eq!(marks(&mut pool, 1), ".");
        pool.bind_template(id);
        assert!(!pool.destinations()[0].overloaded);
        set(&mut pool, 1, 0);
        pool.bind_template(id);
        assert!(pool.destinations()[0].overloaded);
        assert_eq!(pool.destinations()[0].persist_conns, 3);
        set(&mut pool, 1, 1);
        pool.unbind_template(id);
        assert!(pool.destinations()[0].overloaded, "1 is not below 1");
        assert_eq!(marks(&mut pool, -1), ".");
    }

    #[test]
    fn activity_changes_nothing() {
        let mut pool = service(1, 0);
        assert_eq!(marks(&mut pool, 1), "x");
        let id = pool.find(server(1), 8080).unwrap();
        pool.activate(id);
        pool.deactivate(id);
        assert!(pool.destinations()[0].overloaded);
    }
}
