//! The processes of a director, and what each is called where.

use serde::{Deserialize, Serialize};

/// One of the processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Supervises the others, reads the configuration, owns signals and the control socket.
    Parent,
    /// Runs the checks and keeps the IPVS table as it should be.
    Checker,
    /// Carries the traffic of the userspace dataplane.
    Proxy,
    /// Shares addresses with other machines.
    Vrrp,
}

impl Role {
    /// The name in the system log. All but the proxy's are keepalived's.
    #[must_use]
    pub const fn ident(self) -> &'static str {
        match self {
            Self::Parent => "Keepalived",
            Self::Checker => "Keepalived_healthcheckers",
            Self::Proxy => "Keepalived_proxy",
            Self::Vrrp => "Keepalived_vrrp",
        }
    }

    /// The name in the parent's log lines, as in "Starting Healthcheck child process".
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Parent => "Parent",
            Self::Checker => "Healthcheck",
            Self::Proxy => "Proxy",
            Self::Vrrp => "VRRP",
        }
    }

    /// The name in [`crate::status::ProcessStatus`].
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Parent => "parent",
            Self::Checker => "checker",
            Self::Proxy => "proxy",
            Self::Vrrp => "vrrp",
        }
    }

    /// What a log file's name gets before its ending, as in `keepalived_healthcheckers.log`.
    #[must_use]
    pub const fn file_suffix(self) -> &'static str {
        match self {
            Self::Parent => "",
            Self::Checker => "_healthcheckers",
            Self::Proxy => "_proxy",
            Self::Vrrp => "_vrrp",
        }
    }
}
