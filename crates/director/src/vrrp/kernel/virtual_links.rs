//! The virtual interfaces, and the packet filter that they and `no_accept` need.

use std::collections::{BTreeMap, BTreeSet};

use netif::firewall::{Blocked, Firewall, FirewallConfig, FirewallRules};
use netif::ipvlan::IpvlanConfig;
use netif::sysctl::{Knob, Sysctl};
use netif::vmac::{self, VmacConfig};
use netif::{Family, LinkChange, LinkIndex, LinkName, NetifError};
use vrrp_proto::{Name, VirtualAddress};

use super::Kernel;
use crate::vrrp::holding::{Holdings, VirtualKind, VirtualLink};

/// What was made and is filtered.
#[derive(Debug, Default)]
pub(super) struct Guard {
    /// Interfaces that were made, or found as they should be.
    made: BTreeMap<Name, Made>,
    /// Addresses that must not be reachable, by instance.
    blocked: BTreeMap<Name, BTreeSet<Blocked>>,
    config: FirewallConfig,
    firewall: Option<Firewall>,
    /// So that a kernel without packet filter is told of once.
    has_failed: bool,
}

/// A virtual interface that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Made {
    link: LinkIndex,
    base: LinkIndex,
    is_macvlan: bool,
}

impl Kernel {
    /// Sets how the packet filter is made. Takes effect when it is opened.
    pub(in crate::vrrp) fn set_filter(&mut self, config: FirewallConfig) {
        self.guard.config = config;
    }

    /// Makes the virtual interfaces of the plan whose base is there, and removes those that are not
    /// in it any more. Gives lines for the log, and what failed.
    pub(in crate::vrrp) fn ensure_virtual_links(
        &mut self,
        holdings: &Holdings,
    ) -> (Vec<String>, Vec<String>) {
        let mut lines = Vec::new();
        let mut problems = Vec::new();
        let wished = holdings.instances.iter();
        let wished: Vec<(&Name, &VirtualLink)> = wished
            .filter_map(|(name, holding)| Some((name, holding.virtual_link.as_ref()?)))
            .collect();
        let is_wished = |name: &Name| wished.iter().any(|(_, it)| it.name == *name);
        let gone: Vec<Name> = self
            .guard
            .made
            .keys()
            .filter(|it| !is_wished(it))
            .cloned()
            .collect();
        for name in gone {
            let (line, problem) = self.remove_virtual_link(&name);
            lines.extend(line);
            problems.extend(problem);
        }
        let before = self.guard.made.len();
        for (instance, it) in wished {
            match self.ensure_virtual_link(it) {
                Ok(true) => lines.push(format!(
                    "({instance}): Success creating {} interface {}",
                    kind(matches!(it.kind, VirtualKind::Macvlan { .. })),
                    it.name
                )),
                Ok(false) => {}
                Err(problem) => problems.push(format!("({instance}) {problem}")),
            }
        }
        if self.guard.made.len() != before {
            problems.extend(self.filter());
        }
        (lines, problems)
    }

    /// Whether it was made just now.
    fn ensure_virtual_link(&mut self, wished: &VirtualLink) -> Result<bool, String> {
        let snapshot = self.monitor.snapshot();
        let Some(base) = snapshot.find_link(wished.base.as_str()).cloned() else {
            self.guard.made.remove(&wished.name);
            return Ok(false);
        };
        let there = snapshot
            .find_link(wished.name.as_str())
            .map(|link| link.index);
        let made = self.guard.made.get(&wished.name);
        if made.is_some_and(|made| there == Some(made.link) && made.base == base.index) {
            return Ok(false);
        }
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let name: LinkName = wished.name.as_str().parse().map_err(|error| text(&error))?;
        let base_name: LinkName = base.name.parse().map_err(|error| text(&error))?;
        let (made, is_macvlan) = match &wished.kind {
            VirtualKind::Macvlan { mac } => {
                self.prepare_base(wished, &base_name)
                    .map_err(|it| text(&it))?;
                let config = VmacConfig {
                    name,
                    base: base.index,
                    mac: *mac,
                    family: match wished.is_ipv4 {
                        true => Family::Inet,
                        false => Family::Inet6,
                    },
                };
                (self.rtnetlink.ensure_vmac(&config), true)
            }
            VirtualKind::Ipvlan { address, reach } => {
                let config = IpvlanConfig {
                    name,
                    base: base.index,
                    reach: *reach,
                    address: address.clone(),
                };
                (self.rtnetlink.ensure_ipvlan(&config), false)
            }
        };
        let made = made.map_err(|it| text(&it))?;
        let link = made.link.index;
        if wished.group.is_some() {
            let change = LinkChange {
                group: wished.group,
                ..LinkChange::default()
            };
            let done = self.rtnetlink.change_link(link, &change);
            done.map_err(|it| text(&it))?;
        }
        let base = base.index;
        self.guard.made.insert(
            wished.name.clone(),
            Made {
                link,
                base,
                is_macvlan,
            },
        );
        Ok(!made.adopted)
    }

