//! Packets for services of this host: each leaves a connection in IPVS. The servers swallow them.

use std::io;
use std::net::{IpAddr, SocketAddr};

use lvs_testkit::lab::Host;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};
use socket2::{Domain, Protocol, Socket, Type};

/// Command lines for a table that traffic is sent to.
pub(crate) fn table(rng: &mut impl Rng) -> String {
    let methods = ["-m", "-m", "-g", "-i"];
    let services = [
        "-t 10.0.0.1:80",
        "-t 10.0.0.2:443",
        "-u 10.0.0.1:53",
        "-u 10.0.0.2:5060",
        "-t 10.0.0.3",
        "-t [2001:db8::1]:80",
        "-u [2001:db8::2]:53",
        "-f 5",
        "-f 5 -6",
        "-f 4294967295",
        "-u 10.0.0.4:9999",
        "--sctp-service 10.0.0.1:2905",
    ];
    let mut lines = String::new();
    for service in services {
        if rng.random_ratio(1, 3) {
            continue;
        }
        let scheduler = ["rr", "wlc", "sh", "mh", "lblcr"]
            .choose(rng)
            .expect("not empty");
        let persistence = match rng.random_range(0..4) {
            _ if service.ends_with(".3") => " -p 600",
            0 => " -p 90",
            1 if service.contains(':') && !service.contains('[') => " -p 30 -M 255.255.255.0",
            2 if service.contains("5060") => " -p 300 --pe sip",
            _ if service.contains("9999") => " -o",
            _ => "",
        };
        lines += &format!("-A {service} -s {scheduler}{persistence}\n");
        let network = if service.contains('[') || service.ends_with("-6") {
            "[2001:db8:1::"
        } else {
            "10.1.0."
        };
        for host in 1..=rng.random_range(1..4) {
            let end = if network.starts_with('[') {
                "]:80"
            } else {
                ":80"
            };
            let method = methods.choose(rng).expect("not empty");
            lines += &format!("-a {service} -r {network}{host}{end} {method} -w {host}\n");
        }
    }
    lines
}

/// Sends some packets to the services of such a table.
pub(crate) fn send(host: &Host, rng: &mut impl Rng) {
    for _ in 0..rng.random_range(5..25) {
        let kind = rng.random_range(0..9);
        let source = rng.random_range(0..3_u16);
        host.enter(|| drop(packet(kind, source)));
    }
}

fn packet(kind: u8, source: u16) -> io::Result<()> {
    let (to, mark) = match kind {
        0 => ("10.0.0.1:80", 0),
        1 => ("10.0.0.2:443", 0),
        2 => ("10.0.0.1:53", 0),
        3 => ("10.0.0.2:5060", 0),
        4 => ("10.0.0.3:8080", 0),
        5 => ("[2001:db8::1]:80", 0),
        6 => ("[2001:db8::2]:53", 0),
        7 => ("10.0.0.9:7000", [5, u32::MAX][usize::from(source % 2)]),
        _ => ("[2001:db8::9]:7000", 5),
    };
    let to: SocketAddr = to.parse().expect("an address");
    let domain = Domain::for_address(to);
    let is_tcp = matches!(kind, 0 | 1 | 4 | 5);
    let socket = if is_tcp {
        Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?
    } else {
        Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?
    };
    socket.set_mark(mark)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    let from: IpAddr = if to.is_ipv4() {
        [192, 168, 77, 1].into()
    } else {
        "fd77::1".parse().expect("an address")
    };
    // Some from a port that has a name.
    let port = [0, 0, 5353][usize::from(source)];
    socket.bind(&SocketAddr::new(from, port).into())?;
    // Under way is all that is wanted.
    let _ = socket.connect(&to.into());
    if !is_tcp {
        let call = b"INVITE sip:a@lab SIP/2.0\r\nCall-ID: abc123@lab\r\nContent-Length: 0\r\n\r\n";
        socket.send(call)?;
    }
    Ok(())
}
