//! The limit of open files, and what it leaves for connections.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Files for everything that is not a connection: listeners, pipes of an idle pool, logs, libraries.
const RESERVE: u64 = 256;

/// Raises the soft limit of open files to the hard one and returns what is in force.
///
/// A limit that cannot be read or raised is no error: the proxy then has room for fewer connections.
pub(crate) fn raise_open_files() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return 1024;
    };
    match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_) => soft,
    }
}

/// How many connections, of two sockets each, one of `workers` may have.
pub(crate) fn worker_capacity(open_files: u64, workers: usize, pipes: usize) -> usize {
    // A pipe is two files. With a tiny limit half of it is left for connections whatever else wants files.
    let others = RESERVE.saturating_add(pipes as u64 * 2).min(open_files / 2);
    let connections = (open_files - others) / 2 / workers.max(1) as u64;
    usize::try_from(connections).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_get_what_is_left() {
        assert_eq!(worker_capacity(1_048_576, 2, 256), 261_952);
        assert_eq!(worker_capacity(1024, 2, 256), 128);
        assert_eq!(worker_capacity(10, 4, 256), 1);
        assert_eq!(worker_capacity(0, 0, 0), 1);
        assert!(worker_capacity(u64::MAX, 1, 0) > 1_000_000_000);
    }

    #[test]
    fn the_limit_is_raised_to_the_hard_one() {
        let raised = raise_open_files();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("readable");
        assert_eq!((soft, raised), (hard, hard));
    }
}
