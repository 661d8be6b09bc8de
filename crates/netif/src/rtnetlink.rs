//! Typed calls on links and addresses.

use neli::consts::nl::NlmF;
use neli::consts::socket::NlFamily;

use crate::address::{self, Address, AddressEntry, Difference};
use crate::error::NetifError;
use crate::link::{self, Link, LinkChange, NewLink};
use crate::name::{LinkIndex, LinkName};
use crate::netlink::{Netlink, Request};

/// Reads and changes interfaces, addresses, routes and rules of the network namespace in which it
/// was opened, whichever thread uses it.
///
/// Every call is one short exchange with the kernel that does not wait for the network. Reading
/// needs no privilege, changing needs `CAP_NET_ADMIN`.
#[derive(Debug)]
pub struct Rtnetlink {
    pub(crate) netlink: Netlink,
}

/// What an "ensure" call had to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ensured {
    /// Nothing: it was as it shall be.
    Already,
    /// It was added, or removed.
    Done,
    /// It was there, but different, and has been made as it shall be.
    Corrected,
}

impl Rtnetlink {
    /// Opens a conversation in the network namespace of the calling thread.
    ///
    /// # Errors
    ///
    /// When there is no rtnetlink, as in some sandboxes.
    pub fn open() -> Result<Self, NetifError> {
        Ok(Self {
            netlink: Netlink::open(NlFamily::Route)?,
        })
    }

    /// All interfaces, by index.
    ///
    /// # Errors
    ///
    /// See [`NetifError`]; likewise below.
    pub fn links(&mut self) -> Result<Vec<Link>, NetifError> {
        self.netlink.dump(&link::list(), Link::read)
    }

    /// The interface called `name`, if there is one.
    pub fn find_link(&mut self, name: &str) -> Result<Option<Link>, NetifError> {
        // The kernel refuses what cannot be a name; so there is none of it.
        if name.parse::<LinkName>().is_err() {
            return Ok(None);
        }
        self.one_link(&link::find(name))
    }

    /// The interface with the index `index`, if there is one.
    pub fn link(&mut self, index: LinkIndex) -> Result<Option<Link>, NetifError> {
        self.one_link(&link::fetch(index))
    }

    /// The interface called `name`.
    ///
    /// # Errors
    ///
    /// [`NetifError::NoLink`] if there is none.
    pub fn expect_link(&mut self, name: &str) -> Result<Link, NetifError> {
        let found = self.find_link(name)?;
        found.ok_or_else(|| NetifError::NoLink { name: name.into() })
    }

