//! A packet for every reason to drop one: each raises its own counter and no other, changes no
//! timer, and is told of once a minute.

use std::net::IpAddr;
use std::time::Duration;

use vrrp_proto::config::{AddressListCheck, Authentication, Delivery, NamedInstance, Peer};
use vrrp_proto::wire::{ChecksumRule, ah, v2, v3};
use vrrp_proto::{
    AdvertInterval, Datagram, Event, Family, Instance, InstanceConfig, InterfaceState, Output,
    Priority, Rejected, Router, RouterConfig, RouterOutput, State, Time, Version, Vrid,
};

const OURS: [u8; 4] = [10, 0, 0, 1];
const THEIRS: [u8; 4] = [10, 0, 0, 2];

fn config(version: Version) -> InstanceConfig {
    InstanceConfig::new(version, Family::Ipv4, Vrid::try_from(7).unwrap(), "eth0")
        .with_address("10.0.0.100".parse().unwrap())
        .with_address("10.0.0.101".parse().unwrap())
}

/// What a Master of this configuration sends, from [`THEIRS`] with priority 200.
fn packets(config: &InstanceConfig, count: usize) -> Vec<Vec<u8>> {
    let mut config = config.clone();
    config.priority = Priority::try_from(200).unwrap();
    config.owner_ignores = false;
    if let Delivery::Unicast { peers, .. } = &mut config.delivery {
        *peers = vec![Peer::new(OURS.into())];
    }
    let mut master = started(config, THEIRS.into(), Time::ZERO);
    let mut packets = Vec::new();
    while packets.len() < count {
        while let Some(output) = master.poll_output() {
            if let Output::SendAdvertisement(transmit) = output {
                packets.push(transmit.packet);
            }
        }
        let now = master.poll_timeout().unwrap();
        master.handle_timeout(now);
    }
    packets
}

fn packet(config: &InstanceConfig) -> Vec<u8> {
    packets(config, 1).remove(0)
}

fn started(config: InstanceConfig, address: IpAddr, now: Time) -> Instance {
    let mut instance = Instance::new("vr".into(), config, now).unwrap();
    instance.handle_interface(now, &InterfaceState::up([address]));
    instance
}

/// Puts the checksum right after a change.
fn mend(version: Version, packet: &mut [u8]) {
    let destination: [u8; 4] = packet[16..20].try_into().unwrap();
    match version {
        Version::V2 => v2::Packet::new_unchecked(&mut packet[20..]).fill_checksum(),
        Version::V3 => v3::Packet::new_unchecked(Family::Ipv4, &mut packet[20..]).fill_checksum(
            ChecksumRule::PseudoHeader,
            THEIRS.into(),
            destination.into(),
        ),
    }
}

/// A Backup of this configuration drops the packet for this reason alone.
#[track_caller]
fn drops(config: &InstanceConfig, packet: &[u8], reason: Rejected) {
    let mut backup = started(config.clone(), OURS.into(), Time::ZERO);
    while backup.poll_output().is_some() {}
    let before = backup.status();
    let now = Time::from_millis(500);
    for _ in 0..3 {
        backup.handle_datagram(now, &Datagram::ipv4(packet));
    }
    let after = backup.status();
    assert_eq!(
        after.statistics.rejected.of(reason),
        3,
        "{:?}",
        after.statistics
    );
    assert_eq!(after.statistics.rejected.total(), 3);
    assert_eq!(after.statistics.received, 0);
    assert_eq!((before.state, before.timers), (after.state, after.timers));
    let events: Vec<_> = std::iter::from_fn(|| backup.poll_output()).collect();
    assert!(
        matches!(&events[..], [Output::Event(Event::Rejected { reason: told, count: 1, .. })]
            if *told == reason),
        "{events:?}"
    );
}

/// The same packet without the fault is accepted: the test would not be worth much otherwise.
#[track_caller]
fn accepts(config: &InstanceConfig, packet: &[u8]) {
    let mut backup = started(config.clone(), OURS.into(), Time::ZERO);
    backup.handle_datagram(Time::from_millis(500), &Datagram::ipv4(packet));
    assert_eq!(
        backup.statistics().rejected.total(),
        0,
        "{:?}",
        backup.statistics()
    );
    assert_eq!(backup.statistics().received, 1);
}

