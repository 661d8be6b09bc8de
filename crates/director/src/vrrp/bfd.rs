//! BFD sessions: run by a thread of their own, beside that of the virtual routers.
//!
//! # Design
//! keepalived has a process for them; here their thread is in the VRRP process, so that a virtual
//! router hears of a lost neighbor without a detour. The machine is that of the crate `bfd-proto`. The
//! thread keeps the time as the routers' thread does, and waits for nothing but the kernel; lines are
//! written by the aide.

mod driver;
pub(super) mod narrate;
mod report;
mod sockets;

use std::collections::BTreeSet;
use std::thread::JoinHandle;

use bfd_proto::{NamedSession, Transition};
use kconf_parser::config::Vrrp;
use tokio::sync::oneshot;
use tracing::{error, warn};
use vrrp_proto::TrackStatus;

use self::driver::Driver;
use super::mailbox::Mailbox;
use super::news::Desk;
use super::order;
use super::seam::{Reports, tracker};
use crate::scheduling::{self, Wishes};
use crate::status::BfdStatus;
use crate::wiring;

/// What the aide has of them.
pub(super) struct Bfd {
    routers: Mailbox<order::Order>,
    reports: Reports,
    desk: Desk,
    /// Whether they are not to be run (`--no_bfd`).
    is_off: bool,
    known: BTreeSet<String>,
    thread: Option<Thread>,
}

/// The thread, which is there from the first session on.
struct Thread {
    orders: Mailbox<Order>,
    handle: JoinHandle<()>,
    id: i32,
}

/// What the thread is told.
enum Order {
    /// Run exactly these from now on.
    Configure(Vec<NamedSession>),
    /// Tell how all are, then hand this on to the routers.
    Survey(order::Order),
    /// Tell the neighbors, and end.
    Stop,
}

/// What the thread tells.
#[derive(Debug)]
pub(super) enum BfdNews {
    /// The state of a session is another one.
    Changed(bfd_proto::Name, Transition),
    /// The packets of a session cannot be sent from now on, for this reason.
    Unsent(bfd_proto::Name, String),
    /// They can be sent again.
    Sent(bfd_proto::Name),
    /// How all are.
    Survey(BfdStatus),
}

impl Bfd {
    pub(super) const fn new(
        routers: Mailbox<order::Order>,
        reports: Reports,
        desk: Desk,
        is_off: bool,
    ) -> Self {
        Self {
            routers,
            reports,
            desk,
            is_off,
            known: BTreeSet::new(),
            thread: None,
        }
    }

    /// Runs exactly the sessions of the configuration from now on, tracked or not: the neighbor may
    /// track them.
    pub(super) async fn configure(&mut self, vrrp: &Vrrp) {
        let (sessions, problems) = wiring::bfd::sessions(&vrrp.bfd_instances);
        for problem in problems {
            error!("{problem}");
        }
        let names = sessions.iter().map(|it| it.name.to_string());
        let before = std::mem::replace(&mut self.known, names.collect());
        for name in before.difference(&self.known) {
            let status = TrackStatus::Unknown;
            self.reports.report(tracker::bfd(name), status, "");
        }
        // Until they come up; a session is told of when it changes.
        for name in self.known.difference(&before) {
            let detail = match self.is_off {
                true => "is not run (--no_bfd)",
                false => "is Down",
            };
            self.reports
                .report(tracker::bfd(name), TrackStatus::Bad, detail);
        }
        if self.is_off {
            return;
        }
        if self.thread.is_none() && !sessions.is_empty() {
            self.start(vrrp).await;
        }
        if let Some(thread) = &self.thread {
            thread.orders.put(Order::Configure(sessions));
        }
    }

    async fn start(&mut self, vrrp: &Vrrp) {
        let orders = match Mailbox::new() {
            Ok(orders) => orders,
            Err(error) => return error!("Unable to run BFD sessions - {error}"),
        };
        let driver = Driver::new(
            orders.clone(),
            self.routers.clone(),
            self.reports.clone(),
            self.desk.clone(),
        );
        let globals = vrrp.globals.clone();
        let (told, id) = oneshot::channel();
        let spawned = std::thread::Builder::new()
            .name("bfd".to_owned())
            .spawn(move || {
                let mut problems = Wishes::of_sessions(&globals).apply_to_one(0);
                problems.extend(scheduling::be_exact());
                let _ = told.send((nix::unistd::gettid().as_raw(), problems));
                driver.run();
            });
        let handle = match spawned {
            Ok(handle) => handle,
            Err(error) => return error!("Unable to run BFD sessions - {error}"),
        };
        let (id, problems) = id.await.unwrap_or_default();
        for problem in problems {
            warn!("{problem}");
        }
        self.thread = Some(Thread { orders, handle, id });
    }

    /// The thread, as the system knows it.
    pub(super) fn thread(&self) -> Option<i32> {
        self.thread.as_ref().map(|thread| thread.id)
    }

    /// Has the routers follow an order that asks how everything is, after the sessions have told it.
    pub(super) fn survey(&self, order: order::Order) {
        match &self.thread {
            Some(thread) => thread.orders.put(Order::Survey(order)),
            None => self.routers.put(order),
        }
    }

    /// Ends the sessions in good order.
    pub(super) async fn stop(self) {
        if let Some(thread) = self.thread {
            thread.orders.put(Order::Stop);
            let ended = tokio::task::spawn_blocking(move || thread.handle.join());
            let _ = ended.await;
        }
    }
}
