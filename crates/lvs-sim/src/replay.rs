//! Replays a trace through the schedulers: every flow that the kernel scheduled is scheduled again,
//! and the choices are compared.
//!
//! # Design
//!
//! *Scheduler alone*: connection counts are taken from the trace, as told after each event, so one
//! wrong choice cannot hide behind another. The overloaded marks are not told; they follow from the
//! changes of the totals by the rules of [`lvs_sched::overload`]. Which packets go to the scheduler
//! at all depends on the connection entries and persistence templates alive at that time; those are
//! followed closely enough to know, and where they cannot be known the decision is reported as
//! [skipped](Report::skipped), with the reason, together with all later ones that its effect on the
//! scheduler's state makes undecidable.
//!
//! The replay ends at the first difference. What comes after one is caused by it, more often than
//! not, and says little.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use lvs_sched::{DestinationConfig, DestinationId, Flow, Pool, Protocol, SchedulerKind, Settings};

use crate::connections::{Connections, FlowKey, Life, Server, TemplateKey};
use crate::report::{DestinationState, Difference, Disagreement, Report, Skipped};
use crate::service::{Service, ServiceKey, ServiceOptions};
use crate::sysctl::Sysctls;
use crate::tcp_state::{TcpState, Timeouts};
use crate::trace::{
    Answer, CountRow, DestinationLine, Direction, Event, Fault, ForwardName, Line, OpenLine,
    PacketLine, ServiceLine, TableRow, Tables, Trace, TraceError,
};

/// How many lines before a difference are shown with it.
const LINES_BEFORE: usize = 8;
/// The longest connection timeout the kernel takes, in seconds: the range of a signed 32-bit number
/// of ticks, at 100 a second.
const MAX_TIMEOUT: u32 = i32::MAX as u32 / 100;

/// Replays a trace.
///
/// # Errors
///
/// [`TraceError::Malformed`] if the events do not fit together.
pub fn replay(trace: &Trace) -> Result<Report, TraceError> {
    let mut replay = Replay::new(trace);
    for (index, line) in trace.lines.iter().enumerate() {
        replay
            .event(index, line)
            .map_err(|fault| TraceError::Malformed {
                path: trace.path.clone(),
                line: line.number,
                fault,
            })?;
        if replay.report.difference.is_some() {
            break;
        }
    }
    Ok(replay.report)
}

#[derive(Debug)]
struct Replay<'a> {
    trace: &'a Trace,
    /// Index of the present line.
    index: usize,
    /// Index of the last configuration line of the present run of them.
    group_end: usize,
    now: Duration,
    sysctls: Sysctls,
    timeouts: Timeouts,
    names: BTreeMap<String, ServiceKey>,
    services: HashMap<ServiceKey, Service>,
    forwarding: HashMap<(ServiceKey, SocketAddr), ForwardName>,
    flows: HashMap<u64, OpenFlow>,
    connections: Connections,
    report: Report,
}

/// A flow of the trace.
#[derive(Clone, Copy, Debug)]
struct OpenFlow {
    key: FlowKey,
    /// Its packets carry the mark of this service.
    mark: Option<ServiceKey>,
    /// The server its packets came to last.
    got: Option<SocketAddr>,
}

/// A packet from a client with what the trace tells of its fate.
#[derive(Clone, Copy, Debug)]
struct ClientPacket<'a> {
    key: FlowKey,
    mark: Option<ServiceKey>,
    flags: &'a str,
    got: Answer,
    fwd: Option<bool>,
    chg: &'a [CountRow],
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

/// The answer to a packet that asks for a new entry.
#[derive(Debug)]
enum Choice {
    Made {
        service: ServiceKey,
        id: Option<DestinationId>,
        template: Option<TemplateUse>,
    },
    /// There is no service for it.
    NoService,
    Undecidable {
        service: ServiceKey,
        reason: String,
    },
}

/// How a choice in a persistent service came about.
#[derive(Clone, Copy, Debug)]
enum TemplateUse {
    Found(crate::connections::TemplateId),
    New(TemplateKey, Duration),
}

