//! What the virtual routers have in the kernel's network, and what becomes of it.
//!
//! # Design
//! [`Kernel`] knows what it has set, so it removes exactly that, whatever the configuration says by
//! then, and tells what somebody else has removed. It decides nothing: when to set and remove is the
//! machine's business. Every call is a short exchange with the kernel, none waits for the network.

mod virtual_links;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

use netif::sysctl::{Knob, Sysctl, Sysctls};
use netif::{
    Event, FrameSocket, Link, LinkIndex, LinkName, Monitor, NetifError, PROTOCOL_KEEPALIVED, Route,
    RouteFilter, Rtnetlink, Snapshot, Watch,
};
use vrrp_proto::wire::garp::Announcement;
use vrrp_proto::{HardwareAddress, InterfaceState, Name, VirtualAddress};

use self::virtual_links::Guard;
use super::holding::{HeldAddress, HeldRoute, HeldRule, Holding, Holdings};

/// The network of the namespace in which the process runs.
#[derive(Debug)]
pub(super) struct Kernel {
    monitor: Monitor,
    watch: Watch,
    rtnetlink: Rtnetlink,
    frames: FrameSocket,
    settings: Sysctls,
    guard: Guard,
    /// Events that were received while something else was done.
    waiting: Vec<Event>,
    /// What is set for each instance.
    held: BTreeMap<Name, Held>,
    /// What is set for the process.
    fixed: Held,
    /// Where interfaces of these names were when something was set on them.
    places: BTreeMap<Name, LinkIndex>,
}

/// What is in the kernel because of us.
#[derive(Debug, Default)]
struct Held {
    addresses: Vec<HeldAddress>,
    routes: Vec<HeldRoute>,
    rules: Vec<HeldRule>,
}

/// Something of ours that was not there any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Loss {
    /// An address of an instance: the machine is to be told.
    Address {
        instance: Name,
        address: IpAddr,
        interface: Name,
    },
    /// Something else, which has been put back, or could not be.
    Other {
        what: String,
        failure: Option<String>,
    },
}

impl Kernel {
    pub(super) fn open(holdings: &Holdings) -> Result<Self, NetifError> {
        let watch = watch(holdings);
        Ok(Self {
            monitor: Monitor::open(watch)?,
            watch,
            rtnetlink: Rtnetlink::open()?,
            frames: FrameSocket::open()?,
            settings: Sysctls::new(),
            guard: Guard::default(),
            waiting: Vec::new(),
            held: BTreeMap::new(),
            fixed: Held::default(),
            places: BTreeMap::new(),
        })
    }

    pub(super) fn snapshot(&self) -> &Snapshot {
        self.monitor.snapshot()
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.monitor.as_fd()
    }

    /// Listens to routes and rules exactly when some are held.
    pub(super) fn watch_for(&mut self, holdings: &Holdings) -> Result<(), NetifError> {
        let wished = watch(holdings);
        if wished != self.watch {
            self.monitor = Monitor::open(wished)?;
            self.watch = wished;
        }
        Ok(())
    }

    /// Everything that has happened since the last call.
    pub(super) fn events(&mut self) -> Result<Vec<Event>, NetifError> {
        self.look()?;
        Ok(std::mem::take(&mut self.waiting))
    }

    /// Makes the snapshot know of everything that has happened; the events wait for
    /// [`events`](Self::events).
    pub(super) fn look(&mut self) -> Result<(), NetifError> {
        loop {
            let some = self.monitor.receive()?;
            if some.is_empty() {
                return Ok(());
            }
            self.waiting.extend(some);
        }
    }

