//! What a director has put into the dataplane, on record for the next one.
//!
//! # Design
//! The kernel's table stays when a director dies, and so does this file, in the run folder: the next
//! director knows from it what was ours, removes what is no longer wished, and puts back the settings
//! that it finds changed. It is written before the dataplane is changed, so it never lacks what is there.

use std::collections::BTreeSet;
use std::path::Path;

use ipvs_netlink::{DaemonRole, ServiceKey, Timeouts};
use serde::{Deserialize, Serialize};
use tracing::{error, warn};

use crate::parent::with_sources;
use crate::statefile::StateFile;

/// What is, or may be, in a dataplane because of us.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The services, each with all its destinations.
    pub services: BTreeSet<ServiceKey>,
    /// The timeouts as they were before we set ours; `None` while we have set none.
    #[serde(default)]
    pub timeouts_before: Option<Timeouts>,
    /// The sync daemons.
    #[serde(default)]
    pub daemons: BTreeSet<DaemonRole>,
}

/// A record and its file.
#[derive(Debug)]
pub struct RecordFile {
    file: StateFile<Record>,
    /// A failure to write is told once until it works again.
    is_failing: bool,
}

impl RecordFile {
    /// Reads the record at `path`; one that cannot be understood is logged, and taken for an empty one.
    #[must_use]
    pub fn open(path: &Path) -> Self {
        let file = StateFile::open(path).unwrap_or_else(|error| {
            let text = with_sources(&error);
            warn!("{text} - what an earlier director left in the IPVS table stays there");
            StateFile::replacing(path)
        });
        Self {
            file,
            is_failing: false,
        }
    }

    /// The record as it is.
    #[must_use]
    pub const fn record(&self) -> &Record {
        self.file.value()
    }

    /// Changes the record and its file.
    pub fn update(&mut self, change: impl FnOnce(&mut Record)) {
        let result = self.file.update(change);
        let was_failing = std::mem::replace(&mut self.is_failing, result.is_err());
        if let (Err(error), false) = (result, was_failing) {
            let text = with_sources(&error);
            error!("{text} - after a crash, the next director will not know what is ours");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written_and_a_damaged_one_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.json");
        let full = Record {
            services: [80, 443]
                .map(|port| ServiceKey::tcp(([10, 0, 0, 1], port).into()))
                .into(),
            timeouts_before: Some(Timeouts::default()),
            daemons: [DaemonRole::Master].into(),
        };
        RecordFile::open(&path).update(|record| *record = full.clone());
        assert_eq!(*RecordFile::open(&path).record(), full);
        std::fs::write(&path, "{").unwrap();
        let mut file = RecordFile::open(&path);
        assert_eq!(*file.record(), Record::default());
        file.update(|record| *record = full.clone());
        assert_eq!(*RecordFile::open(&path).record(), full);
    }
}
