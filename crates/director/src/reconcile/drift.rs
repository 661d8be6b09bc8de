//! What somebody else did to the table, and how it looks when the dataplane has its own mind.
//!
//! # Design
//! [`find`] compares what the table was left with and what it holds. Only services that it was left
//! with are looked at: whatever else is there belongs to others. A value that is still another right
//! after it was set is no meddling: the dataplane shows it so, and [`Shown`] remembers that, so that
//! nothing is set again and again.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use ipvs_netlink::{
    Destination, DestinationKey, ForwardMethod, ServiceFlags, ServiceKey, ServiceRules, TunnelKind,
    VirtualService,
};

use super::Subject;

/// How long [`MAX_TOLD`] repairs last.
const WINDOW: Duration = Duration::from_secs(60);

/// How many repairs an operator hears of one by one within [`WINDOW`].
const MAX_TOLD: usize = 20;

/// How a part of the table differs from what it was left as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drift {
    /// It is gone.
    Missing,
    /// It has other values.
    Changed(Vec<Difference>),
    /// A destination that nobody asked for is in a service of ours.
    Foreign,
}

/// A value that is another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Which value, such as `weight`.
    pub what: &'static str,
    /// What the table holds.
    pub found: String,
    /// What it was left with.
    pub left: String,
}

/// How the services of `left` differ in `actual`. A service that is missing speaks for its
/// destinations.
pub(super) fn find(left: &[ServiceRules], actual: &[ServiceRules]) -> Vec<(Subject, Drift)> {
    let actual: HashMap<ServiceKey, &ServiceRules> = actual
        .iter()
        .map(|rules| (rules.service.key, rules))
        .collect();
    let mut drifts = Vec::new();
    for left in left {
        let key = left.service.key;
        let Some(actual) = actual.get(&key) else {
            drifts.push((Subject::Service(key), Drift::Missing));
            continue;
        };
        if left.service != actual.service {
            let differences = service_differences(&left.service, &actual.service);
            drifts.push((Subject::Service(key), Drift::Changed(differences)));
        }
        if left.destinations == actual.destinations {
            continue;
        }
        let (wanted, present) = (by_key(&left.destinations), by_key(&actual.destinations));
        for left in &left.destinations {
            let subject = Subject::Destination(key, left.key());
            match (wanted.get(&left.key()), present.get(&left.key())) {
                (_, None) => drifts.push((subject, Drift::Missing)),
                (Some(left), Some(actual)) if left != actual => {
                    let differences = destination_differences(left, actual);
                    drifts.push((subject, Drift::Changed(differences)));
                }
                _ => {}
            }
        }
        for actual in &actual.destinations {
            if !wanted.contains_key(&actual.key()) {
                let subject = Subject::Destination(key, actual.key());
                drifts.push((subject, Drift::Foreign));
            }
        }
    }
    drifts
}

fn by_key(destinations: &[Destination]) -> HashMap<DestinationKey, &Destination> {
    destinations
        .iter()
        .map(|destination| (destination.key(), destination))
        .collect()
}

fn service_differences(left: &VirtualService, found: &VirtualService) -> Vec<Difference> {
    let flags = |flags: ServiceFlags| format!("{:#x}", flags.bits());
    let seconds = |time: Option<Duration>| time.map_or(0, |time| time.as_secs()).to_string();
    let engine = |service: &VirtualService| match &service.persistence_engine {
        Some(engine) => engine.to_string(),
        None => "none".to_owned(),
    };
    let granularity = |service: &VirtualService| format!("{:?}", service.persistence_granularity);
    differing([
        (
            "scheduler",
            left.scheduler.to_string(),
            found.scheduler.to_string(),
        ),
        ("flags", flags(left.flags), flags(found.flags)),
        (
            "persistence timeout",
            seconds(left.persistence_timeout),
            seconds(found.persistence_timeout),
        ),
        (
            "persistence granularity",
            granularity(left),
            granularity(found),
        ),
        ("persistence engine", engine(left), engine(found)),
    ])
}

