//! What the IPVS table rules over: services, their listening sockets, their workers.
//!
//! # Design
//! The table has judged a command by the kernel's rules before it comes here; what is refused here is what this
//! dataplane cannot do: listen where it must not, or serve what is not TCP or UDP on a port. Refusing one service
//! leaves the others alone, and the same command may come again at any time.
//!
//! A deleted service is remembered as long as connections count in it, because the kernel finds its destinations,
//! with their counts, when the service comes back.

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use ipvs_netlink::{
    Command, ConnectionEntry, Dataplane, DestinationKey, DestinationStatus, Refusal, ServiceFlags,
    ServiceKey, Stats, TimeoutsUpdate, VirtualService,
};
use lvs_sched::{DestinationConfig, PoolError, Protocol, SchedulerFlags, SchedulerKind};
use nix::errno::Errno;

use crate::{
    connections::Cursor,
    listener::{ListenError, listen},
    persistence::Granularity,
    service::{Endpoint, Persistence, Service, Settings, TemplateLine},
    shared::Shared,
    state::StateTimeouts,
    stats::Counters,
    worker::{Place, WorkerHandle},
};

/// Entries of the connection table that are in memory at a time.
const PAGE: usize = 256;

/// The bits of a [`Position`] that number a template: enough for a million new ones a second for two years.
const TEMPLATE: u64 = (1 << 46) - 1;

/// The dataplane behind a proxy's table.
#[derive(Debug)]
pub struct Control {
    shared: Arc<Shared>,
    workers: Vec<WorkerHandle>,
    services: HashMap<ServiceKey, Arc<Service>>,
    /// Deleted services in which connections still count.
    deleted: HashMap<ServiceKey, Arc<Service>>,
    draining: bool,
}

/// Where a listing goes on; travels as one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    /// Templates of the service of this number, after the one of that number.
    Templates(u16, u64),
    /// Connections of a worker.
    Worker(u16, Place),
}

impl Control {
    pub(crate) fn new(shared: Arc<Shared>, workers: Vec<WorkerHandle>) -> Self {
        Self {
            shared,
            workers,
            services: HashMap::new(),
            deleted: HashMap::new(),
            draining: false,
        }
    }

    /// What is due about once a second: timers of templates and schedulers.
    pub(crate) fn handle_timeout(&mut self, now: Duration) {
        for service in self.services.values().chain(self.deleted.values()) {
            service.handle_timeout(now);
        }
        self.deleted.retain(|_, service| service.is_referred_to());
    }

    /// Brings rates up to date; to be called every two seconds.
    pub(crate) fn sample(&self) {
        for service in self.services.values() {
            service.counters.sample();
            service.for_each_destination(|_, destination| destination.counters.sample());
        }
    }

    /// Closes all listening sockets for good. Connections go on.
    pub(crate) fn stop_accepting(&mut self) {
        self.draining = true;
        let endpoints: Vec<_> = self
            .services
            .values()
            .map(|service| service.endpoint)
            .collect();
        self.unlisten(&endpoints);
    }

    /// Resets every connection.
    pub(crate) fn cut_all(&self) {
        self.workers.iter().for_each(WorkerHandle::cut_all);
    }

    fn add_service(&mut self, wanted: &VirtualService) -> Result<(), Refusal> {
        if self.draining {
            return Err(Refusal::new(
                Errno::ESHUTDOWN as i32,
                "the proxy is shutting down",
            ));
        }
        let endpoint = endpoint(&wanted.key)?;
        let settings = settings(wanted)?;
        let now = self.shared.now();
        let sockets = listen(endpoint, self.workers.len(), self.shared.config.backlog)?;
        let service = match self.deleted.remove(&wanted.key) {
            Some(service) => {
                service.revive(&settings, now);
                service
            }
            None => Arc::new(Service::new(endpoint, &settings, self.workers.len(), now)),
        };
        let results: Vec<_> = self
            .workers
            .iter()
            .zip(sockets)
            .map(|(worker, socket)| worker.listen(&service, socket))
            .collect();
        if let Some(error) = results.into_iter().find_map(Result::err) {
            self.unlisten(&[endpoint]);
            let errno = error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
            return Err(ListenError::Other {
                address: endpoint.address,
                errno,
            }
            .into());
        }
        tracing::info!(virtual_service = %endpoint, scheduler = %settings.scheduler, "listening");
        self.services.insert(wanted.key, service);
        Ok(())
    }

