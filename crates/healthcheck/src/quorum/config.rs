//! What a [`VirtualServer`](super::VirtualServer) goes by.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::name::{CheckId, ServerId};
use crate::verdict::Verdict;

/// One virtual service, with defaults and references resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualServerConfig {
    /// How log lines call it: `[10.0.0.1]:tcp:80`, `[GROUP]:0`, `FWM 5`.
    pub name: Arc<str>,
    /// The real servers, in the order of the configuration. A second one with the same id is
    /// ignored.
    pub servers: Vec<ServerConfig>,
    /// The server of last resort. Default none. Source: keepalived.conf(5) `sorry_server`.
    pub sorry_server: Option<SorryConfig>,
    /// Alive weight at which the service counts as up. Default 1. A quorum above the sum of all
    /// weights is never reached; keepalived lowers it while reading the configuration. Source:
    /// keepalived.conf(5) `quorum`.
    pub quorum: u32,
    /// Distance of the two thresholds from `quorum`, against flapping. Default 0; should be less
    /// than `quorum`. Source: keepalived.conf(5) `hysteresis`.
    pub hysteresis: u32,
    /// Announce everything as down at a shutdown. Default false. Source: keepalived.conf(5)
    /// `omega`.
    pub omega: bool,
    /// Announce real servers that are up from the start, too. Default false. Source:
    /// keepalived.conf(5) `rs_init_notifies`.
    pub notify_initial: bool,
}

impl VirtualServerConfig {
    /// A service without servers, with the default of each value.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            servers: Vec::new(),
            sorry_server: None,
            quorum: 1,
            hysteresis: 0,
            omega: false,
            notify_initial: false,
        }
    }
}

/// One real server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// Which one.
    pub id: ServerId,
    /// Its share of the traffic and of the quorum, 0 to 65535 in keepalived. 0 keeps it in the pool
    /// without new connections. Source: keepalived.conf(5) `weight`, default 1.
    pub weight: u32,
    /// Stay in the pool with weight 0 when down, so that established connections live on. Default
    /// false. Source: keepalived.conf(5) `inhibit_on_failure`.
    pub inhibit_on_failure: bool,
    /// Its checks; with none it is always up.
    pub checks: Vec<CheckConfig>,
}

impl ServerConfig {
    /// A server without checks.
    pub fn new(id: ServerId, weight: u32) -> Self {
        Self {
            id,
            weight,
            inhibit_on_failure: false,
            checks: Vec::new(),
        }
    }
}

/// One check of a real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckConfig {
    /// Which one.
    pub id: CheckId,
    /// The verdict it starts with: [`Schedule::verdict`](crate::Schedule::verdict) of its schedule,
    /// down with `alpha`.
    ///
    /// For a check that replaces another one on a reload, the verdict of its server avoids a
    /// needless change.
    pub initial: Verdict,
}

/// The sorry server of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SorryConfig {
    /// Which one.
    pub id: ServerId,
    /// Its weight while it is in charge. keepalived uses 1 always.
    pub weight: u32,
    /// Stay in the pool with weight 0 while it is not in charge. Default false. Source:
    /// keepalived.conf(5) `sorry_server_inhibit`.
    pub inhibit: bool,
}

impl SorryConfig {
    /// A sorry server with weight 1 that is in the pool only while it is in charge.
    pub fn new(id: ServerId) -> Self {
        Self {
            id,
            weight: 1,
            inhibit: false,
        }
    }
}
