//! Packets: which flow they belong to, and whether the scheduler is asked.

use std::net::SocketAddr;

use lvs_sched::Protocol;

use super::Replay;
use crate::connections::{Connection, FlowKey, Life, Server};
use crate::service::ServiceKey;
use crate::tcp_state::TcpState;
use crate::trace::{Answer, CountRow, Direction, Fault, ForwardName, OpenLine, PacketLine};

/// A flow of the trace.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenFlow {
    key: FlowKey,
    /// Its packets carry the mark of this service.
    mark: Option<ServiceKey>,
    /// The server its packets came to last.
    got: Option<SocketAddr>,
}

/// A packet from a client with what the trace tells of its fate.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClientPacket<'a> {
    pub(super) key: FlowKey,
    pub(super) mark: Option<ServiceKey>,
    pub(super) flags: &'a str,
    pub(super) got: Answer,
    pub(super) fwd: Option<bool>,
    pub(super) chg: &'a [CountRow],
}

/// What becomes of a packet from a client.
#[derive(Debug)]
enum Fate {
    /// It belongs to an entry.
    Entry {
        server: Server,
        endpoint: SocketAddr,
    },
    /// It asks for a new entry.
    Schedule,
    /// Neither.
    Ignored,
    /// It cannot be told which of these.
    Unsure(&'static str),
}

/// Packets.
impl<'a> Replay<'a> {
    pub(super) fn open(&mut self, open: &'a OpenLine) -> Result<(), Fault> {
        let (service, _) = self.service(&open.svc)?;
        let (protocol, address, port) = match service {
            ServiceKey::Address {
                protocol,
                address,
                port,
            } => (Some(protocol), Some(address), Some(port)),
            ServiceKey::Mark { .. } => (None, None, None),
        };
        let protocol = open
            .proto
            .map(Protocol::from)
            .or(protocol)
            .ok_or(Fault::NoTarget)?;
        let address = open.dst.or(address).ok_or(Fault::NoTarget)?;
        let port = open.dport.or(port).ok_or(Fault::NoTarget)?;
        let flow = OpenFlow {
            key: FlowKey {
                protocol,
                client: SocketAddr::new(open.src, open.sport),
                target: SocketAddr::new(address, port),
            },
            mark: matches!(service, ServiceKey::Mark { .. }).then_some(service),
            got: open.got.flatten(),
        };
        if self.flows.insert(open.id, flow).is_some() {
            return Err(Fault::FlowExists(open.id));
        }
        self.client_packet(&ClientPacket {
            key: flow.key,
            mark: flow.mark,
            flags: open.flags.as_deref().unwrap_or("S"),
            got: open.got,
            fwd: None,
            chg: &open.chg,
        })
    }

    pub(super) fn packet(&mut self, packet: &'a PacketLine) -> Result<(), Fault> {
        let flow = self
            .flows
            .get_mut(&packet.id)
            .ok_or(Fault::NoFlow(packet.id))?;
        let flags = packet.flags.as_deref().unwrap_or("A");
        match packet.dir {
            Direction::In => {
                if let Some(got) = packet.got {
                    flow.got = got;
                }
                let flow = *flow;
                self.client_packet(&ClientPacket {
                    key: flow.key,
                    mark: flow.mark,
                    flags,
                    got: packet.got,
                    fwd: packet.fwd,
                    chg: &packet.chg,
                })
            }
            Direction::Out => {
                let flow = *flow;
                self.server_packet(&flow, flags, packet.fwd == Some(true));
                self.take_counts(&packet.chg)
            }
        }
    }

    fn server_packet(&mut self, flow: &OpenFlow, flags: &str, passed: bool) {
        let (life, entry) = self.connections.find(&flow.key, self.now);
        let entry = entry.filter(|entry| Some(entry.endpoint) == flow.got);
        let one_way = entry.is_some_and(|entry| entry.one_way);
        let removed = entry.is_some_and(|entry| !self.is_there(&entry.server));
        match (passed, entry.is_some() && life != Life::Dead) {
            (true, true) => {
                self.connections
                    .packet(&flow.key, true, flags, self.now, &self.timeouts);
                if removed {
                    self.recount_removed();
                }
            }
            (true, false) => self.connections.doubt(&flow.key),
            (false, true) if life == Life::Alive && !one_way => self.connections.doubt(&flow.key),
            (false, _) => {}
        }
    }

    fn client_packet(&mut self, packet: &ClientPacket<'a>) -> Result<(), Fault> {
        match self.fate(packet) {
            Fate::Entry { server, endpoint } => {
                self.pass_to_entry(packet, server, endpoint);
                self.take_counts(packet.chg)
            }
            Fate::Schedule => self.schedule(packet),
            Fate::Ignored => {
                if packet.fwd == Some(true) || matches!(packet.got, Some(Some(_))) {
                    self.connections.doubt(&packet.key);
                }
                self.take_counts(packet.chg)
            }
            Fate::Unsure(reason) => {
                self.connections.doubt(&packet.key);
                if let Some(service) = self.lookup(packet) {
                    self.skip(Some(service), reason.to_owned());
                }
                self.take_counts(packet.chg)
            }
        }
    }