#[test]
fn ip_header() {
    let mut packet = packet(&config(Version::V2));
    packet[3] += 1;
    drops(&config(Version::V2), &packet, Rejected::IpHeader);
}

#[test]
fn hop_limit() {
    let mut packet = packet(&config(Version::V2));
    accepts(&config(Version::V2), &packet);
    packet[8] = 64;
    drops(&config(Version::V2), &packet, Rejected::HopLimit);
}

#[test]
fn version() {
    for (ours, theirs) in [(Version::V2, Version::V3), (Version::V3, Version::V2)] {
        accepts(&config(ours), &packet(&config(ours)));
        drops(&config(ours), &packet(&config(theirs)), Rejected::Version);
    }
}

#[test]
fn length() {
    for version in [Version::V2, Version::V3] {
        let good = packet(&config(version));
        // Cut off, as its IP header admits; as a count of addresses that is too great; and with
        // bytes that belong to nothing.
        for len in 20..good.len() {
            let mut short = good[..len].to_vec();
            short[3] = u8::try_from(len).unwrap();
            drops(&config(version), &short, Rejected::Length);
        }
        let mut long = good.clone();
        long.extend([0; 4]);
        long[3] += 4;
        drops(&config(version), &long, Rejected::Length);
        let mut counted = good;
        counted[23] = 255;
        drops(&config(version), &counted, Rejected::Length);
    }
}

#[test]
fn packet_type() {
    for version in [Version::V2, Version::V3] {
        let mut packet = packet(&config(version));
        packet[20] = packet[20] & 0xf0 | 2;
        mend(version, &mut packet);
        drops(&config(version), &packet, Rejected::Type);
    }
}

#[test]
fn checksum() {
    for version in [Version::V2, Version::V3] {
        let good = packet(&config(version));
        for at in 22..good.len() {
            let mut packet = good.clone();
            packet[at] ^= 0x10;
            let reason = if at == 23 {
                Rejected::Length
            } else {
                Rejected::Checksum
            };
            drops(&config(version), &packet, reason);
        }
    }
}

#[test]
fn unknown_vrid() {
    let mut packet = packet(&config(Version::V2));
    packet[21] = 8;
    mend(Version::V2, &mut packet);
    drops(&config(Version::V2), &packet, Rejected::UnknownVrid);
}

#[test]
fn family() {
    let mut backup = started(config(Version::V3), OURS.into(), Time::ZERO);
    let datagram = Datagram::ipv6(
        "fe80::1".parse().unwrap(),
        "ff02::12".parse().unwrap(),
        255,
        &[0x31, 7, 100, 0, 0, 100, 0, 0],
    );
    backup.handle_datagram(Time::ZERO, &datagram);
    assert_eq!(backup.statistics().rejected.of(Rejected::Family), 1);
}

#[test]
fn delivery() {
    let multicast = config(Version::V3);
    let unicast = InstanceConfig {
        delivery: Delivery::unicast([THEIRS.into()]),
        ..multicast.clone()
    };
    accepts(&unicast, &packet(&unicast));
    drops(&unicast, &packet(&multicast), Rejected::Delivery);
    drops(&multicast, &packet(&unicast), Rejected::Delivery);
}

#[test]
fn unknown_peer() {
    let ours = InstanceConfig {
        delivery: Delivery::unicast(["10.0.0.3".parse().unwrap()]),
        ..config(Version::V2)
    };
    drops(&ours, &packet(&ours), Rejected::UnknownPeer);
    let anybody = InstanceConfig {
        delivery: Delivery::Unicast {
            peers: vec![Peer::new("10.0.0.3".parse().unwrap())],
            hop_limit: 255,
            peers_only: false,
        },
        ..config(Version::V2)
    };
    accepts(&anybody, &packet(&ours));
}

#[test]
fn peer_hop_limit() {
    let peer = Peer {
        min_hop_limit: 250,
        ..Peer::new(THEIRS.into())
    };
    let ours = InstanceConfig {
        delivery: Delivery::Unicast {
            peers: vec![peer],
            hop_limit: 255,
            peers_only: true,
        },
        ..config(Version::V2)
    };
    let mut packet = packet(&ours);
    packet[8] = 250;
    accepts(&ours, &packet);
    packet[8] = 249;
    drops(&ours, &packet, Rejected::PeerHopLimit);
}

