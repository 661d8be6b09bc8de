use super::*;

// From keepalived 2.2.7: virtual router 1, priority 150, no authentication, two addresses.
const NONE: [u8; 24] = *b"\
    \x21\x01\x96\x02\x00\x01\x22\xd2\x0a\x09\x09\x0b\x0a\x09\x09\x0c\
    \x00\x00\x00\x00\x00\x00\x00\x00";

// From keepalived 2.2.7: virtual router 2, priority 100, password s3cret.
const PASS: [u8; 20] = *b"\
    \x21\x02\x64\x01\x01\x01\x2a\xc3\x0a\x09\x09\x15\x73\x33\x63\x72\x65\x74\x00\x00";

// From keepalived 2.2.7 when it is stopped: the same with priority 0.
const RESIGN: [u8; 20] = *b"\
    \x21\x02\x00\x01\x01\x01\x8e\xc3\x0a\x09\x09\x15\x73\x33\x63\x72\x65\x74\x00\x00";

fn repr() -> Repr {
    Repr {
        vrid: Vrid::try_from(1).unwrap(),
        priority: 150.into(),
        interval: AdvertInterval::from_secs(1).unwrap(),
        auth_type: AuthType::None,
        auth_data: [0; 8],
        addresses: vec![[10, 9, 9, 11].into(), [10, 9, 9, 12].into()],
    }
}

#[test]
fn deconstruct() {
    let packet = Packet::new_checked(&NONE).unwrap();
    assert_eq!((packet.version(), packet.packet_type()), (2, 1));
    assert_eq!((packet.vrid(), packet.priority()), (1, 150));
    assert_eq!(packet.address_count(), 2);
    assert_eq!(packet.auth_type(), AuthType::None);
    assert_eq!(packet.advert_int_secs(), 1);
    assert_eq!(packet.checksum(), 0x22d2);
    assert!(packet.addresses().eq(repr().addresses));
    assert_eq!(packet.auth_data(), [0; 8]);
    assert!(packet.verify_checksum());
}

#[test]
fn construct() {
    let mut packet = Packet::new_unchecked([0xa5; 20]);
    packet.set_version_type(2, 1);
    packet.set_vrid(2);
    packet.set_priority(100);
    packet.set_address_count(1);
    packet.set_auth_type(AuthType::Pass);
    packet.set_advert_int_secs(1);
    packet.set_address(0, [10, 9, 9, 21].into());
    packet.set_auth_data(*b"s3cret\0\0");
    packet.fill_checksum();
    assert_eq!(packet.into_inner(), PASS);
}

#[test]
fn parse() {
    let packet = Packet::new_checked(&NONE).unwrap();
    assert_eq!(Repr::parse(&packet), Ok(repr()));
}

#[test]
fn emit() {
    let mut packet = Packet::new_unchecked(vec![0xa5; repr().buffer_len()]);
    repr().emit(&mut packet);
    assert_eq!(packet.into_inner(), NONE);
}

#[test]
fn a_password_and_a_resignation_are_read() {
    let packet = Packet::new_checked(&RESIGN).unwrap();
    let repr = Repr::parse(&packet).unwrap();
    assert_eq!(repr.priority, AdvertisedPriority::Resign);
    assert_eq!(
        (repr.auth_type, repr.auth_data),
        (AuthType::Pass, *b"s3cret\0\0")
    );
    assert_eq!(
        format!("{repr:?}"),
        "VRRPv2 vrid=2 priority=0 interval=1s auth=1 addresses=[10.9.9.21]"
    );
}

#[test]
fn each_broken_rule_is_named() {
    let refused = |at: usize, value: u8| {
        let mut bytes = NONE;
        bytes[at] = value;
        let mut packet = Packet::new_unchecked(&mut bytes[..]);
        packet.fill_checksum();
        Repr::parse(&packet).unwrap_err()
    };
    assert_eq!(refused(0, 0x31), ParseError::Version(3));
    assert_eq!(refused(0, 0x22), ParseError::Type(2));
    assert_eq!(refused(1, 0), ParseError::Vrid);
    assert_eq!(refused(3, 3), ParseError::Truncated);
    assert_eq!(refused(5, 0), ParseError::Interval);
    let mut bytes = NONE;
    bytes[20] ^= 1; // the checksum covers the authentication data
    let packet = Packet::new_checked(&bytes).unwrap();
    assert_eq!(Repr::parse(&packet), Err(ParseError::Checksum));
}

#[test]
fn every_shorter_packet_is_truncated() {
    for len in 0..NONE.len() {
        assert_eq!(
            Packet::new_checked(&NONE[..len]),
            Err(ParseError::Truncated)
        );
    }
}

#[test]
fn no_address_and_255_addresses_fit() {
    for count in [0, 255] {
        let repr = Repr {
            addresses: vec![[10, 0, 0, 1].into(); count],
            ..repr()
        };
        let mut packet = Packet::new_unchecked(vec![0xa5; repr.buffer_len()]);
        repr.emit(&mut packet);
        let packet = Packet::new_checked(packet.into_inner()).unwrap();
        assert_eq!(Repr::parse(&packet), Ok(repr));
    }
}
