//! A socket that sends whole Ethernet frames: gratuitous ARP, unsolicited neighbour advertisements.
//!
//! What the frames say is the caller's; nothing is ever received.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::error::NetifError;
use crate::name::LinkIndex;

/// The smallest frame: two addresses and a type.
const ETHERNET_HEADER: usize = 14;

/// Sends frames on any interface of the network namespace in which it was opened. It needs no
/// care when interfaces come and go.
#[derive(Debug)]
pub struct FrameSocket {
    socket: Socket,
}

impl FrameSocket {
    /// Opens a socket. Needs `CAP_NET_RAW`.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn open() -> Result<Self, NetifError> {
        // Protocol 0: it receives nothing.
        let kind = Type::RAW.nonblocking().cloexec();
        let socket = Socket::new(Domain::PACKET, kind, None)
            .map_err(|error| NetifError::system("open a packet socket", error))?;
        Ok(Self { socket })
    }

    /// Sends `frame`, from the destination's Ethernet address to the end without checksum, on an
    /// Ethernet-like interface.
    ///
    /// # Errors
    ///
    /// `ENXIO`: the interface is gone; `ENETDOWN`: it is down; `EMSGSIZE`: larger than its MTU;
    /// `ENOBUFS` and [`WouldBlock`](io::ErrorKind::WouldBlock): its queue is full;
    /// [`InvalidInput`](io::ErrorKind::InvalidInput): too short to be a frame.
    pub fn send(&self, link: LinkIndex, frame: &[u8]) -> io::Result<()> {
        let Some(&[.., high, low]) = frame.first_chunk::<ETHERNET_HEADER>() else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let target = target(link, [high, low])?;
        loop {
            match self.socket.send_to(frame, &target) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for FrameSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The interface, and the type of the frame for those that look at it (bridges, filters).
#[allow(unsafe_code)]
fn target(link: LinkIndex, kind: [u8; 2]) -> io::Result<SockAddr> {
    let index = i32::try_from(link.number()).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: all bits zero is a valid sockaddr_storage, as try_init provides it; sockaddr_ll fits
    // into it and is what the length says.
    let ((), target) = unsafe {
        SockAddr::try_init(|storage, length| {
            let address = &mut *storage.cast::<libc::sockaddr_ll>();
            address.sll_family = libc::AF_PACKET as u16;
            address.sll_protocol = u16::from_ne_bytes(kind);
            address.sll_ifindex = index;
            *length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
            Ok(())
        })?
    };
    Ok(target)
}
