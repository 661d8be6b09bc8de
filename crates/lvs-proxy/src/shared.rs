//! What all workers and the control side of one proxy share.

use std::{
    pin::pin,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use crate::{ProxyConfig, limiter::Limiter, state::StateTimeouts};

/// Shared by reference counting; everything in it may be used from any thread.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: ProxyConfig,
    /// Connections there may be at a time, by the number of files this process may open. A UDP flow takes one
    /// file and so counts half; all flows together may take half of it.
    capacity: usize,
    pub(crate) notices: Notices,
    started: Instant,
    timeouts: Mutex<StateTimeouts>,
    live: AtomicUsize,
    flows: AtomicUsize,
    waiting: AtomicUsize,
    room: Notify,
    draining: AtomicBool,
    idle: Mutex<()>,
    became_idle: Condvar,
}

/// The file of a UDP flow, given back when dropped.
#[derive(Debug)]
pub(crate) struct FlowPlace(Arc<Shared>);

/// One more task that waits for room, until dropped.
struct Waiting<'a>(&'a AtomicUsize);

/// One limiter for each thing that clients or servers can provoke.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    pub(crate) nobody_available: Limiter,
    pub(crate) connect_failed: Limiter,
    pub(crate) out_of_files: Limiter,
    pub(crate) at_capacity: Limiter,
}

impl Shared {
    pub(crate) fn new(config: ProxyConfig, capacity: usize) -> Self {
        Self {
            config,
            capacity,
            notices: Notices::default(),
            started: Instant::now(),
            timeouts: Mutex::default(),
            live: AtomicUsize::new(0),
            flows: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            room: Notify::new(),
            draining: AtomicBool::new(false),
            idle: Mutex::new(()),
            became_idle: Condvar::new(),
        }
    }

    /// The proxy's clock: time since its start.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn timeouts(&self) -> StateTimeouts {
        *self.timeouts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_timeouts(&self, timeouts: StateTimeouts) {
        *self.timeouts.lock().unwrap_or_else(PoisonError::into_inner) = timeouts;
    }

    /// TCP connections that have sockets.
    pub(crate) fn live(&self) -> usize {
        self.live.load(SeqCst)
    }

    pub(crate) fn connection_opened(&self) {
        self.live.fetch_add(1, SeqCst);
    }

    /// Waits until there is room for one more connection.
    pub(crate) async fn room(&self) {
        while self.is_full() {
            if let Some(held_back) = self.notices.at_capacity.admit(self.now()) {
                tracing::warn!(
                    connections = self.live(),
                    flows = self.flows.load(SeqCst),
                    held_back,
                    "new clients wait until others end: raise the limit of open files"
                );
            }
            let _waiting = Waiting::new(&self.waiting);
            let mut notified = pin!(self.room.notified());
            // From here on no wake-up is missed, so a connection that closes before the next line counts.
            notified.as_mut().enable();
            if self.is_full() {
                notified.await;
            }
        }
    }

    /// A place for one more UDP flow, if there is one. Flows never take the last files: whoever sends from many
    /// ports must not keep TCP clients out.
    pub(crate) fn flow(self: &Arc<Self>) -> Option<FlowPlace> {
        let is_full = self.is_full();
        let before = self.flows.fetch_add(1, SeqCst);
        let place = FlowPlace(Arc::clone(self));
        (!is_full && before < self.capacity).then_some(place)
    }

    fn is_full(&self) -> bool {
        self.live() + self.flows.load(SeqCst).div_ceil(2) >= self.capacity
    }

    fn wake_waiting(&self) {
        if self.waiting.load(SeqCst) > 0 {
            // All of them: the one that is woken may have no client to accept.
            self.room.notify_waiters();
        }
    }

    pub(crate) fn connection_closed(&self) {
        let before = self.live.fetch_sub(1, SeqCst);
        self.wake_waiting();
        if before == 1 && self.draining.load(SeqCst) {
            let _guard = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            self.became_idle.notify_all();
        }
    }

    /// Waits until no connection is left, but not longer than `limit`. Returns how many are left.
    pub(crate) fn wait_idle(&self, limit: Duration) -> usize {
        self.draining.store(true, SeqCst);
        let guard = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .became_idle
            .wait_timeout_while(guard, limit, |()| self.live() > 0);
        drop(waited);
        self.live()
    }
}

impl Drop for FlowPlace {
    fn drop(&mut self) {
        self.0.flows.fetch_sub(1, SeqCst);
        self.0.wake_waiting();
    }
}

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future as _,
        task::{Context, Waker},
    };

    use super::*;

    #[test]
    fn flows_leave_half_of_the_files_to_connections() {
        let shared = Arc::new(Shared::new(ProxyConfig::default(), 4));
        let mut flows: Vec<_> = std::iter::from_fn(|| shared.flow()).collect();
        assert_eq!(flows.len(), 4);
        assert!(!shared.is_full());
        shared.connection_opened();
        shared.connection_opened();
        assert!(shared.is_full(), "four files of flows, four of connections");
        flows.truncate(2);
        assert!(!shared.is_full());
        shared.connection_opened();
        assert!(shared.flow().is_none(), "and none is counted");
        flows.clear();
        assert!(!shared.is_full());
        assert!(shared.flow().is_some());
    }

    #[test]
    fn a_flow_that_ends_makes_room_and_who_gives_up_waits_no_more() {
        let shared = Arc::new(Shared::new(ProxyConfig::default(), 1));
        let flow = shared.flow().expect("room");
        let mut cx = Context::from_waker(Waker::noop());
        {
            let mut first = pin!(shared.room());
            let mut second = Box::pin(shared.room());
            assert!(first.as_mut().poll(&mut cx).is_pending());
            assert!(second.as_mut().poll(&mut cx).is_pending());
            assert_eq!(shared.waiting.load(SeqCst), 2);
            drop(second);
            assert_eq!(shared.waiting.load(SeqCst), 1);
            drop(flow);
            assert!(first.as_mut().poll(&mut cx).is_ready());
        }
        assert_eq!(shared.waiting.load(SeqCst), 0);
    }
}
