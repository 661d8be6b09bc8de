//! Ipvlans: virtual interfaces that share the MAC address of the one below.
//!
//! For networks that let a port have one MAC address only. Neighbours learn the new master's address
//! as without a virtual MAC.

use crate::address::Address;
use crate::error::NetifError;
use crate::link::{IpvlanReach, Link, NewLink};
use crate::name::{LinkIndex, LinkName};
use crate::rtnetlink::Rtnetlink;
use crate::vmac::{Vmac, VmacError, describe};

/// What an ipvlan shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpvlanConfig {
    /// Its name.
    pub name: LinkName,
    /// The interface on which it stands.
    pub base: LinkIndex,
    /// Whom it can talk to.
    pub reach: IpvlanReach,
    /// Its own address, from which it sends. Without one an IPv6 router uses the link-local one.
    pub address: Option<Address>,
}

impl Rtnetlink {
    /// Makes an ipvlan in mode L2, gives it its address and sets it up. One that is there and stands
    /// on the same interface is adopted, with the addresses that it has.
    ///
    /// # Errors
    ///
    /// See [`VmacError`]. What was made is removed then.
    pub fn ensure_ipvlan(&mut self, config: &IpvlanConfig) -> Result<Vmac, VmacError> {
        let failed = |error| VmacError::Failed {
            name: config.name.clone(),
            error,
        };
        let found = self.find_link(config.name.as_str()).map_err(failed)?;
        let is_it =
            |link: &Link| link.kind.as_deref() == Some("ipvlan") && link.lower == Some(config.base);
        let (link, adopted) = match found {
            Some(link) if is_it(&link) => (link, true),
            Some(link) => {
                return Err(VmacError::NameTaken {
                    name: config.name.clone(),
                    what: describe(&link),
                });
            }
            None => {
                let new = NewLink::Ipvlan {
                    lower: config.base,
                    reach: config.reach,
                };
                (self.create_link(&config.name, &new).map_err(failed)?, false)
            }
        };
        match self.settle_ipvlan(config, link.index) {
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

    fn settle_ipvlan(
        &mut self,
        config: &IpvlanConfig,
        index: LinkIndex,
    ) -> Result<Link, NetifError> {
        self.set_up(index)?;
        if let Some(address) = &config.address {
            self.ensure_address(index, address)?;
        }
        self.expect_link(config.name.as_str())
    }
}
