//! Destinations by the kernel's older interface, where that shows as much as netlink.
//!
//! One system call gives all destinations of a service, where netlink takes a request and two
//! answers, with all counters in two widths.
//!
//! Design: it only says what it knows to be whole. The older interface shows neither IPv6 nor the
//! settings of tunnels, and cuts what does not fit. So the kernel's own count of each service's
//! destinations is read first, and what does not agree with it, or is a tunnel, is left to netlink.

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
    /// What the kernel has told of its IPv4 services, and how much of it has been used.
    services: Vec<u8>,
    used: usize,
    destinations: Vec<u8>,
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
            services: Vec::new(),
            used: 0,
            destinations: Vec::new(),
        }
    }

    /// Reads how many destinations each service has; there are so many services.
    pub(crate) fn count(&mut self, services: usize) {
        let mut space = SERVICES.space(services);
        if let Some(number) = number(services) {
            put(
                &mut space,
                offset_of!(ip_vs_get_services, num_services),
                number,
            );
            if SERVICES.read(&self.socket, &mut space) {
                (self.services, self.used) = (space, 0);
            }
        }
    }

    /// How many destinations a service has. Services come in the order of netlink's list, so it is
    /// mostly the next one.
    fn count_of(&mut self, service: &ServiceKey) -> Option<usize> {
        let rest = SERVICES.entries(&self.services).skip(self.used);
        let (skipped, entry) = rest
            .enumerate()
            .find(|(_, entry)| key(entry).as_ref() == Some(service))?;
        self.used += skipped + 1;
        let count = bytes(entry, offset_of!(ip_vs_service_entry, num_dests))?;
        usize::try_from(u32::from_ne_bytes(count)).ok()
    }

    /// The destinations of a service, the one added last first; `None` if netlink must be asked.
    pub(crate) fn destinations(&mut self, service: &ServiceKey) -> Option<Vec<Destination>> {
        let (protocol, address, port, mark) = match *service {
            ServiceKey::Address {
                protocol,
                address: IpAddr::V4(address),
                port,
            } => (protocol.number(), address.octets(), port, 0),
            ServiceKey::Mark {
                mark,
                family: AddressFamily::Inet,
            } => (0, [0; 4], 0, mark.get()),
            _ => return None,
        };
        let count = self.count_of(service)?;
        // With room for one more, so that one that came in between shows.
        let room = count.checked_add(1)?;
        let space = &mut self.destinations;
        space.clear();
        space.resize(DESTINATIONS.length(room), UNWRITTEN);
        put(
            space,
            offset_of!(ip_vs_get_dests, protocol),
            u16::from(protocol).to_ne_bytes(),
        );
        put(space, offset_of!(ip_vs_get_dests, addr), address);
        put(space, offset_of!(ip_vs_get_dests, port), port.to_be_bytes());
        put(
            space,
            offset_of!(ip_vs_get_dests, fwmark),
            mark.to_ne_bytes(),
        );
        put(space, offset_of!(ip_vs_get_dests, num_dests), number(room)?);
        if DESTINATIONS.read(&self.socket, space) {
            whole(space, count)
        } else {
            None
        }
    }
}

impl Layout {
    fn length(self, entries: usize) -> usize {
        self.start + entries * self.entry
    }

    fn space(self, entries: usize) -> Vec<u8> {
        vec![UNWRITTEN; self.length(entries)]
    }

    /// The entries of a table.
    fn entries(self, table: &[u8]) -> impl Iterator<Item = &[u8]> {
        let entries = table.get(self.start..).unwrap_or_default();
        entries.chunks_exact(self.entry)
    }

    /// Has the kernel fill a table, whose header says what is wanted.
    #[allow(unsafe_code)]
    fn read(self, socket: &Socket, table: &mut [u8]) -> bool {
        let Ok(mut length) = libc::socklen_t::try_from(table.len()) else {
            return false;
        };
        // SAFETY: the kernel writes no more than `length` bytes to the table, which has as many, and
        // reads a header of theirs.
        let status = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::IPPROTO_IP,
                self.option,
                table.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        status == 0
    }
}

fn put<const N: usize>(table: &mut [u8], at: usize, value: [u8; N]) {
    if let Some(space) = table.get_mut(at..at + N) {
        space.copy_from_slice(&value);
    }
}

/// What names the service of an entry; `None` where the kernel has written nothing, and for
/// protocols that IPVS does not balance.
fn key(entry: &[u8]) -> Option<ServiceKey> {
    let mark = u32::from_ne_bytes(bytes(entry, offset_of!(ip_vs_service_entry, fwmark))?);
    let protocol = bytes(entry, offset_of!(ip_vs_service_entry, protocol))?;
    if protocol == [UNWRITTEN; 2] {
        return None;
    }
    Some(match NonZeroU32::new(mark) {
        Some(mark) => ServiceKey::Mark {
            mark,
            family: AddressFamily::Inet,
        },
        None => ServiceKey::Address {
            protocol: Protocol::from_number(u16::from_ne_bytes(protocol))?,
            address: address(entry, offset_of!(ip_vs_service_entry, addr))?,
            port: u16::from_be_bytes(bytes(entry, offset_of!(ip_vs_service_entry, port))?),
        },
    })
}

/// The destinations of a table with room for one more than the `count` that there must be.
fn whole(table: &[u8], count: usize) -> Option<Vec<Destination>> {
    let is_written = |entry: &[u8]| {
        let flags = bytes(entry, offset_of!(ip_vs_dest_entry, conn_flags));
        flags.is_some_and(|flags| flags != [UNWRITTEN; 4])
    };
    let mut entries = DESTINATIONS.entries(table);
    let mut destinations = Vec::with_capacity(count);
    for entry in entries.by_ref().take(count) {
        destinations.push(is_written(entry).then(|| destination(entry))??);
    }
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
        let mut table = DESTINATIONS.space(4);
        let entries = table[DESTINATIONS.start..].chunks_exact_mut(DESTINATIONS.entry);
        for (entry, flags) in entries.zip(flags) {
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
