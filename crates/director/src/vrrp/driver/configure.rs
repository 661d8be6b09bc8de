//! A new configuration: what must be there before, and what follows from it.

use std::collections::BTreeSet;

use vrrp_proto::{Input, Name, State, Time, TrackReport, TrackStatus};

use super::Driver;
use crate::vrrp::news::News;
use crate::vrrp::seam::tracker;
use crate::wiring::vrrp::VrrpPlan;

impl Driver {
    pub(super) fn configure(&mut self, now: Time, plan: VrrpPlan) {
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
    pub(super) fn prepare(&mut self) {
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
}
