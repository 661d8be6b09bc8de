//! The probes that are under way, a task each.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use healthcheck::probe::TlsClient;
use healthcheck::schedule::ProbeId;
use healthcheck::{Cause, CheckId, Failure, Outcome};
use kconf_parser::config::Check;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::AbortHandle;

use super::Event;
use crate::wiring;

/// How many probes may run at a time. Each holds a descriptor; more wait their turn, and their time
/// limit begins with it.
const MAX_RUNNING: usize = 512;

/// The end of a probe.
#[derive(Debug)]
pub(super) struct Probed {
    pub(super) check: CheckId,
    pub(super) probe: ProbeId,
    pub(super) outcome: Outcome,
}

/// The probes that are under way.
pub(super) struct Probes {
    running: HashMap<CheckId, (ProbeId, AbortHandle)>,
    places: Arc<Semaphore>,
    tls: OnceLock<TlsClient>,
    events: mpsc::UnboundedSender<Event>,
}

impl Probes {
    pub(super) fn new(events: mpsc::UnboundedSender<Event>) -> Self {
        Self {
            running: HashMap::new(),
            places: Arc::new(Semaphore::new(MAX_RUNNING)),
            tls: OnceLock::new(),
            events,
        }
    }

    /// Starts a probe. Its end comes as [`Event::Probed`], always.
    pub(super) fn start(&mut self, check: CheckId, probe: ProbeId, step: u32, config: &Check) {
        let tls = self.tls.get_or_init(TlsClient::accept_any);
        let prepared = wiring::probe(config, tls);
        let events = self.events.clone();
        let places = Arc::clone(&self.places);
        let task = tokio::spawn(async move {
            let _place = places.acquire().await;
            let outcome = match prepared {
                Some(prepared) => prepared.run(step).await,
                None => Outcome::Failure(Failure::Unusable(Cause::from("no such probe"))),
            };
            let _ = events.send(Event::Probed(Probed {
                check,
                probe,
                outcome,
            }));
        });
        self.running.insert(check, (probe, task.abort_handle()));
    }

    /// Notes the end of a probe.
    pub(super) fn ended(&mut self, probed: &Probed) {
        if matches!(self.running.get(&probed.check), Some((probe, _)) if *probe == probed.probe) {
            self.running.remove(&probed.check);
        }
    }

    /// Ends the probe of a check.
    pub(super) fn abort(&mut self, check: CheckId) {
        if let Some((_, task)) = self.running.remove(&check) {
            task.abort();
        }
    }

    /// Ends all probes.
    pub(super) fn abort_all(&mut self) {
        for (_, (_, task)) in self.running.drain() {
            task.abort();
        }
    }
}
