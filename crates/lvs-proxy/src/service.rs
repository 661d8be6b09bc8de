//! One virtual service: its destinations, and the one place where a destination is chosen.
//!
//! # Design
//! The pool and the templates are behind one mutex that is taken a few times in the life of a connection and
//! never for its data. Since all workers choose from one pool, the order of choices is the kernel's however many
//! workers there are. A [`Booking`] is a connection's place at its destination: it is made where the destination
//! is chosen and gives the place back when it is dropped, so no way out of a connection can forget to.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use lvs_sched::{
    DestinationConfig, DestinationId, Flow, Pool, PoolError, Protocol, SchedulerFlags,
    SchedulerKind,
};

use crate::{
    persistence::{Granularity, TemplateId, Templates},
    stats::Counters,
};

/// What an operator may change about a service while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) scheduler: SchedulerKind,
    pub(crate) flags: SchedulerFlags,
    pub(crate) persistence: Option<Persistence>,
    /// Each datagram is scheduled on its own. UDP only.
    pub(crate) one_packet: bool,
}

/// How long a client stays with its destination, and who is the same client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Persistence {
    pub(crate) timeout: Duration,
    pub(crate) granularity: Granularity,
}

/// What clients connect to. Its address may be unspecified: all addresses of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Endpoint {
    pub(crate) protocol: Protocol,
    pub(crate) address: SocketAddr,
}

impl Endpoint {
    /// How a server of this service is named in the log.
    pub(crate) fn server(&self, address: SocketAddr) -> Self {
        Self {
            protocol: self.protocol,
            address,
        }
    }
}

/// A virtual service.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) endpoint: Endpoint,
    pub(crate) counters: Counters,
    one_packet: AtomicBool,
    removals: AtomicU64,
    workers: usize,
    core: Mutex<Core>,
}

/// A real server as this service knows it. Outlives its removal as long as connections need it.
#[derive(Debug)]
pub(crate) struct Destination {
    pub(crate) id: DestinationId,
    /// Where to connect to: port 0 has been replaced by the service's.
    pub(crate) address: SocketAddr,
    pub(crate) counters: Counters,
}

/// A connection's place at the destination that was chosen for it.
pub(crate) struct Booking {
    service: Arc<Service>,
    destination: Arc<Destination>,
    template: Option<TemplateId>,
    active: bool,
}

/// A template as the connection table shows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TemplateLine {
    pub(crate) client: IpAddr,
    pub(crate) destination: SocketAddr,
    pub(crate) expires: Duration,
    pub(crate) assured: bool,
    pub(crate) aside: bool,
}

#[derive(Debug)]
struct Core {
    pool: Pool,
    templates: Templates,
    persistence: Option<Persistence>,
    destinations: HashMap<DestinationId, Arc<Destination>>,
}

/// # Configuration
impl Service {
    pub(crate) fn new(
        endpoint: Endpoint,
        settings: &Settings,
        workers: usize,
        now: Duration,
    ) -> Self {
        Self {
            endpoint,
            counters: Counters::new(workers),
            one_packet: AtomicBool::new(settings.one_packet),
            removals: AtomicU64::new(0),
            workers,
            core: Mutex::new(Core {
                pool: Pool::new(settings.scheduler, settings.flags, now),
                templates: Templates::default(),
                persistence: settings.persistence,
                destinations: HashMap::new(),
            }),
        }
    }

    /// Takes new settings. A scheduler of the same name goes on with its state, another one starts.
    pub(crate) fn edit(&self, settings: &Settings, now: Duration) {
        let mut core = self.core();
        core.pool.set_settings(settings.flags);
        core.pool.set_scheduler(settings.scheduler, now);
        core.persistence = settings.persistence;
        self.one_packet.store(settings.one_packet, Relaxed);
    }

    /// Removes all destinations; the service is about to be deleted.
    pub(crate) fn clear(&self) {
        let mut core = self.core();
        let listed: Vec<_> = core
            .pool
            .destinations()
            .iter()
            .map(|d| (d.address, d.port))
            .collect();
        for (address, port) in listed {
            // Just listed, so it is there.
            let _ = core.pool.remove(address, port);
        }
        self.removals.fetch_add(1, Relaxed);
    }

