//! The thread that keeps the sessions' time.
//!
//! # Design
//! As the thread of the virtual routers: one `ppoll` with a deadline in nanoseconds, sockets before
//! deadlines, no decision. Sessions of a few milliseconds shall not wait for a failover of hundreds of
//! virtual routers, nor these for them, so each has a thread.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::os::fd::{AsFd, BorrowedFd};

use bfd_proto::{Name, NamedSession, Node, Output, Reason, State, Time, Transition, Transmit};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use vrrp_proto::TrackStatus;

use super::sockets::Sockets;
use super::{BfdNews, Order, report};
use crate::vrrp::clock;
use crate::vrrp::mailbox::Mailbox;
use crate::vrrp::news::{Desk, News};
use crate::vrrp::order;
use crate::vrrp::seam::{Reports, tracker};

/// How many packets of a socket are read before deadlines are looked at: a stranger's flood must not
/// keep us from sending.
const PACKETS_AT_ONCE: usize = 256;

/// Everything that the thread has.
pub(super) struct Driver {
    node: Node,
    sockets: Sockets,
    orders: Mailbox<Order>,
    routers: Mailbox<order::Order>,
    reports: Reports,
    desk: Desk,
    /// Sessions whose packets could not be sent the last time.
    unsent: BTreeSet<Name>,
    is_done: bool,
}

impl Driver {
    /// Without sessions.
    pub(super) fn new(
        orders: Mailbox<Order>,
        routers: Mailbox<order::Order>,
        reports: Reports,
        desk: Desk,
    ) -> Self {
        Self {
            // The standard library asks the system for its keys.
            node: Node::new(RandomState::new().hash_one(0)),
            sockets: Sockets::default(),
            orders,
            routers,
            reports,
            desk,
            unsent: BTreeSet::new(),
            is_done: false,
        }
    }

    /// Works until it is told to stop.
    pub(super) fn run(mut self) {
        while !self.is_done {
            let deadlines = [self.node.poll_timeout(), self.sockets.poll_timeout()];
            let deadline = deadlines.into_iter().flatten().min();
            let Ready { orders, sockets } = self.wait(deadline);
            for number in sockets {
                self.receive(number);
                self.settle();
            }
            if orders {
                for order in self.orders.take() {
                    self.follow(order);
                    self.settle();
                }
            }
            let now = now();
            if self.sockets.poll_timeout().is_some_and(|at| at <= now) {
                self.listen(now);
            }
            self.node.handle_timeout(now);
            self.settle();
        }
    }

    /// Sleeps until something is readable or the deadline has come.
    fn wait(&self, deadline: Option<Time>) -> Ready {
        let fixed: [BorrowedFd<'_>; 1] = [self.orders.as_fd()];
        let all = fixed.into_iter().chain(self.sockets.descriptors());
        let mut fds: Vec<_> = all.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        let timeout = deadline.map(|at| TimeSpec::from(at.since(now())));
        if ppoll(&mut fds, timeout, None).is_err() {
            return Ready::default();
        }
        let mut readable = fds
            .iter()
            .map(|fd| fd.revents().is_some_and(|events| !events.is_empty()));
        Ready {
            orders: readable.next().unwrap_or_default(),
            sockets: readable
                .enumerate()
                .filter_map(|(number, is)| is.then_some(number))
                .collect(),
        }
    }

    fn receive(&mut self, number: usize) {
        let mut buffer = [0; 128];
        for _ in 0..PACKETS_AT_ONCE {
            match self.sockets.receive(number, &mut buffer) {
                Ok(Some(datagram)) => self.node.handle_datagram(now(), &datagram),
                // An error is for this call alone, and readable sockets are read again.
                Ok(None) | Err(_) => return,
            }
        }
    }

    fn follow(&mut self, order: Order) {
        let now = now();
        match order {
            Order::Configure(sessions) => self.configure(now, &sessions),
            Order::Survey(order) => {
                let survey = report::status(&self.node, now, std::time::SystemTime::now());
                self.tell(BfdNews::Survey(survey));
                self.routers.put(order);
            }
            Order::Stop => {
                self.is_done = true;
                self.node.stop(now);
            }
        }
    }

    fn configure(&mut self, now: Time, sessions: &[NamedSession]) {
        if let Err(error) = self.node.configure(now, sessions) {
            // The configuration was checked by the same rules.
            self.desk
                .warn(format!("BFD sessions are as before - {error}"));
            return;
        }
        // Those that are gone say goodbye on their sockets.
        self.settle();
        self.sockets
            .retain(|name| self.node.session(name).is_some());
        self.unsent.retain(|name| self.node.session(name).is_some());
        self.listen(now);
    }

    fn listen(&mut self, now: Time) {
        let paths = self.node.sessions().iter().map(|it| &it.config().path);
        for problem in self.sockets.listen(now, paths) {
            self.desk.warn(problem);
        }
    }

    // === What goes out ===

    fn settle(&mut self) {
        while let Some(step) = self.node.poll_output() {
            match step.output {
                Output::Send(transmit) => self.send(step.session, &transmit),
                Output::StateChanged(change) => self.follow_state(step.session, change),
            }
        }
    }

    fn send(&mut self, session: Name, transmit: &Transmit) {
        match self.sockets.send(&session, transmit) {
            Ok(()) => {
                if self.unsent.remove(&session) {
                    self.tell(BfdNews::Sent(session));
                }
            }
            Err(error) => {
                self.node.handle_send_failure(&session);
                if self.unsent.insert(session.clone()) {
                    self.tell(BfdNews::Unsent(session, error.to_string()));
                }
            }
        }
    }

    fn follow_state(&self, session: Name, change: Transition) {
        let tracker = tracker::bfd(&session);
        // The line comes before those of the instances that follow.
        self.tell(BfdNews::Changed(session, change));
        match change.to {
            State::Up => self.reports.report(tracker, TrackStatus::Good, "is Up"),
            // The path may be as good as before. Source: RFC 5882 section 3.2; keepalived.
            _ if matches!(change.reason, Reason::NeighborAdminDown(_)) => {}
            state => {
                let detail = format!("is {state}: {}", change.reason);
                self.reports.report(tracker, TrackStatus::Bad, detail);
            }
        }
    }

    fn tell(&self, news: BfdNews) {
        self.desk.tell(News::Bfd(news));
    }
}

/// What is readable.
#[derive(Debug, Default)]
struct Ready {
    orders: bool,
    sockets: Vec<usize>,
}

/// The routers' clock.
fn now() -> Time {
    Time::after_epoch(clock::now().since_epoch())
}
