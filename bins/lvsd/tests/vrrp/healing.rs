//! What somebody else takes away comes back.

use director::status::VrrpState::{Backup, Fault, Master};

use crate::lan::Lan;
use crate::router::{FAST, Router, instance};

#[test]
fn a_removed_address_is_put_back_at_once_and_announced() {
    let Some(lan) = Lan::<1>::new() else { return };
    let router = Router::start(lan.host(1), &instance(150, FAST));
    let announced = router.wait_for(Master).counters.announced;
    lan.host(1).ip("addr del 10.0.0.100/24 dev eth0");
    router.wait_for_line("(VI) 10.0.0.100 removed by something else, put back");
    router.wait("the announcements", |it| {
        it.instance("VI")
            .is_some_and(|it| it.counters.announced >= announced + 5)
    });
    assert!(lan.has(1, "10.0.0.100"));
    assert_eq!(router.wait_for(Master).counters.became_master, 1);
}

#[test]
fn a_flushed_interface_is_a_fault_until_it_has_an_address_again() {
    let Some(lan) = Lan::<1>::new() else { return };
    let router = Router::start(lan.host(1), &instance(150, FAST));
    router.wait_for(Master);
    lan.host(1).ip("addr flush dev eth0");
    assert_eq!(router.wait_for(Fault).reason, "no usable address on eth0");
    lan.host(1).ip("addr add 10.0.0.1/24 dev eth0");
    router.wait_for(Master);
    assert!(lan.has(1, "10.0.0.100"));
}

#[test]
fn an_interface_may_go_and_come_back() {
    let Some(lan) = Lan::<2>::new() else { return };
    let first = Router::start(lan.host(1), &instance(150, FAST));
    let second = Router::start(lan.host(2), &instance(100, FAST));
    first.wait_for(Master);
    second.wait_for(Backup);
    lan.host(1).ip("link del eth0");
    assert_eq!(first.wait_for(Fault).reason, "interface eth0 down");
    second.wait_for(Master);
    lan.plug_in(1);
    first.wait_for(Master);
    second.wait_for(Backup);
    assert!(lan.has(1, "10.0.0.100"));
}

#[test]
fn an_interface_with_another_name_keeps_no_address() {
    let Some(lan) = Lan::<2>::new() else { return };
    let routes =
        format!("{FAST}\n  virtual_routes {{\n    10.9.0.0/24 via 10.0.0.3 dev eth0\n  }}");
    let first = Router::start(lan.host(1), &instance(150, &routes));
    first.wait_for(Master);
    let second = Router::start(lan.host(2), &instance(100, FAST));
    second.wait_for(Backup);
    let host = lan.host(1);
    // Without being set down: the kernel leaves all that is on it.
    host.ip("link set eth0 name other");
    assert_eq!(first.wait_for(Fault).reason, "interface eth0 down");
    second.wait_for(Master);
    first.wait("the address to be gone", |_| !lan.has(1, "10.0.0.100"));
    assert_eq!(host.ip("route show 10.9.0.0/24"), "");
    host.ip("link set other name eth0");
    first.wait_for(Master);
    second.wait_for(Backup);
    assert!(lan.has(1, "10.0.0.100") && !lan.has(2, "10.0.0.100"));
}

#[test]
fn a_link_of_one_way_is_reported_and_its_end_announced() {
    let Some(lan) = Lan::<2>::new() else { return };
    let first = Router::start(lan.host(1), &instance(150, FAST));
    first.wait_for(Master);
    let second = Router::start(lan.host(2), &instance(100, FAST));
    second.wait_for(Backup);
    lan.deafen(2, "");
    second.wait_for(Master);
    let why = "it does not seem to hear us";
    first.wait_for_line(&format!("(VI) 10.0.0.2 acts as master, too: {why}"));
    let other = first.wait_for(Master).second_master.unwrap();
    assert_eq!(other.suspicion.as_deref(), Some(why));
    assert_eq!(other.address.to_string(), "10.0.0.2");
    lan.hear_again(2);
    second.wait_for(Backup);
    first.wait_for_line("(VI) 10.0.0.2 does not act as master any more");
    assert_eq!(first.wait_for(Master).counters.became_master, 1);
    // The other direction alone does no harm.
    lan.deafen(1, "");
    let sent = first.wait_for(Master).counters.sent;
    first.wait("more advertisements", |it| {
        it.instance("VI")
            .is_some_and(|it| it.counters.sent > sent + 10)
    });
    assert_eq!(second.wait_for(Backup).counters.became_master, 1);
}

#[test]
fn routes_and_rules_follow_the_master_and_are_put_back() {
    let Some(lan) = Lan::<1>::new() else { return };
    let text = format!(
        "{FAST}\n  virtual_routes {{\n    10.9.0.0/24 via 10.0.0.3\n  }}\n  virtual_rules {{\n    \
         from 10.8.0.0/24 table 5 priority 77\n  }}"
    );
    let router = Router::start(lan.host(1), &instance(150, &text));
    router.wait_for(Master);
    let host = lan.host(1);
    let route = || host.ip("route show 10.9.0.0/24").contains("via 10.0.0.3");
    let rule = || host.ip("rule show").contains("from 10.8.0.0/24 lookup 5");
    router.wait("the route and the rule", |_| route() && rule());
    host.ip("route del 10.9.0.0/24");
    host.ip("rule del priority 77");
    router.wait_for_line("route to 10.9.0.0/24 was removed by something else, put back");
    router.wait("both to be back", |_| route() && rule());
    router.stop();
    assert!(!route() && !rule());
}