impl<'a> Replay<'a> {
    fn new(trace: &'a Trace) -> Self {
        let header = &trace.header;
        let report = Report {
            name: header.name.clone(),
            group: header.group.clone(),
            kernel: header.kernel.clone(),
            compared: 0,
            tables: 0,
            skipped: Vec::new(),
            difference: None,
        };
        Self {
            trace,
            index: 0,
            group_end: 0,
            now: Duration::ZERO,
            sysctls: Sysctls::default(),
            timeouts: Timeouts::default(),
            names: BTreeMap::new(),
            services: HashMap::new(),
            forwarding: HashMap::new(),
            flows: HashMap::new(),
            connections: Connections::default(),
            report,
        }
    }

    fn event(&mut self, index: usize, line: &'a Line) -> Result<(), Fault> {
        self.index = index;
        match &line.event {
            Event::SvcAdd(line) => self.add_service(line)?,
            Event::SvcEdit(line) => self.edit_service(line)?,
            Event::SvcDel { svc, .. } => self.delete_service(svc)?,
            Event::DestAdd(line) => self.add_destination(line)?,
            Event::DestEdit(line) => self.edit_destination(line)?,
            Event::DestDel { svc, dest, .. } => {
                let (_, service) = self.service(svc)?;
                service.pool.remove(dest.ip(), dest.port())?;
            }
            Event::Sysctl { name, value, .. } => self.set_sysctl(name, value)?,
            Event::Timeouts {
                tcp, tcpfin, udp, ..
            } => self.set_timeouts(*tcp, *tcpfin, *udp),
            Event::Open(open) => self.open(open)?,
            Event::Pkt(packet) => self.packet(packet)?,
            Event::Wait { sec, chg } => self.wait(*sec, chg)?,
            Event::Conns {} | Event::Note {} | Event::Trace(_) => {}
        }
        if line.event.is_configuration() && index >= self.group_end() {
            self.drop_connections_of_removed();
        }
        match line.event.tables() {
            Some(tables) => self.compare_tables(line, tables),
            None => Ok(()),
        }
    }

    fn service(&mut self, name: &str) -> Result<(ServiceKey, &mut Service), Fault> {
        let no_service = || Fault::NoService(name.to_owned());
        let key = *self.names.get(name).ok_or_else(no_service)?;
        let service = self.services.get_mut(&key).ok_or_else(no_service)?;
        Ok((key, service))
    }

    /// Index of the last line of the run of configuration lines that the present line stands in.
    fn group_end(&mut self) -> usize {
        if self.index > self.group_end || self.index == 0 {
            let rest = self.trace.lines.iter().skip(self.index);
            let length = rest
                .take_while(|line| line.event.is_configuration())
                .count();
            self.group_end = self.index + length.saturating_sub(1);
        }
        self.group_end
    }

    fn settings(&self, options: &ServiceOptions) -> Settings {
        Settings {
            flags: options.flags,
            lblc_expiration: self.sysctls.lblc_expiration,
            lblcr_expiration: self.sysctls.lblcr_expiration,
            ..Settings::default()
        }
    }
}

