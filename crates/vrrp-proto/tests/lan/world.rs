//! Nodes, the segments between them, and one virtual clock.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg32;
use vrrp_proto::{
    Datagram, Family, Input, InterfaceState, Name, Output, Reason, Record, Router, RouterConfig,
    RouterOutput, State, Time, TrackReport, TrackStatus, Transmit, Trouble,
};

use crate::invariants;
use crate::scenario::{Scenario, Step, TRACKER, address_of};

/// Where every node's clock stands when the run begins.
const BOOTED: Duration = Duration::from_secs(1000);

/// One router.
pub(crate) struct Node {
    pub(crate) config: RouterConfig,
    pub(crate) router: Option<Router>,
    pub(crate) paused_until: Option<Time>,
    queued: bool,
    backlog: Vec<(Name, Datagram<'static>)>,
    clock: Duration,
    /// When it acts on a deadline, as it is a little late.
    wake: Option<(Time, Time)>,
    links: HashMap<Name, bool>,
    tracker_good: bool,
    /// Addresses on its interfaces.
    pub(crate) held: BTreeSet<(Name, IpAddr)>,
    last_state: HashMap<Name, State>,
    /// Addresses that were announced since the last input.
    fresh: BTreeSet<IpAddr>,
    died: Option<(Time, Vec<Name>)>,
    /// Since when it has been running undisturbed.
    pub(crate) undisturbed_since: Time,
    /// When it last sent an advertisement, perhaps its last word.
    pub(crate) spoke: Time,
    /// To whom it yielded when it was last Master.
    yielded_to: Option<IpAddr>,
    /// All that went in and came out since the process started.
    pub(crate) record: Vec<Record<'static>>,
    pub(crate) outputs: Vec<RouterOutput>,
}

/// Something on its way.
enum Arrival {
    Packet {
        to: usize,
        interface: Name,
        datagram: Datagram<'static>,
    },
    /// A gratuitous ARP or neighbour advertisement, as hosts beside a node see it.
    Announcement {
        beside: usize,
        address: IpAddr,
        from: usize,
        sent: Time,
    },
}

pub(crate) struct World {
    pub(crate) now: Time,
    pub(crate) scenario: Scenario,
    pub(crate) nodes: Vec<Node>,
    /// Whether packets pass from one node to another.
    pub(crate) passes: Vec<Vec<bool>>,
    /// Since when that has been so.
    pub(crate) wires_since: Time,
    /// Where the hosts beside each node believe an address to be.
    pub(crate) beliefs: Vec<HashMap<IpAddr, usize>>,
    /// For the hosts beside a node and another node: what it announced before then is void.
    void: Vec<Vec<Option<Time>>>,
    pub(crate) announced: u64,
    pub(crate) transitions: u64,
    /// When a state last changed.
    pub(crate) changed_at: Time,
    arrivals: BinaryHeap<Reverse<(Time, u64)>>,
    payloads: HashMap<u64, Arrival>,
    serial: u64,
    next_step: usize,
    luck: Pcg32,
}

impl World {
    pub(crate) fn new(scenario: Scenario) -> Self {
        let count = scenario.nodes.len();
        let luck = Pcg32::seed_from_u64(scenario.seed ^ 0x5eed);
        let nodes = scenario.nodes.iter().map(|config| Node {
            config: config.clone(),
            router: None,
            paused_until: None,
            queued: false,
            backlog: Vec::new(),
            clock: BOOTED,
            wake: None,
            links: HashMap::new(),
            tracker_good: true,
            held: BTreeSet::new(),
            last_state: HashMap::new(),
            fresh: BTreeSet::new(),
            died: None,
            undisturbed_since: Time::ZERO,
            spoke: Time::ZERO,
            yielded_to: None,
            record: Vec::new(),
            outputs: Vec::new(),
        });
        let mut world = Self {
            now: Time::ZERO,
            nodes: nodes.collect(),
            passes: vec![vec![true; count]; count],
            wires_since: Time::ZERO,
            beliefs: vec![HashMap::new(); count],
            void: vec![vec![None; count]; count],
            announced: 0,
            transitions: 0,
            changed_at: Time::ZERO,
            arrivals: BinaryHeap::new(),
            payloads: HashMap::new(),
            serial: 0,
            next_step: 0,
            luck,
            scenario,
        };
        for node in 0..count {
            world.start(node, false);
        }
        world
    }

