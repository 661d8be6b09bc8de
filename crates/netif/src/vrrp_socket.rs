//! Raw sockets for VRRP: protocol 112, or 51 (AH) around it, over IPv4 and IPv6.
//!
//! Design: for event loops that keep their own time. Nothing blocks, the buffers are the caller's,
//! and a descriptor is there for `epoll` or `ppoll`. We write the IP header ourselves in both
//! families, so one socket sends from any source (one that is not on a virtual MAC's interface,
//! one whose duplicate address detection is not over) and receives all the same; a socket bound to
//! a source would not get multicast. The VRRP checksum is the caller's: it belongs to the packet.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::{Duration, SystemTime};

use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, SockaddrLike,
    SockaddrStorage, recvmsg, sendmsg, setsockopt, sockopt,
};
use socket2::{Domain, InterfaceIndexOrAddress, Socket, Type};

use crate::error::NetifError;
use crate::family::Family;
use crate::name::LinkIndex;

/// The group of all VRRP routers, IPv4. Source: RFC 9568 section 5.1.1.2.
pub const VRRP_GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

/// The group of all VRRP routers, IPv6. Source: RFC 9568 section 5.1.2.2.
pub const VRRP_GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);

/// A receive buffer of this size holds every advertisement: 255 IPv6 addresses, authentication and
/// IP header included.
pub const RECEIVE_SIZE: usize = 8192;

/// Internetwork control, as routing protocols mark their packets: DSCP CS6.
const TRAFFIC_CLASS: u8 = 0xc0;

/// `SO_PRIORITY` of control traffic (`TC_PRIO_CONTROL`): goes before bulk in the default queue.
const PRIORITY: u32 = 7;

/// Room for all ancillary data that is asked for: timestamp, packet info, hop limit, drop counter.
const CONTROL: usize = 256;

/// How many packets for groups of others are passed over in one call.
const FOREIGN_AT_ONCE: usize = 32;

mod bind {
    //! `SO_BINDTOIFINDEX`, which neither socket2 nor nix has yet.
    use nix::{setsockopt_impl, sockopt_impl};

    sockopt_impl!(
        /// Ties a socket to an interface by index.
        BindToIfIndex,
        SetOnly,
        libc::SOL_SOCKET,
        libc::SO_BINDTOIFINDEX,
        i32
    );
}

/// What is inside the IP packets of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Payload {
    /// VRRP itself, protocol 112.
    Vrrp,
    /// An authentication header before it, protocol 51, as VRRPv2's authentication type 2 has it.
    Ah,
}

impl Payload {
    /// The protocol number in the IP header.
    pub fn protocol(self) -> u8 {
        match self {
            Self::Vrrp => 112,
            Self::Ah => 51,
        }
    }
}

/// What a socket shall hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VrrpSocketConfig {
    /// IPv4 or IPv6.
    pub family: Family,
    /// The interface to which it is tied: nothing else is heard, nothing leaves elsewhere. `None`,
    /// for unicast only, hears all interfaces and sends as the routes say.
    pub link: Option<LinkIndex>,
    /// The group to join on that interface; `None` for unicast only, when groups that others
    /// joined are not heard either.
    pub group: Option<IpAddr>,
    /// Protocol 112 or 51.
    pub payload: Payload,
    /// Size of the kernel's receive buffer in bytes; `None` leaves the system's default (some
    /// hundred adverts). keepalived: `kernel_rx_buf_size`.
    pub receive_buffer: Option<usize>,
}

impl VrrpSocketConfig {
    /// Multicast VRRP as the RFC has it on one interface.
    pub fn multicast(family: Family, link: LinkIndex) -> Self {
        Self {
            family,
            link: Some(link),
            group: Some(match family {
                Family::Inet => VRRP_GROUP_V4.into(),
                Family::Inet6 => VRRP_GROUP_V6.into(),
            }),
            payload: Payload::Vrrp,
            receive_buffer: None,
        }
    }
}

/// A raw socket for VRRP on one interface, shared by all virtual routers of its family there.
///
/// It follows its interface through renaming, going down and up and changing addresses. When the
/// interface is removed the socket is deaf for good, and sending fails with `ENODEV`: drop it, and
/// open another when the monitor reports an interface of that name again.
#[derive(Debug)]
pub struct VrrpSocket {
    socket: Socket,
    config: VrrpSocketConfig,
}

