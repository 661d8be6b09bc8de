//! The schedulers by name: the one place to extend when one is added.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::{Change, Destinations, Scheduler, Settings};
use crate::{dh, fo, lblc, lblcr, lc, mh, nq, ovf, rr, sed, sh, twos, wlc, wrr};

/// A scheduler by its name in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SchedulerKind {
    /// `rr`: round robin.
    RoundRobin,
    /// `wrr`: weighted round robin.
    WeightedRoundRobin,
    /// `lc`: least connections.
    LeastConnection,
    /// `wlc`: weighted least connections, the default of ipvsadm and keepalived.
    WeightedLeastConnection,
    /// `lblc`: locality-based least connections.
    LocalityLeastConnection,
    /// `lblcr`: locality-based least connections with replication.
    LocalityLeastConnectionReplicated,
    /// `sh`: source hashing.
    SourceHash,
    /// `dh`: destination hashing.
    DestinationHash,
    /// `sed`: shortest expected delay.
    ShortestExpectedDelay,
    /// `nq`: never queue.
    NeverQueue,
    /// `fo`: weighted failover.
    Failover,
    /// `ovf`: weighted overflow.
    Overflow,
    /// `mh`: Maglev hashing.
    Maglev,
    /// `twos`: the better of two random choices.
    PowerOfTwo,
}

/// A name that is no scheduler.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown scheduler `{name}`")]
pub struct UnknownScheduler {
    /// The name as it was given.
    pub name: String,
}

impl SchedulerKind {
    /// All schedulers, in the order of the variants.
    pub const ALL: [Self; 14] = [
        Self::RoundRobin,
        Self::WeightedRoundRobin,
        Self::LeastConnection,
        Self::WeightedLeastConnection,
        Self::LocalityLeastConnection,
        Self::LocalityLeastConnectionReplicated,
        Self::SourceHash,
        Self::DestinationHash,
        Self::ShortestExpectedDelay,
        Self::NeverQueue,
        Self::Failover,
        Self::Overflow,
        Self::Maglev,
        Self::PowerOfTwo,
    ];

    /// The name of the kernel's module, as `ipvsadm -s` takes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RoundRobin => "rr",
            Self::WeightedRoundRobin => "wrr",
            Self::LeastConnection => "lc",
            Self::WeightedLeastConnection => "wlc",
            Self::LocalityLeastConnection => "lblc",
            Self::LocalityLeastConnectionReplicated => "lblcr",
            Self::SourceHash => "sh",
            Self::DestinationHash => "dh",
            Self::ShortestExpectedDelay => "sed",
            Self::NeverQueue => "nq",
            Self::Failover => "fo",
            Self::Overflow => "ovf",
            Self::Maglev => "mh",
            Self::PowerOfTwo => "twos",
        }
    }

    /// A scheduler of this kind that has started on `destinations` at time `now`.
    #[must_use]
    pub fn start(
        self,
        settings: &Settings,
        destinations: &Destinations,
        now: Duration,
    ) -> Box<dyn Scheduler> {
        let mut scheduler: Box<dyn Scheduler> = match self {
            Self::RoundRobin => Box::new(rr::RoundRobin::default()),
            Self::WeightedRoundRobin => Box::new(wrr::WeightedRoundRobin::default()),
            Self::LeastConnection => Box::new(lc::LeastConnection),
            Self::WeightedLeastConnection => Box::new(wlc::WeightedLeastConnection),
            Self::LocalityLeastConnection => Box::new(lblc::LocalityLeastConnection::new(now)),
            Self::LocalityLeastConnectionReplicated => {
                Box::new(lblcr::LocalityLeastConnectionReplicated::new(now))
            }
            Self::SourceHash => Box::new(sh::SourceHash::default()),
            Self::DestinationHash => Box::new(dh::DestinationHash::default()),
            Self::ShortestExpectedDelay => Box::new(sed::ShortestExpectedDelay),
            Self::NeverQueue => Box::new(nq::NeverQueue),
            Self::Failover => Box::new(fo::Failover),
            Self::Overflow => Box::new(ovf::Overflow),
            Self::Maglev => Box::new(mh::Maglev::default()),
            Self::PowerOfTwo => Box::new(twos::PowerOfTwo::new(settings.seed)),
        };
        scheduler.configure(settings);
        scheduler.update(destinations, Change::Started);
        scheduler
    }
}

impl fmt::Display for SchedulerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for SchedulerKind {
    type Err = UnknownScheduler;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| UnknownScheduler {
                name: name.to_owned(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back_to_its_kind() {
        for kind in SchedulerKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
            let started = kind.start(
                &Settings::default(),
                &Destinations::default(),
                Duration::ZERO,
            );
            assert_eq!(started.kind(), kind);
        }
    }

    #[test]
    fn an_unknown_name_is_told() {
        let error = "wrrr".parse::<SchedulerKind>().unwrap_err();
        assert_eq!(error.to_string(), "unknown scheduler `wrrr`");
    }
}
