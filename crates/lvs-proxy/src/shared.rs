//! What all workers and the control side of one proxy share.

use std::{
    pin::pin,
    sync::{
        Condvar, Mutex, PoisonError,
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
    /// Connections there may be at a time, by the number of files this process may open.
    pub(crate) capacity: usize,
    pub(crate) notices: Notices,
    started: Instant,
    timeouts: Mutex<StateTimeouts>,
    live: AtomicUsize,
    waiting: AtomicUsize,
    room: Notify,
    draining: AtomicBool,
    idle: Mutex<()>,
    became_idle: Condvar,
}

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
        while self.live() >= self.capacity {
            if let Some(held_back) = self.notices.at_capacity.admit(self.now()) {
                tracing::warn!(
                    connections = self.live(),
                    held_back,
                    "new clients wait until others end: raise the limit of open files"
                );
            }
            self.waiting.fetch_add(1, SeqCst);
            let mut notified = pin!(self.room.notified());
            // From here on no wake-up is missed, so a connection that closes before the next line counts.
            notified.as_mut().enable();
            if self.live() >= self.capacity {
                notified.await;
            }
            self.waiting.fetch_sub(1, SeqCst);
        }
    }

    pub(crate) fn connection_closed(&self) {
        let before = self.live.fetch_sub(1, SeqCst);
        if self.waiting.load(SeqCst) > 0 {
            // All of them: the one that is woken may have no client to accept.
            self.room.notify_waiters();
        }
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
