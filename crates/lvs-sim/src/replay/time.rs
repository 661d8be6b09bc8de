//! Waits, and the counts told after events.

use std::time::Duration;

use super::Replay;
use crate::connections::Server;
use crate::trace::{CountRow, Fault};

/// How late the housekeeping of lblc and lblcr runs. A kernel timer of 60 s fires up to 5 s late, and
/// each run sets the next one, so the period is 60 to 67 s; 65 s is what recordings show most often.
/// Recordings made for comparison keep clear of moments where it matters.
const HOUSEKEEPING_DELAY: Duration = Duration::from_secs(5);

/// Time.
impl Replay<'_> {
    pub(super) fn wait(&mut self, sec: f64, chg: &[CountRow]) -> Result<(), Fault> {
        let waited = Duration::try_from_secs_f64(sec).map_err(|_| Fault::Wait(sec))?;
        self.now = self.now.checked_add(waited).ok_or(Fault::TimeOverflow)?;
        for service in self.services.values_mut().filter(|service| service.exists) {
            // The housekeeping of a long wait, run by run.
            while let Some(due) = service.pool.poll_timeout() {
                let fires = due.saturating_add(HOUSEKEEPING_DELAY);
                if fires > self.now {
                    break;
                }
                service.pool.handle_timeout(fires);
            }
        }
        self.take_counts(chg)?;
        for (key, service) in self.services.iter().filter(|(_, service)| service.exists) {
            for destination in service.pool.destinations() {
                let server = Server {
                    service: *key,
                    id: destination.id,
                };
                self.connections
                    .settle(server, destination.total_conns(), self.now);
            }
        }
        let templates_gone = self.connections.advance(self.now);
        // After the counts: whatever went last during the wait saw the lowest total.
        self.unbind_templates(&templates_gone);
        self.recount_removed();
        Ok(())
    }

    /// Templates of these servers are gone.
    pub(super) fn unbind_templates(&mut self, servers: &[Server]) {
        for server in servers {
            if let Some(service) = self.services.get_mut(&server.service) {
                service.pool.unbind_template(server.id);
            }
        }
    }

    pub(super) fn take_counts(&mut self, chg: &[CountRow]) -> Result<(), Fault> {
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
    pub(super) fn recount_removed(&mut self) {
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