    fn fate(&self, packet: &ClientPacket<'_>) -> Fate {
        let tcp = packet.key.protocol == Protocol::Tcp;
        let syn = packet.flags.contains('S');
        let opens = !tcp || (!packet.flags.contains('R') && (syn || self.sysctls.sloppy_tcp));
        let (life, entry) = self.connections.find(&packet.key, self.now);
        match (life, entry) {
            (Life::Unsure, Some(entry)) if !opens => Fate::Entry {
                server: entry.server,
                endpoint: entry.endpoint,
            },
            (Life::Unsure, entry) if opens => self.fate_by_outcome(packet, entry),
            (Life::Alive, Some(entry)) => {
                let weight = self
                    .services
                    .get(&entry.server.service)
                    .and_then(|service| service.pool.destination(entry.server.id))
                    .map(|destination| destination.weight);
                let quiesced = self.sysctls.expire_nodest_conn && weight == Some(0);
                let controlled = entry.template.is_some();
                if tcp && syn && quiesced && controlled {
                    Fate::Unsure(
                        "a persistent connection to a quiesced server with expire_nodest_conn",
                    )
                } else if tcp
                    && syn
                    && !controlled
                    && (quiesced || self.is_reusable(entry.state, entry.one_way))
                {
                    Fate::Schedule
                } else {
                    Fate::Entry {
                        server: entry.server,
                        endpoint: entry.endpoint,
                    }
                }
            }
            _ if opens => Fate::Schedule,
            _ => Fate::Ignored,
        }
    }

    /// The fate of a packet that would open a connection, whose entry may or may not live still:
    /// what the kernel told of it may show which.
    fn fate_by_outcome(&self, packet: &ClientPacket<'_>, entry: Option<&Connection>) -> Fate {
        let unsure = Fate::Unsure(
            "whether a connection of this client port still exists cannot be told from the trace",
        );
        if self.risen(packet).is_some() {
            return Fate::Schedule;
        }
        let Some(entry) = entry.filter(|_| !self.connections.is_doubted(&packet.key)) else {
            return unsure;
        };
        let syn = packet.key.protocol == Protocol::Tcp && packet.flags.contains('S');
        let reusable = syn && self.is_reusable(entry.state, entry.one_way);
        if reusable && entry.template.is_none() {
            // Scheduled anew if it lives, and scheduled if it does not.
            return Fate::Schedule;
        }
        let passed = packet.fwd == Some(true) || packet.got.flatten() == Some(entry.endpoint);
        let counts = |key| {
            self.services
                .get(&key)
                .is_some_and(|s| !s.options.one_packet)
        };
        if passed && self.lookup(packet).is_none_or(counts) {
            // A new connection would have shown in the counts.
            Fate::Entry {
                server: entry.server,
                endpoint: entry.endpoint,
            }
        } else {
            unsure
        }
    }

    /// May a SYN on an entry in this state be scheduled anew.
    fn is_reusable(&self, state: Option<TcpState>, one_way: bool) -> bool {
        match state {
            Some(TcpState::TimeWait | TcpState::Close) => self.sysctls.conn_reuse_mode != 0,
            Some(TcpState::FinWait) => one_way && self.sysctls.conn_reuse_mode & 2 != 0,
            _ => false,
        }
    }

    fn pass_to_entry(&mut self, packet: &ClientPacket<'_>, server: Server, endpoint: SocketAddr) {
        let there = self.is_there(&server);
        // What goes into a tunnel is not seen again.
        let passed = match packet.fwd {
            _ if self.forwarding(server) == ForwardName::Tun => there,
            Some(passed) => passed,
            None => packet.got.flatten().is_some(),
        };
        if passed {
            self.connections
                .packet(&packet.key, false, packet.flags, self.now, &self.timeouts);
        }
        let elsewhere = packet.got.flatten().is_some_and(|got| got != endpoint);
        if passed != there || elsewhere {
            self.connections.doubt(&packet.key);
            if packet.got.is_some() {
                let reason = "belongs to a known connection, yet the kernel sent it elsewhere";
                self.skip(Some(server.service), reason.to_owned());
            }
        }
    }

    /// Is the server in its service.
    pub(super) fn is_there(&self, server: &Server) -> bool {
        let service = self.services.get(&server.service);
        service.is_some_and(|service| service.exists && service.pool.is_available(server.id))
    }

    /// The service that a packet asking for a new entry goes to.
    pub(super) fn lookup(&self, packet: &ClientPacket<'_>) -> Option<ServiceKey> {
        const FTP: u16 = 21;
        const FTP_DATA: u16 = 20;
        let exists = |key: &ServiceKey| self.services.get(key).is_some_and(|s| s.exists);
        let of_all_ports = |key: ServiceKey| {
            // Only a persistent service takes packets to another port than its own.
            self.services.get(&key)?.options.persistence.map(|_| key)
        };
        if let Some(mark) = packet.mark.filter(exists) {
            return Some(mark);
        }
        let FlowKey {
            protocol, target, ..
        } = packet.key;
        let with_port = |port| {
            Some(ServiceKey::Address {
                protocol,
                address: target.ip(),
                port,
            })
            .filter(exists)
        };
        if let Some(own) = with_port(target.port()) {
            return Some(own);
        }
        // An FTP service comes in for its data connections before one of all ports does.
        if protocol == Protocol::Tcp
            && (target.port() == FTP_DATA || target.port() > 1023)
            && let Some(ftp) = with_port(FTP)
        {
            return of_all_ports(ftp);
        }
        with_port(0).and_then(of_all_ports)
    }
}
