//! The connection entries and persistence templates of a balancer, as far as they decide which
//! packets are scheduled.
//!
//! # Design
//!
//! A packet is given to the scheduler only if no entry matches it, so a replay must know which
//! entries live. States follow the packets that the kernel passed on. Timers follow the recording's
//! own promise: a timer of T certainly has not fired before T and certainly has by 1.13 T + 1 s.
//! What lies between is answered by [`Life::Unsure`], never guessed.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lvs_sched::{DestinationId, Protocol};

use crate::service::ServiceKey;
use crate::tcp_state::{Sender, TcpState, Timeouts};

/// A template that has outlived its timer gets this for the rest of its life.
const REARMED: Duration = Duration::from_secs(60);

/// A flow as the balancer's connection table is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FlowKey {
    pub(crate) protocol: Protocol,
    pub(crate) client: SocketAddr,
    pub(crate) target: SocketAddr,
}

/// A destination of a service, present or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Server {
    pub(crate) service: ServiceKey,
    pub(crate) id: DestinationId,
}

/// Does an entry live at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    Alive,
    Dead,
    /// Its timer may or may not have fired, or its history is in doubt.
    Unsure,
}

/// A connection entry.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(crate) server: Server,
    /// `None` for UDP, which has one state.
    pub(crate) state: Option<TcpState>,
    /// The address and port the server gets the packets on.
    pub(crate) endpoint: SocketAddr,
    /// Direct routing or a tunnel: the server's packets do not pass.
    pub(crate) one_way: bool,
    /// The template that controls it.
    pub(crate) template: Option<TemplateId>,
    timer: Timer,
}

#[derive(Clone, Copy, Debug)]
struct Timer {
    timeout: Duration,
    /// The earliest moment it can fire.
    fires: Duration,
    /// The moment by which it certainly has fired.
    latest: Duration,
}

/// Which flows share a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TemplateKey {
    pub(crate) service: TemplateScope,
    /// The client's address under the service's netmask.
    pub(crate) client: IpAddr,
}

/// The service's part in the name of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TemplateScope {
    Mark {
        mark: u32,
        v6: bool,
    },
    /// Port 0 if the packet did not go to the service's own port.
    Address {
        protocol: Protocol,
        address: IpAddr,
        port: u16,
    },
}

/// Names a template for its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TemplateId(u64);

/// A persistence template.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    pub(crate) server: Server,
    timer: Timer,
    /// Whether its timer set it up anew is in doubt; the moment by which it certainly has gone.
    doubtful: Option<Duration>,
}

/// Connections and templates of a balancer.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    flows: HashMap<FlowKey, Connection>,
    templates: HashMap<TemplateId, Template>,
    /// The template in use per key; those set aside are not here.
    current: HashMap<TemplateKey, TemplateId>,
    last_template: u64,
    /// Flows about which computation and kernel disagree.
    doubted: HashSet<FlowKey>,
}

impl Timer {
    fn set(timeout: Duration, now: Duration) -> Self {
        let fires = now.saturating_add(timeout);
        Self {
            timeout,
            fires,
            latest: fires.saturating_add(slack(timeout)),
        }
    }

    /// Sets it again at the moment it fires, whenever that is.
    fn again(&mut self, timeout: Duration) {
        self.timeout = timeout;
        self.fires = self.fires.saturating_add(timeout);
        self.latest = self
            .latest
            .saturating_add(timeout)
            .saturating_add(slack(timeout));
    }

    fn life(&self, now: Duration) -> Life {
        if now < self.fires {
            Life::Alive
        } else if now >= self.latest {
            Life::Dead
        } else {
            Life::Unsure
        }
    }
}

/// How late a timer may be.
fn slack(timeout: Duration) -> Duration {
    timeout.saturating_mul(13) / 100 + Duration::from_secs(1)
}

