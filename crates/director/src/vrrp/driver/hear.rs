//! What comes in: packets, news of the kernel, orders.

use std::collections::BTreeSet;

use netif::Event;
use vrrp_proto::{Input, Name, Time, Trouble};

use super::wait::Ready;
use super::{Driver, clock};
use crate::vrrp::kernel::Loss;
use crate::vrrp::news::{News, Survey};
use crate::vrrp::order::Order;

/// How many packets of a socket are read before deadlines are looked at: more than its buffer holds.
const PACKETS_AT_ONCE: usize = 1024;

impl Driver {
    /// Reads what came in: packets, then the kernel's news, then orders.
    pub(super) fn hear(&mut self, ready: Ready) {
        if !ready.sockets.is_empty() {
            self.mind_succession();
        }
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
    pub(super) fn hear_kernel(&mut self) {
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
}
