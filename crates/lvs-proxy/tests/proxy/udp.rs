//! Flows, one-packet scheduling, source addresses.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use ipvs_netlink::{ServiceFlags, ServiceKey, TimeoutsUpdate, VirtualService};

use crate::support::{LIMIT, Rig, address, destination, free_address, has_ipv6, service};

/// A UDP server that answers each datagram with its name and the datagram.
struct UdpServer {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl UdpServer {
    fn start(name: &'static str) -> Self {
        Self::start_at(name, (Ipv4Addr::LOCALHOST, 0).into())
    }

    fn start_at(name: &'static str, address: SocketAddr) -> Self {
        let socket = UdpSocket::bind(address).expect("a free port");
        let address = socket.local_addr().expect("bound");
        socket
            .set_read_timeout(Some(Duration::from_millis(20)))
            .expect("an option");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut buffer = vec![0; 65_535];
            while !stopped.load(SeqCst) {
                if let Ok((count, from)) = socket.recv_from(&mut buffer) {
                    let mut answer = name.as_bytes().to_vec();
                    answer.extend_from_slice(&buffer[..count]);
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        Self {
            address,
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for UdpServer {
    fn drop(&mut self) {
        self.stop.store(true, SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server does not panic");
        }
    }
}

fn client(key: &ServiceKey) -> UdpSocket {
    let any: SocketAddr = match address(key) {
        SocketAddr::V4(_) => (Ipv4Addr::LOCALHOST, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::LOCALHOST, 0).into(),
    };
    let socket = UdpSocket::bind(any).expect("a free port");
    socket.set_read_timeout(Some(LIMIT)).expect("an option");
    // Connected: answers from any other address are not heard.
    socket.connect(address(key)).expect("a route");
    socket
}

fn ask(socket: &UdpSocket, question: &str) -> String {
    socket.send(question.as_bytes()).expect("sent");
    let mut answer = [0; 2048];
    let count = socket.recv(&mut answer).expect("an answer");
    String::from_utf8_lossy(&answer[..count]).into_owned()
}

fn udp(rig: &mut Rig, scheduler: &str) -> ServiceKey {
    rig.add(ServiceKey::udp(free_address()), scheduler)
}

#[test]
fn a_client_stays_in_its_flow() {
    let [a, b] = ["A", "B"].map(UdpServer::start);
    let mut rig = Rig::new();
    let key = udp(&mut rig, "rr");
    rig.destination(&key, a.address, 1);
    rig.destination(&key, b.address, 1);
    let clients: Vec<_> = (0..4).map(|_| client(&key)).collect();
    for round in ["1", "2", "3"] {
        let answers: Vec<_> = clients.iter().map(|client| ask(client, round)).collect();
        assert_eq!(
            answers,
            ["B", "A", "B", "A"].map(|name| format!("{name}{round}"))
        );
    }
    // UDP never counts as active.
    assert_eq!(
        [rig.counts(&key, a.address), rig.counts(&key, b.address)],
        [(0, 2), (0, 2)]
    );
    let stats = rig.table.service(&key).expect("known").stats;
    assert_eq!(
        (stats.conns, stats.in_packets, stats.out_packets),
        (4, 12, 12)
    );
    assert_eq!((stats.in_bytes, stats.out_bytes), (12, 24));
    let entries = rig.connections();
    assert_eq!(entries.len(), 4);
    for entry in entries {
        assert_eq!(
            (entry.protocol.as_str(), entry.state.as_str()),
            ("UDP", "UDP")
        );
        assert!((290..=300).contains(&entry.expires.as_secs()), "{entry:?}");
    }
}

#[test]
fn a_flow_ends_after_its_timeout() {
    let a = UdpServer::start("A");
    let mut rig = Rig::new();
    let key = udp(&mut rig, "rr");
    rig.destination(&key, a.address, 1);
    let update = TimeoutsUpdate {
        udp: Some(Duration::from_secs(1)),
        ..TimeoutsUpdate::default()
    };
    rig.table.set_timeouts(&update).expect("set");
    assert_eq!(ask(&client(&key), "x"), "Ax");
    rig.wait_states(&[]);
    assert_eq!(rig.counts(&key, a.address), (0, 0));
}

#[test]
fn one_packet_schedules_every_datagram() {
    let [a, b] = ["A", "B"].map(UdpServer::start);
    let mut rig = Rig::new();
    let key = ServiceKey::udp(free_address());
    let flags = ServiceFlags::ONE_PACKET;
    rig.table
        .add_service(&VirtualService {
            flags,
            ..service(key, "rr")
        })
        .expect("can be listened for");
    rig.destination(&key, a.address, 1);
    rig.destination(&key, b.address, 1);
    let client = client(&key);
    let answers: Vec<_> = (0..6).map(|_| ask(&client, "")).collect();
    assert_eq!(answers.concat(), "BABABA");
    assert_eq!(
        [rig.counts(&key, a.address), rig.counts(&key, b.address)],
        [(0, 0), (0, 0)]
    );
    assert_eq!(rig.table.service(&key).expect("known").stats.conns, 6);
    assert_eq!(rig.connections(), []);
}

#[test]
fn answers_come_from_the_address_that_was_asked() {
    let a = UdpServer::start("A");
    let mut rig = Rig::new();
    let port = lvs_testkit::free_port();
    let key = rig.add(ServiceKey::udp((Ipv4Addr::UNSPECIFIED, port).into()), "rr");
    rig.destination(&key, a.address, 1);
    for last in [1, 77] {
        let asked = ServiceKey::udp((Ipv4Addr::new(127, 0, 0, last), port).into());
        assert_eq!(ask(&client(&asked), "x"), "Ax");
    }
    if !has_ipv6() {
        return;
    }
    let b = UdpServer::start_at("B", (Ipv6Addr::LOCALHOST, 0).into());
    let any = rig.add(ServiceKey::udp((Ipv6Addr::UNSPECIFIED, port).into()), "rr");
    rig.destination(&any, b.address, 1);
    let asked = ServiceKey::udp((Ipv6Addr::LOCALHOST, port).into());
    assert_eq!(ask(&client(&asked), "x"), "Bx");
    let bound = ServiceKey::udp((Ipv6Addr::LOCALHOST, lvs_testkit::free_port()).into());
    rig.add(bound, "rr");
    rig.destination(&bound, b.address, 1);
    assert_eq!(ask(&client(&bound), "y"), "By");
}

#[test]
fn a_client_of_a_removed_server_gets_another() {
    let [a, b] = ["A", "B"].map(UdpServer::start);
    let mut rig = Rig::new();
    let key = udp(&mut rig, "rr");
    rig.destination(&key, a.address, 1);
    rig.destination(&key, b.address, 1);
    let client = client(&key);
    assert_eq!(ask(&client, "1"), "B1");
    rig.set(&key, &destination(b.address, 0));
    assert_eq!(ask(&client, "2"), "B2");
    rig.remove(&key, b.address);
    assert_eq!(ask(&client, "3"), "A3");
    assert_eq!(rig.counts(&key, a.address), (0, 1));
}

#[test]
fn a_client_of_a_refusing_server_gets_another_with_its_next_datagram() {
    let a = UdpServer::start("A");
    let mut rig = Rig::new();
    let key = udp(&mut rig, "rr");
    rig.destination(&key, a.address, 1);
    let refusing = free_address();
    rig.destination(&key, refusing, 1);
    let client = client(&key);
    client.send(b"lost").expect("sent");
    lvs_testkit::wait_until("the refusal", LIMIT, || {
        (rig.entry(&key, refusing).status.stats.in_packets == 1
            && rig.counts(&key, refusing) == (0, 0))
            .then_some(())
    });
    assert_eq!(ask(&client, "again"), "Aagain");
}

#[test]
fn the_largest_datagram_passes() {
    let a = UdpServer::start("");
    let mut rig = Rig::new();
    let key = udp(&mut rig, "rr");
    rig.destination(&key, a.address, 1);
    let client = client(&key);
    let large: Vec<u8> = (0..65_507_u32).map(|i| i as u8).collect();
    client.send(&large).expect("sent");
    let mut answer = vec![0; 65_535];
    let count = client.recv(&mut answer).expect("an answer");
    assert!(answer[..count] == large);
}

#[test]
fn a_deleted_service_answers_no_more() {
    let a = UdpServer::start("A");
    let mut rig = Rig::new();
    let key = udp(&mut rig, "rr");
    rig.destination(&key, a.address, 1);
    let client = client(&key);
    assert_eq!(ask(&client, "x"), "Ax");
    rig.table.delete_service(&key).expect("known");
    assert_eq!(rig.connections(), []);
    client.send(b"x").expect("sent");
    let error = client.recv(&mut [0; 8]).expect_err("nobody listens");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}
