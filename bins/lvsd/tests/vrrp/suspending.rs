//! Checks and listeners of services whose address moves between the hosts.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use director::status::VrrpState::{Backup, Master};
use lvs_testkit::netns::Namespace;

use crate::lan::Lan;
use crate::router::{FAST, Router, instance};

/// A server that says who connects to it, until its process ends.
struct Server {
    seen: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Server {
    fn start(host: &Namespace) -> Self {
        let listener = host.run(|| TcpListener::bind("10.0.0.3:80").expect("a free port"));
        let seen: Arc<Mutex<HashMap<IpAddr, usize>>> = Arc::default();
        let told = Arc::clone(&seen);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(from) = client.and_then(|it| it.peer_addr()) else {
                    continue;
                };
                *told.lock().unwrap().entry(from.ip()).or_default() += 1;
            }
        });
        Self { seen }
    }

    /// How often a host has connected.
    fn checks_of(&self, host: u8) -> usize {
        let address = IpAddr::from([10, 0, 0, host]);
        self.seen
            .lock()
            .unwrap()
            .get(&address)
            .copied()
            .unwrap_or(0)
    }
}

fn text(priority: u8) -> String {
    let server = |address: &str, settings: &str| {
        format!("real_server {address} 80 {{\n TCP_CHECK {{\n {settings}\n }}\n }}\n")
    };
    format!(
        "{}virtual_server 10.0.0.100 8080 {{\n ha_suspend\n protocol TCP\n lb_algo rr\n \
         lb_kind NAT\n delay_loop 0.1\n {}{}}}\n",
        instance(priority, FAST),
        server("10.0.0.3", "connect_timeout 3"),
        // Nobody answers there, for as long as a check waits.
        server("10.0.0.4", "connect_timeout 30\n retry 0\n delay_loop 0.1")
    )
}

/// A line about a check of the server that answers.
fn line(verb: &str) -> String {
    format!("{verb} healthchecker for service [10.0.0.3]:tcp:80 for VS [10.0.0.100]:tcp:8080")
}

/// A request of somebody to the virtual address comes through.
fn is_served(host: &Namespace) -> bool {
    let target = SocketAddr::from(([10, 0, 0, 100], 8080));
    host.run(|| TcpStream::connect_timeout(&target, Duration::from_secs(1)))
        .is_ok()
}

#[test]
fn checks_follow_the_address_and_so_does_the_service() {
    let Some(lan) = Lan::<3>::new() else { return };
    let server = Server::start(lan.host(3));
    lan.host(3).ip("addr add 10.0.0.4/24 dev eth0");
    let chain = "add chain ip mute input { type filter hook input priority raw ; }";
    for command in [
        "add table ip mute",
        chain,
        "add rule ip mute input ip daddr 10.0.0.4 drop",
    ] {
        lan.host(3).command("nft", command);
    }
    let first = Router::start_whole(lan.host(1), &text(150));
    first.wait_for(Master);
    first.wait("checks", |_| server.checks_of(1) >= 3);
    let second = Router::start_whole(lan.host(2), &text(100));
    second.wait_for(Backup);
    second.wait_for_line(&line("Suspending"));
    let meanwhile = server.checks_of(1);
    first.wait("more checks", |_| server.checks_of(1) >= meanwhile + 5);
    assert_eq!(server.checks_of(2), 0);
    // Its listener could not listen there, and its server is taken as it is configured.
    first.wait("the service", |_| is_served(lan.host(3)));

    // The address goes while a check waits for an answer, which does not count then.
    lan.host(1).ip("link set eth0 down");
    second.wait_for(Master);
    second.wait("the service", |_| is_served(lan.host(3)));
    first.wait_for_line(&line("Suspending"));
    second.wait_for_line(&line("Activating"));
    second.wait("checks", |_| server.checks_of(2) >= 3);
    assert_eq!(first.count("TCP_CHECK on service [10.0.0.4]:tcp:80"), 0);
    assert_eq!(first.count("Removing service"), 0);

    lan.host(1).ip("link set eth0 up");
    first.wait_for(Master);
    first.wait_for_line(&line("Activating"));
    second.wait("its checks to be suspended again", |it| {
        it.count(&line("Suspending")) == 2
    });
    // One may be on its way.
    let (mine, theirs) = (server.checks_of(1), server.checks_of(2));
    first.wait("checks again", |_| server.checks_of(1) >= mine + 5);
    assert!(server.checks_of(2) <= theirs + 1);

    // What somebody removes is put back at once, and the checks go on.
    lan.host(1).ip("addr del 10.0.0.100/24 dev eth0");
    first.wait_for_line("10.0.0.100 removed by something else, put back");
    let mine = server.checks_of(1);
    first.wait("checks again", |_| server.checks_of(1) >= mine + 3);
    assert_eq!(first.count("Entering MASTER"), 2);
}