fn with(authentication: Authentication) -> InstanceConfig {
    InstanceConfig {
        authentication,
        ..config(Version::V2)
    }
}

#[test]
fn authentication_types() {
    let secret = Authentication::secret("s3cret");
    let all = [
        Authentication::None,
        Authentication::Pass(secret),
        Authentication::Ah(secret),
    ];
    for ours in &all {
        for theirs in &all {
            let packet = packet(&with(theirs.clone()));
            if ours == theirs {
                accepts(&with(ours.clone()), &packet);
            } else {
                drops(&with(ours.clone()), &packet, Rejected::AuthMismatch);
            }
        }
    }
    // The type alone is no authentication, nor is a header that was not asked for.
    let mut stripped = packet(&with(Authentication::Ah(secret)));
    let header = 20..20 + ah::HEADER_LEN;
    stripped[9] = 112;
    let len = u16::try_from(stripped.len() - header.len()).unwrap();
    stripped[2..4].copy_from_slice(&len.to_be_bytes());
    let header: Vec<u8> = stripped.drain(header).collect();
    drops(
        &with(Authentication::Ah(secret)),
        &stripped,
        Rejected::AuthMismatch,
    );
    let mut wrapped = packet(&config(Version::V2));
    wrapped[9] = 51;
    let len = u16::try_from(wrapped.len() + header.len()).unwrap();
    wrapped[2..4].copy_from_slice(&len.to_be_bytes());
    wrapped.splice(20..20, header);
    drops(&config(Version::V2), &wrapped, Rejected::AuthMismatch);
    let mut unknown = packet(&config(Version::V2));
    unknown[24] = 9;
    mend(Version::V2, &mut unknown);
    drops(&config(Version::V2), &unknown, Rejected::AuthUnknown);
}

#[test]
fn wrong_password_and_wrong_digest() {
    let [one, other] = ["s3cret", "other"].map(Authentication::secret);
    let (ours, theirs) = (Authentication::Pass(one), Authentication::Pass(other));
    drops(&with(ours), &packet(&with(theirs)), Rejected::AuthFailed);
    let (ours, theirs) = (Authentication::Ah(one), Authentication::Ah(other));
    drops(&with(ours), &packet(&with(theirs)), Rejected::AuthFailed);
}

#[test]
fn a_password_cannot_be_guessed_byte_by_byte() {
    let ours = Authentication::Pass(*b"abcdefgh");
    for at in 0..8 {
        let mut guess = *b"abcdefgh";
        guess[at] ^= 0x80;
        let theirs = with(Authentication::Pass(guess));
        drops(&with(ours.clone()), &packet(&theirs), Rejected::AuthFailed);
    }
}

#[test]
fn a_replayed_packet() {
    let ours = with(Authentication::Ah(*b"s3cret\0\0"));
    let sent = packets(&ours, 3);
    let mut backup = started(ours, OURS.into(), Time::ZERO);
    let mut give = |packet: &[u8]| backup.handle_datagram(Time::ZERO, &Datagram::ipv4(packet));
    give(&sent[0]);
    give(&sent[2]);
    give(&sent[2]);
    give(&sent[1]);
    give(&sent[0]);
    assert_eq!(backup.statistics().received, 2);
    assert_eq!(backup.statistics().rejected.of(Rejected::AuthReplay), 3);
}

#[test]
fn a_forged_sequence_number() {
    let ours = with(Authentication::Ah(*b"s3cret\0\0"));
    let mut packet = packet(&ours);
    let before = ah::Header::new_checked(&packet[20..]).unwrap().sequence();
    packet[31] = packet[31].wrapping_add(9);
    let after = ah::Header::new_checked(&packet[20..]).unwrap().sequence();
    assert_ne!(before, after);
    drops(&ours, &packet, Rejected::AuthFailed);
}

#[test]
fn interval() {
    let mut ours = config(Version::V2);
    ours.advert_interval = AdvertInterval::from_secs(2).unwrap();
    drops(&ours, &packet(&config(Version::V2)), Rejected::Interval);
    let mut zero = packet(&config(Version::V3));
    zero[24..26].fill(0);
    mend(Version::V3, &mut zero);
    drops(&config(Version::V3), &zero, Rejected::Interval);
}

