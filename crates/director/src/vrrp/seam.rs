//! Where scripts, pipes, mail and tracked objects join the VRRP process.
//!
//! # Design
//! Nothing that may wait happens on the thread that keeps the advertisements' time. So what is to be
//! told goes out as a `Notice`, in the order in which it happened, to the process's other thread,
//! which has a tokio runtime; and what a tracked object is like comes back by [`Reports`], from any
//! thread, without waiting. The order of notices of one instance is that of its states; those of the
//! members of a group come before the group's own.

use std::sync::Arc;

use kconf_parser::Config;
use vrrp_proto::{Event, Name, Output, Reason, RouterOutput, State, TrackReport, TrackStatus};

use super::mailbox::Mailbox;
use super::order::Order;

/// Something that scripts, pipes or mail may be there for.
#[derive(Debug, Clone)]
pub(super) enum Notice {
    /// This configuration is in force from now on. Comes first of all, then at every reload before
    /// what follows from it: an instance that is [`What::Deleted`] is in the one before.
    Configured(Arc<Config>),
    /// To an instance or a group something happened.
    Happened {
        /// To whom.
        subject: Subject,
        /// What happened; to a group only [`What::Master`] to [`What::Stop`].
        what: What,
        /// Its effective priority at that moment; 0 for a group.
        priority: u8,
    },
    /// The effective priority of an instance is another one.
    Priority {
        /// Its name.
        name: Name,
        /// The new one.
        priority: u8,
    },
}

/// Who is told about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    /// An instance, by its name.
    Instance(Name),
    /// A sync group, by its name.
    Group(Name),
}

impl Subject {
    /// keepalived's word for its kind.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Instance(_) => "INSTANCE",
            Self::Group(_) => "GROUP",
        }
    }

    pub(super) const fn name(&self) -> &Name {
        match self {
            Self::Instance(name) | Self::Group(name) => name,
        }
    }
}

impl Notice {
    /// What a step of the machine is to those who are told of changes; `None` for nothing.
    pub(super) fn of(step: &RouterOutput) -> Option<Self> {
        match step {
            RouterOutput::Instance { instance, output } => {
                let (what, priority) = match output {
                    Output::StateChanged(change) => (
                        What::of(change.to, Some(&change.reason))?,
                        change.priority.as_u8(),
                    ),
                    Output::Event(Event::LowerPriorityHeard { ours, .. }) => {
                        (What::MasterRxLowerPriority, ours.as_u8())
                    }
                    Output::Event(Event::PriorityChanged { to, .. }) => {
                        return Some(Self::Priority {
                            name: instance.clone(),
                            priority: to.as_u8(),
                        });
                    }
                    _ => return None,
                };
                Some(Self::Happened {
                    subject: Subject::Instance(instance.clone()),
                    what,
                    priority,
                })
            }
            RouterOutput::GroupChanged { group, to, .. } => Some(Self::Happened {
                subject: Subject::Group(group.clone()),
                what: What::of(*to, None).unwrap_or(What::Stop),
                priority: 0,
            }),
            _ => None,
        }
    }
}

/// What happened to an instance or a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum What {
    /// It is MASTER.
    Master,
    /// It is BACKUP, at the start too.
    Backup,
    /// It is in FAULT, at the start too.
    Fault,
    /// The process stops, and the instance with it.
    Stop,
    /// A reload has removed it.
    Deleted,
    /// As MASTER it heard an advertisement of lower priority.
    MasterRxLowerPriority,
    /// As MASTER its effective priority is another one.
    MasterPriority,
    /// As BACKUP its effective priority is another one.
    BackupPriority,
}

impl What {
    /// What a new state means; leaving the protocol to begin anew means nothing.
    const fn of(state: State, reason: Option<&Reason>) -> Option<Self> {
        match (state, reason) {
            (State::Master, _) => Some(Self::Master),
            (State::Backup, _) => Some(Self::Backup),
            (State::Fault, _) => Some(Self::Fault),
            (State::Initialize, Some(Reason::Removed)) => Some(Self::Deleted),
            (State::Initialize, Some(Reason::Stopped)) => Some(Self::Stop),
            (State::Initialize, _) => None,
        }
    }

    /// keepalived's word for it, as scripts and pipes get it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Master => "MASTER",
            Self::Backup => "BACKUP",
            Self::Fault => "FAULT",
            Self::Stop => "STOP",
            Self::Deleted => "DELETED",
            Self::MasterRxLowerPriority => "MASTER_RX_LOWER_PRI",
            Self::MasterPriority => "MASTER_PRIORITY",
            Self::BackupPriority => "BACKUP_PRIORITY",
        }
    }
}

/// The way of tracked objects' results to the instances. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reports {
    mailbox: Mailbox<Order>,
}

impl Reports {
    pub(super) const fn new(mailbox: Mailbox<Order>) -> Self {
        Self { mailbox }
    }

    /// A tracked object is like this now. `detail` is for people ("exited with status 1, 3 times");
    /// what is not tracked by anybody is ignored. Never waits.
    pub fn report(&self, tracker: Name, status: TrackStatus, detail: impl Into<String>) {
        self.mailbox.put(Order::Track(TrackReport {
            tracker,
            status,
            detail: detail.into(),
        }));
    }
}

/// The names by which instances know what they track; [`Reports::report`] takes them.
pub mod tracker {
    use std::net::IpAddr;

    use vrrp_proto::Name;

    /// A `track_interface`. The driver itself reports these.
    #[must_use]
    pub fn interface(name: &str) -> Name {
        Name::from(format!("interface {name}"))
    }

    /// The interface that a name of [`interface`] is for.
    #[must_use]
    pub fn interface_of(tracker: &Name) -> Option<Name> {
        tracker.as_str().strip_prefix("interface ").map(Name::from)
    }

    /// A source address that is to be there. The driver itself reports these.
    #[must_use]
    pub fn source(address: IpAddr) -> Name {
        Name::from(format!("source address {address}"))
    }

    /// The address that a name of [`source`] is for.
    #[must_use]
    pub fn source_of(tracker: &Name) -> Option<IpAddr> {
        let address = tracker.as_str().strip_prefix("source address ")?;
        address.parse().ok()
    }

    /// The peers of an instance that must have some and has none; always bad.
    #[must_use]
    pub fn peers() -> Name {
        Name::from("list of unicast peers")
    }

    /// A `vrrp_script`: good or bad.
    #[must_use]
    pub fn script(name: &str) -> Name {
        Name::from(format!("script {name}"))
    }

    /// A `track_file`: a value.
    #[must_use]
    pub fn file(name: &str) -> Name {
        Name::from(format!("file {name}"))
    }

    /// A `vrrp_track_process`: good or bad.
    #[must_use]
    pub fn process(name: &str) -> Name {
        Name::from(format!("process {name}"))
    }

    /// A `bfd_instance`: good while its session is up.
    #[must_use]
    pub fn bfd(name: &str) -> Name {
        Name::from(format!("bfd {name}"))
    }
}
