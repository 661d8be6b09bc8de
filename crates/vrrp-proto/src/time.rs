//! Moments and durations, as the machines see them.
//!
//! # Design
//!
//! `std::time::Instant` can neither be written to a recording nor built by a test. [`Time`] is a
//! count of nanoseconds from an epoch of the driver's choice, so a recording replays exactly, a
//! test says `Time::from_secs(3)`, and a driver on Linux hands a deadline to `timerfd` as it is.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A moment on the driver's monotonic clock.
///
/// The epoch is the driver's; on Linux take `CLOCK_MONOTONIC`, which stands still while the machine
/// is suspended, or `CLOCK_BOOTTIME`, which does not and lets a stall be seen. Never the time of
/// day. Resolution 1 ns. Written as `"3.609375s"` in recordings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(Duration);

impl Time {
    /// The epoch.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// The moment that lies this long after the epoch.
    pub const fn after_epoch(since: Duration) -> Self {
        Self(since)
    }

    /// The moment `secs` seconds after the epoch.
    pub const fn from_secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
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

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Seconds(self.0).fmt(f)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        seconds::serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        seconds::deserialize(deserializer).map(Self)
    }
}

/// Shows a duration as exact seconds: `3.609375s`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seconds(pub(crate) Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.subsec_nanos();
        if nanos == 0 {
            return write!(f, "{}s", self.0.as_secs());
        }
        let fraction = format!("{nanos:09}");
        write!(
            f,
            "{}.{}s",
            self.0.as_secs(),
            fraction.trim_end_matches('0')
        )
    }
}

/// Durations as text like `"3.609375s"`, for `#[serde(with = …)]`.
pub(crate) mod seconds {
    use super::{Deserialize, Deserializer, Duration, Seconds, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(
        value: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Seconds(*value))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).ok_or_else(|| {
            de::Error::custom(format_args!(
                "{text:?} is not a duration like \"3.609375s\""
            ))
        })
    }

    fn parse(text: &str) -> Option<Duration> {
        let number = text.strip_suffix('s')?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || fraction.len() > 9 || !digits(whole) || !digits(fraction) {
            return None;
        }
        let nanos = format!("{fraction:0<9}").parse().ok()?;
        Some(Duration::new(whole.parse().ok()?, nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_and_read_to_the_nanosecond() {
        for (time, text) in [
            (Time::ZERO, "\"0s\""),
            (Time::from_secs(3), "\"3s\""),
            (
                Time::after_epoch(Duration::new(3, 609_375_000)),
                "\"3.609375s\"",
            ),
            (
                Time::after_epoch(Duration::from_nanos(1)),
                "\"0.000000001s\"",
            ),
        ] {
            assert_eq!(serde_json::to_string(&time).unwrap(), text);
            assert_eq!(serde_json::from_str::<Time>(text).unwrap(), time);
        }
        for text in [
            "\"3\"",
            "\"s\"",
            "\".5s\"",
            "\"-1s\"",
            "\"1.0000000000s\"",
            "\"1.+5s\"",
            "3",
        ] {
            assert!(serde_json::from_str::<Time>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn saturates_at_both_ends() {
        assert_eq!(Time::ZERO - Duration::from_secs(1), Time::ZERO);
        assert_eq!(Time::ZERO.since(Time::from_secs(1)), Duration::ZERO);
        let end = Time::after_epoch(Duration::MAX);
        assert_eq!(end + Duration::from_secs(1), end);
    }
}
