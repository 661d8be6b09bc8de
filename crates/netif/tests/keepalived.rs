//! keepalived hears what our sockets send, and our sockets hear what keepalived sends.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use lvs_testkit::Process;
use lvs_testkit::netns::{self, Namespace};
use netif::{
    Family, LinkIndex, Outgoing, Payload, RECEIVE_SIZE, Rtnetlink, VrrpSocket, VrrpSocketConfig,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

const LIMIT: Duration = Duration::from_secs(10);

/// Two hosts on a cable; keepalived with one instance of VRID 5 and priority 100 on the second.
struct Pair {
    host: Namespace,
    far: Namespace,
    keepalived: Process,
    folder: PathBuf,
}

impl Pair {
    fn start(name: &str, instance: &str) -> Option<Self> {
        let Some(program) = lvs_testkit::program("keepalived") else {
            lvs_testkit::skip("keepalived is not installed");
            return None;
        };
        let [host, far] = netns::hosts()?;
        netns::cable(&host, "eth0", &far, "eth0");
        for (host, n) in [(&host, 1), (&far, 2)] {
            // Only the link-local address that we know.
            host.ip("addr flush dev eth0");
            host.ip(&format!("addr add 10.9.9.{n}/24 dev eth0"));
            host.ip(&format!("addr add fe80::{n}/64 dev eth0 nodad"));
        }
        let folder = std::env::temp_dir().join(format!("lvskit-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("keepalived.conf");
        let text = format!(
            "vrrp_instance V {{\n interface eth0\n virtual_router_id 5\n priority 100\n{instance}\n}}\n"
        );
        std::fs::write(&path, text).unwrap();
        let keepalived = far.run(|| {
            let mut command = Command::new(&program);
            command
                .args(["--vrrp", "-n", "-l", "-D", "-G", "-f"])
                .arg(&path);
            for (option, name) in [("-p", "a.pid"), ("-r", "b.pid")] {
                command.arg(option).arg(folder.join(name));
            }
            Process::start(&mut command)
        });
        Some(Self {
            host,
            far,
            keepalived,
            folder,
        })
    }

    fn link(&self) -> LinkIndex {
        let index = || {
            Rtnetlink::open()
                .unwrap()
                .expect_link("eth0")
                .unwrap()
                .index
        };
        self.host.run(index)
    }

    fn open(&self, family: Family, payload: Payload) -> VrrpSocket {
        let config = VrrpSocketConfig {
            payload,
            ..VrrpSocketConfig::multicast(family, self.link())
        };
        self.host.run(|| VrrpSocket::open(config).unwrap())
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Header (empty in IPv6), payload, source, TTL.
fn hear(socket: &VrrpSocket) -> (Vec<u8>, Vec<u8>, IpAddr, Option<u8>) {
    let deadline = Instant::now() + LIMIT;
    let mut buffer = [0xa5; RECEIVE_SIZE];
    while Instant::now() < deadline {
        let timeout = PollTimeout::from(1000_u16);
        poll(
            &mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)],
            timeout,
        )
        .unwrap();
        if let Some(heard) = socket.receive(&mut buffer).unwrap() {
            return (
                heard.header.into(),
                heard.payload.into(),
                heard.source,
                heard.ttl,
            );
        }
    }
    panic!("keepalived is silent");
}

/// RFC 1071.
fn sum(parts: &[&[u8]]) -> u16 {
    let bytes = parts.concat();
    let words = bytes
        .chunks(2)
        .map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// What the checksum covers beside the packet: RFC 9568 section 5.2.8, RFC 8200 section 8.1.
fn pseudo_header(source: IpAddr, destination: IpAddr, length: usize) -> Vec<u8> {
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let ends = [source.octets(), destination.octets()].concat();
            [&ends[..], &[0, 112, 0, length as u8]].concat()
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let ends = [source.octets(), destination.octets()].concat();
            [&ends[..], &[0, 0, 0, length as u8, 0, 0, 0, 112]].concat()
        }
        _ => unreachable!(),
    }
}

fn send(socket: &VrrpSocket, source: IpAddr, mut payload: Vec<u8>) {
    let destination = socket.config().group.unwrap();
    let version = payload[0] >> 4;
    let pseudo = match version {
        3 => pseudo_header(source, destination, payload.len()),
        _ => Vec::new(),
    };
    let sum = sum(&[&pseudo, &payload]).to_be_bytes();
    payload[6..8].copy_from_slice(&sum);
    let packet = Outgoing {
        source,
        destination,
        ttl: 255,
        identification: 0,
        payload: &payload,
    };
    socket.send(&packet).unwrap();
}

#[test]
fn version_3_over_ipv4() {
    let instance = " version 3\n advert_int 0.1\n virtual_ipaddress {\n 10.9.9.9/24\n }";
    let Some(mut pair) = Pair::start("v3", instance) else {
        return;
    };
    let socket = pair.open(Family::Inet, Payload::Vrrp);
    let (header, payload, source, ttl) = hear(&socket);
    let far = IpAddr::from(Ipv4Addr::new(10, 9, 9, 2));
    assert_eq!((source, ttl, header.len()), (far, Some(255), 20));
    assert_eq!(payload[..6], [0x31, 5, 100, 1, 0, 10]);
    assert_eq!(payload[8..], [10, 9, 9, 9]);
    let group = socket.config().group.unwrap();
    assert_eq!(
        sum(&[&pseudo_header(far, group, payload.len()), &payload]),
        0
    );

    pair.keepalived.wait_for("Entering MASTER STATE", LIMIT);
    let ours = Ipv4Addr::new(10, 9, 9, 1).into();
    send(
        &socket,
        ours,
        vec![0x31, 5, 200, 1, 0, 10, 0, 0, 10, 9, 9, 9],
    );
    let line = "Master received advert from 10.9.9.1 with higher priority 200, ours 100";
    pair.keepalived.wait_for(line, LIMIT);
    pair.keepalived.wait_for("Entering BACKUP STATE", LIMIT);
}

#[test]
fn version_3_over_ipv6() {
    let instance = " version 3\n advert_int 0.1\n virtual_ipaddress {\n fe80::99/64\n }";
    let Some(mut pair) = Pair::start("v6", instance) else {
        return;
    };
    let socket = pair.open(Family::Inet6, Payload::Vrrp);
    let (_, payload, source, ttl) = hear(&socket);
    let far = IpAddr::from(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2));
    assert_eq!((source, ttl), (far, Some(255)));
    assert_eq!(payload[..6], [0x31, 5, 100, 1, 0, 10]);
    let group = socket.config().group.unwrap();
    assert_eq!(
        sum(&[&pseudo_header(far, group, payload.len()), &payload]),
        0
    );

    pair.keepalived.wait_for("Entering MASTER STATE", LIMIT);
    let vip = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x99);
    let mut advert = vec![0x31, 5, 200, 1, 0, 10, 0, 0];
    advert.extend_from_slice(&vip.octets());
    let ours = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1).into();
    send(&socket, ours, advert);
    let line = "Master received advert from fe80::1 with higher priority 200, ours 100";
    pair.keepalived.wait_for(line, LIMIT);
}

