//! One service's destinations under one scheduler: the part a dataplane talks to.
//!
//! # Design
//!
//! The pool is the whole state the kernel keeps for choosing servers, and nothing else: no
//! connections, no sockets, no clock. A dataplane reports what happens to its connections (bound,
//! active, inactive, gone) and asks for a server per new flow. All calls but [`Pool::add`],
//! [`Pool::edit`] and [`Pool::remove`] are free of allocation (lblc and lblcr remember new
//! addresses in [`Pool::pick`]), and all take time proportional to the number of destinations at
//! worst, so one mutex around a pool, taken per connection, is enough.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::destination::MAX_WEIGHT;
use crate::{
    Change, Destination, DestinationConfig, DestinationId, Destinations, Flow, Scheduler,
    SchedulerKind, Settings, least, overload,
};

/// A change of the destination list that is refused; the list stays as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError {
    /// It is in the service already. The kernel's answer is `EEXIST`.
    #[error("destination {0} exists")]
    Exists(SocketAddr),
    /// It is not in the service. The kernel's answer is `ENOENT`.
    #[error("no destination {0}")]
    NotFound(SocketAddr),
    /// The weight is above [`MAX_WEIGHT`]. The kernel's answer is `ERANGE`.
    #[error("weight {0} is above {MAX_WEIGHT}")]
    Weight(u32),
    /// The lower threshold is above the upper one. The kernel's answer is `ERANGE`.
    #[error("lower threshold {lower} is above upper threshold {upper}")]
    Thresholds {
        /// The lower threshold asked for.
        lower: u32,
        /// The upper threshold asked for.
        upper: u32,
    },
}

/// The destinations of a service and the scheduler that chooses among them.
#[derive(Debug)]
pub struct Pool {
    destinations: Destinations,
    scheduler: Box<dyn Scheduler>,
    settings: Settings,
}

/// # Configuration
impl Pool {
    /// A pool without destinations whose scheduler starts at `now`.
    #[must_use]
    pub fn new(kind: SchedulerKind, settings: impl Into<Settings>, now: Duration) -> Self {
        let settings = settings.into();
        let destinations = Destinations::default();
        let scheduler = kind.start(&settings, &destinations, now);
        Self {
            destinations,
            scheduler,
            settings,
        }
    }

    /// The scheduler in use.
    #[must_use]
    pub fn kind(&self) -> SchedulerKind {
        self.scheduler.kind()
    }

    /// The settings in use.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Replaces the settings; they count from the next pick on, the scheduler's state stays.
    pub fn set_settings(&mut self, settings: impl Into<Settings>) {
        self.settings = settings.into();
        self.scheduler.configure(&self.settings);
    }

    /// Switches to another scheduler, which starts from the present destinations at `now`.
    ///
    /// The same kind again changes nothing at all: its state goes on. Connections and counts stay
    /// in any case.
    pub fn set_scheduler(&mut self, kind: SchedulerKind, now: Duration) {
        if kind != self.scheduler.kind() {
            self.restart(kind, now);
        }
    }

    /// Throws the scheduler's state away and starts one from the present destinations at `now`, be
    /// it of the same kind: what happens to a service that is deleted and created again.
    pub fn restart(&mut self, kind: SchedulerKind, now: Duration) {
        self.scheduler = kind.start(&self.settings, &self.destinations, now);
    }

    /// Adds a destination at the head of the list.
    ///
    /// One that was removed before returns with its id, its counts and its overloaded mark.
    ///
    /// # Errors
    ///
    /// [`PoolError::Exists`], [`PoolError::Weight`], [`PoolError::Thresholds`].
    pub fn add(
        &mut self,
        address: IpAddr,
        port: u16,
        config: DestinationConfig,
    ) -> Result<DestinationId, PoolError> {
        check(&config)?;
        if self.destinations.find(address, port).is_some() {
            return Err(PoolError::Exists(SocketAddr::new(address, port)));
        }
        let id = self.destinations.insert(address, port, &config);
        self.scheduler
            .update(&self.destinations, Change::Added { position: 0 });
        Ok(id)
    }

