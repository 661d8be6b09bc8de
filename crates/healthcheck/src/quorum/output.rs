//! What a [`VirtualServer`](super::VirtualServer) tells its driver.
//!
//! Log lines are data ([`Said`]) that displays in keepalived's exact words, because operators
//! search their logs for these. The same goes for the mail bodies of [`Notify::body`].

use std::fmt;
use std::sync::Arc;

use super::Role;
use super::name::ServerId;

/// One thing to do, in the order in which it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Write this line to the log.
    Log(Line),
    /// The wished pool has changed.
    Pool(PoolChange),
    /// Run the scripts and write to the FIFOs that go with this event.
    Notify(Notify),
}

impl Output {
    /// The log line, if it is one.
    pub fn line(&self) -> Option<&Line> {
        match self {
            Self::Log(line) => Some(line),
            Self::Pool(_) | Self::Notify(_) => None,
        }
    }
}

/// One change of the wished pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolChange {
    /// A new member.
    Add {
        /// Which server.
        server: ServerId,
        /// What for.
        role: Role,
        /// Its weight.
        weight: u32,
    },
    /// A member changes its weight.
    SetWeight {
        /// Which server.
        server: ServerId,
        /// What for.
        role: Role,
        /// Its new weight.
        weight: u32,
    },
    /// A member leaves.
    Remove {
        /// Which server.
        server: ServerId,
        /// What it was for.
        role: Role,
    },
}

/// An event that operators can attach a script to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notify {
    /// A real server is up (`notify_up`).
    ServerUp {
        /// Which one.
        server: ServerId,
        /// How it came.
        reason: UpReason,
    },
    /// A real server is down (`notify_down`).
    ServerDown {
        /// Which one.
        server: ServerId,
        /// How it came.
        reason: DownReason,
    },
    /// The service has a quorum (`quorum_up`).
    QuorumUp {
        /// How it came.
        reason: QuorumReason,
        /// The configured quorum.
        quorum: u32,
        /// The configured hysteresis.
        hysteresis: u32,
        /// The alive weight.
        weight: u64,
    },
    /// The service has no quorum (`quorum_down`).
    QuorumDown {
        /// How it came.
        reason: QuorumReason,
        /// The configured quorum.
        quorum: u32,
        /// The configured hysteresis.
        hysteresis: u32,
        /// The alive weight.
        weight: u64,
    },
}

impl Notify {
    /// The body of keepalived's mail on this event of a virtual server, or of a real server that
    /// was removed or shut down; `None` where the mail's body is the business of the check that
    /// decided.
    pub fn body(&self) -> Option<String> {
        match *self {
            Self::ServerUp { .. }
            | Self::ServerDown {
                reason: DownReason::Check | DownReason::Reload,
                ..
            } => None,
            Self::ServerDown {
                reason: DownReason::Removed,
                ..
            } => Some("=> Removing <=".into()),
            Self::ServerDown {
                reason: DownReason::Shutdown,
                ..
            }
            | Self::QuorumDown {
                reason: QuorumReason::Shutdown,
                ..
            } => Some("=> Shutting down <=".into()),
            Self::QuorumUp {
                reason,
                quorum,
                hysteresis,
                weight,
            } => {
                let sum = Gained {
                    quorum,
                    hysteresis,
                    weight,
                };
                Some(match reason {
                    QuorumReason::Start => format!("=> Starting with quorum up {sum} <="),
                    QuorumReason::Weight | QuorumReason::Shutdown => {
                        format!("=> Gained quorum {sum} <=")
                    }
                })
            }
            Self::QuorumDown {
                reason,
                quorum,
                hysteresis,
                weight,
            } => {
                let sum = Lost {
                    quorum,
                    hysteresis,
                    weight,
                };
                Some(match reason {
                    QuorumReason::Start => format!("=> Starting with quorum down {sum} <="),
                    // Not the line of the log: keepalived writes this one with other signs.
                    QuorumReason::Weight | QuorumReason::Shutdown => {
                        let threshold = quorum.saturating_sub(hysteresis);
                        format!("=> Lost quorum {quorum}+{hysteresis}={threshold} <= {weight} <=")
                    }
                })
            }
        }
    }
}

/// Why a real server is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpReason {
    /// It is new and trusted; announced only with `rs_init_notifies`.
    Start,
    /// Its checks say so.
    Check,
    /// The check that held it down went away in a reload.
    Reload,
}

/// Why a real server is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DownReason {
    /// A check says so.
    Check,
    /// A reload gave it a check that starts down.
    Reload,
    /// A reload removed it.
    Removed,
    /// The service was shut down, with `omega`.
    Shutdown,
}

/// Why a quorum came or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuorumReason {
    /// It is so from the start.
    Start,
    /// The alive weight crossed a threshold.
    Weight,
    /// The service was shut down, with `omega`.
    Shutdown,
}

/// One log line; displays as keepalived writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The name of the service.
    pub virtual_server: Arc<str>,
    /// What is said about it.
    pub said: Said,
}

