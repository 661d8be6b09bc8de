//! Counters, states, refusals, the Unix socket.

use std::{
    net::{Ipv4Addr, TcpListener},
    os::unix::net::UnixListener,
    time::Duration,
};

use ipvs_netlink::{Client, Command, IpvsError, ServiceKey, TimeoutsUpdate, unix::UnixTransport};
use nix::errno::Errno;
use socket2::{Domain, Socket, Type};

use crate::support::{Connection, Rig, Server, free_address, sequence, service};

#[track_caller]
fn refusal(result: Result<(), IpvsError>) -> (Errno, String) {
    let error = result.expect_err("refused");
    let refused = error.refused().expect("by the table");
    (
        Errno::from_raw(refused.errno),
        refused.message.clone().unwrap_or_default(),
    )
}

#[test]
fn a_service_that_cannot_listen_is_refused_alone_and_may_come_later() {
    let server = Server::start("A");
    let occupied = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let taken = ServiceKey::tcp(occupied.local_addr().expect("bound"));
    let mut rig = Rig::new();
    let good = rig.tcp("rr");
    rig.destination(&good, server.address, 1);
    let (errno, text) = refusal(rig.table.add_service(&service(taken, "rr")));
    assert_eq!(errno, Errno::EADDRINUSE);
    assert!(
        text.contains("is in use") && text.contains("ss -lnp"),
        "{text}"
    );
    let elsewhere = ServiceKey::tcp("192.0.2.1:8080".parse().expect("an address"));
    let (errno, text) = refusal(rig.table.add_service(&service(elsewhere, "rr")));
    assert_eq!(errno, Errno::EADDRNOTAVAIL);
    assert!(
        text.contains("192.0.2.1:8080") && text.contains("ip addr add"),
        "{text}"
    );
    let services = rig.table.services().expect("a dump");
    assert_eq!(
        services
            .iter()
            .map(|entry| entry.service.key)
            .collect::<Vec<_>>(),
        [good]
    );
    assert_eq!(sequence(&good, 2), "AA");
    drop(occupied);
    rig.add(taken, "rr");
    rig.destination(&taken, server.address, 1);
    assert_eq!(sequence(&taken, 1), "A");
}

#[test]
fn a_port_that_needs_a_privilege_names_the_remedies() {
    let first = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    let unrestricted = first.is_ok_and(|first| first.trim() == "0");
    if nix::unistd::geteuid().is_root() || unrestricted {
        return lvs_testkit::skip("this user may use every port");
    }
    let mut rig = Rig::new();
    let key = ServiceKey::tcp((Ipv4Addr::LOCALHOST, 1).into());
    let (errno, text) = refusal(rig.table.add_service(&service(key, "rr")));
    assert_eq!(errno, Errno::EACCES);
    for remedy in ["root", "setcap", "net.ipv4.ip_unprivileged_port_start=1"] {
        assert!(text.contains(remedy), "{text}");
    }
}

#[test]
fn what_only_the_kernel_can_do_is_refused() {
    let mut rig = Rig::new();
    let mark = ServiceKey::Mark {
        mark: 7.try_into().expect("not zero"),
        family: ipvs_netlink::AddressFamily::Inet,
    };
    let (errno, text) = refusal(rig.table.add_service(&service(mark, "rr")));
    assert_eq!(errno, Errno::EOPNOTSUPP);
    assert!(text.contains("kernel"), "{text}");
}

#[test]
fn counters_are_exact_and_zero_on_request() {
    let server = Server::start("A");
    let mut rig = Rig::new();
    let key = rig.tcp("rr");
    rig.destination(&key, server.address, 1);
    for _ in 0..3 {
        let mut connection = Connection::open(&key).expect("a server");
        connection.say("12345").expect("an echo");
        connection.finish().expect("an end in order");
    }
    // 5 bytes each way in a piece; the name and its newline came before, in a piece of their own.
    let of_service = rig.table.service(&key).expect("known").stats;
    let of_destination = rig.entry(&key, server.address).status.stats;
    for stats in [of_service, of_destination] {
        assert_eq!(
            (stats.conns, stats.in_packets, stats.out_packets),
            (3, 3, 6)
        );
        assert_eq!((stats.in_bytes, stats.out_bytes), (15, 21));
    }
    rig.table.execute(&Command::Zero(Some(key))).expect("known");
    assert_eq!(rig.table.service(&key).expect("known").stats.conns, 0);
    assert_eq!(rig.entry(&key, server.address).status.stats.in_bytes, 0);
    rig.wait_counts(&key, server.address, (0, 3));
    assert_eq!(sequence(&key, 1), "A");
    assert_eq!(rig.entry(&key, server.address).status.stats.conns, 1);
}