    fn one_link(&mut self, request: &Request) -> Result<Option<Link>, NetifError> {
        match self.netlink.fetch(request, Link::read) {
            Ok(links) => Ok(links.into_iter().next()),
            Err(error) if error.errno() == Some(libc::ENODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Changes an interface.
    pub fn change_link(&mut self, index: LinkIndex, change: &LinkChange) -> Result<(), NetifError> {
        self.netlink.request(link::change(index, change))
    }

    /// Sets an interface up; harmless if it is.
    pub fn set_up(&mut self, index: LinkIndex) -> Result<(), NetifError> {
        let up = Some(true);
        self.change_link(
            index,
            &LinkChange {
                up,
                ..LinkChange::default()
            },
        )
    }

    /// Sets an interface down; harmless if it is. Its routes, and its IPv6 addresses, go.
    pub fn set_down(&mut self, index: LinkIndex) -> Result<(), NetifError> {
        let up = Some(false);
        self.change_link(
            index,
            &LinkChange {
                up,
                ..LinkChange::default()
            },
        )
    }

    /// Makes an interface, which is down at first, and gives it as it has become.
    ///
    /// # Errors
    ///
    /// `EEXIST` if the name is taken, `EOPNOTSUPP` if the kernel has no such kind.
    pub fn create_link(&mut self, name: &LinkName, new: &NewLink) -> Result<Link, NetifError> {
        self.netlink.request(link::create(name, new))?;
        self.expect_link(name.as_str())
    }

    /// Removes an interface; one that is not there is well.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` for hardware and loopback.
    pub fn ensure_no_link(&mut self, index: LinkIndex) -> Result<Ensured, NetifError> {
        absent(self.netlink.request(link::delete(index)), &[libc::ENODEV])
    }

    /// Makes an interface give itself no IPv6 link-local address when it is set up.
    pub fn generate_no_addresses(&mut self, index: LinkIndex) -> Result<(), NetifError> {
        self.netlink.request(link::no_generated_addresses(index))
    }

    /// All IPv4 and IPv6 addresses of all interfaces.
    pub fn addresses(&mut self) -> Result<Vec<AddressEntry>, NetifError> {
        self.netlink.dump(&address::list(), AddressEntry::read)
    }

    /// The addresses of one interface.
    pub fn addresses_of(&mut self, link: LinkIndex) -> Result<Vec<AddressEntry>, NetifError> {
        let mut addresses = self.addresses()?;
        addresses.retain(|entry| entry.link == link);
        Ok(addresses)
    }

    /// Adds an address.
    ///
    /// # Errors
    ///
    /// `EEXIST` if the interface has it, whatever its lifetimes and label.
    pub fn add_address(&mut self, link: LinkIndex, address: &Address) -> Result<(), NetifError> {
        self.netlink
            .request(address::add(link, address, NlmF::EXCL))
    }

    /// Removes an address.
    ///
    /// # Errors
    ///
    /// `EADDRNOTAVAIL` if the interface does not have it.
    pub fn delete_address(&mut self, link: LinkIndex, address: &Address) -> Result<(), NetifError> {
        self.netlink.request(address::delete(link, address))
    }

    /// Makes an address be there and be as `address` says.
    ///
    /// If it is there with other lifetimes (or options, in IPv6), it is changed in place; if
    /// anything else differs, it is removed and added. What one address
    /// of IPv4 has of others of its network (the secondaries) goes with it then, as always, unless
    /// `promote_secondaries` is set.
    pub fn ensure_address(
        &mut self,
        link: LinkIndex,
        address: &Address,
    ) -> Result<Ensured, NetifError> {
        let mut results = self.ensure_addresses(link, std::slice::from_ref(address));
        results.pop().unwrap_or(Ok(Ensured::Already))
    }

    /// Makes addresses be there, as [`ensure_address`](Self::ensure_address) does, in one exchange
    /// if none is there yet. Gives one result for each, in order.
    pub fn ensure_addresses(
        &mut self,
        link: LinkIndex,
        addresses: &[Address],
    ) -> Vec<Result<Ensured, NetifError>> {
        let requests = addresses
            .iter()
            .map(|address| address::add(link, address, NlmF::EXCL))
            .collect();
        let results = self.netlink.batch(requests);
        results
            .into_iter()
            .zip(addresses)
            .map(|(result, address)| match result {
                Ok(()) => Ok(Ensured::Done),
                Err(error) if error.errno() == Some(libc::EEXIST) => {
                    self.correct_address(link, address)
                }
                Err(error) => Err(error),
            })
            .collect()
    }

    /// Makes an address that is there be as `wished`.
    fn correct_address(
        &mut self,
        link: LinkIndex,
        wished: &Address,
    ) -> Result<Ensured, NetifError> {
        let name = self.link(link)?.map(|link| link.name).unwrap_or_default();
        let found = self.addresses_of(link)?;
        let found = found.iter().find(|entry| entry.address.same_as(wished));
        let difference = match found {
            Some(entry) => entry.compare(wished, &name),
            // Gone in between.
            None => return self.add_address(link, wished).map(|()| Ensured::Done),
        };
        match (difference, found) {
            (Difference::Remake, Some(entry)) => {
                self.delete_address(link, &entry.address)?;
                self.add_address(link, wished)?;
            }
            (Difference::None, _) => return Ok(Ensured::Already),
            _ => self
                .netlink
                .request(address::add(link, wished, NlmF::REPLACE))?,
        }
        Ok(Ensured::Corrected)
    }

    /// Makes an address not be there. An interface that is gone has none.
    pub fn ensure_no_address(
        &mut self,
        link: LinkIndex,
        address: &Address,
    ) -> Result<Ensured, NetifError> {
        let mut results = self.ensure_no_addresses(link, std::slice::from_ref(address));
        results.pop().unwrap_or(Ok(Ensured::Already))
    }

    /// Makes addresses not be there, in one exchange. Gives one result for each, in order.
    pub fn ensure_no_addresses(
        &mut self,
        link: LinkIndex,
        addresses: &[Address],
    ) -> Vec<Result<Ensured, NetifError>> {
        let requests = addresses
            .iter()
            .map(|address| address::delete(link, address))
            .collect();
        let results = self.netlink.batch(requests);
        let gone = [libc::EADDRNOTAVAIL, libc::ENODEV];
        results
            .into_iter()
            .map(|result| absent(result, &gone))
            .collect()
    }
}

/// The outcome of a removal: the errors in `gone` say that there was nothing to remove.
pub(crate) fn absent(result: Result<(), NetifError>, gone: &[i32]) -> Result<Ensured, NetifError> {
    match result {
        Ok(()) => Ok(Ensured::Done),
        Err(error) if error.errno().is_some_and(|errno| gone.contains(&errno)) => {
            Ok(Ensured::Already)
        }
        Err(error) => Err(error),
    }
}
