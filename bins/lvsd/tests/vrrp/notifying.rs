//! Who is told of changes: scripts and pipes, with keepalived's words and in an order.

use std::path::Path;
use std::time::Instant;

use director::status::VrrpState::Master;
use lvs_testkit::netns::Namespace;

use crate::lan::Lan;
use crate::router::{Keepalived, LIMIT, Router};

/// A configuration whose scripts write their arguments, and what is read from a pipe, into a folder.
fn configuration(folder: &Path, version: &str) -> String {
    let folder = folder.display();
    let scripts = |name: &str| -> String {
        let kinds = ["master", "backup", "fault", "stop"];
        let specific = kinds
            .map(|kind| format!("notify_{kind} \"{folder}/tell {name}-{kind}\"\n"))
            .concat();
        format!("{specific} notify \"{folder}/tell {name}-any\"\n")
    };
    format!(
        "global_defs {{\n script_user root\n vrrp_notify_fifo {folder}/pipe\n \
         vrrp_notify_fifo_script {folder}/reader\n}}\n\
         vrrp_sync_group G {{\n group {{\n VI\n }}\n {}}}\n\
         vrrp_instance VI {{\n interface eth0\n virtual_router_id 51\n priority 150\n {version}\n {}\
         virtual_ipaddress {{\n 10.0.0.100/24\n }}\n}}\n",
        scripts("group"),
        scripts("instance")
    )
}

fn script(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn folder_with_scripts() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    script(
        &folder.path().join("tell"),
        &format!("echo \"$*\" >> {path}/told"),
    );
    script(
        &folder.path().join("reader"),
        &format!("while read line; do echo \"$line\" >> {path}/read; done < \"$1\""),
    );
    folder
}

fn lines(folder: &Path, name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn wait_for_lines(folder: &Path, name: &str, count: usize) {
    let deadline = Instant::now() + LIMIT;
    while lines(folder, name).len() < count {
        let have = lines(folder, name);
        assert!(Instant::now() < deadline, "only {have:?}");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// BACKUP, MASTER, link down and up: the events before the stop.
fn live(host: &Namespace, folder: &Path) {
    wait_for_lines(folder, "told", 8);
    host.ip("link set eth0 down");
    wait_for_lines(folder, "told", 12);
    host.ip("link set eth0 up");
    wait_for_lines(folder, "told", 20);
    wait_for_lines(folder, "read", 10);
}

#[test]
fn scripts_and_pipes_hear_what_keepalived_says() {
    let Some(lan) = Lan::<2>::new() else { return };
    let (ours, theirs) = (folder_with_scripts(), folder_with_scripts());
    // On segments of their own: each is master when it is up.
    lan.switch.ip("link set port2 nomaster");
    let text = configuration(ours.path(), "advert_int 1");
    let router = Router::start(lan.host(1), &text);
    let keepalived = Keepalived::start(lan.host(2), &configuration(theirs.path(), "advert_int 1"));
    live(lan.host(1), ours.path());
    router.stop();
    let told = lines(ours.path(), "told");
    let read = lines(ours.path(), "read");
    let of = |subject: &str, state: &str| {
        let arguments = match subject {
            "instance" => format!("INSTANCE VI {state} 150"),
            _ => format!("GROUP G {state} 0"),
        };
        let specific = format!("{subject}-{}", state.to_lowercase());
        [specific, format!("{subject}-any {arguments}")]
    };
    let states = ["BACKUP", "MASTER", "FAULT", "BACKUP", "MASTER", "STOP"];
    for subject in ["instance", "group"] {
        let mine = told.iter().filter(|line| line.starts_with(subject));
        let expected: Vec<_> = states.iter().flat_map(|state| of(subject, state)).collect();
        assert_eq!(mine.cloned().collect::<Vec<_>>(), expected);
    }
    let expected: Vec<_> = states
        .iter()
        .flat_map(|state| {
            let instance = format!("INSTANCE \"VI\" {state} 150");
            [instance, format!("GROUP \"G\" {state} 0")]
        })
        .collect();
    assert_eq!(read, expected);
    assert!(!ours.path().join("pipe").exists());

    let Some(keepalived) = keepalived else { return };
    live(lan.host(2), theirs.path());
    keepalived.stop();
    wait_for_lines(theirs.path(), "told", told.len());
    let sorted = |mut lines: Vec<String>| {
        lines.sort();
        lines
    };
    // It starts all scripts at once, so that their order is left to chance.
    assert_eq!(sorted(lines(theirs.path(), "told")), sorted(told));
    // Its reader is ended before it may have read the last lines, and at the start its group is first.
    let theirs = lines(theirs.path(), "read");
    let ours = read[..theirs.len()].to_vec();
    assert_eq!(sorted(theirs), sorted(ours));
}

#[test]
fn a_script_that_hangs_holds_up_neither_others_nor_the_stop() {
    let Some(lan) = Lan::<1>::new() else { return };
    let folder = folder_with_scripts();
    script(&folder.path().join("tell"), "exec sleep 600");
    let router = Router::start(
        lan.host(1),
        &configuration(folder.path(), "version 3\n advert_int 0.1"),
    );
    router.wait_for(Master);
    wait_for_lines(folder.path(), "read", 4);
    router.stop();
    let read = lines(folder.path(), "read");
    assert_eq!(read.last().unwrap(), "GROUP \"G\" STOP 0");
}
