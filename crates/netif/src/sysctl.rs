//! Kernel settings of interfaces under `/proc/sys/net`, and how to take changes back.
//!
//! Files, not netlink: only few of the settings can be written over netlink. The kernel shows each
//! thread the settings of its own network namespace, so call from a thread in the right one.

use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::NetifError;
use crate::family::Family;
use crate::name::LinkName;

/// What can be set. Meanings and defaults: `ip-sysctl` in the kernel's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Knob {
    /// Which ARP requests are answered: 0 any of our addresses, 1 only those of the interface that
    /// heard it. The larger of `all` and the interface counts.
    ArpIgnore,
    /// From which address we ask: 0 any, 2 the best for the target. The larger of `all` and the
    /// interface counts.
    ArpAnnounce,
    /// 1: answer ARP only where the route to the asker leaves. Any of `all` and the interface counts.
    ArpFilter,
    /// 1: accept packets whose source is ours.
    AcceptLocal,
    /// Reverse path filter: 0 off, 1 strict, 2 loose. The larger of `all` and the interface counts.
    RpFilter,
    /// 1: when the first address of a network goes, the next takes its place.
    PromoteSecondaries,
    /// 1: forward IPv4 packets.
    Ipv4Forwarding,
    /// 1: forward IPv6 packets, and be a router in neighbour discovery.
    Ipv6Forwarding,
    /// 1: no IPv6 on this interface.
    DisableIpv6,
    /// 1: accept IPv6 router advertisements unless forwarding; 2: always.
    AcceptRouterAdvertisements,
    /// 1: duplicate address detection.
    AcceptDad,
    /// 1: tell switches of the groups of 224.0.0.0/24 that are joined, too. One for all interfaces,
    /// since Linux 4.3.
    IgmpLinkLocalReports,
}

impl Knob {
    /// The family of the setting.
    pub fn family(self) -> Family {
        match self {
            Self::Ipv6Forwarding
            | Self::DisableIpv6
            | Self::AcceptRouterAdvertisements
            | Self::AcceptDad => Family::Inet6,
            _ => Family::Inet,
        }
    }

    /// The name of its file.
    pub fn name(self) -> &'static str {
        match self {
            Self::ArpIgnore => "arp_ignore",
            Self::ArpAnnounce => "arp_announce",
            Self::ArpFilter => "arp_filter",
            Self::AcceptLocal => "accept_local",
            Self::RpFilter => "rp_filter",
            Self::PromoteSecondaries => "promote_secondaries",
            Self::Ipv4Forwarding | Self::Ipv6Forwarding => "forwarding",
            Self::DisableIpv6 => "disable_ipv6",
            Self::AcceptRouterAdvertisements => "accept_ra",
            Self::AcceptDad => "accept_dad",
            Self::IgmpLinkLocalReports => "igmp_link_local_mcast_reports",
        }
    }
}

/// Where a setting is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Place {
    /// `all`: counts on every interface, in the way that the setting's own words say.
    All,
    /// `default`: what new interfaces begin with.
    Default,
    /// One interface.
    Link(LinkName),
    /// None: what counts for the whole network namespace.
    Namespace,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Default => f.write_str("default"),
            Self::Link(name) => name.fmt(f),
            Self::Namespace => Ok(()),
        }
    }
}

/// One setting in one place; displayed as `sysctl` names it, interface names in full.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sysctl {
    /// Where.
    pub place: Place,
    /// What.
    pub knob: Knob,
}

impl Sysctl {
    /// `knob` of the interface `name`.
    pub fn of(name: &LinkName, knob: Knob) -> Self {
        Self {
            place: Place::Link(name.clone()),
            knob,
        }
    }

    /// `knob` of all interfaces.
    pub fn of_all(knob: Knob) -> Self {
        Self {
            place: Place::All,
            knob,
        }
    }

