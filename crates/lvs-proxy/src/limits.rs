//! The limit of open files, and what it leaves for connections.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Files for everything that is not a connection: listeners, event queues, logs, clients of the table.
const RESERVE: u64 = 64;

/// What is asked for where the hard limit may be raised: half a million connections.
const GENEROUS: u64 = 1 << 20;

/// Raises the limit of open files as far as this process may, and returns what is in force.
///
/// A limit that cannot be read or raised is no error: the proxy then has room for fewer connections.
pub(crate) fn raise_open_files() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return 1024;
    };
    // Only a privileged process may raise the hard limit; everyone may use it up.
    [hard.max(GENEROUS), hard]
        .into_iter()
        .find(|limit| setrlimit(Resource::RLIMIT_NOFILE, *limit, *limit).is_ok())
        .unwrap_or(soft)
}

/// How many connections, of two sockets each, there may be at a time.
pub(crate) fn capacity(open_files: u64) -> usize {
    // With a tiny limit half of it is left for connections whatever else wants files.
    let connections = (open_files - RESERVE.min(open_files / 2)) / 2;
    usize::try_from(connections).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_get_what_is_left() {
        assert_eq!([20_000, 1024, 10, 0].map(capacity), [9968, 480, 2, 1]);
        assert!(capacity(u64::MAX) > 1_000_000_000);
    }

    #[test]
    fn the_limit_is_used_up() {
        let raised = raise_open_files();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("readable");
        assert_eq!((soft, raised), (hard, hard));
    }
}
