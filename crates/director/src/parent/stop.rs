//! SIGTERM: no new connections, time for the old ones, then the end. A second one ends at once.

use std::time::Duration;

use nix::sys::signal::Signal;
use tracing::{error, info};

use super::{Event, Parent};
use crate::exit::Exit;
use crate::message::{ToChecker, ToProxy, ToVrrp};

/// A stop under way.
pub(super) struct Stopping {
    /// Counts the deadlines: one that was replaced by an earlier one is told apart by it.
    deadline: u64,
    exit: Exit,
}

impl Parent {
    /// A stop is asked for, for the first time or again.
    pub(super) fn stop(&mut self) {
        if self.stopping.is_some() {
            info!("Stopping at once");
            self.proxy.signal(Signal::SIGKILL);
            self.deadline_in(Duration::from_secs(1));
            return;
        }
        info!("Stopping");
        self.end_with(Exit::Ok);
    }

    /// Ends everything in good order, then exits so.
    pub(super) fn end_with(&mut self, exit: Exit) {
        if self.stopping.is_some() {
            return;
        }
        self.stopping = Some(Stopping { deadline: 0, exit });
        let drain = match exit {
            Exit::Ok => self.options.drain,
            _ => Duration::ZERO,
        };
        // First of all: another machine takes the addresses, and the new connections with them.
        self.vrrp.send(ToVrrp::Stop);
        self.proxy.send(ToProxy::Drain(drain));
        self.checker.send(ToChecker::Stop);
        self.deadline_in(drain.saturating_add(self.config.globals.child_wait_time));
        self.stopped_child();
    }

    fn deadline_in(&mut self, time: Duration) {
        let Some(stopping) = &mut self.stopping else {
            return;
        };
        stopping.deadline += 1;
        let number = stopping.deadline;
        let events = self.events.clone();
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            let _ = events.send(Event::StopLate(number));
        });
    }

    /// The time is over: what still runs is killed.
    pub(super) fn stop_late(&mut self, number: u64) {
        if !matches!(&self.stopping, Some(stopping) if stopping.deadline == number) {
            return;
        }
        for (pid, is_running) in [
            (self.checker.pid(), self.checker.is_running()),
            (self.proxy.pid(), self.proxy.is_running()),
            (self.vrrp.pid(), self.vrrp.is_running()),
        ] {
            if is_running {
                let pid = pid.unwrap_or_default();
                error!("pid {pid}: process failed to die - forcing termination");
            }
        }
        self.checker.signal(Signal::SIGKILL);
        self.proxy.signal(Signal::SIGKILL);
        self.vrrp.signal(Signal::SIGKILL);
    }

    /// A child ended while stopping; with the last one the parent ends.
    pub(super) fn stopped_child(&mut self) {
        if let Some(stopping) = &self.stopping
            && !self.checker.is_running()
            && !self.proxy.is_running()
            && !self.vrrp.is_running()
        {
            self.exit = Some(stopping.exit);
        }
    }
}
