//! From what is wished, done and there to the actions in their order.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use netif::sysctl::{Changed, Knob, Place, Sysctl};
use netif::{LinkName, Tunnel};

use super::{Held, Mode, Setup, State};

/// What is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// All interfaces by name, and whether they are up.
    pub links: BTreeMap<String, bool>,
    /// All addresses, with the name of their interface.
    pub addresses: Vec<(String, IpAddr)>,
    /// Settings that matter; those that are missing could not be read.
    pub sysctls: BTreeMap<Sysctl, i32>,
}

impl Observed {
    /// Whether there is an interface of this name.
    #[must_use]
    pub fn has_link(&self, name: &str) -> bool {
        self.links.contains_key(name)
    }

    fn is_up(&self, dev: &LinkName) -> bool {
        self.links.get(dev.as_str()).copied().unwrap_or(false)
    }

    fn has_address(&self, setup: &Setup) -> bool {
        self.addresses
            .iter()
            .any(|(dev, ip)| dev == setup.dev.as_str() && *ip == setup.vip)
    }
}

/// A single change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Have the kernel make the interface that takes packets out of tunnels.
    MakeTunnel(Tunnel),
    /// Change a setting.
    Set {
        /// Which.
        sysctl: Sysctl,
        /// What it is; `None` while its interface is not there.
        from: Option<i32>,
        /// What it becomes.
        to: i32,
    },
    /// Set an interface up.
    Raise(LinkName),
    /// Add the address to its interface.
    Add(Setup),
    /// Take the address away.
    Delete(Setup),
    /// Set an interface down that was down before.
    Lower(LinkName),
    /// Give a setting its former value.
    Restore {
        /// Which.
        sysctl: Sysctl,
        /// What we had set.
        from: i32,
        /// What it was before.
        to: i32,
    },
    /// Somebody else has changed a setting after us: it stays.
    Leave {
        /// Which.
        sysctl: Sysctl,
        /// What it is.
        found: i32,
    },
}

impl Action {
    pub(super) const fn is_tunnel(&self) -> bool {
        matches!(self, Self::MakeTunnel(_))
    }
}

/// As the commands that would do the same.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MakeTunnel(Tunnel::Ipip) => f.write_str("modprobe ipip"),
            Self::MakeTunnel(Tunnel::Ip6) => f.write_str("modprobe ip6_tunnel"),
            Self::Set { sysctl, from, to } => {
                write!(f, "sysctl -w {sysctl}={to}")?;
                from.map_or(Ok(()), |from| write!(f, "  # was {from}"))
            }
            Self::Restore { sysctl, from, to } => {
                write!(f, "sysctl -w {sysctl}={to}  # was {from}")
            }
            Self::Leave { sysctl, found } => {
                write!(
                    f,
                    "# {sysctl} is {found}: changed by somebody else, left as it is"
                )
            }
            Self::Raise(dev) => write!(f, "ip link set {dev} up"),
            Self::Lower(dev) => write!(f, "ip link set {dev} down"),
            Self::Add(setup) => address(f, "add", setup),
            Self::Delete(setup) => address(f, "del", setup),
        }
    }
}

fn address(f: &mut fmt::Formatter<'_>, verb: &str, setup: &Setup) -> fmt::Result {
    let Setup { vip, dev, .. } = setup;
    match (vip, verb) {
        (IpAddr::V4(_), _) => write!(f, "ip addr {verb} {vip}/32 dev {dev}"),
        (IpAddr::V6(_), "add") => write!(f, "ip addr add {vip}/128 dev {dev} nodad"),
        (IpAddr::V6(_), _) => write!(f, "ip addr {verb} {vip}/128 dev {dev}"),
    }
}

/// What is to be done, and what is to be known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The actions in their order; none when all is as wished.
    pub actions: Vec<Action>,
    /// What has to be known from before the first action on: all that may have to be undone.
    pub before: State,
    /// What is left to be known after the last one.
    pub after: State,
}

/// An address cannot be set up as wished.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Conflict {
    /// No host can have it as a virtual address.
    #[error("{0} cannot be a virtual address")]
    NotAnAddress(IpAddr),
    /// It would be answered for all the same.
    #[error("{vip} is an address of {dev} here: this host answers for it, as a director does")]
    Elsewhere {
        /// The address.
        vip: IpAddr,
        /// The interface that has it.
        dev: String,
    },
    /// There is no such interface.
    #[error("there is no interface {dev}")]
    NoLink {
        /// Its name.
        dev: LinkName,
    },
}