impl Connections {
    /// The entry a packet from the client belongs to.
    pub(crate) fn find(&self, key: &FlowKey, now: Duration) -> (Life, Option<&Connection>) {
        match self.flows.get(key) {
            connection if self.doubted.contains(key) => (Life::Unsure, connection),
            None => (Life::Dead, None),
            Some(connection) => (connection.timer.life(now), Some(connection)),
        }
    }

    /// A packet of the flow was passed on: state and timer.
    pub(crate) fn packet(
        &mut self,
        key: &FlowKey,
        from_server: bool,
        flags: &str,
        now: Duration,
        timeouts: &Timeouts,
    ) {
        let Some(connection) = self.flows.get_mut(key) else {
            return;
        };
        let timeout = match &mut connection.state {
            None => timeouts.udp,
            Some(state) => {
                let sender = if from_server {
                    // A server's packet where none was expected: both directions pass after all.
                    connection.one_way = false;
                    Sender::Server
                } else if connection.one_way {
                    Sender::ClientAlone
                } else {
                    Sender::Client
                };
                *state = state.after(sender, flags);
                state.timeout(timeouts)
            }
        };
        connection.timer = Timer::set(timeout, now);
    }

    /// Computation and kernel disagree about this flow's entry.
    pub(crate) fn doubt(&mut self, key: &FlowKey) {
        self.doubted.insert(*key);
    }

    /// A new entry, which replaces the one the flow had; its first packet is yet to be counted.
    pub(crate) fn open(
        &mut self,
        key: FlowKey,
        server: Server,
        endpoint: SocketAddr,
        one_way: bool,
        template: Option<TemplateId>,
        now: Duration,
    ) {
        let state = (key.protocol == Protocol::Tcp).then_some(TcpState::None);
        let timer = Timer::set(Duration::ZERO, now);
        let connection = Connection {
            server,
            state,
            endpoint,
            one_way,
            template,
            timer,
        };
        self.doubted.remove(&key);
        self.flows.insert(key, connection);
    }

    /// Has the flow been [doubted](Self::doubt).
    pub(crate) fn is_doubted(&self, key: &FlowKey) -> bool {
        self.doubted.contains(key)
    }

    /// The flow's entry is gone at once.
    pub(crate) fn drop_flow(&mut self, key: &FlowKey) {
        self.doubted.remove(key);
        self.flows.remove(key);
    }

    /// The entries and templates of servers for which `gone` holds are dropped; gives the servers of
    /// the templates among them.
    pub(crate) fn drop_of(&mut self, gone: impl Fn(&Server) -> bool) -> Vec<Server> {
        self.flows.retain(|_, connection| !gone(&connection.server));
        let dropped = self.templates.extract_if(|_, t| gone(&t.server));
        let servers = dropped.map(|(_, template)| template.server).collect();
        self.forget_names();
        servers
    }

    /// The kernel tells that a server has this many connections at `now`: that may tell which of
    /// those in doubt are gone.
    pub(crate) fn settle(&mut self, server: Server, total: u64, now: Duration) {
        let (mut alive, mut unsure) = (0, 0);
        for (key, connection) in self.flows.iter().filter(|(_, c)| c.server == server) {
            if self.doubted.contains(key) {
                return;
            }
            match connection.timer.life(now) {
                Life::Alive => alive += 1,
                Life::Unsure => unsure += 1,
                Life::Dead => {}
            }
        }
        if unsure == 0 {
            return;
        }
        if total == alive {
            self.flows
                .retain(|_, c| c.server != server || c.timer.life(now) == Life::Alive);
        } else if total == alive + unsure {
            for connection in self.flows.values_mut().filter(|c| c.server == server) {
                if connection.timer.life(now) == Life::Unsure {
                    connection.timer.fires = now.saturating_add(Duration::from_nanos(1));
                }
            }
        }
    }

