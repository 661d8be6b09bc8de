//! Packets that ask for a new connection: the choice, compared with the kernel's, and its binding.

use std::net::SocketAddr;
use std::time::Duration;

use lvs_sched::{Destination, Flow, Protocol, SchedulerKind};

use super::Replay;
use super::packets::ClientPacket;
use crate::connections::{Life, Server, TemplateId, TemplateKey};
use crate::report::Disagreement;
use crate::service::{Service, ServiceKey};
use crate::trace::{Answer, CountRow, Fault, ForwardName};

/// How a choice in a persistent service came about.
#[derive(Clone, Copy, Debug)]
enum TemplateUse {
    Found(TemplateId),
    /// The one found may have been gone, and there is a new one to the same server.
    Doubtful(TemplateId, Duration),
    New(TemplateKey, Duration),
}

/// How the server for a new connection was found.
#[derive(Debug)]
struct Decision {
    /// In a persistent service, the template of the flow.
    template: Option<TemplateUse>,
    /// The server, `None` if the flow is refused; or why that cannot be told.
    server: Result<Option<Server>, String>,
}

impl<'a> Replay<'a> {
    pub(super) fn schedule(&mut self, packet: &ClientPacket<'a>) -> Result<(), Fault> {
        let Some(key) = self.lookup(packet) else {
            if packet.got.flatten().is_some() || packet.fwd == Some(true) {
                self.connections.doubt(&packet.key);
                self.skip(
                    None,
                    "served by the kernel, yet no service is known for it".to_owned(),
                );
            }
            return self.take_counts(packet.chg);
        };
        let told = self.told_choice(packet, key);
        let Decision { template, server } = self.decide(packet, key, told);
        let server = match server {
            Ok(server) => {
                if let Some(kernel) = told {
                    self.report.compared += 1;
                    let replay = server.and_then(|s| self.endpoint(key, s, packet.key.target));
                    let unseen = server.is_some_and(|server| self.is_unseen(packet, key, server));
                    if kernel != replay && !(unseen && kernel.is_none()) {
                        let what = Disagreement::Choice { kernel, replay };
                        if let Some(line) = self.trace.lines.get(self.index) {
                            self.differs(line, key, what);
                        }
                        return Ok(());
                    }
                }
                server
            }
            Err(reason) => {
                self.skip(Some(key), reason);
                // The kernel's choice is taken over, so that what follows from it is right.
                told.flatten()
                    .and_then(|endpoint| self.server_at(packet, key, endpoint))
            }
        };
        match server {
            Some(server) => self.bind(packet, key, server, template),
            None => {
                // An entry that was to be replaced is gone all the same.
                self.connections.drop_flow(&packet.key);
                self.take_counts(packet.chg)
            }
        }
    }

    /// The server for a packet that asks for a new entry: by its template, else by the scheduler.
    fn decide(&mut self, packet: &ClientPacket<'_>, key: ServiceKey, told: Answer) -> Decision {
        let mut template = None;
        if let Some(service) = self.services.get(&key)
            && let Some(timeout) = service.options.persistence
        {
            let name = service.template_key(&key, &packet.key);
            if let Some((life, found, entry)) = self.connections.template(&name, self.now) {
                // Services of one address share the templates that are for no port: this may be
                // another one's server.
                let server = entry.server;
                let weight = self.destination(server).map(|d| d.weight);
                let quiesced = self.sysctls.expire_quiescent_template && weight == Some(0);
                let leads_to = self.endpoint(key, server, packet.key.target);
                if !self.is_there(&server) || quiesced {
                    self.connections.set_aside(&name);
                } else if life == Life::Alive {
                    let template = Some(TemplateUse::Found(found));
                    return Decision {
                        template,
                        server: Ok(Some(server)),
                    };
                } else if told.is_none_or(|told| told == leads_to) {
                    let template = Some(TemplateUse::Doubtful(found, timeout));
                    let reason = "whether the persistence template still exists cannot be told from the trace";
                    return Decision {
                        template,
                        server: Err(reason.to_owned()),
                    };
                }
                // Otherwise the flow did not go where the template leads, so there was none.
            }
            template = Some(TemplateUse::New(name, timeout));
        }
        let server = self.ask_scheduler(packet, key);
        Decision { template, server }
    }

    fn ask_scheduler(
        &mut self,
        packet: &ClientPacket<'_>,
        key: ServiceKey,
    ) -> Result<Option<Server>, String> {
        let now = self.now;
        if let Some(name) = self.sysctls.undecidable() {
            return Err(format!(
                "decisions under this value of {name} are not replayed"
            ));
        }
        let Some(service) = self.services.get_mut(&key) else {
            return Ok(None);
        };
        if service.pool.kind() == SchedulerKind::PowerOfTwo {
            return Err("the kernel's random numbers are not in the trace".to_owned());
        }
        if let Some(reason) = &service.lost {
            return Err(reason.clone());
        }
        let flow = Flow {
            src: packet.key.client.ip(),
            src_port: packet.key.client.port(),
            dst: packet.key.target.ip(),
            dst_port: packet.key.target.port(),
            protocol: packet.key.protocol,
            now,
        };
        Ok(service
            .pool
            .pick(&flow)
            .map(|id| Server { service: key, id }))
    }

