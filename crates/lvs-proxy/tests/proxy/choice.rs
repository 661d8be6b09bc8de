//! Which server is chosen: order, weights, thresholds, persistence, failover.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use ipvs_netlink::{Destination, Granularity, ServiceKey, VirtualService};
use lvs_proxy::ProxyConfig;
use socket2::{Domain, Socket, Type};

use crate::support::{
    Connection, Rig, Server, destination, free_address, is_reset, sequence, service,
};

fn persistent(key: ServiceKey, granularity: Granularity) -> VirtualService {
    VirtualService {
        persistence_timeout: Some(Duration::from_secs(300)),
        persistence_granularity: granularity,
        ..service(key, "rr")
    }
}

#[test]
fn the_order_over_two_workers_is_the_kernels() {
    let [a, b, c] = ["A", "B", "C"].map(Server::start);
    let mut rig = Rig::new();
    let key = rig.tcp("wrr");
    for (server, weight) in [(&a, 4), (&b, 2), (&c, 6)] {
        rig.destination(&key, server.address, weight);
    }
    assert_eq!(sequence(&key, 18), "CBACCACBACCACBACCA");
}

#[test]
fn weight_0_gets_nothing_new_and_keeps_what_it_has() {
    let [a, b] = ["A", "B"].map(Server::start);
    let mut rig = Rig::new();
    let key = rig.tcp("rr");
    rig.destination(&key, a.address, 1);
    rig.destination(&key, b.address, 1);
    let mut old = Connection::open(&key).expect("a server");
    assert_eq!(old.server, "B");
    rig.set(&key, &destination(b.address, 0));
    assert_eq!(sequence(&key, 4), "AAAA");
    old.say("still here").expect("an echo");
    assert_eq!(rig.counts(&key, b.address), (1, 0));
    rig.set(&key, &destination(a.address, 0));
    assert!(is_reset(&key));
    rig.set(&key, &destination(b.address, 1));
    assert_eq!(sequence(&key, 2), "BB");
    old.finish().expect("an end in order");
}

#[test]
fn a_full_server_gets_nothing_until_it_has_emptied_enough() {
    let [a, b] = ["A", "B"].map(Server::start);
    let mut rig = Rig::new();
    let key = rig.tcp("fo");
    rig.destination(&key, a.address, 1);
    let preferred = Destination {
        upper_threshold: 3,
        lower_threshold: 2,
        ..destination(b.address, 9)
    };
    rig.table
        .add_destination(&key, &preferred)
        .expect("a new one");
    let open = || Connection::open(&key).expect("a server");
    let held: Vec<_> = (0..5).map(|_| open()).collect();
    let names: Vec<_> = held
        .iter()
        .map(|connection| connection.server.as_str())
        .collect();
    assert_eq!(names, ["B", "B", "B", "A", "A"]);
    // Ended connections linger, and count until they are forgotten: the mark stays.
    held.into_iter()
        .for_each(|connection| connection.finish().expect("an end in order"));
    rig.wait_counts(&key, b.address, (0, 3));
    assert_eq!(open().server, "A");
    // Raising the limit clears the mark at once.
    rig.set(
        &key,
        &Destination {
            upper_threshold: 5,
            ..preferred
        },
    );
    assert_eq!((open().server.as_str(), open().server.as_str()), ("B", "B"));
    assert_eq!(open().server, "A");
}

#[test]
fn when_all_are_full_the_client_is_reset() {
    let a = Server::start("A");
    let mut rig = Rig::new();
    let key = rig.tcp("wlc");
    assert!(is_reset(&key), "no server at all");
    let one = Destination {
        upper_threshold: 1,
        ..destination(a.address, 1)
    };
    rig.table.add_destination(&key, &one).expect("a new one");
    let mut held = Connection::open(&key).expect("a server");
    assert!(is_reset(&key));
    held.say("unharmed").expect("an echo");
    assert_eq!(rig.counts(&key, a.address), (1, 0));
}

#[test]
fn a_client_does_not_notice_servers_that_refuse() {
    let a = Server::start("A");
    let mut rig = Rig::new();
    let key = rig.tcp("rr");
    rig.destination(&key, a.address, 1);
    let refusing: Vec<SocketAddr> = (0..2).map(|_| free_address()).collect();
    for address in &refusing {
        rig.destination(&key, *address, 1);
    }
    assert_eq!(sequence(&key, 9), "AAAAAAAAA");
    for address in refusing {
        assert_eq!(
            rig.counts(&key, address),
            (0, 0),
            "nothing of a refusal lingers"
        );
        assert!(
            rig.entry(&key, address).status.stats.conns > 0,
            "it was asked"
        );
    }
    assert_eq!(rig.table.service(&key).expect("known").stats.conns, 9);
}

