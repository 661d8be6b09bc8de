//! The table changes while connections live.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

use crate::support::{Connection, LIMIT, Rig, Server, address, destination, sequence, service};

#[test]
fn changes_under_load_lose_nothing() {
    let [a, b, c] = ["A", "B", "C"].map(Server::start);
    let mut rig = Rig::new();
    let key = rig.tcp("wrr");
    for server in [&a, &b, &c] {
        rig.destination(&key, server.address, 3);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let done = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
            thread::spawn(move || -> std::io::Result<()> {
                let mut long = Connection::open(&key)?;
                while !stop.load(SeqCst) {
                    let mut short = Connection::open(&key)?;
                    short.say("a request of some length")?;
                    short.finish()?;
                    long.say("another one")?;
                    done.fetch_add(1, SeqCst);
                }
                long.finish()
            })
        })
        .collect();
    for round in 1..=60 {
        rig.set(&key, &destination(a.address, round % 4));
        rig.remove(&key, b.address);
        rig.destination(&key, b.address, 1 + round % 3);
        rig.table
            .edit_service(&service(key, if round % 2 == 0 { "wrr" } else { "wlc" }))
            .expect("a known service");
        let before = done.load(SeqCst);
        lvs_testkit::wait_until("requests between two changes", LIMIT, || {
            (done.load(SeqCst) > before || clients.iter().any(thread::JoinHandle::is_finished))
                .then_some(())
        });
    }
    stop.store(true, SeqCst);
    for client in clients {
        client.join().expect("no panic").expect("no request lost");
    }
    for server in [&a, &b, &c] {
        lvs_testkit::wait_until("no active connection", LIMIT, || {
            (rig.counts(&key, server.address).0 == 0).then_some(())
        });
    }
}

#[test]
fn connections_of_a_removed_server_end_by_themselves() {
    let [a, b] = ["A", "B"].map(Server::start);
    let mut rig = Rig::new();
    let key = rig.tcp("rr");
    rig.destination(&key, a.address, 1);
    rig.destination(&key, b.address, 1);
    let mut old = Connection::open(&key).expect("a server");
    assert_eq!(old.server, "B");
    rig.remove(&key, b.address);
    assert_eq!(sequence(&key, 3), "AAA");
    old.say("still here").expect("an echo");
    // It comes back with the connections that it has.
    rig.destination(&key, b.address, 1);
    assert_eq!(rig.counts(&key, b.address), (1, 0));
    old.finish().expect("an end in order");
    rig.wait_counts(&key, b.address, (0, 1));
}

#[test]
fn a_deleted_service_refuses_and_leaves_its_connections_alone() {
    let a = Server::start("A");
    let mut rig = Rig::new();
    let key = rig.tcp("rr");
    rig.destination(&key, a.address, 1);
    let mut old = Connection::open(&key).expect("a server");
    rig.table.delete_service(&key).expect("a known service");
    let refused = std::net::TcpStream::connect(address(&key)).expect_err("nobody listens");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    old.say("still here").expect("an echo");
    assert_eq!(rig.states(), ["ESTABLISHED"]);
    // The port is free at once, and the destination finds its connection again.
    rig.add(key, "rr");
    rig.destination(&key, a.address, 1);
    assert_eq!(rig.counts(&key, a.address), (1, 0));
    assert_eq!(sequence(&key, 1), "A");
    old.finish().expect("an end in order");
}

#[test]
fn flushing_closes_every_port() {
    let mut rig = Rig::new();
    let keys = [rig.tcp("rr"), rig.tcp("wlc"), rig.tcp("sh")];
    rig.table
        .execute(&ipvs_netlink::Command::Flush)
        .expect("always possible");
    for key in keys {
        assert!(std::net::TcpStream::connect(address(&key)).is_err());
    }
    assert_eq!(rig.table.services().expect("an empty table"), []);
}

#[test]
fn another_scheduler_starts_at_once() {
    let [a, b] = ["A", "B"].map(Server::start);
    let mut rig = Rig::new();
    let key = rig.tcp("wrr");
    rig.destination(&key, a.address, 1);
    rig.destination(&key, b.address, 3);
    assert_eq!(sequence(&key, 5), "BABBB");
    rig.table
        .edit_service(&service(key, "fo"))
        .expect("a known service");
    assert_eq!(sequence(&key, 3), "BBB");
}
