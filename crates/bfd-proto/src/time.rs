//! Moments and intervals, as the sessions see them.
//!
//! # Design
//! `std::time::Instant` cannot be built by a test. [`Time`] counts nanoseconds from an epoch of the
//! driver's choice. An [`Interval`] is what the wire can carry: whole microseconds, never zero.

use std::fmt;
use std::num::NonZeroU32;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A moment on the driver's monotonic clock, never the time of day. The epoch is the driver's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(Duration);

impl Time {
    /// The epoch.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// The moment that lies this long after the epoch.
    pub const fn after_epoch(since: Duration) -> Self {
        Self(since)
    }

    /// The moment `millis` milliseconds after the epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// How long after the epoch this is.
    pub const fn since_epoch(self) -> Duration {
        self.0
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    /// Stays at the end of time rather than overflow.
    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(rhs))
    }
}

impl Sub<Duration> for Time {
    type Output = Self;

    /// Stays at the epoch rather than go before it.
    fn sub(self, rhs: Duration) -> Self {
        Self(self.0.saturating_sub(rhs))
    }
}

/// An interval of our own: 1 µs to 4294.967295 s, in whole microseconds. Source: RFC 5880 section
/// 4.1, where zero has a meaning of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval(NonZeroU32);

impl Interval {
    /// One second: a session that is not up sends no faster. Source: RFC 5880 section 6.8.3.
    pub const SLOW: Self = Self(NonZeroU32::new(1_000_000).expect("not zero"));

    /// Ten milliseconds: keepalived's default while a session is up.
    pub const FAST: Self = Self(NonZeroU32::new(10_000).expect("not zero"));

    /// In microseconds.
    pub const fn as_micros(self) -> u32 {
        self.0.get()
    }

    /// As a duration.
    pub const fn as_duration(self) -> Duration {
        micros(self.0.get())
    }
}

impl TryFrom<Duration> for Interval {
    type Error = BadInterval;

    /// Fractions of a microsecond are cut off.
    fn try_from(from: Duration) -> Result<Self, BadInterval> {
        let micros = u32::try_from(from.as_micros()).ok();
        let micros = micros.and_then(NonZeroU32::new);
        micros.map(Self).ok_or(BadInterval(from))
    }
}

impl fmt::Display for Interval {
    /// In milliseconds: `300 ms`, `3.312 ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.as_micros() / 1000, self.as_micros() % 1000) {
            (whole, 0) => write!(f, "{whole} ms"),
            (whole, micros) => {
                let micros = format!("{micros:03}");
                write!(f, "{whole}.{} ms", micros.trim_end_matches('0'))
            }
        }
    }
}

/// An interval that no packet can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an interval of {0:?} is not within 1 us and 4294967295 us")]
pub struct BadInterval(
    /// The interval.
    pub Duration,
);

/// A number of microseconds, as packets have them.
pub(crate) const fn micros(micros: u32) -> Duration {
    Duration::from_micros(micros as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_have_a_range() {
        for bad in [
            Duration::ZERO,
            Duration::from_nanos(999),
            micros(u32::MAX) + micros(1),
            Duration::MAX,
        ] {
            assert_eq!(Interval::try_from(bad), Err(BadInterval(bad)));
        }
        for (good, text) in [
            (Duration::from_nanos(1999), "0.001 ms"),
            (Duration::from_micros(3312), "3.312 ms"),
            (Duration::from_micros(1500), "1.5 ms"),
            (Duration::from_secs(1), "1000 ms"),
            (micros(u32::MAX), "4294967.295 ms"),
        ] {
            assert_eq!(Interval::try_from(good).unwrap().to_string(), text);
        }
    }

    #[test]
    fn time_saturates_at_both_ends() {
        assert_eq!(Time::ZERO - Duration::from_secs(1), Time::ZERO);
        assert_eq!(Time::ZERO.since(Time::from_millis(1)), Duration::ZERO);
        let end = Time::after_epoch(Duration::MAX);
        assert_eq!(end + Duration::from_secs(1), end);
    }
}