    fn delete_services(&mut self, keys: &[ServiceKey]) {
        let removed: Vec<_> = keys
            .iter()
            .filter_map(|key| Some((*key, self.services.remove(key)?)))
            .collect();
        let endpoints: Vec<_> = removed
            .iter()
            .map(|(_, service)| service.endpoint)
            .collect();
        self.unlisten(&endpoints);
        for (key, service) in removed {
            tracing::info!(virtual_service = %service.endpoint, "no longer listening");
            service.clear();
            if service.is_referred_to() {
                self.deleted.insert(key, service);
            }
        }
    }

    /// Returns when every worker has closed its sockets, so that the ports are free.
    fn unlisten(&self, endpoints: &[Endpoint]) {
        let answers: Vec<_> = endpoints
            .iter()
            .flat_map(|endpoint| self.workers.iter().map(|worker| worker.unlisten(*endpoint)))
            .collect();
        for answer in answers {
            // A worker that has ended has closed everything.
            let _ = answer.recv();
        }
    }

    fn service(&self, key: &ServiceKey) -> Result<&Arc<Service>, Refusal> {
        self.services
            .get(key)
            .ok_or_else(|| Refusal::from(Errno::ESRCH as i32))
    }

    fn set_timeouts(&self, update: &TimeoutsUpdate) {
        let old = self.shared.timeouts();
        self.shared.set_timeouts(StateTimeouts {
            tcp: update.tcp.unwrap_or(old.tcp),
            tcp_fin: update.tcp_fin.unwrap_or(old.tcp_fin),
            udp: update.udp.unwrap_or(old.udp),
        });
    }

    fn zero(&self, key: Option<&ServiceKey>) {
        for (_, service) in self
            .services
            .iter()
            .filter(|(k, _)| key.is_none_or(|key| key == *k))
        {
            service.counters.zero();
            service.for_each_destination(|_, destination| destination.counters.zero());
        }
    }

    fn templates(&self, number: u16, cursor: u64, entries: &mut Vec<ConnectionEntry>) -> Position {
        let Some(service) = self.services.values().nth(number.into()) else {
            return Position::Worker(0, Place::Tcp(Cursor::Live(0)));
        };
        let now = self.shared.now();
        let visit = |line: &TemplateLine| entries.push(template_entry(line, service, now));
        match (service.templates(cursor, PAGE, visit), number) {
            (Some(cursor), _) => Position::Templates(number, cursor),
            (None, u16::MAX) => Position::Worker(0, Place::Tcp(Cursor::Live(0))),
            (None, _) => Position::Templates(number + 1, 0),
        }
    }
}

impl Dataplane for Control {
    fn apply(&mut self, command: &Command) -> Result<(), Refusal> {
        match command {
            Command::AddService(service) => self.add_service(service)?,
            Command::EditService(service) => {
                let settings = settings(service)?;
                self.service(&service.key)?
                    .edit(&settings, self.shared.now());
            }
            Command::DeleteService(key) => self.delete_services(&[*key]),
            Command::AddDestination {
                service,
                destination,
            } => {
                let config = config(destination);
                let address = SocketAddr::new(destination.address, destination.port);
                self.service(service)?
                    .add_destination(address, config)
                    .map_err(refusal)?;
            }
            Command::EditDestination {
                service,
                destination,
            } => {
                let config = config(destination);
                let address = SocketAddr::new(destination.address, destination.port);
                self.service(service)?
                    .edit_destination(address, config)
                    .map_err(refusal)?;
            }
            Command::DeleteDestination {
                service,
                destination,
            } => {
                let address = SocketAddr::new(destination.address, destination.port);
                self.service(service)?
                    .remove_destination(address)
                    .map_err(refusal)?;
            }
            Command::Flush => {
                let all: Vec<_> = self.services.keys().copied().collect();
                self.delete_services(&all);
            }
            Command::Zero(key) => self.zero(key.as_ref()),
            Command::SetTimeouts(update) => self.set_timeouts(update),
            _ => {
                let text = "sync daemons need the kernel's IPVS: a proxy has no state another could take over";
                return Err(Refusal::new(Errno::EOPNOTSUPP as i32, text));
            }
        }
        Ok(())
    }

