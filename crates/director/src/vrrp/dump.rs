//! The files that keepalived writes on signals: statistics, JSON, a list of everything.

mod data;
mod json;
mod stats;

use std::collections::BTreeMap;
use std::io;

use kconf_parser::Config;
use serde::{Deserialize, Serialize};
use vrrp_proto::{Name, Statistics};

use super::news::Survey;
use crate::datafile;
use crate::role::Role;

/// Which file, and so which signal to the parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Dump {
    /// `keepalived.data`: SIGUSR1.
    Data,
    /// `keepalived.stats`: SIGUSR2.
    Stats,
    /// The same, and the counters begin at zero again: SIGRTMAX-1.
    StatsAndClear,
    /// `keepalived.json`: SIGRTMIN+2.
    Json,
}

/// Counters as they were when they were last cleared, by instance.
pub(super) type Cleared = BTreeMap<Name, Statistics>;

impl Dump {
    /// keepalived's words for the log.
    pub(super) const fn phrase(self) -> &'static str {
        match self {
            Self::Data => "Printing VRRP data",
            Self::Stats | Self::StatsAndClear => "Printing VRRP stats",
            Self::Json => "Printing VRRP as json",
        }
    }

    /// Writes the file.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(super) fn write(
        self,
        survey: &Survey,
        config: &Config,
        cleared: &Cleared,
    ) -> io::Result<()> {
        match self {
            Self::Data => datafile::write_data(Role::Vrrp, config, &data::text(survey, config)),
            Self::Stats | Self::StatsAndClear => {
                datafile::write("keepalived.stats", &stats::text(survey, cleared))
            }
            // Of nothing there is no file.
            Self::Json if survey.instances.is_empty() => Ok(()),
            Self::Json => datafile::write("keepalived.json", &json::text(survey, config, cleared)?),
        }
    }
}

/// What has been counted since the counters were cleared.
fn since(statistics: &Statistics, cleared: Option<&Statistics>) -> Counted {
    let before = cleared.copied().unwrap_or_default();
    let rejected = |reason| statistics.rejected.of(reason) - before.rejected.of(reason);
    use vrrp_proto::Rejected as Why;
    Counted {
        received: statistics.received - before.received,
        sent: statistics.sent - before.sent,
        became_master: statistics.became_master - before.became_master,
        released_master: statistics.released_master - before.released_master,
        length: rejected(Why::Length),
        ttl: rejected(Why::HopLimit) + rejected(Why::PeerHopLimit),
        kind: rejected(Why::Type),
        interval: rejected(Why::Interval),
        addresses: rejected(Why::AddressList),
        auth_unknown: rejected(Why::AuthUnknown),
        auth_mismatch: rejected(Why::AuthMismatch),
        auth_failed: rejected(Why::AuthFailed) + rejected(Why::AuthReplay),
        zero_received: statistics.priority_zero_received - before.priority_zero_received,
        zero_sent: statistics.priority_zero_sent - before.priority_zero_sent,
    }
}

/// The counters that keepalived has.
#[derive(Debug, Clone, Copy)]
struct Counted {
    received: u64,
    sent: u64,
    became_master: u64,
    released_master: u64,
    length: u64,
    ttl: u64,
    kind: u64,
    interval: u64,
    addresses: u64,
    auth_unknown: u64,
    auth_mismatch: u64,
    auth_failed: u64,
    zero_received: u64,
    zero_sent: u64,
}