    /// A deleted service comes back: the scheduler starts anew, removed destinations keep their counts.
    pub(crate) fn revive(&self, settings: &Settings, now: Duration) {
        let mut core = self.core();
        core.pool.set_settings(settings.flags);
        if core.pool.kind() == settings.scheduler {
            // A pool does not restart a scheduler of the same name.
            let other = match settings.scheduler {
                SchedulerKind::RoundRobin => SchedulerKind::LeastConnection,
                _ => SchedulerKind::RoundRobin,
            };
            core.pool.set_scheduler(other, now);
        }
        core.pool.set_scheduler(settings.scheduler, now);
        core.persistence = settings.persistence;
        self.one_packet.store(settings.one_packet, Relaxed);
        drop(core);
        self.counters.zero();
    }

    pub(crate) fn add_destination(
        &self,
        address: SocketAddr,
        config: DestinationConfig,
    ) -> Result<(), PoolError> {
        let mut core = self.core();
        let id = core.pool.add(address.ip(), address.port(), config)?;
        let port = if address.port() == 0 {
            self.endpoint.address.port()
        } else {
            address.port()
        };
        core.destinations.entry(id).or_insert_with(|| {
            let address = SocketAddr::new(address.ip(), port);
            Arc::new(Destination {
                id,
                address,
                counters: Counters::new(self.workers),
            })
        });
        core.forget_lost_destinations();
        Ok(())
    }

    pub(crate) fn edit_destination(
        &self,
        address: SocketAddr,
        config: DestinationConfig,
    ) -> Result<(), PoolError> {
        self.core()
            .pool
            .edit(address.ip(), address.port(), config)
            .map(drop)
    }

    /// Takes a destination out. Its connections go on until they end by themselves.
    pub(crate) fn remove_destination(&self, address: SocketAddr) -> Result<(), PoolError> {
        self.core().pool.remove(address.ip(), address.port())?;
        self.removals.fetch_add(1, Relaxed);
        Ok(())
    }
}

/// # Reading
impl Service {
    pub(crate) fn one_packet(&self) -> bool {
        self.one_packet.load(Relaxed)
    }

    /// How many times destinations have been removed: a cheap hint that one may be gone.
    pub(crate) fn removals(&self) -> u64 {
        self.removals.load(Relaxed)
    }

    /// Calls `visit` with each destination in the service, in the kernel's order.
    pub(crate) fn for_each_destination(
        &self,
        mut visit: impl FnMut(&lvs_sched::Destination, &Destination),
    ) {
        let core = self.core();
        for listed in core.pool.destinations() {
            if let Some(destination) = core.destinations.get(&listed.id) {
                visit(listed, destination);
            }
        }
    }

    /// Whether the destination is in the service; a removed one is not.
    pub(crate) fn is_available(&self, id: DestinationId) -> bool {
        self.core().pool.is_available(id)
    }

    /// Calls `visit` with up to `limit` persistence templates after `cursor`, which is 0 at first; returns where
    /// to go on, if there may be more.
    pub(crate) fn templates(
        &self,
        cursor: u64,
        limit: usize,
        mut visit: impl FnMut(&TemplateLine),
    ) -> Option<u64> {
        let core = self.core();
        let mut last = None;
        for (id, template) in core.templates.after(cursor).take(limit) {
            last = Some(id.0);
            if let Some(destination) = core.destinations.get(&template.destination) {
                visit(&TemplateLine {
                    client: template.client,
                    destination: destination.address,
                    expires: template.expires,
                    assured: template.assured,
                    aside: template.aside,
                });
            }
        }
        last
    }

    /// Whether connections or templates still count somewhere in this service.
    pub(crate) fn is_referred_to(&self) -> bool {
        let core = self.core();
        let counts = |d: &lvs_sched::Destination| d.total_conns() > 0 || d.persist_conns > 0;
        core.pool
            .destinations()
            .iter()
            .chain(core.pool.removed())
            .any(counts)
    }
}

