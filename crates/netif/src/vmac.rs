//! Virtual MACs: the interface on which a virtual router has the MAC address that the RFC gives it.
//!
//! A macvlan in private mode stands on the real interface and has the address
//! 00:00:5e:00:01:VRID (IPv4) or 00:00:5e:00:02:VRID (IPv6). Whoever becomes master has the same,
//! so neighbours need not learn anything when the master changes; only switches do.

use std::net::IpAddr;

use crate::address::{Address, Lifetime};
use crate::error::NetifError;
use crate::family::Family;
use crate::link::{Link, MacvlanMode, NewLink};
use crate::name::{LinkIndex, LinkName, MacAddress};
use crate::rtnetlink::Rtnetlink;
use crate::sysctl::{Knob, Place, Sysctl, Sysctls};

impl MacAddress {
    /// The virtual router's MAC address. Source: RFC 9568 section 7.3.
    pub fn of_virtual_router(family: Family, vrid: u8) -> Self {
        let kind = match family {
            Family::Inet => 1,
            Family::Inet6 => 2,
        };
        Self([0x00, 0x00, 0x5e, 0x00, kind, vrid])
    }
}

/// What a virtual MAC's interface shall be.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct VmacConfig {
    /// Its name. keepalived: `vrrp.VRID`, or the word after `use_vmac`.
    pub name: LinkName,
    /// The interface on which it stands; an Ethernet one.
    pub base: LinkIndex,
    /// Its MAC address, usually [`MacAddress::of_virtual_router`].
    pub mac: MacAddress,
    /// The family of the virtual router.
    pub family: Family,
}

/// Why there is no interface for a virtual MAC.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VmacError {
    /// There is an interface of that name that is something else. Choose another name.
    #[error("the name {name} is taken by another interface ({what})")]
    NameTaken {
        /// The name.
        name: LinkName,
        /// What it is.
        what: String,
    },
    /// A step failed.
    #[error("cannot make the virtual interface {name}: {error}")]
    Failed {
        /// The name.
        name: LinkName,
        /// The step, and why.
        #[source]
        error: NetifError,
    },
}

/// The interface of a virtual MAC, made or found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vmac {
    /// The interface.
    pub link: Link,
    /// Whether it was there already, as after a crash.
    pub adopted: bool,
}

impl Rtnetlink {
    /// Makes the interface of a virtual MAC, sets it up, and settles how it answers. One that is
    /// there and the same is adopted, with the addresses that it has.
    ///
    /// On an IPv4 router's interface: ARP is answered for its own addresses only, packets from our
    /// own addresses are accepted, the reverse path is not checked, secondary addresses outlive the
    /// first, and IPv6 is off. On an IPv6 router's: the base's link-local address is there too,
    /// deprecated, because IPv6 sends nothing without one. Neither makes addresses by itself.
    ///
    /// The base interface has to keep quiet about the virtual addresses: see [`base_settings`]; and
    /// a reverse path filter for all interfaces stands in the way: see
    /// [`spread_reverse_path_filter`]. Call from a thread in the network namespace of this
    /// conversation.
    ///
    /// # Errors
    ///
    /// See [`VmacError`]. What was made is removed then.
    pub fn ensure_vmac(&mut self, config: &VmacConfig) -> Result<Vmac, VmacError> {
        let failed = |error| VmacError::Failed {
            name: config.name.clone(),
            error,
        };
        let found = self.find_link(config.name.as_str()).map_err(failed)?;
        let (link, adopted) = match found {
            Some(link) if is_vmac(&link, config) => (link, true),
            Some(link) => {
                return Err(VmacError::NameTaken {
                    name: config.name.clone(),
                    what: describe(&link),
                });
            }
            None => {
                let new = NewLink::Macvlan {
                    lower: config.base,
                    mac: config.mac,
                };
                (self.create_link(&config.name, &new).map_err(failed)?, false)
            }
        };
        match self.settle(config, link.index) {
            Ok(link) => Ok(Vmac { link, adopted }),
            Err(error) => {
                if !adopted {
                    // The first error is what counts.
                    let _ = self.ensure_no_link(link.index);
                }
                Err(failed(error))
            }
        }
    }

