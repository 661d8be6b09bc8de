//! VRRP sockets between two hosts: what they hear, what they do not, and how they outlive changes.

mod wire;

use std::net::IpAddr;
use std::os::fd::AsFd;

use lvs_testkit::netns::{self, Namespace};
use netif::vmac::VmacConfig;
use netif::{
    FrameSocket, MacAddress, Outgoing, Payload, RECEIVE_SIZE, Rtnetlink, VrrpSocket,
    VrrpSocketConfig,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use wire::{
    Heard, LIMIT, SOURCES, V4, V6, assert_silent, hear, index, open, send, send_to,
    wait_for_carrier,
};

/// Two hosts on one cable, each with an address of both families.
fn pair() -> Option<[Namespace; 2]> {
    let hosts = netns::hosts()?;
    let [left, right] = &hosts;
    netns::cable(left, "eth0", right, "eth0");
    for (host, n) in [(left, 1), (right, 2)] {
        host.ip(&format!("addr add 10.9.9.{n}/24 dev eth0"));
        host.ip(&format!("addr add 2001:db8::{n}/64 dev eth0 nodad"));
        host.ip(&format!("addr add fe80::{n}/64 dev eth0 nodad"));
    }
    Some(hosts)
}

#[test]
fn multicast_arrives_with_all_that_is_known_about_it() {
    let Some([left, right]) = pair() else {
        return;
    };
    for (family, source) in SOURCES {
        let (sender, receiver) = (open(&left, family, "eth0"), open(&right, family, "eth0"));
        let group = sender.config().group.unwrap();
        for ttl in [255, 254, 1] {
            send_to(&sender, source, group, ttl, b"an advert").unwrap();
            let expected = Heard {
                source: source.parse().unwrap(),
                destination: Some(group),
                ttl: Some(ttl),
                link: Some(index(&right, "eth0")),
                payload: b"an advert".to_vec(),
            };
            assert_eq!(hear(&receiver), expected);
        }
        // Not to ourselves, and back the other way on the same socket.
        assert_silent(&sender);
        let far = source.replace('1', "2").replace("20.9", "10.9");
        send(&receiver, &far, b"back");
        assert_eq!(hear(&sender).payload, b"back");
    }
}

#[test]
fn any_source_can_be_sent_from() {
    let Some([left, right]) = pair() else {
        return;
    };
    for (family, source) in [(V4, "192.0.2.77"), (V6, "fe80::77")] {
        let (sender, receiver) = (open(&left, family, "eth0"), open(&right, family, "eth0"));
        send(&sender, source, b"x");
        assert_eq!(hear(&receiver).source, source.parse::<IpAddr>().unwrap());
    }
}

#[test]
fn unicast_arrives_and_multicast_does_not_reach_who_has_not_joined() {
    let Some([left, right]) = pair() else {
        return;
    };
    for (family, source, peer) in [
        (V4, "10.9.9.1", "10.9.9.2"),
        (V6, "2001:db8::1", "2001:db8::2"),
    ] {
        let sender = open(&left, family, "eth0");
        // Somebody on the host has joined the group.
        let joined = open(&right, family, "eth0");
        for link in [None, Some(index(&right, "eth0"))] {
            let config = VrrpSocketConfig {
                link,
                group: None,
                ..*joined.config()
            };
            let unicast = right.run(|| VrrpSocket::open(config).unwrap());
            send(&sender, source, b"to the group");
            assert_eq!(hear(&joined).payload, b"to the group");
            assert_silent(&unicast);
            let to = peer.parse().unwrap();
            send_to(&sender, source, to, 64, b"to you").unwrap();
            let heard = hear(&unicast);
            assert_eq!((heard.destination, heard.ttl), (Some(to), Some(64)));
            assert_eq!(heard.link, Some(index(&right, "eth0")));
            assert_eq!(hear(&joined).payload, b"to you");
        }
    }
}

#[test]
fn an_authentication_header_is_another_protocol() {
    let Some([left, right]) = pair() else {
        return;
    };
    let open = |host: &Namespace| {
        let config = VrrpSocketConfig {
            payload: Payload::Ah,
            ..VrrpSocketConfig::multicast(V4, index(host, "eth0"))
        };
        host.run(|| VrrpSocket::open(config).unwrap())
    };
    let (sender, receiver) = (open(&left), open(&right));
    let plain = self::open(&right, V4, "eth0");
    let packet = Outgoing {
        source: "10.9.9.1".parse().unwrap(),
        destination: sender.config().group.unwrap(),
        ttl: 255,
        identification: 0x1234,
        payload: &[112, 4, 0, 0, 1, 2, 3, 4],
    };
    sender.send(&packet).unwrap();
    let mut buffer = [0xa5; RECEIVE_SIZE];
    hear_ready(&receiver);
    let received = receiver.receive(&mut buffer).unwrap().unwrap();
    assert_eq!(received.payload, packet.payload);
    assert_eq!(received.header.len(), 20);
    assert_eq!(received.header[4..6], [0x12, 0x34]);
    assert_eq!(received.header[9], 51);
    assert_silent(&plain);
}

fn hear_ready(socket: &VrrpSocket) {
    let timeout = PollTimeout::try_from(LIMIT).unwrap();
    let ready = poll(
        &mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)],
        timeout,
    );
    assert_eq!(ready.unwrap(), 1);
}

