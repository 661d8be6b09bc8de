//! The TCP connections of one worker: those that live and those that linger.
//!
//! # Design
//! Everything here belongs to one thread, so there is no lock and no atomic. A connection's task holds a
//! [`Place`]; whichever way the task ends, dropping the place moves the entry from the living to the lingering.

use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::hash_map::RandomState,
    hash::BuildHasher as _,
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    task::Waker,
    time::Duration,
};

use ipvs_netlink::ConnectionEntry;
use tokio::task::AbortHandle;

use crate::{
    linger::{Kind, Lingering},
    relay::{Observer, PROBE_AFTER, Probe},
    service::Booking,
    shared::Shared,
    state::{StateTimeouts, TcpEvent, TcpState},
    stats::Way,
};

/// The connection table of one worker.
#[derive(Debug)]
pub(crate) struct Connections {
    worker: usize,
    shared: Arc<Shared>,
    tables: RefCell<Tables>,
    hasher: RandomState,
    /// The worker's clock, set once a second: fine enough for timeouts of minutes.
    now: Cell<Duration>,
}

#[derive(Debug)]
struct Tables {
    live: Vec<Option<Live>>,
    free: Vec<usize>,
    lingering: Lingering<Rc<Entry>>,
}

#[derive(Debug, Default)]
struct Live {
    entry: Option<Rc<Entry>>,
    task: Option<AbortHandle>,
}

/// One connection as the table shows it.
#[derive(Debug)]
struct Entry {
    client: SocketAddr,
    virtual_address: SocketAddr,
    booking: RefCell<Booking>,
    state: Cell<TcpState>,
    touched: Cell<Duration>,
    waker: OnceCell<Waker>,
    probe: Cell<bool>,
    /// When it was last wondered whether both ends live.
    probed: Cell<Duration>,
}

/// A connection's place in the table, from accept to the end of its task.
#[derive(Debug)]
pub(crate) struct Place {
    connections: Rc<Connections>,
    slot: usize,
    entry: Option<Rc<Entry>>,
}

/// Where a listing goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cursor {
    Live(usize),
    Lingering(usize),
}

impl Connections {
    pub(crate) fn new(worker: usize, shared: Arc<Shared>) -> Rc<Self> {
        let lingering = Lingering::new(shared.config.lingering_limit / shared.config.workers);
        Rc::new(Self {
            worker,
            now: Cell::new(shared.now()),
            shared,
            tables: RefCell::new(Tables {
                live: Vec::new(),
                free: Vec::new(),
                lingering,
            }),
            hasher: RandomState::new(),
        })
    }

    /// A place for a connection that was accepted just now.
    pub(crate) fn open(self: &Rc<Self>) -> Place {
        let mut tables = self.tables.borrow_mut();
        let slot = match tables.free.pop() {
            Some(slot) => slot,
            None => {
                tables.live.push(None);
                tables.live.len() - 1
            }
        };
        if let Some(place) = tables.live.get_mut(slot) {
            *place = Some(Live::default());
        }
        self.shared.connection_opened();
        Place {
            connections: Rc::clone(self),
            slot,
            entry: None,
        }
    }

    /// Names the task of the connection at `slot`, so that it can be cut.
    pub(crate) fn set_task(&self, slot: usize, task: AbortHandle) {
        if let Some(Some(live)) = self.tables.borrow_mut().live.get_mut(slot) {
            live.task = Some(task);
        }
    }

    /// What happens once a second: entries expire, connections that were half closed and then silent are cut.
    pub(crate) fn handle_timeout(&self, now: Duration) {
        self.now.set(now);
        loop {
            // In a statement of its own: dropping an entry must not find the tables borrowed.
            let expired = self.tables.borrow_mut().lingering.pop_expired(now);
            if expired.is_none() {
                break;
            }
        }
        let timeouts = self.shared.timeouts();
        for live in self.tables.borrow().live.iter().flatten() {
            if let (Some(entry), Some(task)) = (&live.entry, &live.task) {
                if entry.is_overdue(&timeouts, now) {
                    task.abort();
                } else if entry.is_silent(now) {
                    entry.probed.set(now);
                    entry.probe.set(true);
                    entry.waker.get().inspect(|waker| waker.wake_by_ref());
                }
            }
        }
    }

    /// Cuts every connection.
    pub(crate) fn cut_all(&self) {
        for live in self.tables.borrow().live.iter().flatten() {
            if let Some(task) = &live.task {
                task.abort();
            }
        }
    }

    /// Adds up to `limit` entries; returns where to go on, if there may be more.
    pub(crate) fn list(
        &self,
        mut cursor: Cursor,
        limit: usize,
        entries: &mut Vec<ConnectionEntry>,
    ) -> Option<Cursor> {
        let (now, timeouts) = (self.shared.now(), self.shared.timeouts());
        let tables = self.tables.borrow();
        for _ in 0..limit {
            cursor = match cursor {
                Cursor::Live(at) => match tables.live.get(at) {
                    Some(live) => {
                        if let Some(entry) = live.as_ref().and_then(|live| live.entry.as_ref()) {
                            entries.push(entry.line(entry.expires_in(&timeouts, now)));
                        }
                        Cursor::Live(at + 1)
                    }
                    None => Cursor::Lingering(0),
                },
                Cursor::Lingering(at) => {
                    let (next, expires, entry) = tables.lingering.at_or_after(at)?;
                    entries.push(entry.line(expires.saturating_sub(now)));
                    Cursor::Lingering(next)
                }
            };
        }
        Some(cursor)
    }