/// Configuration.
impl Replay<'_> {
    fn add_service(&mut self, line: &ServiceLine) -> Result<(), Fault> {
        let key = ServiceKey::from_line(line)?;
        let options = ServiceOptions::from_line(line, &key)?;
        let kind: SchedulerKind = line.sched.parse()?;
        let taken = self
            .services
            .get(&key)
            .is_some_and(|service| service.exists);
        if taken || self.names.contains_key(&line.svc) {
            return Err(Fault::ServiceExists(line.svc.clone()));
        }
        let settings = self.settings(&options);
        let now = self.now;
        let service = self.services.entry(key).or_insert_with(|| Service {
            name: String::new(),
            exists: false,
            pool: Pool::new(kind, settings, now),
            options,
            lost: None,
        });
        service.name.clone_from(&line.svc);
        service.exists = true;
        service.options = options;
        service.lost = None;
        service.pool.set_settings(settings);
        service.pool.restart(kind, now);
        self.names.insert(line.svc.clone(), key);
        Ok(())
    }

    fn edit_service(&mut self, line: &ServiceLine) -> Result<(), Fault> {
        let (key, _) = self.service(&line.svc)?;
        let options = ServiceOptions::from_line(line, &key)?;
        let kind: SchedulerKind = line.sched.parse()?;
        let settings = self.settings(&options);
        let now = self.now;
        let (_, service) = self.service(&line.svc)?;
        service.options = options;
        service.pool.set_settings(settings);
        if kind != service.pool.kind() {
            service.lost = None;
            service.pool.set_scheduler(kind, now);
        }
        Ok(())
    }

    fn delete_service(&mut self, name: &str) -> Result<(), Fault> {
        let (_, service) = self.service(name)?;
        service.exists = false;
        while let Some(first) = service.pool.destinations().first() {
            let (address, port) = (first.address, first.port);
            service.pool.remove(address, port)?;
        }
        self.names.remove(name);
        Ok(())
    }

    fn add_destination(&mut self, line: &DestinationLine) -> Result<(), Fault> {
        let dest = line.dest;
        // One that returns has the counts told at the end of this run of configuration lines: what
        // has gone while it was away is looked at under its old thresholds.
        let end = self.group_end();
        let tables = self
            .trace
            .lines
            .get(end)
            .and_then(|line| line.event.tables());
        let told = tables
            .and_then(|tables| tables.get(&line.svc))
            .and_then(|rows| rows.iter().find(|row| row.0 == dest))
            .copied();
        let (key, service) = self.service(&line.svc)?;
        let returning = service
            .pool
            .removed()
            .iter()
            .find(|d| d.socket_addr() == dest);
        if let (Some(returning), Some(TableRow(_, _, active, inactive))) = (returning, told) {
            service.pool.restate(returning.id, active, inactive);
        }
        service.pool.add(dest.ip(), dest.port(), config(line))?;
        self.forwarding.insert((key, dest), line.fwd);
        Ok(())
    }

    fn edit_destination(&mut self, line: &DestinationLine) -> Result<(), Fault> {
        let (key, service) = self.service(&line.svc)?;
        service
            .pool
            .edit(line.dest.ip(), line.dest.port(), config(line))?;
        self.forwarding.insert((key, line.dest), line.fwd);
        Ok(())
    }

    fn set_sysctl(&mut self, name: &str, value: &serde_json::Value) -> Result<(), Fault> {
        self.sysctls.set(name, value)?;
        let expirations = (self.sysctls.lblc_expiration, self.sysctls.lblcr_expiration);
        for service in self.services.values_mut() {
            let mut settings = *service.pool.settings();
            (settings.lblc_expiration, settings.lblcr_expiration) = expirations;
            service.pool.set_settings(settings);
        }
        Ok(())
    }

    fn set_timeouts(&mut self, tcp: u32, tcpfin: u32, udp: u32) {
        let set = |timeout: &mut Duration, seconds: u32| {
            if seconds != 0 {
                *timeout = Duration::from_secs(seconds.min(MAX_TIMEOUT).into());
            }
        };
        set(&mut self.timeouts.established, tcp);
        set(&mut self.timeouts.fin_wait, tcpfin);
        set(&mut self.timeouts.udp, udp);
    }

    /// With `expire_nodest_conn` the connections of removed servers go soon after the removal.
    fn drop_connections_of_removed(&mut self) {
        if self.sysctls.expire_nodest_conn {
            let services = &self.services;
            self.connections.drop_of(|server| {
                services
                    .get(&server.service)
                    .is_none_or(|s| !s.pool.is_available(server.id))
            });
            self.recount_removed();
        }
    }

    fn compare_tables(&mut self, line: &Line, tables: &Tables) -> Result<(), Fault> {
        for (name, rows) in tables {
            let (_, service) = self.service(name)?;
            let replay: Vec<_> = service
                .pool
                .destinations()
                .iter()
                .map(|d| (d.socket_addr(), d.weight))
                .collect();
            let kernel: Vec<_> = rows.iter().map(|row| (row.0, row.1)).collect();
            if replay != kernel {
                let (key, _) = self.service(name)?;
                self.differs(line, key, Disagreement::Table { kernel, replay });
                return Ok(());
            }
            for TableRow(dest, _, active, inactive) in rows {
                if let Some(id) = service.pool.find(dest.ip(), dest.port()) {
                    service.pool.restate(id, *active, *inactive);
                }
            }
        }
        self.report.tables += 1;
        Ok(())
    }
}