#[test]
fn a_small_buffer_and_a_full_one_are_told() {
    let Some([left, right]) = pair() else {
        return;
    };
    let sender = open(&left, V4, "eth0");
    let config = VrrpSocketConfig {
        receive_buffer: Some(1),
        ..VrrpSocketConfig::multicast(V4, index(&right, "eth0"))
    };
    let receiver = right.run(|| VrrpSocket::open(config).unwrap());
    for _ in 0..100 {
        send(&sender, "10.9.9.1", &[7; 1000]);
    }
    let mut buffer = [0; 28];
    let received = receiver.receive(&mut buffer).unwrap().unwrap();
    assert!(received.truncated);
    assert_eq!(received.payload, [7; 8]);
    let mut buffer = [0; RECEIVE_SIZE];
    while receiver.receive(&mut buffer).unwrap().is_some() {}
    send(&sender, "10.9.9.1", &[7; 10]);
    hear_ready(&receiver);
    let received = receiver.receive(&mut buffer).unwrap().unwrap();
    assert!(received.dropped > 50, "{received:?}");
}

#[test]
fn sockets_outlive_renaming_new_addresses_and_going_down() {
    let Some([left, right]) = pair() else {
        return;
    };
    for (family, source) in SOURCES {
        let (sender, receiver) = (open(&left, family, "eth0"), open(&right, family, "eth0"));
        send(&sender, source, b"before");
        assert_eq!(hear(&receiver).payload, b"before");

        right.ip("addr flush dev eth0");
        right.ip("link set eth0 down");
        // A cable with one end pulled: an error or nothing, but no panic and no block.
        let group = sender.config().group.unwrap();
        let _ = send_to(&sender, source, group, 255, b"lost");
        right.ip("link set eth0 name wan0");
        right.ip("link set wan0 up");
        right.ip("addr add 10.1.1.1/24 dev wan0");
        right.ip("addr add fe80::2/64 dev wan0 nodad");
        wait_for_carrier(&left, "eth0");
        send(&sender, source, b"after");
        assert_eq!(hear(&receiver).payload, b"after");
        let far = if family == V4 { "10.1.1.1" } else { "fe80::2" };
        send(&receiver, far, b"and back");
        assert_eq!(hear(&sender).payload, b"and back");
        right.ip("link set wan0 down");
        right.ip("link set wan0 name eth0");
        right.ip("link set eth0 up");
        wait_for_carrier(&left, "eth0");
    }
}

#[test]
fn after_an_interface_is_removed_another_socket_serves_its_successor() {
    let Some([left, right]) = pair() else {
        return;
    };
    for (family, source) in SOURCES {
        let (sender, receiver) = (open(&left, family, "eth0"), open(&right, family, "eth0"));
        let old = index(&right, "eth0");
        right.ip("link del eth0");
        let group = sender.config().group.unwrap();
        let error = send_to(&sender, source, group, 255, b"x").unwrap_err();
        let errno = error.raw_os_error();
        let gone = [libc::ENODEV, libc::ENETUNREACH, libc::ENXIO];
        assert!(errno.is_some_and(|errno| gone.contains(&errno)), "{error}");
        let refused = right.run(|| VrrpSocket::open(*receiver.config()).unwrap_err());
        assert_eq!(refused.errno(), Some(libc::ENODEV), "{refused}");
        assert!(
            refused.to_string().contains(&format!("interface {old}")),
            "{refused}"
        );

        netns::cable(&left, "eth0", &right, "eth0");
        left.ip("addr add 10.9.9.1/24 dev eth0");
        left.ip("addr add fe80::1/64 dev eth0 nodad");
        assert_ne!(index(&right, "eth0"), old);
        let again = open(&left, family, "eth0");
        let receiver_again = open(&right, family, "eth0");
        send(&again, source, b"new");
        assert_eq!(hear(&receiver_again).payload, b"new");
        assert_silent(&receiver);
    }
}

#[test]
fn an_interface_without_addresses_will_do() {
    let Some([left, right]) = pair() else {
        return;
    };
    left.ip("addr flush dev eth0");
    right.ip("addr flush dev eth0");
    for (family, source) in SOURCES {
        let (sender, receiver) = (open(&left, family, "eth0"), open(&right, family, "eth0"));
        send(&sender, source, b"bare");
        assert_eq!(hear(&receiver).payload, b"bare");
    }
}