#[test]
fn rates_follow_traffic() {
    let server = Server::start("A");
    let mut rig = Rig::new();
    let key = rig.tcp("rr");
    rig.destination(&key, server.address, 1);
    let mut connection = Connection::open(&key).expect("a server");
    let text = "x".repeat(10_000);
    let rates = lvs_testkit::wait_until("a rate", crate::support::LIMIT, || {
        connection.say(&text).expect("an echo");
        let stats = rig.table.service(&key).expect("known").stats;
        (stats.in_packets_per_second > 0).then_some(stats)
    });
    assert!(
        rates.in_packets_per_second > 0 && rates.out_bytes_per_second > 0,
        "{rates:?}"
    );
    assert_eq!(rates.in_bytes, rates.out_bytes - 2);
}

#[test]
fn entries_show_their_state_and_count_down() {
    let server = Server::start("A");
    let mut rig = Rig::new();
    let key = rig.tcp("rr");
    rig.destination(&key, server.address, 1);
    let tcp = Some(Duration::from_secs(500));
    rig.table
        .set_timeouts(&TimeoutsUpdate {
            tcp,
            ..TimeoutsUpdate::default()
        })
        .expect("set");
    let connection = Connection::open(&key).expect("a server");
    let client = connection.stream.get_ref().local_addr().expect("connected");
    let entry = rig.connections().remove(0);
    assert_eq!((entry.client, entry.destination), (client, server.address));
    assert_eq!(
        (entry.protocol.as_str(), entry.state.as_str()),
        ("TCP", "ESTABLISHED")
    );
    assert!((490..=500).contains(&entry.expires.as_secs()), "{entry:?}");
    connection.finish().expect("an end in order");
    rig.wait_states(&["TIME_WAIT"]);
    let entry = rig.connections().remove(0);
    assert!((110..=120).contains(&entry.expires.as_secs()), "{entry:?}");
    assert_eq!(
        rig.table.timeouts().expect("timeouts").tcp,
        Duration::from_secs(500)
    );
}

#[test]
fn a_half_closed_connection_is_cut_when_it_has_been_silent_too_long() {
    use std::{
        io::Read as _,
        net::{Shutdown, TcpStream},
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let mut rig = Rig::new();
    let key = rig.tcp("rr");
    rig.destination(&key, listener.local_addr().expect("bound"), 1);
    let tcp_fin = Some(Duration::from_secs(1));
    rig.table
        .set_timeouts(&TimeoutsUpdate {
            tcp_fin,
            ..TimeoutsUpdate::default()
        })
        .expect("set");
    let client = TcpStream::connect(crate::support::address(&key)).expect("the proxy listens");
    let (mut server, _) = listener.accept().expect("the proxy connects");
    server.shutdown(Shutdown::Write).expect("open");
    server
        .set_read_timeout(Some(crate::support::LIMIT))
        .expect("an option");
    let error = server.read(&mut [0]).expect_err("the client has not ended");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    rig.wait_states(&["CLOSE"]);
    drop(client);
}

#[test]
fn a_client_port_that_is_used_again_replaces_its_entry() {
    let server = Server::start("A");
    let mut rig = Rig::new();
    let key = rig.tcp("rr");
    rig.destination(&key, server.address, 1);
    let source = free_address();
    for _ in 0..3 {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&source.into()).expect("a free port");
        socket
            .connect(&crate::support::address(&key).into())
            .expect("the proxy listens");
        lvs_testkit::wait_until("the connection", crate::support::LIMIT, || {
            rig.states()
                .iter()
                .any(|state| state == "ESTABLISHED")
                .then_some(())
        });
        assert_eq!(rig.states(), ["ESTABLISHED"]);
        assert_eq!(rig.counts(&key, server.address), (1, 0));
        // A reset leaves the port free at once.
        socket.set_linger(Some(Duration::ZERO)).expect("an option");
        drop(socket);
        rig.wait_states(&["CLOSE"]);
        assert_eq!(rig.counts(&key, server.address), (0, 1));
    }
}

#[test]
fn the_table_answers_on_a_unix_socket() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ipvs.sock");
    let server = Server::start("A");
    let rig = Rig::new();
    rig.proxy
        .serve(UnixListener::bind(&path).expect("a new socket"))
        .expect("served");
    let mut clients: Vec<_> = (0..3)
        .map(|_| Client::connect(UnixTransport::connect(&path).expect("listens")).expect("answers"))
        .collect();
    let key = ServiceKey::tcp(free_address());
    clients[0]
        .add_service(&service(key, "wlc"))
        .expect("can be listened for");
    clients[1]
        .add_destination(&key, &crate::support::destination(server.address, 1))
        .expect("a new one");
    let mut held = Vec::new();
    for _ in 0..700 {
        held.push(Connection::open(&key).expect("a server"));
    }
    // More than a page of the listing, in pieces, complete.
    let mut listed = Vec::new();
    clients[2]
        .connections(|entry| listed.push(entry.client))
        .expect("a listing");
    listed.sort();
    listed.dedup();
    let mut connected: Vec<_> = held
        .iter()
        .map(|c| c.stream.get_ref().local_addr().expect("connected"))
        .collect();
    connected.sort();
    assert_eq!(listed, connected);
    assert_eq!(
        clients[0].destinations(&key).expect("known")[0]
            .status
            .active_conns,
        700
    );
}
