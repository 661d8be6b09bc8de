//! SIGTERM: addresses to another machine, no new connections, time for the old ones, then the end.
//! A second one ends at once.
//!
//! # Design
//! As long as a virtual address is here, so is what serves it: a client whose packet finds nobody is
//! refused, one whose packet is not answered tries again, and then another director is there. So
//! the checker and the proxy are told to stop when the VRRP process holds no address any more.

use std::time::Duration;

use nix::sys::signal::Signal;
use tracing::info;

use super::{Event, Parent};
use crate::exit::Exit;
use crate::message::{ToChecker, ToProxy, ToVrrp};

/// A stop under way.
pub(super) struct Stopping {
    /// Counts the deadlines: one that was replaced by an earlier one is told apart by it.
    deadline: u64,
    exit: Exit,
    /// Whether no address is held any more, so that checker and proxy know.
    is_released: bool,
}

impl Parent {
    /// A stop is asked for, for the first time or again.
    pub(super) fn stop(&mut self) {
        if self.stopping.is_some() {
            info!("Stopping at once");
            self.released();
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
        self.stopping = Some(Stopping {
            deadline: 0,
            exit,
            is_released: false,
        });
        self.vrrp.send(ToVrrp::Stop);
        self.deadline_in(self.config.globals.child_wait_time);
        if self.masters.is_empty() {
            self.released();
        }
        self.stopped_child();
    }

    /// While stopping: no virtual address is held any more.
    pub(super) fn released(&mut self) {
        let Some(stopping) = &mut self.stopping else {
            return;
        };
        if std::mem::replace(&mut stopping.is_released, true) {
            return;
        }
        let drain = match stopping.exit {
            Exit::Ok => self.options.drain,
            _ => Duration::ZERO,
        };
        self.proxy.send(ToProxy::Drain(drain));
        self.checker.send(ToChecker::Stop);
        self.deadline_in(drain.saturating_add(self.config.globals.child_wait_time));
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
        let is_released = match &self.stopping {
            Some(stopping) if stopping.deadline == number => stopping.is_released,
            _ => return,
        };
        self.vrrp.force();
        if is_released {
            self.checker.force();
            self.proxy.force();
        }
    }

    /// A child ended while stopping; with the last one the parent ends.
    pub(super) fn stopped_child(&mut self) {
        if !self.vrrp.is_running() {
            self.released();
        }
        if let Some(stopping) = &self.stopping
            && !self.checker.is_running()
            && !self.proxy.is_running()
            && !self.vrrp.is_running()
        {
            self.exit = Some(stopping.exit);
        }
    }
}
