//! A real server of LVS-DR or LVS-TUN: takes packets for the virtual address, and never says so.
//!
//! With these methods a packet reaches the real server with the virtual address as its destination, so
//! the server must have that address; but the network must go on to find the director there. The
//! address goes to an interface that nobody asks (`lo`, or the end of the tunnel), and ARP is told to
//! keep quiet about it. IPv6 needs no such word: neighbour discovery answers for an interface's own
//! addresses only.
//!
//! # Design
//! [`plan`] is pure: from what is wished, what was done before and what is there it makes the ordered
//! actions and what has to be known to undo them. [`Server`] looks and acts, and keeps that knowledge
//! in a [`StateFile`] that is written before anything is changed. Settings go before addresses and come
//! back after them, so there is no moment in which the server answers for the director.

mod plan;

use std::fmt;
use std::net::IpAddr;

use netif::sysctl::{Changed, Sysctl};
use netif::{Address, LinkName, NetifError, Rtnetlink, Tunnel};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::rundir::RunDir;
use crate::statefile::{StateFile, StateFileError};

pub use self::plan::{Action, Conflict, Observed, Plan, is_usable, plan};

/// How packets come from the director.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// To our Ethernet address; `lb_kind DR`.
    Dr,
    /// In a tunnel; `lb_kind TUN`.
    Tun,
}

impl Mode {
    /// Its word on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dr => "dr",
            Self::Tun => "tun",
        }
    }
}

/// A virtual address and where it goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    /// The virtual address.
    pub vip: IpAddr,
    /// How its packets come.
    pub mode: Mode,
    /// The interface that gets it.
    pub dev: LinkName,
}

impl Setup {
    /// `vip` on `dev`, or on the usual interface: `lo` for DR, `tunl0` or `ip6tnl0` for TUN.
    #[must_use]
    pub fn new(vip: IpAddr, mode: Mode, dev: Option<LinkName>) -> Self {
        let usual = match tunnel_for(vip, mode) {
            Some(tunnel) => tunnel.link_name(),
            None => "lo",
        };
        let dev = dev.unwrap_or_else(|| usual.parse().expect("these are names of interfaces"));
        Self { vip, mode, dev }
    }

    /// The tunnel that has to be there first, if it is a usual one.
    #[must_use]
    pub fn tunnel(&self) -> Option<Tunnel> {
        [Tunnel::Ipip, Tunnel::Ip6]
            .into_iter()
            .find(|tunnel| self.mode == Mode::Tun && tunnel.link_name() == self.dev.as_str())
    }

    fn address(&self) -> Address {
        let mut address = Address::new(self.vip.into());
        // Nobody else is asked: others have it, too.
        address.options.no_duplicate_detection = self.vip.is_ipv6();
        address
    }
}

const fn tunnel_for(vip: IpAddr, mode: Mode) -> Option<Tunnel> {
    match (mode, vip) {
        (Mode::Dr, _) => None,
        (Mode::Tun, IpAddr::V4(_)) => Some(Tunnel::Ipip),
        (Mode::Tun, IpAddr::V6(_)) => Some(Tunnel::Ip6),
    }
}

/// What has been done, and so has to be undone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The virtual addresses that are set up.
    pub addresses: Vec<Held>,
    /// Settings that were changed, and what they were.
    pub sysctls: Vec<Changed>,
    /// Interfaces that were set up, and were down before.
    pub raised: Vec<LinkName>,
}

/// A virtual address that is set up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Which, and where.
    #[serde(flatten)]
    pub setup: Setup,
    /// Whether the address was added; one that was there before stays in the end.
    pub added: bool,
}

/// Why a real server cannot be set up or undone.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RealServerError {
    /// The address cannot go there.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// What was done before is not known.
    #[error("{source}: remove the file to forget what was done")]
    State {
        /// Why.
        source: StateFileError,
    },
    /// The kernel refuses.
    #[error("cannot do `{action}`: {source}")]
    Kernel {
        /// What.
        action: String,
        /// Why.
        source: NetifError,
    },
}

/// This host as a real server.
#[derive(Debug)]
pub struct Server {
    file: StateFile<State>,
    rtnetlink: Rtnetlink,
}

impl Server {
    /// Looks at this host, in the network namespace of the calling thread.
    ///
    /// # Errors
    ///
    /// When the state cannot be read or there is no rtnetlink.
    pub fn open(run_dir: &RunDir) -> Result<Self, RealServerError> {
        let file = StateFile::open(&run_dir.realserver_state())
            .map_err(|source| RealServerError::State { source })?;
        let rtnetlink = Rtnetlink::open().map_err(of("look at interfaces"))?;
        Ok(Self { file, rtnetlink })
    }

