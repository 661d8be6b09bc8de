//! Draining and the end.

use std::{io::Read as _, net::TcpStream, thread, time::Duration};

use crate::support::{Connection, LIMIT, Rig, Server, address, is_reset};

#[test]
fn draining_waits_for_connections_and_accepts_no_more() {
    let server = Server::start("A");
    let mut rig = Rig::new();
    let key = rig.tcp("rr");
    rig.destination(&key, server.address, 1);
    let mut old = Connection::open(&key).expect("a server");
    thread::scope(|scope| {
        let drained = scope.spawn(|| rig.proxy.drain(LIMIT));
        lvs_testkit::wait_until("the port to be closed", LIMIT, || {
            TcpStream::connect(address(&key)).is_err().then_some(())
        });
        old.say("still here").expect("an echo");
        assert!(!drained.is_finished());
        old.finish().expect("an end in order");
        assert_eq!(drained.join().expect("no panic").cut, 0);
    });
    let refused = rig.table.add_service(&crate::support::service(key, "rr"));
    assert!(refused.is_err(), "it is shutting down");
}

#[test]
fn draining_cuts_what_outstays_its_limit() {
    let server = Server::start("A");
    let mut rig = Rig::new();
    let key = rig.tcp("rr");
    rig.destination(&key, server.address, 1);
    let mut held: Vec<_> = (0..3)
        .map(|_| Connection::open(&key).expect("a server"))
        .collect();
    assert_eq!(rig.proxy.drain(Duration::from_millis(50)).cut, 3);
    for connection in &mut held {
        let error = connection.stream.read(&mut [0]).expect_err("cut");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    rig.wait_states(&["CLOSE", "CLOSE", "CLOSE"]);
}

#[test]
fn dropping_the_proxy_ends_everything() {
    let server = Server::start("A");
    let mut rig = Rig::new();
    let key = rig.tcp("rr");
    rig.destination(&key, server.address, 1);
    let mut held = Connection::open(&key).expect("a server");
    assert!(!is_reset(&key));
    drop(rig);
    let error = held.stream.read(&mut [0]).expect_err("cut");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(TcpStream::connect(address(&key)).is_err());
}
