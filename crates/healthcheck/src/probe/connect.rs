//! Where a probe connects to, and from where.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};

use super::{Deadline, io_failure};
use crate::verdict::{Cause, Failure, Stage};

/// The connection of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// The server, or what stands in for it: keepalived.conf(5) `connect_ip`, `connect_port`, else
    /// the real server's address and port.
    pub address: SocketAddr,
    /// Source address and port; port 0 lets the kernel choose. Default the kernel's choice.
    ///
    /// A fixed port makes the probe close its connections by a reset, because otherwise the port
    /// would be blocked for a minute after each probe (TIME_WAIT). Source: keepalived.conf(5)
    /// `bindto`, `bind_port`.
    pub source: Option<SocketAddr>,
    /// The interface to leave through. Default by route. Needs CAP_NET_RAW. Source:
    /// keepalived.conf(5) `bind_if`.
    pub interface: Option<String>,
    /// The firewall mark of the packets. Default none. Needs CAP_NET_ADMIN. Source:
    /// keepalived.conf(5) `fwmark`.
    pub mark: Option<u32>,
    /// How long the whole probe may take, from connecting to the last byte. Default 5 s.
    ///
    /// Zero fails every probe. Source: keepalived.conf(5) `connect_timeout`.
    pub timeout: Duration,
}

impl Connect {
    /// A connection to `address` with the default of each value.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            source: None,
            interface: None,
            mark: None,
            timeout: Duration::from_secs(5),
        }
    }

    /// Makes the connection.
    pub(super) async fn open(&self, deadline: Deadline) -> Result<TcpStream, Failure> {
        let stage = Stage::Connecting;
        let stream = deadline
            .within(stage, async {
                let socket = self.socket()?;
                socket
                    .connect(self.address)
                    .await
                    .map_err(|error| io_failure(stage, &error))
            })
            .await?;
        if is_connected_to_itself(&stream) {
            return Err(Failure::Refused);
        }
        // Without it each TLS probe waits 40 ms for a delayed ACK.
        stream
            .set_nodelay(true)
            .map_err(|error| io_failure(stage, &error))?;
        Ok(stream)
    }

    fn socket(&self) -> Result<TcpSocket, Failure> {
        let socket = match self.address {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }
        .map_err(|error| io_failure(Stage::Connecting, &error))?;
        self.prepare(&socket)
            .map_err(|error| Failure::Source(Cause::of(&error)))?;
        Ok(socket)
    }

    fn prepare(&self, socket: &TcpSocket) -> io::Result<()> {
        let options = SockRef::from(socket);
        if let Some(interface) = &self.interface {
            options.bind_device(Some(interface.as_bytes()))?;
        }
        if let Some(mark) = self.mark {
            options.set_mark(mark)?;
        }
        if let Some(source) = self.source {
            if source.port() != 0 {
                socket.set_reuseaddr(true)?;
                options.set_linger(Some(Duration::ZERO))?;
            }
            socket.bind(source)?;
        }
        Ok(())
    }
}

/// TCP lets a socket connect to itself if the kernel happens to choose the wanted port as the
/// source. On loopback, a probe of a dead server in the ephemeral range would then succeed now and
/// then.
fn is_connected_to_itself(stream: &TcpStream) -> bool {
    matches!((stream.local_addr(), stream.peer_addr()), (Ok(local), Ok(peer)) if local == peer)
}
