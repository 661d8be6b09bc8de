//! LVS-NAT: the director stands between the clients' network and the servers'.
//!
//! ```text
//!   client ---- outside ---- director ---- inside ---- web1, web2
//!   .2      198.51.100.0/24  .1 .10 | .1  10.0.0.0/24   .11   .12
//! ```

use lvs_testkit::lab::{Host, Lab, enter};

use crate::deployment::{self, Web};
use crate::director::Director;

const CONFIGURATION: &str = include_str!("../../../../docs/deployments/nat.conf");

/// The three machines of the picture.
pub(crate) fn network(lab: &Lab, more_ports: &[u16]) -> (Host, Host, [Web; 2]) {
    let (outside, inside) = (lab.switch("outside"), lab.switch("inside"));

    let director = lab.host("director");
    director.plug(&outside, "eth0", &["198.51.100.1/24", "2001:db8:1::1/64"]);
    director.plug(&inside, "eth1", &["10.0.0.1/24", "fd00::1/64"]);
    // The virtual addresses, and the way for the answers.
    director.ip("address add 198.51.100.10/32 dev eth0\naddress add 2001:db8:1::10/128 dev eth0");
    director.forward_packets();

    let webs = [("web1", "11"), ("web2", "12")].map(|(name, number)| {
        let web = lab.host(name);
        let addresses = [format!("10.0.0.{number}/24"), format!("fd00::{number}/64")];
        web.plug(&inside, "eth0", &addresses.each_ref().map(String::as_str));
        web.route("default via 10.0.0.1");
        web.route("default via fd00::1");
        Web::start(web, more_ports)
    });

    let client = lab.host("client");
    client.plug(&outside, "eth0", &["198.51.100.2/24", "2001:db8:1::2/64"]);
    (client, director, webs)
}

#[test]
fn a_deployment_of_nat() {
    let Some(lab) = enter() else { return };
    let (client, host, mut webs) = network(&lab, &[]);
    let mut director = Director::start(&host, CONFIGURATION, &["-I"]);
    director.wait_serving();

    let urls = ["http://198.51.100.10/", "http://[2001:db8:1::10]/"];
    for url in urls {
        deployment::three_to_one(&client, url);
    }
    deployment::persists(&client, &["http://198.51.100.10:8080/"]);
    assert!(webs[1].access_log().contains("198.51.100.2 "));
    deployment::load(&client, &host, urls[0], "198.51.100.10:80");
    deployment::load(&client, &host, urls[1], "[2001:db8:1::10]:80");
    deployment::a_server_goes_and_comes(&client, &director, &mut webs, &urls);
    deployment::save_flush_restore(&host, &mut director, CONFIGURATION);
    for url in urls {
        deployment::three_to_one(&client, url);
    }
}
