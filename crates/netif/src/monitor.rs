//! Listening to what happens to interfaces, addresses, routes and rules.
//!
//! Design: the kernel's messages are hints, the events are differences of a [`Snapshot`]. Links and
//! addresses follow the messages; routes and rules are read anew when a message concerns them,
//! because the kernel says nothing when an interface takes its IPv4 routes with it, and tells IPv6
//! multipath routes in pieces. When messages were lost (`ENOBUFS`), everything is read anew. So
//! nothing is missed, only what came and went meanwhile.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use neli::consts::rtnl::Rtm;
use neli::consts::socket::NlFamily;
use neli::socket::NlSocket;
use neli::utils::Groups;

use crate::address::AddressEntry;
use crate::codec::{Message, Messages, ParseError};
use crate::error::NetifError;
use crate::family::Family;
use crate::link::Link;
use crate::netlink::{borrow, open_socket, receive};
use crate::route::{Route, RouteFilter};
use crate::rtnetlink::Rtnetlink;
use crate::rule::Rule;
use crate::snapshot::{Event, Snapshot};

/// The largest piece that the kernel sends.
const CHUNK: usize = 64 * 1024;

/// How many datagrams are read before the caller gets a turn.
const DATAGRAMS_AT_ONCE: usize = 256;

/// Multicast groups of `linux/rtnetlink.h`.
const GROUP_LINK: u32 = 1;
const GROUP_IPV4_ADDRESS: u32 = 5;
const GROUP_IPV4_ROUTE: u32 = 7;
const GROUP_IPV4_RULE: u32 = 8;
const GROUP_IPV6_ADDRESS: u32 = 9;
const GROUP_IPV6_ROUTE: u32 = 11;
const GROUP_IPV6_RULE: u32 = 19;

/// What to listen to beside interfaces and addresses, which always are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    /// Routes that pass a filter. Take one by protocol: without, every change of any route makes
    /// us read them all. Default none.
    pub routes: Option<RouteFilter>,
    /// Rules of this protocol. Default none.
    pub rules: Option<u8>,
}

/// A listener, for an event loop of any kind: it has a descriptor that becomes readable, and
/// [`receive`](Self::receive) never blocks. For tokio, put it into an `AsyncFd`.
///
/// ```no_run
/// use netif::{Event, Monitor, Watch};
/// use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
/// use std::os::fd::AsFd;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut monitor = Monitor::open(Watch::default())?;
/// println!("{} interfaces", monitor.snapshot().links().count());
/// loop {
///     poll(&mut [PollFd::new(monitor.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE)?;
///     for event in monitor.receive()? {
///         if let Event::LinkChanged { after, .. } = event {
///             println!("{} is {}", after.name, after.flags);
///         }
///     }
/// }
/// # }
/// ```
pub struct Monitor {
    socket: NlSocket,
    rtnetlink: Rtnetlink,
    watch: Watch,
    snapshot: Snapshot,
    stale: Stale,
    overruns: u64,
    unreadable: u64,
    chunk: Box<[u8]>,
}

/// What must be read anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Stale {
    everything: bool,
    routes: bool,
    rules: bool,
}

impl Monitor {
    /// Begins to listen in the network namespace of the calling thread, and looks around.
    ///
    /// # Errors
    ///
    /// See [`NetifError`].
    pub fn open(watch: Watch) -> Result<Self, NetifError> {
        let mut groups = vec![GROUP_LINK, GROUP_IPV4_ADDRESS, GROUP_IPV6_ADDRESS];
        if watch.routes.is_some() {
            groups.extend([GROUP_IPV4_ROUTE, GROUP_IPV6_ROUTE]);
        }
        if watch.rules.is_some() {
            groups.extend([GROUP_IPV4_RULE, GROUP_IPV6_RULE]);
        }
        let mut monitor = Self {
            // First listen, then look: nothing is missed in between.
            socket: open_socket(NlFamily::Route, Groups::new_groups(&groups))?,
            rtnetlink: Rtnetlink::open()?,
            watch,
            snapshot: Snapshot::default(),
            stale: Stale::default(),
            overruns: 0,
            unreadable: 0,
            chunk: vec![0; CHUNK].into(),
        };
        monitor.read_everything(&mut Vec::new())?;
        Ok(monitor)
    }

    /// What is there, as of the events received so far.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// How often messages were lost and everything was read anew.
    pub fn overruns(&self) -> u64 {
        self.overruns
    }