    fn knows_scheduler(&self, name: &str) -> bool {
        name.parse::<SchedulerKind>().is_ok()
    }

    fn service_stats(&mut self, service: &ServiceKey) -> Stats {
        self.services
            .get(service)
            .map(|service| stats(&service.counters))
            .unwrap_or_default()
    }

    fn destination_status(
        &mut self,
        service: &ServiceKey,
        destination: &DestinationKey,
    ) -> DestinationStatus {
        let mut status = DestinationStatus::default();
        let Some(service) = self.services.get(service) else {
            return status;
        };
        service.for_each_destination(|listed, found| {
            if listed.address == destination.address && listed.port == destination.port {
                status = DestinationStatus {
                    active_conns: listed.active_conns,
                    inactive_conns: listed.inactive_conns,
                    persist_conns: listed.persist_conns,
                    stats: stats(&found.counters),
                };
            }
        });
        status
    }

    fn connections(&mut self, position: u64, entries: &mut Vec<ConnectionEntry>) -> Option<u64> {
        match Position::unpack(position) {
            Position::Templates(number, cursor) => {
                Some(self.templates(number, cursor, entries).pack())
            }
            Position::Worker(number, place) => {
                let worker = self.workers.get(usize::from(number))?;
                let page = worker.list(place, PAGE)?;
                entries.extend(page.entries);
                let next = page.next.map(|place| Position::Worker(number, place));
                let next_worker = || Position::Worker(number + 1, Place::Tcp(Cursor::Live(0)));
                Some(next.unwrap_or_else(next_worker).pack())
            }
        }
    }
}

/// The number is made of a kind (2 bits), a worker (14 bits), a service (16 bits), a cursor (32 bits); for
/// templates, which belong to no worker, of a kind (2 bits), a service (16 bits), a cursor (46 bits).
impl Position {
    fn pack(self) -> u64 {
        let fields = |kind: u64, worker: u16, service: usize, cursor: usize| {
            kind << 62
                | (u64::from(worker) & 0x3fff) << 48
                | (service as u64 & 0xffff) << 32
                | (cursor as u64 & 0xffff_ffff)
        };
        match self {
            Self::Templates(service, cursor) => u64::from(service) << 46 | cursor & TEMPLATE,
            Self::Worker(worker, Place::Tcp(Cursor::Live(cursor))) => fields(1, worker, 0, cursor),
            Self::Worker(worker, Place::Tcp(Cursor::Lingering(cursor))) => {
                fields(2, worker, 0, cursor)
            }
            Self::Worker(worker, Place::Udp(service, cursor)) => fields(3, worker, service, cursor),
        }
    }

    fn unpack(number: u64) -> Self {
        let worker = (number >> 48 & 0x3fff) as u16;
        let service = (number >> 32 & 0xffff) as usize;
        let cursor = (number & 0xffff_ffff) as usize;
        match number >> 62 {
            0 => Self::Templates((number >> 46) as u16, number & TEMPLATE),
            1 => Self::Worker(worker, Place::Tcp(Cursor::Live(cursor))),
            2 => Self::Worker(worker, Place::Tcp(Cursor::Lingering(cursor))),
            _ => Self::Worker(worker, Place::Udp(service, cursor)),
        }
    }
}

impl From<ListenError> for Refusal {
    fn from(error: ListenError) -> Self {
        Self::new(error.errno() as i32, error.to_string())
    }
}

fn refusal(error: PoolError) -> Refusal {
    let errno = match error {
        PoolError::Exists(_) => Errno::EEXIST,
        PoolError::NotFound(_) => Errno::ENOENT,
        _ => Errno::ERANGE,
    };
    Refusal::new(errno as i32, error.to_string())
}

fn endpoint(key: &ServiceKey) -> Result<Endpoint, Refusal> {
    // In lower case: lvsadm knows our remarks from the kernel's by it.
    let unsupported = |text: &str| Refusal::new(Errno::EOPNOTSUPP as i32, text);
    match key {
        ServiceKey::Mark { .. } => Err(unsupported(
            "firewall marks need the kernel's IPVS; name an address and port instead",
        )),
        ServiceKey::Address { port: 0, .. } => Err(unsupported(
            "a service on all ports needs the kernel's IPVS; name a port instead",
        )),
        ServiceKey::Address {
            protocol,
            address,
            port,
        } => {
            let protocol = match protocol {
                ipvs_netlink::Protocol::Tcp => Protocol::Tcp,
                ipvs_netlink::Protocol::Udp => Protocol::Udp,
                _ => {
                    return Err(unsupported("only TCP and UDP are balanced in userspace"));
                }
            };
            Ok(Endpoint {
                protocol,
                address: SocketAddr::new(*address, *port),
            })
        }
    }
}