    /// Goes to the next moment at which something happens; false at the end.
    pub(crate) fn advance(&mut self) -> bool {
        let step = self.scenario.steps.get(self.next_step).map(|(at, _)| *at);
        let arrival = self.arrivals.peek().map(|Reverse((at, _))| *at);
        let wakes = (0..self.nodes.len())
            .filter_map(|node| self.wake_of(node))
            .min();
        let next = [step, arrival, wakes].into_iter().flatten().min();
        let Some(next) = next.filter(|next| *next <= self.scenario.end) else {
            self.now = self.scenario.end;
            return false;
        };
        assert!(next >= self.now, "time goes back");
        self.now = next;
        if step == Some(next) {
            let (_, step) = self.scenario.steps[self.next_step].clone();
            self.next_step += 1;
            self.act(&step);
        } else if arrival == Some(next) {
            self.arrive();
        } else {
            for node in 0..self.nodes.len() {
                if self.wake_of(node) == Some(next) {
                    self.wake(node);
                }
            }
        }
        true
    }

    /// When a node does something by itself: the end of its pause, or its deadline and a little
    /// more.
    fn wake_of(&mut self, node: usize) -> Option<Time> {
        let most = self.scenario.network.most_lateness;
        let luck = &mut self.luck;
        let node = &mut self.nodes[node];
        let deadline = node.router.as_ref()?.poll_timeout();
        if node.paused_until.is_some() {
            return node.paused_until;
        }
        let deadline = Time::ZERO + deadline?.since(Time::ZERO + node.clock);
        if node.wake.map(|(of, _)| of) != Some(deadline) {
            let late = most.mul_f64(luck.random_range(0.0..1.0));
            node.wake = Some((deadline, deadline.max(self.now) + late));
        }
        node.wake.map(|(_, at)| at.max(self.now))
    }

    fn wake(&mut self, node: usize) {
        if self.nodes[node].paused_until.take().is_some() {
            self.disturb(node);
            self.report_all(node);
            for (interface, datagram) in std::mem::take(&mut self.nodes[node].backlog) {
                self.input(
                    node,
                    Input::Datagram {
                        interface,
                        datagram,
                    },
                );
            }
        }
        self.input(node, Input::Timeout);
    }

    fn disturb(&mut self, node: usize) {
        self.nodes[node].undisturbed_since = self.now;
    }

    // === Disturbances ===

    fn act(&mut self, step: &Step) {
        match step {
            Step::Kill(node) => self.kill(*node),
            Step::Start { node, resume } => {
                if self.nodes[*node].router.is_none() {
                    self.start(*node, *resume);
                }
            }
            Step::Stop(node) => {
                if self.is_awake(*node) {
                    self.input(*node, Input::Stop);
                    self.nodes[*node].router = None;
                    assert!(self.nodes[*node].held.is_empty(), "addresses after a stop");
                }
            }
            Step::Cut { from, to } => {
                self.passes[*from][*to] = false;
                self.wires_since = self.now;
            }
            Step::Mend { from, to } => {
                self.passes[*from][*to] = true;
                self.wires_since = self.now;
            }
            Step::Heal => {
                let mut wires = self.passes.iter_mut().flatten();
                while let Some(wire) = wires.find(|passes| !**passes) {
                    *wire = true;
                    self.wires_since = self.now;
                }
            }
            Step::Pause {
                node,
                lasts,
                queued,
            } => {
                let until = self.now + *lasts;
                let node = &mut self.nodes[*node];
                if node.router.is_some() && node.paused_until.is_none() {
                    node.paused_until = Some(until);
                    node.queued = *queued;
                }
            }
            Step::ClockJump { node, by } => {
                self.nodes[*node].clock += *by;
                self.disturb(*node);
            }
            Step::Link {
                node,
                interface,
                up,
            } => {
                let name = Name::from(interface.as_str());
                self.nodes[*node].links.insert(name.clone(), *up);
                if self.is_awake(*node) {
                    self.report_link(*node, &name);
                }
            }
            Step::Track { node, good } => {
                self.nodes[*node].tracker_good = *good;
                if self.is_awake(*node) {
                    self.report_track(*node);
                }
            }
            Step::Reload { node, priority } => {
                for instance in &mut self.nodes[*node].config.instances {
                    instance.config.priority = *priority;
                }
                if self.is_awake(*node) {
                    let config = self.nodes[*node].config.clone();
                    self.disturb(*node);
                    self.input(*node, Input::Configure(config));
                }
            }
            Step::Steal(node) => self.steal(*node),
        }
    }

