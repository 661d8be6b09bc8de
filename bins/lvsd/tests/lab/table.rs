//! The kernel's table: filled, taken over, emptied.

use lvs_testkit::lab::{self, LIMIT};

use crate::director::Director;

/// The servers' addresses are those of the namespace itself, where nothing listens: the checked one
/// fails, and the others, without a check, count as up.
const TEXT: &str = "\
virtual_server 10.0.0.1 80 {
  delay_loop 0.2
  warmup 0
  lb_algo wrr
  lb_kind NAT
  protocol TCP
  persistence_timeout 50
  real_server 10.0.1.1 80 {
    weight 3
    inhibit_on_failure
    TCP_CHECK {
      connect_timeout 1
    }
  }
  real_server 10.0.1.2 81 {
    weight 2
  }
}
virtual_server fwmark 7 {
  delay_loop 1
  lb_algo rr
  lb_kind DR
  real_server 10.0.1.3 0 {
    weight 1
  }
}
";

#[test]
fn the_kernels_table_is_filled_taken_over_and_emptied() {
    let Some(lab) = lab::enter() else { return };
    let host = lab.host("director");
    // The kernel takes only destinations that it has a route to.
    host.ip("address add 10.0.1.254/24 dev lo");
    let director = Director::start(&host, TEXT);
    director.wait_serving();
    let (checked, other) = ("0A000101:0050", "0A000102:0051");
    let weight = |director: &Director, server: &str| {
        let table = director.table();
        let line = table.lines().find(|line| line.contains(server))?;
        line.split_whitespace().nth(3)?.parse::<u32>().ok()
    };
    director.wait("the checked server's weight 0", |director| {
        weight(director, checked) == Some(0)
    });
    assert_eq!(weight(&director, other), Some(2));
    let before = director.table();
    assert!(before.contains("FWM  00000007 rr"), "{before}");
    assert!(before.contains("persistent"), "{before}");

    director.kill_child("checker");
    assert_eq!(director.table(), before, "a killed checker changes nothing");

    let status = director.try_status().expect("the director answers");
    let kernel = director::status::DataplaneKind::Kernel;
    assert_eq!(status.dataplane.kind, kernel);
    assert_eq!(status.processes.len(), 1, "no proxy");

    assert_eq!(director.lvsd.stop(LIMIT).code(), Some(0));
    let after = director.table();
    assert!(after.starts_with("IP Virtual Server"), "{after}");
    let lines = after.lines().count();
    assert_eq!(lines, 3, "only the heading is left: {after}");
}