    fn destination(&self, server: Server) -> Option<&Destination> {
        self.services
            .get(&server.service)?
            .pool
            .destination(server.id)
    }

    /// The address and port on which a server gets a flow of the service `key`.
    fn endpoint(&self, key: ServiceKey, server: Server, target: SocketAddr) -> Option<SocketAddr> {
        let destination = self.destination(server)?;
        Some(self.services.get(&key)?.endpoint(&key, destination, target))
    }

    /// The server of a service that gets a flow on `endpoint`.
    fn server_at(
        &self,
        packet: &ClientPacket<'_>,
        key: ServiceKey,
        endpoint: SocketAddr,
    ) -> Option<Server> {
        let service = self.services.get(&key)?;
        let target = packet.key.target;
        let mut list = service.pool.destinations().iter();
        let found = list.find(|d| service.endpoint(&key, d, target) == endpoint)?;
        Some(Server {
            service: key,
            id: found.id,
        })
    }

    pub(super) fn forwarding(&self, server: Server) -> ForwardName {
        let destination = self.destination(server);
        destination
            .and_then(|d| self.forwarding.get(&(server.service, d.socket_addr())))
            .copied()
            .unwrap_or_default()
    }

    /// Would a recording show this choice as no choice: a packet that was not rewritten, of a
    /// connection that was gone before it could be looked up.
    fn is_unseen(&self, packet: &ClientPacket<'_>, key: ServiceKey, server: Server) -> bool {
        self.forwarding(server) != ForwardName::Masq
            && packet.key.protocol == Protocol::Udp
            && self
                .services
                .get(&key)
                .is_some_and(|service| service.options.one_packet)
    }

    /// The kernel's choice, if the trace tells it: directly, or by the count that has risen.
    fn told_choice(&self, packet: &ClientPacket<'_>, key: ServiceKey) -> Answer {
        if let Some(Some(_)) = packet.got {
            return packet.got;
        }
        // A packet that went into a tunnel is not seen, but its connection is counted.
        if let Some(server) = self.risen(packet) {
            return Some(self.endpoint(key, server, packet.key.target));
        }
        if packet.fwd == Some(false) {
            Some(None)
        } else {
            packet.got
        }
    }

    /// The server that has one connection more after this packet.
    pub(super) fn risen(&self, packet: &ClientPacket<'_>) -> Option<Server> {
        packet
            .chg
            .iter()
            .find_map(|CountRow(name, dest, active, inactive)| {
                let service = *self.names.get(name)?;
                let pool = &self.services.get(&service)?.pool;
                let destination = pool.destination(pool.find(dest.ip(), dest.port())?)?;
                let total = u64::from(*active) + u64::from(*inactive);
                let id = destination.id;
                (total > destination.total_conns()).then_some(Server { service, id })
            })
    }

    /// Binds a new connection and takes over the counts told after it.
    fn bind(
        &mut self,
        packet: &ClientPacket<'_>,
        key: ServiceKey,
        server: Server,
        template: Option<TemplateUse>,
    ) -> Result<(), Fault> {
        let one_packet = packet.key.protocol == Protocol::Udp
            && self
                .services
                .get(&key)
                .is_some_and(|s| s.options.one_packet);
        let one_way = self.forwarding(server) != ForwardName::Masq;
        let endpoint = self.endpoint(key, server, packet.key.target);
        let Some(Service { pool, name, .. }) = self.services.get_mut(&server.service) else {
            return Ok(());
        };
        let Some((before, endpoint)) = pool.destination(server.id).cloned().zip(endpoint) else {
            return Ok(());
        };
        let template = match template {
            None => None,
            Some(TemplateUse::Found(found)) => {
                self.connections.renew(found, self.now);
                Some(found)
            }
            Some(TemplateUse::Doubtful(found, timeout)) => {
                self.connections.renew_doubtful(found, timeout, self.now);
                Some(found)
            }
            Some(TemplateUse::New(name, timeout)) => {
                pool.bind_template(server.id);
                Some(
                    self.connections
                        .add_template(name, server, timeout, self.now),
                )
            }
        };
        pool.bind(server.id);
        let told = |row: &CountRow| row.0 == *name && row.1 == before.socket_addr();
        let is_told = packet.chg.iter().any(told);
        if one_packet {
            pool.unbind(server.id);
        }
        if !is_told {
            // What is not told has not changed: a one-packet flow, or one that replaced another of
            // the same server.
            pool.restate(server.id, before.active_conns, before.inactive_conns);
        }
        if !one_packet {
            self.connections
                .open(packet.key, server, endpoint, one_way, template, self.now);
            self.connections
                .packet(&packet.key, false, packet.flags, self.now, &self.timeouts);
        }
        self.take_counts(packet.chg)
    }
}
