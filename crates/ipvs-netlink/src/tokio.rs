//! The client for tokio: the calls of [`Client`](crate::Client), to be awaited.
//!
//! ```no_run
//! use ipvs_netlink::tokio::{Client, KernelSocket};
//!
//! # async fn list() -> Result<(), Box<dyn std::error::Error>> {
//! let mut client = Client::connect(KernelSocket::open()?).await?;
//! for entry in client.services().await? {
//!     println!("{}", entry.service.key);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Design: only waiting is different here. What to send, what the answers mean and what to do when some
//! are lost is the same code. A call that is dropped before it is over leaves a client that can be used
//! on; whether its command was done is unknown.

use std::future::Future;
use std::io;
use std::path::Path;
use std::time::Duration;

use ::tokio::io::unix::AsyncFd;
use ::tokio::io::{AsyncReadExt, AsyncWriteExt};
use ::tokio::net::UnixStream;
use ::tokio::time::timeout;

use crate::calls;
use crate::client::{BATCH, typed_calls};
use crate::command::Command;
use crate::connection::{ConnectionEntry, parse_lines};
use crate::conversation::{Call, Conversation};
use crate::daemon::SyncDaemon;
use crate::destination::{Destination, DestinationEntry, DestinationKey};
use crate::error::IpvsError;
use crate::exchange::Failure;
use crate::info::Info;
use crate::plan::ServiceRules;
use crate::service::{ServiceEntry, ServiceKey, VirtualService};
use crate::socket::{CONNECTION_LIST, KernelTransport};
use crate::sockopt::QuickReader;
use crate::timeouts::{Timeouts, TimeoutsUpdate};
use crate::transport::Transport;

/// How many bytes of a stream or of the connection list are read at a time.
const CHUNK: usize = 64 * 1024;

/// Carries netlink messages to IPVS and back without blocking.
pub trait AsyncTransport: Send {
    /// As [`Transport::send`].
    fn send(&mut self, messages: &[u8]) -> impl Future<Output = io::Result<()>> + Send;

    /// Waits for bytes and appends what came to `buffer`. Returns how many came; 0 means that the
    /// other end has closed. Dropped while it waits, it has taken nothing.
    fn receive(&mut self, buffer: &mut Vec<u8>) -> impl Future<Output = io::Result<usize>> + Send;

    /// As [`Transport::capacity`].
    fn capacity(&self) -> usize {
        usize::MAX
    }

    /// Where the connection list is a file; `None` asks over the transport.
    fn connection_list(&self) -> Option<&'static Path> {
        None
    }

    /// As [`Transport::quick_reader`].
    fn quick_reader(&self) -> Option<QuickReader> {
        None
    }
}

/// A client of IPVS for tokio.
#[derive(Debug)]
pub struct Client<T> {
    transport: T,
    conversation: Conversation,
}

impl<T: AsyncTransport> Client<T> {
    /// Looks for IPVS at the other end of `transport`.
    ///
    /// # Errors
    ///
    /// [`IpvsError::NoFamily`] if there is no IPVS, and what the transport says.
    pub async fn connect(transport: T) -> Result<Self, IpvsError> {
        let mut client = Self {
            conversation: Conversation::new(BATCH.min(transport.capacity())),
            transport,
        };
        let family = calls::found_family(client.call(calls::family()).await)?;
        client.conversation.family = family;
        Ok(client)
    }

    /// Hands every connection entry to `each` as it comes; the list is never in memory whole.
    ///
    /// # Errors
    ///
    /// [`IpvsError::MalformedConnection`], and as for [`Self::info`].
    pub async fn connections(
        &mut self,
        mut each: impl FnMut(ConnectionEntry) + Send,
    ) -> Result<(), IpvsError> {
        let Some(path) = self.transport.connection_list() else {
            return self.call(calls::connections(each)).await.map(drop);
        };
        // Opened on this thread: the list is that of the opener's network namespace.
        let mut list = ::tokio::fs::File::from_std(std::fs::File::open(path)?);
        let mut text = Vec::with_capacity(CHUNK);
        while list.read_buf(&mut text).await? > 0 {
            let whole = text.iter().rposition(|byte| *byte == b'\n');
            let whole = whole.map_or(0, |newline| newline + 1);
            parse_lines(text.get(..whole).unwrap_or_default(), &mut each)?;
            text.drain(..whole);
            text.reserve(CHUNK);
        }
        parse_lines(&text, &mut each)
    }

    /// Drives a call: the only place that waits.
    async fn call<C: Call>(&mut self, mut call: C) -> Result<C::Output, IpvsError> {
        while let Some(mut exchange) = self.conversation.begin(&mut call) {
            self.transport.send(self.conversation.output()).await?;
            while !self.conversation.read(&mut exchange, &mut call)? {
                let limit = self.conversation.limit();
                let receive = self.transport.receive(&mut self.conversation.input);
                let received = timeout(limit, receive).await;
                let received = received.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
                self.conversation.received(received)?;
            }
            self.conversation.end(exchange, &mut call)?;
        }
        call.output()
    }
}

typed_calls!({ impl<T: AsyncTransport> Client<T> }, [async], [.await]);

/// An [`AsyncTransport`] to the kernel of this machine, in the network namespace of the thread that
/// opens it.
#[derive(Debug)]
pub struct KernelSocket(AsyncFd<KernelTransport>);

impl KernelSocket {
    /// Opens a generic netlink socket. Needs a running tokio.
    ///
    /// # Errors
    ///
    /// What the system says.
    #[allow(unsafe_code)]
    pub fn open() -> io::Result<Self> {
        let mut transport = KernelTransport::open()?;
        transport.set_nonblocking()?;
        // SAFETY: the transport owns its descriptor, keeps it as long as it lives, and gives no access
        // by which it could be closed.
        let socket = unsafe { AsyncFd::register(transport) }?;
        Ok(Self(socket))
    }
}

impl AsyncTransport for KernelSocket {
    async fn send(&mut self, messages: &[u8]) -> io::Result<()> {
        loop {
            let mut ready = self.0.writable_mut().await?;
            // A datagram goes whole or not at all.
            match ready.try_io(|socket| socket.get_mut().send(messages)) {
                Ok(result) => return result,
                Err(_) => continue,
            }
        }
    }

    async fn receive(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        loop {
            let mut ready = self.0.readable_mut().await?;
            match ready.try_io(|socket| socket.get_mut().receive(buffer, Duration::ZERO)) {
                Ok(result) => return result,
                Err(_) => continue,
            }
        }
    }

    fn capacity(&self) -> usize {
        self.0.get_ref().capacity()
    }

    fn connection_list(&self) -> Option<&'static Path> {
        Some(Path::new(CONNECTION_LIST))
    }

    fn quick_reader(&self) -> Option<QuickReader> {
        self.0.get_ref().quick_reader()
    }
}

/// The socket of a userspace dataplane.
impl AsyncTransport for UnixStream {
    async fn send(&mut self, messages: &[u8]) -> io::Result<()> {
        self.write_all(messages).await
    }

    async fn receive(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        buffer.reserve(CHUNK);
        self.read_buf(buffer).await
    }
}
