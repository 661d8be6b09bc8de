//! All virtual servers and checks of a configuration as one machine.
//!
//! [`Engine`] puts `healthcheck`'s machines together: each check has a
//! [`Schedule`](healthcheck::Schedule), each virtual server a
//! [`VirtualServer`](healthcheck::VirtualServer); verdicts of the first go to the second. It says which probes to start, what to log, which scripts to run, when a state must
//! be told to the parent and when the table must be reconciled.
//!
//! # Design
//! No socket, no clock, no process: [`checker`](crate::checker) drives it, tests drive it in virtual
//! time. Outputs are in one queue, because their order has a meaning: a state is told to the parent
//! ([`Output::StateChanged`]) before the table follows it ([`Output::TableChanged`]), so a checker
//! that is killed between the two leaves a parent that knows more than the table shows, never less.
//!
//! A reload and a restart are the same thing with different sources: virtual servers are matched by
//! their identity, real servers by address, checks by equal configuration. What matches goes on.

mod carry;
mod service;
mod state;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::time::{Instant, SystemTime};

use healthcheck::quorum::Notify;
use healthcheck::schedule::{Output as CheckOutput, ProbeId};
use healthcheck::{CheckId, Outcome, ServerId};
use kconf_parser::Config;
use kconf_parser::config::{Script, VirtualServerId};

pub use self::service::{Check, Service};
pub use self::state::{CheckState, ServiceState};

use self::carry::Carried;
use crate::check_log;

/// What the driver has to do, in the order in which it is told.
#[derive(Debug)]
pub enum Output {
    /// Log this line.
    Log(String),
    /// Probe a server; the outcome goes to [`Engine::handle_outcome`].
    StartProbe {
        /// Which check.
        check: CheckId,
        /// Which probe of it.
        probe: ProbeId,
        /// Which of its urls, if it has several.
        step: u32,
    },
    /// The outcome of this probe is of no interest any more.
    AbortProbe {
        /// Which check.
        check: CheckId,
        /// Which probe of it.
        probe: ProbeId,
    },
    /// An event that scripts can be attached to.
    Notify {
        /// The virtual server.
        service: VirtualServerId,
        /// What happened.
        event: Notify,
        /// The script that is configured for it, as it was when the event came about: a real server
        /// that was removed still has its `notify_down`.
        script: Option<Script>,
        /// The body of the mail about it, if one is wanted.
        mail: Option<String>,
    },
    /// A check has changed its verdict, but others decide about its server: only a mail is about it.
    CheckNotify {
        /// The virtual server.
        service: VirtualServerId,
        /// The real server.
        server: ServerId,
        /// The body of the mail.
        mail: String,
    },
    /// Tell the parent the state of this virtual server, before anything that follows.
    StateChanged(VirtualServerId),
    /// Tell the parent the state of this virtual server when there is time: nothing depends on it.
    ProgressChanged(VirtualServerId),
    /// The wished table may have changed.
    TableChanged,
}

/// All virtual servers and their checks.
///
/// - What comes in: [`handle_timeout`](Self::handle_timeout),
///   [`handle_outcome`](Self::handle_outcome), [`handle_addresses`](Self::handle_addresses).
/// - Commands: [`reconfigure`](Self::reconfigure), [`shutdown`](Self::shutdown).
/// - What goes out: [`poll_output`](Self::poll_output), [`poll_timeout`](Self::poll_timeout). After
///   creation and after any call of the first two groups, drain the outputs, then arm a timer.
#[derive(Debug)]
pub struct Engine {
    services: Vec<Service>,
    /// Where each virtual server is.
    positions: HashMap<VirtualServerId, usize>,
    /// Where each check is: positions of its service and of itself.
    places: HashMap<CheckId, (usize, usize)>,
    timers: BTreeSet<(Instant, CheckId)>,
    next_check: u64,
    seed: u64,
    /// The addresses of this machine, once they are known.
    local: Option<HashSet<IpAddr>>,
    outputs: VecDeque<Output>,
}

