//! What is carried over a reload or a restart, and how old checks find their new selves.

use std::collections::VecDeque;
use std::time::SystemTime;

use healthcheck::quorum::Snapshot;
use healthcheck::schedule::Progress;
use healthcheck::{CheckId, Schedule, ServerId, Verdict, VirtualServer, VirtualServerConfig};
use kconf_parser::config::{self, VirtualServerId};

use super::Output;
use super::service::{self, Service};
use super::state::ServiceState;

/// A virtual server of the old configuration.
pub(super) struct Carried {
    pub(super) id: VirtualServerId,
    pub(super) machine: Machine,
    pub(super) checks: Vec<CarriedCheck>,
    /// Its configuration, if it is of this process.
    pub(super) config: Option<config::VirtualServer>,
}

/// A pool machine, of this process or of the one before.
pub(super) enum Machine {
    Live(Box<VirtualServer>),
    Snapshot(Snapshot),
}

impl Machine {
    /// The verdict on a server, if the server is known.
    pub(super) fn verdict(&self, server: ServerId) -> Option<Verdict> {
        match self {
            Self::Live(machine) => machine.verdict(server),
            Self::Snapshot(snapshot) => snapshot
                .servers
                .iter()
                .find(|state| state.server == server)
                .map(|state| state.verdict),
        }
    }
}

/// A check of the old configuration.
pub(super) struct CarriedCheck {
    pub(super) id: CheckId,
    pub(super) server: ServerId,
    pub(super) config: config::Check,
    pub(super) progress: Progressed,
    pub(super) last_at: Option<SystemTime>,
}

/// How far a check has got, in this process or in the one before.
pub(super) enum Progressed {
    Live(Box<Schedule>),
    Value(Progress),
}

impl Carried {
    pub(super) fn from_state(state: ServiceState) -> Self {
        let checks = state.checks.into_iter().map(|check| CarriedCheck {
            id: check.id,
            server: check.server,
            config: check.config,
            progress: Progressed::Value(check.progress),
            last_at: check.last_at_unix_ms.map(service::time_of),
        });
        Self {
            id: state.id,
            machine: Machine::Snapshot(state.snapshot),
            checks: checks.collect(),
            config: None,
        }
    }

    pub(super) fn from_service(service: Service) -> Self {
        let checks = service.checks.into_iter().map(|check| CarriedCheck {
            id: check.id,
            server: check.server,
            config: check.config,
            progress: Progressed::Live(Box::new(check.schedule)),
            last_at: check.last_at,
        });
        Self {
            id: service.config.id.clone(),
            machine: Machine::Live(Box::new(service.machine)),
            checks: checks.collect(),
            config: Some(service.config),
        }
    }

    /// The virtual server is gone from the configuration: its servers are announced as removed, and
    /// its quorum as lost. Nothing is said about one that went while there was no checker.
    pub(super) fn end(self, outputs: &mut VecDeque<Output>) {
        let (Machine::Live(mut machine), Some(old)) = (self.machine, self.config) else {
            return;
        };
        let config = VirtualServerConfig {
            servers: Vec::new(),
            ..machine.config().clone()
        };
        machine.reconfigure(config);
        machine.shutdown();
        service::drain(&old, &mut machine, None, None, outputs);
    }
}

/// Which old check a new one goes on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Match {
    /// From this one, which is equal.
    Same(usize),
    /// From this one, which does the same with other values.
    Changed(usize),
    /// From none.
    New,
}

impl Match {
    pub(super) fn old(self) -> Option<usize> {
        match self {
            Self::Same(at) | Self::Changed(at) => Some(at),
            Self::New => None,
        }
    }

    pub(super) fn is_same(self) -> bool {
        matches!(self, Self::Same(_))
    }
}

/// Finds for each wanted check the old one that it goes on from: an equal one of the same server
/// first, then one of the same server and kind that no other took.
pub(super) fn match_checks(
    old: &[CarriedCheck],
    wanted: &[(ServerId, &config::Check)],
) -> Vec<Match> {
    let mut free = vec![true; old.len()];
    let mut matches = vec![Match::New; wanted.len()];
    let mut take = |matches: &mut [Match],
                    kind: fn(usize) -> Match,
                    fits: &dyn Fn(&CarriedCheck, &config::Check) -> bool| {
        for ((server, check), slot) in wanted.iter().zip(matches) {
            if *slot != Match::New {
                continue;
            }
            let candidates = old.iter().zip(&mut free).enumerate();
            for (at, (candidate, free)) in candidates {
                if *free && candidate.server == *server && fits(candidate, check) {
                    *free = false;
                    *slot = kind(at);
                    break;
                }
            }
        }
    };
    take(&mut matches, Match::Same, &|old, new| old.config == *new);
    take(&mut matches, Match::Changed, &|old, new| {
        std::mem::discriminant(&old.config.kind) == std::mem::discriminant(&new.kind)
    });
    matches
}