/// What a log line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Said {
    /// A check begins, or goes on after a suspension. Said by the driver of the checks.
    ActivatingChecker {
        /// The server that is checked.
        server: ServerId,
    },
    /// A check pauses. Said by the driver of the checks.
    SuspendingChecker {
        /// The server that is checked.
        server: ServerId,
    },
    /// A server came up and joins.
    Adding {
        /// Which one.
        server: ServerId,
    },
    /// A server went down or was removed, and leaves.
    Removing {
        /// Which one.
        server: ServerId,
    },
    /// A server with `inhibit_on_failure` came up and gets its weight back.
    Enabling {
        /// Which one.
        server: ServerId,
    },
    /// A server with `inhibit_on_failure` went down and gets weight 0.
    Disabling {
        /// Which one.
        server: ServerId,
    },
    /// A server has another weight.
    ChangingWeight {
        /// Which one.
        server: ServerId,
        /// Weight before.
        from: u32,
        /// Weight now.
        to: u32,
        /// Whether it is up.
        active: bool,
    },
    /// The sorry server takes over.
    AddingSorry {
        /// Which one.
        server: ServerId,
    },
    /// The sorry server is not needed any more.
    RemovingSorry {
        /// Which one.
        server: ServerId,
    },
    /// The sorry server with `sorry_server_inhibit` takes over.
    EnablingSorry {
        /// Which one.
        server: ServerId,
    },
    /// The sorry server with `sorry_server_inhibit` is not needed any more.
    DisablingSorry {
        /// Which one.
        server: ServerId,
    },
    /// The servers that are up come back after the sorry server.
    AddingAlive,
    /// The servers that are up make room for the sorry server.
    RemovingAlive,
    /// The alive weight reached the upper threshold.
    GainedQuorum {
        /// The configured quorum.
        quorum: u32,
        /// The configured hysteresis.
        hysteresis: u32,
        /// The alive weight.
        weight: u64,
    },
    /// The alive weight fell below the lower threshold.
    LostQuorum {
        /// The configured quorum.
        quorum: u32,
        /// The configured hysteresis.
        hysteresis: u32,
        /// The alive weight.
        weight: u64,
    },
    /// The service starts with its sorry server.
    StartingWithQuorumDown {
        /// The configured quorum.
        quorum: u32,
        /// The configured hysteresis.
        hysteresis: u32,
        /// The alive weight.
        weight: u64,
    },
    /// A server leaves because the service ends.
    ShuttingDown {
        /// Which one.
        server: ServerId,
    },
    /// The service ends.
    RemovingVirtualServer,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let vs = &self.virtual_server;
        match self.said {
            Said::ActivatingChecker { server } => {
                write!(
                    f,
                    "Activating healthchecker for service {server} for VS {vs}"
                )
            }
            Said::SuspendingChecker { server } => {
                write!(
                    f,
                    "Suspending healthchecker for service {server} for VS {vs}"
                )
            }
            Said::Adding { server } => write!(f, "Adding service {server} to VS {vs}"),
            Said::Removing { server } => write!(f, "Removing service {server} from VS {vs}"),
            Said::Enabling { server } => write!(f, "Enabling service {server} of VS {vs}"),
            Said::Disabling { server } => write!(f, "Disabling service {server} of VS {vs}"),
            Said::ChangingWeight {
                server,
                from,
                to,
                active,
            } => {
                let state = if active { "active" } else { "inactive" };
                write!(
                    f,
                    "Changing weight from {from} to {to} for {state} service {server} of VS {vs}"
                )
            }
            Said::AddingSorry { server } => write!(f, "Adding sorry server {server} to VS {vs}"),
            Said::RemovingSorry { server } => {
                write!(f, "Removing sorry server {server} from VS {vs}")
            }
            Said::EnablingSorry { server } => {
                write!(f, "Enabling sorry server {server} to VS {vs}")
            }
            Said::DisablingSorry { server } => {
                write!(f, "Disabling sorry server {server} from VS {vs}")
            }
            Said::AddingAlive => write!(f, "Adding alive servers to the pool for VS {vs}"),
            Said::RemovingAlive => write!(f, "Removing alive servers from the pool for VS {vs}"),
            Said::GainedQuorum {
                quorum,
                hysteresis,
                weight,
            } => {
                write!(
                    f,
                    "Gained quorum {} for VS {vs}",
                    Gained {
                        quorum,
                        hysteresis,
                        weight
                    }
                )
            }
            Said::LostQuorum {
                quorum,
                hysteresis,
                weight,
            } => {
                write!(
                    f,
                    "Lost quorum {} for VS {vs}",
                    Lost {
                        quorum,
                        hysteresis,
                        weight
                    }
                )
            }
            Said::StartingWithQuorumDown {
                quorum,
                hysteresis,
                weight,
            } => {
                let sum = Lost {
                    quorum,
                    hysteresis,
                    weight,
                };
                write!(f, "Starting with quorum down {sum} for VS {vs}")
            }
            Said::ShuttingDown { server } => {
                write!(f, "Shutting down service {server} from VS {vs}")
            }
            Said::RemovingVirtualServer => write!(f, "Removing Virtual Server {vs}"),
        }
    }
}

/// `1+0=1 <= 3`
struct Gained {
    quorum: u32,
    hysteresis: u32,
    weight: u64,
}

impl fmt::Display for Gained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            quorum,
            hysteresis,
            weight,
        } = self;
        let threshold = u64::from(*quorum) + u64::from(*hysteresis);
        write!(f, "{quorum}+{hysteresis}={threshold} <= {weight}")
    }
}

/// `1-0=1 > 0`
struct Lost {
    quorum: u32,
    hysteresis: u32,
    weight: u64,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            quorum,
            hysteresis,
            weight,
        } = self;
        let threshold = quorum.saturating_sub(*hysteresis);
        write!(f, "{quorum}-{hysteresis}={threshold} > {weight}")
    }
}