/// Whether an address can be a virtual one.
#[must_use]
pub const fn is_usable(vip: IpAddr) -> bool {
    let is_link_local = match vip {
        IpAddr::V4(vip) => vip.is_broadcast() || vip.is_link_local(),
        IpAddr::V6(vip) => vip.is_unicast_link_local(),
    };
    !(vip.is_unspecified() || vip.is_multicast() || vip.is_loopback() || is_link_local)
}

/// The settings that [`plan`] wants to know.
pub(super) fn looked_at(wished: &[Setup]) -> impl Iterator<Item = Sysctl> {
    let places: BTreeSet<Place> = wished
        .iter()
        .map(|setup| Place::Link(setup.dev.clone()))
        .chain([Place::All])
        .collect();
    places.into_iter().flat_map(|place| {
        [Knob::ArpIgnore, Knob::ArpAnnounce, Knob::RpFilter].map(|knob| Sysctl {
            place: place.clone(),
            knob,
        })
    })
}

/// The actions that make of `observed`, where `state` has been done, exactly `wished`.
///
/// What is as it shall be is not touched, and not undone later. Addresses and settings of `state` that
/// are no longer needed are undone, last first; a setting that somebody else has changed since is left.
///
/// # Errors
///
/// When an address cannot be set up as wished.
pub fn plan(wished: &[Setup], state: &State, observed: &Observed) -> Result<Plan, Conflict> {
    for setup in wished {
        check(setup, state, observed)?;
    }
    let mut actions = Vec::new();
    let is_wished = |held: &&Held| wished.contains(&held.setup);
    let mut before = state.clone();
    let mut after = State {
        addresses: state.addresses.iter().filter(is_wished).cloned().collect(),
        ..State::default()
    };

    // Away with what is not wished any more.
    for held in state.addresses.iter().filter(|held| !is_wished(held)).rev() {
        if held.added && observed.has_address(&held.setup) {
            actions.push(Action::Delete(held.setup.clone()));
        }
    }
    for dev in state.raised.iter().rev() {
        match wished.iter().any(|setup| setup.dev == *dev) {
            true => after.raised.insert(0, dev.clone()),
            false if observed.is_up(dev) => actions.push(Action::Lower(dev.clone())),
            false => {}
        }
    }
    let needs = needs(wished, observed);
    for changed in state.sysctls.iter().rev() {
        if needs.iter().any(|(sysctl, _)| *sysctl == changed.sysctl) {
            after.sysctls.insert(0, changed.clone());
        } else {
            actions.extend(undo(changed, observed));
        }
    }

    // And here with what is.
    for tunnel in [Tunnel::Ipip, Tunnel::Ip6] {
        let is_needed = wished.iter().any(|setup| setup.tunnel() == Some(tunnel));
        if is_needed && !observed.has_link(tunnel.link_name()) {
            actions.push(Action::MakeTunnel(tunnel));
        }
    }
    for (sysctl, to) in needs {
        let Some(to) = to else { continue };
        let from = observed.sysctls.get(&sysctl).copied();
        let known = after
            .sysctls
            .iter_mut()
            .find(|known| known.sysctl == sysctl);
        match (known, from) {
            (Some(known), _) => known.after = to,
            (None, Some(from)) => after.sysctls.push(Changed {
                sysctl: sysctl.clone(),
                before: from,
                after: to,
            }),
            // Seen when its interface is there.
            (None, None) => {}
        }
        actions.push(Action::Set { sysctl, from, to });
    }
    for setup in wished {
        if !observed.is_up(&setup.dev) && !actions.contains(&Action::Raise(setup.dev.clone())) {
            actions.push(Action::Raise(setup.dev.clone()));
            if !after.raised.contains(&setup.dev) {
                after.raised.push(setup.dev.clone());
            }
        }
    }
    for setup in wished {
        let is_there = observed.has_address(setup);
        if !is_there {
            actions.push(Action::Add(setup.clone()));
        }
        match after.addresses.iter_mut().find(|held| held.setup == *setup) {
            Some(held) => held.added |= !is_there,
            None => after.addresses.push(Held {
                setup: setup.clone(),
                added: !is_there,
            }),
        }
    }

    merge(&mut before, &after);
    Ok(Plan {
        actions,
        before,
        after,
    })
}

