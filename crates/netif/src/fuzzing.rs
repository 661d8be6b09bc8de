//! What the fuzz target calls: the whole way of a datagram, and back.

use crate::address::{self, AddressEntry};
use crate::codec::Messages;
use crate::link::Link;
use crate::netlink::Request;
use crate::route::{self, Placement, Route};
use crate::rule::{self, Rule};
use neli::consts::nl::NlmF;

/// Reads `bytes` as the kernel's. Nothing panics, and what was read and can be asked for is the
/// same when it is asked for and read again.
///
/// # Panics
///
/// When that is not so.
pub fn datagram(bytes: &[u8]) {
    for message in Messages::new(bytes).flatten() {
        // A type from the datagram reaches one reader in thousands; let all of them see it.
        let _ = Link::read(&message);
        if let Ok(Some(entry)) = AddressEntry::read(&message) {
            let request = address::add(entry.link, &entry.address, NlmF::EXCL);
            let again = AddressEntry::read(&read_back(&request));
            let again = again
                .expect("we write what we read")
                .expect("a family we know");
            assert_eq!(again.link, entry.link);
            assert!(again.address.same_as(&entry.address), "{entry:?} {again:?}");
        }
        if let Ok(Some(route)) = Route::read(&message) {
            let request = route::add(&route, Placement::Prepend);
            let again = Route::read(&read_back(&request));
            let again = again
                .expect("we write what we read")
                .expect("a family we know");
            assert!(route.matches(&again), "{route:?} {again:?}");
        }
        if let Ok(Some(rule)) = Rule::read(&message) {
            let again = Rule::read(&read_back(&rule::add(&rule)));
            let again = again
                .expect("we write what we read")
                .expect("an action we know");
            assert!(rule.matches(&again), "{rule:?} {again:?}");
        }
    }
}

fn read_back(request: &Request) -> crate::codec::Message<'_> {
    crate::codec::Message {
        kind: request.kind,
        flags: request.flags,
        sequence: 1,
        payload: &request.payload,
    }
}

#[cfg(test)]
mod tests {
    use neli::consts::rtnl::{Frattr, Ifa, Ifla, Rta, Rtm};
    use proptest::prelude::*;

    use super::*;
    use crate::codec::Writer;

    /// Messages that are right in their frame and wrong inside, more often than bytes are.
    fn message() -> impl Strategy<Value = Vec<u8>> {
        let kinds = [
            (Rtm::Newlink, 16),
            (Rtm::Newaddr, 8),
            (Rtm::Newroute, 12),
            (Rtm::Newrule, 12),
        ];
        let attribute = (0_u16..40, prop::collection::vec(any::<u8>(), 0..24));
        let family = prop_oneof![Just(2_u8), Just(10), any::<u8>()];
        let attributes = prop::collection::vec(attribute, 0..8);
        (
            prop::sample::select(kinds.to_vec()),
            family,
            any::<[u8; 15]>(),
            attributes,
        )
            .prop_map(|((kind, fixed), family, rest, attributes)| {
                let mut bytes = Vec::new();
                Writer::new(&mut bytes).message(kind.into(), NlmF::empty(), 0, |writer| {
                    writer.raw(&[family]);
                    writer.raw(&rest[..fixed - 1]);
                    for (kind, payload) in attributes {
                        writer.attribute(kind, &payload);
                    }
                });
                bytes
            })
    }

    /// Seeds are there to reach deep: the kernel's own messages can be read whole.
    #[test]
    fn the_seeds_survive_and_mean_something() {
        for (name, bytes) in lvs_testkit::seeds("netif_datagram") {
            datagram(&bytes);
            for message in Messages::new(&bytes) {
                let message = message.expect(&name);
                let read = match Rtm::from(message.kind) {
                    Rtm::Newlink => Link::read(&message).map(drop),
                    Rtm::Newaddr => AddressEntry::read(&message).map(drop),
                    Rtm::Newroute => Route::read(&message).map(drop),
                    _ => Rule::read(&message).map(drop),
                };
                assert_eq!(read, Ok(()), "{name}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn all_that_can_be_read_can_be_written(bytes in message()) {
            datagram(&bytes);
        }

        #[test]
        fn nothing_panics(bytes in any::<Vec<u8>>()) {
            datagram(&bytes);
        }
    }

    /// Each attribute that we know, with too few bytes.
    #[test]
    fn short_attributes_are_errors_or_nothing() {
        let known: [Vec<u16>; 4] = [
            (0..64).map(|n| Ifla::from(n).into()).collect(),
            (0..16).map(|n| Ifa::from(n).into()).collect(),
            (0..32).map(|n| Rta::from(n).into()).collect(),
            (0..32).map(|n| Frattr::from(n).into()).collect(),
        ];
        for (kinds, fixed) in known.iter().zip([16, 8, 12, 12]) {
            for (kind, length) in kinds
                .iter()
                .flat_map(|kind| (0..20).map(move |n| (*kind, n)))
            {
                for family in [2, 10] {
                    let mut bytes = Vec::new();
                    Writer::new(&mut bytes).message(16, NlmF::empty(), 0, |writer| {
                        writer.raw(&[family]);
                        writer.raw(&vec![1; fixed - 1]);
                        writer.attribute(kind, &vec![1; length]);
                    });
                    datagram(&bytes);
                }
            }
        }
    }
}