#[test]
fn hashing_schedulers_fail_over_too() {
    let a = Server::start("A");
    let mut rig = Rig::new();
    for scheduler in ["sh", "dh", "mh", "lblc", "lblcr", "nq", "sed"] {
        let key = rig.tcp(scheduler);
        rig.destination(&key, a.address, 1);
        rig.destination(&key, free_address(), 1);
        assert_eq!(sequence(&key, 3), "AAA", "{scheduler}");
    }
}

#[test]
fn when_all_refuse_the_client_is_reset() {
    let mut rig = Rig::new();
    let key = rig.tcp("rr");
    for _ in 0..3 {
        rig.destination(&key, free_address(), 1);
    }
    assert!(is_reset(&key));
    assert_eq!(rig.connections(), []);
}

#[test]
fn attempts_are_bounded() {
    let a = Server::start("A");
    let one = std::num::NonZeroUsize::MIN;
    let mut rig = Rig::with(ProxyConfig {
        connect_attempts: one,
        ..ProxyConfig::default()
    });
    let key = rig.tcp("rr");
    rig.destination(&key, a.address, 1);
    rig.destination(&key, free_address(), 1);
    assert!(is_reset(&key));
    assert_eq!(Connection::open(&key).expect("the next one").server, "A");
}

#[test]
fn a_server_that_does_not_answer_in_time_is_passed_over() {
    // A listener whose queue is full drops what comes.
    let silent = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    silent
        .bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())
        .expect("a free port");
    silent.listen(0).expect("bound");
    let full = silent
        .local_addr()
        .expect("bound")
        .as_socket()
        .expect("of the internet");
    let _queued = TcpStream::connect(full).expect("room for one");
    let a = Server::start("A");
    let connect_timeout = Duration::from_millis(200);
    let mut rig = Rig::with(ProxyConfig {
        connect_timeout,
        ..ProxyConfig::default()
    });
    let key = rig.tcp("rr");
    rig.destination(&key, a.address, 1);
    rig.destination(&key, full, 1);
    assert_eq!(Connection::open(&key).expect("the other one").server, "A");
    assert_eq!(rig.counts(&key, full), (0, 0));
}

#[test]
fn a_persistent_client_stays_with_its_server() {
    let [a, b] = ["A", "B"].map(Server::start);
    let mut rig = Rig::new();
    let key = ServiceKey::tcp(free_address());
    rig.table
        .add_service(&persistent(key, Granularity::Host))
        .expect("can be listened for");
    rig.destination(&key, a.address, 1);
    rig.destination(&key, b.address, 1);
    let from = |last: u8| {
        Connection::open_from(Ipv4Addr::new(127, 0, 0, last), &key)
            .expect("a server")
            .server
    };
    assert_eq!(
        [from(1), from(1), from(2), from(2), from(1)],
        ["B", "B", "A", "A", "B"]
    );
    // Quiescing does not end it.
    rig.set(&key, &destination(b.address, 0));
    assert_eq!(from(1), "B");
    assert_eq!(from(3), "A");
    assert_eq!(rig.entry(&key, b.address).status.persist_conns, 1);
    assert_eq!(rig.entry(&key, a.address).status.persist_conns, 2);
    let entries = rig.connections();
    let template = entries
        .iter()
        .find(|e| e.client == SocketAddr::from(([127, 0, 0, 1], 0)));
    let template = template.expect("a template");
    assert_eq!(
        (template.state.as_str(), template.destination),
        ("ASSURED", b.address)
    );
    assert!(
        (290..=300).contains(&template.expires.as_secs()),
        "{template:?}"
    );
    // Removal does.
    rig.remove(&key, b.address);
    assert_eq!(from(1), "A");
}

#[test]
fn persistence_fails_over_and_moves() {
    let a = Server::start("A");
    // Comes back where it was, so nobody may have got its port for a connection meanwhile.
    let b = Server::start_at("B", free_address());
    let mut rig = Rig::new();
    let key = ServiceKey::tcp(free_address());
    // The scheduler alone would insist on B.
    let wanted = VirtualService {
        scheduler: "fo".parse().expect("a name"),
        ..persistent(key, Granularity::Host)
    };
    rig.table.add_service(&wanted).expect("can be listened for");
    rig.destination(&key, a.address, 1);
    rig.destination(&key, b.address, 9);
    assert_eq!(sequence(&key, 2), "BB");
    let address = b.address;
    drop(b);
    assert_eq!(sequence(&key, 2), "AA");
    let _b = Server::start_at("B", address);
    assert_eq!(sequence(&key, 2), "AA", "it has moved");
}

