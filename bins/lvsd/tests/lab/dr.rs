//! LVS-DR: the director and the servers share a segment, and servers answer clients themselves.
//!
//! ```text
//!   client ---- outside ---- router ---- inside ----+---- director  .1, .10 (virtual)
//!   .2      198.51.100.0/24  .1 | .254  192.0.2.0/24 +---- web1 .11, web2 .12 (both .10 on lo)
//! ```

use lvs_testkit::lab::enter;

use crate::deployment::{self, Web};
use crate::director::Director;
use crate::realserver::{RealServer, VIPS};

const CONFIGURATION: &str = include_str!("../../../../docs/deployments/dr.conf");

#[test]
fn a_deployment_of_direct_routing() {
    let Some(lab) = enter() else { return };
    let (outside, inside) = (lab.switch("outside"), lab.switch("inside"));
    let router = lab.host("router");
    router.plug(&outside, "eth0", &["198.51.100.1/24", "2001:db8:1::1/64"]);
    router.plug(&inside, "eth1", &["192.0.2.254/24", "2001:db8:2::254/64"]);
    router.forward_packets();
    let client = lab.host("client");
    client.plug(&outside, "eth0", &["198.51.100.2/24", "2001:db8:1::2/64"]);
    client.route("default via 198.51.100.1");
    client.route("default via 2001:db8:1::1");

    let host = lab.host("director");
    host.plug(&inside, "eth0", &["192.0.2.1/24", "2001:db8:2::1/64"]);
    // Not as a source: servers have it, too, and would answer the checks to themselves.
    host.ip("address add 192.0.2.10/32 dev eth0\n\
         address add 2001:db8:2::10/128 dev eth0 preferred_lft 0");
    let servers = [("web1", "11"), ("web2", "12")].map(|(name, number)| {
        let web = lab.host(name);
        let addresses = [
            format!("192.0.2.{number}/24"),
            format!("2001:db8:2::{number}/64"),
        ];
        web.plug(&inside, "eth0", &addresses.each_ref().map(String::as_str));
        web.route("default via 192.0.2.254");
        web.route("default via 2001:db8:2::254");
        RealServer::up(&web, "dr")
    });
    let mut webs = servers
        .each_ref()
        .map(|server| Web::start(server.host.clone(), &[8080]));

    let mut director = Director::start(&host, CONFIGURATION, &["-I"]);
    director.wait_serving();
    let urls = ["http://192.0.2.10/", "http://[2001:db8:2::10]/"];
    for url in urls {
        deployment::three_to_one(&client, url);
    }
    deployment::persists(&client, &["http://192.0.2.10:8080/"]);
    // Servers see the clients, and only the director speaks of the virtual addresses.
    assert!(webs[1].access_log().contains("198.51.100.2 "));
    assert!(webs[1].access_log().contains("2001:db8:1::2 "));
    let link = host.run(&["ip", "-o", "link", "show", "dev", "eth0"]);
    let mut words = link
        .split_whitespace()
        .skip_while(|word| *word != "link/ether");
    let mac = words.nth(1).expect("a veth has an Ethernet address");
    for vip in VIPS {
        router.run(&["ip", "neigh", "flush", "to", vip]);
        client.fetch(urls[usize::from(vip.contains(':'))]);
        let neighbour = router.run(&["ip", "neigh", "show", "to", vip]);
        assert!(neighbour.contains(mac), "{neighbour}");
    }
    deployment::load(&client, &host, urls[0], "192.0.2.10:80");
    deployment::load(&client, &host, urls[1], "[2001:db8:2::10]:80");
    deployment::a_server_goes_and_comes(&client, &director, &mut webs, &urls);
    deployment::save_flush_restore(&host, &mut director, CONFIGURATION);
    for url in urls {
        deployment::three_to_one(&client, url);
    }
    for server in servers {
        server.down();
    }
}
