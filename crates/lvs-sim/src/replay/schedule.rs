//! Packets that ask for a new connection: the choice, compared with the kernel's, and its binding.

use std::net::SocketAddr;
use std::time::Duration;

use lvs_sched::{Destination, DestinationId, Flow, Protocol, SchedulerKind};

use super::Replay;
use super::packets::ClientPacket;
use crate::connections::{Life, Server, TemplateId, TemplateKey};
use crate::report::Disagreement;
use crate::service::ServiceKey;
use crate::trace::{Answer, CountRow, Fault, ForwardName};

/// How a choice in a persistent service came about.
#[derive(Clone, Copy, Debug)]
enum TemplateUse {
    Found(TemplateId),
    /// The one found may have been gone, and there is a new one to the same server.
    Doubtful(TemplateId, Duration),
    New(TemplateKey, Duration),
}

impl<'a> Replay<'a> {
    pub(super) fn schedule(&mut self, packet: &ClientPacket<'a>) -> Result<(), Fault> {
        let Some(key) = self.lookup(packet) else {
            if packet.got.flatten().is_some() || packet.fwd == Some(true) {
                self.connections.doubt(&packet.key);
            }
            return self.take_counts(packet.chg);
        };
        let told = self.told_choice(packet, key);
        let (template, decision) = self.decide(packet, key, told);
        let Some(service) = self.services.get(&key) else {
            return Ok(());
        };
        let choice = match decision {
            Ok(choice) => {
                let chosen = choice.and_then(|id| service.pool.destination(id));
                if let Some(kernel) = told {
                    self.report.compared += 1;
                    let replay = chosen.map(|d| service.endpoint(&key, d, packet.key.target));
                    let unseen = chosen.is_some_and(|d| self.is_unseen(packet, &key, d));
                    if kernel != replay && !(unseen && kernel.is_none()) {
                        let what = Disagreement::Choice { kernel, replay };
                        if let Some(line) = self.trace.lines.get(self.index) {
                            self.differs(line, key, what);
                        }
                        return Ok(());
                    }
                }
                choice
            }
            Err(reason) => {
                // The kernel's choice is taken over, so that what follows from it is right.
                let chosen = told.flatten().and_then(|endpoint| {
                    let target = packet.key.target;
                    let mut list = service.pool.destinations().iter();
                    list.find(|d| service.endpoint(&key, d, target) == endpoint)
                        .map(|d| d.id)
                });
                self.skip(key, reason);
                chosen
            }
        };
        match choice {
            Some(id) => self.bind(packet, key, id, template),
            None => {
                // An entry that was to be replaced is gone all the same.
                self.connections.drop_flow(&packet.key);
                self.take_counts(packet.chg)
            }
        }
    }

    /// The server for a packet that asks for a new entry: by its template, else by the scheduler.
    /// An error is the reason why it cannot be told.
    fn decide(
        &mut self,
        packet: &ClientPacket<'_>,
        key: ServiceKey,
        told: Answer,
    ) -> (Option<TemplateUse>, Result<Option<DestinationId>, String>) {
        let now = self.now;
        let Some(service) = self.services.get_mut(&key) else {
            return (None, Ok(None));
        };
        let mut template = None;
        if let Some(timeout) = service.options.persistence {
            let name = service.template_key(&key, &packet.key);
            if let Some((life, found, entry)) = self.connections.template(&name, now) {
                let id = entry.server.id;
                let server = service.pool.destination(id);
                let quiesced =
                    self.sysctls.expire_quiescent_template && server.is_some_and(|d| d.weight == 0);
                if !service.pool.is_available(id) || quiesced {
                    self.connections.set_aside(&name);
                } else if life == Life::Alive {
                    return (Some(TemplateUse::Found(found)), Ok(Some(id)));
                } else if told.is_none_or(|told| {
                    told == server.map(|d| service.endpoint(&key, d, packet.key.target))
                }) {
                    let reason = "whether the persistence template still exists cannot be told from the trace";
                    return (
                        Some(TemplateUse::Doubtful(found, timeout)),
                        Err(reason.to_owned()),
                    );
                }
                // Otherwise the flow did not go where the template leads, so there was none.
            }
            template = Some(TemplateUse::New(name, timeout));
        }
        if let Some(name) = self.sysctls.undecidable() {
            return (
                template,
                Err(format!(
                    "decisions under this value of {name} are not replayed"
                )),
            );
        }
        if service.pool.kind() == SchedulerKind::PowerOfTwo {
            return (
                template,
                Err("the kernel's random numbers are not in the trace".to_owned()),
            );
        }
        if let Some(reason) = &service.lost {
            return (template, Err(reason.clone()));
        }
        let flow = Flow {
            src: packet.key.client.ip(),
            src_port: packet.key.client.port(),
            dst: packet.key.target.ip(),
            dst_port: packet.key.target.port(),
            protocol: packet.key.protocol,
            now,
        };
        (template, Ok(service.pool.pick(&flow)))
    }

