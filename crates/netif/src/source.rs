//! From which address a virtual router sends when its configuration names none.

use std::net::IpAddr;

use crate::address::AddressEntry;
use crate::family::Family;
use crate::name::LinkIndex;

/// The address of `link` from which to send adverts of `family`: in IPv4 the first that is not
/// secondary, in IPv6 the first link-local one that is usable (RFC 9568 section 5.1.2.1). `virtual_addresses`, which
/// come and go with the master, are passed over.
///
/// `entries` may be of any interfaces, in the kernel's order.
pub fn source_address<'a>(
    entries: impl IntoIterator<Item = &'a AddressEntry>,
    link: LinkIndex,
    family: Family,
    virtual_addresses: &[IpAddr],
) -> Option<IpAddr> {
    let suits = |entry: &AddressEntry| {
        let address = entry.address.ip();
        let of_kind = match (family, address) {
            (Family::Inet, IpAddr::V4(_)) => true,
            (Family::Inet6, IpAddr::V6(address)) => address.is_unicast_link_local(),
            _ => false,
        };
        entry.link == link && of_kind && entry.is_usable() && !virtual_addresses.contains(&address)
    };
    let mut second = None;
    for entry in entries.into_iter().filter(|entry| suits(entry)) {
        if !entry.state.secondary {
            return Some(entry.address.ip());
        }
        second = second.or_else(|| Some(entry.address.ip()));
    }
    second
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{Address, AddressState};

    fn entry(link: u32, net: &str, state: AddressState) -> AddressEntry {
        AddressEntry {
            link: LinkIndex::new(link).unwrap(),
            address: Address::new(net.parse().unwrap()),
            state,
        }
    }

    #[test]
    fn the_first_that_suits() {
        let plain = AddressState::default();
        let secondary = AddressState {
            secondary: true,
            ..plain
        };
        let tentative = AddressState {
            tentative: true,
            ..plain
        };
        let entries = [
            entry(1, "10.0.0.1/24", plain),
            entry(2, "10.0.0.9/24", plain),
            entry(2, "10.0.0.3/24", secondary),
            entry(2, "10.0.0.2/24", plain),
            entry(2, "2001:db8::1/64", plain),
            entry(2, "fe80::1/64", tentative),
            entry(2, "fe80::2/64", plain),
            entry(3, "10.0.0.4/24", secondary),
        ];
        let vips = ["10.0.0.9".parse().unwrap()];
        let of = |link, family| {
            let link = LinkIndex::new(link).unwrap();
            source_address(&entries, link, family, &vips).map(|address| address.to_string())
        };
        assert_eq!(of(2, Family::Inet).as_deref(), Some("10.0.0.2"));
        assert_eq!(of(2, Family::Inet6).as_deref(), Some("fe80::2"));
        assert_eq!(of(3, Family::Inet).as_deref(), Some("10.0.0.4"));
        assert_eq!(of(1, Family::Inet6), None);
        assert_eq!(of(4, Family::Inet), None);
    }
}
