//! What the machine asks for.

use vrrp_proto::{Name, Output, RouterOutput, State, Transmit, Trouble};

use super::Driver;
use crate::vrrp::news::{Did, News};
use crate::vrrp::sockets;
use crate::wiring::vrrp::VrrpPlan;

impl Driver {
    pub(super) fn perform(&mut self, step: RouterOutput, before: Option<&VrrpPlan>) {
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

    fn send(&mut self, instance: &Name, transmit: &Transmit, before: Option<&VrrpPlan>) {
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
}