    /// Writes new settings to a destination; place, counts and connections stay.
    ///
    /// # Errors
    ///
    /// [`PoolError::NotFound`], [`PoolError::Weight`], [`PoolError::Thresholds`].
    pub fn edit(
        &mut self,
        address: IpAddr,
        port: u16,
        config: DestinationConfig,
    ) -> Result<DestinationId, PoolError> {
        check(&config)?;
        let not_found = PoolError::NotFound(SocketAddr::new(address, port));
        let position = self.destinations.find(address, port).ok_or(not_found)?;
        let id = self
            .destinations
            .write(position, &config)
            .ok_or(not_found)?;
        self.scheduler
            .update(&self.destinations, Change::Edited { position });
        Ok(id)
    }

    /// Takes a destination out of the service. Its connections stay and keep counting.
    ///
    /// # Errors
    ///
    /// [`PoolError::NotFound`].
    pub fn remove(&mut self, address: IpAddr, port: u16) -> Result<DestinationId, PoolError> {
        let not_found = PoolError::NotFound(SocketAddr::new(address, port));
        let position = self.destinations.find(address, port).ok_or(not_found)?;
        let id = self.destinations.take_out(position).ok_or(not_found)?;
        self.scheduler
            .update(&self.destinations, Change::Removed { position });
        Ok(id)
    }
}

/// # Reading
impl Pool {
    /// The destinations in the service, in the kernel's order: added last, first in the list.
    #[must_use]
    pub fn destinations(&self) -> &[Destination] {
        self.destinations.listed()
    }

    /// The removed destinations that may return with what they had.
    #[must_use]
    pub fn removed(&self) -> &[Destination] {
        self.destinations.removed()
    }

    /// The destination of this id, in the service or removed; `None` if it is forgotten.
    #[must_use]
    pub fn destination(&self, id: DestinationId) -> Option<&Destination> {
        self.destinations.get(id)
    }

    /// Is the destination in the service (the kernel's mark *available*).
    #[must_use]
    pub fn is_available(&self, id: DestinationId) -> bool {
        self.destinations.position(id).is_some()
    }

    /// The destination in the service with this address and port.
    #[must_use]
    pub fn find(&self, address: IpAddr, port: u16) -> Option<DestinationId> {
        let position = self.destinations.find(address, port)?;
        self.destinations.listed().get(position).map(|d| d.id)
    }
}

/// # Choosing
impl Pool {
    /// The destination for a new flow, or `None` if none may take it. The caller binds it.
    pub fn pick(&mut self, flow: &Flow) -> Option<DestinationId> {
        self.scheduler.pick(&self.destinations, flow)
    }

    /// As [`pick`](Self::pick), but never one of `avoid`: for a flow whose first choice refused it.
    ///
    /// The avoided ones are treated as quiesced and overloaded for this one pick. Should the
    /// scheduler then have no answer although others are eligible (dh always, sh and mh without
    /// fallback), the choice of wlc among those is taken: a client is served by another server
    /// rather than by none. The kernel knows no such thing.
    pub fn pick_avoiding(&mut self, flow: &Flow, avoid: &[DestinationId]) -> Option<DestinationId> {
        if avoid.is_empty() {
            return self.pick(flow);
        }
        self.destinations.hide(avoid);
        let choice = self
            .scheduler
            .pick(&self.destinations, flow)
            .or_else(|| least::wlc(self.destinations.listed()).map(|d| d.id));
        self.destinations.unhide();
        choice
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.scheduler.poll_timeout()
    }

    /// The scheduler's housekeeping, if it is due at `now`.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.scheduler.handle_timeout(now);
    }
}

/// # Connections
///
/// An id that is not known (any more) is ignored; a count never goes below 0.
impl Pool {
    /// A new connection goes to this destination. It counts as inactive at first; the overloaded
    /// mark is set if it fills the destination.
    pub fn bind(&mut self, id: DestinationId) {
        if let Some(d) = self.destinations.get_mut(id) {
            d.inactive_conns = d.inactive_conns.saturating_add(1);
            overload::on_bind(d);
        }
    }

    /// A connection of this destination turned from inactive to active.
    pub fn activate(&mut self, id: DestinationId) {
        if let Some(d) = self.destinations.get_mut(id) {
            d.inactive_conns = d.inactive_conns.saturating_sub(1);
            d.active_conns = d.active_conns.saturating_add(1);
        }
    }

    /// A connection of this destination turned from active to inactive.
    pub fn deactivate(&mut self, id: DestinationId) {
        if let Some(d) = self.destinations.get_mut(id) {
            d.active_conns = d.active_conns.saturating_sub(1);
            d.inactive_conns = d.inactive_conns.saturating_add(1);
        }
    }

