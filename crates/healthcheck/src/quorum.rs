//! One virtual service's pool: which real servers get traffic, with which weight, and what has to
//! be announced.
//!
//! [`VirtualServer`] takes verdicts of checks and changes of weight. It keeps the *wished pool*
//! ([`VirtualServer::pool`]), a function of its state, and a queue of [`Output`]s: changes of that
//! pool, notifications, and log lines in keepalived's words, in the order in which keepalived does
//! them.
//!
//! The rules, all from keepalived.conf(5) and its observed behaviour:
//!
//! - A real server is up while all of its checks are up, and always when it has none.
//! - The alive weight is the sum of the weights of the servers that are up. The quorum is gained
//!   when it reaches `quorum + hysteresis`, and lost when it falls below `quorum - hysteresis` or
//!   to 0.
//! - A server that goes down leaves the pool, or stays with weight 0 if it has
//!   `inhibit_on_failure`.
//! - While the quorum is lost and there is a sorry server, the sorry server alone is in the pool
//!   (real servers with `inhibit_on_failure` stay with weight 0). Without a sorry server, those
//!   that are up stay.
//! - At the start the quorum counts as lost. Servers that start up are added in silence.
//!
//! # Design
//!
//! The pool is derived, never edited: each call compares the pool before with the pool after, so
//! the [`Output::Pool`] entries cannot drift from what [`VirtualServer::pool`] says. A driver may
//! perform them one by one, or reconcile with the wished pool as a whole and ignore them. They come
//! before the lines and notifications of the same call, so that a script finds the pool changed;
//! and those that join come before those that leave, so that performing them in order never empties
//! the pool on the way from one that is not empty to another.
//!
//! Servers are named by what keepalived tells them apart by, protocol, address and port
//! ([`ServerId`]), so that a reload matches old and new by itself.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::verdict::Verdict;

pub use self::config::{CheckConfig, ServerConfig, SorryConfig, VirtualServerConfig};
pub use self::name::{CheckId, Protocol, ServerId};
pub use self::output::{
    DownReason, Line, Notify, Output, PoolChange, QuorumReason, Said, UpReason,
};

mod config;
mod name;
mod output;

/// One entry of the wished pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PoolEntry {
    /// The server.
    pub server: ServerId,
    /// Whether it is there as a real server or as the sorry server, which may have another
    /// forwarding method.
    pub role: Role,
    /// Its weight; 0 means that it gets no new connections.
    pub weight: u32,
}

/// What a server is in a pool for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// To do the work (`real_server`).
    Real,
    /// To say sorry while there is no quorum (`sorry_server`).
    Sorry,
}

/// What is known of one real server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerState {
    /// Which one.
    pub server: ServerId,
    /// Its weight, also while it is down: the configured one, or what [`VirtualServer::set_weight`]
    /// made of it.
    pub weight: u32,
    /// The weight of the configuration.
    pub configured_weight: u32,
    /// Whether all of its checks are up.
    pub verdict: Verdict,
    /// The verdict of each check.
    pub checks: Vec<(CheckId, Verdict)>,
}

/// The state of a [`VirtualServer`] as a value, for status and for [`VirtualServer::restored`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Whether there is a quorum.
    pub quorum_up: bool,
    /// The real servers in the order of the configuration.
    pub servers: Vec<ServerState>,
}

/// The pool of one virtual service.
///
/// The methods fall into three groups:
///
/// - What comes in: [`handle_verdict`](Self::handle_verdict), [`set_weight`](Self::set_weight),
///   [`reconfigure`](Self::reconfigure), [`shutdown`](Self::shutdown).
/// - What goes out: [`poll_output`](Self::poll_output); drain it after creating the machine and
///   after each call of the first group.
/// - Getters: [`pool`](Self::pool), [`snapshot`](Self::snapshot) and the rest.
///
/// It has no deadlines. See the crate documentation for an example.
#[derive(Debug)]
pub struct VirtualServer {
    config: VirtualServerConfig,
    servers: Vec<Server>,
    quorum_up: bool,
    shut_down: bool,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
struct Server {
    id: ServerId,
    weight: u32,
    configured_weight: u32,
    inhibit: bool,
    checks: BTreeMap<CheckId, Verdict>,
}

impl Server {
    fn new(config: &ServerConfig) -> Self {
        Self {
            id: config.id,
            weight: config.weight,
            configured_weight: config.weight,
            inhibit: config.inhibit_on_failure,
            checks: config
                .checks
                .iter()
                .map(|check| (check.id, check.initial))
                .collect(),
        }
    }

