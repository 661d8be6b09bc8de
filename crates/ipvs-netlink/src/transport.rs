//! How bytes reach IPVS.
//!
//! Design: the conversation is the same over a netlink socket and over a Unix stream, because
//! netlink messages carry their length. Only the connection list differs: the kernel has a file
//! for it, a userspace dataplane is asked by [`MESSAGE_CONNECTIONS`].

use std::io::{self, BufRead};
use std::time::Duration;

use crate::sockopt::QuickReader;

/// Message type of a request for the connection list, and of the pieces of its answer: text in the
/// form of `/proc/net/ip_vs_conn`, whole lines, ended by `NLMSG_DONE`. Private to lvskit; the
/// kernel assigns family ids below 1024.
pub const MESSAGE_CONNECTIONS: u16 = 0x7f01;

/// Carries netlink messages to IPVS and back.
pub trait Transport {
    /// Sends whole messages.
    ///
    /// # Errors
    ///
    /// When the other end is gone, or does not read for long.
    fn send(&mut self, messages: &[u8]) -> io::Result<()>;

    /// Waits for bytes for at most `limit` and appends what came to `buffer`. Returns how many came;
    /// 0 means that the other end has closed.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] or [`io::ErrorKind::TimedOut`] when nothing came in time, and
    /// what the socket says. A message may be split between two calls.
    fn receive(&mut self, buffer: &mut Vec<u8>, limit: Duration) -> io::Result<usize>;

    /// How many answers fit between two calls of [`receive`](Self::receive); more may be lost, which
    /// then shows as the error `ENOBUFS`. No more requests are sent at a time. By default there is
    /// no limit, as on a stream.
    fn capacity(&self) -> usize {
        usize::MAX
    }

    /// The file with the connection list, where there is one; `None` asks over the transport.
    fn connection_list(&mut self) -> Option<io::Result<Box<dyn BufRead>>> {
        None
    }

    /// What reads destinations quicker than the messages do, where there is such a thing.
    fn quick_reader(&self) -> Option<QuickReader> {
        None
    }
}

impl<T: Transport + ?Sized> Transport for Box<T> {
    fn send(&mut self, messages: &[u8]) -> io::Result<()> {
        (**self).send(messages)
    }

    fn receive(&mut self, buffer: &mut Vec<u8>, limit: Duration) -> io::Result<usize> {
        (**self).receive(buffer, limit)
    }

    fn capacity(&self) -> usize {
        (**self).capacity()
    }

    fn connection_list(&mut self) -> Option<io::Result<Box<dyn BufRead>>> {
        (**self).connection_list()
    }

    fn quick_reader(&self) -> Option<QuickReader> {
        (**self).quick_reader()
    }
}
