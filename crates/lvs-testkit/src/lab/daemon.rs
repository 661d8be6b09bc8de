//! A program that runs in a host for as long as the test needs it.

use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::Process;

/// A running program. It ends with the lab, by SIGTERM and then SIGKILL, not with this handle;
/// clones are the same program.
#[derive(Clone, Debug)]
pub struct Daemon(Arc<Mutex<Process>>);

impl Daemon {
    pub(super) fn new(process: Process) -> Self {
        Self(Arc::new(Mutex::new(process)))
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.process().id()
    }

    /// All that it has printed so far, both streams in the order of arrival.
    pub fn output(&self) -> String {
        self.process().output()
    }

    /// Waits until a line of the output contains `text`.
    ///
    /// # Panics
    ///
    /// When that has not happened within `limit`, or it has ended without it; with its output.
    #[track_caller]
    pub fn wait_for(&self, text: &str, limit: Duration) {
        self.process().wait_for(text, limit);
    }

    /// Sends a signal.
    ///
    /// # Panics
    ///
    /// When it has ended and been waited for.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        self.process().signal(signal);
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// When it still runs after `limit`.
    #[track_caller]
    pub fn wait(&self, limit: Duration) -> ExitStatus {
        self.process().wait(limit)
    }

    /// Ends it by SIGTERM and waits.
    ///
    /// # Panics
    ///
    /// When it has ended before, or still runs after `limit`.
    #[track_caller]
    pub fn stop(&self, limit: Duration) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.wait(limit)
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
