//! Ten thousand idle connections. In a process of its own, because it wants all the files there are.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use ipvs_netlink::{Client, Destination, ForwardMethod, ServiceKey, VirtualService};
use lvs_proxy::{Proxy, ProxyConfig};
use lvs_testkit::wait_until;
use nix::sys::resource::{Resource, getrlimit};
use socket2::{Domain, Socket, Type};

const MANY: usize = 10_000;
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn ten_thousand_idle_connections_take_little_and_work() {
    let proxy = Proxy::start(ProxyConfig::default()).expect("threads");
    let (limit, _) = getrlimit(Resource::RLIMIT_NOFILE).expect("readable");
    // Four files for each: the client's, the server's, and two of the proxy.
    let many = MANY.min(
        usize::try_from(limit)
            .unwrap_or(usize::MAX)
            .saturating_sub(200)
            / 4,
    );
    if many < MANY {
        lvs_testkit::skip(&format!(
            "a part: with {limit} files only {many} connections are tried"
        ));
    }
    let listener = listener();
    let server = listener.local_addr().expect("bound");
    let address = ([127, 0, 0, 1], lvs_testkit::free_port()).into();
    let key = ServiceKey::tcp(address);
    let mut table = Client::connect(proxy.transport()).expect("the table answers");
    table
        .add_service(&VirtualService::new(key, "wlc".parse().expect("a name")))
        .expect("free");
    table
        .add_destination(&key, &Destination::new(server, ForwardMethod::Masq))
        .expect("new");

    let before = resident();
    let accepted = thread::spawn(move || {
        let accept = |_| listener.accept().expect("a connection").0;
        (0..many).map(accept).collect::<Vec<_>>()
    });
    let mut clients: Vec<_> = (0..many)
        .map(|_| TcpStream::connect(address).expect("room"))
        .collect();
    let servers = accepted.join().expect("no panic");
    wait_until("all established", LIMIT, || {
        let entries = table.destinations(&key).expect("known");
        (entries[0].status.active_conns as usize == many).then_some(())
    });
    let each = resident().saturating_sub(before) / many;
    println!("{each} bytes resident for each of {many} idle connections");
    // This process has the clients' and the servers' handles too, but they are small.
    assert!(each < 3072, "{each} bytes for an idle connection");
    assert_eq!(proxy.live_connections(), many);
    let mut listed = 0;
    table.connections(|_| listed += 1).expect("a listing");
    assert_eq!(listed, many);

    // All of them work still.
    for client in &mut clients {
        client.set_read_timeout(Some(LIMIT)).expect("an option");
        client.write_all(b"?").expect("room");
    }
    for mut server in servers {
        let mut heard = [0];
        server.read_exact(&mut heard).expect("the question");
        server.write_all(b"!").expect("room");
    }
    for mut client in clients {
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).expect("an end in order");
        assert_eq!(heard, b"!");
    }
    wait_until("all gone", LIMIT, || {
        (proxy.live_connections() == 0).then_some(())
    });
}

/// A server with room for all of them at once: from a full queue a connection can be lost without a word.
fn listener() -> TcpListener {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a file");
    socket
        .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .expect("a free port");
    socket.listen(i32::MAX).expect("bound");
    // Holds for accept(2), too.
    socket.set_read_timeout(Some(LIMIT)).expect("an option");
    socket.into()
}

/// Resident memory of this process in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("a process has a status");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .expect("a size");
    let kib: usize = line
        .split_whitespace()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .expect("a number");
    kib * 1024
}
