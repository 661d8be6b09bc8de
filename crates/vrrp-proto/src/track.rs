//! From tracked objects to a priority, or to a fault.
//!
//! | weight | while the object is good | while it is bad |
//! |---|---|---|
//! | none | nothing | [`State::Fault`](crate::State::Fault) |
//! | none, reversed | fault | nothing |
//! | positive | added | nothing |
//! | negative | nothing | its size subtracted |
//! | positive, reversed | its size subtracted | nothing |
//! | negative, reversed | nothing | its size added |
//!
//! An object with a value (a file) adds value times weight; without a weight any value but zero is a
//! fault, and so is a product of -254 or less. The sum is added to the configured priority and held
//! within 1 to 254. An object that nobody has reported on yet changes nothing, but an instance waits
//! for its objects without weight before it leaves [`State::Initialize`](crate::State::Initialize).
//! Source: keepalived.conf(5), track_interface, track_script, track_file, track_process.

use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::types::{Name, OutOfRange, Priority};

mod judge;

pub use judge::{Judge, Verdict};

/// One tracked object as an instance sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackerConfig {
    /// Which object: the driver's name for it, unique among all kinds (`"interface eth1"`,
    /// `"script chk_http"`). It is shown in reasons.
    pub name: Name,
    /// By how much it changes the priority; `None` makes it a matter of fault.
    pub weight: Option<Weight>,
    /// Good and bad change places.
    pub reverse: bool,
}

/// A change of priority, -254 to 254 and not zero; for an object with a value, its factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "i16", into = "i16")]
pub struct Weight(i16);

impl Weight {
    /// The number.
    pub const fn as_i16(self) -> i16 {
        self.0
    }
}

impl TryFrom<i16> for Weight {
    type Error = OutOfRange;

    fn try_from(value: i16) -> Result<Self, OutOfRange> {
        if value != 0 && (-254..=254).contains(&value) {
            return Ok(Self(value));
        }
        Err(OutOfRange {
            what: "the size of a weight",
            value: value.unsigned_abs().into(),
            low: 1,
            high: 254,
        })
    }
}

impl From<Weight> for i16 {
    fn from(weight: Weight) -> Self {
        weight.0
    }
}

/// What a driver reports about a tracked object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackReport {
    /// Which object, as in [`TrackerConfig::name`].
    pub tracker: Name,
    /// How it is.
    pub status: TrackStatus,
    /// Why, for people: `"exited with status 1, 3 times"`. Empty if there is nothing to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// How a tracked object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrackStatus {
    /// Good: interface up, script succeeded, quorum of processes held.
    Good,
    /// Bad.
    Bad,
    /// A number, for an object that has one (a file).
    Value(i32),
    /// Not known any more; as before the first report.
    Unknown,
}

/// What a tracked object does to an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Unknown,
    Adjust(i64),
    Fault,
}

impl TrackerConfig {
    fn effect(&self, status: TrackStatus) -> Effect {
        let weight = self.weight.map(|weight| i64::from(weight.as_i16()));
        let sign = if self.reverse { -1 } else { 1 };
        match (status, weight) {
            (TrackStatus::Unknown, _) => Effect::Unknown,
            (TrackStatus::Good, None) if self.reverse => Effect::Fault,
            (TrackStatus::Bad, None) if !self.reverse => Effect::Fault,
            (TrackStatus::Good, Some(weight)) => Effect::Adjust(sign * weight.max(0)),
            (TrackStatus::Bad, Some(weight)) => Effect::Adjust(sign * weight.min(0)),
            (TrackStatus::Value(value), None) if (value != 0) != self.reverse => Effect::Fault,
            (TrackStatus::Value(value), Some(weight)) => {
                match i64::from(value).saturating_mul(sign * weight) {
                    ..=-254 => Effect::Fault,
                    product => Effect::Adjust(product.min(253)),
                }
            }
            (TrackStatus::Good | TrackStatus::Bad | TrackStatus::Value(_), None) => {
                Effect::Adjust(0)
            }
        }
    }
}

/// All tracked objects of one instance and their present effect.
#[derive(Clone, Debug)]
pub(crate) struct Trackers {
    configs: Vec<TrackerConfig>,
    reports: HashMap<Name, TrackReport>,
}

impl Trackers {
    pub(crate) fn new(configs: Vec<TrackerConfig>) -> Self {
        Self {
            configs,
            reports: HashMap::new(),
        }
    }

    /// Changes what is tracked; reports on what stays are kept.
    pub(crate) fn reconfigure(&mut self, configs: Vec<TrackerConfig>) {
        self.reports
            .retain(|name, _| configs.iter().any(|config| config.name == *name));
        self.configs = configs;
    }

    /// Takes a report; whether the object is tracked at all.
    pub(crate) fn report(&mut self, report: &TrackReport) -> bool {
        let tracked = self.configs.iter().any(|it| it.name == report.tracker);
        if tracked {
            self.reports.insert(report.tracker.clone(), report.clone());
        }
        tracked
    }