    /// `knob` of the network namespace.
    pub fn of_namespace(knob: Knob) -> Self {
        Self {
            place: Place::Namespace,
            knob,
        }
    }

    /// Its value now.
    ///
    /// # Errors
    ///
    /// When it cannot be read: no such interface, no IPv6 in this kernel.
    pub fn read(&self) -> Result<i32, NetifError> {
        let read = || {
            let text = fs::read_to_string(self.path())?;
            let value = text.trim().parse();
            value.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, text))
        };
        read().map_err(|error| NetifError::system(format!("read {self}"), error))
    }

    /// Sets it.
    ///
    /// # Errors
    ///
    /// When it cannot be written: no such interface, no permission, a read-only `/proc/sys` as in
    /// many containers, a value that the kernel refuses.
    pub fn write(&self, value: i32) -> Result<(), NetifError> {
        fs::write(self.path(), value.to_string())
            .map_err(|error| NetifError::system(format!("set {self} to {value}"), error))
    }

    fn path(&self) -> PathBuf {
        let mut path = PathBuf::from("/proc/sys/net");
        path.push(folder(self.knob.family()));
        if self.place != Place::Namespace {
            // A LinkName holds no slash, so this stays below the folder.
            path.extend(["conf", &self.place.to_string()]);
        }
        path.join(self.knob.name())
    }
}

impl fmt::Display for Sysctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = folder(self.knob.family());
        match &self.place {
            Place::Namespace => write!(f, "net.{family}.{}", self.knob.name()),
            place => write!(f, "net.{family}.conf.{place}.{}", self.knob.name()),
        }
    }
}

const fn folder(family: Family) -> &'static str {
    match family {
        Family::Inet => "ipv4",
        Family::Inet6 => "ipv6",
    }
}

/// A setting that was changed, and from what to what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// Which.
    pub sysctl: Sysctl,
    /// What it was before the first change.
    pub before: i32,
    /// What we made it.
    pub after: i32,
}

/// Settings that were changed, so that exactly these changes can be taken back.
///
/// Can be stored as a value, to take the changes back after a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sysctls {
    changed: Vec<Changed>,
}

/// What became of taking one change back.
#[derive(Debug)]
#[non_exhaustive]
pub enum Undone {
    /// It has its former value.
    Restored,
    /// Somebody else has changed it since, to this; it was left alone.
    Overridden {
        /// The value found.
        found: i32,
    },
    /// It could not be read or written; the interface may be gone.
    Failed(NetifError),
}

impl Sysctls {
    /// Nothing changed yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets one and remembers what it was. One that has the value already is not touched, nor
    /// restored later.
    ///
    /// # Errors
    ///
    /// As [`Sysctl::read`] and [`Sysctl::write`].
    pub fn set(&mut self, sysctl: Sysctl, value: i32) -> Result<(), NetifError> {
        let before = sysctl.read()?;
        if before == value {
            return Ok(());
        }
        sysctl.write(value)?;
        match self.changed.iter_mut().find(|done| done.sysctl == sysctl) {
            Some(done) => done.after = value,
            None => self.changed.push(Changed {
                sysctl,
                before,
                after: value,
            }),
        }
        Ok(())
    }

    /// What was changed, in order.
    pub fn changed(&self) -> &[Changed] {
        &self.changed
    }

    /// Takes all changes back, the last first, and tells what became of each.
    pub fn undo(&mut self) -> Vec<(Changed, Undone)> {
        let changed = std::mem::take(&mut self.changed);
        let undo = |change: &Changed| match change.sysctl.read() {
            Ok(found) if found == change.after => match change.sysctl.write(change.before) {
                Ok(()) => Undone::Restored,
                Err(error) => Undone::Failed(error),
            },
            Ok(found) => Undone::Overridden { found },
            Err(error) => Undone::Failed(error),
        };
        changed
            .into_iter()
            .rev()
            .map(|change| {
                let undone = undo(&change);
                (change, undone)
            })
            .collect()
    }
}
