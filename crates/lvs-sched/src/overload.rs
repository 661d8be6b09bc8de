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
