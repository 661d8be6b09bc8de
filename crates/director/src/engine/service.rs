//! One virtual server: its configuration, its pool machine, its checks.

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use healthcheck::quorum::{Line, Notify, Output as PoolOutput, Said};
use healthcheck::schedule::{Phase, Progress};
use healthcheck::{CheckConfig, CheckId, Schedule, ServerId, Verdict, VirtualServer};
use kconf_parser::config::{self, Globals, Script, VirtualServerId};

use super::Output;
use super::carry::{Carried, CarriedCheck, Machine, Match, Progressed};
use super::state::{CheckState, ServiceState};
use crate::status::unix_ms;
use crate::wiring;

/// One virtual server with its checks.
#[derive(Debug)]
pub struct Service {
    pub(super) config: config::VirtualServer,
    pub(super) machine: VirtualServer,
    pub(super) checks: Vec<Check>,
}

/// One check of a real server.
#[derive(Debug)]
pub struct Check {
    /// Its number; never used again for another check.
    pub id: CheckId,
    /// The real server it looks at.
    pub server: ServerId,
    /// What it does.
    pub config: config::Check,
    /// Its life in time.
    pub schedule: Schedule,
    /// When its last probe ended.
    pub last_at: Option<SystemTime>,
}

/// Where numbers for new checks come from.
pub(super) struct Numbers<'a> {
    pub(super) next: &'a mut u64,
    pub(super) seed: u64,
}

impl Numbers<'_> {
    fn id(&mut self) -> CheckId {
        let id = CheckId(*self.next);
        *self.next = self.next.saturating_add(1);
        id
    }

    /// Another one for each check, whatever their numbers have in common.
    fn seed(&self, id: CheckId) -> u64 {
        self.seed ^ id.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

impl Service {
    pub(super) fn build(
        config: &config::VirtualServer,
        globals: &Globals,
        carried: Option<Carried>,
        now: Instant,
        numbers: &mut Numbers<'_>,
        outputs: &mut VecDeque<Output>,
    ) -> Self {
        let (machine, old_checks, old_config) = match carried {
            Some(carried) => (Some(carried.machine), carried.checks, carried.config),
            None => (None, Vec::new(), None),
        };
        let wanted: Vec<(ServerId, &config::Check)> = wiring::checks(config).collect();
        let matches = super::carry::match_checks(&old_checks, &wanted);
        let mut checks = Vec::with_capacity(wanted.len());
        let mut activated = Vec::new();
        let mut old_checks: Vec<Option<CarriedCheck>> = old_checks.into_iter().map(Some).collect();
        for ((server, check), matched) in wanted.into_iter().zip(matches) {
            let old = matched.old().and_then(|at| old_checks.get_mut(at)?.take());
            let is_new = old.is_none() || !matched.is_same();
            let verdict = machine.as_ref().and_then(|machine| machine.verdict(server));
            checks.push(build_check(
                server, check, old, matched, verdict, now, numbers,
            ));
            if is_new || matches!(machine, Some(Machine::Snapshot(_)) | None) {
                activated.push(server);
            }
        }
        let servers = |server: ServerId| {
            checks
                .iter()
                .filter(|check| check.server == server)
                .map(|check| CheckConfig {
                    id: check.id,
                    initial: check.schedule.verdict(),
                })
                .collect()
        };
        let machine_config = wiring::virtual_server(config, globals, servers);
        let machine = match machine {
            None => VirtualServer::new(machine_config),
            Some(Machine::Snapshot(snapshot)) => VirtualServer::restored(machine_config, &snapshot),
            Some(Machine::Live(mut machine)) => {
                machine.reconfigure(machine_config);
                *machine
            }
        };
        let virtual_server = machine.config().name.clone();
        for server in activated {
            let line = Line {
                virtual_server: virtual_server.clone(),
                said: Said::ActivatingChecker { server },
            };
            outputs.push_back(Output::Log(line.to_string()));
        }
        let mut service = Self {
            config: config.clone(),
            machine,
            checks,
        };
        service.drain(old_config.as_ref(), outputs);
        service
    }

    /// Hands on what the pool machine says; `old` is the configuration before this one.
    pub(super) fn drain(
        &mut self,
        old: Option<&config::VirtualServer>,
        outputs: &mut VecDeque<Output>,
    ) {
        drain(&self.config, &mut self.machine, old, None, outputs);
    }

    /// Its identity.
    #[must_use]
    pub fn id(&self) -> &VirtualServerId {
        &self.config.id
    }

    /// Its configuration.
    #[must_use]
    pub fn config(&self) -> &config::VirtualServer {
        &self.config
    }

    /// Its wished pool, quorum and verdicts.
    #[must_use]
    pub fn machine(&self) -> &VirtualServer {
        &self.machine
    }

    /// Its checks in the order of the configuration.
    #[must_use]
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// The state as a value.
    #[must_use]
    pub fn state(&self, now: Instant) -> ServiceState {
        let checks = self.checks.iter().map(|check| CheckState {
            id: check.id,
            server: check.server,
            config: check.config.clone(),
            progress: check.schedule.progress(now),
            last_at_unix_ms: check.last_at.map(unix_ms),
        });
        ServiceState {
            id: self.config.id.clone(),
            snapshot: self.machine.snapshot(),
            checks: checks.collect(),
        }
    }
}

/// What the pool machine says, in the engine's words; changes of the pool are not passed on one by
/// one, because the table is reconciled as a whole. `old` is the configuration before this one,
/// `body` the mail of the check that has decided.
pub(super) fn drain(
    config: &config::VirtualServer,
    machine: &mut VirtualServer,
    old: Option<&config::VirtualServer>,
    body: Option<&str>,
    outputs: &mut VecDeque<Output>,
) {
    while let Some(said) = machine.poll_output() {
        outputs.push_back(match said {
            PoolOutput::Log(line) => Output::Log(line.to_string()),
            PoolOutput::Pool(_) => Output::TableChanged,
            PoolOutput::Notify(event) => Output::Notify {
                service: config.id.clone(),
                event,
                script: script(config, old, event).cloned(),
                mail: mail(config, old, event, body),
            },
        });
    }
}

/// Whether an output tells of a change of this server.
pub(super) fn is_about(output: &Output, server: ServerId) -> bool {
    let Output::Notify { event, .. } = output else {
        return false;
    };
    match event {
        Notify::ServerUp { server: of, .. } | Notify::ServerDown { server: of, .. } => {
            *of == server
        }
        Notify::QuorumUp { .. } | Notify::QuorumDown { .. } => false,
    }
}

/// The mail about a check that has not decided about its server.
pub(super) fn check_mail(
    config: &config::VirtualServer,
    server: ServerId,
    body: Option<&str>,
) -> Option<String> {
    let server = config.real_server(server.address)?;
    body.filter(|_| server.smtp_alert).map(ToOwned::to_owned)
}

/// The mail about an event, if one is wanted; `body` is that of the check that has decided.
fn mail(
    config: &config::VirtualServer,
    old: Option<&config::VirtualServer>,
    event: Notify,
    body: Option<&str>,
) -> Option<String> {
    let is_wanted = match event {
        Notify::ServerUp { server: id, .. } | Notify::ServerDown { server: id, .. } => {
            let known = config.real_server(id.address);
            let server = known.or_else(|| old?.real_server(id.address));
            server.is_some_and(|server| server.smtp_alert)
        }
        Notify::QuorumUp { .. } | Notify::QuorumDown { .. } => config.smtp_alert,
    };
    let body = || event.body().or_else(|| body.map(ToOwned::to_owned));
    is_wanted.then(body).flatten()
}

fn script<'a>(
    config: &'a config::VirtualServer,
    old: Option<&'a config::VirtualServer>,
    event: Notify,
) -> Option<&'a Script> {
    let server = |id: ServerId| {
        let known = config.real_server(id.address);
        known.or_else(|| old?.real_server(id.address))
    };
    match event {
        Notify::ServerUp { server: id, .. } => server(id)?.notify_up.as_ref(),
        Notify::ServerDown { server: id, .. } => server(id)?.notify_down.as_ref(),
        Notify::QuorumUp { .. } => config.quorum_up.as_ref(),
        Notify::QuorumDown { .. } => config.quorum_down.as_ref(),
    }
}