    fn verdict(&self) -> Verdict {
        if self.checks.values().all(|verdict| verdict.is_up()) {
            Verdict::Up
        } else {
            Verdict::Down
        }
    }

    fn is_up(&self) -> bool {
        self.verdict().is_up()
    }
}

type Pool = BTreeMap<(Role, ServerId), u32>;

impl VirtualServer {
    /// A service that starts now. The outputs add the servers whose checks all start up, then tell
    /// about the quorum.
    pub fn new(config: VirtualServerConfig) -> Self {
        let mut this = Self::empty(config);
        this.change(Pool::new(), Self::start);
        this
    }

    fn start(&mut self) {
        self.servers = self.configured_servers();
        if self.config.notify_initial {
            for server in self.servers.iter().filter(|server| server.is_up()) {
                let event = Notify::ServerUp {
                    server: server.id,
                    reason: UpReason::Start,
                };
                self.outputs.push_back(Output::Notify(event));
            }
        }
        if self.reaches_quorum() {
            self.quorum_up = true;
            self.say(self.gained());
            self.notify_quorum(Verdict::Up, QuorumReason::Start);
        } else if self.config.sorry_server.is_some() {
            self.say(Said::StartingWithQuorumDown {
                quorum: self.config.quorum,
                hysteresis: self.config.hysteresis,
                weight: self.alive_weight(),
            });
            self.notify_quorum(Verdict::Down, QuorumReason::Start);
            self.say_sorry_on();
        }
    }

    /// A service that goes on from a [`VirtualServer::snapshot`] made in an earlier process.
    ///
    /// What did not change since is not announced again. The [`Output::Pool`] changes start from an
    /// empty pool, because this machine does not know what its predecessor managed to do.
    /// Differences between `config` and the snapshot are treated as by
    /// [`VirtualServer::reconfigure`].
    pub fn restored(config: VirtualServerConfig, snapshot: &Snapshot) -> Self {
        let mut this = Self::empty(config);
        this.quorum_up = snapshot.quorum_up;
        this.servers = snapshot
            .servers
            .iter()
            .map(|old| Server {
                id: old.server,
                weight: old.weight,
                configured_weight: old.configured_weight,
                inhibit: false,
                checks: old.checks.iter().copied().collect(),
            })
            .collect();
        this.change(Pool::new(), |this| this.take_over(this.config.clone()));
        this
    }

    fn empty(config: VirtualServerConfig) -> Self {
        Self {
            config,
            servers: Vec::new(),
            quorum_up: false,
            shut_down: false,
            outputs: VecDeque::new(),
        }
    }

    /// The servers of the configuration as at a start; a second one with the same id is ignored.
    fn configured_servers(&self) -> Vec<Server> {
        let mut servers: Vec<Server> = Vec::with_capacity(self.config.servers.len());
        for config in &self.config.servers {
            if !servers.iter().any(|server| server.id == config.id) {
                servers.push(Server::new(config));
            }
        }
        servers
    }

    /// The verdict of one check. Says nothing if it is not news, and ignores servers and checks it
    /// does not know.
    pub fn handle_verdict(&mut self, server: ServerId, check: CheckId, verdict: Verdict) {
        if !self.shut_down {
            self.change(self.wished(), |this| {
                this.take_verdict(server, check, verdict)
            });
        }
    }

