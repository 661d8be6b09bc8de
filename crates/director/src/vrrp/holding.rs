//! What a master holds beside its state: addresses, routes and rules, as the kernel takes them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use netif::{Address, IpvlanReach, MacAddress, Placement, Route, Rule};
use vrrp_proto::Name;

/// What one instance puts into the kernel while it is master, in the order in which it is added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holding {
    /// The virtual interface under it, if it has one.
    pub virtual_link: Option<VirtualLink>,
    /// Its addresses.
    pub addresses: Vec<HeldAddress>,
    /// Its routes.
    pub routes: Vec<HeldRoute>,
    /// Its rules.
    pub rules: Vec<HeldRule>,
    /// Interfaces on which secondary addresses are to stay when their primary goes.
    pub promote_secondaries: Vec<Name>,
    /// Whether the kernel is to report no groups of 224.0.0.0/24.
    pub no_group_reports: bool,
}

/// An address and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldAddress {
    /// The interface that gets it.
    pub interface: Name,
    /// The address with its options.
    pub address: Address,
    /// Whether it is put back when somebody else removes it.
    pub is_tracked: bool,
}

/// A route. Interfaces are names here, because their numbers change when they are made anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldRoute {
    /// The route; its hops have no interface yet.
    pub route: Route,
    /// The interface of each hop.
    pub interfaces: Vec<Option<Name>>,
    /// Where it is put among others.
    pub placement: Placement,
    /// Whether it is put back when somebody else removes it.
    pub is_tracked: bool,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldRule {
    /// The rule.
    pub rule: Rule,
    /// Whether it is put back when somebody else removes it.
    pub is_tracked: bool,
}

/// A virtual interface on which a virtual router has its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualLink {
    /// Its name.
    pub name: Name,
    /// The interface that it stands on.
    pub base: Name,
    /// What it is.
    pub kind: VirtualKind,
    /// The number of its group among interfaces.
    pub group: Option<u32>,
    /// Whether it is for IPv4; IPv6 is switched off then.
    pub is_ipv4: bool,
    /// Whether advertisements leave by the interface below.
    pub sends_on_base: bool,
}

/// Kind of a [`VirtualLink`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VirtualKind {
    /// A macvlan.
    Macvlan {
        /// Its Ethernet address, which is that of the virtual router.
        mac: MacAddress,
    },
    /// An ipvlan.
    Ipvlan {
        /// Its own address.
        address: Option<Address>,
        /// Whom it can talk to.
        reach: IpvlanReach,
    },
}

impl VirtualLink {
    /// The address that advertisements leave from because of it.
    #[must_use]
    pub fn source(&self) -> Option<IpAddr> {
        match &self.kind {
            VirtualKind::Ipvlan {
                address: Some(address),
                ..
            } if !self.sends_on_base => Some(address.ip()),
            _ => None,
        }
    }
}

/// Everything that is held, by instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Of each instance, while it is master.
    pub instances: BTreeMap<Name, Holding>,
    /// Of the process, as long as it runs: `static_ipaddress` and so on.
    pub fixed: Holding,
}

impl Holding {
    /// The address with its options.
    #[must_use]
    pub fn address(&self, ip: IpAddr, interface: &Name) -> Option<&HeldAddress> {
        let is_it = |held: &&HeldAddress| held.address.ip() == ip && held.interface == *interface;
        self.addresses.iter().find(is_it)
    }

    /// Whether there is nothing at all.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.routes.is_empty() && self.rules.is_empty()
    }
}
