//! The network namespace that a director runs in.

use std::fs::File;
use std::io;
use std::path::Path;

use nix::sched::{CloneFlags, setns};

/// Where `ip netns add` puts them.
const FOLDER: &str = "/run/netns";

/// A namespace that cannot be entered.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// No namespace can have this name.
    #[error("{name:?} is no name of a network namespace")]
    BadName {
        /// The name.
        name: String,
    },
    /// It is not there, or may not be entered.
    #[error("cannot enter network namespace {name} (ip netns add {name} makes one)")]
    Closed {
        /// Its name.
        name: String,
        /// What the system says.
        #[source]
        error: io::Error,
    },
}

/// Brings the calling thread into the namespace that `ip netns` knows by this name, and with it
/// every thread and process that it starts from now on.
///
/// Source: keepalived.conf(5) `net_namespace`.
///
/// # Errors
///
/// See [`NamespaceError`]. Nothing has changed then.
pub fn enter(name: &str) -> Result<(), NamespaceError> {
    if name.is_empty() || name.contains('/') || matches!(name, "." | "..") {
        return Err(NamespaceError::BadName { name: name.into() });
    }
    let entered = File::open(Path::new(FOLDER).join(name))
        .and_then(|file| setns(file, CloneFlags::CLONE_NEWNET).map_err(io::Error::from));
    entered.map_err(|error| NamespaceError::Closed {
        name: name.into(),
        error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_nowhere_else() {
        for name in ["", ".", "..", "../../proc/1/ns/net", "/proc/self/ns/net"] {
            assert!(matches!(enter(name), Err(NamespaceError::BadName { .. })));
        }
        let missing = enter("no such namespace").unwrap_err().to_string();
        assert!(missing.contains("ip netns add"), "{missing}");
    }
}