fn settings(service: &VirtualService) -> Result<Settings, Refusal> {
    let scheduler = service.scheduler.as_str().parse::<SchedulerKind>();
    let scheduler =
        scheduler.map_err(|error| Refusal::new(Errno::ENOENT as i32, error.to_string()))?;
    let family = service.key.family();
    let netmask = service.persistence_granularity.netmask(family);
    let granularity = match family {
        ipvs_netlink::AddressFamily::Inet => Granularity::V4(netmask.into()),
        ipvs_netlink::AddressFamily::Inet6 => Granularity::V6(u8::try_from(netmask).unwrap_or(128)),
    };
    Ok(Settings {
        scheduler,
        flags: SchedulerFlags::from_bits(service.flags.bits()),
        persistence: service.persistence_timeout.map(|timeout| Persistence {
            timeout,
            granularity,
        }),
        one_packet: service.flags.contains(ServiceFlags::ONE_PACKET),
    })
}

fn config(destination: &ipvs_netlink::Destination) -> DestinationConfig {
    DestinationConfig {
        weight: destination.weight,
        upper_threshold: destination.upper_threshold,
        lower_threshold: destination.lower_threshold,
    }
}

fn stats(counters: &Counters) -> Stats {
    let (totals, rates) = (counters.totals(), counters.rates());
    Stats {
        conns: totals.conns,
        in_packets: totals.in_packets,
        out_packets: totals.out_packets,
        in_bytes: totals.in_bytes,
        out_bytes: totals.out_bytes,
        conns_per_second: rates.conns,
        in_packets_per_second: rates.in_packets,
        out_packets_per_second: rates.out_packets,
        in_bytes_per_second: rates.in_bytes,
        out_bytes_per_second: rates.out_bytes,
    }
}

fn template_entry(line: &TemplateLine, service: &Service, now: Duration) -> ConnectionEntry {
    /// Where the kernel puts templates that are void.
    const ASIDE: u16 = 65_535;
    let address = service.endpoint.address;
    let (virtual_port, port) = match line.aside {
        true => (ASIDE, ASIDE),
        false => (address.port(), line.destination.port()),
    };
    ConnectionEntry {
        protocol: if service.endpoint.protocol == Protocol::Udp {
            "UDP"
        } else {
            "TCP"
        }
        .to_owned(),
        client: SocketAddr::new(line.client, 0),
        virtual_address: SocketAddr::new(address.ip(), virtual_port),
        destination: SocketAddr::new(line.destination.ip(), port),
        state: if line.assured { "ASSURED" } else { "NONE" }.to_owned(),
        expires: line.expires.saturating_sub(now),
        engine: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_survive_as_numbers() {
        assert_eq!(Position::unpack(0), Position::Templates(0, 0));
        for position in [
            Position::Templates(7, 9),
            Position::Templates(u16::MAX, TEMPLATE),
            Position::Worker(0, Place::Tcp(Cursor::Live(0))),
            Position::Worker(16_383, Place::Tcp(Cursor::Live(4_000_000_000))),
            Position::Worker(3, Place::Tcp(Cursor::Lingering(1))),
            Position::Worker(3, Place::Udp(9, 12)),
        ] {
            assert_eq!(Position::unpack(position.pack()), position);
        }
    }

    #[test]
    fn what_only_a_kernel_can_do_is_refused_with_a_way_out() {
        let key = |text: &str| ServiceKey::tcp(text.parse().expect("an address"));
        let refusal = endpoint(&key("10.0.0.1:0")).expect_err("all ports");
        assert_eq!(refusal.errno, Errno::EOPNOTSUPP as i32);
        assert!(refusal.to_string().contains("name a port"), "{refusal}");
        assert!(endpoint(&key("10.0.0.1:80")).is_ok());
    }
}
