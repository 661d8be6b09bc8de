//! How the thread sleeps: until something is readable, or a deadline has come.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use vrrp_proto::{State, Time};

use super::{Driver, clock};

/// The descriptors that are always there, before those of the sockets.
const FIXED: usize = 2;

/// How long before the end of a silence the thread is awake: a processor that slept for seconds
/// needs a part of it to wake up.
const EARLY: Duration = Duration::from_micros(250);

/// How long packets may gather that come in close succession, as those of hundreds of instances do:
/// waking up once for many of them is most of what they cost. Each counts from when it came in.
const GATHER: Duration = Duration::from_millis(1);

impl Driver {
    /// Sleeps until something is readable or the deadline has come.
    ///
    /// A takeover is rare, and every microsecond of it counts: the last ones are waited for awake.
    pub(super) fn wait(&self, deadline: Option<Time>) -> Ready {
        let next = self.router.next_due();
        let early = match next.is_some_and(|it| it.state() == State::Backup) {
            true => EARLY,
            false => Duration::ZERO,
        };
        let fixed: [BorrowedFd<'_>; FIXED] = [self.orders.as_fd(), self.kernel.descriptor()];
        let all = fixed.into_iter().chain(self.sockets.descriptors());
        let mut fds: Vec<_> = all.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        let time_left = || deadline.map(|at| (at - early).since(clock::now()));
        if self.in_succession && time_left().is_none_or(|left| left > GATHER) {
            let (urgent, _) = fds.split_at_mut(FIXED);
            // Whatever comes of it, everything is looked at next.
            let _ = ppoll(urgent, Some(TimeSpec::from(GATHER)), None);
        }
        loop {
            let left = time_left();
            match ppoll(&mut fds, left.map(TimeSpec::from), None) {
                Ok(0) if deadline.is_some_and(|at| clock::now() < at) => {}
                Ok(_) => break,
                // Nothing else can be wrong with these arguments; look at everything.
                Err(Errno::EINTR) => return Ready::default(),
                Err(_) => return Ready::everything(self.sockets.count()),
            }
        }
        let mut readable = fds
            .iter()
            .map(|fd| fd.revents().is_some_and(|events| !events.is_empty()));
        Ready {
            orders: readable.next().unwrap_or_default(),
            kernel: readable.next().unwrap_or_default(),
            sockets: readable
                .enumerate()
                .filter_map(|(number, is)| is.then_some(number))
                .collect(),
        }
    }

    /// Packets have come; how soon after the last ones decides how the next are waited for.
    pub(super) fn mind_succession(&mut self) {
        let now = clock::now();
        self.in_succession = now.since(self.heard_at) <= GATHER * 2;
        self.heard_at = now;
    }
}

/// What is readable.
#[derive(Debug, Default)]
pub(super) struct Ready {
    pub(super) orders: bool,
    pub(super) kernel: bool,
    pub(super) sockets: Vec<usize>,
}

impl Ready {
    fn everything(sockets: usize) -> Self {
        Self {
            orders: true,
            kernel: true,
            sockets: (0..sockets).collect(),
        }
    }
}
