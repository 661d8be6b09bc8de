//! An IPVS table in memory that answers as the kernel does.
//!
//! Design: [`Table`] holds the rules and the kernel's judgement of what is a rule; what it means for
//! traffic is behind [`Dataplane`], which is asked before anything changes and may say no. So a
//! userspace dataplane has the face of the kernel, and `()` makes a kernel for tests. Bytes come
//! and go through [`Session`](crate::Session).

mod request;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};

use crate::codec::AddressFamily;
use crate::command::Command;
use crate::connection::ConnectionEntry;
use crate::daemon::SyncDaemon;
use crate::destination::{
    Destination, DestinationEntry, DestinationKey, DestinationStatus, ForwardMethod, TunnelKind,
};
use crate::info::Info;
use crate::name::Name;
use crate::plan::ServiceRules;
use crate::service::{ServiceEntry, ServiceKey, VirtualService};
use crate::stats::Stats;
use crate::timeouts::Timeouts;

pub(crate) use request::{Request, parse};

/// The schedulers of Linux 6.1.
const SCHEDULERS: [&str; 13] = [
    "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh",
];

/// What a [`Table`] rules over.
///
/// Only [`apply`](Self::apply) must be written; what is not counted is shown as 0.
pub trait Dataplane {
    /// Does a change. Called after the table has found it possible and before it takes it: on `Err`
    /// the table stays as it was and the client gets the refusal.
    ///
    /// An edit carries all settings, not only the changed ones. [`Command::Flush`] and
    /// [`Command::DeleteService`] stand for the destinations too.
    ///
    /// # Errors
    ///
    /// What the client shall be told: an errno and a sentence with the remedy.
    fn apply(&mut self, command: &Command) -> Result<(), Refusal>;

    /// Whether there is a scheduler of that name; by default whether Linux 6.1 has it.
    fn knows_scheduler(&self, name: &str) -> bool {
        SCHEDULERS.contains(&name)
    }

    /// Whether there is a persistence engine of that name; by default there is none.
    fn knows_engine(&self, _name: &str) -> bool {
        false
    }

    /// Counters of a service.
    fn service_stats(&mut self, _service: &ServiceKey) -> Stats {
        Stats::default()
    }

    /// Counts and counters of a destination.
    fn destination_status(
        &mut self,
        _service: &ServiceKey,
        _destination: &DestinationKey,
    ) -> DestinationStatus {
        DestinationStatus::default()
    }

    /// The next piece of the connection list. Called with 0 first, then with what it returned, until
    /// that is `None`. Adds as many entries as may be in memory at once, some hundreds; adding none
    /// and returning a position is fine.
    ///
    /// Other calls, changes included, may come in between, and a list may be given up.
    fn connections(&mut self, _position: u64, _entries: &mut Vec<ConnectionEntry>) -> Option<u64> {
        None
    }
}

/// Accepts everything and moves no packet.
impl Dataplane for () {
    fn apply(&mut self, _command: &Command) -> Result<(), Refusal> {
        Ok(())
    }
}

/// Why a change is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .message.as_deref().unwrap_or("refused"))]
pub struct Refusal {
    /// The error number, positive, such as `EADDRNOTAVAIL`.
    pub errno: i32,
    /// A sentence for the operator: what failed, why, what to do. Cut to 1,000 bytes.
    pub message: Option<String>,
}

impl Refusal {
    /// A refusal that says why.
    pub fn new(errno: i32, message: impl Into<String>) -> Self {
        Self {
            errno,
            message: Some(message.into()),
        }
    }
}

impl From<i32> for Refusal {
    fn from(errno: i32) -> Self {
        Self {
            errno,
            message: None,
        }
    }
}

/// The table.
#[derive(Debug, Default)]
pub struct Table<D> {
    dataplane: D,
    info: Info,
    timeouts: Timeouts,
    /// Ordered, so that a dump can go on where it stopped whatever has changed meanwhile.
    services: BTreeMap<ServiceKey, Service>,
    daemons: Vec<SyncDaemon>,
    /// Counts changes: a dump that sees two values of it was interrupted.
    generation: u64,
}

#[derive(Debug)]
struct Service {
    service: VirtualService,
    /// The one added last first, as in the kernel.
    destinations: VecDeque<Destination>,
}

