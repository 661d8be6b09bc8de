//! What came of it: the spread against the weights, and what did not go as promised.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

use super::config::{NAMES, WEIGHTS};
use super::load::Tally;
use super::story::{Phase, Story};

/// By how much of all requests of a phase a server may miss its share.
///
/// wrr spreads exactly, so the only deviation is a turn that is cut off at either end of a phase.
const TOLERANCE: f64 = 0.02;

/// Requests by which it may miss its share in any case: two turns of the weights 5, 3, 1.
const SLACK: f64 = 18.0;

/// The end of a demo.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Summary {
    /// Whether all went as promised.
    pub(crate) ok: bool,
    /// What did not.
    pub(crate) problems: Vec<String>,
    /// Whether it was ended before its time.
    pub(crate) interrupted: bool,
    /// Where the service was.
    pub(crate) url: String,
    /// Good answers that the load got; `None` without load.
    pub(crate) requests: Option<u64>,
    /// Requests without a good answer.
    pub(crate) failed_requests: Option<u64>,
    /// How long it took to remove a server that failed, in seconds, once for each failure.
    pub(crate) removed_after_seconds: Vec<f64>,
    /// How long it took to add it again when it was back.
    pub(crate) returned_after_seconds: Vec<f64>,
    /// The spread of the load, by times in which the table did not change.
    pub(crate) phases: Vec<PhaseSummary>,
}

/// The spread of the load in one phase.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct PhaseSummary {
    /// `all`, or `without b`.
    pub(crate) phase: String,
    /// Requests that began and ended in it.
    pub(crate) requests: u64,
    /// The servers.
    pub(crate) servers: Vec<ServerSummary>,
}

/// One server's part of a phase.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct ServerSummary {
    /// Its name.
    pub(crate) name: String,
    /// Its weight; 0 while it is away.
    pub(crate) weight: u32,
    /// The requests that it answered.
    pub(crate) requests: u64,
    /// The requests that its weight entitles it to.
    pub(crate) expected: f64,
}

impl Summary {
    /// Judges a story that has ended.
    pub(crate) fn new(
        service: SocketAddr,
        story: &Story,
        tally: Option<Tally>,
        interrupted: bool,
    ) -> Self {
        let mut problems = Vec::new();
        if !interrupted {
            problems.extend(story.open_end());
        }
        let mut phases = Vec::new();
        if let Some(tally) = &tally {
            if tally.failed > 0 {
                let reasons = tally.failures.join("; ");
                problems.push(format!(
                    "{} requests failed for the client: {reasons}",
                    tally.failed
                ));
            }
            for (phase, counts) in &tally.by_phase {
                phases.push(PhaseSummary::new(*phase, *counts));
            }
            if !interrupted && phases.iter().all(|phase| phase.requests == 0) {
                problems.push("the load got no answer".to_owned());
            }
        }
        problems.extend(phases.iter().flat_map(PhaseSummary::problems));
        let seconds = |times: &[Duration]| times.iter().map(Duration::as_secs_f64).collect();
        Self {
            ok: problems.is_empty() && !interrupted,
            problems,
            interrupted,
            url: format!("http://{service}/"),
            requests: tally.as_ref().map(|tally| tally.answers.iter().sum()),
            failed_requests: tally.as_ref().map(|tally| tally.failed),
            removed_after_seconds: seconds(story.removals()),
            returned_after_seconds: seconds(story.returns()),
            phases,
        }
    }
}

impl PhaseSummary {
    fn new(phase: Phase, counts: [u64; 3]) -> Self {
        let weight = |server: usize, weight: u32| match phase {
            Phase::Without(away) if away == server => 0,
            _ => weight,
        };
        let weights: Vec<u32> = WEIGHTS
            .iter()
            .enumerate()
            .map(|(server, own)| weight(server, *own))
            .collect();
        let total: u64 = counts.iter().sum();
        let sum: u32 = weights.iter().sum();
        let servers = NAMES
            .iter()
            .zip(weights)
            .zip(counts)
            .map(|((name, weight), requests)| ServerSummary {
                name: (*name).to_owned(),
                weight,
                requests,
                expected: total as f64 * f64::from(weight) / f64::from(sum.max(1)),
            })
            .collect();
        let phase = match phase {
            Phase::All => "all".to_owned(),
            Phase::Without(server) => format!("without {}", NAMES.get(server).unwrap_or(&"?")),
        };
        Self {
            phase,
            requests: total,
            servers,
        }
    }

    fn problems(&self) -> Vec<String> {
        let allowed = (self.requests as f64 * TOLERANCE).max(SLACK);
        self.servers
            .iter()
            .filter_map(|server| {
                if server.weight == 0 && server.requests > 0 {
                    return Some(format!(
                        "server {} answered {} requests while it was not in the table",
                        server.name, server.requests
                    ));
                }
                let off = (server.requests as f64 - server.expected).abs();
                (off > allowed).then(|| {
                    format!(
                        "the spread is off ({}): server {} answered {} requests where {:.0} are its share",
                        self.phase, server.name, server.requests, server.expected
                    )
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_follow_the_weights() {
        let phase = PhaseSummary::new(Phase::All, [500, 300, 100]);
        let expected: Vec<f64> = phase.servers.iter().map(|server| server.expected).collect();
        assert_eq!(expected, [500.0, 300.0, 100.0]);
        assert_eq!(phase.problems(), [""; 0]);

        let phase = PhaseSummary::new(Phase::Without(1), [500, 0, 100]);
        let expected: Vec<f64> = phase.servers.iter().map(|server| server.expected).collect();
        assert_eq!(expected, [500.0, 0.0, 100.0]);
        assert_eq!((phase.problems(), &*phase.phase), (vec![], "without b"));
    }

    #[test]
    fn a_spread_that_is_off_is_a_problem() {
        let phase = PhaseSummary::new(Phase::All, [300, 300, 300]);
        assert_eq!(
            phase.problems(),
            [
                "the spread is off (all): server a answered 300 requests where 500 are its share",
                "the spread is off (all): server c answered 300 requests where 100 are its share",
            ]
        );
        let phase = PhaseSummary::new(Phase::Without(1), [500, 1, 100]);
        assert_eq!(
            phase.problems(),
            ["server b answered 1 requests while it was not in the table"]
        );
    }
}
