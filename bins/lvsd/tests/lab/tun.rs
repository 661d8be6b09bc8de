//! LVS-TUN: the servers are in another network than the director.
//!
//! ```text
//!   client ---- outside ---- router ---- here ------ director  .1, .10 (virtual)
//!   .2      198.51.100.0/24  .1 | .254  192.0.2.0/24
//!                             .254
//!                               '------- there ----- web1 .11, web2 .12 (both 192.0.2.10 on tunl0)
//!                                        203.0.113.0/24
//! ```

use lvs_testkit::lab::enter;

use crate::deployment::{self, Web};
use crate::director::Director;
use crate::realserver::RealServer;

const CONFIGURATION: &str = include_str!("../../../../docs/deployments/tun.conf");

#[test]
fn a_deployment_of_tunnels() {
    let Some(lab) = enter() else { return };
    let [outside, here, there] = ["outside", "here", "there"].map(|name| lab.switch(name));
    let router = lab.host("router");
    router.plug(&outside, "eth0", &["198.51.100.1/24", "2001:db8:1::1/64"]);
    router.plug(&here, "eth1", &["192.0.2.254/24", "2001:db8:2::254/64"]);
    router.plug(&there, "eth2", &["203.0.113.254/24", "2001:db8:3::254/64"]);
    router.forward_packets();
    let client = lab.host("client");
    client.plug(&outside, "eth0", &["198.51.100.2/24", "2001:db8:1::2/64"]);
    client.route("default via 198.51.100.1");
    client.route("default via 2001:db8:1::1");

    let host = lab.host("director");
    host.plug(&here, "eth0", &["192.0.2.1/24", "2001:db8:2::1/64"]);
    // Not as a source: servers have it, too, and would answer the checks to themselves.
    host.ip("address add 192.0.2.10/32 dev eth0\n\
         address add 2001:db8:2::10/128 dev eth0 preferred_lft 0");
    host.route("default via 192.0.2.254");
    host.route("default via 2001:db8:2::254");
    let servers = [("web1", "11"), ("web2", "12")].map(|(name, number)| {
        let web = lab.host(name);
        let addresses = [
            format!("203.0.113.{number}/24"),
            format!("2001:db8:3::{number}/64"),
        ];
        web.plug(&there, "eth0", &addresses.each_ref().map(String::as_str));
        web.route("default via 203.0.113.254");
        web.route("default via 2001:db8:3::254");
        // As many distributions have it: strict everywhere.
        web.sysctl("net.ipv4.conf.all.rp_filter", "1");
        RealServer::up(&web, "tun")
    });
    let mut webs = servers
        .each_ref()
        .map(|server| Web::start(server.host.clone(), &[8080]));

    let mut director = Director::start(&host, CONFIGURATION, &["-I"]);
    director.wait_serving();
    let urls = ["http://192.0.2.10/", "http://[2001:db8:2::10]/"];
    let tunnelled = router.capture("eth2", "ip proto 4 or ip6 proto 41");
    for url in urls {
        deployment::three_to_one(&client, url);
    }
    tunnelled.wait_for("192.0.2.1 > 203.0.113.11: IP 198.51.100.2");
    tunnelled.wait_for("2001:db8:2::1 > 2001:db8:3::11: IP6 2001:db8:1::2");
    tunnelled.stop();
    deployment::persists(&client, &["http://192.0.2.10:8080/"]);
    assert!(webs[1].access_log().contains("198.51.100.2 "));
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
