//! Sockets that clients reach: one per worker and service, bound together.
//!
//! # Design
//! SO_REUSEPORT lets the workers listen side by side, but it would also let another program of the same user share
//! the port unnoticed. So a socket without that option is bound first: it is refused whenever anybody listens
//! there. Options that accepted sockets inherit are set here, once, instead of for each connection.

use std::{
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
};

use lvs_sched::Protocol;
use nix::errno::Errno;
use socket2::{Domain, Socket, Type};

use crate::service::Endpoint;

/// A service that cannot be listened for. The text says what is wrong and what helps.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// `EACCES`: the port needs a privilege.
    #[error(
        "cannot listen on {address}: permission denied; ports below 1024 need a privilege: run as root, give the \
         program `setcap cap_net_bind_service=+ep`, or set `sysctl net.ipv4.ip_unprivileged_port_start={}`",
        address.port()
    )]
    Permission {
        /// Address and port of the service.
        address: SocketAddr,
    },
    /// `EADDRNOTAVAIL`: no interface has the address.
    #[error(
        "cannot listen on {address}: this host does not have the address; add it first: `ip addr add {}/{} dev lo` \
         or on the interface that faces the clients",
        address.ip(), if address.is_ipv4() { 32 } else { 128 }
    )]
    AddressMissing {
        /// Address and port of the service.
        address: SocketAddr,
    },
    /// `EADDRINUSE`: another program, or another service of this one, listens there.
    #[error(
        "cannot listen on {address}: the address is in use; `ss -lnp 'sport = :{}'` names the program to stop or move",
        address.port()
    )]
    InUse {
        /// Address and port of the service.
        address: SocketAddr,
    },
    /// Anything else the system may say.
    #[error("cannot listen on {address}: {}", errno.desc())]
    Other {
        /// Address and port of the service.
        address: SocketAddr,
        /// What the system said.
        errno: Errno,
    },
}

/// The socket of one worker.
#[derive(Debug)]
pub(crate) enum ListeningSocket {
    Tcp(TcpListener),
    Udp(UdpSocket),
}

impl ListenError {
    /// The error number that the table's command is answered with.
    #[must_use]
    pub fn errno(&self) -> Errno {
        match self {
            Self::Permission { .. } => Errno::EACCES,
            Self::AddressMissing { .. } => Errno::EADDRNOTAVAIL,
            Self::InUse { .. } => Errno::EADDRINUSE,
            Self::Other { errno, .. } => *errno,
        }
    }

    fn new(address: SocketAddr, error: &io::Error) -> Self {
        match error.raw_os_error().map_or(Errno::EIO, Errno::from_raw) {
            Errno::EACCES | Errno::EPERM => Self::Permission { address },
            Errno::EADDRNOTAVAIL => Self::AddressMissing { address },
            Errno::EADDRINUSE => Self::InUse { address },
            errno => Self::Other { address, errno },
        }
    }
}

/// Binds `count` sockets for `endpoint`; all or none.
pub(crate) fn listen(
    endpoint: Endpoint,
    count: usize,
    backlog: u32,
) -> Result<Vec<ListeningSocket>, ListenError> {
    let address = endpoint.address;
    let tcp = endpoint.protocol == Protocol::Tcp;
    let bind = || -> io::Result<Vec<_>> {
        drop(bind_alone(address, tcp)?);
        (0..count)
            .map(|_| bind_shared(address, tcp, backlog))
            .collect()
    };
    bind().map_err(|error| ListenError::new(address, &error))
}

/// Bound like any program would: refused if somebody listens there.
fn bind_alone(address: SocketAddr, tcp: bool) -> io::Result<Socket> {
    let socket = socket(address, tcp)?;
    // Without it, connections in TIME_WAIT would be in the way. For UDP it would permit sharing.
    socket.set_reuse_address(tcp)?;
    socket.bind(&address.into())?;
    if tcp {
        // Two programs may be bound with SO_REUSEADDR as long as none listens.
        socket.listen(1)?;
    }
    Ok(socket)
}

fn bind_shared(address: SocketAddr, tcp: bool, backlog: u32) -> io::Result<ListeningSocket> {
    let socket = socket(address, tcp)?;
    socket.set_reuse_address(tcp)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    if !tcp {
        if address.ip().is_unspecified() {
            request_destination_address(&socket, address)?;
        }
        socket.bind(&address.into())?;
        return Ok(ListeningSocket::Udp(socket.into()));
    }
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(ListeningSocket::Tcp(socket.into()))
}

fn socket(address: SocketAddr, tcp: bool) -> io::Result<Socket> {
    let kind = if tcp { Type::STREAM } else { Type::DGRAM };
    let socket = Socket::new(Domain::for_address(address), kind, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

/// Asks for the address each datagram was sent to, so that the answer can come from there.
fn request_destination_address(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    use nix::sys::socket::{setsockopt, sockopt};
    if address.is_ipv4() {
        setsockopt(socket, sockopt::Ipv4PacketInfo, &true)?;
    } else {
        setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(protocol: Protocol, address: &str) -> Endpoint {
        Endpoint {
            protocol,
            address: address.parse().expect("an address"),
        }
    }

    fn address_of(socket: &ListeningSocket) -> SocketAddr {
        match socket {
            ListeningSocket::Tcp(socket) => socket.local_addr(),
            ListeningSocket::Udp(socket) => socket.local_addr(),
        }
        .expect("bound")
    }

    #[test]
    fn a_port_that_somebody_shares_is_still_refused() {
        for (protocol, host) in [
            (Protocol::Tcp, "127.0.0.1"),
            (Protocol::Udp, "127.0.0.1"),
            (Protocol::Tcp, "[::1]"),
        ] {
            let first =
                listen(endpoint(protocol, &format!("{host}:0")), 1, 16).expect("a free port");
            let taken = Endpoint {
                protocol,
                address: address_of(&first[0]),
            };
            let error = listen(taken, 2, 16).expect_err("in use");
            assert_eq!(error.errno(), Errno::EADDRINUSE);
            assert!(
                error.to_string().contains(&taken.address.to_string()),
                "{error}"
            );
            drop(first);
            assert_eq!(listen(taken, 2, 16).expect("free again").len(), 2);
        }
    }

    #[test]
    fn an_address_of_nobody_names_its_remedy() {
        let error =
            listen(endpoint(Protocol::Tcp, "192.0.2.77:8080"), 1, 16).expect_err("not ours");
        assert_eq!(error.errno(), Errno::EADDRNOTAVAIL);
        assert!(
            error.to_string().contains("ip addr add 192.0.2.77/32"),
            "{error}"
        );
        let error =
            listen(endpoint(Protocol::Udp, "[2001:db8::77]:8053"), 1, 16).expect_err("not ours");
        assert_eq!(error.errno(), Errno::EADDRNOTAVAIL);
    }

    #[test]
    fn every_refusal_keeps_its_number_and_says_what_helps() {
        let address = "10.0.0.1:80".parse().expect("an address");
        let told = |errno: Errno| {
            let error = ListenError::new(address, &errno.into());
            assert_eq!(error.errno(), errno);
            error.to_string()
        };
        assert!(told(Errno::EACCES).contains("net.ipv4.ip_unprivileged_port_start=80"));
        assert!(told(Errno::EADDRINUSE).contains("sport = :80"));
        assert!(told(Errno::ENOMEM).starts_with("cannot listen on 10.0.0.1:80: "));
    }
}