/// # Choosing
impl Service {
    /// The destination for a new flow of `client` to `virtual_address`, with a place booked.
    ///
    /// None of `avoid` is chosen, be it by template or by the scheduler. `active`: the flow counts as active at
    /// once, as a TCP connection does.
    pub(crate) fn choose(
        self: &Arc<Self>,
        client: SocketAddr,
        virtual_address: SocketAddr,
        active: bool,
        avoid: &[DestinationId],
        now: Duration,
    ) -> Option<Booking> {
        let flow = Flow {
            src: client.ip(),
            src_port: client.port(),
            dst: virtual_address.ip(),
            dst_port: virtual_address.port(),
            protocol: self.endpoint.protocol,
            now,
        };
        let mut core = self.core();
        let (id, template) = core.choose(&flow, avoid)?;
        let destination = Arc::clone(core.destinations.get(&id)?);
        core.pool.bind(id);
        if active {
            core.pool.activate(id);
        }
        if let Some(template) = template {
            core.templates.control(template, now);
        }
        drop(core);
        Some(Booking {
            service: Arc::clone(self),
            destination,
            template,
            active,
        })
    }

    /// Work that is due at `now`: templates whose timer fires, the scheduler's housekeeping.
    pub(crate) fn handle_timeout(&self, now: Duration) {
        let mut core = self.core();
        let core = &mut *core;
        if core.templates.poll_timeout().is_some_and(|at| at <= now) {
            while let Some(id) = core.templates.handle_timeout(now) {
                core.pool.unbind_template(id);
            }
        }
        if core.pool.poll_timeout().is_some_and(|at| at <= now) {
            core.pool.handle_timeout(now);
        }
    }

    /// Nothing that panics runs under this lock; if something ever did, the counts are still usable.
    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Core {
    fn choose(
        &mut self,
        flow: &Flow,
        avoid: &[DestinationId],
    ) -> Option<(DestinationId, Option<TemplateId>)> {
        let Some(persistence) = self.persistence else {
            return self.pool.pick_avoiding(flow, avoid).map(|id| (id, None));
        };
        let client = persistence.granularity.mask(flow.src);
        let known = self.templates.find(client);
        if let Some((template, id)) = known
            && self.pool.is_available(id)
            && !avoid.contains(&id)
        {
            return Some((id, Some(template)));
        }
        let id = self.pool.pick_avoiding(flow, avoid)?;
        let template = match known {
            Some((template, refused)) if avoid.contains(&refused) => {
                self.templates.redirect(template, id, persistence.timeout);
                self.pool.unbind_template(refused);
                template
            }
            _ => self
                .templates
                .insert(client, id, persistence.timeout, flow.now),
        };
        self.pool.bind_template(id);
        Some((id, Some(template)))
    }

    /// Drops what the pool has forgotten.
    fn forget_lost_destinations(&mut self) {
        let pool = &self.pool;
        self.destinations
            .retain(|id, _| pool.destination(*id).is_some());
    }
}

impl Booking {
    pub(crate) fn service(&self) -> &Arc<Service> {
        &self.service
    }

    pub(crate) fn destination(&self) -> &Arc<Destination> {
        &self.destination
    }

    /// The server has answered.
    pub(crate) fn establish(&self) {
        if let Some(template) = self.template {
            self.service.core().templates.assure(template);
        }
    }

    /// From active to inactive; done once.
    pub(crate) fn deactivate(&mut self) {
        if std::mem::take(&mut self.active) {
            self.service.core().pool.deactivate(self.destination.id);
        }
    }
}

impl Drop for Booking {
    fn drop(&mut self) {
        let mut core = self.service.core();
        if self.active {
            core.pool.deactivate(self.destination.id);
        }
        core.pool.unbind(self.destination.id);
        if let Some(template) = self.template {
            core.templates.release(template);
        }
    }
}

impl fmt::Debug for Booking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Booking")
            .field("service", &self.service.endpoint)
            .field("destination", &self.destination.address)
            .field("template", &self.template)
            .field("active", &self.active)
            .finish()
    }
}

/// As keepalived names it in its log: `[10.0.0.1]:tcp:80`.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Udp => "udp",
            _ => "tcp",
        };
        let (address, port) = (self.address.ip(), self.address.port());
        write!(f, "[{address}]:{protocol}:{port}")
    }
}