    /// Whether a node's process lives and its inputs reach it. What a paused node misses it is
    /// told when it wakes.
    fn is_awake(&self, node: usize) -> bool {
        self.nodes[node].router.is_some() && self.nodes[node].paused_until.is_none()
    }

    fn kill(&mut self, place: usize) {
        let now = self.now;
        let node = &mut self.nodes[place];
        if let Some(router) = node.router.take() {
            let masters = router.instances().iter();
            let masters = masters.filter(|it| it.state() == State::Master);
            node.died = Some((now, masters.map(|it| it.name().clone()).collect()));
            node.paused_until = None;
            node.backlog.clear();
        }
        self.forget(place);
    }

    fn start(&mut self, node: usize, resume: bool) {
        let (config, died) = {
            let node = &mut self.nodes[node];
            node.router = Some(Router::new());
            node.last_state.clear();
            node.record.clear();
            node.outputs.clear();
            node.wake = None;
            (node.config.clone(), node.died.take())
        };
        self.disturb(node);
        self.input(node, Input::Configure(config));
        if let Some((at, masters)) = died.filter(|_| resume) {
            for instance in masters {
                let silent_for = self.now.since(at);
                self.input(
                    node,
                    Input::Resume {
                        instance,
                        silent_for,
                    },
                );
            }
        }
        self.report_all(node);
    }

    fn report_all(&mut self, node: usize) {
        self.report_track(node);
        let instances = self.nodes[node].config.instances.iter();
        let interfaces = instances.filter_map(|it| it.config.interface.clone());
        for interface in interfaces.collect::<Vec<_>>() {
            self.report_link(node, &interface);
        }
    }

    fn report_link(&mut self, node: usize, interface: &Name) {
        let it = &self.nodes[node];
        let Some(named) = it
            .config
            .instances
            .iter()
            .find(|it| it.config.interface.as_ref() == Some(interface))
        else {
            return;
        };
        let own = address_of(named.config.family, node, interface.as_str());
        let virtuals = it.held.iter().filter(|(on, _)| on == interface);
        let mut addresses = vec![own];
        addresses.extend(virtuals.map(|(_, address)| *address));
        let up = *it.links.get(interface).unwrap_or(&true);
        let state = InterfaceState { up, addresses };
        self.disturb(node);
        self.input(
            node,
            Input::Interface {
                interface: interface.clone(),
                state,
            },
        );
    }

    fn report_track(&mut self, node: usize) {
        let good = self.nodes[node].tracker_good;
        let report = TrackReport {
            tracker: TRACKER.into(),
            status: if good {
                TrackStatus::Good
            } else {
                TrackStatus::Bad
            },
            detail: String::new(),
        };
        self.disturb(node);
        self.input(node, Input::Track(report));
    }

    fn steal(&mut self, node: usize) {
        let Some((interface, address)) = self.nodes[node].held.iter().next().cloned() else {
            return;
        };
        if !self.is_awake(node) {
            return;
        }
        self.nodes[node].held.remove(&(interface.clone(), address));
        let named = self.nodes[node].config.instances.iter();
        let named = named.filter(|it| it.config.interface.as_ref() == Some(&interface));
        for instance in named.map(|it| it.name.clone()).collect::<Vec<_>>() {
            let trouble = Trouble::AddressLost {
                address,
                interface: interface.clone(),
            };
            self.input(node, Input::Trouble { instance, trouble });
        }
    }

    // === A node and its driver ===

