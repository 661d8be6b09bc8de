//! The order of listings.
//!
//! Design: ipvsadm compares marks and addresses by the sign of a 32-bit difference, which is no
//! total order, and sorts with glibc's merge sort. Scripts see what comes out, so both are done
//! here exactly; a library's sort could panic or differ.

use std::cmp::Ordering;
use std::net::IpAddr;

use ipvs_netlink::{
    AddressFamily, Destination, DestinationEntry, ServiceEntry, ServiceKey, ServiceRules,
};

/// Sorts services by mark, family, protocol, address and port.
pub(crate) fn services(entries: &mut [ServiceEntry]) {
    merge_sort(entries, &|a, b| {
        service_keys(&a.service.key, &b.service.key)
    });
}

/// Sorts servers by address and port, whatever the family.
pub(crate) fn servers(entries: &mut [DestinationEntry]) {
    merge_sort(entries, &|a, b| server_keys(&a.destination, &b.destination));
}

/// Sorts services and their servers as above. Servers come in the order in which they were added,
/// which is that of a listing backwards; the sort sees it where addresses go round in a circle.
pub(crate) fn rules(table: &mut [ServiceRules]) {
    merge_sort(table, &|a, b| service_keys(&a.service.key, &b.service.key));
    for rules in table {
        rules.destinations.reverse();
        merge_sort(&mut rules.destinations, &server_keys);
    }
}

fn server_keys(a: &Destination, b: &Destination) -> Ordering {
    addresses(a.address, b.address).then(a.port.cmp(&b.port))
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

/// Sorts by merging. Only numbers are moved about, the items once at the end: they are long, and many.
fn merge_sort<T>(items: &mut [T], compare: &impl Fn(&T, &T) -> Ordering) {
    let mut order: Vec<usize> = (0..items.len()).collect();
    let mut space = Vec::with_capacity(items.len());
    merge(&mut order, &mut space, &|a, b| {
        // Both are indices of `items`.
        compare(&items[a], &items[b])
    });
    // Each circle of the permutation is walked once.
    for start in 0..order.len() {
        let mut at = start;
        while order[at] != start {
            let next = order[at];
            items.swap(at, next);
            order[at] = at;
            at = next;
        }
        order[at] = at;
    }
}

/// Splits in halves, the first one shorter, and takes from the left when it is not greater.
fn merge(order: &mut [usize], space: &mut Vec<usize>, compare: &impl Fn(usize, usize) -> Ordering) {
    if order.len() < 2 {
        return;
    }
    let (left, right) = order.split_at_mut(order.len() / 2);
    merge(left, space, compare);
    merge(right, space, compare);
    space.clear();
    let mut left = left.iter().copied().peekable();
    let mut right = right.iter().copied().peekable();
    loop {
        let from_left = match (left.peek(), right.peek()) {
            (Some(a), Some(b)) => compare(*a, *b).is_le(),
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => break,
        };
        space.extend(if from_left { left.next() } else { right.next() });
    }
    order.copy_from_slice(space);
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
    fn saved_tables_are_in_the_order_of_listings() {
        let server = |address: &str| {
            Destination::new(address.parse().unwrap(), ipvs_netlink::ForwardMethod::Masq)
        };
        // A circle, so that the order of what comes in shows in what goes out.
        let added = ["192.168.0.1:80", "1.0.0.1:80", "128.0.0.1:80"].map(server);
        let key = ServiceKey::tcp("10.0.0.1:80".parse().unwrap());
        let service = ipvs_netlink::VirtualService::new(key, "rr".parse().unwrap());
        let mut listed: Vec<DestinationEntry> = added
            .iter()
            .rev()
            .map(|destination| DestinationEntry {
                destination: *destination,
                status: Default::default(),
            })
            .collect();
        servers(&mut listed);
        let destinations = added.to_vec();
        let mut table = [ServiceRules {
            service,
            destinations,
        }];
        rules(&mut table);
        let listed: Vec<_> = listed.iter().map(|entry| entry.destination).collect();
        assert_eq!(table[0].destinations, listed);
        assert_ne!(listed, added);
    }

    #[test]
    fn any_permutation_is_carried_out() {
        for count in 0..40_usize {
            let mut items: Vec<usize> = (0..count).map(|index| index * 17 % 41).collect();
            let mut expected = items.clone();
            expected.sort_unstable();
            merge_sort(&mut items, &usize::cmp);
            assert_eq!(items, expected);
        }
    }

    #[test]
    fn equal_items_keep_their_order() {
        let mut items = vec![(2, 'a'), (1, 'b'), (2, 'c'), (1, 'd'), (0, 'e')];
        merge_sort(&mut items, &|a, b| a.0.cmp(&b.0));
        assert_eq!(items, [(0, 'e'), (1, 'b'), (1, 'd'), (2, 'a'), (2, 'c')]);
    }
}
