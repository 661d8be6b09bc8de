//! A queue into a thread that sleeps in `ppoll`.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::eventfd::{EfdFlags, EventFd};

/// Values for one reader, from any number of writers; its descriptor is readable while there are
/// some. Nobody ever waits but for another's push or pop.
#[derive(Debug)]
pub struct Mailbox<T> {
    inner: Arc<Inner<T>>,
}

#[derive(Debug)]
struct Inner<T> {
    values: Mutex<VecDeque<T>>,
    bell: EventFd,
}

impl<T> Clone for Mailbox<T> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<T> Mailbox<T> {
    /// An empty one.
    ///
    /// # Errors
    ///
    /// When there is no descriptor left.
    pub fn new() -> io::Result<Self> {
        let bell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let values = Mutex::default();
        Ok(Self {
            inner: Arc::new(Inner { values, bell }),
        })
    }

    /// Adds a value and wakes the reader.
    pub fn put(&self, value: T) {
        self.lock().push_back(value);
        // Fails only at 2^64 calls without a read, and is readable then.
        let _ = self.inner.bell.write(1);
    }

    /// Takes all values.
    pub fn take(&self) -> VecDeque<T> {
        let _ = self.inner.bell.read();
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<T>> {
        // No code that can panic runs under the lock.
        let values = self.inner.values.lock();
        values.unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> AsFd for Mailbox<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.bell.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::*;

    fn is_readable(mailbox: &Mailbox<u8>) -> bool {
        let mut fds = [PollFd::new(mailbox.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO).unwrap() == 1
    }

    #[test]
    fn is_readable_exactly_while_it_holds_something() {
        let mailbox = Mailbox::new().unwrap();
        assert!(!is_readable(&mailbox));
        let other = mailbox.clone();
        mailbox.put(1);
        other.put(2);
        assert!(is_readable(&mailbox));
        assert_eq!(mailbox.take(), [1, 2]);
        assert!(!is_readable(&mailbox));
        assert!(mailbox.take().is_empty());
    }
}