/// Time.
impl Replay<'_> {
    fn wait(&mut self, sec: f64, chg: &[CountRow]) -> Result<(), Fault> {
        let waited = Duration::try_from_secs_f64(sec).map_err(|_| Fault::Wait(sec))?;
        self.now = self.now.checked_add(waited).ok_or(Fault::TimeOverflow)?;
        for service in self.services.values_mut().filter(|service| service.exists) {
            // The housekeeping of a long wait, run by run.
            while let Some(due) = service.pool.poll_timeout().filter(|due| *due <= self.now) {
                service.pool.handle_timeout(due);
            }
        }
        let templates_gone = self.connections.advance(self.now);
        self.take_counts(chg)?;
        // After the counts: whatever went last during the wait saw the lowest total.
        for server in templates_gone {
            if let Some(service) = self.services.get_mut(&server.service) {
                service.pool.unbind_template(server.id);
            }
        }
        self.recount_removed();
        Ok(())
    }

    fn take_counts(&mut self, chg: &[CountRow]) -> Result<(), Fault> {
        for CountRow(name, dest, active, inactive) in chg {
            let (_, service) = self.service(name)?;
            let Some(id) = service.pool.find(dest.ip(), dest.port()) else {
                return Err(Fault::NoDestination {
                    svc: name.clone(),
                    dest: *dest,
                });
            };
            service.pool.restate(id, *active, *inactive);
        }
        Ok(())
    }

    /// Removed destinations are not told of; their counts come from the connections followed.
    fn recount_removed(&mut self) {
        for (key, service) in &mut self.services {
            let removed: Vec<_> = service
                .pool
                .removed()
                .iter()
                .filter(|d| d.total_conns() > 0)
                .map(|d| d.id)
                .collect();
            for id in removed {
                let server = Server { service: *key, id };
                let (active, inactive) = self.connections.count(server, self.now);
                service.pool.restate(id, active, inactive);
            }
        }
    }
}