impl Engine {
    /// Everything that `config` names, going on from `states` where they know of it.
    ///
    /// `states` comes from an earlier process, empty at a first start. `seed` decides when first
    /// probes come within their `warmup`.
    #[must_use]
    pub fn new(config: &Config, states: Vec<ServiceState>, now: Instant, seed: u64) -> Self {
        let next_check = states
            .iter()
            .flat_map(|state| &state.checks)
            .map(|check| check.id.0.saturating_add(1))
            .max()
            .unwrap_or(0);
        let mut engine = Self {
            services: Vec::new(),
            positions: HashMap::new(),
            places: HashMap::new(),
            timers: BTreeSet::new(),
            next_check,
            seed,
            local: None,
            outputs: VecDeque::new(),
        };
        let old = states.into_iter().map(Carried::from_state).collect();
        engine.replace(config, old, now);
        engine
    }

    /// Takes over a new configuration. What did not change goes on untouched; services that are gone
    /// are shut down.
    pub fn reconfigure(&mut self, config: &Config, now: Instant) {
        let old = std::mem::take(&mut self.services)
            .into_iter()
            .map(Carried::from_service)
            .collect();
        self.replace(config, old, now);
        self.suspend_or_resume(now);
    }

    /// These are the addresses of this machine: checks with `ha_suspend` run while that of their
    /// virtual server is among them.
    pub fn handle_addresses(&mut self, now: Instant, local: HashSet<IpAddr>) {
        self.local = Some(local);
        self.suspend_or_resume(now);
    }

    fn suspend_or_resume(&mut self, now: Instant) {
        let Some(local) = &self.local else {
            return;
        };
        let mut changes = Vec::new();
        for service in self.services.iter().filter(|it| it.config.ha_suspend) {
            // A group has no address that could come.
            let is_here = match &service.config.id {
                VirtualServerId::Address { address, .. } => local.contains(&address.ip()),
                _ => false,
            };
            let concerned = service.checks.iter();
            let concerned = concerned.filter(|it| it.schedule.is_suspended() == is_here);
            for check in concerned {
                let verb = if is_here { "Activating" } else { "Suspending" };
                changes.push((
                    check.id,
                    is_here,
                    format!(
                        "{verb} healthchecker for service {} for VS {}",
                        check.server, service.config.id
                    ),
                ));
            }
        }
        for (id, is_here, line) in changes {
            self.outputs.push_back(Output::Log(line));
            self.with_check(id, |check| match is_here {
                true => check.schedule.resume(now),
                false => check.schedule.suspend(),
            });
        }
    }

    fn replace(&mut self, config: &Config, old: Vec<Carried>, now: Instant) {
        let mut by_id: HashMap<VirtualServerId, Carried> = HashMap::with_capacity(old.len());
        let mut order = Vec::with_capacity(old.len());
        for carried in old {
            order.push(carried.id.clone());
            by_id.insert(carried.id.clone(), carried);
        }
        for service in &config.services {
            let carried = by_id.remove(&service.id);
            let mut numbers = service::Numbers {
                next: &mut self.next_check,
                seed: self.seed,
            };
            let known = carried.is_some();
            let service = Service::build(
                service,
                &config.globals,
                carried,
                now,
                &mut numbers,
                &mut self.outputs,
            );
            if known {
                self.outputs
                    .push_back(Output::StateChanged(service.id().clone()));
            }
            self.services.push(service);
        }
        for gone in order.iter().filter_map(|id| by_id.remove(id)) {
            gone.end(&mut self.outputs);
        }
        self.positions.clear();
        self.places.clear();
        self.timers.clear();
        for (service_at, service) in self.services.iter().enumerate() {
            self.positions.insert(service.id().clone(), service_at);
            for (check_at, check) in service.checks.iter().enumerate() {
                self.places.insert(check.id, (service_at, check_at));
                if let Some(deadline) = check.schedule.poll_timeout() {
                    self.timers.insert((deadline, check.id));
                }
            }
        }
        self.outputs.push_back(Output::TableChanged);
    }