    /// What has been done so far.
    #[must_use]
    pub const fn state(&self) -> &State {
        self.file.value()
    }

    /// What [`Self::make`] would do to have exactly `wished`.
    ///
    /// # Errors
    ///
    /// When an address cannot go there, or the kernel does not say what is there.
    pub fn plan(&mut self, wished: &[Setup]) -> Result<Plan, RealServerError> {
        let observed = self.observe(wished)?;
        Ok(plan(wished, self.state(), &observed)?)
    }

    /// Makes this host a real server for exactly `wished`, telling each action to `told` when it is done.
    ///
    /// # Errors
    ///
    /// The first failure; what was done before it is known, and undone by the next call.
    pub fn make(
        &mut self,
        wished: &[Setup],
        mut told: impl FnMut(&Action),
    ) -> Result<(), RealServerError> {
        // A conflict is found before anything is touched.
        let mut planned = self.plan(wished)?;
        let tunnels: Vec<Action> = planned
            .actions
            .iter()
            .filter(|action| action.is_tunnel())
            .cloned()
            .collect();
        for action in &tunnels {
            self.act(action)?;
            told(action);
        }
        if !tunnels.is_empty() {
            // What a tunnel brings along can be seen only when it is there.
            planned = self.plan(wished)?;
        }
        self.write(planned.before)?;
        for action in &planned.actions {
            self.act(action)?;
            told(action);
        }
        self.write(planned.after)
    }

    fn write(&mut self, state: State) -> Result<(), RealServerError> {
        self.file
            .update(|known| *known = state)
            .map_err(|source| RealServerError::State { source })
    }

    fn observe(&mut self, wished: &[Setup]) -> Result<Observed, RealServerError> {
        let links = self.rtnetlink.links().map_err(of("list interfaces"))?;
        let addresses = self.rtnetlink.addresses().map_err(of("list addresses"))?;
        let name_of = |index| links.iter().find(|link| link.index == index);
        let mut observed = Observed {
            addresses: addresses
                .iter()
                .filter_map(|entry| Some((name_of(entry.link)?.name.clone(), entry.address.ip())))
                .collect(),
            links: links
                .iter()
                .map(|link| (link.name.clone(), link.flags.is_up()))
                .collect(),
            sysctls: Default::default(),
        };
        let known = self.state().sysctls.iter().map(|changed| &changed.sysctl);
        let sysctls: Vec<Sysctl> = plan::looked_at(wished).chain(known.cloned()).collect();
        for sysctl in sysctls {
            // Of an interface that is not there, or not yet.
            if let Ok(value) = sysctl.read() {
                observed.sysctls.insert(sysctl, value);
            }
        }
        Ok(observed)
    }

    fn act(&mut self, action: &Action) -> Result<(), RealServerError> {
        let link_of = |rtnetlink: &mut Rtnetlink, dev: &LinkName| {
            rtnetlink.expect_link(dev.as_str()).map(|link| link.index)
        };
        let rtnetlink = &mut self.rtnetlink;
        let result = match action {
            Action::MakeTunnel(tunnel) => rtnetlink.ensure_tunnel(*tunnel).map(|_| ()),
            Action::Set { sysctl, to, .. } | Action::Restore { sysctl, to, .. } => {
                sysctl.write(*to)
            }
            Action::Leave { .. } => Ok(()),
            Action::Raise(dev) => link_of(rtnetlink, dev).and_then(|link| rtnetlink.set_up(link)),
            Action::Lower(dev) => link_of(rtnetlink, dev).and_then(|link| rtnetlink.set_down(link)),
            Action::Add(setup) => link_of(rtnetlink, &setup.dev)
                .and_then(|link| rtnetlink.ensure_address(link, &setup.address()))
                .map(|_| ()),
            Action::Delete(setup) => link_of(rtnetlink, &setup.dev)
                .and_then(|link| rtnetlink.ensure_no_address(link, &setup.address()))
                .map(|_| ()),
        };
        result.map_err(of(action))
    }
}

/// Names what was tried.
fn of(action: impl fmt::Display) -> impl Fn(NetifError) -> RealServerError {
    let action = action.to_string();
    move |source| RealServerError::Kernel {
        action: action.clone(),
        source,
    }
}