    /// Active and inactive connections of a server; those in doubt count.
    pub(crate) fn count(&self, server: Server, now: Duration) -> (u32, u32) {
        let mut counts = (0, 0);
        for connection in self.flows.values() {
            if connection.server == server && connection.timer.life(now) != Life::Dead {
                match connection.state {
                    Some(state) if state.is_active() => counts.0 += 1,
                    _ => counts.1 += 1,
                }
            }
        }
        counts
    }

    /// The template for a key. Dead ones are not found.
    pub(crate) fn template(
        &self,
        key: &TemplateKey,
        now: Duration,
    ) -> Option<(Life, TemplateId, &Template)> {
        let id = *self.current.get(key)?;
        let template = self.templates.get(&id)?;
        let life = match template.timer.life(now) {
            Life::Alive if template.doubtful.is_none() => Life::Alive,
            _ => Life::Unsure,
        };
        Some((life, id, template))
    }

    /// Sets the key's template aside, if it has one: found void, it only waits for its connections
    /// to go.
    pub(crate) fn set_aside(&mut self, key: &TemplateKey) {
        self.current.remove(key);
    }

    /// A new template for a key.
    pub(crate) fn add_template(
        &mut self,
        key: TemplateKey,
        server: Server,
        timeout: Duration,
        now: Duration,
    ) -> TemplateId {
        self.set_aside(&key);
        self.last_template += 1;
        let id = TemplateId(self.last_template);
        let timer = Timer::set(timeout, now);
        self.templates.insert(
            id,
            Template {
                server,
                timer,
                doubtful: None,
            },
        );
        self.current.insert(key, id);
        id
    }

    /// A flow went to this server although its template may have been gone: there is one now, the
    /// old or a new one. The old one's timer may be the one of a template re-armed.
    pub(crate) fn renew_doubtful(&mut self, id: TemplateId, timeout: Duration, now: Duration) {
        if let Some(template) = self.templates.get_mut(&id) {
            let old = template.timer.timeout;
            let mut timer = Timer::set(timeout.max(old).max(REARMED), now);
            timer.fires = now.saturating_add(timeout.min(old).min(REARMED));
            template.timer = timer;
            template.doubtful = None;
        }
    }

    /// A new connection has come under this template: its timer starts again.
    pub(crate) fn renew(&mut self, id: TemplateId, now: Duration) {
        if let Some(template) = self.templates.get_mut(&id) {
            template.timer = Timer::set(template.timer.timeout, now);
        }
    }

    /// Forgets what has certainly gone by `now`; gives the servers of the templates among it.
    pub(crate) fn advance(&mut self, now: Duration) -> Vec<Server> {
        let mut controlled: HashMap<TemplateId, (Duration, Duration)> = HashMap::new();
        for connection in self.flows.values() {
            if let Some(id) = connection.template {
                let (first, last) = controlled.entry(id).or_default();
                *first = connection.timer.fires.max(*first);
                *last = connection.timer.latest.max(*last);
            }
        }
        let mut gone = Vec::new();
        self.templates.retain(|id, template| {
            let (earliest, latest) = controlled.get(id).copied().unwrap_or_default();
            if template.advance(now, earliest, latest) {
                gone.push(template.server);
                return false;
            }
            true
        });
        self.forget_names();
        self.flows
            .retain(|_, connection| connection.timer.life(now) != Life::Dead);
        gone
    }

    /// Forgets the keys of templates that are gone.
    fn forget_names(&mut self) {
        let templates = &self.templates;
        self.current.retain(|_, id| templates.contains_key(id));
    }
}