/// A packet to send.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// The sender in the IP header; it need not be an address of ours.
    pub source: IpAddr,
    /// A group or a peer.
    pub destination: IpAddr,
    /// TTL or hop limit: 255 for multicast. keepalived: `unicast_ttl`.
    pub ttl: u8,
    /// IPv4 identification, which an authentication header covers; 0 lets the kernel choose.
    pub identification: u16,
    /// What follows the IP header, checksum filled in.
    pub payload: &'a [u8],
}

/// A packet that was received, in the caller's buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received<'a> {
    /// The sender in the IP header.
    pub source: IpAddr,
    /// To whom it was sent: a group or one of our addresses. `None` if the kernel does not tell.
    pub destination: Option<IpAddr>,
    /// TTL or hop limit on arrival. `None` if the kernel does not tell.
    pub ttl: Option<u8>,
    /// The interface on which it arrived.
    pub link: Option<LinkIndex>,
    /// How long it lay in the socket before it was fetched, by the kernel's time stamp on the wall
    /// clock. A step of that clock meanwhile makes it wrong: never take it for longer than
    /// the caller itself was away.
    pub waited: Duration,
    /// How many packets the kernel has dropped on this socket since it was opened, because the
    /// buffer was full.
    pub dropped: u32,
    /// Whether the buffer was too small, so that the end of the packet is missing.
    pub truncated: bool,
    /// The IPv4 header with its options, as an authentication header covers it. Empty in IPv6.
    pub header: &'a [u8],
    /// What follows the IP header.
    pub payload: &'a [u8],
}

impl VrrpSocket {
    /// Opens a socket in the network namespace of the calling thread. Needs `CAP_NET_RAW`.
    ///
    /// # Errors
    ///
    /// What the system says, and about which step: the interface is gone, no permission, no IPv6.
    pub fn open(config: VrrpSocketConfig) -> Result<Self, NetifError> {
        let place = config
            .link
            .map(|link| format!(" on interface {link}"))
            .unwrap_or_default();
        let failed = |step: &str| {
            let action = format!("{step} an {} VRRP socket{place}", config.family);
            move |error| NetifError::system(action, error)
        };
        let domain = match config.family {
            Family::Inet => Domain::IPV4,
            Family::Inet6 => Domain::IPV6,
        };
        let protocol = i32::from(config.payload.protocol()).into();
        let socket = Socket::new(domain, Type::RAW.nonblocking().cloexec(), Some(protocol))
            .map_err(failed("open"))?;
        // Deaf to what arrives before everything is set.
        if let Some(link) = config.link {
            bind_to_link(&socket, link).map_err(failed("bind"))?;
        }
        set_options(&socket, config.family).map_err(failed("set options of"))?;
        if let Some(size) = config.receive_buffer {
            set_receive_buffer(&socket, size).map_err(failed("set the buffer of"))?;
        }
        let socket = Self { socket, config };
        if let Some(group) = config.group {
            socket.join(group).map_err(failed("join the group of"))?;
        }
        Ok(socket)
    }

    /// What it was opened for.
    pub fn config(&self) -> &VrrpSocketConfig {
        &self.config
    }

