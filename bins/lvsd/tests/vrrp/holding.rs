//! How addresses are held.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use director::status::VrrpState::Master;
use lvs_testkit::netns::Namespace;

use crate::lan::Lan;
use crate::router::{FAST, Keepalived, Router, instance};

/// Whether packets of a host come through to the address, and answers back: nobody listens at the
/// port, so the answer is a refusal.
fn reaches(host: &Namespace) -> bool {
    let target = SocketAddr::from(([10, 0, 0, 100], 9));
    let connected = host.run(|| TcpStream::connect_timeout(&target, Duration::from_secs(1)));
    connected.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

#[test]
fn a_virtual_mac_holds_the_addresses_and_comes_back_when_removed() {
    let Some(lan) = Lan::<2>::new() else { return };
    let router = Router::start(lan.host(1), &instance(150, &format!("{FAST}\n  use_vmac")));
    router.wait_for_line("(VI): Success creating VMAC interface vrrp.51");
    router.wait_for(Master);
    let host = lan.host(1);
    let held = || host.ip("-o addr show dev vrrp.51").contains("10.0.0.100");
    assert!(
        held()
            && host
                .ip("-o link show vrrp.51")
                .contains("00:00:5e:00:01:33")
    );
    assert!(reaches(lan.host(2)));
    let neighbour = lan.host(2).ip("neigh show 10.0.0.100");
    assert!(neighbour.contains("00:00:5e:00:01:33"), "{neighbour}");
    host.ip("link del vrrp.51");
    router.wait_for_line("(VI) 10.0.0.100 removed by something else, put back");
    router.wait("the interface to be back", |_| {
        !host.ip("-o link show type macvlan").is_empty() && held()
    });
    let log = router.stop();
    assert!(
        log.contains("Success removing VMAC interface vrrp.51"),
        "{log}"
    );
    assert!(host.ip("-o link show type macvlan").is_empty());
}

#[test]
fn groups_are_not_reported_where_that_is_asked_for_and_are_again_afterwards() {
    let (Some(lan), Some(other)) = (Lan::<1>::new(), Lan::<1>::new()) else {
        return;
    };
    let text = format!(
        "global_defs {{\n disable_local_igmp\n}}\n{}",
        instance(150, FAST)
    );
    let is_reported = |host: &Namespace| {
        host.command("cat", "/proc/sys/net/ipv4/igmp_link_local_mcast_reports") == "1\n"
    };
    assert!(is_reported(lan.host(1)));
    let theirs = Keepalived::start(other.host(1), &text);
    let router = Router::start(lan.host(1), &text);
    router.wait_for(Master);
    assert!(!is_reported(lan.host(1)));
    router.reload(&instance(150, FAST));
    router.wait_for_line("Cannot change disable_local_igmp at a reload");
    router.stop();
    assert!(is_reported(lan.host(1)));
    let Some(theirs) = theirs else { return };
    theirs.wait_for("MASTER");
    assert!(!is_reported(other.host(1)));
    theirs.stop();
    assert!(is_reported(other.host(1)));
}

#[test]
fn what_must_not_be_reached_answers_arp_and_nothing_else() {
    let Some(lan) = Lan::<2>::new() else { return };
    let no_accept = format!("{FAST}\n  no_accept");
    let router = Router::start(lan.host(1), &instance(150, &no_accept));
    router.wait_for(Master);
    assert!(!reaches(lan.host(2)));
    assert!(lan.host(2).ip("neigh show 10.0.0.100").contains("lladdr"));
    router.reload_completely(&instance(150, FAST));
    assert!(reaches(lan.host(2)));
    router.stop();
}
