//! The files that keepalived writes on signals: statistics, JSON, a list of everything.

mod data;
mod json;
mod stats;

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use kconf_parser::Config;
use serde::{Deserialize, Serialize};
use vrrp_proto::{Name, Statistics};

use super::news::Survey;

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
    const fn file(self) -> &'static str {
        match self {
            Self::Data => "keepalived.data",
            Self::Stats | Self::StatsAndClear => "keepalived.stats",
            Self::Json => "keepalived.json",
        }
    }

    /// keepalived's words for the log.
    pub(super) const fn phrase(self) -> &'static str {
        match self {
            Self::Data => "Printing VRRP data",
            Self::Stats | Self::StatsAndClear => "Printing VRRP stats",
            Self::Json => "Printing VRRP as json",
        }
    }

    /// Writes the file; gives where.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(super) fn write(
        self,
        survey: &Survey,
        config: &Config,
        cleared: &Cleared,
    ) -> io::Result<PathBuf> {
        let text = match self {
            Self::Data => data::text(survey, config),
            Self::Stats | Self::StatsAndClear => stats::text(survey, cleared),
            Self::Json => json::text(survey, config, cleared)?,
        };
        let path = folder().join(self.file());
        replace(&path, &text)?;
        Ok(path)
    }
}

/// `TMPDIR` if it names a folder from the root on, else `/tmp`.
fn folder() -> PathBuf {
    let wished = std::env::var_os("TMPDIR").map(PathBuf::from);
    let wished = wished.filter(|path| path.is_absolute() && path.is_dir());
    wished.unwrap_or_else(|| PathBuf::from("/tmp"))
}

/// A reader sees the old text or the new one. The folder may be everybody's, so the new file is one
/// that nobody else can have put there.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let new = PathBuf::from(name);
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    // The umask, by default 0177, takes its part.
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o666)
        .open(&new)?;
    file.write_all(text.as_bytes())?;
    std::fs::rename(&new, path)
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
