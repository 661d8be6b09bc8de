use super::*;

// From keepalived 2.2.7: virtual router 4, priority 254, 0.5 s, two addresses, to the group.
const IPV4: [u8; 16] = *b"\
    \x31\x04\xfe\x02\x00\x32\xb6\xc4\x0a\x09\x09\x29\x0a\x09\x09\x2a";

// From keepalived 2.2.7: virtual router 6, priority 100, 1 s, from fe80::ff:fe00:901.
const IPV6: [u8; 40] = *b"\
    \x31\x06\x64\x02\x00\x64\x37\x5e\
    \xfe\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x66\
    \x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x66";

fn ends4() -> (IpAddr, IpAddr) {
    ([10, 9, 9, 1].into(), [224, 0, 0, 18].into())
}

fn ends6() -> (IpAddr, IpAddr) {
    (
        "fe80::ff:fe00:901".parse().unwrap(),
        "ff02::12".parse().unwrap(),
    )
}

fn repr4() -> Repr {
    Repr {
        family: Family::Ipv4,
        vrid: Vrid::try_from(4).unwrap(),
        priority: 254.into(),
        interval: AdvertInterval::from_centis(50).unwrap(),
        addresses: vec![[10, 9, 9, 41].into(), [10, 9, 9, 42].into()],
    }
}

fn repr6() -> Repr {
    Repr {
        family: Family::Ipv6,
        vrid: Vrid::try_from(6).unwrap(),
        priority: 100.into(),
        interval: AdvertInterval::from_centis(100).unwrap(),
        addresses: vec!["fe80::66".parse().unwrap(), "2001:db8::66".parse().unwrap()],
    }
}

#[test]
fn deconstruct() {
    let packet = Packet::new_checked(Family::Ipv4, &IPV4).unwrap();
    assert_eq!((packet.version(), packet.packet_type()), (3, 1));
    assert_eq!((packet.vrid(), packet.priority()), (4, 254));
    assert_eq!(packet.address_count(), 2);
    assert_eq!((packet.reserved(), packet.max_advert_int_cs()), (0, 50));
    assert_eq!(packet.checksum(), 0xb6c4);
    assert!(packet.addresses().eq(repr4().addresses));
    let packet = Packet::new_checked(Family::Ipv6, &IPV6).unwrap();
    assert_eq!(packet.max_advert_int_cs(), 100);
    assert!(packet.addresses().eq(repr6().addresses));
}

#[test]
fn construct() {
    let (source, destination) = ends6();
    let mut packet = Packet::new_unchecked(Family::Ipv6, [0xa5; 40]);
    packet.set_version_type(3, 1);
    packet.set_vrid(6);
    packet.set_priority(100);
    packet.set_address_count(2);
    packet.set_max_advert_int_cs(100);
    packet.set_address(0, "fe80::66".parse().unwrap());
    packet.set_address(1, "2001:db8::66".parse().unwrap());
    packet.fill_checksum(ChecksumRule::PseudoHeader, source, destination);
    assert_eq!(packet.into_inner(), IPV6);
}

#[test]
fn parse() {
    let (source, destination) = ends4();
    let packet = Packet::new_checked(Family::Ipv4, &IPV4).unwrap();
    assert_eq!(Repr::parse(&packet, source, destination), Ok(repr4()));
    let (source, destination) = ends6();
    let packet = Packet::new_checked(Family::Ipv6, &IPV6).unwrap();
    assert_eq!(Repr::parse(&packet, source, destination), Ok(repr6()));
}

#[test]
fn emit() {
    let (source, destination) = ends4();
    let mut packet = Packet::new_unchecked(Family::Ipv4, vec![0xa5; repr4().buffer_len()]);
    repr4().emit(&mut packet, ChecksumRule::PseudoHeader, source, destination);
    assert_eq!(packet.into_inner(), IPV4);
    let (source, destination) = ends6();
    let mut packet = Packet::new_unchecked(Family::Ipv6, vec![0xa5; repr6().buffer_len()]);
    repr6().emit(&mut packet, ChecksumRule::PseudoHeader, source, destination);
    assert_eq!(packet.into_inner(), IPV6);
}

#[test]
fn each_broken_rule_is_named() {
    let (source, destination) = ends4();
    let refused = |at: usize, value: u8| {
        let mut bytes = IPV4;
        bytes[at] = value;
        let mut packet = Packet::new_unchecked(Family::Ipv4, &mut bytes[..]);
        packet.fill_checksum(ChecksumRule::PseudoHeader, source, destination);
        Repr::parse(&packet, source, destination).unwrap_err()
    };
    assert_eq!(refused(0, 0x21), ParseError::Version(2));
    assert_eq!(refused(0, 0x30), ParseError::Type(0));
    assert_eq!(refused(1, 0), ParseError::Vrid);
    assert_eq!(refused(3, 3), ParseError::Truncated);
    assert_eq!(refused(5, 0), ParseError::Interval);
    let mut bytes = IPV4;
    bytes[15] ^= 1;
    let packet = Packet::new_checked(Family::Ipv4, &bytes).unwrap();
    assert_eq!(
        Repr::parse(&packet, source, destination),
        Err(ParseError::Checksum)
    );
}

#[test]
fn the_reserved_bits_do_not_change_the_interval() {
    let (source, destination) = ends4();
    let mut bytes = IPV4;
    bytes[4] = 0xf0;
    let mut packet = Packet::new_unchecked(Family::Ipv4, &mut bytes[..]);
    packet.fill_checksum(ChecksumRule::Plain, source, destination);
    assert_eq!((packet.reserved(), packet.max_advert_int_cs()), (15, 50));
    assert_eq!(Repr::parse(&packet, source, destination), Ok(repr4()));
}

#[test]
fn the_longest_interval_fits() {
    let (source, destination) = ends4();
    let repr = Repr {
        interval: AdvertInterval::from_centis(4095).unwrap(),
        ..repr4()
    };
    let mut packet = Packet::new_unchecked(Family::Ipv4, vec![0xa5; repr.buffer_len()]);
    repr.emit(&mut packet, ChecksumRule::Plain, source, destination);
    assert_eq!(packet.reserved(), 0);
    assert_eq!(Repr::parse(&packet, source, destination), Ok(repr));
}

#[test]
fn every_shorter_packet_is_truncated() {
    for len in 0..IPV6.len() {
        let short = Packet::new_checked(Family::Ipv6, &IPV6[..len]);
        assert_eq!(short, Err(ParseError::Truncated));
    }
}
