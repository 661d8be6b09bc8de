//! Destinations by the kernel's older interface, where that shows as much as netlink.
//!
//! One system call gives all destinations of a service, where netlink takes a request and two
//! answers, with all counters in two widths.
//!
//! Design: it only says what it knows to be whole. The older interface shows neither IPv6 nor the
//! settings of tunnels, and cuts what does not fit. So the kernel's own count of each service's
//! destinations is read first, and what does not agree with it, or is a tunnel, is left to netlink.

use std::collections::HashMap;
use std::io;
use std::mem::{offset_of, size_of};
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use socket2::{Domain, Socket, Type};

use crate::codec::AddressFamily;
use crate::destination::{Destination, ForwardMethod, TunnelKind};
use crate::service::{Protocol, ServiceKey};
use crate::uapi::*;

/// Reads destinations where the kernel's older interface shows as much as netlink.
///
/// [`Transport::quick_reader`](crate::Transport::quick_reader) gives it.
#[derive(Debug)]
pub struct QuickReader {
    socket: Arc<Socket>,
    /// How many destinations the services have.
    counts: HashMap<ServiceKey, usize>,
    buffer: Vec<u8>,
}

/// What the buffer holds where the kernel has written nothing.
const UNWRITTEN: u8 = 0xff;

/// The table of services, or of destinations: where it begins, and how long an entry is.
#[derive(Clone, Copy)]
struct Layout {
    option: i32,
    start: usize,
    entry: usize,
}

const SERVICES: Layout = Layout {
    option: IP_VS_SO_GET_SERVICES,
    start: offset_of!(ip_vs_get_services, entrytable),
    entry: size_of::<ip_vs_service_entry>(),
};

const DESTINATIONS: Layout = Layout {
    option: IP_VS_SO_GET_DESTS,
    start: offset_of!(ip_vs_get_dests, entrytable),
    entry: size_of::<ip_vs_dest_entry>(),
};

impl QuickReader {
    /// Any IPv4 socket will do. Its network namespace is that of the calling thread.
    pub(crate) fn socket() -> io::Result<Arc<Socket>> {
        Socket::new(Domain::IPV4, Type::DGRAM, None).map(Arc::new)
    }

    pub(crate) fn new(socket: &Arc<Socket>) -> Self {
        Self {
            socket: Arc::clone(socket),
            counts: HashMap::new(),
            buffer: Vec::new(),
        }
    }

    /// Reads how many destinations each service has; there are so many services.
    pub(crate) fn count(&mut self, services: usize) {
        self.counts = self.counts(services).unwrap_or_default();
    }

    fn counts(&mut self, services: usize) -> Option<HashMap<ServiceKey, usize>> {
        self.buffer.clear();
        self.buffer
            .resize(SERVICES.start + services * SERVICES.entry, UNWRITTEN);
        self.put(
            offset_of!(ip_vs_get_services, num_services),
            number(services)?,
        );
        let mut counts = HashMap::with_capacity(services);
        for entry in self.read(SERVICES)?.chunks_exact(SERVICES.entry) {
            let protocol = bytes(entry, offset_of!(ip_vs_service_entry, protocol))?;
            if protocol == [UNWRITTEN; 2] {
                break;
            }
            let mark = u32::from_ne_bytes(bytes(entry, offset_of!(ip_vs_service_entry, fwmark))?);
            let key = match (
                NonZeroU32::new(mark),
                Protocol::from_number(u16::from_ne_bytes(protocol)),
            ) {
                (Some(mark), _) => ServiceKey::Mark {
                    mark,
                    family: AddressFamily::Inet,
                },
                (None, Some(protocol)) => ServiceKey::Address {
                    protocol,
                    address: address(entry, offset_of!(ip_vs_service_entry, addr))?,
                    port: u16::from_be_bytes(bytes(entry, offset_of!(ip_vs_service_entry, port))?),
                },
                (None, None) => continue,
            };
            let count =
                u32::from_ne_bytes(bytes(entry, offset_of!(ip_vs_service_entry, num_dests))?);
            counts.insert(key, count as usize);
        }
        Some(counts)
    }

    /// The destinations of a service, the one added last first; `None` if netlink must be asked.
    pub(crate) fn destinations(&mut self, service: &ServiceKey) -> Option<Vec<Destination>> {
        let count = *self.counts.get(service)?;
        // With room for one more, so that one that came in between shows.
        let room = count.checked_add(1)?;
        self.buffer.clear();
        self.buffer
            .resize(DESTINATIONS.start + room * DESTINATIONS.entry, UNWRITTEN);
        let (protocol, address, port, mark) = match *service {
            ServiceKey::Address {
                protocol,
                address: IpAddr::V4(address),
                port,
            } => (protocol.number(), address.octets(), port, 0),
            ServiceKey::Address { .. } => return None,
            ServiceKey::Mark { mark, .. } => (0, [0; 4], 0, mark.get()),
        };
        self.put(
            offset_of!(ip_vs_get_dests, protocol),
            u16::from(protocol).to_ne_bytes(),
        );
        self.put(offset_of!(ip_vs_get_dests, addr), address);
        self.put(offset_of!(ip_vs_get_dests, port), port.to_be_bytes());
        self.put(offset_of!(ip_vs_get_dests, fwmark), mark.to_ne_bytes());
        self.put(offset_of!(ip_vs_get_dests, num_dests), number(room)?);
        whole(self.read(DESTINATIONS)?, count)
    }

