//! The sockets of the sessions: where packets come in and leave.
//!
//! # Design
//! One socket hears all packets of a family and port, whoever sends them; the machine tells whose they
//! are. Each session sends from a socket of its own, whose port stays the same, as RFC 5881 section 4
//! wants it. What cannot be opened (an address that is not there yet, a port that another daemon has)
//! is tried again.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU8;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use bfd_proto::{Datagram, Hops, Name, Path, Time, Transmit};
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt,
};
use socket2::{Domain, Socket, Type};

/// The ports that packets are sent from. Source: RFC 5881 section 4.
const SOURCE_PORTS: std::ops::RangeInclusive<u16> = 49152..=65535;

/// Internetwork control, as routing protocols mark their packets: DSCP CS6.
const TRAFFIC_CLASS: u32 = 0xc0;

/// `SO_PRIORITY` of control traffic (`TC_PRIO_CONTROL`): goes before bulk in the default queue.
const PRIORITY: u32 = 7;

/// How long a port that cannot be listened on is left alone.
const PAUSE: Duration = Duration::from_secs(5);

/// Room for what comes with a packet: packet info and hop limit.
const CONTROL: usize = 128;

/// All sockets.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    listeners: Vec<Listener>,
    /// What could not be opened, so that it is told once.
    failed: Vec<Place>,
    retry_at: Option<Time>,
    senders: HashMap<Name, Sender>,
    /// The last port that a session was given.
    port: u16,
}

/// What a socket hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    is_ipv4: bool,
    hops: Hops,
}

#[derive(Debug)]
struct Listener {
    place: Place,
    socket: Socket,
}

#[derive(Debug)]
struct Sender {
    path: Path,
    hop_limit: NonZeroU8,
    socket: Socket,
}

