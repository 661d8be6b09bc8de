//! The sockets of the virtual routers: which are open, and what goes through them.
//!
//! # Design
//! One socket for each interface, family, protocol and multicast group, shared by all instances
//! there. A socket whose interface is gone is closed, and one for the interface of the same name is
//! opened when it comes back. Unicast is heard by every socket of an interface, so only one of them,
//! the main one, passes it on.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use netif::{LinkIndex, Outgoing, Payload, Snapshot, VrrpSocket, VrrpSocketConfig};
use vrrp_proto::config::{Authentication, Delivery};
use vrrp_proto::{Datagram, Family, InstanceConfig, Name, Transmit};

use super::holding::VirtualLink;
use crate::wiring::vrrp::VrrpPlan;

/// What a socket's buffer shall hold, in bytes: a thousand packets and more, be they of hundreds of
/// instances or of a stranger, that come while others are done or gather.
const RECEIVE_BUFFER: usize = 1 << 20;

/// Where packets of one kind leave and come in.
type Place = (Option<LinkIndex>, netif::Family, Payload);

/// All sockets.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    open: Vec<Open>,
    /// The main socket of each place.
    places: HashMap<Place, usize>,
    /// What could not be opened, so that it is told once.
    failed: HashSet<VrrpSocketConfig>,
}

#[derive(Debug)]
struct Open {
    socket: VrrpSocket,
    interface: Option<Name>,
}

impl Open {
    fn place(&self) -> Place {
        let config = self.socket.config();
        (config.link, config.family, config.payload)
    }
}

/// A packet that came in.
pub(super) struct Arrived<'a> {
    /// Where.
    pub(super) interface: Name,
    /// What.
    pub(super) datagram: Datagram<'a>,
    /// How long it lay in the socket, as far as the kernel tells.
    pub(super) waited: Duration,
}

impl Sockets {
    /// Opens and closes so that there is what the plan needs. What cannot be opened is told once.
    pub(super) fn follow(&mut self, plan: &VrrpPlan, snapshot: &Snapshot) -> Vec<String> {
        let wished = wished(plan, snapshot);
        self.open.retain(|it| {
            wished
                .iter()
                .any(|(config, _)| config == it.socket.config())
        });
        self.failed
            .retain(|config| wished.iter().any(|(it, _)| it == config));
        let mut problems = Vec::new();
        for (config, interface) in wished {
            if self.open.iter().any(|it| *it.socket.config() == config) {
                continue;
            }
            match VrrpSocket::open(config) {
                Ok(socket) => {
                    self.failed.remove(&config);
                    self.open.push(Open { socket, interface });
                }
                Err(error) => {
                    if self.failed.insert(config) {
                        problems.push(error.to_string());
                    }
                }
            }
        }
        self.places.clear();
        for (number, open) in self.open.iter().enumerate() {
            self.places.entry(open.place()).or_insert(number);
        }
        problems
    }

