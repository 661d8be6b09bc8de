//! The thread that keeps the virtual routers' time.
//!
//! # Design
//! One thread, one `ppoll` with a deadline in nanoseconds on the kernel's high-resolution timers. The
//! machine ([`Router`]) decides; this moves values: what came in goes into the machine, what it asks
//! for is done in its order, and what could not be done goes back into it. Sockets are read before
//! deadlines are looked at, because what the master said counts more than that it seemed silent.
//! Nothing here waits: lines, files and scripts are the other thread's ([`aide`](super::aide)).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use netif::{Event, NetifError, RECEIVE_SIZE};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use vrrp_proto::{
    Input, InstanceConfig, Name, Output, Record, Router, RouterOutput, State, Time, TrackReport,
    TrackStatus, Trouble,
};

use super::clock;
use super::interfaces::{Change, Interfaces};
use super::kernel::{Kernel, Loss};
use super::mailbox::Mailbox;
use super::news::{Desk, Did, News, Survey};
use super::order::{Order, WasMaster};
use super::seam::tracker;
use super::sockets::{self, Sockets};
use crate::scheduling;
use crate::wiring::vrrp::VrrpPlan;

/// How many packets of a socket are read before deadlines are looked at: more than its buffer holds.
const PACKETS_AT_ONCE: usize = 1024;

/// Everything that the thread has.
pub(super) struct Driver {
    router: Router,
    plan: VrrpPlan,
    kernel: Kernel,
    sockets: Sockets,
    interfaces: Interfaces,
    /// The source addresses that are tracked, and whether they are there.
    sources: BTreeMap<IpAddr, bool>,
    orders: Mailbox<Order>,
    desk: Desk,
    /// Said once, after the first configuration.
    resume: Vec<WasMaster>,
    troubles: Vec<(Name, Trouble)>,
    /// When the sockets were last found empty.
    awake_at: Time,
    buffer: Box<[u8]>,
    /// The real-time priority; 0 for none.
    real_time: u8,
    keeps: bool,
    is_done: bool,
}

impl Driver {
    /// With nothing configured. `keeps`: what is set stays when the process stops.
    pub(super) fn new(
        orders: Mailbox<Order>,
        desk: Desk,
        resume: Vec<WasMaster>,
        keeps: bool,
    ) -> Result<Self, NetifError> {
        let plan = VrrpPlan::default();
        Ok(Self {
            router: Router::new(),
            kernel: Kernel::open(&plan.holdings)?,
            plan,
            sockets: Sockets::default(),
            interfaces: Interfaces::default(),
            sources: BTreeMap::new(),
            orders,
            desk,
            resume,
            troubles: Vec::new(),
            awake_at: clock::now(),
            buffer: vec![0; RECEIVE_SIZE].into(),
            real_time: 0,
            keeps,
            is_done: false,
        })
    }

    /// Works until it is told to stop, in a thread of this real-time priority.
    pub(super) fn run(&mut self, real_time: u8) {
        self.real_time = real_time;
        while !self.is_done {
            let deadlines = [self.router.poll_timeout(), self.interfaces.poll_timeout()];
            let deadline = deadlines.into_iter().flatten().min();
            let ready = self.wait(deadline);
            self.hear(ready);
            let now = clock::now();
            self.awake_at = now;
            if let Some(deadline) = deadline.filter(|at| *at < now) {
                self.mind_lateness(now.since(deadline));
            }
            if self.interfaces.poll_timeout().is_some_and(|at| at <= now) {
                self.interfaces.handle_timeout(now);
                self.tell_interfaces(now);
            }
            if self.router.poll_timeout().is_some_and(|at| at <= now) {
                self.input(now, &Input::Timeout);
            }
            self.settle();
        }
        self.desk.tell(News::Stopped);
    }

