//! Bytes, half-close, back-pressure, resets.

use std::{
    collections::hash_map::DefaultHasher,
    hash::Hasher as _,
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use ipvs_netlink::ServiceKey;
use lvs_proxy::ProxyConfig;
use socket2::SockRef;

use crate::support::{Connection, LIMIT, Rig, Server, address, has_ipv6};

const MIB: usize = 1024 * 1024;

/// A service with one server that the test plays itself.
fn with_listener() -> (Rig, ServiceKey, TcpListener) {
    with_pipes(ProxyConfig::default().pipe_limit)
}

/// The same with so many pipes for splice(2); without any, everything is copied.
fn with_pipes(pipe_limit: usize) -> (Rig, ServiceKey, TcpListener) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let mut rig = Rig::with(ProxyConfig {
        pipe_limit,
        ..ProxyConfig::default()
    });
    let key = rig.tcp("rr");
    rig.destination(&key, listener.local_addr().expect("bound"), 1);
    (rig, key, listener)
}

/// Both ends of a connection through the proxy.
fn connect(key: &ServiceKey, listener: &TcpListener) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(address(key)).expect("the proxy listens");
    let (server, _) = listener.accept().expect("the proxy connects");
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(LIMIT)).expect("an option");
    }
    (client, server)
}

/// Data in which no two pieces are alike.
fn piece(number: usize, buffer: &mut [u8]) {
    let mut state = number as u64 ^ 0x9e37_79b9_7f4a_7c15;
    for byte in buffer {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        *byte = state as u8;
    }
}

/// Writes `total` bytes in pieces of changing size; returns their hash.
fn write_all(stream: &mut TcpStream, total: usize) -> io::Result<u64> {
    let mut hasher = DefaultHasher::new();
    let mut buffer = vec![0; 300_000];
    let (mut sent, mut number) = (0, 0);
    while sent < total {
        let size = (1 + number * 7919 % buffer.len()).min(total - sent);
        piece(number, &mut buffer[..size]);
        buffer[..size]
            .iter()
            .for_each(|byte| hasher.write_u8(*byte));
        stream.write_all(&buffer[..size])?;
        sent += size;
        number += 1;
    }
    stream.shutdown(Shutdown::Write)?;
    Ok(hasher.finish())
}

/// Reads to the end; returns how much there was and its hash.
fn read_all(stream: &mut TcpStream) -> io::Result<(usize, u64)> {
    let mut hasher = DefaultHasher::new();
    let mut buffer = vec![0; 100_000];
    let mut received = 0;
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok((received, hasher.finish()));
        }
        buffer[..count]
            .iter()
            .for_each(|byte| hasher.write_u8(*byte));
        received += count;
    }
}

#[test]
fn large_transfers_arrive_whole_in_both_directions_at_once() {
    large_transfers(256);
}

#[test]
fn large_transfers_arrive_whole_without_pipes() {
    large_transfers(0);
}

fn large_transfers(pipes: usize) {
    let (mut rig, key, listener) = with_pipes(pipes);
    let (client, server) = connect(&key, &listener);
    let sizes = [24 * MIB, 17 * MIB + 3];
    let ends = [(client, sizes[0]), (server, sizes[1])].map(|(stream, size)| {
        let mut sender = stream.try_clone().expect("a second handle");
        let sender = thread::spawn(move || write_all(&mut sender, size));
        let mut receiver = stream;
        (sender, thread::spawn(move || read_all(&mut receiver)))
    });
    let [(client_sent, client_got), (server_sent, server_got)] = ends;
    let [client_sent, server_sent] =
        [client_sent, server_sent].map(|t| t.join().expect("no panic").expect("sent"));
    let [client_got, server_got] =
        [client_got, server_got].map(|t| t.join().expect("no panic").expect("received"));
    assert_eq!(server_got, (sizes[0], client_sent));
    assert_eq!(client_got, (sizes[1], server_sent));
    let stats = rig.table.service(&key).expect("known").stats;
    assert_eq!(
        [stats.in_bytes, stats.out_bytes],
        sizes.map(|size| size as u64)
    );
    assert_eq!(stats.conns, 1);
}

