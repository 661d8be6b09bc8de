//! Properties of everything that comes from outside, by random values; the fuzz targets look
//! longer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::collection::vec;
use proptest::prelude::*;
use vrrp_proto::fuzzing::{self, Operation};
use vrrp_proto::wire::v2::AuthType;
use vrrp_proto::wire::{AdvertisedPriority, ChecksumRule, v2, v3};
use vrrp_proto::{AdvertInterval, Family, Vrid};

fn header() -> impl Strategy<Value = (Vrid, AdvertisedPriority)> {
    (1..=255_u8, any::<u8>()).prop_map(|(vrid, priority)| {
        (
            Vrid::try_from(vrid).unwrap(),
            AdvertisedPriority::from(priority),
        )
    })
}

#[test]
fn the_seeds_of_the_fuzz_targets_keep_every_promise() {
    for (_, data) in lvs_testkit::seeds("vrrp_packets") {
        fuzzing::packets(&data);
    }
    for (_, data) in lvs_testkit::seeds("vrrp_operations") {
        fuzzing::operations(&Operation::all_of(&data));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_safe(data in vec(any::<u8>(), 0..200)) {
        fuzzing::packets(&data);
    }

    #[test]
    fn bytes_that_begin_well_are_safe(
        version in prop_oneof![Just(0x21_u8), Just(0x31)],
        mut data in vec(any::<u8>(), 8..120),
        addresses in 0..8_u8,
    ) {
        data[0] = version;
        data[1] = 7;
        data[3] = addresses;
        let mut packet = v2::Packet::new_unchecked(&mut data);
        packet.fill_checksum();
        fuzzing::packets(&data);
    }

    #[test]
    fn any_operations_keep_the_promises(
        operations in vec((any::<u8>(), any::<u8>(), any::<u8>()), 0..60),
    ) {
        let operations: Vec<Operation> = operations
            .into_iter()
            .map(|(kind, amount, later)| Operation { kind, amount, later })
            .collect();
        fuzzing::operations(&operations);
    }

    #[test]
    fn version_2_is_read_as_it_was_written(
        (vrid, priority) in header(),
        secs in 1..=255_u8,
        auth in any::<u8>(),
        auth_data in any::<[u8; 8]>(),
        addresses in vec(any::<Ipv4Addr>(), 0..20),
    ) {
        let interval = AdvertInterval::from_secs(secs).unwrap();
        let auth_type = AuthType::from(auth);
        let repr = v2::Repr { vrid, priority, interval, auth_type, auth_data, addresses };
        let mut packet = v2::Packet::new_unchecked(vec![0xa5; repr.buffer_len()]);
        repr.emit(&mut packet);
        prop_assert_eq!(v2::Repr::parse(&packet), Ok(repr));
    }

    #[test]
    fn version_3_is_read_as_it_was_written(
        (vrid, priority) in header(),
        centis in 1..=4095_u16,
        rule in 0..3_usize,
        ends in any::<(Ipv4Addr, Ipv4Addr)>(),
        addresses in vec(any::<Ipv4Addr>(), 0..20),
    ) {
        let interval = AdvertInterval::from_centis(centis).unwrap();
        let addresses = addresses.into_iter().map(IpAddr::V4).collect();
        let repr = v3::Repr { family: Family::Ipv4, vrid, priority, interval, addresses };
        let (source, destination) = (ends.0.into(), ends.1.into());
        let mut packet = v3::Packet::new_unchecked(Family::Ipv4, vec![0xa5; repr.buffer_len()]);
        repr.emit(&mut packet, ChecksumRule::ALL[rule], source, destination);
        prop_assert_eq!(v3::Repr::parse(&packet, source, destination), Ok(repr));
    }

    #[test]
    fn version_3_over_ipv6_is_read_as_it_was_written(
        (vrid, priority) in header(),
        centis in 1..=4095_u16,
        ends in any::<(Ipv6Addr, Ipv6Addr)>(),
        addresses in vec(any::<Ipv6Addr>(), 0..20),
    ) {
        let interval = AdvertInterval::from_centis(centis).unwrap();
        let addresses = addresses.into_iter().map(IpAddr::V6).collect();
        let repr = v3::Repr { family: Family::Ipv6, vrid, priority, interval, addresses };
        let (source, destination) = (ends.0.into(), ends.1.into());
        let mut packet = v3::Packet::new_unchecked(Family::Ipv6, vec![0xa5; repr.buffer_len()]);
        repr.emit(&mut packet, ChecksumRule::Plain, source, destination);
        prop_assert_eq!(v3::Repr::parse(&packet, source, destination), Ok(repr));
    }
}