    /// Whether an object without weight has not been reported on.
    pub(crate) fn waiting(&self) -> bool {
        let mut decisive = self.configs.iter().filter(|it| it.weight.is_none());
        decisive.any(|config| self.effect(config) == Effect::Unknown)
    }

    /// The priority with all adjustments.
    pub(crate) fn effective(&self, base: Priority) -> Priority {
        let adjustments = self.configs.iter().filter_map(|it| match self.effect(it) {
            Effect::Adjust(by) => Some(by),
            Effect::Unknown | Effect::Fault => None,
        });
        base.adjusted(adjustments.sum())
    }

    /// The objects that are a reason for a fault, with the driver's words.
    pub(crate) fn faults(&self) -> impl Iterator<Item = (&Name, &str)> {
        let faulty = self.configs.iter();
        let faulty = faulty.filter(|it| self.effect(it) == Effect::Fault);
        faulty.map(|it| {
            let detail = self
                .reports
                .get(&it.name)
                .map_or("", |it| it.detail.as_str());
            (&it.name, detail)
        })
    }

    fn effect(&self, config: &TrackerConfig) -> Effect {
        let status = self.reports.get(&config.name).map(|report| report.status);
        config.effect(status.unwrap_or(TrackStatus::Unknown))
    }
}

impl fmt::Display for TrackStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Good => f.write_str("good"),
            Self::Bad => f.write_str("bad"),
            Self::Value(value) => value.fmt(f),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracker(weight: i16, reverse: bool) -> TrackerConfig {
        TrackerConfig {
            name: "object".into(),
            weight: Weight::try_from(weight).ok(),
            reverse,
        }
    }

    #[test]
    fn every_kind_of_weight_has_its_effect() {
        use TrackStatus::{Bad, Good, Unknown, Value};
        let adjust = Effect::Adjust;
        for (weight, reverse, status, effect) in [
            (0, false, Good, adjust(0)),
            (0, false, Bad, Effect::Fault),
            (0, true, Good, Effect::Fault),
            (0, true, Bad, adjust(0)),
            (20, false, Good, adjust(20)),
            (20, false, Bad, adjust(0)),
            (-20, false, Good, adjust(0)),
            (-20, false, Bad, adjust(-20)),
            (20, true, Good, adjust(-20)),
            (20, true, Bad, adjust(0)),
            (-20, true, Good, adjust(0)),
            (-20, true, Bad, adjust(20)),
            (0, false, Value(0), adjust(0)),
            (0, false, Value(-1), Effect::Fault),
            (0, true, Value(0), Effect::Fault),
            (0, true, Value(7), adjust(0)),
            (2, false, Value(10), adjust(20)),
            (2, true, Value(10), adjust(-20)),
            (1, false, Value(-253), adjust(-253)),
            (1, false, Value(-254), Effect::Fault),
            (1, false, Value(1000), adjust(253)),
            (254, false, Value(-1), Effect::Fault),
            (254, false, Value(i32::MAX), adjust(253)),
            (253, false, Value(i32::MIN), Effect::Fault),
            (20, false, Unknown, Effect::Unknown),
        ] {
            let got = tracker(weight, reverse).effect(status);
            assert_eq!(got, effect, "weight {weight} reverse {reverse} {status}");
        }
    }

    #[test]
    fn weights_have_a_range() {
        for bad in [0, 255, -255, i16::MIN, i16::MAX] {
            assert!(Weight::try_from(bad).is_err(), "{bad}");
        }
        assert_eq!(Weight::try_from(-254).map(Weight::as_i16), Ok(-254));
    }

    #[test]
    fn adjustments_add_up_and_only_objects_without_weight_are_waited_for() {
        let named = |name: &str, weight| TrackerConfig {
            name: name.into(),
            ..tracker(weight, false)
        };
        let mut trackers = Trackers::new(vec![named("a", -20), named("b", 30), named("c", 0)]);
        let base = Priority::DEFAULT;
        let report = |trackers: &mut Trackers, name: &str, status| {
            trackers.report(&TrackReport {
                tracker: name.into(),
                status,
                detail: String::new(),
            })
        };
        assert!(trackers.waiting());
        assert_eq!(trackers.effective(base), base);
        assert!(report(&mut trackers, "c", TrackStatus::Good));
        assert!(!trackers.waiting());
        assert!(report(&mut trackers, "a", TrackStatus::Bad));
        assert_eq!(trackers.effective(base).as_u8(), 80);
        assert!(report(&mut trackers, "b", TrackStatus::Good));
        assert_eq!(trackers.effective(base).as_u8(), 110);
        assert!(!report(&mut trackers, "d", TrackStatus::Bad));
        assert_eq!(trackers.faults().count(), 0);
        assert!(report(&mut trackers, "c", TrackStatus::Bad));
        assert_eq!(trackers.faults().next(), Some((&Name::from("c"), "")));
        // A reload forgets what is not tracked any more.
        trackers.reconfigure(vec![named("b", 30)]);
        trackers.reconfigure(vec![named("b", 30), named("c", 0)]);
        assert!(trackers.waiting());
        assert_eq!(trackers.effective(base).as_u8(), 130);
    }
}