    fn input(&mut self, place: usize, input: Input<'static>) {
        let now = self.now + self.nodes[place].clock;
        let node = &mut self.nodes[place];
        node.wake = None;
        node.fresh.clear();
        let router = node.router.as_mut().unwrap();
        node.record.push(Record {
            at: now,
            input: input.clone(),
        });
        router.handle(now, &input).unwrap();
        let mut outputs = Vec::new();
        while let Some(output) = router.poll_output() {
            outputs.push(output);
            assert!(outputs.len() < 10_000, "endless outputs");
        }
        node.outputs.extend(outputs.iter().cloned());
        for output in outputs {
            if let RouterOutput::Instance { instance, output } = output {
                self.perform(place, &instance, output);
            }
        }
        self.check_node(place);
    }

    fn perform(&mut self, place: usize, instance: &Name, output: Output) {
        let node = &mut self.nodes[place];
        match output {
            Output::SendAdvertisement(transmit) => {
                node.spoke = self.now;
                self.transmit(place, &transmit);
            }
            Output::InstallAddresses { addresses, .. } => {
                let added = addresses.into_iter().map(|it| (it.interface, it.address));
                node.held.extend(added);
            }
            Output::RemoveAddresses { addresses } => {
                for it in addresses {
                    node.held.remove(&(it.interface, it.address));
                }
            }
            Output::Announce { interface, address } => {
                let own = address_of(Family::of(address), place, interface.as_str());
                let held = address == own || node.held.contains(&(interface, address));
                assert!(held, "{address} is announced but not held");
                self.announced += 1;
                node.fresh.insert(address);
                for beside in 0..self.nodes.len() {
                    if self.passes[place][beside] {
                        self.send(Arrival::Announcement {
                            beside,
                            address,
                            from: place,
                            sent: self.now,
                        });
                    } else {
                        self.miss(beside, address);
                    }
                }
            }
            Output::StateChanged(transition) => {
                self.transitions += 1;
                self.changed_at = self.now;
                if let Reason::MasterSilent {
                    master: Some(master),
                    ..
                } = &transition.reason
                {
                    invariants::takes_its_turn(self, place, instance, master.address);
                }
                if let Reason::Outranked { by, ours } = transition.reason {
                    let router = self.nodes[place].router.as_ref().unwrap();
                    let source = router.instance(instance.as_str()).unwrap().source();
                    let ours = (ours, source.unwrap());
                    assert!((by.priority, by.address) > ours, "yields to a worse one");
                }
                let node = &mut self.nodes[place];
                let before = node.last_state.insert(instance.clone(), transition.to);
                let before = before.unwrap_or(State::Initialize);
                assert_eq!(transition.from, before, "a transition is missing");
                let config = node.config.instances.iter().find(|it| it.name == *instance);
                let addresses = config.iter().flat_map(|it| &it.config.addresses);
                for it in addresses {
                    let held = node.held.contains(&(it.interface.clone(), it.address));
                    let master = transition.to == State::Master;
                    assert_eq!(held, master, "addresses in {transition:?}");
                    let fresh = node.fresh.contains(&it.address);
                    assert!(fresh || !master, "not announced by a new master");
                }
                match transition.reason {
                    _ if transition.to == State::Master => {}
                    Reason::Outranked { by, .. } => {
                        self.nodes[place].yielded_to = Some(by.address);
                        self.yields(place, by.address);
                    }
                    Reason::Group { .. } if transition.to == State::Backup => {
                        if let Some(to) = self.nodes[place].yielded_to {
                            self.yields(place, to);
                        }
                    }
                    _ => self.forget(place),
                }
            }
            Output::Event(_) => {}
        }
    }

    /// A Master ends without yielding to anybody. Hosts that hear no other one go on believing in
    /// it, and nobody can know: they are not asked any more.
    fn forget(&mut self, place: usize) {
        for beside in 0..self.nodes.len() {
            self.void(beside, place);
        }
    }

    /// A Master yields to another one, which learns of it and announces the addresses to all who
    /// can hear it; so the others are not asked.
    fn yields(&mut self, place: usize, to: IpAddr) {
        let is_winner = |node: &usize| {
            let interfaces = ["eth0", "eth1"];
            interfaces
                .map(|it| address_of(Family::of(to), *node, it))
                .contains(&to)
        };
        let winner = (0..self.nodes.len()).find(is_winner).unwrap();
        for beside in 0..self.nodes.len() {
            if !self.passes[winner][beside] {
                self.void(beside, place);
            }
        }
    }

