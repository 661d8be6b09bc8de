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

mod configuration;
mod packets;
mod schedule;
mod time;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use lvs_sched::{SchedulerKind, Settings};

use self::packets::OpenFlow;
use crate::connections::Connections;
use crate::report::{DestinationState, Difference, Disagreement, Report, Skipped};
use crate::service::{Service, ServiceKey, ServiceOptions};
use crate::sysctl::Sysctls;
use crate::tcp_state::Timeouts;
use crate::trace::{Event, Fault, ForwardName, Line, Trace, TraceError};

/// How many lines before a difference are shown with it.
const LINES_BEFORE: usize = 8;
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

/// Outcomes.
impl Replay<'_> {
    /// Notes a decision that cannot be made anew; schedulers with a memory of past choices are lost
    /// with it.
    fn skip(&mut self, key: Option<ServiceKey>, reason: String) {
        let line = self.line_number();
        if let Some(service) = key.and_then(|key| self.services.get_mut(&key))
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
