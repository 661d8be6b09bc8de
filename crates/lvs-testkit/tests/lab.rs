//! The lab's library, in the lab.

use std::net::UdpSocket;
use std::process::Command;

use lvs_testkit::lab;

#[test]
fn hosts_of_a_switch_reach_each_other() {
    let Some(lab) = lab::enter() else { return };
    let wire = lab.switch("wire");
    let client = lab.host("client");
    client.plug(&wire, "eth0", &["10.0.0.2/24", "fd00::2/64"]);
    let server = lab.host("server");
    server.plug(&wire, "eth0", &["10.0.0.3/24", "fd00::3/64"]);
    let nginx = server.serve("hello from server", &[80, 8080]);

    let packets = client.capture("eth0", "tcp port 80");
    assert_eq!(client.fetch("http://10.0.0.3/"), "hello from server");
    assert_eq!(
        client.fetch("http://[fd00::3]:8080/page"),
        "hello from server"
    );
    assert_eq!(client.try_fetch("http://10.0.0.3:81/"), None);
    let log = nginx.access_log();
    assert!(log.contains("10.0.0.2") && log.contains("fd00::2"), "{log}");

    let answer = packets.wait_for("10.0.0.3.80 > 10.0.0.2");
    assert!(answer.starts_with("IP "), "{answer}");
    packets.stop();
    assert!(packets.bytes().len() > 500);
    assert!(
        packets
            .packets(&[])
            .iter()
            .all(|line| !line.contains("8080"))
    );
}

#[test]
fn packets_are_forwarded_between_networks() {
    let Some(lab) = lab::enter() else { return };
    let (outside, inside) = (lab.switch("outside"), lab.switch("inside"));
    let client = lab.host("client");
    client.plug(&outside, "eth0", &["192.0.2.2/24", "2001:db8:1::2/64"]);
    client.route("default via 192.0.2.1");
    client.route("default via 2001:db8:1::1");
    let router = lab.host("router");
    router.plug(&outside, "eth0", &["192.0.2.1/24", "2001:db8:1::1/64"]);
    router.plug(&inside, "eth1", &["10.0.0.1/24", "2001:db8:2::1/64"]);
    router.forward_packets();
    let server = lab.host("server");
    server.plug(&inside, "eth0", &["10.0.0.2/24", "2001:db8:2::2/64"]);
    server.route("default via 10.0.0.1");
    server.route("default via 2001:db8:2::1");
    server.serve("inside", &[80]);
    assert_eq!(client.fetch("http://10.0.0.2/"), "inside");
    assert_eq!(client.fetch("http://[2001:db8:2::2]/"), "inside");
}

#[test]
fn programs_and_closures_are_in_their_host() {
    let Some(lab) = lab::enter() else { return };
    let host = lab.host("alone");
    host.ip("address add 10.9.9.9/32 dev lo");
    assert!(host.run(&["ip", "address"]).contains("10.9.9.9"));
    host.enter(|| UdpSocket::bind("10.9.9.9:0").expect("the address is the host's"));
    UdpSocket::bind("10.9.9.9:0").expect_err("and nobody else's");
    let failed = host.output(Command::new("sh").args(["-c", "exit 3"]));
    assert_eq!(failed.status.code(), Some(3));
    let daemon = host.start(Command::new("sh").args(["-c", "ip -oneline address; exec sleep 600"]));
    daemon.wait_for("10.9.9.9", lab::LIMIT);
}

#[test]
fn every_host_has_a_table_of_its_own() {
    let Some(lab) = lab::enter() else { return };
    let (one, other) = (lab.host("one"), lab.host("other"));
    one.run(&["ipvsadm", "-A", "-t", "10.0.0.1:80", "-s", "wlc"]);
    assert!(one.run(&["ipvsadm", "-Sn"]).contains("10.0.0.1:80"));
    assert_eq!(other.run(&["ipvsadm", "-Sn"]), "");
}
