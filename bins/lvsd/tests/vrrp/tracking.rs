//! What instances track: scripts.

use std::path::Path;

use director::status::VrrpState::{Fault, Master};

use crate::lan::Lan;
use crate::router::{FAST, Router, instance};

fn tracking(script: &Path, settings: &str) -> String {
    format!(
        "global_defs {{\n script_user root\n}}\n\
         vrrp_script chk {{\n script {}\n interval 0.1\n {settings}\n}}\n{}",
        script.display(),
        instance(150, &format!("{FAST}\n track_script {{\n chk\n }}"))
    )
}

/// A script that exits with the number in a file beside it.
fn check(folder: &Path) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join("check");
    let text = format!("#!/bin/sh\nexit $(cat {}/status)\n", folder.display());
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    set(folder, 0);
    path
}

/// Never leaves the file empty.
fn set(folder: &Path, status: u8) {
    std::fs::write(folder.join("new"), status.to_string()).unwrap();
    std::fs::rename(folder.join("new"), folder.join("status")).unwrap();
}

#[test]
fn a_script_without_weight_decides_on_fault() {
    let Some(lan) = Lan::<1>::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = check(folder.path());
    let router = Router::start(lan.host(1), &tracking(&path, "fall 3\n rise 2"));
    router.wait_for(Master);
    router.wait_for_line("VRRP_Script(chk) succeeded");
    set(folder.path(), 7);
    let fault = router.wait_for(Fault);
    assert!(
        fault.reason.contains("exited with status 7, 3 times"),
        "{}",
        fault.reason
    );
    router.wait_for_line("Script `chk` now returning 7");
    router.wait_for_line("VRRP_Script(chk) failed (exited with status 7)");
    // A script that a reload leaves alone keeps its verdict, and another time limit changes nothing.
    router.reload_completely(&tracking(&path, "fall 3\n rise 2\n timeout 5"));
    assert_eq!(router.instance("VI").unwrap().state, Fault);
    set(folder.path(), 0);
    router.wait_for(Master);
    router.stop();
}

#[test]
fn a_script_with_weight_changes_the_priority() {
    let Some(lan) = Lan::<1>::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = check(folder.path());
    let router = Router::start(lan.host(1), &tracking(&path, "weight -40"));
    router.wait_for(Master);
    set(folder.path(), 1);
    router.wait_for_line("(VI) Changing effective priority from 150 to 110");
    set(folder.path(), 0);
    router.wait_for_line("(VI) Changing effective priority from 110 to 150");
    assert_eq!(router.wait_for(Master).counters.became_master, 1);
}

#[test]
fn a_script_that_hangs_or_is_missing_or_has_not_succeeded_yet() {
    let Some(lan) = Lan::<3>::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let hanging = Path::new("\"/bin/sleep 600\"");
    let router = Router::start(lan.host(1), &tracking(hanging, "timeout 1"));
    assert!(router.wait_for(Fault).reason.contains("timed out"));
    router.wait_for_line("VRRP_Script(chk) timed_out");
    router.wait_for_line("Track script chk is already running, expect idle - skipping run");

    let missing = Router::start(lan.host(2), &tracking(&folder.path().join("none"), ""));
    missing.wait_for_line("Disabling track script chk since not found/accessible");
    missing.wait_for(Master);
    missing.stop();

    // Without `init_fail` the first success would decide.
    let path = check(folder.path());
    set(folder.path(), 1);
    let late = Router::start(lan.host(3), &tracking(&path, "init_fail\n rise 2"));
    assert!(late.wait_for(Fault).reason.contains("script chk"));
    set(folder.path(), 0);
    late.wait_for(Master);
}