#[test]
fn small_pieces_after_bulk_arrive_at_once() {
    let (_rig, key, listener) = with_listener();
    let (mut client, mut server) = connect(&key, &listener);
    let mut bulk = vec![0; 3 * MIB];
    for number in 0..3 {
        piece(number, &mut bulk);
        let sent = bulk.clone();
        let sender = thread::spawn(move || {
            server.write_all(&sent).expect("room in time");
            server
        });
        let mut heard = vec![1; bulk.len()];
        client.read_exact(&mut heard).expect("bulk");
        assert!(heard == bulk);
        server = sender.join().expect("no panic");
        for byte in 0..50 {
            server.write_all(&[byte]).expect("room");
            let mut heard = [0xff];
            client.read_exact(&mut heard).expect("a byte");
            assert_eq!(heard, [byte]);
        }
    }
}

#[test]
fn a_client_that_has_ended_still_gets_its_answer() {
    let (mut rig, key, listener) = with_listener();
    let (mut client, mut server) = connect(&key, &listener);
    client.write_all(b"question").expect("room");
    client.shutdown(Shutdown::Write).expect("open");
    let mut question = String::new();
    server
        .read_to_string(&mut question)
        .expect("the end comes through");
    assert_eq!(question, "question");
    rig.wait_states(&["CLOSE_WAIT"]);
    server.write_all(b"answer").expect("room");
    drop(server);
    let mut answer = String::new();
    client
        .read_to_string(&mut answer)
        .expect("the other way is open");
    assert_eq!(answer, "answer");
    rig.wait_states(&["TIME_WAIT"]);
    rig.wait_counts(&key, listener.local_addr().expect("bound"), (0, 1));
}

#[test]
fn a_server_that_has_ended_still_hears_its_client() {
    let (mut rig, key, listener) = with_listener();
    let (mut client, mut server) = connect(&key, &listener);
    server.write_all(b"goodbye").expect("room");
    server.shutdown(Shutdown::Write).expect("open");
    let mut heard = String::new();
    client
        .read_to_string(&mut heard)
        .expect("the end comes through");
    assert_eq!(heard, "goodbye");
    rig.wait_states(&["FIN_WAIT"]);
    rig.wait_counts(&key, listener.local_addr().expect("bound"), (0, 1));
    client.write_all(b"last words").expect("room");
    drop(client);
    let mut heard = String::new();
    server
        .read_to_string(&mut heard)
        .expect("the other way is open");
    assert_eq!(heard, "last words");
    rig.wait_states(&["TIME_WAIT"]);
}

#[test]
fn a_reset_comes_through_from_either_side() {
    let (mut rig, key, listener) = with_listener();
    for client_resets in [false, true] {
        let (client, server) = connect(&key, &listener);
        let states = if client_resets {
            &["CLOSE", "ESTABLISHED"][..]
        } else {
            &["ESTABLISHED"]
        };
        rig.wait_states(states);
        let (resetting, mut other) = if client_resets {
            (client, server)
        } else {
            (server, client)
        };
        SockRef::from(&resetting)
            .set_linger(Some(Duration::ZERO))
            .expect("an option");
        drop(resetting);
        let error = other.read(&mut [0]).expect_err("no end in order");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
    rig.wait_states(&["CLOSE", "CLOSE"]);
    rig.wait_counts(&key, listener.local_addr().expect("bound"), (0, 2));
}

#[test]
fn a_slow_reader_slows_its_sender_and_nobody_else() {
    slow_reader(256);
}

#[test]
fn a_slow_reader_slows_its_sender_without_pipes_too() {
    slow_reader(0);
}

fn slow_reader(pipes: usize) {
    let (_rig, key, listener) = with_pipes(pipes);
    let (mut slow, mut sender) = connect(&key, &listener);
    SockRef::from(&slow)
        .set_recv_buffer_size(64 * 1024)
        .expect("an option");
    // What the sockets on the way hold is bounded by net.ipv4.tcp_wmem and tcp_rmem: two of each.
    let bound = 2 * (sysctl_max("tcp_wmem") + sysctl_max("tcp_rmem")) + MIB;
    sender
        .set_write_timeout(Some(Duration::from_millis(300)))
        .expect("an option");
    let mut sent = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        piece(sent.len(), &mut buffer);
        match sender.write(&buffer) {
            Ok(count) => sent.extend_from_slice(&buffer[..count]),
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                break;
            }
        }
        assert!(
            sent.len() < bound,
            "the sender was never held back: {} bytes",
            sent.len()
        );
    }
    // Others are served meanwhile.
    let (mut client, mut server) = connect(&key, &listener);
    client.write_all(b"x").expect("room");
    server.read_exact(&mut [0]).expect("a byte");
    // And nothing of it is lost.
    drop(sender);
    let mut received = Vec::new();
    slow.read_to_end(&mut received).expect("the rest");
    assert!(
        received == sent,
        "{} of {} bytes, or others",
        received.len(),
        sent.len()
    );
}