    /// How many messages could not be understood; each made us read everything anew.
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }

    /// The events since the last call, in order; none if nothing happened. Does not block. If the
    /// descriptor is still readable afterwards, there is more.
    ///
    /// # Errors
    ///
    /// See [`NetifError`]. What could not be read is read at the next call; nothing is lost but
    /// the events of this call, which the snapshot holds.
    pub fn receive(&mut self) -> Result<Vec<Event>, NetifError> {
        let mut events = Vec::new();
        for _ in 0..DATAGRAMS_AT_ONCE {
            match receive(&self.socket, &mut self.chunk) {
                Ok(Some(length)) => self.take(length, &mut events),
                Ok(None) => break,
                Err(error) if is_overrun(&error) => {
                    self.overruns += 1;
                    self.stale.everything = true;
                }
                Err(error) => return Err(NetifError::system("listen to the kernel", error)),
            }
        }
        self.refresh(&mut events)?;
        Ok(events)
    }

    /// Reads everything anew, whatever the kernel has said, and gives the differences.
    ///
    /// # Errors
    ///
    /// See [`NetifError`].
    pub fn resync(&mut self) -> Result<Vec<Event>, NetifError> {
        let mut events = Vec::new();
        self.stale.everything = true;
        self.refresh(&mut events)?;
        Ok(events)
    }

    fn take(&mut self, length: usize, events: &mut Vec<Event>) {
        let chunk = std::mem::take(&mut self.chunk);
        for message in Messages::new(chunk.get(..length).unwrap_or_default()) {
            let heard = message.and_then(|message| self.hear(&message, events));
            if heard.is_err() {
                self.unreadable += 1;
                self.stale.everything = true;
            }
        }
        self.chunk = chunk;
    }

    fn hear(&mut self, message: &Message<'_>, events: &mut Vec<Event>) -> Result<(), ParseError> {
        match Rtm::from(message.kind) {
            Rtm::Newlink => {
                if let Some(link) = Link::read(message)? {
                    // One that goes down takes its routes with it, without a word.
                    self.stale.routes |= !link.flags.is_up();
                    self.snapshot.set_link(link, events);
                }
            }
            Rtm::Dellink => {
                if let Some(link) = Link::read(message)? {
                    self.stale.routes = true;
                    // Rules that name it are detached.
                    self.stale.rules = true;
                    self.snapshot.remove_link(link.index, events);
                }
            }
            Rtm::Newaddr => {
                if let Some(entry) = AddressEntry::read(message)? {
                    self.snapshot.set_address(entry, events);
                }
            }
            Rtm::Deladdr => {
                if let Some(entry) = AddressEntry::read(message)? {
                    // Routes that prefer it as a source go with it.
                    self.stale.routes = true;
                    self.snapshot.forget_address(&entry, events);
                }
            }
            Rtm::Newroute | Rtm::Delroute => {
                let route = Route::read(message)?;
                self.stale.routes |= self
                    .watch
                    .routes
                    .is_some_and(|filter| route.is_some_and(|route| filter.admits(&route)));
            }
            Rtm::Newrule | Rtm::Delrule => self.stale.rules = true,
            _ => {}
        }
        Ok(())
    }

    fn refresh(&mut self, events: &mut Vec<Event>) -> Result<(), NetifError> {
        if self.stale.everything {
            self.read_everything(events)?;
        }
        if self.stale.routes {
            self.read_routes(events)?;
        }
        if self.stale.rules {
            self.read_rules(events)?;
        }
        self.stale = Stale::default();
        Ok(())
    }

    fn read_everything(&mut self, events: &mut Vec<Event>) -> Result<(), NetifError> {
        let links = self.rtnetlink.links()?;
        let addresses = self.rtnetlink.addresses()?;
        self.snapshot.replace_links(links, events);
        self.snapshot.replace_addresses(addresses, events);
        self.stale = Stale {
            everything: false,
            routes: true,
            rules: true,
        };
        self.read_routes(events)?;
        self.read_rules(events)
    }

    fn read_routes(&mut self, events: &mut Vec<Event>) -> Result<(), NetifError> {
        if let Some(filter) = self.watch.routes {
            let mut routes = Vec::new();
            for family in Family::ALL {
                routes.extend(self.rtnetlink.routes(family, filter)?);
            }
            self.snapshot.replace_routes(routes, events);
        }
        self.stale.routes = false;
        Ok(())
    }

    fn read_rules(&mut self, events: &mut Vec<Event>) -> Result<(), NetifError> {
        if let Some(protocol) = self.watch.rules {
            let mut rules: Vec<Rule> = Vec::new();
            for family in Family::ALL {
                rules.extend(self.rtnetlink.rules(family)?);
            }
            rules.retain(|rule| rule.protocol == protocol);
            self.snapshot.replace_rules(rules, events);
        }
        self.stale.rules = false;
        Ok(())
    }
}

impl std::fmt::Debug for Monitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Monitor")
            .field("watch", &self.watch)
            .field("overruns", &self.overruns)
            .finish_non_exhaustive()
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        borrow(&self.socket)
    }
}

impl AsRawFd for Monitor {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

fn is_overrun(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOBUFS)
}