/// Packets.
impl<'a> Replay<'a> {
    fn open(&mut self, open: &'a OpenLine) -> Result<(), Fault> {
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

    fn packet(&mut self, packet: &'a PacketLine) -> Result<(), Fault> {
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
        match (passed, entry.is_some() && life != Life::Dead) {
            (true, true) => {
                self.connections
                    .packet(&flow.key, true, flags, self.now, &self.timeouts);
                self.recount_removed();
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
                match self.lookup(packet) {
                    Some(service) => self.skip(packet, service, reason.to_owned())?,
                    None => self.connections.doubt(&packet.key),
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
            (Life::Unsure, _) if opens => Fate::Unsure(
                "whether a connection of this client port still exists cannot be told from the trace",
            ),
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

    /// May a SYN on an entry in this state be scheduled anew.
    fn is_reusable(&self, state: Option<TcpState>, one_way: bool) -> bool {
        match state {
            Some(TcpState::TimeWait | TcpState::Close) => self.sysctls.conn_reuse_mode != 0,
            Some(TcpState::FinWait) => one_way && self.sysctls.conn_reuse_mode & 2 != 0,
            _ => false,
        }
    }

    fn pass_to_entry(&mut self, packet: &ClientPacket<'_>, server: Server, endpoint: SocketAddr) {
        let there = self
            .services
            .get(&server.service)
            .is_some_and(|service| service.exists && service.pool.is_available(server.id));
        let passed = packet.fwd.unwrap_or_else(|| packet.got.flatten().is_some());
        if passed {
            self.connections
                .packet(&packet.key, false, packet.flags, self.now, &self.timeouts);
        }
        let elsewhere = packet.got.flatten().is_some_and(|got| got != endpoint);
        if passed != there || elsewhere {
            self.connections.doubt(&packet.key);
            if packet.got.is_some() {
                let reason = "belongs to a known connection, yet the kernel sent it elsewhere";
                self.lose(server.service, reason.to_owned());
            }
        }
    }

    /// The service that a packet asking for a new entry goes to.
    fn lookup(&self, packet: &ClientPacket<'_>) -> Option<ServiceKey> {
        let exists = |key: &ServiceKey| self.services.get(key).is_some_and(|s| s.exists);
        if let Some(mark) = packet.mark.filter(exists) {
            return Some(mark);
        }
        let FlowKey {
            protocol, target, ..
        } = packet.key;
        let with_port = |port| ServiceKey::Address {
            protocol,
            address: target.ip(),
            port,
        };
        Some(with_port(target.port())).filter(exists).or_else(|| {
            // A service of all ports takes packets only if it is persistent.
            let all_ports = with_port(0);
            let service = self.services.get(&all_ports)?;
            (service.exists && service.options.persistence.is_some()).then_some(all_ports)
        })
    }

    fn schedule(&mut self, packet: &ClientPacket<'a>) -> Result<(), Fault> {
        let choice = self.choose(packet);
        let (service_key, id, template) = match choice {
            Choice::Made {
                service,
                id,
                template,
            } => (service, id, template),
            Choice::NoService => {
                if packet.got.flatten().is_some() || packet.fwd == Some(true) {
                    self.connections.doubt(&packet.key);
                }
                return self.take_counts(packet.chg);
            }
            Choice::Undecidable { service, reason } => {
                self.skip(packet, service, reason)?;
                return self.take_counts(packet.chg);
            }
        };
        let Some(service) = self.services.get(&service_key) else {
            return Ok(());
        };
        let chosen = id.and_then(|id| service.pool.destination(id));
        let endpoint = chosen.map(|d| service.endpoint(&service_key, d, packet.key.target));
        if let Some(kernel) = self.told_choice(packet, service_key) {
            self.report.compared += 1;
            if kernel != endpoint {
                if let Some(line) = self.trace.lines.get(self.index) {
                    let what = Disagreement::Choice {
                        kernel,
                        replay: endpoint,
                    };
                    self.differs(line, service_key, what);
                }
                return Ok(());
            }
        }
        match id.zip(endpoint) {
            Some((id, endpoint)) => self.bind(packet, service_key, id, endpoint, template),
            None => {
                // An entry that was to be replaced is gone all the same.
                self.connections.drop_flow(&packet.key);
                self.take_counts(packet.chg)
            }
        }
    }

    fn choose(&mut self, packet: &ClientPacket<'_>) -> Choice {
        let Some(key) = self.lookup(packet) else {
            return Choice::NoService;
        };
        let now = self.now;
        let undecidable = |reason: String| Choice::Undecidable {
            service: key,
            reason,
        };
        if let Some(name) = self.sysctls.undecidable() {
            return undecidable(format!(
                "decisions under this value of {name} are not replayed"
            ));
        }
        let Some(service) = self.services.get_mut(&key) else {
            return Choice::NoService;
        };
        let mut template = None;
        if let Some(timeout) = service.options.persistence {
            let name = service.template_key(&key, &packet.key);
            match self.connections.template(&name, now) {
                Some((Life::Alive, found, entry)) => {
                    let id = entry.server.id;
                    let weight = service.pool.destination(id).map(|d| d.weight);
                    let quiesced = self.sysctls.expire_quiescent_template && weight == Some(0);
                    if service.pool.is_available(id) && !quiesced {
                        let template = Some(TemplateUse::Found(found));
                        return Choice::Made {
                            service: key,
                            id: Some(id),
                            template,
                        };
                    }
                    self.connections.set_aside(&name);
                }
                Some(_) => {
                    let reason = "whether the persistence template still exists cannot be told from the trace";
                    return undecidable(reason.to_owned());
                }
                None => {}
            }
            template = Some(TemplateUse::New(name, timeout));
        }
        if service.pool.kind() == SchedulerKind::PowerOfTwo {
            return undecidable("the kernel's random numbers are not in the trace".to_owned());
        }
        if let Some(reason) = &service.lost {
            return undecidable(reason.clone());
        }
        let flow = Flow {
            src: packet.key.client.ip(),
            src_port: packet.key.client.port(),
            dst: packet.key.target.ip(),
            dst_port: packet.key.target.port(),
            protocol: packet.key.protocol,
            now,
        };
        Choice::Made {
            service: key,
            id: service.pool.pick(&flow),
            template,
        }
    }

    /// The kernel's choice, if the trace tells it: directly, or by the count that has risen.
    fn told_choice(
        &self,
        packet: &ClientPacket<'_>,
        key: ServiceKey,
    ) -> Option<Option<SocketAddr>> {
        if packet.got.is_some() {
            return packet.got;
        }
        if packet.fwd == Some(false) {
            return Some(None);
        }
        let service = self.services.get(&key)?;
        let risen = packet
            .chg
            .iter()
            .find_map(|CountRow(name, dest, active, inactive)| {
                let id = service
                    .pool
                    .find(dest.ip(), dest.port())
                    .filter(|_| *name == service.name)?;
                let destination = service.pool.destination(id)?;
                let now = u64::from(*active) + u64::from(*inactive);
                (now > destination.total_conns()).then_some(destination)
            })?;
        Some(Some(service.endpoint(&key, risen, packet.key.target)))
    }

    /// Binds a new connection and takes over the counts told after it.
    fn bind(
        &mut self,
        packet: &ClientPacket<'_>,
        key: ServiceKey,
        id: DestinationId,
        endpoint: SocketAddr,
        template: Option<TemplateUse>,
    ) -> Result<(), Fault> {
        let Some(service) = self.services.get_mut(&key) else {
            return Ok(());
        };
        let Some(destination) = service.pool.destination(id).cloned() else {
            return Ok(());
        };
        let server = Server { service: key, id };
        let template = match template {
            None => None,
            Some(TemplateUse::Found(found)) => {
                self.connections.renew(found, self.now);
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

/// Outcomes.
impl Replay<'_> {
    /// A decision that cannot be made anew; the server it led to is taken over.
    fn skip(
        &mut self,
        packet: &ClientPacket<'_>,
        key: ServiceKey,
        reason: String,
    ) -> Result<(), Fault> {
        self.lose(key, reason);
        let Some(service) = self.services.get(&key) else {
            return Ok(());
        };
        let endpoint = packet.got.flatten();
        let server =
            service.pool.destinations().iter().find(|d| {
                endpoint.is_some_and(|e| service.endpoint(&key, d, packet.key.target) == e)
            });
        if let (Some(endpoint), Some(server)) = (endpoint, server) {
            let server = Server {
                service: key,
                id: server.id,
            };
            self.connections
                .open(packet.key, server, endpoint, false, None, self.now);
        }
        self.connections.doubt(&packet.key);
        Ok(())
    }

    /// Notes a skipped decision; schedulers with a memory of past choices are lost with it.
    fn lose(&mut self, key: ServiceKey, reason: String) {
        let line = self.line_number();
        if let Some(service) = self.services.get_mut(&key)
            && service.lost.is_none()
            && remembers_choices(service.pool.kind())
        {
            let kind = service.pool.kind();
            service.lost = Some(format!(
                "the state of {kind} is unknown since line {line}, which was skipped"
            ));
        }
        self.report.skipped.push(Skipped { line, reason });
    }

    fn line_number(&self) -> usize {
        self.trace
            .lines
            .get(self.index)
            .map_or(0, |line| line.number)
    }

    fn differs(&mut self, line: &Line, key: ServiceKey, what: Disagreement) {
        let Some(service) = self.services.get(&key) else {
            return;
        };
        let destinations = service
            .pool
            .destinations()
            .iter()
            .map(|d| DestinationState {
                address: d.socket_addr(),
                weight: d.weight,
                active_conns: d.active_conns,
                inactive_conns: d.inactive_conns,
                upper_threshold: d.upper_threshold,
                lower_threshold: d.lower_threshold,
                overloaded: d.overloaded,
            })
            .collect();
        let first = self.index.saturating_sub(LINES_BEFORE);
        let before = self.trace.lines.iter().take(self.index).skip(first);
        self.report.difference = Some(Difference {
            line: line.number,
            event: line.text.clone(),
            service: service.name.clone(),
            scheduler: service.pool.kind().name(),
            time: self.now.as_secs_f64(),
            what,
            destinations,
            before: before
                .map(|line| (line.number, line.text.clone()))
                .collect(),
        });
    }
}

fn config(line: &DestinationLine) -> DestinationConfig {
    DestinationConfig {
        weight: line.weight,
        upper_threshold: line.upper,
        lower_threshold: line.lower,
    }
}

/// Does a scheduler's next choice depend on its earlier ones, other than through the counts.
fn remembers_choices(kind: SchedulerKind) -> bool {
    matches!(
        kind,
        SchedulerKind::RoundRobin
            | SchedulerKind::WeightedRoundRobin
            | SchedulerKind::LocalityLeastConnection
            | SchedulerKind::LocalityLeastConnectionReplicated
    )
}