    fn key(&self, client: SocketAddr, virtual_address: SocketAddr) -> u64 {
        self.hasher.hash_one((client, virtual_address))
    }

    fn close(&self, slot: usize, entry: Option<Rc<Entry>>) {
        {
            let mut tables = self.tables.borrow_mut();
            if let Some(live) = tables.live.get_mut(slot) {
                *live = None;
            }
            tables.free.push(slot);
        }
        self.shared.connection_closed();
        let Some(entry) = entry else { return };
        entry.event(TcpEvent::Reset);
        let state = entry.state.get();
        let kind = if state == TcpState::TimeWait {
            Kind::TimeWait
        } else {
            Kind::Close
        };
        let key = self.key(entry.client, entry.virtual_address);
        let expires = self.now.get() + state.timeout(&StateTimeouts::default());
        let pushed_out = self
            .tables
            .borrow_mut()
            .lingering
            .insert(key, kind, expires, entry);
        drop(pushed_out);
    }
}

impl Place {
    pub(crate) fn slot(&self) -> usize {
        self.slot
    }

    /// Connects to what was booked from now on; gives an earlier booking back.
    ///
    /// An entry that lingers from an earlier connection of the same client port goes now, so the scheduler has
    /// still seen it, as in the kernel.
    pub(crate) fn book(
        &mut self,
        client: SocketAddr,
        virtual_address: SocketAddr,
        booking: Booking,
    ) {
        booking
            .destination()
            .counters
            .cell(self.connections.worker)
            .connection();
        if self.entry.is_none() {
            booking
                .service()
                .counters
                .cell(self.connections.worker)
                .connection();
        }
        let entry = Rc::new(Entry {
            client,
            virtual_address,
            booking: RefCell::new(booking),
            state: Cell::new(TcpState::SynRecv),
            touched: Cell::new(self.connections.now.get()),
            waker: OnceCell::new(),
            probe: Cell::new(false),
            probed: Cell::default(),
        });
        self.entry = Some(Rc::clone(&entry));
        let key = self.connections.key(client, virtual_address);
        let (replaced, same) = {
            let mut tables = self.connections.tables.borrow_mut();
            let live = tables.live.get_mut(self.slot).and_then(Option::as_mut);
            let replaced = live.and_then(|live| live.entry.replace(entry));
            (replaced, tables.lingering.remove(key))
        };
        drop((replaced, same));
    }

    /// Gives the booking back: no server was found. Nothing lingers.
    pub(crate) fn unbook(&mut self) {
        self.entry = None;
        let replaced = {
            let mut tables = self.connections.tables.borrow_mut();
            tables
                .live
                .get_mut(self.slot)
                .and_then(Option::as_mut)
                .and_then(|live| live.entry.take())
        };
        drop(replaced);
    }

    /// The chosen server has accepted.
    pub(crate) fn connected(&self) {
        if let Some(entry) = &self.entry {
            entry.event(TcpEvent::Connected);
            entry.touched.set(self.connections.now.get());
            entry.booking.borrow().establish();
        }
    }
}

impl Observer for Place {
    fn polled(&self, waker: &Waker) -> Probe {
        let Some(entry) = &self.entry else {
            return Probe::Unwanted;
        };
        // A task has one waker for all its life.
        entry.waker.get_or_init(|| waker.clone());
        if entry.probe.take() {
            Probe::Wanted
        } else {
            Probe::Unwanted
        }
    }

    fn moved(&self, way: Way, bytes: usize) {
        if let Some(entry) = &self.entry {
            let worker = self.connections.worker;
            let booking = entry.booking.borrow();
            booking.service().counters.cell(worker).packet(way, bytes);
            booking
                .destination()
                .counters
                .cell(worker)
                .packet(way, bytes);
            entry.touched.set(self.connections.now.get());
        }
    }

    fn ended(&self, way: Way) {
        if let Some(entry) = &self.entry {
            entry.event(TcpEvent::Fin(way));
            entry.touched.set(self.connections.now.get());
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.close(self.slot, self.entry.take());
    }
}

impl Entry {
    fn event(&self, event: TcpEvent) {
        let state = self.state.get().after(event);
        self.state.set(state);
        if !state.is_active() {
            self.booking.borrow_mut().deactivate();
        }
    }

    /// A connection that is open both ways is never overdue: probes of TCP find out whether both ends live, and
    /// count as its traffic.
    fn is_overdue(&self, timeouts: &StateTimeouts, now: Duration) -> bool {
        let state = self.state.get();
        matches!(state, TcpState::FinWait | TcpState::CloseWait)
            && now.saturating_sub(self.touched.get()) >= state.timeout(timeouts)
    }

    /// Long enough to wonder, for the first time or again, whether both ends live.
    fn is_silent(&self, now: Duration) -> bool {
        let last = self.touched.get().max(self.probed.get());
        now.saturating_sub(last) >= PROBE_AFTER
    }

    fn expires_in(&self, timeouts: &StateTimeouts, now: Duration) -> Duration {
        let timeout = self.state.get().timeout(timeouts);
        let idle = now.saturating_sub(self.touched.get());
        let round = idle
            .as_millis()
            .checked_rem(timeout.as_millis())
            .unwrap_or(0);
        timeout.saturating_sub(Duration::from_millis(
            u64::try_from(round).unwrap_or(u64::MAX),
        ))
    }

    fn line(&self, expires: Duration) -> ConnectionEntry {
        ConnectionEntry {
            protocol: "TCP".to_owned(),
            client: self.client,
            virtual_address: self.virtual_address,
            destination: self.booking.borrow().destination().address,
            state: self.state.get().name().to_owned(),
            expires,
            engine: None,
        }
    }
}