    fn settle(&mut self, config: &VmacConfig, index: LinkIndex) -> Result<Link, NetifError> {
        let set = |knob, value| Sysctl::of(&config.name, knob).write(value);
        match config.family {
            Family::Inet => {
                set(Knob::ArpIgnore, 1)?;
                set(Knob::AcceptLocal, 1)?;
                set(Knob::RpFilter, 0)?;
                set(Knob::PromoteSecondaries, 1)?;
                // A kernel without IPv6 has it off already.
                let sixth = Sysctl::of(&config.name, Knob::DisableIpv6);
                if sixth.read().is_ok() {
                    sixth.write(1)?;
                }
            }
            Family::Inet6 => self.generate_no_addresses(index)?,
        }
        self.set_up(index)?;
        if config.family == Family::Inet6 {
            self.copy_link_local(config.base, index)?;
        }
        self.expect_link(config.name.as_str())
    }

    /// Gives the interface of a virtual MAC the link-local address that its base has; to be called
    /// again when that changes.
    ///
    /// # Errors
    ///
    /// See [`NetifError`]. That the base has none yet is no error.
    pub fn copy_link_local(&mut self, base: LinkIndex, vmac: LinkIndex) -> Result<(), NetifError> {
        let addresses = self.addresses_of(base)?;
        let link_local = addresses.iter().find(|entry| match entry.address.ip() {
            IpAddr::V6(address) => address.is_unicast_link_local() && entry.is_usable(),
            IpAddr::V4(_) => false,
        });
        let Some(entry) = link_local else {
            return Ok(());
        };
        let mut address = Address::new(entry.address.net);
        // Not to be chosen over the virtual addresses.
        address.preferred = Lifetime::For(std::time::Duration::ZERO);
        address.options.no_duplicate_detection = true;
        self.ensure_address(vmac, &address).map(drop)
    }
}

/// How the base interface keeps quiet about what stands on it: it answers ARP for its own
/// addresses only, and only where the answer leaves by it; and it asks in the name of its own
/// addresses, or packets from a virtual address that leave by it would teach neighbours the
/// wrong MAC address (keepalived lets that happen). Set once for any number of virtual MACs, and
/// undo when the last one goes.
pub fn base_settings(base: &LinkName) -> [(Sysctl, i32); 3] {
    [
        (Sysctl::of(base, Knob::ArpIgnore), 1),
        (Sysctl::of(base, Knob::ArpFilter), 1),
        (Sysctl::of(base, Knob::ArpAnnounce), 2),
    ]
}

/// Takes a reverse path filter that counts on all interfaces, and gives it to each of `links` and
/// to those to come, so that one of them can do without. Does nothing where there is none.
///
/// # Errors
///
/// When a setting cannot be written; what was changed until then stands in `sysctls`.
pub fn spread_reverse_path_filter(
    links: &[LinkName],
    sysctls: &mut Sysctls,
) -> Result<(), NetifError> {
    let all = Sysctl::of_all(Knob::RpFilter);
    let everywhere = all.read()?;
    if everywhere == 0 {
        return Ok(());
    }
    let places = links.iter().cloned().map(Place::Link);
    for place in places.chain([Place::Default]) {
        let own = Sysctl {
            place,
            knob: Knob::RpFilter,
        };
        let value = own.read()?.max(everywhere);
        sysctls.set(own, value)?;
    }
    sysctls.set(all, 0)
}

fn is_vmac(link: &Link, config: &VmacConfig) -> bool {
    link.macvlan_mode == Some(MacvlanMode::Private)
        && link.lower == Some(config.base)
        && link.mac == Some(config.mac)
}

pub(crate) fn describe(link: &Link) -> String {
    let kind = link.kind.as_deref().unwrap_or("device");
    let mac = link.mac.map(|mac| format!(" with address {mac}"));
    let lower = link.lower.map(|lower| format!(" on interface {lower}"));
    [kind, &mac.unwrap_or_default(), &lower.unwrap_or_default()].concat()
}
