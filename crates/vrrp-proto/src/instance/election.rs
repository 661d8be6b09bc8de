//! Who wins, and after how long: pure comparisons.
//!
//! Source: RFC 3768 and RFC 9568, sections 6.1 and 6.4.

use std::net::IpAddr;
use std::time::Duration;

use crate::types::{Priority, Version};

/// How long a Backup waits beyond the missing advertisements: the less, the higher its priority.
///
/// (256 - priority) / 256 of a second in version 2, of the Master's interval in version 3. Exact to
/// the nanosecond. Source: RFC 3768 section 6.1, RFC 9568 section 6.1 (`Skew_Time`).
pub fn skew_time(version: Version, priority: Priority, master_interval: Duration) -> Duration {
    let unit = match version {
        Version::V2 => Duration::from_secs(1),
        Version::V3 => master_interval,
    };
    unit * (256 - u32::from(priority.as_u8())) / 256
}

/// How long a Backup waits without advertisements before it takes over.
///
/// `down_adverts` (three by the RFCs) of the Master's intervals plus the skew time; 3.609375 s at
/// priority 100 and 1 s. Source: RFC 3768 section 6.1 (`Master_Down_Interval`), RFC 9568 section
/// 6.1 (`Active_Down_Interval`).
pub fn master_down_interval(
    version: Version,
    priority: Priority,
    master_interval: Duration,
    down_adverts: u8,
) -> Duration {
    master_interval * u32::from(down_adverts) + skew_time(version, priority, master_interval)
}

/// Lateness that is ordinary: beyond it an instance was not scheduled as it should have been, and
/// may have missed what others heard. Half an advertisement interval.
pub fn tolerance(master_interval: Duration) -> Duration {
    master_interval / 2
}

/// What a Master makes of another one's advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contest {
    /// The other is the better Master.
    TheyWin,
    /// The other has to yield.
    WeWin,
    /// Same priority and same address: an echo of our own, or another router with our address.
    Same,
}

/// Compares another Master with this one: the higher priority wins, then the higher address, of
/// which all bytes count from the first. Source: RFC 9568 section 6.4.3.
pub fn contest(ours: (Priority, IpAddr), theirs: (Priority, IpAddr)) -> Contest {
    match theirs.cmp(&ours) {
        std::cmp::Ordering::Greater => Contest::TheyWin,
        std::cmp::Ordering::Less => Contest::WeWin,
        std::cmp::Ordering::Equal => Contest::Same,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn priority(value: u8) -> Priority {
        Priority::try_from(value).unwrap()
    }

    #[test]
    fn the_skew_is_exact_to_the_nanosecond() {
        let second = Duration::from_secs(1);
        for (value, nanos) in [
            (100, 609_375_000),
            (254, 7_812_500),
            (1, 996_093_750),
            (255, 3_906_250),
        ] {
            let skew = Duration::from_nanos(nanos);
            assert_eq!(skew_time(Version::V2, priority(value), second), skew);
            assert_eq!(skew_time(Version::V3, priority(value), second), skew);
        }
    }

    #[test]
    fn the_skew_follows_the_interval_in_version_3_only() {
        let interval = Duration::from_millis(10);
        let of = |version| skew_time(version, priority(255), interval);
        assert_eq!(of(Version::V3), Duration::from_nanos(39_062)); // and a half
        assert_eq!(of(Version::V2), Duration::from_nanos(3_906_250));
        let interval = Duration::from_millis(40_950);
        let of = |version| skew_time(version, priority(1), interval);
        assert_eq!(of(Version::V3), Duration::from_nanos(40_790_039_062));
        assert_eq!(of(Version::V2), Duration::from_nanos(996_093_750));
    }

    #[test]
    fn the_down_interval_is_three_intervals_and_the_skew() {
        let second = Duration::from_secs(1);
        let of = |value, adverts| {
            master_down_interval(Version::V2, priority(value), second, adverts).as_nanos()
        };
        assert_eq!(of(150, 3), 3_414_062_500);
        assert_eq!(of(110, 3), 3_570_312_500);
        assert_eq!(of(100, 1), 1_609_375_000);
    }

    #[test]
    fn priority_decides_then_the_whole_address() {
        let of = |value: u8, address: &str| (priority(value), address.parse::<IpAddr>().unwrap());
        assert_eq!(
            contest(of(100, "10.0.0.2"), of(101, "10.0.0.1")),
            Contest::TheyWin
        );
        assert_eq!(
            contest(of(100, "10.0.0.1"), of(99, "10.0.0.2")),
            Contest::WeWin
        );
        assert_eq!(
            contest(of(100, "10.0.0.1"), of(100, "10.0.0.2")),
            Contest::TheyWin
        );
        assert_eq!(
            contest(of(100, "10.0.0.9"), of(100, "11.0.0.1")),
            Contest::TheyWin
        );
        assert_eq!(
            contest(of(100, "11.0.0.1"), of(100, "10.0.0.9")),
            Contest::WeWin
        );
        assert_eq!(
            contest(of(100, "10.0.0.1"), of(100, "10.0.0.1")),
            Contest::Same
        );
        assert_eq!(
            contest(of(100, "fe80::2"), of(100, "fe80::10")),
            Contest::TheyWin
        );
    }
}