#[test]
fn version_2_with_an_authentication_header() {
    let instance = " advert_int 1\n authentication {\n auth_type AH\n auth_pass secret\n }\n \
                    virtual_ipaddress {\n 10.9.9.9/24\n }";
    let Some(mut pair) = Pair::start("ah", instance) else {
        return;
    };
    let socket = pair.open(Family::Inet, Payload::Ah);
    // Priority 255 would be an owner, which AH is not for; so it takes its time.
    pair.keepalived.wait_for("Entering MASTER STATE", LIMIT);
    let (header, payload, source, ttl) = hear(&socket);
    assert_eq!(
        (source, ttl),
        (Ipv4Addr::new(10, 9, 9, 2).into(), Some(255))
    );
    assert_eq!(header[9], 51);
    // RFC 4302 section 2: next header, length in words less two, then 24 bytes in all before VRRP.
    assert_eq!(payload[..2], [112, 4]);
    assert_eq!(payload[24..27], [0x21, 5, 100]);
}

#[test]
fn version_2_after_the_interface_was_made_anew() {
    let instance = " advert_int 1\n virtual_ipaddress {\n 10.9.9.9/24\n }";
    let Some(mut pair) = Pair::start("v2", instance) else {
        return;
    };
    let before = pair.open(Family::Inet, Payload::Vrrp);
    pair.keepalived.wait_for("Entering MASTER STATE", LIMIT);
    assert_eq!(hear(&before).1[..6], [0x21, 5, 100, 1, 0, 1]);
    drop(before);
    // Removing one end removes both; keepalived takes the new one up again, and so do we.
    pair.host.ip("link del eth0");
    pair.keepalived.wait_for("Entering FAULT STATE", LIMIT);
    netns::cable(&pair.host, "eth0", &pair.far, "eth0");
    pair.host.ip("addr add 10.9.9.1/24 dev eth0");
    pair.far.ip("addr add 10.9.9.2/24 dev eth0");
    let after = pair.open(Family::Inet, Payload::Vrrp);
    let (_, payload, source, _) = hear(&after);
    assert_eq!(source, IpAddr::from(Ipv4Addr::new(10, 9, 9, 2)));
    assert_eq!(sum(&[&payload]), 0);
    let ours = Ipv4Addr::new(10, 9, 9, 1).into();
    let mut advert = vec![0x21, 5, 200, 1, 0, 1, 0, 0, 10, 9, 9, 9];
    advert.extend_from_slice(&[0; 8]);
    send(&after, ours, advert);
    let line = "Master received advert from 10.9.9.1 with higher priority 200, ours 100";
    pair.keepalived.wait_for(line, LIMIT);
}