#[test]
fn both_families_and_all_addresses() {
    let server = Server::start("v4");
    let mut rig = Rig::new();
    let port = lvs_testkit::free_port();
    let any = rig.add(ServiceKey::tcp((Ipv4Addr::UNSPECIFIED, port).into()), "rr");
    rig.destination(&any, server.address, 1);
    let special = ServiceKey::tcp((Ipv4Addr::new(127, 9, 8, 7), port).into());
    let mut connection = Connection::open(&special).expect("served");
    assert_eq!(connection.server, "v4");
    connection.say("hello").expect("an echo");
    let entry = rig.connections().remove(0);
    assert_eq!(entry.virtual_address, address(&special));
    if !has_ipv6() {
        return;
    }
    // The wildcard of one family leaves the port of the other one free.
    let server = Server::start_at("v6", (Ipv6Addr::LOCALHOST, 0).into());
    let any = rig.add(ServiceKey::tcp((Ipv6Addr::UNSPECIFIED, port).into()), "rr");
    rig.destination(&any, server.address, 1);
    let v6 = ServiceKey::tcp((Ipv6Addr::LOCALHOST, port).into());
    let mut connection = Connection::open(&v6).expect("served");
    assert_eq!(connection.server, "v6");
    connection.say("hello").expect("an echo");
    assert_eq!(Connection::open(&special).expect("served").server, "v4");
}

#[test]
fn a_file_from_a_real_nginx() {
    let port = lvs_testkit::free_port();
    let http = format!("server {{ listen 127.0.0.1:{port}; sendfile on; root ROOT/www; }}");
    let Some(nginx) = lvs_testkit::Nginx::start(&http, &[port]) else {
        return lvs_testkit::skip("nginx is not installed");
    };
    let mut file = vec![0; 20 * MIB + 1];
    piece(1, &mut file);
    std::fs::create_dir(nginx.folder().join("www")).expect("writable");
    std::fs::write(nginx.folder().join("www/file"), &file).expect("writable");
    let mut rig = Rig::new();
    let key = rig.tcp("wlc");
    rig.destination(&key, SocketAddr::from((Ipv4Addr::LOCALHOST, port)), 1);
    for _ in 0..3 {
        let mut client = TcpStream::connect(address(&key)).expect("the proxy listens");
        client
            .write_all(b"GET /file HTTP/1.0\r\n\r\n")
            .expect("room");
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).expect("an answer");
        assert!(answer.starts_with(b"HTTP/1.1 200 OK") && answer.ends_with(&file));
    }
}

fn sysctl_max(name: &str) -> usize {
    let text = std::fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).unwrap_or_default();
    text.split_whitespace()
        .next_back()
        .and_then(|max| max.parse().ok())
        .unwrap_or(16 * MIB)
}
