//! Packet filter rules for virtual addresses that must not be reachable, and for virtual MACs.
//!
//! A virtual router that does not own its addresses must not take packets sent to them (RFC 9568
//! section 6.4.3; `no_accept` and strict mode in keepalived), yet answer ARP and neighbour
//! discovery. And what the kernel sends on its own on the interface of a virtual MAC, IGMP and MLD
//! reports and router solicitations, must not carry the virtual MAC, or switches learn it in the
//! wrong place.
//!
//! Design: one table each for IPv4 and IPv6, laid out as keepalived lays it out, filled by sets, so
//! that a change is a few elements and not a rule. Netfilter does each change whole or not at all.
//! Spoken over netlink, because the libraries for it are GPL or wrap C.

mod expression;
mod layout;
mod message;
mod uapi;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use neli::consts::socket::NlFamily;

use crate::error::NetifError;
use crate::family::Family;
use crate::name::LinkIndex;
use crate::netlink::{Netlink, Request};
use layout::Layout;

/// How the tables are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirewallConfig {
    /// The name of both tables; what is there of that name is replaced. Default `keepalived`.
    /// keepalived: `nftables`.
    pub table: String,
    /// The priority of the chains: smaller ones come first; 0 is that of ordinary filters. Default
    /// -1. keepalived: `nftables_priority`.
    pub priority: i32,
    /// Count what is dropped. Default off. keepalived: `nftables_counters`.
    pub counters: bool,
}

impl Default for FirewallConfig {
    fn default() -> Self {
        Self {
            table: "keepalived".into(),
            priority: -1,
            counters: false,
        }
    }
}

/// An address to and from which packets are dropped, but for neighbour discovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Blocked {
    /// The virtual address.
    pub address: IpAddr,
    /// Its interface, which counts for IPv6 link-local addresses only: others may have the same.
    pub link: LinkIndex,
}

/// What shall be filtered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FirewallRules {
    /// The addresses that must not be reachable.
    pub blocked: BTreeSet<Blocked>,
    /// The interface of each virtual MAC, and the base on which it stands.
    pub vmacs: BTreeMap<LinkIndex, LinkIndex>,
}

/// The tables of one network namespace, as we made them.
///
/// They stay when this is dropped, as after a crash; [`remove`](Self::remove) takes them away, and
/// the first [`apply`](Self::apply) replaces those that are left from before.
#[derive(Debug)]
pub struct Firewall {
    netlink: Netlink,
    config: FirewallConfig,
    /// What the kernel has; `None` if that is not known.
    applied: Option<FirewallRules>,
}

impl Firewall {
    /// Opens a conversation with netfilter in the network namespace of the calling thread; changes
    /// nothing yet.
    ///
    /// # Errors
    ///
    /// `EPROTONOSUPPORT` if the kernel has no netfilter netlink.
    pub fn open(config: FirewallConfig) -> Result<Self, NetifError> {
        Ok(Self {
            netlink: Netlink::open(NlFamily::Netfilter)?,
            config,
            applied: None,
        })
    }

    /// What was applied last; `None` before, and after an error.
    pub fn applied(&self) -> Option<&FirewallRules> {
        self.applied.as_ref()
    }

    /// Makes the tables be as `rules` says, at one stroke. Does nothing if they are, and if
    /// somebody has removed them makes them anew.
    ///
    /// # Errors
    ///
    /// See [`NetifError`]; nothing has changed then. `EOPNOTSUPP` or `ENOENT` if the kernel lacks a
    /// part of nftables, `EPERM` without `CAP_NET_ADMIN`.
    pub fn apply(&mut self, rules: &FirewallRules) -> Result<(), NetifError> {
        if self.applied.as_ref() == Some(rules) {
            return Ok(());
        }
        if let Some(applied) = self.applied.take() {
            let changes = changes(&self.config, &applied, rules);
            if self.netlink.transaction(&changes).is_ok() {
                self.applied = Some(rules.clone());
                return Ok(());
            }
        }
        self.rebuild(rules)
    }

    /// Makes both tables anew, whatever is there.
    ///
    /// # Errors
    ///
    /// As [`apply`](Self::apply).
    pub fn rebuild(&mut self, rules: &FirewallRules) -> Result<(), NetifError> {
        self.applied = None;
        let mut requests = Vec::new();
        for family in Family::ALL {
            Layout::of(&self.config, family, rules).replace(&mut requests);
        }
        self.netlink.transaction(&message::batch(requests))?;
        self.applied = Some(rules.clone());
        Ok(())
    }

    /// Removes both tables; none is well.
    ///
    /// # Errors
    ///
    /// As [`apply`](Self::apply).
    pub fn remove(&mut self) -> Result<(), NetifError> {
        self.rebuild(&FirewallRules::default())
    }
}

/// The fewest requests from `before` to `after`.
fn changes(config: &FirewallConfig, before: &FirewallRules, after: &FirewallRules) -> Vec<Request> {
    let mut requests = Vec::new();
    for family in Family::ALL {
        let before = Layout::of(config, family, before);
        let after = Layout::of(config, family, after);
        if before.is_empty() || after.is_empty() {
            if before.is_empty() != after.is_empty() {
                after.replace(&mut requests);
            }
        } else {
            after.change_from(&before, &mut requests);
        }
    }
    message::batch(requests)
}