    /// Sends a packet at once.
    ///
    /// # Errors
    ///
    /// `ENETDOWN`, `ENETUNREACH`, `ENODEV`: the interface is down or gone; `EMSGSIZE`: larger than
    /// its MTU; [`WouldBlock`](io::ErrorKind::WouldBlock): its queue is full;
    /// [`InvalidInput`](io::ErrorKind::InvalidInput): an address of the other family.
    pub fn send(&self, packet: &Outgoing<'_>) -> io::Result<()> {
        let protocol = self.config.payload.protocol();
        let link = self.config.link.map_or(0, LinkIndex::number);
        let mut header = [0; 40];
        match (packet.source, packet.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let (header, _) = header.split_at_mut(20);
                write_ipv4(header, packet, source, destination, protocol);
                let parts = [IoSlice::new(header), IoSlice::new(packet.payload)];
                let target = SockaddrIn::from(SocketAddrV4::new(destination, 0));
                self.send_parts(&parts, &[], &target)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                write_ipv6(&mut header, packet, source, destination, protocol)?;
                let parts = [IoSlice::new(&header), IoSlice::new(packet.payload)];
                let target = SockaddrIn6::from(SocketAddrV6::new(destination, 0, 0, link));
                // Without it the kernel looks for a source of its own, and fails if there is none.
                let source = libc::in6_pktinfo {
                    ipi6_addr: libc::in6_addr {
                        s6_addr: source.octets(),
                    },
                    ipi6_ifindex: link,
                };
                self.send_parts(&parts, &[ControlMessage::Ipv6PacketInfo(&source)], &target)
            }
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn send_parts<A: SockaddrLike>(
        &self,
        parts: &[IoSlice<'_>],
        control: &[ControlMessage<'_>],
        target: &A,
    ) -> io::Result<()> {
        loop {
            let descriptor = self.socket.as_raw_fd();
            match sendmsg(
                descriptor,
                parts,
                control,
                MsgFlags::MSG_DONTWAIT,
                Some(target),
            ) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Fetches the next packet into `buffer`, which [`RECEIVE_SIZE`] suits; `None` when there is
    /// none, or when a run of packets for groups of others was passed over: poll again.
    ///
    /// # Errors
    ///
    /// What the system says. An error belongs to this call alone: call again.
    pub fn receive<'a>(&self, buffer: &'a mut [u8]) -> io::Result<Option<Received<'a>>> {
        let mut control = [0; CONTROL];
        // Few enough to come back to the caller in time, whatever a stranger sends.
        for _ in 0..FOREIGN_AT_ONCE {
            let mut parts = [IoSliceMut::new(buffer)];
            let arrived = match recvmsg::<SockaddrStorage>(
                self.socket.as_raw_fd(),
                &mut parts,
                Some(&mut control),
                MsgFlags::MSG_DONTWAIT,
            ) {
                Ok(arrived) => Arrived::read(&arrived)?,
                Err(Errno::EINTR) => continue,
                Err(Errno::EAGAIN) => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            if self.is_for_us(&arrived, buffer) {
                return arrived.with(buffer, self.config.family).map(Some);
            }
        }
        Ok(None)
    }

    /// Whether a packet is unicast or for our group: raw IPv6 sockets hear the groups of others.
    fn is_for_us(&self, arrived: &Arrived, buffer: &[u8]) -> bool {
        let destination = match self.config.family {
            Family::Inet => Ipv4::read(buffer).map(|packet| packet.destination.into()),
            Family::Inet6 => arrived.destination,
        };
        destination.is_none_or(|destination: IpAddr| {
            !destination.is_multicast() || self.config.group == Some(destination)
        })
    }

    fn join(&self, group: IpAddr) -> io::Result<()> {
        let link = self.config.link.map_or(0, LinkIndex::number);
        match group {
            IpAddr::V4(group) => {
                let link = InterfaceIndexOrAddress::Index(link);
                self.socket.join_multicast_v4_n(&group, &link)
            }
            IpAddr::V6(group) => self.socket.join_multicast_v6(&group, link),
        }
    }
}

impl AsFd for VrrpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for VrrpSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

fn bind_to_link(socket: &Socket, link: LinkIndex) -> io::Result<()> {
    let gone = || io::Error::from_raw_os_error(libc::ENODEV);
    let index = i32::try_from(link.number()).map_err(|_| gone())?;
    match setsockopt(socket, bind::BindToIfIndex, &index) {
        // Before Linux 5.0 there is only the way by name.
        Err(Errno::ENOPROTOOPT) => {
            let name = nix::net::if_::if_indextoname(link.number()).map_err(|_| gone())?;
            socket.bind_device(Some(name.to_bytes()))
        }
        result => Ok(result?),
    }
}

fn set_options(socket: &Socket, family: Family) -> io::Result<()> {
    socket.set_priority(PRIORITY)?;
    setsockopt(socket, sockopt::ReceiveTimestampns, &true)?;
    setsockopt(socket, sockopt::RxqOvfl, &1)?;
    match family {
        Family::Inet => {
            socket.set_header_included_v4(true)?;
            socket.set_multicast_loop_v4(false)?;
            socket.set_multicast_all_v4(false)?;
            setsockopt(socket, sockopt::Ipv4PacketInfo, &true)?;
        }
        Family::Inet6 => {
            socket.set_header_included_v6(true)?;
            socket.set_multicast_loop_v6(false)?;
            // Only kernels before 4.20 lack it; there the interface alone decides.
            let _ = socket.set_multicast_all_v6(false);
            socket.set_recv_hoplimit_v6(true)?;
            setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?;
            socket.set_freebind_v6(true)?;
        }
    }
    Ok(())
}

/// As large as asked for where we may, else as large as the system allows.
fn set_receive_buffer(socket: &Socket, size: usize) -> io::Result<()> {
    setsockopt(socket, sockopt::RcvBufForce, &size)
        .map_err(io::Error::from)
        .or_else(|_| socket.set_recv_buffer_size(size))
}

/// RFC 791 section 3.1; the kernel fills in the checksum, and total length again.
fn write_ipv4(
    header: &mut [u8],
    packet: &Outgoing<'_>,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    protocol: u8,
) {
    let length = u16::try_from(header.len() + packet.payload.len()).unwrap_or(u16::MAX);
    header[0] = 0x45;
    header[1] = TRAFFIC_CLASS;
    header[2..4].copy_from_slice(&length.to_be_bytes());
    header[4..6].copy_from_slice(&packet.identification.to_be_bytes());
    header[8] = packet.ttl;
    header[9] = protocol;
    header[12..16].copy_from_slice(&source.octets());
    header[16..20].copy_from_slice(&destination.octets());
}

/// RFC 8200 section 3.
fn write_ipv6(
    header: &mut [u8; 40],
    packet: &Outgoing<'_>,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    protocol: u8,
) -> io::Result<()> {
    let length = u16::try_from(packet.payload.len())
        .map_err(|_| io::Error::from_raw_os_error(libc::EMSGSIZE))?;
    header[0] = 0x60 | TRAFFIC_CLASS >> 4;
    header[1] = TRAFFIC_CLASS << 4;
    header[4..6].copy_from_slice(&length.to_be_bytes());
    header[6] = protocol;
    header[7] = packet.ttl;
    header[8..24].copy_from_slice(&source.octets());
    header[24..40].copy_from_slice(&destination.octets());
    Ok(())
}

/// What comes with a packet beside its bytes.
#[derive(Debug)]
struct Arrived {
    length: usize,
    truncated: bool,
    source: Option<IpAddr>,
    destination: Option<IpAddr>,
    ttl: Option<u8>,
    link: Option<LinkIndex>,
    waited: Duration,
    dropped: u32,
}

impl Arrived {
    fn read(message: &nix::sys::socket::RecvMsg<'_, '_, SockaddrStorage>) -> io::Result<Self> {
        let source = message.address.and_then(|address| {
            let v4 = address.as_sockaddr_in().map(|address| address.ip().into());
            v4.or_else(|| address.as_sockaddr_in6().map(|address| address.ip().into()))
        });
        let mut arrived = Self {
            length: message.bytes,
            truncated: message.flags.contains(MsgFlags::MSG_TRUNC),
            source,
            destination: None,
            ttl: None,
            link: None,
            waited: Duration::ZERO,
            dropped: 0,
        };
        for control in message.cmsgs()? {
            match control {
                ControlMessageOwned::Ipv4PacketInfo(info) => {
                    arrived.link = u32::try_from(info.ipi_ifindex)
                        .ok()
                        .and_then(LinkIndex::new);
                }
                ControlMessageOwned::Ipv6PacketInfo(info) => {
                    arrived.link = LinkIndex::new(info.ipi6_ifindex);
                    arrived.destination = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into());
                }
                ControlMessageOwned::Ipv6HopLimit(hops) => arrived.ttl = u8::try_from(hops).ok(),
                ControlMessageOwned::RxqOvfl(count) => arrived.dropped = count,
                ControlMessageOwned::ScmTimestampns(stamp) => {
                    let stamp = SystemTime::UNIX_EPOCH + Duration::from(stamp);
                    arrived.waited = stamp.elapsed().unwrap_or_default();
                }
                _ => {}
            }
        }
        Ok(arrived)
    }

    /// Adds the bytes; an IPv4 packet tells more about itself.
    fn with(self, buffer: &[u8], family: Family) -> io::Result<Received<'_>> {
        let bytes = buffer.get(..self.length).unwrap_or(buffer);
        let unreadable = || io::Error::from(io::ErrorKind::InvalidData);
        let packet = match family {
            Family::Inet => Some(Ipv4::read(bytes).ok_or_else(unreadable)?),
            Family::Inet6 => None,
        };
        let (header, payload) = match &packet {
            Some(packet) => (packet.header, packet.payload),
            None => (&bytes[..0], bytes),
        };
        let source = packet.as_ref().map(|packet| packet.source.into());
        let destination = packet.as_ref().map(|packet| packet.destination.into());
        Ok(Received {
            source: source.or(self.source).ok_or_else(unreadable)?,
            destination: destination.or(self.destination),
            ttl: packet.as_ref().map(|packet| packet.ttl).or(self.ttl),
            link: self.link,
            waited: self.waited,
            dropped: self.dropped,
            truncated: self.truncated,
            header,
            payload,
        })
    }
}

/// An IPv4 packet, as far as its header goes.
struct Ipv4<'a> {
    header: &'a [u8],
    payload: &'a [u8],
    ttl: u8,
    source: Ipv4Addr,
    destination: Ipv4Addr,
}

impl<'a> Ipv4<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let fixed: &[u8; 20] = bytes.first_chunk()?;
        let words = usize::from(fixed[0] & 0x0f);
        if words < 5 {
            return None;
        }
        let (header, payload) = bytes.split_at_checked(words * 4)?;
        Some(Self {
            header,
            payload,
            ttl: fixed[8],
            source: [fixed[12], fixed[13], fixed[14], fixed[15]].into(),
            destination: [fixed[16], fixed[17], fixed[18], fixed[19]].into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What keepalived 2.2.7 sent for VRID 5, priority 100, VIP 10.9.9.9, PASS "s3cret".
    const SENT: &str =
        "45c0002800010000ff70c7880a090901e000001221056401 01012acc0a0909097333637265740000";

    fn bytes(text: &str) -> Vec<u8> {
        let digits: Vec<_> = text
            .chars()
            .filter_map(|digit| digit.to_digit(16))
            .collect();
        digits
            .chunks(2)
            .map(|pair| (pair[0] * 16 + pair[1]) as u8)
            .collect()
    }

    #[test]
    fn headers_are_those_of_keepalived() {
        let sent = bytes(SENT);
        let packet = Outgoing {
            source: "10.9.9.1".parse().unwrap(),
            destination: VRRP_GROUP_V4.into(),
            ttl: 255,
            identification: 1,
            payload: &sent[20..],
        };
        let mut header = [0; 20];
        let source = "10.9.9.1".parse().unwrap();
        write_ipv4(&mut header, &packet, source, VRRP_GROUP_V4, 112);
        // All but the checksum, which the kernel fills in.
        assert_eq!(header[..10], sent[..10]);
        assert_eq!(header[12..], sent[12..20]);
    }

    #[test]
    fn packets_are_taken_apart() {
        let sent = bytes(SENT);
        let packet = Ipv4::read(&sent).unwrap();
        assert_eq!(packet.ttl, 255);
        assert_eq!(packet.source, Ipv4Addr::new(10, 9, 9, 1));
        assert_eq!(packet.destination, VRRP_GROUP_V4);
        assert_eq!((packet.header, packet.payload), sent.split_at(20));
        let mut options = sent.clone();
        options[0] = 0x47;
        assert_eq!(Ipv4::read(&options).unwrap().payload, &sent[28..]);
        options[0] = 0x4f;
        assert!(
            Ipv4::read(&options).is_none(),
            "header longer than the packet"
        );
        options[0] = 0x44;
        assert!(
            Ipv4::read(&options).is_none(),
            "header shorter than its fixed part"
        );
        assert!(Ipv4::read(&sent[..19]).is_none());
    }

    proptest! {
        #[test]
        fn rubbish_is_harmless(bytes in any::<Vec<u8>>()) {
            if let Some(packet) = Ipv4::read(&bytes) {
                prop_assert_eq!(packet.header.len() + packet.payload.len(), bytes.len());
            }
        }
    }
}