impl<D: Dataplane> Table<D> {
    /// An empty table with the kernel's default timeouts.
    pub fn new(dataplane: D) -> Self {
        Self {
            dataplane,
            info: Info::default(),
            timeouts: Timeouts::default(),
            services: BTreeMap::new(),
            daemons: Vec::new(),
            generation: 0,
        }
    }

    /// Does a change as if it had come as bytes.
    ///
    /// # Errors
    ///
    /// With the kernel's errno where it would refuse it, and what the dataplane says.
    pub fn execute(&mut self, command: &Command) -> Result<(), Refusal> {
        self.check(command)?;
        self.dataplane.apply(command)?;
        self.generation += 1;
        self.take(command);
        Ok(())
    }

    /// What it rules over.
    pub fn dataplane(&self) -> &D {
        &self.dataplane
    }

    /// What it rules over.
    pub fn dataplane_mut(&mut self) -> &mut D {
        &mut self.dataplane
    }

    /// Version and size.
    pub fn info(&self) -> Info {
        self.info
    }

    /// The timeouts.
    pub fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// All services with their destinations in the order in which they were added.
    pub fn rules(&self) -> Vec<ServiceRules> {
        let rules = |service: &Service| ServiceRules {
            service: service.service.clone(),
            destinations: service.destinations.iter().rev().copied().collect(),
        };
        self.services.values().map(rules).collect()
    }

    pub(crate) fn service(&self, key: &ServiceKey) -> Option<&VirtualService> {
        self.services.get(key).map(|service| &service.service)
    }

    pub(crate) fn service_entry(&mut self, key: &ServiceKey) -> Option<ServiceEntry> {
        let service = self.services.get(key)?.service.clone();
        Some(ServiceEntry {
            stats: self.dataplane.service_stats(key),
            service,
        })
    }

    /// The service behind `key` in the order of dumps, or the first.
    pub(crate) fn service_after(&mut self, key: Option<ServiceKey>) -> Option<ServiceEntry> {
        use std::ops::Bound::{Excluded, Unbounded};
        let lower = key.map_or(Unbounded, Excluded);
        let next = *self.services.range((lower, Unbounded)).next()?.0;
        self.service_entry(&next)
    }

    pub(crate) fn destination_entry(
        &mut self,
        key: &ServiceKey,
        index: usize,
    ) -> Option<DestinationEntry> {
        let destination = *self.services.get(key)?.destinations.get(index)?;
        let status = self.dataplane.destination_status(key, &destination.key());
        Some(DestinationEntry {
            destination,
            status,
        })
    }