#[test]
fn address_list() {
    for version in [Version::V2, Version::V3] {
        let mut ours = config(version);
        ours.addresses.remove(0);
        let theirs = packet(&config(version));
        accepts(&ours, &theirs);
        ours.address_list = AddressListCheck::Drop;
        drops(&ours, &theirs, Rejected::AddressList);
        // The owner knows best. Its priority is in the same place in both versions.
        let mut owner = theirs.clone();
        owner[22] = 255;
        mend(version, &mut owner);
        accepts(&ours, &owner);
        // Another order is the same list.
        let mut turned = config(version);
        turned.addresses.reverse();
        turned.address_list = AddressListCheck::Drop;
        accepts(&turned, &theirs);
    }
}

#[test]
fn owner_ignores() {
    let mut owner = config(Version::V2).with_priority(Priority::OWNER);
    owner.owner_ignores = true;
    let packet = packet(&config(Version::V2));
    let mut owner = started(owner, OURS.into(), Time::ZERO);
    owner.handle_datagram(Time::ZERO, &Datagram::ipv4(&packet));
    assert_eq!(owner.statistics().rejected.of(Rejected::OwnerIgnores), 1);
    assert_eq!(owner.state(), State::Master);
}

#[test]
fn not_running() {
    let mut instance = Instance::new("vr".into(), config(Version::V2), Time::ZERO).unwrap();
    let packet = packet(&config(Version::V2));
    instance.handle_datagram(Time::ZERO, &Datagram::ipv4(&packet));
    instance.handle_interface(Time::ZERO, &InterfaceState::down());
    assert_eq!(instance.state(), State::Fault);
    instance.handle_datagram(Time::ZERO, &Datagram::ipv4(&packet));
    assert_eq!(instance.statistics().rejected.of(Rejected::NotRunning), 2);
    assert_eq!(instance.statistics().received, 0);
}

#[test]
fn every_reason_has_a_test_here() {
    let text = include_str!("rejections.rs");
    for reason in Rejected::ALL {
        assert!(
            text.contains(&format!("Rejected::{reason:?}")),
            "{reason:?}"
        );
    }
}

#[test]
fn a_flood_is_told_of_once_a_minute_with_its_size() {
    let mut backup = started(config(Version::V2), OURS.into(), Time::ZERO);
    while backup.poll_output().is_some() {}
    let mut packet = packet(&config(Version::V2));
    packet[8] = 64;
    let mut counts = Vec::new();
    for millis in 0..150_000 {
        let now = Time::ZERO + Duration::from_millis(millis);
        backup.handle_datagram(now, &Datagram::ipv4(&packet));
        while let Some(output) = backup.poll_output() {
            if let Output::Event(Event::Rejected { count, .. }) = output {
                counts.push((now, count));
            }
        }
    }
    let expected = [(0, 1), (60, 60_000), (120, 60_000)];
    let expected = expected.map(|(at, count)| (Time::from_secs(at), count));
    assert_eq!(counts, expected);
}

#[test]
fn a_router_counts_what_is_for_nobody() {
    let config = config(Version::V2);
    let packet = packet(&config);
    let mut router = Router::new();
    let instances = vec![NamedInstance {
        name: "vr".into(),
        config,
    }];
    let routers = RouterConfig {
        instances,
        ..RouterConfig::default()
    };
    router.configure(Time::ZERO, &routers).unwrap();
    while router.poll_output().is_some() {}
    for _ in 0..3 {
        router.handle_datagram(Time::ZERO, "eth1", &Datagram::ipv4(&packet));
        router.handle_datagram(Time::ZERO, "eth1", &Datagram::ipv4(&packet[..10]));
    }
    let unclaimed = router.unclaimed_packets();
    assert_eq!(unclaimed.of(Rejected::UnknownVrid), 3);
    assert_eq!(unclaimed.of(Rejected::IpHeader), 3);
    let told: Vec<_> = std::iter::from_fn(|| router.poll_output()).collect();
    assert!(
        matches!(
            &told[..],
            [
                RouterOutput::Unclaimed { vrid: Some(7), .. },
                RouterOutput::Unclaimed { vrid: None, .. }
            ]
        ),
        "{told:?}"
    );
}