    /// Makes an interface one on which macvlans can stand.
    fn prepare_base(&mut self, wished: &VirtualLink, base: &LinkName) -> Result<(), NetifError> {
        let links = self.monitor.snapshot().links();
        let links: Vec<LinkName> = links.filter_map(|link| link.name.parse().ok()).collect();
        vmac::spread_reverse_path_filter(&links, &mut self.settings)?;
        if wished.is_ipv4 {
            // An answer from a virtual address may leave by the base; asking for its way there with
            // that address would tell the neighbours the wrong MAC.
            let quiet = (Sysctl::of(base, Knob::ArpAnnounce), 2);
            for (setting, value) in vmac::base_settings(base).into_iter().chain([quiet]) {
                self.settings.set(setting, value)?;
            }
        }
        Ok(())
    }

    fn remove_virtual_link(&mut self, name: &Name) -> (Option<String>, Option<String>) {
        let Some(made) = self.guard.made.remove(name) else {
            return (None, None);
        };
        let kind = kind(made.is_macvlan);
        match self.rtnetlink.ensure_no_link(made.link) {
            Ok(_) => (
                Some(format!("Success removing {kind} interface {name}")),
                None,
            ),
            Err(error) => (None, Some(error.to_string())),
        }
    }

    /// Removes all virtual interfaces and the packet filter.
    pub(super) fn disarm(&mut self) -> (Vec<String>, Vec<String>) {
        let mut lines = Vec::new();
        let mut problems = Vec::new();
        let names: Vec<Name> = self.guard.made.keys().cloned().collect();
        for name in names {
            let (line, problem) = self.remove_virtual_link(&name);
            lines.extend(line);
            problems.extend(problem);
        }
        if let Some(firewall) = &mut self.guard.firewall {
            problems.extend(firewall.remove().err().map(|error| error.to_string()));
        }
        (lines, problems)
    }

    /// Interfaces of IPv6 virtual routers take over the link-local address of their base.
    pub(in crate::vrrp) fn copy_link_locals(&mut self, holdings: &Holdings) {
        for holding in holdings.instances.values() {
            let Some(it) = holding.virtual_link.as_ref().filter(|it| !it.is_ipv4) else {
                continue;
            };
            if let Some(made) = self.guard.made.get(&it.name).filter(|made| made.is_macvlan) {
                // It is tried again when the base's addresses change.
                let _ = self.rtnetlink.copy_link_local(made.base, made.link);
            }
        }
    }

    /// Lets nobody reach these addresses of an instance, or lets everybody again.
    pub(super) fn block(
        &mut self,
        instance: &Name,
        addresses: &[VirtualAddress],
        accept: bool,
    ) -> Option<String> {
        let snapshot = self.monitor.snapshot();
        let entries: Vec<Blocked> = addresses
            .iter()
            .filter_map(|it| {
                Some(Blocked {
                    address: it.address,
                    link: snapshot.find_link(it.interface.as_str())?.index,
                })
            })
            .collect();
        let blocked = self.guard.blocked.entry(instance.clone()).or_default();
        let before = blocked.len();
        match accept {
            true => blocked.clear(),
            false => blocked.extend(entries),
        }
        let changed = before != blocked.len();
        changed.then(|| self.filter()).flatten()
    }

    /// An instance has given these addresses back.
    pub(super) fn unblock(
        &mut self,
        instance: &Name,
        addresses: &[VirtualAddress],
    ) -> Option<String> {
        let blocked = self.guard.blocked.get_mut(instance)?;
        let before = blocked.len();
        blocked.retain(|entry| !addresses.iter().any(|it| it.address == entry.address));
        let changed = before != blocked.len();
        changed.then(|| self.filter()).flatten()
    }

    fn filter(&mut self) -> Option<String> {
        let guard = &mut self.guard;
        let rules = FirewallRules {
            blocked: guard.blocked.values().flatten().copied().collect(),
            vmacs: guard
                .made
                .values()
                .filter(|made| made.is_macvlan)
                .map(|made| (made.link, made.base))
                .collect(),
        };
        if guard.firewall.is_none() {
            if rules == FirewallRules::default() {
                return None;
            }
            match Firewall::open(guard.config.clone()) {
                Ok(firewall) => guard.firewall = Some(firewall),
                Err(error) => return guard.failed(&error),
            }
        }
        let applied = guard.firewall.as_mut()?.apply(&rules);
        applied.err().and_then(|error| guard.failed(&error))
    }
}

/// keepalived's word for a kind of interface.
const fn kind(is_macvlan: bool) -> &'static str {
    match is_macvlan {
        true => "VMAC",
        false => "IPVLAN",
    }
}

impl Guard {
    fn failed(&mut self, error: &NetifError) -> Option<String> {
        let is_first = !std::mem::replace(&mut self.has_failed, true);
        is_first.then(|| format!("Unable to filter packets to virtual addresses - {error}"))
    }
}