    fn put<const N: usize>(&mut self, at: usize, value: [u8; N]) {
        if let Some(space) = self.buffer.get_mut(at..at + N) {
            space.copy_from_slice(&value);
        }
    }

    /// Has the kernel fill the buffer; the entries.
    #[allow(unsafe_code)]
    fn read(&mut self, layout: Layout) -> Option<&[u8]> {
        let mut length = libc::socklen_t::try_from(self.buffer.len()).ok()?;
        let space = self.buffer.as_mut_ptr();
        // SAFETY: the kernel writes no more than `length` bytes to `space`, which has as many, and
        // reads a header of theirs.
        let status = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::IPPROTO_IP,
                layout.option,
                space.cast(),
                &raw mut length,
            )
        };
        self.buffer.get(layout.start..).filter(|_| status == 0)
    }
}

/// The destinations of a table with room for one more than the `count` that there must be.
fn whole(table: &[u8], count: usize) -> Option<Vec<Destination>> {
    let is_written = |entry: &[u8]| {
        let flags = bytes(entry, offset_of!(ip_vs_dest_entry, conn_flags));
        flags.is_some_and(|flags| flags != [UNWRITTEN; 4])
    };
    let mut entries = table.chunks_exact(DESTINATIONS.entry);
    let written = entries.by_ref().take(count);
    let destinations = written
        .map(|entry| is_written(entry).then(|| destination(entry))?)
        .collect::<Option<Vec<_>>>()?;
    let is_whole =
        destinations.len() == count && entries.next().is_some_and(|next| !is_written(next));
    is_whole.then_some(destinations)
}

/// A destination, unless it is a tunnel.
fn destination(entry: &[u8]) -> Option<Destination> {
    let word = |at: usize| bytes(entry, at).map(u32::from_ne_bytes);
    let flags = word(offset_of!(ip_vs_dest_entry, conn_flags))?;
    let forward = ForwardMethod::from_number(flags, TunnelKind::default());
    let destination = Destination {
        address: address(entry, offset_of!(ip_vs_dest_entry, addr))?,
        port: u16::from_be_bytes(bytes(entry, offset_of!(ip_vs_dest_entry, port))?),
        forward,
        weight: word(offset_of!(ip_vs_dest_entry, weight))?,
        upper_threshold: word(offset_of!(ip_vs_dest_entry, u_threshold))?,
        lower_threshold: word(offset_of!(ip_vs_dest_entry, l_threshold))?,
    };
    (!matches!(forward, ForwardMethod::Tunnel(_))).then_some(destination)
}

fn bytes<const N: usize>(entry: &[u8], at: usize) -> Option<[u8; N]> {
    entry.get(at..)?.first_chunk().copied()
}

fn address(entry: &[u8], at: usize) -> Option<IpAddr> {
    bytes::<4>(entry, at).map(|octets| Ipv4Addr::from(octets).into())
}

fn number(count: usize) -> Option<[u8; 4]> {
    u32::try_from(count).ok().map(u32::to_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(flags: &[u32]) -> Vec<u8> {
        let mut table = vec![UNWRITTEN; 4 * DESTINATIONS.entry];
        for (entry, flags) in table.chunks_exact_mut(DESTINATIONS.entry).zip(flags) {
            entry.fill(0);
            let at = offset_of!(ip_vs_dest_entry, conn_flags);
            entry[at..at + 4].copy_from_slice(&flags.to_ne_bytes());
        }
        table
    }

    #[test]
    fn only_as_many_as_there_must_be_are_whole() {
        let masq = IP_VS_CONN_F_MASQ;
        let three = table(&[masq, IP_VS_CONN_F_DROUTE, masq]);
        let found = whole(&three, 3).unwrap();
        assert_eq!(found[1].forward, ForwardMethod::DirectRoute);
        for count in [0, 1, 2, 4, 5] {
            assert_eq!(whole(&three, count), None, "{count}");
        }
    }

    #[test]
    fn tunnels_are_left_to_netlink() {
        assert_eq!(
            whole(&table(&[IP_VS_CONN_F_MASQ, IP_VS_CONN_F_TUNNEL]), 2),
            None
        );
    }
}
