//! What all workers and the control side of one proxy share.

use std::{
    sync::{
        Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use crate::{ProxyConfig, limiter::Limiter, state::StateTimeouts};

/// Shared by reference counting; everything in it may be used from any thread.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: ProxyConfig,
    /// Connections one worker may have at a time, by the number of files this process may open.
    pub(crate) worker_capacity: usize,
    pub(crate) notices: Notices,
    started: Instant,
    timeouts: Mutex<StateTimeouts>,
    live: AtomicUsize,
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
    pub(crate) fn new(config: ProxyConfig, worker_capacity: usize) -> Self {
        Self {
            config,
            worker_capacity,
            notices: Notices::default(),
            started: Instant::now(),
            timeouts: Mutex::default(),
            live: AtomicUsize::new(0),
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

    pub(crate) fn connection_closed(&self) {
        if self.live.fetch_sub(1, SeqCst) == 1 && self.draining.load(SeqCst) {
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