    /// Would a recording show this choice as no choice: a packet that was not rewritten, of a
    /// connection that was gone before it could be looked up.
    fn is_unseen(&self, packet: &ClientPacket<'_>, key: &ServiceKey, chosen: &Destination) -> bool {
        let forward = self.forwarding.get(&(*key, chosen.socket_addr()));
        forward.is_some_and(|method| *method != ForwardName::Masq)
            && packet.key.protocol == Protocol::Udp
            && self
                .services
                .get(key)
                .is_some_and(|service| service.options.one_packet)
    }

    /// The kernel's choice, if the trace tells it: directly, or by the count that has risen.
    fn told_choice(
        &self,
        packet: &ClientPacket<'_>,
        key: ServiceKey,
    ) -> Option<Option<SocketAddr>> {
        if let Some(Some(_)) = packet.got {
            return packet.got;
        }
        // A packet that went into a tunnel is not seen, but its connection is counted.
        let risen = self.risen(packet).filter(|(service, _)| *service == key);
        if let Some((_, id)) = risen {
            let service = self.services.get(&key)?;
            let destination = service.pool.destination(id)?;
            return Some(Some(service.endpoint(&key, destination, packet.key.target)));
        }
        if packet.fwd == Some(false) {
            Some(None)
        } else {
            packet.got
        }
    }

    /// The destination that has one connection more after this packet.
    pub(super) fn risen(&self, packet: &ClientPacket<'_>) -> Option<(ServiceKey, DestinationId)> {
        packet
            .chg
            .iter()
            .find_map(|CountRow(name, dest, active, inactive)| {
                let key = *self.names.get(name)?;
                let pool = &self.services.get(&key)?.pool;
                let destination = pool.destination(pool.find(dest.ip(), dest.port())?)?;
                let total = u64::from(*active) + u64::from(*inactive);
                (total > destination.total_conns()).then_some((key, destination.id))
            })
    }

    /// Binds a new connection and takes over the counts told after it.
    fn bind(
        &mut self,
        packet: &ClientPacket<'_>,
        key: ServiceKey,
        id: DestinationId,
        template: Option<TemplateUse>,
    ) -> Result<(), Fault> {
        let Some(service) = self.services.get_mut(&key) else {
            return Ok(());
        };
        let Some(destination) = service.pool.destination(id).cloned() else {
            return Ok(());
        };
        let endpoint = service.endpoint(&key, &destination, packet.key.target);
        let server = Server { service: key, id };
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
                service.pool.bind_template(id);
                Some(
                    self.connections
                        .add_template(name, server, timeout, self.now),
                )
            }
        };
        service.pool.bind(id);
        if service.options.one_packet && packet.key.protocol == Protocol::Udp {
            service.pool.unbind(id);
        } else {
            let forward = self.forwarding.get(&(key, destination.socket_addr()));
            let one_way = forward.is_some_and(|method| *method != ForwardName::Masq);
            self.connections
                .open(packet.key, server, endpoint, one_way, template, self.now);
            self.connections
                .packet(&packet.key, false, packet.flags, self.now, &self.timeouts);
        }
        let told = |row: &CountRow| row.0 == service.name && row.1 == destination.socket_addr();
        if !packet.chg.iter().any(told) {
            // What is not told has not changed: a one-packet flow, or one that replaced another of
            // the same server.
            service
                .pool
                .restate(id, destination.active_conns, destination.inactive_conns);
        }
        self.take_counts(packet.chg)
    }
}
