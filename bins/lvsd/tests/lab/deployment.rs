//! What every deployment has to stand.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::process::Command;
use std::sync::Arc;

use lvs_testkit::lab::{Host, LIMIT};
use lvs_testkit::{Nginx, wait_until};
use nix::sys::signal::Signal;

use crate::director::Director;

/// A web server of a deployment that says its name on port 80, and on `more` ports.
pub(crate) struct Web {
    pub(crate) host: Host,
    addresses: String,
    ports: Vec<u16>,
    nginx: Arc<Nginx>,
}

impl Web {
    pub(crate) fn start(host: Host, more: &[u16]) -> Self {
        let ports = [&[80], more].concat();
        let nginx = host.serve(host.name(), &ports);
        Self {
            addresses: host.run(&["ip", "-o", "address", "show", "dev", "eth0"]),
            host,
            ports,
            nginx,
        }
    }

    fn has(&self, address: IpAddr) -> bool {
        self.addresses.contains(&format!(" {address}/"))
    }

    fn stop(&self) {
        self.nginx.process().signal(Signal::SIGTERM);
    }

    fn start_again(&mut self) {
        self.nginx = self.host.serve(self.host.name(), &self.ports);
    }

    /// Whose requests it has answered.
    pub(crate) fn access_log(&self) -> String {
        self.nginx.access_log()
    }
}

/// How often each server answered `count` requests in turn.
pub(crate) fn spread(client: &Host, url: &str, count: usize) -> BTreeMap<String, usize> {
    let mut spread = BTreeMap::new();
    for _ in 0..count {
        *spread.entry(client.fetch(url)).or_default() += 1;
    }
    spread
}

fn counts<const N: usize>(counts: [(&str, usize); N]) -> BTreeMap<String, usize> {
    counts
        .into_iter()
        .map(|(name, count)| (name.to_owned(), count))
        .collect()
}

/// `web1` has three of four requests, `web2` one.
pub(crate) fn three_to_one(client: &Host, url: &str) {
    assert_eq!(spread(client, url, 8), counts([("web1", 6), ("web2", 2)]));
}

/// The client stays with a server.
pub(crate) fn persists(client: &Host, urls: &[&str]) {
    let mut answers: Vec<String> = urls
        .iter()
        .flat_map(|url| [client.fetch(url), client.fetch(url), client.fetch(url)])
        .collect();
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
}

/// A server stops, and after a while nobody is sent to it; it starts, and has its share again.
pub(crate) fn a_server_goes_and_comes(
    client: &Host,
    director: &Director,
    webs: &mut [Web; 2],
    urls: &[&str],
) {
    let [web, other] = webs;
    web.stop();
    wait_served_by(director, &[other]);
    for url in urls {
        assert_eq!(spread(client, url, 4), counts([(other.host.name(), 4)]));
    }
    web.start_again();
    wait_served_by(director, &[web, other]);
    for url in urls {
        three_to_one(client, url);
    }
}

/// A client whose server stops gets another one, though it was to stay.
pub(crate) fn a_client_moves(client: &Host, director: &Director, webs: &mut [Web; 2], url: &str) {
    let [web, other] = webs;
    let fetch_from = |web: &Web| {
        let answer = client.fetch(url);
        assert_eq!(answer, web.host.name(), "{}", director.evidence());
    };
    fetch_from(web);
    web.stop();
    wait_served_by(director, &[other]);
    fetch_from(other);
    web.start_again();
    wait_served_by(director, &[web, other]);
    fetch_from(other);
}

/// Waits until every service has these servers in the table, and no other.
#[track_caller]
fn wait_served_by(director: &Director, webs: &[&Web]) {
    director.wait("the change of servers", |director| {
        let services = director.status().services;
        let mut servers = services.iter().flat_map(|service| &service.servers);
        servers.all(|server| {
            let address = server.address.ip();
            server.in_table == webs.iter().any(|web| web.has(address))
        })
    });
}

/// Many clients at a time, of whom none fails; meanwhile the table of connections shows them.
pub(crate) fn load(client: &Host, director: &Host, url: &str, vip: &str) {
    let mut ab = Command::new("ab");
    ab.args(["-n", "400", "-c", "8", "-s", "20", url]);
    let ab = client.start(&mut ab);
    wait_until("connections in the table", LIMIT, || {
        let listing = director.run(&["lvsadm", "-Lnc"]);
        listing
            .lines()
            .any(|line| line.contains(vip) && line.starts_with("TCP"))
            .then_some(())
    });
    ab.wait_for("(longest request)", LIMIT);
    let status = ab.wait(LIMIT);
    let report = ab.output();
    assert!(status.success(), "{report}");
    let number = |name: &str| {
        let line = report.lines().find(|line| line.starts_with(name));
        let number = line.and_then(|line| line.split_whitespace().nth(2));
        number.unwrap_or_default().to_owned()
    };
    assert_eq!(number("Complete requests:"), "400", "{report}");
    assert_eq!(number("Failed requests:"), "0", "{report}");
    assert!(!report.contains("Non-2xx"), "{report}");
}

/// The table goes to a file, away, and back, as an operator does it by hand while no director runs;
/// the next one takes it over as it is.
pub(crate) fn save_flush_restore(host: &Host, director: &mut Director, configuration: &str) {
    director.stop();
    let saved = host.run(&["lvsadm", "-S", "-n"]);
    assert!(saved.contains("-a "), "{saved}");
    let file = director.run_dir().join("saved");
    std::fs::write(&file, &saved).expect("the run folder is writable");
    host.run(&["lvsadm", "-C"]);
    assert_eq!(host.run(&["lvsadm", "-S", "-n"]), "");
    let restore = format!("lvsadm -R < {}", file.display());
    host.run(&["sh", "-c", &restore]);
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&host.run(&["lvsadm", "-S", "-n"])), sorted(&saved));
    director.succeed(configuration, &["-I"]);
    director.wait_serving();
    assert_eq!(sorted(&host.run(&["lvsadm", "-S", "-n"])), sorted(&saved));
}