    pub(crate) fn daemons(&self) -> &[SyncDaemon] {
        &self.daemons
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether the kernel would do it.
    fn check(&self, command: &Command) -> Result<(), i32> {
        let known = |key: &ServiceKey| self.services.get(key).ok_or(libc::ESRCH);
        match command {
            Command::AddService(service) => {
                if self.services.contains_key(&service.key) {
                    return Err(libc::EEXIST);
                }
                self.check_service(service)
            }
            Command::EditService(service) => {
                known(&service.key)?;
                self.check_service(service)
            }
            Command::DeleteService(key) | Command::Zero(Some(key)) => known(key).map(drop),
            Command::AddDestination {
                service,
                destination,
            } => {
                let known = known(service)?;
                self.check_destination(service, destination)?;
                match known.position(&destination.key()) {
                    Some(_) => Err(libc::EEXIST),
                    None if !is_unicast(destination.address) => Err(libc::EINVAL),
                    None => Ok(()),
                }
            }
            Command::EditDestination {
                service,
                destination,
            } => {
                let known = known(service)?;
                self.check_destination(service, destination)?;
                known
                    .position(&destination.key())
                    .map(drop)
                    .ok_or(libc::ENOENT)
            }
            Command::DeleteDestination {
                service,
                destination,
            } => known(service)?
                .position(destination)
                .map(drop)
                .ok_or(libc::ENOENT),
            Command::StartDaemon(daemon) => {
                let runs = self
                    .daemons
                    .iter()
                    .any(|running| running.role == daemon.role);
                if runs { Err(libc::EEXIST) } else { Ok(()) }
            }
            Command::StopDaemon(role) => {
                let runs = self.daemons.iter().any(|running| running.role == *role);
                if runs { Ok(()) } else { Err(libc::ESRCH) }
            }
            Command::Flush | Command::Zero(None) | Command::SetTimeouts(_) => Ok(()),
        }
    }

    fn check_service(&self, service: &VirtualService) -> Result<(), i32> {
        let scheduler = service.scheduler.as_str();
        // The kernel knows a service without scheduler by this name.
        if scheduler != "none" && !self.dataplane.knows_scheduler(scheduler) {
            return Err(libc::ENOENT);
        }
        let engine = service.persistence_engine.as_ref().map(Name::as_str);
        if engine.is_some_and(|engine| !self.dataplane.knows_engine(engine)) {
            return Err(libc::ENOENT);
        }
        let family = service.key.family();
        let netmask = service.persistence_granularity.netmask(family);
        match family {
            AddressFamily::Inet6 if !(1..=128).contains(&netmask) => Err(libc::EINVAL),
            _ => Ok(()),
        }
    }

    fn check_destination(
        &self,
        service: &ServiceKey,
        destination: &Destination,
    ) -> Result<(), i32> {
        let tunnel = matches!(destination.forward, ForwardMethod::Tunnel(_));
        if AddressFamily::of(destination.address) != service.family()
            && (!tunnel || !self.daemons.is_empty())
        {
            return Err(libc::EINVAL);
        }
        if i32::try_from(destination.weight).is_err()
            || destination.lower_threshold > destination.upper_threshold
        {
            return Err(libc::ERANGE);
        }
        match destination.forward {
            ForwardMethod::Tunnel(TunnelKind::Gue { port: 0, .. }) => Err(libc::EINVAL),
            _ => Ok(()),
        }
    }

    /// Takes a change that has been checked; does nothing where it does not fit.
    fn take(&mut self, command: &Command) {
        match command {
            Command::AddService(service) => {
                let entry = Service {
                    service: service.clone(),
                    destinations: VecDeque::new(),
                };
                self.services.insert(service.key, entry);
            }
            Command::EditService(service) => {
                if let Some(known) = self.services.get_mut(&service.key) {
                    known.service = service.clone();
                }
            }
            Command::DeleteService(key) => drop(self.services.remove(key)),
            Command::AddDestination {
                service,
                destination,
            } => {
                if let Some(known) = self.services.get_mut(service) {
                    known.destinations.push_front(*destination);
                }
            }
            Command::EditDestination {
                service,
                destination,
            } => {
                if let Some(known) = self.services.get_mut(service)
                    && let Some(old) = known.find_mut(&destination.key())
                {
                    *old = *destination;
                }
            }
            Command::DeleteDestination {
                service,
                destination,
            } => {
                if let Some(known) = self.services.get_mut(service) {
                    known.destinations.retain(|old| old.key() != *destination);
                }
            }
            Command::Flush => self.services.clear(),
            Command::Zero(_) => {}
            Command::SetTimeouts(update) => self.timeouts = self.timeouts.updated(update),
            Command::StartDaemon(daemon) => {
                self.daemons.push(daemon.clone());
                self.daemons.sort_by_key(|daemon| daemon.role);
            }
            Command::StopDaemon(role) => self.daemons.retain(|daemon| daemon.role != *role),
        }
    }
}

impl Service {
    fn position(&self, key: &DestinationKey) -> Option<usize> {
        self.destinations
            .iter()
            .position(|destination| destination.key() == *key)
    }

    fn find_mut(&mut self, key: &DestinationKey) -> Option<&mut Destination> {
        self.destinations
            .iter_mut()
            .find(|destination| destination.key() == *key)
    }
}

/// Whether the kernel takes `address` for that of one host. It would also refuse the broadcast
/// addresses of its own networks, of which only that of the loopback is known here.
fn is_unicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let loopback = Ipv4Addr::new(127, 255, 255, 255);
            !v4.is_unspecified() && !v4.is_multicast() && !v4.is_broadcast() && v4 != loopback
        }
        IpAddr::V6(v6) => {
            !v6.is_unspecified()
                && !v6.is_multicast()
                && !v6.is_unicast_link_local()
                && v6.to_ipv4_mapped().is_none()
        }
    }
}