    /// An inactive connection of this destination is gone; may clear the overloaded mark.
    ///
    /// An active one is [deactivated](Self::deactivate) first.
    pub fn unbind(&mut self, id: DestinationId) {
        if let Some(d) = self.destinations.get_mut(id) {
            d.inactive_conns = d.inactive_conns.saturating_sub(1);
            overload::on_unbind(d);
        }
    }

    /// A persistence template points at this destination. Templates count in
    /// [`Destination::persist_conns`] only, but the overloaded mark is looked at.
    pub fn bind_template(&mut self, id: DestinationId) {
        if let Some(d) = self.destinations.get_mut(id) {
            d.persist_conns = d.persist_conns.saturating_add(1);
            overload::on_bind(d);
        }
    }

    /// A persistence template of this destination is gone; may clear the overloaded mark.
    pub fn unbind_template(&mut self, id: DestinationId) {
        if let Some(d) = self.destinations.get_mut(id) {
            d.persist_conns = d.persist_conns.saturating_sub(1);
            overload::on_unbind(d);
        }
    }

    /// Takes over counts that somebody else has kept (a kernel, a trace).
    ///
    /// If the total rises, the overloaded mark is looked at as after a bind, if it falls, as after
    /// an unbind; otherwise it stays.
    pub fn restate(&mut self, id: DestinationId, active_conns: u32, inactive_conns: u32) {
        if let Some(d) = self.destinations.get_mut(id) {
            let before = d.total_conns();
            d.active_conns = active_conns;
            d.inactive_conns = inactive_conns;
            match d.total_conns().cmp(&before) {
                std::cmp::Ordering::Greater => overload::on_bind(d),
                std::cmp::Ordering::Less => overload::on_unbind(d),
                std::cmp::Ordering::Equal => {}
            }
        }
    }
}