    /// Hosts do not hear an announcement. If they believe in a Master of before, they go on.
    fn miss(&mut self, beside: usize, address: IpAddr) {
        let Some(&believed) = self.beliefs[beside].get(&address) else {
            return;
        };
        let mut held = self.nodes[believed].held.iter();
        if !held.any(|(_, it)| *it == address) {
            self.void(beside, believed);
        }
    }

    fn void(&mut self, beside: usize, place: usize) {
        self.void[beside][place] = Some(self.now);
        self.beliefs[beside].retain(|_, believed| *believed != place);
    }

    /// What must hold for a node whenever its outputs have been done.
    fn check_node(&self, place: usize) {
        let node = &self.nodes[place];
        let router = node.router.as_ref().unwrap();
        let states: Vec<State> = router.instances().iter().map(|it| it.state()).collect();
        if !node.config.groups.is_empty() && !states.contains(&State::Initialize) {
            assert!(
                states.iter().all(|it| *it == states[0]),
                "a group of {states:?}"
            );
        }
        for instance in router.instances() {
            let known = node.last_state.get(instance.name());
            let known = known.copied().unwrap_or(State::Initialize);
            assert_eq!(known, instance.state(), "a change of state was not told");
            let master = instance.state() == State::Master;
            for it in &instance.config().addresses {
                let held = node.held.contains(&(it.interface.clone(), it.address));
                let expected = master || instance.state() == State::Initialize && held;
                let stolen = master && !held && instance.poll_timeout().is_some();
                assert!(
                    held == expected || stolen,
                    "{} in {}",
                    it.address,
                    instance.state()
                );
            }
        }
    }

    // === The wire ===

    fn transmit(&mut self, place: usize, transmit: &Transmit) {
        let interface = transmit.interface.clone().unwrap();
        let up = *self.nodes[place].links.get(&interface).unwrap_or(&true);
        for to in (0..self.nodes.len()).filter(|to| *to != place) {
            let family = Family::of(transmit.source);
            let here = address_of(family, to, interface.as_str());
            let addressed = transmit.destination.is_multicast() || transmit.destination == here;
            if !up || !addressed || !self.passes[place][to] {
                continue;
            }
            let datagram = match (transmit.source, transmit.destination) {
                (IpAddr::V6(source), IpAddr::V6(destination)) => {
                    Datagram::ipv6(source, destination, transmit.hop_limit, transmit.payload())
                }
                _ => Datagram::ipv4(&transmit.packet),
            };
            let datagram = datagram.into_owned();
            let arrival = || Arrival::Packet {
                to,
                interface: interface.clone(),
                datagram: datagram.clone(),
            };
            let network = self.scenario.network;
            if !self.luck.random_bool(network.loss) {
                self.send(arrival());
            }
            // Without a number of its own a copy looks like an answer to a last word, where the
            // word itself cannot have arrived.
            let tellable = family == Family::Ipv4 || self.passes[to][place];
            if self.luck.random_bool(network.duplication) && tellable {
                self.send(arrival());
            }
        }
    }

    fn send(&mut self, arrival: Arrival) {
        let delay = self
            .scenario
            .network
            .most_delay
            .mul_f64(self.luck.random_range(0.0..1.0));
        self.serial += 1;
        self.arrivals.push(Reverse((self.now + delay, self.serial)));
        self.payloads.insert(self.serial, arrival);
    }

    fn arrive(&mut self) {
        let Some(Reverse((_, serial))) = self.arrivals.pop() else {
            return;
        };
        match self.payloads.remove(&serial).unwrap() {
            Arrival::Announcement {
                beside,
                address,
                from,
                sent,
            } => {
                if self.void[beside][from].is_none_or(|at| at < sent) {
                    self.beliefs[beside].insert(address, from);
                }
            }
            Arrival::Packet {
                to,
                interface,
                datagram,
            } => {
                let up = *self.nodes[to].links.get(&interface).unwrap_or(&true);
                let node = &mut self.nodes[to];
                if node.router.is_none() || !up {
                    return;
                }
                if node.paused_until.is_none() {
                    self.input(
                        to,
                        Input::Datagram {
                            interface,
                            datagram,
                        },
                    );
                } else if node.queued && node.backlog.len() < 200 {
                    node.backlog.push((interface, datagram));
                }
            }
        }
    }
}