    fn take_verdict(&mut self, server: ServerId, check: CheckId, verdict: Verdict) {
        let Some(entry) = self.servers.iter_mut().find(|entry| entry.id == server) else {
            return;
        };
        let was = entry.verdict();
        let Some(slot) = entry.checks.get_mut(&check) else {
            return;
        };
        *slot = verdict;
        let is = entry.verdict();
        if is == was {
            return;
        }
        let inhibit = entry.inhibit;
        if !self.sorry_is_on() {
            self.say(match (is, inhibit) {
                (Verdict::Up, false) => Said::Adding { server },
                (Verdict::Up, true) => Said::Enabling { server },
                (Verdict::Down, false) => Said::Removing { server },
                (Verdict::Down, true) => Said::Disabling { server },
            });
        }
        self.outputs.push_back(Output::Notify(match is {
            Verdict::Up => Notify::ServerUp {
                server,
                reason: UpReason::Check,
            },
            Verdict::Down => Notify::ServerDown {
                server,
                reason: DownReason::Check,
            },
        }));
        self.settle_quorum();
    }

    /// A new weight for a real server, from a checker that measures it. Ignored if it is not news
    /// or the server is unknown. A later [`reconfigure`](Self::reconfigure) keeps it unless the
    /// configured weight changes.
    pub fn set_weight(&mut self, server: ServerId, weight: u32) {
        if !self.shut_down {
            self.change(self.wished(), |this| {
                this.change_weight(server, weight);
                this.settle_quorum();
            });
        }
    }

    fn change_weight(&mut self, server: ServerId, weight: u32) {
        let Some(entry) = self.servers.iter_mut().find(|entry| entry.id == server) else {
            return;
        };
        let from = std::mem::replace(&mut entry.weight, weight);
        if from != weight {
            let active = entry.is_up();
            self.say(Said::ChangingWeight {
                server,
                from,
                to: weight,
                active,
            });
        }
    }

    /// Takes over a new configuration of the same service.
    ///
    /// Servers are matched by id, checks by id within their server; what matches keeps its verdict.
    /// A check that is new starts with its `initial` verdict. A server that is new joins as at a
    /// start, in silence. A server that is gone leaves, and is announced as down if it was up. A
    /// changed weight is announced, and so is a change of quorum.
    pub fn reconfigure(&mut self, config: VirtualServerConfig) {
        if !self.shut_down {
            self.change(self.wished(), |this| this.take_over(config));
        }
    }

    fn take_over(&mut self, config: VirtualServerConfig) {
        let sorry_was_on = self.sorry_is_on();
        let old_config = std::mem::replace(&mut self.config, config);
        let old = std::mem::take(&mut self.servers);
        let mut new = self.configured_servers();
        let mut reweighted = Vec::new();
        let mut events = Vec::new();

        for server in &mut new {
            let Some(known) = old.iter().find(|known| known.id == server.id) else {
                if self.config.notify_initial && server.is_up() {
                    events.push(Notify::ServerUp {
                        server: server.id,
                        reason: UpReason::Start,
                    });
                }
                continue;
            };
            for (id, verdict) in &mut server.checks {
                if let Some(kept) = known.checks.get(id) {
                    *verdict = *kept;
                }
            }
            match (known.is_up(), server.is_up()) {
                (true, false) => events.push(Notify::ServerDown {
                    server: server.id,
                    reason: DownReason::Reload,
                }),
                (false, true) => {
                    events.push(Notify::ServerUp {
                        server: server.id,
                        reason: UpReason::Reload,
                    });
                }
                _ => {}
            }
            // A weight that a checker has set stays unless the configured one is another than
            // before.
            server.weight = known.weight;
            if server.configured_weight != known.configured_weight {
                reweighted.push((server.id, server.configured_weight));
            }
        }
        for gone in old
            .iter()
            .filter(|known| !new.iter().any(|server| server.id == known.id))
        {
            self.say(Said::Removing { server: gone.id });
            if gone.is_up() {
                events.push(Notify::ServerDown {
                    server: gone.id,
                    reason: DownReason::Removed,
                });
            }
        }
        self.servers = new;
        for (server, weight) in reweighted {
            self.change_weight(server, weight);
        }
        // A sorry server that came or went with the configuration, while the quorum stays lost.
        let old_sorry = old_config.sorry_server.filter(|_| sorry_was_on);
        let new_sorry = self.config.sorry_server.filter(|_| self.sorry_is_on());
        if let Some(sorry) = old_sorry
            && new_sorry.is_none_or(|new| new.id != sorry.id)
        {
            self.say(Said::RemovingSorry { server: sorry.id });
        }
        if let Some(sorry) = new_sorry
            && old_sorry.is_none_or(|old| old.id != sorry.id)
        {
            self.say_sorry_on();
        }
        self.outputs.extend(events.into_iter().map(Output::Notify));
        self.settle_quorum();
    }

