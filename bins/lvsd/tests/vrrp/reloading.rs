//! Another configuration.

use director::status::VrrpState::{Backup, Master};

use crate::lan::Lan;
use crate::router::{FAST, Router, instance};

/// A second instance.
fn other(priority: u8) -> String {
    instance(priority, FAST)
        .replace("VI ", "VJ ")
        .replace("51", "52")
        .replace("10.0.0.100", "10.0.0.101")
}

#[test]
fn instances_are_added_and_removed_and_the_others_do_not_notice() {
    let Some(lan) = Lan::<1>::new() else { return };
    let one = instance(150, FAST);
    let router = Router::start(lan.host(1), &one);
    let before = router.wait_for(Master);
    router.reload_completely(&format!("{one}{}", other(150)));
    router.wait("the second instance", |it| {
        it.instance("VJ").is_some_and(|it| it.state == Master)
    });
    assert!(lan.has(1, "10.0.0.100") && lan.has(1, "10.0.0.101"));
    router.reload_completely(&one);
    assert!(lan.has(1, "10.0.0.100") && !lan.has(1, "10.0.0.101"));
    let after = router.wait_for(Master);
    assert_eq!(after.since_unix_ms.abs_diff(before.since_unix_ms) / 100, 0);
    assert_eq!(after.counters.announced, before.counters.announced);
    assert_eq!(router.count("(VI) Entering"), 2);
}

#[test]
fn addresses_change_without_leaving_master() {
    let Some(lan) = Lan::<1>::new() else { return };
    let one = instance(150, FAST);
    let router = Router::start(lan.host(1), &one);
    router.wait_for(Master);
    router.reload_completely(&one.replace("10.0.0.100/24", "10.0.0.100/24\n    10.0.0.102/24"));
    assert!(lan.has(1, "10.0.0.100") && lan.has(1, "10.0.0.102"));
    router.reload_completely(&one.replace("10.0.0.100/24", "10.0.0.100/32 label eth0:1"));
    assert!(!lan.has(1, "10.0.0.102"));
    let shown = lan.host(1).ip("-o addr show to 10.0.0.100");
    assert!(
        shown.contains("10.0.0.100/32") && shown.contains("eth0:1"),
        "{shown}"
    );
    assert_eq!(router.wait_for(Master).counters.became_master, 1);
}

#[test]
fn a_fault_in_one_instance_is_refused_before_anything_changes() {
    let Some(lan) = Lan::<1>::new() else { return };
    let one = instance(150, FAST);
    let router = Router::start(lan.host(1), &one);
    router.wait_for(Master);
    // The same virtual router twice.
    let twice = other(150).replace("52", "51");
    router.reload(&format!("{}{twice}", one.replace("150", "140")));
    router.wait_for_line("New config failed validation, the old configuration goes on");
    let instance = router.wait_for(Master);
    assert_eq!(instance.priority, 150);
    assert!(router.instance("VJ").is_none() && lan.has(1, "10.0.0.100"));
}

#[test]
fn the_last_instance_takes_the_process_with_it_and_the_first_brings_it() {
    let Some(lan) = Lan::<1>::new() else { return };
    let one = instance(150, FAST);
    let router = Router::start(lan.host(1), &one);
    router.wait_for(Master);
    router.reload_completely("global_defs {\n  router_id x\n}\n");
    assert!(!lan.has(1, "10.0.0.100"));
    assert!(router.status().unwrap().processes.is_empty());
    router.reload(&one);
    router.wait_for(Backup);
    router.wait_for(Master);
    assert!(lan.has(1, "10.0.0.100"));
}

#[test]
fn what_is_wrong_in_a_new_configuration_is_left_in_the_file_that_is_named() {
    let Some(lan) = Lan::<1>::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("reload.log");
    let text = format!(
        "global_defs {{\n reload_check_config {}\n}}\n{}",
        path.display(),
        instance(150, FAST)
    );
    let router = Router::start(lan.host(1), &text);
    router.wait_for(Master);
    let read = || std::fs::read_to_string(&path).unwrap_or_default();
    router.reload(&text.replace("priority 150", "priority 1500"));
    router.wait_for_line(&format!(
        "New config failed validation, see {} for details",
        path.display()
    ));
    assert!(read().contains("keepalived.conf: Line 7)"), "{}", read());
    router.reload_completely(&text);
    assert_eq!(read(), "");
    assert_eq!(router.wait_for(Master).counters.became_master, 1);
}
