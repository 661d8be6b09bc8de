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