#[test]
fn through_a_bridge() {
    let Some([left, middle, right]) = netns::hosts() else {
        return;
    };
    middle.ip("link add br0 type bridge mcast_snooping 0");
    middle.ip("link set br0 up");
    netns::cable(&left, "eth0", &middle, "left");
    netns::cable(&right, "eth0", &middle, "right");
    middle.ip("link set left master br0");
    middle.ip("link set right master br0");
    wait_for_carrier(&middle, "br0");
    for (family, source) in SOURCES {
        let sender = open(&left, family, "eth0");
        let (receiver, on_bridge) = (open(&right, family, "eth0"), open(&middle, family, "br0"));
        send(&sender, source, b"bridged");
        assert_eq!(hear(&receiver).payload, b"bridged");
        assert_eq!(hear(&on_bridge).payload, b"bridged");
        send(&on_bridge, source, b"from the bridge");
        assert_eq!(hear(&receiver).payload, b"from the bridge");
    }
}

#[test]
fn mistakes_are_errors() {
    let Some([left, _right]) = pair() else {
        return;
    };
    let socket = open(&left, V4, "eth0");
    let group = socket.config().group.unwrap();
    let kind = |result: std::io::Result<()>| result.unwrap_err();
    let mixed = kind(send_to(&socket, "fe80::1", group, 255, b""));
    assert_eq!(mixed.kind(), std::io::ErrorKind::InvalidInput);
    let large = kind(send_to(&socket, "10.9.9.1", group, 255, &[0; 2000]));
    assert_eq!(large.raw_os_error(), Some(libc::EMSGSIZE));
    left.ip("link set eth0 down");
    let down = kind(send_to(&socket, "10.9.9.1", group, 255, b"x"));
    let errnos = [libc::ENETDOWN, libc::ENETUNREACH];
    assert!(errnos.contains(&down.raw_os_error().unwrap()), "{down}");
    let sixth = open(&left, V6, "eth0");
    let huge = kind(send_to(
        &sixth,
        "fe80::1",
        sixth.config().group.unwrap(),
        255,
        &[0; 70_000],
    ));
    assert_eq!(huge.raw_os_error(), Some(libc::EMSGSIZE));
}

#[test]
fn frames_teach_the_neighbours() {
    let Some([left, right]) = pair() else {
        return;
    };
    right.command("sysctl", "-qw net.ipv4.conf.eth0.arp_accept=1");
    let socket = left.run(|| FrameSocket::open().unwrap());
    let link = index(&left, "eth0");
    let mac = [0x02, 0, 0, 0, 0, 0x63];
    let mut frame = vec![0xff; 6];
    frame.extend_from_slice(&mac);
    frame.extend_from_slice(&[0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1]);
    frame.extend_from_slice(&mac);
    frame.extend_from_slice(&[10, 9, 9, 99]);
    frame.extend_from_slice(&[0xff; 6]);
    frame.extend_from_slice(&[10, 9, 9, 99]);
    socket.send(link, &frame).unwrap();
    lvs_testkit::wait_until("a neighbour", LIMIT, || {
        let neighbours = right.ip("neigh show dev eth0");
        let learnt = "10.9.9.99 lladdr 02:00:00:00:00:63";
        neighbours.contains(learnt).then_some(())
    });
    assert!(socket.send(link, &frame[..13]).is_err());
    left.ip("link set eth0 down");
    let down = socket.send(link, &frame).unwrap_err();
    assert_eq!(down.raw_os_error(), Some(libc::ENETDOWN));
    left.ip("link del eth0");
    let gone = socket.send(link, &frame).unwrap_err();
    assert_eq!(gone.raw_os_error(), Some(libc::ENXIO));
}

#[test]
fn through_a_virtual_mac() {
    let Some([left, right]) = netns::hosts() else {
        return;
    };
    // A bridge at the far end remembers who sent.
    right.ip("link add br0 type bridge mcast_snooping 0");
    right.ip("link set br0 up");
    netns::cable(&left, "eth0", &right, "port");
    right.ip("link set port master br0");
    wait_for_carrier(&right, "br0");
    for (family, source) in SOURCES {
        let config = VmacConfig {
            name: format!("vrrp.{}", family.number()).parse().unwrap(),
            base: index(&left, "eth0"),
            mac: MacAddress::of_virtual_router(family, 5),
            family,
        };
        let mut rtnetlink = left.run(|| Rtnetlink::open().unwrap());
        left.run(|| rtnetlink.ensure_vmac(&config).unwrap());
        let sender = open(&left, family, config.name.as_str());
        let receiver = open(&right, family, "br0");
        send(&sender, source, b"from a virtual router");
        let heard = hear(&receiver);
        assert_eq!(heard.source, source.parse::<IpAddr>().unwrap());
        let learnt = right.command("bridge", "fdb show dev port");
        assert!(learnt.contains(&config.mac.to_string()), "{learnt}");
        send(&receiver, source, b"to a virtual router");
        assert_eq!(hear(&sender).payload, b"to a virtual router");
    }
}