fn destination_differences(left: &Destination, found: &Destination) -> Vec<Difference> {
    let method = |destination: &Destination| match destination.forward {
        ForwardMethod::Masq => "NAT".to_owned(),
        ForwardMethod::DirectRoute => "DR".to_owned(),
        ForwardMethod::Tunnel(TunnelKind::Ipip) => "TUN".to_owned(),
        other => format!("{other:?}"),
    };
    differing([
        ("weight", left.weight.to_string(), found.weight.to_string()),
        ("method", method(left), method(found)),
        (
            "upper threshold",
            left.upper_threshold.to_string(),
            found.upper_threshold.to_string(),
        ),
        (
            "lower threshold",
            left.lower_threshold.to_string(),
            found.lower_threshold.to_string(),
        ),
    ])
}

fn differing<const N: usize>(values: [(&'static str, String, String); N]) -> Vec<Difference> {
    values
        .into_iter()
        .filter(|(_, left, found)| left != found)
        .map(|(what, left, found)| Difference { what, found, left })
        .collect()
}

/// What the dataplane shows otherwise than it was set.
#[derive(Debug, Default)]
pub(super) struct Shown {
    services: HashMap<ServiceKey, (VirtualService, VirtualService)>,
    destinations: HashMap<(ServiceKey, DestinationKey), (Destination, Destination)>,
}

impl Shown {
    /// Remembers how `subject`, set as in `left`, is shown in `actual`.
    pub(super) fn remember(
        &mut self,
        subject: Subject,
        left: &[ServiceRules],
        actual: &[ServiceRules],
    ) {
        let (Subject::Service(key) | Subject::Destination(key, _)) = subject;
        let of_key = |rules: &&ServiceRules| rules.service.key == key;
        let (Some(left), Some(actual)) = (left.iter().find(of_key), actual.iter().find(of_key))
        else {
            return;
        };
        match subject {
            Subject::Service(_) => {
                let pair = (left.service.clone(), actual.service.clone());
                self.services.insert(key, pair);
            }
            Subject::Destination(_, destination) => {
                let (wanted, present) = (by_key(&left.destinations), by_key(&actual.destinations));
                if let (Some(left), Some(actual)) =
                    (wanted.get(&destination), present.get(&destination))
                {
                    let pair = (**left, **actual);
                    self.destinations.insert((key, destination), pair);
                }
            }
        }
    }

    /// Puts the values that were set in the place of those that are shown for them.
    pub(super) fn translate(&self, rules: &mut [ServiceRules]) {
        if self.services.is_empty() && self.destinations.is_empty() {
            return;
        }
        for rules in rules {
            let key = rules.service.key;
            match self.services.get(&key) {
                Some((set, shown)) if *shown == rules.service => rules.service = set.clone(),
                _ => {}
            }
            for destination in &mut rules.destinations {
                match self.destinations.get(&(key, destination.key())) {
                    Some((set, shown)) if shown == destination => *destination = *set,
                    _ => {}
                }
            }
        }
    }

    /// Forgets what is not there any more.
    pub(super) fn retain(&mut self, is_there: impl Fn(Subject) -> bool) {
        self.services
            .retain(|key, _| is_there(Subject::Service(*key)));
        self.destinations
            .retain(|(key, destination), _| is_there(Subject::Destination(*key, *destination)));
    }
}

/// Lets at most [`MAX_TOLD`] repairs within [`WINDOW`] be told one by one.
#[derive(Debug, Default)]
pub(super) struct Allowance {
    ends: Option<Instant>,
    told: usize,
    held_back: usize,
    /// Whether their number has been told in this window.
    counted: bool,
}

impl Allowance {
    /// Whether another repair may be told; it is counted otherwise.
    pub(super) fn admit(&mut self, now: Instant) -> bool {
        if self.ends.is_none_or(|ends| ends <= now) {
            self.ends = now.checked_add(WINDOW);
            self.told = 0;
            self.counted = false;
        }
        let admitted = self.told < MAX_TOLD;
        match admitted {
            true => self.told += 1,
            false => self.held_back += 1,
        }
        admitted
    }

    /// How many were not told; at most once for each window.
    pub(super) fn take_held_back(&mut self) -> Option<usize> {
        if self.held_back == 0 || self.counted {
            return None;
        }
        self.counted = true;
        Some(std::mem::take(&mut self.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(scheduler: &str, destinations: &[(u8, u32)]) -> ServiceRules {
        let key = ServiceKey::tcp(([10, 0, 0, 1], 80).into());
        ServiceRules {
            service: VirtualService::new(key, scheduler.parse().unwrap()),
            destinations: destinations
                .iter()
                .map(|(number, weight)| Destination {
                    weight: *weight,
                    ..Destination::new(([10, 0, 1, *number], 80).into(), ForwardMethod::Masq)
                })
                .collect(),
        }
    }

    fn server(number: u8) -> Subject {
        Subject::Destination(
            ServiceKey::tcp(([10, 0, 0, 1], 80).into()),
            std::net::SocketAddr::from(([10, 0, 1, number], 80)).into(),
        )
    }

    fn difference(what: &'static str, found: &str, left: &str) -> Drift {
        Drift::Changed(vec![Difference {
            what,
            found: found.to_owned(),
            left: left.to_owned(),
        }])
    }

    #[test]
    fn each_thing_that_differs_is_named() {
        let left = rules("wrr", &[(1, 1), (2, 2), (3, 3)]);
        let service = Subject::Service(left.service.key);
        let cases = [
            (vec![left.clone()], vec![]),
            // The order is nobody's business.
            (vec![rules("wrr", &[(3, 3), (2, 2), (1, 1)])], vec![]),
            (vec![], vec![(service, Drift::Missing)]),
            (
                vec![rules("rr", &[(1, 1), (2, 0), (4, 4)])],
                vec![
                    (service, difference("scheduler", "rr", "wrr")),
                    (server(2), difference("weight", "0", "2")),
                    (server(3), Drift::Missing),
                    (server(4), Drift::Foreign),
                ],
            ),
        ];
        for (actual, expected) in cases {
            assert_eq!(find(std::slice::from_ref(&left), &actual), expected);
        }
        // A service that it was not left with is somebody else's.
        assert_eq!(find(&[], &[left]), []);
    }

    #[test]
    fn what_the_dataplane_shows_otherwise_is_taken_for_what_was_set() {
        let left = [rules("wrr", &[(1, 5)])];
        let actual = [rules("wlc", &[(1, 7)])];
        let mut shown = Shown::default();
        for (subject, _) in find(&left, &actual) {
            shown.remember(subject, &left, &actual);
        }
        let mut translated = actual;
        shown.translate(&mut translated);
        assert_eq!(translated, left);
        // Anything else is as it is.
        let mut other = [rules("rr", &[(1, 8)])];
        shown.translate(&mut other);
        assert_eq!(other, [rules("rr", &[(1, 8)])]);
        shown.retain(|_| false);
        let mut again = [rules("wlc", &[(1, 7)])];
        shown.translate(&mut again);
        assert_eq!(again, [rules("wlc", &[(1, 7)])]);
    }

    #[test]
    fn the_first_repairs_are_told_and_the_others_counted() {
        let start = Instant::now();
        let mut allowance = Allowance::default();
        let mut admit = |seconds, count: usize| {
            let now = start + Duration::from_secs(seconds);
            let admitted = (0..count).filter(|_| allowance.admit(now)).count();
            (admitted, allowance.take_held_back())
        };
        assert_eq!(admit(0, 15), (15, None));
        assert_eq!(admit(3, 15), (5, Some(10)));
        // Said once in a minute.
        assert_eq!(admit(6, 15), (0, None));
        assert_eq!(admit(9, 15), (0, None));
        assert_eq!(admit(61, 1), (1, Some(30)));
        assert_eq!(admit(64, 25), (19, None));
        assert_eq!(admit(121, 1), (1, Some(6)));
    }
}