    /// Whether packets of an instance can leave and come in.
    pub(super) fn serve(&self, config: &InstanceConfig, snapshot: &Snapshot) -> bool {
        let link = match &config.interface {
            Some(name) => match snapshot.find_link(name.as_str()) {
                Some(link) => Some(link.index),
                None => return false,
            },
            None => None,
        };
        let place = (link, family(config.family), payload(config));
        self.places.contains_key(&place)
    }

    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.open.iter().map(|open| open.socket.as_fd())
    }

    pub(super) const fn count(&self) -> usize {
        self.open.len()
    }

    /// Sends an advertisement at once.
    pub(super) fn send(
        &self,
        transmit: &Transmit,
        virtual_link: Option<&VirtualLink>,
        payload: Payload,
        snapshot: &Snapshot,
    ) -> io::Result<()> {
        let above = virtual_link.filter(|it| !it.sends_on_base);
        let interface = above.map(|it| &it.name).or(transmit.interface.as_ref());
        let link = match interface {
            Some(name) => match snapshot.find_link(name.as_str()) {
                Some(link) => Some(link.index),
                None => return Err(io::Error::from_raw_os_error(libc::ENODEV)),
            },
            None => None,
        };
        let family = match transmit.source {
            IpAddr::V4(_) => netif::Family::Inet,
            IpAddr::V6(_) => netif::Family::Inet6,
        };
        let socket = self.places.get(&(link, family, payload));
        let socket = socket.and_then(|number| self.open.get(*number));
        let Some(open) = socket else {
            return Err(io::Error::from_raw_os_error(libc::ENOTCONN));
        };
        let identification = match (family, transmit.packet.get(4..6)) {
            (netif::Family::Inet, Some(&[high, low])) => u16::from_be_bytes([high, low]),
            _ => 0,
        };
        open.socket.send(&Outgoing {
            source: transmit.source,
            destination: transmit.destination,
            ttl: transmit.hop_limit,
            identification,
            payload: transmit.payload(),
        })
    }

    /// The next packet of one of the sockets that is for us; `None` when there is none.
    ///
    /// `Err` is for this call alone.
    pub(super) fn receive<'a>(
        &self,
        number: usize,
        buffer: &'a mut [u8],
        snapshot: &Snapshot,
    ) -> io::Result<Option<Arrived<'a>>> {
        let Some(open) = self.open.get(number) else {
            return Ok(None);
        };
        loop {
            let Some(received) = open.socket.receive(buffer)? else {
                return Ok(None);
            };
            let (source, destination) = (received.source, received.destination);
            let (link, ttl, waited) = (received.link, received.ttl, received.waited);
            let length = received.header.len() + received.payload.len();
            if !self.passes(number, open, destination, link) {
                continue;
            }
            let here = || link.and_then(|link| snapshot.link(link));
            let interface = match &open.interface {
                Some(name) => name.clone(),
                None => here().map_or("", |link| link.name.as_str()).into(),
            };
            // The header and what follows it stand at the beginning of the buffer.
            let bytes = buffer.get(..length).unwrap_or_default();
            let datagram = match (source, destination) {
                (IpAddr::V6(source), Some(IpAddr::V6(destination))) => {
                    Datagram::ipv6(source, destination, ttl.unwrap_or_default(), bytes)
                }
                _ => Datagram::ipv4(bytes),
            };
            return Ok(Some(Arrived {
                interface,
                datagram,
                waited,
            }));
        }
    }

    /// Whether this socket is the one that passes such a packet on.
    fn passes(
        &self,
        number: usize,
        open: &Open,
        destination: Option<IpAddr>,
        link: Option<LinkIndex>,
    ) -> bool {
        if destination.is_some_and(|address| address.is_multicast()) {
            return true;
        }
        let (_, family, payload) = open.place();
        let main = self.places.get(&(link, family, payload));
        main.or_else(|| self.places.get(&(None, family, payload)))
            .is_none_or(|main| *main == number)
    }
}

/// What an instance's packets carry.
pub(super) const fn payload(config: &InstanceConfig) -> Payload {
    match config.authentication {
        Authentication::Ah(_) => Payload::Ah,
        Authentication::None | Authentication::Pass(_) => Payload::Vrrp,
    }
}

const fn family(family: Family) -> netif::Family {
    match family {
        Family::Ipv4 => netif::Family::Inet,
        Family::Ipv6 => netif::Family::Inet6,
    }
}

/// Every socket that the plan needs and that can be there, each once.
fn wished(plan: &VrrpPlan, snapshot: &Snapshot) -> Vec<(VrrpSocketConfig, Option<Name>)> {
    let mut wished: Vec<(VrrpSocketConfig, Option<Name>)> = Vec::new();
    let mut wish = |config, interface: Option<&Name>| {
        if !wished.iter().any(|(it, _)| *it == config) {
            wished.push((config, interface.cloned()));
        }
    };
    for named in &plan.router.instances {
        let config = &named.config;
        let link = |name: &Name| snapshot.find_link(name.as_str()).map(|link| link.index);
        let common = VrrpSocketConfig {
            family: family(config.family),
            link: None,
            group: None,
            payload: payload(config),
            receive_buffer: Some(plan.receive_buffer.unwrap_or(RECEIVE_BUFFER)),
        };
        let group = match config.delivery {
            Delivery::Multicast { group } => Some(group),
            Delivery::Unicast { .. } => None,
        };
        match &config.interface {
            Some(name) => {
                if let Some(link) = link(name) {
                    let config = VrrpSocketConfig {
                        link: Some(link),
                        group,
                        ..common
                    };
                    wish(config, Some(name));
                }
            }
            None => wish(common, None),
        }
        let holding = plan.holdings.instances.get(&named.name);
        let virtual_link = holding.and_then(|it| it.virtual_link.as_ref());
        if let Some(virtual_link) = virtual_link.filter(|it| !it.sends_on_base)
            && let Some(link) = link(&virtual_link.name)
        {
            // For sending only: what the others send is heard on the interface below.
            let config = VrrpSocketConfig {
                link: Some(link),
                ..common
            };
            wish(config, Some(&virtual_link.base));
        }
    }
    wished
}
