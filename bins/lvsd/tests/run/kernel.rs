//! The kernel's IPVS as the dataplane: a director in a network namespace of its own.

use nix::sys::signal::Signal;

use crate::lab::{LIMIT, Lab};

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

/// The table of the director's namespace, as the kernel prints it.
fn table(lab: &Lab) -> String {
    std::fs::read_to_string(format!("/proc/{}/net/ip_vs", lab.lvsd.id())).unwrap_or_default()
}

#[test]
fn the_kernels_table_is_filled_taken_over_and_emptied() {
    if !std::path::Path::new("/proc/net/ip_vs").exists() {
        return lvs_testkit::skip("this kernel has no IPVS");
    }
    if !nix::unistd::geteuid().is_root()
        || ["unshare", "nsenter", "ip"]
            .iter()
            .any(|name| lvs_testkit::program(name).is_none())
    {
        return lvs_testkit::skip("needs root, unshare, nsenter and ip");
    }
    let mut lab = Lab::start_on_kernel(TEXT);
    lab.wait_serving();
    let (checked, other) = ("0A000101:0050", "0A000102:0051");
    let weight = |lab: &Lab, server: &str| {
        let table = table(lab);
        let line = table.lines().find(|line| line.contains(server))?;
        line.split_whitespace().nth(3)?.parse::<u32>().ok()
    };
    lab.wait("the checked server's weight 0", |lab| {
        weight(lab, checked) == Some(0)
    });
    assert_eq!(weight(&lab, other), Some(2));
    let before = table(&lab);
    assert!(before.contains("FWM  00000007 rr"), "{before}");
    assert!(before.contains("persistent"), "{before}");

    lab.kill_child("checker");
    assert_eq!(table(&lab), before, "a killed checker changes nothing");

    let status = lab.status();
    assert_eq!(
        status.dataplane.kind,
        director::status::DataplaneKind::Kernel
    );
    assert_eq!(status.processes.len(), 1, "no proxy");

    // Holds the namespace open, to look into it after the end.
    let namespace = std::fs::File::open(format!("/proc/{}/ns/net", lab.lvsd.id())).unwrap();
    lab.lvsd.signal(Signal::SIGTERM);
    assert_eq!(lab.lvsd.wait(LIMIT).code(), Some(0));
    let path = format!("/proc/{}/fd/{}", std::process::id(), {
        use std::os::fd::AsRawFd;
        namespace.as_raw_fd()
    });
    let after = std::process::Command::new("nsenter")
        .arg(format!("--net={path}"))
        .args(["cat", "/proc/net/ip_vs"])
        .output()
        .unwrap();
    let after = String::from_utf8(after.stdout).unwrap();
    assert!(after.starts_with("IP Virtual Server"), "{after}");
    assert_eq!(
        after.lines().count(),
        3,
        "only the heading is left: {after}"
    );
}