impl Sockets {
    /// Listens for packets of exactly these paths; what is wrong is told once.
    pub(super) fn listen<'a>(
        &mut self,
        now: Time,
        paths: impl Iterator<Item = &'a Path>,
    ) -> Vec<String> {
        let mut wished: Vec<Place> = Vec::new();
        for path in paths {
            let place = Place {
                is_ipv4: path.neighbor().is_ipv4(),
                hops: path.hops(),
            };
            if !wished.contains(&place) {
                wished.push(place);
            }
        }
        self.listeners.retain(|it| wished.contains(&it.place));
        let mut problems = Vec::new();
        let mut failed = Vec::new();
        for place in wished {
            if self.listeners.iter().any(|it| it.place == place) {
                continue;
            }
            match place.open() {
                Ok(socket) => self.listeners.push(Listener { place, socket }),
                Err(error) => {
                    if !self.failed.contains(&place) {
                        problems.push(format!(
                            "Unable to listen on {} for BFD - {error}; trying again every {} s",
                            place.address(),
                            PAUSE.as_secs()
                        ));
                    }
                    failed.push(place);
                }
            }
        }
        self.retry_at = (!failed.is_empty()).then(|| now + PAUSE);
        self.failed = failed;
        problems
    }

    /// When to listen again.
    pub(super) const fn poll_timeout(&self) -> Option<Time> {
        self.retry_at
    }

    /// Closes the sockets of sessions that are not kept.
    pub(super) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.senders.retain(|name, _| keep(name));
    }

    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.listeners.iter().map(|it| it.socket.as_fd())
    }

    /// Sends a packet at once.
    pub(super) fn send(&mut self, session: &Name, transmit: &Transmit) -> io::Result<()> {
        let neighbor = SocketAddr::new(transmit.path.neighbor(), transmit.path.hops().port());
        let sender = self.sender(session, transmit)?;
        if sender.hop_limit != transmit.hop_limit {
            set_hop_limit(&sender.socket, &transmit.path, transmit.hop_limit)?;
            sender.hop_limit = transmit.hop_limit;
        }
        loop {
            match sender.socket.send_to(&transmit.payload, &neighbor.into()) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn sender(&mut self, session: &Name, transmit: &Transmit) -> io::Result<&mut Sender> {
        let path = transmit.path;
        // Of a session of the same name over another path: that one is gone.
        self.senders
            .retain(|name, it| name != session || it.path == path);
        if !self.senders.contains_key(session) {
            let socket = self.open_sender(&path)?;
            set_hop_limit(&socket, &path, transmit.hop_limit)?;
            let sender = Sender {
                path,
                hop_limit: transmit.hop_limit,
                socket,
            };
            self.senders.insert(session.clone(), sender);
        }
        let gone = || io::Error::from_raw_os_error(libc::ENOTCONN);
        self.senders.get_mut(session).ok_or_else(gone)
    }

    fn open_sender(&mut self, path: &Path) -> io::Result<Socket> {
        let any = any_address(path.neighbor().is_ipv4());
        let source = path.source().unwrap_or(any);
        let socket = open(source.is_ipv4())?;
        socket.set_priority(PRIORITY)?;
        match source {
            IpAddr::V4(_) => socket.set_tos_v4(TRAFFIC_CLASS)?,
            IpAddr::V6(_) => socket.set_tclass_v6(TRAFFIC_CLASS)?,
        }
        // Nothing is received on it.
        socket.set_recv_buffer_size(0)?;
        if !SOURCE_PORTS.contains(&self.port) {
            let start = std::process::id() % u32::from(u16::MAX - SOURCE_PORTS.start());
            self.port = SOURCE_PORTS.start() + u16::try_from(start).unwrap_or(0);
        }
        for _ in SOURCE_PORTS {
            self.port = match self.port {
                u16::MAX => *SOURCE_PORTS.start(),
                port => port + 1,
            };
            match socket.bind(&SocketAddr::new(source, self.port).into()) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                result => return result.map(|()| socket),
            }
        }
        Err(io::ErrorKind::AddrInUse.into())
    }

    /// The next packet of one of the sockets; `None` when there is none.
    pub(super) fn receive<'a>(
        &self,
        number: usize,
        buffer: &'a mut [u8],
    ) -> io::Result<Option<Datagram<'a>>> {
        let Some(listener) = self.listeners.get(number) else {
            return Ok(None);
        };
        loop {
            let mut parts = [io::IoSliceMut::new(buffer)];
            let mut control = [0; CONTROL];
            let received = recvmsg::<SockaddrStorage>(
                listener.socket.as_raw_fd(),
                &mut parts,
                Some(&mut control),
                MsgFlags::MSG_DONTWAIT,
            );
            let message = match received {
                Ok(message) => message,
                Err(Errno::EINTR) => continue,
                Err(Errno::EAGAIN) => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            let source = message.address.and_then(|address| {
                let v4 = address.as_sockaddr_in().map(|it| it.ip().into());
                v4.or_else(|| address.as_sockaddr_in6().map(|it| it.ip().into()))
            });
            let (mut destination, mut hop_limit) = (None, None);
            for control in message.cmsgs()? {
                match control {
                    ControlMessageOwned::Ipv4PacketInfo(info) => {
                        let address = u32::from_be(info.ipi_addr.s_addr);
                        destination = Some(Ipv4Addr::from_bits(address).into());
                    }
                    ControlMessageOwned::Ipv6PacketInfo(info) => {
                        destination = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into());
                    }
                    ControlMessageOwned::Ipv4Ttl(ttl) => hop_limit = u8::try_from(ttl).ok(),
                    ControlMessageOwned::Ipv6HopLimit(limit) => {
                        hop_limit = u8::try_from(limit).ok()
                    }
                    _ => {}
                }
            }
            let length = message.bytes;
            let (Some(source), Some(destination)) = (source, destination) else {
                return Err(io::ErrorKind::InvalidData.into());
            };
            return Ok(Some(Datagram {
                source,
                destination,
                hop_limit,
                hops: listener.place.hops,
                payload: buffer.get(..length).unwrap_or_default(),
            }));
        }
    }
}

impl Place {
    fn address(self) -> SocketAddr {
        SocketAddr::new(any_address(self.is_ipv4), self.hops.port())
    }

    fn open(self) -> io::Result<Socket> {
        let socket = open(self.is_ipv4)?;
        match self.is_ipv4 {
            true => {
                setsockopt(&socket, sockopt::Ipv4RecvTtl, &true)?;
                setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
            }
            false => {
                socket.set_only_v6(true)?;
                socket.set_recv_hoplimit_v6(true)?;
                setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
            }
        }
        socket.bind(&self.address().into())?;
        Ok(socket)
    }
}

const fn any_address(is_ipv4: bool) -> IpAddr {
    match is_ipv4 {
        true => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        false => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}

fn open(is_ipv4: bool) -> io::Result<Socket> {
    let domain = if is_ipv4 { Domain::IPV4 } else { Domain::IPV6 };
    Socket::new(domain, Type::DGRAM.nonblocking().cloexec(), None)
}

fn set_hop_limit(socket: &Socket, path: &Path, limit: NonZeroU8) -> io::Result<()> {
    let limit = u32::from(limit.get());
    match path.neighbor() {
        IpAddr::V4(_) => socket.set_ttl_v4(limit),
        IpAddr::V6(_) => socket.set_unicast_hops_v6(limit),
    }
}
