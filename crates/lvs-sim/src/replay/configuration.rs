//! Configuration lines: services, destinations, kernel variables, and the tables told after them.

use std::time::Duration;

use lvs_sched::{DestinationConfig, Pool, SchedulerKind};

use super::Replay;
use crate::report::Disagreement;
use crate::service::{Service, ServiceKey, ServiceOptions};
use crate::trace::{DestinationLine, Fault, Line, ServiceLine, TableRow, Tables};

/// The longest connection timeout the kernel takes, in seconds: the range of a signed 32-bit number
/// of ticks, at 100 a second.
const MAX_TIMEOUT: u32 = i32::MAX as u32 / 100;

/// Configuration.
impl Replay<'_> {
    pub(super) fn add_service(&mut self, line: &ServiceLine) -> Result<(), Fault> {
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

    pub(super) fn edit_service(&mut self, line: &ServiceLine) -> Result<(), Fault> {
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

    pub(super) fn delete_service(&mut self, name: &str) -> Result<(), Fault> {
        let (_, service) = self.service(name)?;
        service.exists = false;
        while let Some(first) = service.pool.destinations().first() {
            let (address, port) = (first.address, first.port);
            service.pool.remove(address, port)?;
        }
        self.names.remove(name);
        Ok(())
    }

    pub(super) fn add_destination(&mut self, line: &DestinationLine) -> Result<(), Fault> {
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
            .find(|d| d.socket_addr() == dest)
            .map(|d| (d.id, d.total_conns()));
        if let (Some((id, before)), Some(TableRow(_, _, active, inactive))) = (returning, told) {
            // No time has passed: if connections went, all did, between two lines.
            if u64::from(active) + u64::from(inactive) < before {
                self.drop_connections_of_removed();
            }
            let (_, service) = self.service(&line.svc)?;
            service.pool.restate(id, active, inactive);
        }
        let (_, service) = self.service(&line.svc)?;
        service.pool.add(dest.ip(), dest.port(), config(line))?;
        self.forwarding.insert((key, dest), line.fwd);
        Ok(())
    }

    pub(super) fn edit_destination(&mut self, line: &DestinationLine) -> Result<(), Fault> {
        let (key, service) = self.service(&line.svc)?;
        service
            .pool
            .edit(line.dest.ip(), line.dest.port(), config(line))?;
        self.forwarding.insert((key, line.dest), line.fwd);
        Ok(())
    }

    pub(super) fn set_sysctl(
        &mut self,
        name: &str,
        value: &serde_json::Value,
    ) -> Result<(), Fault> {
        self.sysctls.set(name, value)?;
        let expirations = (self.sysctls.lblc_expiration, self.sysctls.lblcr_expiration);
        for service in self.services.values_mut() {
            let mut settings = *service.pool.settings();
            (settings.lblc_expiration, settings.lblcr_expiration) = expirations;
            service.pool.set_settings(settings);
        }
        Ok(())
    }

    pub(super) fn set_timeouts(&mut self, tcp: u32, tcpfin: u32, udp: u32) {
        let set = |timeout: &mut Duration, seconds: u32| {
            if seconds != 0 {
                *timeout = Duration::from_secs(seconds.min(MAX_TIMEOUT).into());
            }
        };
        set(&mut self.timeouts.established, tcp);
        set(&mut self.timeouts.fin_wait, tcpfin);
        set(&mut self.timeouts.udp, udp);
    }

    /// With `expire_nodest_conn` the connections and templates of removed servers go soon after the
    /// removal.
    pub(super) fn drop_connections_of_removed(&mut self) {
        if self.sysctls.expire_nodest_conn {
            let services = &self.services;
            let templates_gone = self.connections.drop_of(|server| {
                services
                    .get(&server.service)
                    .is_none_or(|s| !s.pool.is_available(server.id))
            });
            self.recount_removed();
            self.unbind_templates(&templates_gone);
        }
    }

    pub(super) fn compare_tables(&mut self, line: &Line, tables: &Tables) -> Result<(), Fault> {
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

fn config(line: &DestinationLine) -> DestinationConfig {
    DestinationConfig {
        weight: line.weight,
        upper_threshold: line.upper,
        lower_threshold: line.lower,
    }
}