    /// Ends the service: everything leaves the pool. With `omega`, what was up is announced as
    /// down. Later calls do nothing.
    pub fn shutdown(&mut self) {
        if !self.shut_down {
            self.change(self.wished(), Self::end);
        }
    }

    fn end(&mut self) {
        self.shut_down = true;
        let servers: Vec<(ServerId, bool)> = self
            .servers
            .iter()
            .map(|server| (server.id, server.is_up()))
            .collect();
        for &(server, _) in &servers {
            self.say(Said::ShuttingDown { server });
        }
        self.say(Said::RemovingVirtualServer);
        if self.config.omega {
            for (server, _) in servers.into_iter().filter(|&(_, up)| up) {
                let event = Notify::ServerDown {
                    server,
                    reason: DownReason::Shutdown,
                };
                self.outputs.push_back(Output::Notify(event));
            }
            if self.quorum_up {
                self.notify_quorum(Verdict::Down, QuorumReason::Shutdown);
            }
        }
        self.quorum_up = false;
    }

    /// The next thing to do, oldest first.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The wished pool: real servers in the order of the configuration, then the sorry server if it
    /// is wished.
    ///
    /// Empty after [`shutdown`](Self::shutdown). A sorry server may have the same id as a real
    /// server; then both entries are here, and the sorry server's should win while its weight is
    /// not 0.
    pub fn pool(&self) -> impl Iterator<Item = PoolEntry> {
        let sorry_on = self.sorry_is_on();
        let real = self.servers.iter().filter_map(move |server| {
            let weight = match (server.is_up() && !sorry_on, server.inhibit) {
                (true, _) => server.weight,
                (false, true) => 0,
                (false, false) => return None,
            };
            Some(PoolEntry {
                server: server.id,
                role: Role::Real,
                weight,
            })
        });
        let sorry = self.config.sorry_server.and_then(|sorry| {
            let weight = match (sorry_on, sorry.inhibit) {
                (true, _) => sorry.weight,
                (false, true) => 0,
                (false, false) => return None,
            };
            Some(PoolEntry {
                server: sorry.id,
                role: Role::Sorry,
                weight,
            })
        });
        real.chain(sorry).filter(|_| !self.shut_down)
    }

    /// Whether there is a quorum.
    pub fn has_quorum(&self) -> bool {
        self.quorum_up
    }

    /// Whether the sorry server is in charge.
    pub fn sorry_is_on(&self) -> bool {
        !self.quorum_up && !self.shut_down && self.config.sorry_server.is_some()
    }

    /// Sum of the weights of the real servers that are up, in the pool or not.
    pub fn alive_weight(&self) -> u64 {
        self.servers
            .iter()
            .filter(|server| server.is_up())
            .map(|server| u64::from(server.weight))
            .sum()
    }

    /// The verdict on a real server; `None` if it is unknown.
    pub fn verdict(&self, server: ServerId) -> Option<Verdict> {
        self.servers
            .iter()
            .find(|entry| entry.id == server)
            .map(Server::verdict)
    }

    /// The name of the service, as in its configuration.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// The configuration in force.
    pub fn config(&self) -> &VirtualServerConfig {
        &self.config
    }