fn check(config: &DestinationConfig) -> Result<(), PoolError> {
    if config.weight > MAX_WEIGHT {
        return Err(PoolError::Weight(config.weight));
    }
    if config.lower_threshold > config.upper_threshold {
        return Err(PoolError::Thresholds {
            lower: config.lower_threshold,
            upper: config.upper_threshold,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{add, edit, flow, pool, remove, server};

    fn list(pool: &Pool) -> Vec<String> {
        pool.destinations()
            .iter()
            .map(|d| d.socket_addr().to_string())
            .collect()
    }

    #[test]
    fn added_at_the_head_edited_in_place() {
        let mut pool = pool(SchedulerKind::RoundRobin, Settings::default(), &[1, 1, 1]);
        let order = ["192.168.0.3:8080", "192.168.0.2:8080", "192.168.0.1:8080"];
        assert_eq!(list(&pool), order);
        edit(&mut pool, 1, 5);
        assert_eq!(list(&pool), order);
        remove(&mut pool, 2);
        add(&mut pool, 2, 1);
        assert_eq!(
            list(&pool),
            ["192.168.0.2:8080", "192.168.0.3:8080", "192.168.0.1:8080"]
        );
    }

    #[test]
    fn one_that_returns_has_its_counts_its_mark_and_its_id() {
        let mut pool = pool(SchedulerKind::RoundRobin, Settings::default(), &[1, 1]);
        let limited = DestinationConfig {
            weight: 3,
            upper_threshold: 2,
            lower_threshold: 0,
        };
        let id = pool.edit(server(1), 8080, limited).unwrap();
        pool.bind(id);
        pool.bind(id);
        pool.activate(id);
        remove(&mut pool, 1);
        assert!(!pool.is_available(id));
        assert_eq!(
            pool.destination(id).unwrap().active_conns,
            1,
            "it keeps counting"
        );
        assert_eq!(pool.add(server(1), 8080, limited), Ok(id));
        let back = pool.destination(id).unwrap();
        assert_eq!(
            (back.active_conns, back.inactive_conns, back.overloaded),
            (1, 1, true)
        );
        remove(&mut pool, 1);
        pool.add(
            server(1),
            8080,
            DestinationConfig {
                upper_threshold: 3,
                ..limited
            },
        )
        .unwrap();
        assert!(
            !pool.destination(id).unwrap().overloaded,
            "back with a higher limit"
        );
    }

    #[test]
    fn the_last_weight_is_that_of_the_add_or_of_an_edit_above_0() {
        let mut pool = pool(SchedulerKind::RoundRobin, Settings::default(), &[4]);
        let last = |pool: &Pool| pool.destinations()[0].last_weight;
        edit(&mut pool, 1, 0);
        assert_eq!(last(&pool), 4);
        edit(&mut pool, 1, 7);
        assert_eq!(last(&pool), 7);
        remove(&mut pool, 1);
        add(&mut pool, 1, 0);
        assert_eq!(last(&pool), 0);
    }

    #[test]
    fn changes_that_the_kernel_refuses() {
        let mut pool = pool(SchedulerKind::RoundRobin, Settings::default(), &[1]);
        let config = DestinationConfig::default();
        let add = pool.add(server(1), 8080, config).unwrap_err();
        assert_eq!(add.to_string(), "destination 192.168.0.1:8080 exists");
        let edit = pool.edit(server(2), 8080, config).unwrap_err();
        assert_eq!(edit.to_string(), "no destination 192.168.0.2:8080");
        assert_eq!(pool.remove(server(2), 8080), Err(edit));
        let lower = DestinationConfig {
            lower_threshold: 1,
            ..config
        };
        let error = pool.add(server(2), 8080, lower).unwrap_err();
        assert_eq!(
            error.to_string(),
            "lower threshold 1 is above upper threshold 0"
        );
        let heavy = DestinationConfig::with_weight(MAX_WEIGHT + 1);
        assert_eq!(
            pool.edit(server(1), 8080, heavy),
            Err(PoolError::Weight(MAX_WEIGHT + 1))
        );
        assert_eq!(pool.destinations().len(), 1);
    }

    #[test]
    fn stale_ids_and_counts_below_0_are_harmless() {
        let mut pool = pool(SchedulerKind::RoundRobin, Settings::default(), &[1]);
        let id = pool.find(server(1), 8080).unwrap();
        pool.unbind(id);
        pool.deactivate(id);
        pool.unbind_template(id);
        let stale = DestinationId {
            slot: 77,
            generation: 0,
        };
        pool.bind(stale);
        assert!(pool.destination(stale).is_none());
        let counts = |d: &Destination| (d.active_conns, d.inactive_conns, d.persist_conns);
        assert_eq!(counts(&pool.destinations()[0]), (0, 1, 0));
    }

    #[test]
    fn many_idle_removed_ones_are_forgotten_the_oldest_first_busy_ones_never() {
        use crate::destinations::IDLE_REMOVED_KEPT;
        let mut pool = pool(SchedulerKind::RoundRobin, Settings::default(), &[]);
        let config = DestinationConfig::default();
        let mut ids = Vec::new();
        for port in 0..IDLE_REMOVED_KEPT as u16 + 10 {
            let id = pool.add(server(1), port, config).unwrap();
            if port == 0 {
                pool.bind(id);
            }
            pool.remove(server(1), port).unwrap();
            ids.push(id);
        }
        assert_eq!(pool.removed().len(), IDLE_REMOVED_KEPT + 1);
        assert_eq!(
            pool.add(server(1), 0, config),
            Ok(ids[0]),
            "busy, so it was kept"
        );
        assert!(pool.destination(ids[1]).is_none());
        assert!(pool.destination(ids[9]).is_none());
        assert!(pool.destination(ids[10]).is_some());
        let again = pool.add(server(1), 1, config).unwrap();
        assert!(
            !ids.contains(&again),
            "a forgotten id is not given out again"
        );
        pool.bind(ids[1]);
        assert_eq!(pool.destination(again).unwrap().total_conns(), 0);
    }

    #[test]
    fn avoiding_falls_back_to_wlc_where_the_scheduler_has_one_answer_only() {
        let mut pool = pool(SchedulerKind::SourceHash, Settings::default(), &[1, 1, 1]);
        let home = pool.pick(&flow()).unwrap();
        let others: Vec<_> = pool
            .destinations()
            .iter()
            .map(|d| d.id)
            .filter(|id| *id != home)
            .collect();
        assert_eq!(pool.pick_avoiding(&flow(), &[home]), Some(others[0]));
        pool.bind(others[0]);
        assert_eq!(pool.pick_avoiding(&flow(), &[home, home]), Some(others[1]));
        assert_eq!(
            pool.pick_avoiding(&flow(), &[home, others[0], others[1]]),
            None
        );
        assert_eq!(pool.pick_avoiding(&flow(), &[]), Some(home));
        assert_eq!(pool.pick(&flow()), Some(home), "nothing is left of it");
    }
}