    /// Whether there are events that the descriptor does not tell of.
    pub(super) const fn has_events(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// An interface as the machine sees it.
    ///
    /// Addresses are in the kernel's own order, in which the first is its source.
    pub(super) fn interface(&mut self, name: &Name) -> InterfaceState {
        let Some(link) = self.monitor.snapshot().find_link(name.as_str()) else {
            return InterfaceState::down();
        };
        let (index, up) = (link.index, link.is_usable());
        let entries = self.rtnetlink.addresses_of(index).unwrap_or_default();
        let usable = entries.iter().filter(|entry| entry.is_usable());
        InterfaceState {
            up,
            addresses: usable.map(|entry| entry.address.ip()).collect(),
        }
    }

    /// Whether something can be sent from an address now.
    pub(super) fn has_address(&self, address: IpAddr) -> bool {
        let snapshot = self.monitor.snapshot();
        let is_up = |link| snapshot.link(link).is_some_and(|link| link.flags.is_up());
        let mut there = snapshot.addresses();
        there.any(|it| it.address.ip() == address && it.is_usable() && is_up(it.link))
    }

    // === Addresses, routes, rules ===

    /// Sets addresses of an instance, then its routes and rules. Those that cannot be set come back
    /// with the reason; whatever else fails is in the list of texts.
    pub(super) fn install(
        &mut self,
        instance: &Name,
        holding: &Holding,
        addresses: &[VirtualAddress],
        accept: bool,
    ) -> (Vec<(VirtualAddress, String)>, Vec<String>) {
        let mut failed = Vec::new();
        // Before there is anything to reach.
        let blocking = self.block(instance, addresses, accept);
        let mut rest = addresses;
        while let [first, ..] = rest {
            let same = rest.iter().take_while(|it| it.interface == first.interface);
            let (batch, others) = rest.split_at(same.count());
            rest = others;
            self.install_batch(instance, holding, batch, &mut failed);
        }
        let mut problems = self.install_routes(instance, holding);
        problems.extend(blocking);
        (failed, problems)
    }

    fn install_batch(
        &mut self,
        instance: &Name,
        holding: &Holding,
        batch: &[VirtualAddress],
        failed: &mut Vec<(VirtualAddress, String)>,
    ) {
        let Some(interface) = batch.first().map(|it| &it.interface) else {
            return;
        };
        let wished: Vec<(&VirtualAddress, &HeldAddress)> = batch
            .iter()
            .filter_map(|it| Some((it, holding.address(it.address, &it.interface)?)))
            .collect();
        let link = match self.find(interface) {
            Ok(link) => link,
            Err(error) => {
                failed.extend(batch.iter().map(|it| (it.clone(), error.to_string())));
                return;
            }
        };
        self.places.insert(interface.clone(), link.index);
        let list: Vec<_> = wished.iter().map(|(_, it)| it.address.clone()).collect();
        let results = self.rtnetlink.ensure_addresses(link.index, &list);
        let held = self.held.entry(instance.clone()).or_default();
        for (result, (address, wished)) in results.into_iter().zip(wished) {
            match result {
                Ok(_) => held.add(wished),
                Err(error) => failed.push((address.clone(), error.to_string())),
            }
        }
    }

    /// Sets the routes and rules of an instance that are not there.
    pub(super) fn install_routes(&mut self, instance: &Name, holding: &Holding) -> Vec<String> {
        if holding.routes.is_empty() && holding.rules.is_empty() {
            return Vec::new();
        }
        let mut held = self.held.remove(instance).unwrap_or_default();
        let problems = self.ensure_routes(&mut held, holding);
        self.held.insert(instance.clone(), held);
        problems
    }

    fn ensure_routes(&mut self, held: &mut Held, holding: &Holding) -> Vec<String> {
        let mut problems = Vec::new();
        for wished in &holding.routes {
            let resolved = self.resolve(wished);
            let result =
                resolved.and_then(|route| self.rtnetlink.ensure_route(&route, wished.placement));
            match result {
                Ok(_) if held.routes.contains(wished) => {}
                Ok(_) => held.routes.push(wished.clone()),
                Err(error) => problems.push(error.to_string()),
            }
        }
        for wished in &holding.rules {
            match self.rtnetlink.ensure_rule(&wished.rule) {
                Ok(_) if held.rules.contains(wished) => {}
                Ok(_) => held.rules.push(wished.clone()),
                Err(error) => problems.push(error.to_string()),
            }
        }
        problems
    }

    /// Removes rules and routes of an instance, then these addresses, the last one first. What was
    /// never set by this process is removed as the plan has it: a process that died may have.
    pub(super) fn remove(
        &mut self,
        instance: &Name,
        holding: Option<&Holding>,
        addresses: &[VirtualAddress],
    ) -> Vec<String> {
        let mut held = self.held.remove(instance).unwrap_or_default();
        let mut problems = self.remove_routes(&mut held);
        let set = |held: &Held, it: &VirtualAddress| {
            let ours = held.addresses.iter();
            let mut ours = ours
                .filter(|ours| ours.address.ip() == it.address && ours.interface == it.interface);
            ours.next().cloned()
        };
        for address in addresses.iter().rev() {
            let known = set(&held, address).or_else(|| {
                holding?
                    .address(address.address, &address.interface)
                    .cloned()
            });
            let Some(known) = known else {
                continue;
            };
            problems.extend(self.remove_address(&known));
            held.addresses.retain(|it| *it != known);
        }
        if !held.addresses.is_empty() {
            self.held.insert(instance.clone(), held);
        }
        problems.extend(self.unblock(instance, addresses));
        problems
    }

    /// Removes the rules and routes of an instance without touching its addresses.
    pub(super) fn remove_routes_of(&mut self, instance: &Name) -> Vec<String> {
        match self.held.remove(instance) {
            Some(mut held) => {
                let problems = self.remove_routes(&mut held);
                self.held.insert(instance.clone(), held);
                problems
            }
            None => Vec::new(),
        }
    }

    fn remove_routes(&mut self, held: &mut Held) -> Vec<String> {
        let mut problems = Vec::new();
        for it in std::mem::take(&mut held.rules).iter().rev() {
            problems.extend(text(self.rtnetlink.ensure_no_rule(&it.rule)));
        }
        for it in std::mem::take(&mut held.routes).iter().rev() {
            // By an interface that is gone, it is gone too.
            if let Ok(route) = self.resolve_held(it) {
                problems.extend(text(self.rtnetlink.ensure_no_route(&route)));
            }
        }
        problems
    }

    fn set_address(&mut self, wished: &HeldAddress) -> Result<(), String> {
        let done = self.find(&wished.interface).and_then(|link| {
            self.places.insert(wished.interface.clone(), link.index);
            self.rtnetlink.ensure_address(link.index, &wished.address)
        });
        done.map(|_| ()).map_err(|error| error.to_string())
    }

    fn remove_address(&mut self, held: &HeldAddress) -> Option<String> {
        let link = self.find_held(&held.interface).ok()?;
        text(self.rtnetlink.ensure_no_address(link, &held.address))
    }

    /// Makes what is held for an instance be as its plan has it now: other prefix, label or routes.
    /// Gives whether an address was set anew, and what failed.
    pub(super) fn adjust(&mut self, instance: &Name, holding: &Holding) -> (bool, Vec<String>) {
        let Some(mut held) = self.held.remove(instance) else {
            return (false, Vec::new());
        };
        let (anew, problems) = self.replace(&mut held, holding);
        self.held.insert(instance.clone(), held);
        (anew, problems)
    }

    fn replace(&mut self, held: &mut Held, holding: &Holding) -> (bool, Vec<String>) {
        let mut problems = Vec::new();
        let mut anew = false;
        for old in held.addresses.clone() {
            let wished = holding.address(old.address.ip(), &old.interface);
            let Some(wished) = wished.filter(|wished| **wished != old) else {
                continue;
            };
            if !old.address.same_as(&wished.address) {
                problems.extend(self.remove_address(&old));
            }
            let done = self.set_address(wished);
            anew = true;
            problems.extend(done.err());
            held.addresses.retain(|it| *it != old);
            held.add(wished);
        }
        let gone: Vec<_> = held
            .rules
            .iter()
            .filter(|it| !holding.rules.contains(it))
            .cloned()
            .collect();
        for it in gone {
            problems.extend(text(self.rtnetlink.ensure_no_rule(&it.rule)));
            held.rules.retain(|other| *other != it);
        }
        let gone: Vec<_> = held
            .routes
            .iter()
            .filter(|it| !holding.routes.contains(it))
            .cloned()
            .collect();
        for it in gone {
            if let Ok(route) = self.resolve_held(&it) {
                problems.extend(text(self.rtnetlink.ensure_no_route(&route)));
            }
            held.routes.retain(|other| *other != it);
        }
        problems.extend(self.ensure_routes(held, holding));
        (anew, problems)
    }

    /// Sets what belongs to the process as a whole, and removes what does not any more.
    pub(super) fn set_fixed(&mut self, holding: &Holding) -> Vec<String> {
        let mut held = std::mem::take(&mut self.fixed);
        let mut problems = Vec::new();
        for old in held.addresses.clone() {
            if !holding.addresses.contains(&old) {
                problems.extend(self.remove_address(&old));
                held.addresses.retain(|it| *it != old);
            }
        }
        for wished in &holding.addresses {
            let done = self.set_address(wished);
            match done {
                Ok(_) => held.add(wished),
                Err(error) => problems.push(error),
            }
        }
        problems.extend(self.replace(&mut held, holding).1);
        self.fixed = held;
        if holding.no_group_reports {
            let setting = Sysctl::of_namespace(Knob::IgmpLinkLocalReports);
            problems.extend(text(self.settings.set(setting, 0)));
        }
        problems
    }

    // === What somebody else did ===

    /// Looks whether everything that is held is there. Routes and rules are put back at once;
    /// addresses are told. An interface that is gone or down takes what is on it along, which its
    /// own news tells.
    pub(super) fn losses(&mut self, holdings: &Holdings) -> Vec<Loss> {
        let snapshot = self.monitor.snapshot();
        let mut losses = Vec::new();
        for (instance, held) in &self.held {
            let holding = holdings.instances.get(instance);
            let virtual_link = holding.and_then(|it| it.virtual_link.as_ref());
            for it in held.addresses.iter().filter(|it| it.is_tracked) {
                // A virtual interface of ours is made again when it is gone.
                let is_virtual = virtual_link.is_some_and(|mac| mac.name == it.interface);
                if is_missing(snapshot, it, is_virtual) {
                    losses.push(Loss::Address {
                        instance: instance.clone(),
                        address: it.address.ip(),
                        interface: it.interface.clone(),
                    });
                }
            }
        }
        let instances: Vec<Name> = self.held.keys().cloned().collect();
        for instance in instances {
            if let Some(mut held) = self.held.remove(&instance) {
                self.restore_routes(&mut held, &mut losses);
                self.held.insert(instance, held);
            }
        }
        let mut fixed = std::mem::take(&mut self.fixed);
        self.restore_addresses(&mut fixed, &mut losses);
        self.restore_routes(&mut fixed, &mut losses);
        self.fixed = fixed;
        losses
    }

    fn restore_addresses(&mut self, held: &mut Held, losses: &mut Vec<Loss>) {
        for it in held.addresses.clone() {
            if !it.is_tracked || !is_missing(self.monitor.snapshot(), &it, false) {
                continue;
            }
            let done = self.set_address(&it);
            losses.push(Loss::Other {
                what: format!("address {} of {}", it.address, it.interface),
                failure: done.err(),
            });
        }
    }

    fn restore_routes(&mut self, held: &mut Held, losses: &mut Vec<Loss>) {
        for it in held.routes.iter().filter(|it| it.is_tracked) {
            let Ok(route) = self.resolve(it) else {
                continue;
            };
            let snapshot = self.monitor.snapshot();
            let is_up = |hop: &netif::NextHop| {
                hop.link
                    .is_none_or(|link| snapshot.link(link).is_some_and(Link::is_usable))
            };
            let there = snapshot.routes().iter().any(|found| route.matches(found));
            if there || !route.hops.iter().all(is_up) {
                continue;
            }
            let done = self.rtnetlink.ensure_route(&route, it.placement);
            losses.push(Loss::Other {
                what: format!("route to {}", route.destination),
                failure: done.err().map(|error| error.to_string()),
            });
        }
        for it in held.rules.iter().filter(|it| it.is_tracked) {
            let mut found = self.monitor.snapshot().rules().iter();
            if found.any(|found| it.rule.matches(found)) {
                continue;
            }
            let done = self.rtnetlink.ensure_rule(&it.rule);
            losses.push(Loss::Other {
                what: format!("rule of preference {:?}", it.rule.priority),
                failure: done.err().map(|error| error.to_string()),
            });
        }
    }

    // === Announcements ===

    /// Announces an address on an interface; one that does no ARP needs none. Gives whether a frame
    /// was sent.
    pub(super) fn announce(&self, interface: &Name, address: IpAddr) -> std::io::Result<bool> {
        let Some(link) = self.monitor.snapshot().find_link(interface.as_str()) else {
            return Err(std::io::Error::from_raw_os_error(libc::ENODEV));
        };
        let Some(mac) = link.mac.filter(|_| link.needs_neighbours()) else {
            return Ok(false);
        };
        let announcement = Announcement {
            address,
            hardware: HardwareAddress(mac.0),
            router: address.is_ipv6() && forwards(&link.name),
        };
        self.frames.send(link.index, &announcement.to_frame())?;
        Ok(true)
    }

    // === Settings ===

    /// Sets what an instance needs of its interfaces. To be taken back by [`undo`](Self::undo).
    pub(super) fn prepare(&mut self, holding: &Holding) -> Vec<String> {
        let mut problems = Vec::new();
        for name in &holding.promote_secondaries {
            if let Ok(name) = name.as_str().parse::<LinkName>() {
                let setting = Sysctl::of(&name, Knob::PromoteSecondaries);
                problems.extend(text(self.settings.set(setting, 1)));
            }
        }
        problems
    }

    /// Takes everything back that belongs to the process: fixed items, settings.
    /// Gives lines for the log, and what failed.
    pub(super) fn undo(&mut self) -> (Vec<String>, Vec<String>) {
        let mut problems = self.set_fixed(&Holding::default());
        let (lines, failures) = self.disarm();
        problems.extend(failures);
        self.settings.undo();
        (lines, problems)
    }

    fn find(&mut self, name: &Name) -> Result<Link, NetifError> {
        // What is known may be late by an event, but then it is wrong about what is gone only.
        match self.monitor.snapshot().find_link(name.as_str()) {
            Some(link) => Ok(link.clone()),
            None => self.rtnetlink.expect_link(name.as_str()),
        }
    }

    /// Where something of ours is: it stays on an interface that gets another name.
    fn find_held(&mut self, name: &Name) -> Result<LinkIndex, NetifError> {
        let place = self.places.get(name).copied();
        match place.filter(|place| self.monitor.snapshot().link(*place).is_some()) {
            Some(place) => Ok(place),
            None => Ok(self.find(name)?.index),
        }
    }

    /// The route with the numbers of its interfaces.
    fn resolve(&mut self, held: &HeldRoute) -> Result<Route, NetifError> {
        let mut route = held.route.clone();
        for (hop, interface) in route.hops.iter_mut().zip(&held.interfaces) {
            if let Some(name) = interface {
                let link = self.find(name)?.index;
                self.places.insert(name.clone(), link);
                hop.link = Some(link);
            }
        }
        Ok(route)
    }

    /// The same for a route that has been set.
    fn resolve_held(&mut self, held: &HeldRoute) -> Result<Route, NetifError> {
        let mut route = held.route.clone();
        for (hop, interface) in route.hops.iter_mut().zip(&held.interfaces) {
            if let Some(name) = interface {
                hop.link = Some(self.find_held(name)?);
            }
        }
        Ok(route)
    }
}

impl Held {
    fn add(&mut self, address: &HeldAddress) {
        if !self.addresses.contains(address) {
            self.addresses.push(address.clone());
        }
    }
}

fn watch(holdings: &Holdings) -> Watch {
    let all = || holdings.instances.values().chain([&holdings.fixed]);
    let protocols: BTreeSet<u8> = all()
        .flat_map(|it| &it.routes)
        .map(|it| it.route.protocol)
        .collect();
    let of_routes = (!protocols.is_empty()).then_some(RouteFilter {
        protocol: match protocols.first() {
            Some(only) if protocols.len() == 1 => Some(*only),
            _ => None,
        },
        table: None,
    });
    Watch {
        routes: of_routes,
        rules: all()
            .any(|it| !it.rules.is_empty())
            .then_some(PROTOCOL_KEEPALIVED),
    }
}

fn is_missing(snapshot: &Snapshot, held: &HeldAddress, even_without_link: bool) -> bool {
    let Some(link) = snapshot.find_link(held.interface.as_str()) else {
        return even_without_link;
    };
    if !link.is_usable() {
        return false;
    }
    let mut there = snapshot.addresses_of(link.index);
    !there.any(|entry| entry.address.same_as(&held.address))
}

/// Whether an interface forwards IPv6, and so is a router to its neighbours.
fn forwards(name: &str) -> bool {
    let name = name.parse::<LinkName>();
    name.is_ok_and(|name| {
        Sysctl::of(&name, Knob::Ipv6Forwarding)
            .read()
            .is_ok_and(|it| it == 1)
    })
}

fn text<T>(result: Result<T, NetifError>) -> Option<String> {
    result.err().map(|error| error.to_string())
}
