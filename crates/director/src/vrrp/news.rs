//! What the driver of the virtual routers tells the other thread, which has the time to write it.

use tokio::sync::mpsc::UnboundedSender;

use vrrp_proto::{Name, Record, Rejections, RouterOutput, State, Status, Time};

use super::bfd::BfdNews;
use super::dump::Dump;

/// Something that has happened.
#[derive(Debug)]
pub(super) enum News {
    /// The plan of the last order is being put in force; what follows comes from it.
    Configuring,
    /// The plan of the last order is in force.
    Configured,
    /// A change of state, or an event that an operator may want to know.
    Step(RouterOutput),
    /// Detail, for those who asked for it.
    Did(Did),
    /// An interface has gone up, or down.
    Interface(Name, bool),
    /// Something about BFD sessions.
    Bfd(BfdNews),
    /// Something worth a line.
    Remark(String),
    /// Something that is not as it should be.
    Warning(String),
    /// The answer to [`Order::Status`](super::order::Order::Status).
    Status(u64, Box<Survey>),
    /// The answer to [`Order::Dump`](super::order::Order::Dump).
    Dump(Dump, Box<Survey>),
    /// An input of the machine, for a recording.
    Input(Record<'static>),
    /// Everything has been given back; nothing comes after this.
    Stopped,
}

/// Detail about what was done.
#[derive(Debug)]
pub(super) enum Did {
    /// Addresses are set.
    Installing(Name),
    /// Addresses are removed.
    Removing(Name),
    /// Addresses are about to be announced.
    Announcing(Name, Name, std::net::IpAddr),
    /// Somebody has set an address, or removed it.
    Seen(Name, std::net::IpAddr, bool),
    /// An address was announced on an interface.
    Announced(Name, std::net::IpAddr),
}

/// How everything is.
#[derive(Debug)]
pub(super) struct Survey {
    /// When.
    pub(super) at: Time,
    /// The instances.
    pub(super) instances: Vec<Status>,
    /// The groups.
    pub(super) groups: Vec<(Name, State)>,
    /// Packets that were for no instance.
    pub(super) unclaimed: Rejections,
}

/// The way to the other thread. Never waits.
#[derive(Debug, Clone)]
pub(super) struct Desk {
    news: UnboundedSender<News>,
    /// Whether detail is wanted.
    pub(super) wants_detail: bool,
    /// Whether the machine's inputs are wanted.
    pub(super) records: bool,
}

impl Desk {
    pub(super) const fn new(
        news: UnboundedSender<News>,
        wants_detail: bool,
        records: bool,
    ) -> Self {
        Self {
            news,
            wants_detail,
            records,
        }
    }

    /// Tells; when the other thread is gone, nobody is there to be told.
    pub(super) fn tell(&self, news: News) {
        let _ = self.news.send(news);
    }

    pub(super) fn detail(&self, did: impl FnOnce() -> Did) {
        if self.wants_detail {
            self.tell(News::Did(did()));
        }
    }

    pub(super) fn warn(&self, text: impl Into<String>) {
        self.tell(News::Warning(text.into()));
    }
}