fn check(setup: &Setup, state: &State, observed: &Observed) -> Result<(), Conflict> {
    let vip = setup.vip;
    if !is_usable(vip) {
        return Err(Conflict::NotAnAddress(vip));
    }
    if setup.tunnel().is_none() && !observed.has_link(setup.dev.as_str()) {
        let dev = setup.dev.clone();
        return Err(Conflict::NoLink { dev });
    }
    // One that we have put there moves.
    let is_ours = |dev: &str| {
        let mut held = state.addresses.iter();
        held.any(|held| held.added && held.setup.vip == vip && held.setup.dev.as_str() == dev)
    };
    let elsewhere = observed
        .addresses
        .iter()
        .find(|(dev, ip)| *ip == vip && dev != setup.dev.as_str() && !is_ours(dev));
    match elsewhere {
        Some((dev, _)) => Err(Conflict::Elsewhere {
            vip,
            dev: dev.clone(),
        }),
        None => Ok(()),
    }
}

/// The settings that `wished` depends on, and for each the value that it has to get, if it has another.
fn needs(wished: &[Setup], observed: &Observed) -> Vec<(Sysctl, Option<i32>)> {
    let mut needs: Vec<(Sysctl, Option<i32>)> = Vec::new();
    let mut need = |sysctl: Sysctl, to: &dyn Fn(i32) -> Option<i32>| {
        // One whose interface is not there yet is taken for one that has to be set.
        let value = observed.sysctls.get(&sysctl).copied().unwrap_or(-1);
        if needs.iter().all(|(known, _)| *known != sysctl) {
            needs.push((sysctl, to(value)));
        }
    };
    for setup in wished.iter().filter(|setup| setup.vip.is_ipv4()) {
        let of_dev = |knob| Sysctl::of(&setup.dev, knob);
        for sysctl in [of_dev(Knob::ArpIgnore), Sysctl::of_all(Knob::ArpIgnore)] {
            // 2 and 8 keep as quiet; 3 does not.
            need(sysctl, &|value| (!matches!(value, 1 | 2 | 8)).then_some(1));
        }
        for sysctl in [of_dev(Knob::ArpAnnounce), Sysctl::of_all(Knob::ArpAnnounce)] {
            need(sysctl, &|value| (value != 2).then_some(2));
        }
        if setup.mode == Mode::Tun {
            // Out of the tunnel come packets of clients that are reached by another interface. The
            // larger of both counts: loose on this one lets them in, whatever holds for the others.
            let all = Sysctl::of_all(Knob::RpFilter);
            let all = observed.sysctls.get(&all).copied().unwrap_or(0);
            need(of_dev(Knob::RpFilter), &|value| match (all, value) {
                (1, 2) | (0, 0 | 2) | (2, 0..) => None,
                (1, _) => Some(2),
                _ => Some(0),
            });
        }
    }
    needs
}

fn undo(changed: &Changed, observed: &Observed) -> Option<Action> {
    let sysctl = changed.sysctl.clone();
    match *observed.sysctls.get(&sysctl)? {
        found if found == changed.before => None,
        from if from == changed.after => Some(Action::Restore {
            sysctl,
            from,
            to: changed.before,
        }),
        found => Some(Action::Leave { sysctl, found }),
    }
}

/// Adds to `state` what only `other` knows.
fn merge(state: &mut State, other: &State) {
    for held in &other.addresses {
        match state
            .addresses
            .iter_mut()
            .find(|known| known.setup == held.setup)
        {
            Some(known) => known.added |= held.added,
            None => state.addresses.push(held.clone()),
        }
    }
    for changed in &other.sysctls {
        match state
            .sysctls
            .iter_mut()
            .find(|known| known.sysctl == changed.sysctl)
        {
            Some(known) => known.after = changed.after,
            None => state.sysctls.push(changed.clone()),
        }
    }
    for dev in &other.raised {
        if !state.raised.contains(dev) {
            state.raised.push(dev.clone());
        }
    }
}

#[cfg(test)]
mod tests;