impl Template {
    /// Lets the timer fire as often as it is due; the last controlled connection goes between
    /// `earliest` and `latest`. True if the template is certainly gone.
    fn advance(&mut self, now: Duration, earliest: Duration, latest: Duration) -> bool {
        while now >= self.timer.fires && self.doubtful.is_none() {
            let alone = latest <= self.timer.fires;
            let busy = earliest > self.timer.latest;
            if busy {
                self.timer.again(REARMED);
            } else if alone || now < self.timer.latest {
                return alone && now >= self.timer.latest;
            } else {
                // It is gone or re-armed, depending on which of the two timers was the later.
                self.doubtful = Some(self.timer.latest);
            }
        }
        let Some(gone) = &mut self.doubtful else {
            return false;
        };
        // It is re-armed for the last time while it still controls a connection.
        let last = latest.saturating_add(REARMED);
        *gone = last.saturating_add(slack(REARMED)).max(*gone);
        now >= *gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(sec: u64) -> Duration {
        Duration::from_secs(sec)
    }

    fn key() -> FlowKey {
        FlowKey {
            protocol: Protocol::Tcp,
            client: "1.2.3.4:5".parse().unwrap(),
            target: "10.0.0.1:80".parse().unwrap(),
        }
    }

    fn server() -> Server {
        let mut pool = lvs_sched::Pool::new(
            lvs_sched::SchedulerKind::RoundRobin,
            lvs_sched::Settings::default(),
            Duration::ZERO,
        );
        let config = lvs_sched::DestinationConfig::default();
        let id = pool
            .add("192.168.0.1".parse().unwrap(), 80, config)
            .unwrap();
        Server {
            service: ServiceKey::Mark { mark: 1, v6: false },
            id,
        }
    }

    fn opened(template: Option<TemplateId>, connections: &mut Connections) {
        let endpoint = "192.168.0.1:80".parse().unwrap();
        connections.open(key(), server(), endpoint, false, template, at(0));
        connections.packet(&key(), false, "S", at(0), &Timeouts::default());
    }

    #[test]
    fn an_entry_lives_for_its_timeout_and_is_gone_an_eighth_later() {
        let mut connections = Connections::default();
        opened(None, &mut connections);
        for (sec, life) in [
            (0, Life::Alive),
            (59, Life::Alive),
            (60, Life::Unsure),
            (68, Life::Unsure),
            (69, Life::Dead),
        ] {
            assert_eq!(connections.find(&key(), at(sec)).0, life, "{sec}");
        }
    }

    #[test]
    fn a_template_outlives_its_timer_by_60_s_while_it_controls_a_connection() {
        let mut connections = Connections::default();
        let scope = TemplateScope::Mark { mark: 1, v6: false };
        let template = TemplateKey {
            service: scope,
            client: key().client.ip(),
        };
        let id = connections.add_template(template, server(), at(10), at(0));
        opened(Some(id), &mut connections);
        assert_eq!(
            connections.template(&template, at(9)).unwrap().0,
            Life::Alive
        );
        // The connection goes at 60 to 68.8; the template's timer fires at 10 to 12.3, and again at
        // 70 to 81.1.
        assert!(connections.advance(at(11)).is_empty());
        assert_eq!(
            connections.template(&template, at(69)).unwrap().0,
            Life::Alive
        );
        assert!(connections.advance(at(81)).is_empty());
        assert_eq!(
            connections.template(&template, at(81)).unwrap().0,
            Life::Unsure
        );
        assert_eq!(connections.advance(at(82)), [server()]);
        assert!(connections.template(&template, at(82)).is_none());
    }
    #[test]
    fn a_template_that_may_have_been_re_armed_is_gone_in_the_end() {
        let mut connections = Connections::default();
        let template = TemplateKey {
            service: TemplateScope::Mark { mark: 1, v6: false },
            client: key().client.ip(),
        };
        let id = connections.add_template(template, server(), at(60), at(0));
        opened(Some(id), &mut connections);
        // Connection and template both go at 60 to 68.8. If the template's timer came first, it is
        // there for another 60 to 68.8.
        for sec in [80, 137] {
            assert!(connections.advance(at(sec)).is_empty());
            let (life, ..) = connections.template(&template, at(sec)).unwrap();
            assert_eq!(life, Life::Unsure, "{sec}");
        }
        assert_eq!(connections.advance(at(138)), [server()]);
    }
}
