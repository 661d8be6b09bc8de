//! Pipes for splice(2), lent from a pool.
//!
//! # Design
//! splice(2) moves data between sockets through a pipe without copying it to user space. A pipe holds memory of
//! the kernel only while it holds data, and a connection borrows one only while it holds data, so an idle
//! connection has none. The number lent at once is bounded: ten thousand slow readers must not pin ten thousand
//! full pipes; who gets none goes on copying.

use std::{
    cell::{Cell, RefCell},
    io,
    os::fd::{AsFd, OwnedFd},
    rc::Rc,
};

use nix::{
    fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice},
    unistd::pipe2,
};

/// What a pipe is asked to hold. Unprivileged users get less once they own 64 MiB of pipes; that works as well.
pub(crate) const CAPACITY: usize = 256 * 1024;

/// Empty pipes kept for the next borrower.
const IDLE: usize = 32;

/// One worker's pipes.
#[derive(Debug)]
pub(crate) struct PipePool {
    idle: RefCell<Vec<Ends>>,
    lent: Cell<usize>,
    limit: usize,
}

/// A borrowed pipe; goes back when dropped empty, and is closed when dropped with data in it.
#[derive(Debug)]
pub(crate) struct Pipe {
    ends: Option<Ends>,
    held: usize,
    pool: Rc<PipePool>,
}

#[derive(Debug)]
struct Ends {
    read: OwnedFd,
    write: OwnedFd,
}

impl PipePool {
    /// A pool that lends up to `limit` pipes at a time.
    pub(crate) fn new(limit: usize) -> Rc<Self> {
        Rc::new(Self {
            idle: RefCell::default(),
            lent: Cell::new(0),
            limit,
        })
    }

    /// An empty pipe, or none if too many are lent or the system has none left.
    pub(crate) fn lend(self: &Rc<Self>) -> Option<Pipe> {
        if self.lent.get() >= self.limit {
            return None;
        }
        let idle = self.idle.borrow_mut().pop();
        let ends = idle.or_else(|| Ends::new().ok())?;
        self.lent.set(self.lent.get() + 1);
        Some(Pipe {
            ends: Some(ends),
            held: 0,
            pool: Rc::clone(self),
        })
    }
}

impl Pipe {
    /// Bytes inside.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Takes in what `socket` has; 0 is the end of its data. Only for an empty pipe: in one with data,
    /// `WouldBlock` would not say which of the two is to be waited for.
    pub(crate) fn fill(&mut self, socket: impl AsFd) -> io::Result<usize> {
        let Some(ends) = &self.ends else { return Ok(0) };
        let moved = splice(socket, None, &ends.write, None, CAPACITY, flags())?;
        self.held += moved;
        Ok(moved)
    }

    /// Gives data out to `socket`.
    pub(crate) fn drain(&mut self, socket: impl AsFd) -> io::Result<usize> {
        let Some(ends) = &self.ends else { return Ok(0) };
        let moved = splice(&ends.read, None, socket, None, self.held, flags())?;
        self.held = self.held.saturating_sub(moved);
        Ok(moved)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.pool.lent.set(self.pool.lent.get().saturating_sub(1));
        let mut idle = self.pool.idle.borrow_mut();
        if self.held == 0 && idle.len() < IDLE {
            idle.extend(self.ends.take());
        }
    }
}

impl Ends {
    fn new() -> nix::Result<Self> {
        let (read, write) = pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)?;
        // Refused to users with many pipes; the pipe has its default size then.
        let _ = fcntl(&write, FcntlArg::F_SETPIPE_SZ(CAPACITY as i32));
        Ok(Self { read, write })
    }
}

fn flags() -> SpliceFFlags {
    SpliceFFlags::SPLICE_F_MOVE | SpliceFFlags::SPLICE_F_NONBLOCK
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        os::unix::net::UnixStream,
    };

    use super::*;

    #[test]
    fn data_passes_through_and_an_empty_pipe_is_lent_again() {
        let (mut from, inlet) = UnixStream::pair().expect("a pair");
        let (outlet, mut to) = UnixStream::pair().expect("a pair");
        let pool = PipePool::new(1);
        let mut pipe = pool.lend().expect("the first");
        assert!(pool.lend().is_none());
        from.write_all(b"across").expect("room");
        assert_eq!(pipe.fill(&inlet).expect("data"), 6);
        assert_eq!(pipe.held(), 6);
        assert_eq!(pipe.drain(&outlet).expect("room"), 6);
        let mut seen = [0; 6];
        to.read_exact(&mut seen).expect("data");
        assert_eq!(&seen, b"across");
        drop(pipe);
        assert_eq!(pool.idle.borrow().len(), 1);
        assert!(pool.lend().is_some());
    }

    #[test]
    fn a_pipe_with_data_never_comes_back() {
        let (mut from, inlet) = UnixStream::pair().expect("a pair");
        let pool = PipePool::new(1);
        let mut pipe = pool.lend().expect("the first");
        from.write_all(b"left").expect("room");
        pipe.fill(&inlet).expect("data");
        drop(pipe);
        assert!(pool.idle.borrow().is_empty());
        assert_eq!(pool.lend().map(|pipe| pipe.held()), Some(0));
    }
}
