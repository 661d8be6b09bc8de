//! What a [`Proxy`](crate::Proxy) is started with.

use std::{num::NonZeroUsize, time::Duration};

/// Settings of a proxy, fixed while it runs. What it balances comes later, through its table.
///
/// ```
/// use std::num::NonZeroUsize;
///
/// let config = lvs_proxy::ProxyConfig {
///     workers: NonZeroUsize::MIN,
///     ..lvs_proxy::ProxyConfig::default()
/// };
/// # let _ = config;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyConfig {
    /// Threads that move data. Each has a listening socket of its own for every service, and the kernel spreads
    /// new connections over them. Default: the number of processors this process may use.
    pub workers: NonZeroUsize,
    /// How long a real server may take to accept a connection before the next one is tried. Default 3 s: two of
    /// TCP's SYN packets may be lost (they are sent at 0 s and 1 s). Must not be zero, or no server ever answers
    /// in time.
    pub connect_timeout: Duration,
    /// How many real servers are tried for one connection before the client is reset. Default 4; 1 means that a
    /// refusal is passed on as IPVS would. A client waits at most `connect_timeout` times this.
    pub connect_attempts: NonZeroUsize,
    /// Connections that the kernel keeps ready per listening socket until they are accepted. Default 4096; the
    /// kernel cuts it to the sysctl `net.core.somaxconn`.
    pub backlog: u32,
    /// Ended connections that are remembered as TIME_WAIT or CLOSE, over all workers. Default 262,144, which
    /// takes 70 MB at most. Beyond it the oldest is forgotten early; it then counts as inactive no longer.
    /// IPVS has no such limit: it lets them fill the memory.
    pub lingering_limit: usize,
    /// Pipes that may be lent for splice(2) at a time, over all workers. Default 256, that is up to 64 MiB of
    /// data on its way to slow readers; connections beyond that copy through at most 16 KiB each.
    pub pipe_limit: usize,
}

impl Default for ProxyConfig {
    fn default() -> Self {
        Self {
            workers: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            connect_timeout: Duration::from_secs(3),
            connect_attempts: const { NonZeroUsize::new(4).unwrap() },
            backlog: 4096,
            lingering_limit: 262_144,
            pipe_limit: 256,
        }
    }
}