fn build_check(
    server: ServerId,
    config: &config::Check,
    old: Option<CarriedCheck>,
    matched: Match,
    verdict: Option<Verdict>,
    now: Instant,
    numbers: &mut Numbers<'_>,
) -> Check {
    let schedule_config = wiring::schedule(config);
    let (id, schedule, last_at) = match old {
        // The very same check: it does not notice.
        Some(CarriedCheck {
            id,
            progress: Progressed::Live(schedule),
            last_at,
            ..
        }) if matched.is_same() => (id, *schedule, last_at),
        // The same from another process, or one with other values: it goes on from where it was.
        Some(old) => {
            let progress = match old.progress {
                Progressed::Live(schedule) => schedule.progress(now),
                Progressed::Value(progress) => progress,
            };
            let seed = numbers.seed(old.id);
            let schedule = Schedule::restored(schedule_config, &progress, now, seed);
            (old.id, schedule, old.last_at)
        }
        None => {
            let id = numbers.id();
            let seed = numbers.seed(id);
            let schedule = match verdict {
                None => Schedule::new(schedule_config, now, seed),
                // A new check of a server that is known: it must not change the traffic before it
                // has looked, and it looks soon.
                Some(verdict) => {
                    let progress = Progress {
                        phase: match verdict {
                            Verdict::Up => Phase::Trusted,
                            Verdict::Down => Phase::Distrusted,
                        },
                        step: 0,
                        failures: 0,
                        due_in: Some(Duration::from_secs(1)),
                        last: None,
                    };
                    Schedule::restored(schedule_config, &progress, now, seed)
                }
            };
            (id, schedule, None)
        }
    };
    Check {
        id,
        server,
        config: config.clone(),
        schedule,
        last_at,
    }
}

pub(super) fn time_of(unix_ms: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(unix_ms)
}