    /// Who is too late takes a higher priority, if that is permitted.
    fn mind_lateness(&mut self, late: Duration) {
        let Some((most, limit)) = self.plan.automatic_priority else {
            return;
        };
        if late < limit || self.real_time >= most {
            return;
        }
        let next = self.real_time + 1;
        match scheduling::set_real_time(next) {
            Ok(()) => self.desk.tell(News::Remark(format!(
                "The VRRP process was {} ms late, its real-time priority is {next} now",
                late.as_millis()
            ))),
            // It is not tried again.
            Err(error) => self.desk.warn(format!(
                "Unable to raise the real-time priority of the VRRP process to {next} - {error}"
            )),
        }
        self.real_time = next;
    }

    /// Sleeps until something is readable or the deadline has come.
    fn wait(&self, deadline: Option<Time>) -> Ready {
        let fixed: [BorrowedFd<'_>; 2] = [self.orders.as_fd(), self.kernel.descriptor()];
        let all = fixed.into_iter().chain(self.sockets.descriptors());
        let mut fds: Vec<_> = all.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        let timeout = deadline.map(|at| TimeSpec::from(at.since(clock::now())));
        match ppoll(&mut fds, timeout, None) {
            Ok(_) => {}
            // Nothing else can be wrong with these arguments; look at everything.
            Err(Errno::EINTR) => return Ready::default(),
            Err(_) => return Ready::everything(self.sockets.count()),
        }
        let mut readable = fds
            .iter()
            .map(|fd| fd.revents().is_some_and(|events| !events.is_empty()));
        Ready {
            orders: readable.next().unwrap_or_default(),
            kernel: readable.next().unwrap_or_default(),
            sockets: readable
                .enumerate()
                .filter_map(|(number, is)| is.then_some(number))
                .collect(),
        }
    }

    /// Reads what came in. The kernel's news first: what an interface is counts for the packets.
    fn hear(&mut self, ready: Ready) {
        for number in ready.sockets {
            self.receive(number);
            self.settle();
        }
        if ready.kernel {
            self.hear_kernel();
            self.settle();
        }
        if ready.orders {
            for order in self.orders.take() {
                self.follow(order);
                self.settle();
            }
        }
    }

    // === What comes in ===

    /// Hands an input to the machine, and to the recording.
    fn input(&mut self, now: Time, input: &Input<'_>) {
        if self.desk.records {
            let input = owned(input);
            self.desk.tell(News::Input(Record { at: now, input }));
        }
        if let Err(refused) = self.router.handle(now, input) {
            // The plan was checked by the same rules.
            self.desk.warn(format!("Configuration refused - {refused}"));
        }
    }

    fn receive(&mut self, number: usize) {
        let mut buffer = std::mem::take(&mut self.buffer);
        for _ in 0..PACKETS_AT_ONCE {
            let snapshot = self.kernel.snapshot();
            // What the kernel has to say about a packet of ours is told when one is sent.
            let Ok(Some(arrived)) = self.sockets.receive(number, &mut buffer, snapshot) else {
                break;
            };
            let now = clock::now();
            // When it came, but not before what has been done already.
            let waited = arrived.waited.min(now.since(self.awake_at));
            let input = Input::Datagram {
                interface: arrived.interface,
                datagram: arrived.datagram,
            };
            self.input(now - waited, &input);
        }
        self.buffer = buffer;
    }

    /// Hears all that has happened, what follows from our own doing included.
    fn hear_kernel(&mut self) {
        self.hear_events();
        while self.kernel.has_events() {
            self.hear_events();
        }
    }

    fn hear_events(&mut self) {
        let events = match self.kernel.events() {
            Ok(events) => events,
            Err(error) => return self.desk.warn(format!("Netlink - {error}")),
        };
        let mut names = BTreeSet::new();
        let mut links_changed = false;
        let mut addresses_changed = false;
        let mut something_lost = false;
        for event in &events {
            match event {
                Event::LinkAdded(link) | Event::LinkRemoved(link) => {
                    names.insert(Name::from(link.name.as_str()));
                    links_changed = true;
                    something_lost = true;
                }
                Event::LinkChanged { before, after } => {
                    names.insert(Name::from(before.name.as_str()));
                    names.insert(Name::from(after.name.as_str()));
                    links_changed |= before.name != after.name;
                    something_lost = true;
                }
                Event::AddressAdded(entry) | Event::AddressRemoved(entry) => {
                    let link = self.kernel.snapshot().link(entry.link);
                    let name = link.map(|link| Name::from(link.name.as_str()));
                    if let Some(name) = &name {
                        let is_there = matches!(event, Event::AddressAdded(_));
                        self.tell_address(name, entry.address.ip(), is_there);
                    }
                    names.extend(name);
                    addresses_changed |= entry.address.ip().is_ipv6();
                    something_lost |= matches!(event, Event::AddressRemoved(_));
                }
                Event::AddressChanged { after, .. } => {
                    let link = self.kernel.snapshot().link(after.link);
                    names.extend(link.map(|link| Name::from(link.name.as_str())));
                }
                Event::RouteRemoved(_) | Event::RuleRemoved(_) => something_lost = true,
                _ => {}
            }
        }
        let now = clock::now();
        if links_changed {
            self.prepare();
        }
        if addresses_changed {
            self.kernel.copy_link_locals(&self.plan.holdings);
        }
        names.retain(|name| self.looks_at(name));
        for name in &names {
            self.see(now, name);
        }
        self.tell_interfaces(now);
        self.tell_sources(now);
        self.settle();
        if something_lost {
            self.restore(now);
        }
    }

    /// Tells what somebody else has removed.
    fn restore(&mut self, now: Time) {
        for loss in self.kernel.losses(&self.plan.holdings) {
            match loss {
                Loss::Address {
                    instance,
                    address,
                    interface,
                } => {
                    let trouble = Trouble::AddressLost { address, interface };
                    self.input(now, &Input::Trouble { instance, trouble });
                }
                Loss::Other {
                    what,
                    failure: None,
                } => self
                    .desk
                    .warn(format!("{what} was removed by something else, put back")),
                Loss::Other {
                    what,
                    failure: Some(failure),
                } => self.desk.warn(format!(
                    "{what} was removed by something else and cannot be put back - {failure}"
                )),
            }
        }
    }

    fn follow(&mut self, order: Order) {
        let now = clock::now();
        match order {
            Order::Configure(plan) => self.configure(now, *plan),
            Order::Track(report) => self.input(now, &Input::Track(report)),
            Order::Status(number) => {
                let survey = Box::new(self.survey(now));
                self.desk.tell(News::Status(number, survey));
            }
            Order::Dump(which) => {
                let survey = Box::new(self.survey(now));
                self.desk.tell(News::Dump(which, survey));
            }
            Order::Stop => self.stop(now),
        }
    }

    fn survey(&self, at: Time) -> Survey {
        let instances = self.router.instances().iter();
        let groups = self.router.groups();
        Survey {
            at,
            instances: instances.map(vrrp_proto::Instance::status).collect(),
            groups: groups.map(|(name, state)| (name.clone(), state)).collect(),
            unclaimed: *self.router.unclaimed_packets(),
        }
    }

    // === Configuration ===

    fn configure(&mut self, now: Time, plan: VrrpPlan) {
        self.desk.tell(News::Configuring);
        if let Err(error) = self.kernel.watch_for(&plan.holdings) {
            self.desk.warn(format!("Netlink - {error}"));
        }
        self.kernel.set_filter(plan.filter.clone());
        let before = std::mem::replace(&mut self.plan, plan);
        self.prepare();
        let problems = self.kernel.set_fixed(&self.plan.holdings.fixed);
        self.complain(None, problems);
        self.interfaces.set_delays(self.plan.delays.clone());
        let router = self.plan.router.clone();
        self.input(now, &Input::Configure(router));
        self.input(
            now,
            &Input::Track(TrackReport {
                tracker: tracker::peers(),
                status: TrackStatus::Bad,
                detail: "is empty".to_owned(),
            }),
        );
        for was in std::mem::take(&mut self.resume) {
            let silent_for = now.since(was.silent_since);
            let input = Input::Resume {
                instance: was.instance,
                silent_for,
            };
            self.input(now, &input);
        }
        // The addresses of instances that are gone are found in the plan before.
        self.settle_with(&before);
        self.adjust(now);
        let wanted: BTreeSet<Name> = self.wanted().collect();
        self.interfaces.retain(|name| wanted.contains(name));
        for name in &wanted {
            self.see(now, name);
        }
        self.tell_interfaces(now);
        self.tell_sources(now);
        self.settle();
        self.hear_kernel();
        self.settle();
        self.desk.tell(News::Configured);
    }

    /// What must be there before an instance can be master: sockets, settings.
    fn prepare(&mut self) {
        let (lines, mut problems) = self.kernel.ensure_virtual_links(&self.plan.holdings);
        self.remark(lines);
        for holding in self.plan.holdings.instances.values() {
            problems.extend(self.kernel.prepare(holding));
        }
        // Virtual interfaces that were made just now must be known.
        problems.extend(self.kernel.look().err().map(|error| error.to_string()));
        problems.extend(self.sockets.follow(&self.plan, self.kernel.snapshot()));
        self.complain(None, problems);
    }

    /// Masters whose addresses got another prefix or label set them anew.
    fn adjust(&mut self, now: Time) {
        let masters: Vec<Name> = self
            .router
            .instances()
            .iter()
            .filter(|it| it.state() == State::Master)
            .map(|it| it.name().clone())
            .collect();
        for instance in masters {
            let Some(holding) = self.plan.holdings.instances.get(&instance) else {
                continue;
            };
            let (anew, problems) = self.kernel.adjust(&instance, holding);
            self.complain(Some(&instance), problems);
            if anew {
                self.input(now, &Input::Announce { instance });
            }
        }
        self.settle();
    }

    // === Interfaces ===

    /// The interfaces that instances stand on or track.
    fn wanted(&self) -> impl Iterator<Item = Name> {
        let instances = self.plan.router.instances.iter();
        instances.flat_map(|it| {
            let tracked = it.config.trackers.iter();
            let tracked = tracked.filter_map(|it| tracker::interface_of(&it.name));
            it.config.interface.clone().into_iter().chain(tracked)
        })
    }

    /// Tells which tracked source addresses have come or gone.
    fn tell_sources(&mut self, now: Time) {
        let instances = self.plan.router.instances.iter();
        let trackers = instances.flat_map(|it| &it.config.trackers);
        let wanted: BTreeSet<IpAddr> = trackers
            .filter_map(|it| tracker::source_of(&it.name))
            .collect();
        self.sources.retain(|address, _| wanted.contains(address));
        for address in wanted {
            let is_there = self.kernel.has_address(address);
            if self.sources.insert(address, is_there) == Some(is_there) {
                continue;
            }
            let (status, detail) = match is_there {
                true => (TrackStatus::Good, ""),
                false => (TrackStatus::Bad, "not there"),
            };
            let report = TrackReport {
                tracker: tracker::source(address),
                status,
                detail: detail.to_owned(),
            };
            self.input(now, &Input::Track(report));
        }
    }

    fn looks_at(&self, name: &Name) -> bool {
        self.wanted().any(|it| it == *name)
    }

    fn see(&mut self, now: Time, name: &Name) {
        let mut seen = self.kernel.interface(name);
        // Without a socket nobody can be heard, which is no better than no carrier.
        let deaf = |config: &InstanceConfig| {
            config.interface.as_ref() == Some(name)
                && !self.sockets.serve(config, self.kernel.snapshot())
        };
        let mut instances = self.plan.router.instances.iter();
        if seen.up && instances.any(|it| deaf(&it.config)) {
            seen.up = false;
        }
        self.interfaces.handle_seen(now, name, seen);
    }

    /// An address that somebody else has set or removed.
    fn tell_address(&self, interface: &Name, address: IpAddr, is_there: bool) {
        let mut holdings = self.plan.holdings.instances.values();
        let is_ours = holdings.any(|holding| holding.address(address, interface).is_some());
        if !is_ours && self.looks_at(interface) {
            self.desk
                .detail(|| Did::Seen(interface.clone(), address, is_there));
        }
    }

    fn tell_interfaces(&mut self, now: Time) {
        while let Some(Change {
            name,
            state,
            is_flip,
        }) = self.interfaces.poll_change()
        {
            if is_flip {
                self.desk.tell(News::Interface(name.clone(), state.up));
            }
            let (status, detail) = match state.up {
                true => (TrackStatus::Good, ""),
                false => (TrackStatus::Bad, "down"),
            };
            let report = TrackReport {
                tracker: tracker::interface(name.as_str()),
                status,
                detail: detail.to_owned(),
            };
            let interface = Input::Interface {
                interface: name,
                state,
            };
            self.input(now, &interface);
            self.input(now, &Input::Track(report));
        }
    }

    // === What goes out ===

    fn settle(&mut self) {
        while let Some(step) = self.next_step() {
            self.perform(step, None);
        }
    }

    fn settle_with(&mut self, before: &VrrpPlan) {
        while let Some(step) = self.next_step() {
            self.perform(step, Some(before));
        }
    }

    /// What the machine asks for next; what could not be done is told when it asks for nothing.
    fn next_step(&mut self) -> Option<RouterOutput> {
        loop {
            if let Some(step) = self.router.poll_output() {
                return Some(step);
            }
            if self.troubles.is_empty() {
                return None;
            }
            let now = clock::now();
            for (instance, trouble) in std::mem::take(&mut self.troubles) {
                self.input(now, &Input::Trouble { instance, trouble });
            }
        }
    }

    fn perform(&mut self, step: RouterOutput, before: Option<&VrrpPlan>) {
        match step {
            RouterOutput::Instance { instance, output } => {
                self.perform_for(instance, output, before);
            }
            other => self.desk.tell(News::Step(other)),
        }
    }

    fn perform_for(&mut self, instance: Name, output: Output, before: Option<&VrrpPlan>) {
        match output {
            Output::SendAdvertisement(transmit) => self.send(&instance, &transmit, before),
            Output::InstallAddresses { addresses, accept } => {
                self.desk.detail(|| Did::Installing(instance.clone()));
                let Some(holding) = self.plan.holdings.instances.get(&instance) else {
                    return;
                };
                let (failed, problems) =
                    self.kernel.install(&instance, holding, &addresses, accept);
                for (address, detail) in failed {
                    let trouble = Trouble::AddressNotInstalled {
                        address: address.address,
                        interface: address.interface,
                        detail,
                    };
                    self.troubles.push((instance.clone(), trouble));
                }
                self.complain(Some(&instance), problems);
                for it in addresses.into_iter().filter(|it| it.announced) {
                    let instance = instance.clone();
                    self.desk
                        .detail(|| Did::Announcing(instance, it.interface, it.address));
                }
            }
            Output::RemoveAddresses { addresses } => {
                self.desk.detail(|| Did::Removing(instance.clone()));
                let plans = [Some(&self.plan), before].into_iter().flatten();
                let holding = plans
                    .filter_map(|plan| plan.holdings.instances.get(&instance))
                    .next();
                if !(self.keeps && self.is_done) {
                    let problems = self.kernel.remove(&instance, holding, &addresses);
                    self.complain(Some(&instance), problems);
                }
            }
            Output::Announce { interface, address } => {
                match self.kernel.announce(&interface, address) {
                    Ok(true) => self.desk.detail(|| Did::Announced(interface, address)),
                    Ok(false) => {}
                    Err(error) => {
                        let detail = format!("announce {address} on {interface}: {error}");
                        let trouble = Trouble::SendFailed { detail };
                        self.troubles.push((instance, trouble));
                    }
                }
            }
            Output::StateChanged(transition) => {
                self.follow_state(&instance, transition.to);
                let output = Output::StateChanged(transition);
                self.desk
                    .tell(News::Step(RouterOutput::Instance { instance, output }));
            }
            output @ Output::Event(_) => self
                .desk
                .tell(News::Step(RouterOutput::Instance { instance, output })),
        }
    }

    /// Routes and rules of an instance without addresses, for which nothing else is asked.
    fn follow_state(&mut self, instance: &Name, state: State) {
        let problems = match (state, self.plan.holdings.instances.get(instance)) {
            (State::Master, Some(holding)) if holding.addresses.is_empty() => {
                self.kernel.install_routes(instance, holding)
            }
            (State::Master, _) => Vec::new(),
            _ if self.keeps && self.is_done => Vec::new(),
            _ => self.kernel.remove_routes_of(instance),
        };
        self.complain(Some(instance), problems);
    }

    fn send(
        &mut self,
        instance: &Name,
        transmit: &vrrp_proto::Transmit,
        before: Option<&VrrpPlan>,
    ) {
        let plans = [Some(&self.plan), before].into_iter().flatten();
        let holding = plans
            .filter_map(|plan| plan.holdings.instances.get(instance))
            .next();
        let virtual_link = holding.and_then(|it| it.virtual_link.as_ref());
        let payload = match self.router.instance(instance.as_str()) {
            Some(it) => sockets::payload(it.config()),
            None => netif::Payload::Vrrp,
        };
        let snapshot = self.kernel.snapshot();
        if let Err(error) = self.sockets.send(transmit, virtual_link, payload, snapshot) {
            let trouble = Trouble::SendFailed {
                detail: format!("advertisement to {}: {error}", transmit.destination),
            };
            self.troubles.push((instance.clone(), trouble));
        }
    }

    /// Gives everything back. The machine resigns first, so the next master need not wait for more.
    fn stop(&mut self, now: Time) {
        self.is_done = true;
        self.input(now, &Input::Stop);
        self.settle();
        if !self.keeps {
            let (lines, problems) = self.kernel.undo();
            self.remark(lines);
            self.complain(None, problems);
        }
    }

    fn remark(&self, lines: Vec<String>) {
        for line in lines {
            self.desk.tell(News::Remark(line));
        }
    }

    fn complain(&self, instance: Option<&Name>, problems: Vec<String>) {
        for problem in problems {
            match instance {
                Some(name) => self.desk.warn(format!("({name}) {problem}")),
                None => self.desk.warn(problem),
            }
        }
    }
}

/// What is readable.
#[derive(Debug, Default)]
struct Ready {
    orders: bool,
    kernel: bool,
    sockets: Vec<usize>,
}

impl Ready {
    fn everything(sockets: usize) -> Self {
        Self {
            orders: true,
            kernel: true,
            sockets: (0..sockets).collect(),
        }
    }
}

/// An input with bytes of its own.
fn owned(input: &Input<'_>) -> Input<'static> {
    match input {
        Input::Datagram {
            interface,
            datagram,
        } => Input::Datagram {
            interface: interface.clone(),
            datagram: datagram.clone().into_owned(),
        },
        Input::Configure(config) => Input::Configure(config.clone()),
        Input::Resume {
            instance,
            silent_for,
        } => Input::Resume {
            instance: instance.clone(),
            silent_for: *silent_for,
        },
        Input::Interface { interface, state } => Input::Interface {
            interface: interface.clone(),
            state: state.clone(),
        },
        Input::Track(report) => Input::Track(report.clone()),
        Input::Trouble { instance, trouble } => Input::Trouble {
            instance: instance.clone(),
            trouble: trouble.clone(),
        },
        Input::Announce { instance } => Input::Announce {
            instance: instance.clone(),
        },
        Input::Timeout => Input::Timeout,
        Input::Stop => Input::Stop,
    }
}
