//! What the machine is told of interfaces and addresses.

use std::collections::BTreeSet;
use std::net::IpAddr;

use vrrp_proto::{Input, InstanceConfig, Name, Time, TrackReport, TrackStatus};

use super::Driver;
use crate::vrrp::interfaces::Change;
use crate::vrrp::news::{Did, News};
use crate::vrrp::seam::tracker;

impl Driver {
    /// The interfaces that instances stand on or track.
    pub(super) fn wanted(&self) -> impl Iterator<Item = Name> {
        let instances = self.plan.router.instances.iter();
        instances.flat_map(|it| {
            let tracked = it.config.trackers.iter();
            let tracked = tracked.filter_map(|it| tracker::interface_of(&it.name));
            it.config.interface.clone().into_iter().chain(tracked)
        })
    }

    /// Tells which tracked source addresses have come or gone.
    pub(super) fn tell_sources(&mut self, now: Time) {
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

    pub(super) fn looks_at(&self, name: &Name) -> bool {
        self.wanted().any(|it| it == *name)
    }

    pub(super) fn see(&mut self, now: Time, name: &Name) {
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
    pub(super) fn tell_address(&self, interface: &Name, address: IpAddr, is_there: bool) {
        let mut holdings = self.plan.holdings.instances.values();
        let is_ours = holdings.any(|holding| holding.address(address, interface).is_some());
        if !is_ours && self.looks_at(interface) {
            self.desk
                .detail(|| Did::Seen(interface.clone(), address, is_there));
        }
    }

    pub(super) fn tell_interfaces(&mut self, now: Time) {
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
}
