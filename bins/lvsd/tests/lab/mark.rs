//! A service by firewall mark, in the network of [`nat`](crate::nat): nftables marks what belongs to it.

use lvs_testkit::lab::{Host, enter};

use crate::deployment;
use crate::director::Director;

const CONFIGURATION: &str = include_str!("../../../../docs/deployments/mark.conf");
const RULES: &str = include_str!("../../../../docs/deployments/mark.nft");

/// Loads the rules. Of nftables, the lab's kernel has the family "bridge" alone, in which the same rules
/// mean the same; so the packets have to come through a bridge.
fn load_rules(director: &Host) {
    director.ip(
        "link add br0 type bridge forward_delay 0\naddress flush dev eth0\n\
         link set eth0 master br0\nlink set br0 up\n\
         address add 198.51.100.1/24 dev br0\naddress add 198.51.100.10/32 dev br0\n\
         address add 2001:db8:1::1/64 dev br0\naddress add 2001:db8:1::10/128 dev br0",
    );
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("mark.nft");
    let rules = RULES.replace("table inet", "table bridge");
    std::fs::write(&file, rules).expect("the folder is writable");
    director.run(&["nft", "-f", &file.to_string_lossy()]);
}

#[test]
fn a_deployment_of_marks() {
    let Some(lab) = enter() else { return };
    // Port 443 without TLS here: what is inside is not the director's business.
    let (client, host, mut webs) = crate::nat::network(&lab, &[443]);
    load_rules(&host);
    let mut director = Director::start(&host, CONFIGURATION, &["-I"]);
    director.wait_serving();

    let urls = [
        ["http://198.51.100.10/", "http://198.51.100.10:443/"],
        ["http://[2001:db8:1::10]/", "http://[2001:db8:1::10]:443/"],
    ];
    for urls in urls {
        deployment::persists(&client, &urls);
    }
    deployment::load(&client, &host, urls[0][1], "198.51.100.10:443");
    let chosen = usize::from(client.fetch(urls[0][0]) == "web2");
    webs.swap(0, chosen);
    deployment::a_client_moves(&client, &director, &mut webs, urls[0][1]);
    deployment::save_flush_restore(&host, &mut director, CONFIGURATION);
    assert!(client.try_fetch(urls[1][1]).is_some());
}