    /// The whole state as a value.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            quorum_up: self.quorum_up,
            servers: self
                .servers
                .iter()
                .map(|server| ServerState {
                    server: server.id,
                    weight: server.weight,
                    configured_weight: server.configured_weight,
                    verdict: server.verdict(),
                    checks: server
                        .checks
                        .iter()
                        .map(|(id, verdict)| (*id, *verdict))
                        .collect(),
                })
                .collect(),
        }
    }

    fn reaches_quorum(&self) -> bool {
        let weight = self.alive_weight();
        weight > 0 && weight >= u64::from(self.config.quorum) + u64::from(self.config.hysteresis)
    }

    fn down_threshold(&self) -> u64 {
        u64::from(self.config.quorum.saturating_sub(self.config.hysteresis))
    }

    /// Compares the alive weight with the thresholds and performs the change of quorum, if there is
    /// one.
    fn settle_quorum(&mut self) {
        let weight = self.alive_weight();
        if self.quorum_up && (weight == 0 || weight < self.down_threshold()) {
            self.quorum_up = false;
            self.say(Said::LostQuorum {
                quorum: self.config.quorum,
                hysteresis: self.config.hysteresis,
                weight,
            });
            self.notify_quorum(Verdict::Down, QuorumReason::Weight);
            if self.config.sorry_server.is_some() {
                self.say_sorry_on();
                self.say(Said::RemovingAlive);
            }
        } else if !self.quorum_up && self.reaches_quorum() {
            self.quorum_up = true;
            self.say(self.gained());
            self.notify_quorum(Verdict::Up, QuorumReason::Weight);
            if let Some(SorryConfig {
                id: server,
                inhibit,
                ..
            }) = self.config.sorry_server
            {
                self.say(if inhibit {
                    Said::DisablingSorry { server }
                } else {
                    Said::RemovingSorry { server }
                });
                self.say(Said::AddingAlive);
            }
        }
    }

    fn gained(&self) -> Said {
        Said::GainedQuorum {
            quorum: self.config.quorum,
            hysteresis: self.config.hysteresis,
            weight: self.alive_weight(),
        }
    }

    fn notify_quorum(&mut self, verdict: Verdict, reason: QuorumReason) {
        let (quorum, hysteresis) = (self.config.quorum, self.config.hysteresis);
        let weight = self.alive_weight();
        self.outputs.push_back(Output::Notify(match verdict {
            Verdict::Up => Notify::QuorumUp {
                reason,
                quorum,
                hysteresis,
                weight,
            },
            Verdict::Down => Notify::QuorumDown {
                reason,
                quorum,
                hysteresis,
                weight,
            },
        }));
    }

    fn say_sorry_on(&mut self) {
        if let Some(sorry) = self.config.sorry_server {
            self.say(if sorry.inhibit {
                Said::EnablingSorry { server: sorry.id }
            } else {
                Said::AddingSorry { server: sorry.id }
            });
        }
    }

    fn say(&mut self, said: Said) {
        let line = Line {
            virtual_server: Arc::clone(&self.config.name),
            said,
        };
        self.outputs.push_back(Output::Log(line));
    }

    fn wished(&self) -> Pool {
        self.pool()
            .map(|entry| ((entry.role, entry.server), entry.weight))
            .collect()
    }

    /// Does `work`, and tells how the pool differs from `before` ahead of all that `work` tells:
    /// members that join or change, then those that leave.
    fn change(&mut self, before: Pool, work: impl FnOnce(&mut Self)) {
        let told = std::mem::take(&mut self.outputs);
        work(self);
        let news = std::mem::replace(&mut self.outputs, told);
        let entries: Vec<PoolEntry> = self.pool().collect();
        for &PoolEntry {
            server,
            role,
            weight,
        } in &entries
        {
            let change = match before.get(&(role, server)) {
                None => PoolChange::Add {
                    server,
                    role,
                    weight,
                },
                Some(old) if *old != weight => PoolChange::SetWeight {
                    server,
                    role,
                    weight,
                },
                Some(_) => continue,
            };
            self.outputs.push_back(Output::Pool(change));
        }
        for &(role, server) in before.keys() {
            if !entries
                .iter()
                .any(|entry| (entry.role, entry.server) == (role, server))
            {
                self.outputs
                    .push_back(Output::Pool(PoolChange::Remove { server, role }));
            }
        }
        self.outputs.extend(news);
    }
}

#[cfg(test)]
mod tests;