    /// Deadlines may have passed: starts the probes that are due. Harmless when none is.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(deadline, id)) = self.timers.first() {
            if deadline > now {
                return;
            }
            self.timers.pop_first();
            self.with_check(id, |check| check.schedule.handle_timeout(now));
        }
    }

    /// A probe ended; `wall` is the time of day, for status. Ignored when the probe is unknown or
    /// was replaced by a later one.
    pub fn handle_outcome(
        &mut self,
        now: Instant,
        wall: SystemTime,
        id: CheckId,
        probe: ProbeId,
        outcome: Outcome,
    ) {
        self.with_check(id, |check| {
            check.last_at = Some(wall);
            check.schedule.handle_outcome(now, probe, outcome);
        });
    }

    /// Ends everything: what `omega` asks for is announced, and the wished table is empty.
    pub fn shutdown(&mut self) {
        self.timers.clear();
        for service in &mut self.services {
            for check in &mut service.checks {
                check.schedule.suspend();
            }
            service.machine.shutdown();
            service.drain(None, &mut self.outputs);
        }
        self.outputs.push_back(Output::TableChanged);
    }

    /// The next thing to do, oldest first.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(deadline, _)| *deadline)
    }

    /// The virtual servers in the order of the configuration.
    #[must_use]
    pub fn services(&self) -> &[Service] {
        &self.services
    }

    /// The virtual server of this identity.
    #[must_use]
    pub fn service(&self, id: &VirtualServerId) -> Option<&Service> {
        self.services.get(*self.positions.get(id)?)
    }

    /// A check, and the virtual server that it belongs to.
    #[must_use]
    pub fn check(&self, id: CheckId) -> Option<(&Service, &Check)> {
        let &(service, check) = self.places.get(&id)?;
        let service = self.services.get(service)?;
        Some((service, service.checks.get(check)?))
    }

    /// Lets `change` act on a check, then does what follows from it.
    fn with_check(&mut self, id: CheckId, change: impl FnOnce(&mut Check)) {
        let Some(&(service_at, check_at)) = self.places.get(&id) else {
            return;
        };
        let Some(service) = self.services.get_mut(service_at) else {
            return;
        };
        let Some(check) = service.checks.get_mut(check_at) else {
            return;
        };
        if let Some(deadline) = check.schedule.poll_timeout() {
            self.timers.remove(&(deadline, id));
        }
        // A first success that changes nothing; one that does is told as what it changes.
        let is_first = check.last_at.is_none() && check.schedule.verdict().is_up();
        change(check);
        if let Some(deadline) = check.schedule.poll_timeout() {
            self.timers.insert((deadline, id));
        }
        let server = check.server;
        while let Some(output) = check.schedule.poll_output() {
            let lines = check_log::lines(&check.config, server, &output, is_first);
            self.outputs.extend(lines.into_iter().map(Output::Log));
            match output {
                CheckOutput::StartProbe { probe, step } => {
                    self.outputs.push_back(Output::StartProbe {
                        check: id,
                        probe,
                        step,
                    });
                }
                CheckOutput::AbortProbe { probe } => {
                    self.outputs
                        .push_back(Output::AbortProbe { check: id, probe });
                }
                CheckOutput::Probed(_) => {
                    let progress = Output::ProgressChanged(service.config.id.clone());
                    self.outputs.push_back(progress);
                }
                CheckOutput::VerdictChanged { verdict, .. } => {
                    let body = check_log::mail_body(&check.config, verdict);
                    service.machine.handle_verdict(server, id, verdict);
                    let state = Output::StateChanged(service.config.id.clone());
                    self.outputs.push_back(state);
                    let before = self.outputs.len();
                    let (config, machine) = (&service.config, &mut service.machine);
                    service::drain(config, machine, None, body, &mut self.outputs);
                    let mut new = self.outputs.iter().skip(before);
                    let is_told = new.any(|output| service::is_about(output, server));
                    let mail = service::check_mail(config, server, body);
                    if let (false, Some(mail)) = (is_told, mail) {
                        self.outputs.push_back(Output::CheckNotify {
                            service: service.config.id.clone(),
                            server,
                            mail,
                        });
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
