//! The order of listings.
//!
//! Design: ipvsadm compares marks and addresses by the sign of a 32-bit difference, which is no
//! total order, and sorts with glibc's merge sort. Scripts see what comes out, so both are done
//! here exactly; a library's sort could panic or differ.

use std::cmp::Ordering;
use std::net::IpAddr;

use ipvs_netlink::{AddressFamily, DestinationEntry, ServiceEntry, ServiceKey};

/// Sorts services by mark, family, protocol, address and port.
pub(crate) fn services(entries: &mut Vec<ServiceEntry>) {
    merge_sort(entries, &|a, b| {
        service_keys(&a.service.key, &b.service.key)
    });
}

/// Sorts servers by address and port, whatever the family.
pub(crate) fn servers(entries: &mut Vec<DestinationEntry>) {
    merge_sort(entries, &|a, b| {
        let (a, b) = (&a.destination, &b.destination);
        addresses(a.address, b.address).then(a.port.cmp(&b.port))
    });
}

fn service_keys(a: &ServiceKey, b: &ServiceKey) -> Ordering {
    let mark = |key: &ServiceKey| match key {
        ServiceKey::Mark { mark, .. } => mark.get(),
        ServiceKey::Address { .. } => 0,
    };
    let family = |key: &ServiceKey| match key.family() {
        AddressFamily::Inet => 0,
        AddressFamily::Inet6 => 1,
    };
    difference(mark(a), mark(b))
        .then(family(a).cmp(&family(b)))
        .then_with(|| match (a, b) {
            (
                ServiceKey::Address {
                    protocol: p,
                    address: x,
                    port: m,
                },
                ServiceKey::Address {
                    protocol: q,
                    address: y,
                    port: n,
                },
            ) => p
                .number()
                .cmp(&q.number())
                .then(addresses(*x, *y))
                .then(m.cmp(n)),
            _ => Ordering::Equal,
        })
}

fn addresses(a: IpAddr, b: IpAddr) -> Ordering {
    let words = |address: IpAddr| -> [u32; 4] {
        match address {
            IpAddr::V4(address) => [u32::from(address), 0, 0, 0],
            IpAddr::V6(address) => {
                let bits = u128::from(address);
                [96, 64, 32, 0].map(|shift| (bits >> shift) as u32)
            }
        }
    };
    let pairs = words(a).into_iter().zip(words(b));
    pairs
        .map(|(a, b)| difference(a, b))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// The sign of the difference as 32 bits hold it.
fn difference(a: u32, b: u32) -> Ordering {
    (a.wrapping_sub(b) as i32).cmp(&0)
}

/// Splits in halves, the first one shorter, and takes from the left when it is not greater.
fn merge_sort<T: Clone>(items: &mut Vec<T>, compare: &impl Fn(&T, &T) -> Ordering) {
    if items.len() < 2 {
        return;
    }
    let mut right = items.split_off(items.len() / 2);
    merge_sort(items, compare);
    merge_sort(&mut right, compare);
    let mut left = std::mem::take(items).into_iter().peekable();
    let mut right = right.into_iter().peekable();
    loop {
        let from_left = match (left.peek(), right.peek()) {
            (Some(a), Some(b)) => compare(a, b).is_le(),
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => return,
        };
        items.extend(if from_left { left.next() } else { right.next() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_addresses_is_a_circle() {
        let less = |a: &str, b: &str| addresses(a.parse().unwrap(), b.parse().unwrap()).is_lt();
        assert!(less("192.168.0.1", "1.0.0.1"));
        assert!(less("1.0.0.1", "128.0.0.1"));
        assert!(less("128.0.0.1", "192.168.0.1"));
        assert!(less("10.0.0.1", "10.0.0.2"));
        assert!(less("10.0.0.1", "2001:db8::1"));
    }

    #[test]
    fn equal_items_keep_their_order() {
        let mut items = vec![(2, 'a'), (1, 'b'), (2, 'c'), (1, 'd'), (0, 'e')];
        merge_sort(&mut items, &|a, b| a.0.cmp(&b.0));
        assert_eq!(items, [(0, 'e'), (1, 'b'), (1, 'd'), (2, 'a'), (2, 'c')]);
    }
}
