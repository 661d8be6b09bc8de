//! The netlink socket of the Linux kernel, and whether IPVS is behind it.
//!
//! Design: neli's [`NlSocket`] alone, without its router: a request and its answers belong together
//! on one thread, and a lost answer must show as an error. The kernel answers within the call that
//! sends, so waiting only ever means that an answer was lost.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use neli::consts::socket::{Msg, NlFamily};
use neli::socket::NlSocket;
use neli::utils::Groups;
use socket2::{SockRef, Socket};

use crate::client::Client;
use crate::error::IpvsError;
use crate::info::Info;
use crate::sockopt::QuickReader;
use crate::transport::Transport;

/// Where the kernel lists connections. Those of the thread's network namespace: `/proc/net` has those
/// of the process's first thread.
pub(crate) const CONNECTION_LIST: &str = "/proc/thread-self/net/ip_vs_conn";

/// The largest piece of a dump that the kernel makes.
const CHUNK: usize = 64 * 1024;

/// What the receive buffer shall hold: all answers of a large batch.
const RECEIVE_BUFFER: usize = 1 << 20;

/// What one answer takes of it. 277 were seen to fit into 212,992 bytes; the rest is for those that
/// quote longer requests.
const ANSWER: usize = 1024;

/// A [`Transport`] to the kernel of this machine, in the network namespace of the calling thread.
pub struct KernelTransport {
    socket: NlSocket,
    /// The limit that the socket has; setting it takes a system call.
    limit: Duration,
    nonblocking: bool,
    /// For the older interface. Opened here, because a thread may change its network namespace.
    older: Option<Arc<Socket>>,
}

impl KernelTransport {
    /// Opens a generic netlink socket. Whether there is IPVS shows in [`Client::connect`], and
    /// whether the caller may use it in the first call.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn open() -> io::Result<Self> {
        let socket = NlSocket::connect(NlFamily::Generic, None, Groups::empty())?;
        // Only kernels before 4.12 lack it; they have no words to lose.
        let _ = socket.enable_ext_ack(true);
        // As much as is allowed; less only makes lost answers likelier, which are noticed.
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
        Ok(Self {
            socket,
            limit: Duration::ZERO,
            nonblocking: false,
            older: QuickReader::socket().ok(),
        })
    }

    /// Asks for a receive buffer of this size; the kernel doubles it and has its own bounds. By
    /// default 1 MiB is asked for, of which 208 KiB are the usual bound (`net.core.rmem_max`).
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn set_receive_buffer(&self, bytes: usize) -> io::Result<()> {
        self.socket.set_recv_buffer_size(bytes)
    }

    /// Makes [`Transport::receive`] return at once, whatever its limit.
    #[cfg(feature = "tokio")]
    pub(crate) fn set_nonblocking(&mut self) -> io::Result<()> {
        self.nonblocking = true;
        self.socket.nonblock()
    }

    fn set_limit(&mut self, limit: Duration) -> io::Result<()> {
        if !self.nonblocking && self.limit != limit {
            let at_least = limit.max(Duration::from_millis(1));
            SockRef::from(&*self).set_read_timeout(Some(at_least))?;
            self.limit = limit;
        }
        Ok(())
    }
}

impl AsFd for KernelTransport {
    #[allow(unsafe_code)]
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor belongs to the socket, which lives as long as the borrow.
        unsafe { BorrowedFd::borrow_raw(self.socket.as_raw_fd()) }
    }
}

impl AsRawFd for KernelTransport {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl std::fmt::Debug for KernelTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KernelTransport").finish_non_exhaustive()
    }
}

impl Transport for KernelTransport {
    fn send(&mut self, messages: &[u8]) -> io::Result<()> {
        let sent = self.socket.send(messages, Msg::empty())?;
        if sent == messages.len() {
            Ok(())
        } else {
            Err(io::ErrorKind::WriteZero.into())
        }
    }

    #[allow(unsafe_code)]
    fn receive(&mut self, buffer: &mut Vec<u8>, limit: Duration) -> io::Result<usize> {
        self.set_limit(limit)?;
        loop {
            buffer.reserve(CHUNK);
            let space = buffer.spare_capacity_mut();
            let room = space.len();
            // TRUNC gives the whole length even of a datagram that does not fit.
            match SockRef::from(&*self).recv_with_flags(space, libc::MSG_TRUNC) {
                Ok(length) if length > room => return Err(io::ErrorKind::FileTooLarge.into()),
                Ok(length) => {
                    // SAFETY: the kernel has written so many bytes behind what there was, and there
                    // is room for them.
                    unsafe { buffer.set_len(buffer.len() + length) };
                    // The last message of a datagram may lack its padding.
                    buffer.resize(buffer.len().next_multiple_of(4), 0);
                    return Ok(length);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn capacity(&self) -> usize {
        let size = SockRef::from(self).recv_buffer_size();
        size.map_or(1, |bytes| (bytes / ANSWER).max(1))
    }

    fn connection_list(&mut self) -> Option<io::Result<Box<dyn BufRead>>> {
        let open =
            || Ok(Box::new(BufReader::new(File::open(CONNECTION_LIST)?)) as Box<dyn BufRead>);
        Some(open())
    }

    fn quick_reader(&self) -> Option<QuickReader> {
        self.older.as_ref().map(QuickReader::new)
    }
}

/// Whether the kernel of this machine has IPVS and the caller may use it.
///
/// Asks; loads no module and changes nothing.
///
/// # Errors
///
/// Why the kernel's IPVS cannot be used, for the operator.
pub fn probe() -> Result<Info, Unavailable> {
    let answer = KernelTransport::open()
        .map_err(IpvsError::from)
        .and_then(|transport| {
            let mut client = Client::connect(transport)?;
            client.info()
        });
    answer.map_err(|error| match error {
        IpvsError::NoFamily => Unavailable::NoModule,
        IpvsError::Refused(refused) if refused.reason() == crate::Reason::NotPermitted => {
            Unavailable::NotPermitted
        }
        IpvsError::Transport(error) if is_no_netlink(&error) => Unavailable::NoNetlink,
        error => Unavailable::Failed(error),
    })
}

/// Why the kernel's IPVS cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unavailable {
    /// The module is not loaded, or the kernel was built without it.
    #[error("the kernel has no IPVS (module ip_vs not loaded: modprobe ip_vs)")]
    NoModule,
    /// The caller may not administer the network.
    #[error("not permitted to use the kernel's IPVS (CAP_NET_ADMIN is needed: run as root)")]
    NotPermitted,
    /// There is no generic netlink at all, as in some sandboxes.
    #[error("no generic netlink here")]
    NoNetlink,
    /// It is there but does not answer as it should.
    #[error("the kernel's IPVS does not answer: {0}")]
    Failed(#[source] IpvsError),
}

fn is_no_netlink(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT | libc::ESOCKTNOSUPPORT)
    )
}