#[test]
fn a_persistent_client_has_one_template_however_often_it_is_refused() {
    let mut rig = Rig::new();
    let key = ServiceKey::tcp(free_address());
    rig.table
        .add_service(&persistent(key, Granularity::Host))
        .expect("can be listened for");
    let refusing = [free_address(), free_address(), free_address()];
    for address in refusing {
        rig.destination(&key, address, 1);
    }
    for _ in 0..5 {
        assert!(is_reset(&key));
    }
    assert_eq!(rig.connections().len(), 1);
    let counted = refusing.map(|address| rig.entry(&key, address).status.persist_conns);
    assert_eq!(counted.iter().sum::<u32>(), 1, "{counted:?}");
}

#[test]
fn all_templates_are_listed_in_pages() {
    let mut rig = Rig::new();
    let a = Server::start("A");
    for _ in 0..2 {
        let key = ServiceKey::tcp(free_address());
        rig.table
            .add_service(&persistent(key, Granularity::Host))
            .expect("can be listened for");
        rig.destination(&key, a.address, 1);
        for client in 0..300u32 {
            let client = Ipv4Addr::from_bits(Ipv4Addr::new(127, 1, 0, 1).to_bits() + client);
            let connection = Connection::open_from(client, &key).expect("a server");
            connection.finish().expect("an end in order");
        }
    }
    let mut listed: Vec<_> = rig
        .connections()
        .into_iter()
        .filter(|entry| entry.client.port() == 0)
        .map(|entry| (entry.virtual_address, entry.client))
        .collect();
    listed.sort();
    listed.dedup();
    assert_eq!(listed.len(), 600);
}

#[test]
fn granularity_makes_neighbours_one_client() {
    let [a, b] = ["A", "B"].map(Server::start);
    let mut rig = Rig::new();
    let key = ServiceKey::tcp(free_address());
    let mask = Granularity::Mask(Ipv4Addr::new(255, 255, 255, 0));
    rig.table
        .add_service(&persistent(key, mask))
        .expect("can be listened for");
    rig.destination(&key, a.address, 1);
    rig.destination(&key, b.address, 1);
    let from = |address: [u8; 4]| {
        Connection::open_from(address.into(), &key)
            .expect("a server")
            .server
    };
    assert_eq!(from([127, 0, 0, 1]), "B");
    assert_eq!(from([127, 0, 0, 200]), "B");
    assert_eq!(from([127, 0, 1, 1]), "A");
    let entries = rig.connections();
    let masked = SocketAddr::from(([127, 0, 0, 0], 0));
    assert!(
        entries.iter().any(|entry| entry.client == masked),
        "{entries:?}"
    );
}

#[test]
fn source_hashing_knows_clients_apart() {
    let servers = ["A", "B", "C", "D"].map(Server::start);
    let mut rig = Rig::new();
    let key = rig.tcp("sh");
    servers
        .iter()
        .for_each(|server| rig.destination(&key, server.address, 1));
    let from = |last: u8| {
        Connection::open_from(Ipv4Addr::new(127, 0, 0, last), &key)
            .expect("a server")
            .server
    };
    let first: Vec<_> = (1..30).map(from).collect();
    let again: Vec<_> = (1..30).map(from).collect();
    assert_eq!(first, again);
    for server in ["A", "B", "C", "D"] {
        assert!(first.iter().any(|name| name == server), "{first:?}");
    }
}

#[test]
fn a_destination_without_a_port_gets_the_services() {
    let port = lvs_testkit::free_port();
    let other_host = Ipv4Addr::new(127, 0, 0, 2);
    let listener = TcpListener::bind((other_host, port)).expect("a free port");
    let mut rig = Rig::new();
    let key = rig.add(ServiceKey::tcp((Ipv4Addr::LOCALHOST, port).into()), "rr");
    rig.destination(&key, (other_host, 0).into(), 1);
    let client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the proxy listens");
    listener.accept().expect("the proxy connects");
    assert_eq!(rig.connections().len(), 1);
    drop(client);
}
