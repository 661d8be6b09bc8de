//! Datagram sockets that tell, and can say, which local address a datagram is for or from.
//!
//! # Design
//! A socket bound to one address needs nothing special. One bound to all addresses gets the destination of each
//! datagram as ancillary data (IP_PKTINFO) and names it as the source of the answer; otherwise the client would be
//! answered from whatever address the route prefers, and would ignore it.

use std::{
    io::{self, IoSlice, IoSliceMut},
    net::{IpAddr, SocketAddr},
    os::fd::AsRawFd as _,
};

use nix::{
    libc,
    sys::socket::{
        ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg,
    },
};
use socket2::SockRef;
use tokio::{io::Interest, net::UdpSocket};

/// A listening datagram socket.
#[derive(Debug)]
pub(crate) struct DatagramSocket {
    socket: UdpSocket,
    bound: SocketAddr,
}

/// A datagram's origin and what it was sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) bytes: usize,
    pub(crate) client: SocketAddr,
    pub(crate) local: IpAddr,
}

impl DatagramSocket {
    /// Takes over a bound, non-blocking socket.
    pub(crate) fn new(socket: std::net::UdpSocket) -> io::Result<Self> {
        let socket = UdpSocket::from_std(socket)?;
        Ok(Self {
            bound: socket.local_addr()?,
            socket,
        })
    }

    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Receives without waiting.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        if !self.bound.ip().is_unspecified() {
            let (bytes, client) = self.socket.try_recv_from(buffer)?;
            return Ok(Received {
                bytes,
                client,
                local: self.bound.ip(),
            });
        }
        self.socket.try_io(Interest::READABLE, || {
            let mut ancillary = nix::cmsg_space!(libc::in_pktinfo, libc::in6_pktinfo);
            let mut slices = [IoSliceMut::new(buffer)];
            let message = recvmsg::<SockaddrStorage>(
                self.socket.as_raw_fd(),
                &mut slices,
                Some(&mut ancillary),
                MsgFlags::MSG_DONTWAIT,
            )?;
            let local = message.cmsgs()?.find_map(|part| match part {
                ControlMessageOwned::Ipv4PacketInfo(info) => Some(IpAddr::from(
                    u32::from_be(info.ipi_addr.s_addr).to_be_bytes(),
                )),
                ControlMessageOwned::Ipv6PacketInfo(info) => Some(info.ipi6_addr.s6_addr.into()),
                _ => None,
            });
            let client = message.address.as_ref().and_then(to_std);
            let client = client.ok_or(io::ErrorKind::InvalidData)?;
            Ok(Received {
                bytes: message.bytes,
                client,
                local: local.unwrap_or_else(|| self.bound.ip()),
            })
        })
    }

    /// Sends from `local` to `client` without waiting: what the system has no room for is lost.
    pub(crate) fn send(
        &self,
        datagram: &[u8],
        local: IpAddr,
        client: SocketAddr,
    ) -> io::Result<usize> {
        if !self.bound.ip().is_unspecified() || local.is_unspecified() {
            return SockRef::from(&self.socket).send_to(datagram, &client.into());
        }
        let to = SockaddrStorage::from(client);
        let (info4, info6);
        let source = match local {
            IpAddr::V4(local) => {
                let s_addr = u32::from_ne_bytes(local.octets());
                info4 = libc::in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst: libc::in_addr { s_addr },
                    ipi_addr: libc::in_addr { s_addr: 0 },
                };
                ControlMessage::Ipv4PacketInfo(&info4)
            }
            IpAddr::V6(local) => {
                let ipi6_addr = libc::in6_addr {
                    s6_addr: local.octets(),
                };
                info6 = libc::in6_pktinfo {
                    ipi6_addr,
                    ipi6_ifindex: scope(client),
                };
                ControlMessage::Ipv6PacketInfo(&info6)
            }
        };
        let slices = [IoSlice::new(datagram)];
        let socket = self.socket.as_raw_fd();
        Ok(sendmsg(
            socket,
            &slices,
            &[source],
            MsgFlags::MSG_DONTWAIT,
            Some(&to),
        )?)
    }
}

/// The interface of a link-local client: answers must leave there.
fn scope(client: SocketAddr) -> u32 {
    match client {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(client) => client.scope_id(),
    }
}

fn to_std(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(SocketAddr::new(v4.ip().into(), v4.port()));
    }
    address
        .as_sockaddr_in6()
        .map(|v6| std::net::SocketAddrV6::from(*v6).into())
}
