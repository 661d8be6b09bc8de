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

/// What a pipe hears beside states: lower priorities, changes of priority, all states after a reload, a
/// removal.
struct Story {
    folder: tempfile::TempDir,
    lan: Lan<2>,
}

impl Story {
    fn new() -> Option<Self> {
        Some(Self {
            folder: folder_with_scripts(),
            lan: Lan::new()?,
        })
    }

    fn text(&self, with_second: bool) -> String {
        let folder = self.folder.path().display();
        let second = match with_second {
            true => {
                "vrrp_instance V2 {\n interface eth0\n virtual_router_id 52\n priority 120\n \
                     version 3\n advert_int 0.1\n notify_deleted\n \
                     virtual_ipaddress {\n 10.0.0.102/24\n }\n}\n"
            }
            false => "",
        };
        format!(
            "global_defs {{\n script_user root\n notify_fifo {folder}/pipe\n \
             notify_fifo_script {folder}/reader\n vrrp_notify_priority_changes\n \
             fifo_write_vrrp_states_on_reload\n}}\n\
             vrrp_script s {{\n script \"/usr/bin/test -e {folder}/flag\"\n interval 1\n weight 10\n}}\n\
             vrrp_instance VI {{\n interface eth0\n virtual_router_id 51\n priority 150\n version 3\n \
             advert_int 0.1\n notify_master_rx_lower_pri \"{folder}/tell lower\"\n \
             track_script {{\n s\n }}\n virtual_ipaddress {{\n 10.0.0.100/24\n }}\n}}\n{second}"
        )
    }

    fn other(&self) -> String {
        "vrrp_instance VI {\n interface eth0\n virtual_router_id 51\n priority 100\n version 3\n \
         advert_int 0.1\n virtual_ipaddress {\n 10.0.0.100/24\n }\n}\n"
            .to_owned()
    }

    fn wait(&self, line: &str, count: usize) {
        let deadline = Instant::now() + LIMIT;
        loop {
            let lines = lines(self.folder.path(), "read");
            if lines.iter().filter(|it| *it == line).count() >= count {
                return;
            }
            assert!(Instant::now() < deadline, "no {line} in {lines:#?}");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// Lets it happen; `reload` puts another text in force. keepalived 2.2.7 writes no states at a
    /// reload, whatever its manual says.
    fn happen(&self, reload: impl Fn(&str), writes_states: bool) {
        self.wait("INSTANCE \"VI\" MASTER 150", 1);
        self.wait("INSTANCE \"V2\" MASTER 120", 1);
        self.lan.switch.ip("link set port2 nomaster");
        lvs_testkit::wait_until("two masters", LIMIT, || {
            self.lan.has(2, "10.0.0.100").then_some(())
        });
        self.lan.switch.ip("link set port2 master br0");
        self.wait("INSTANCE \"VI\" MASTER_RX_LOWER_PRI 150", 1);
        wait_for_lines(self.folder.path(), "told", 1);
        std::fs::write(self.folder.path().join("flag"), "").unwrap();
        self.wait("INSTANCE \"VI\" MASTER_PRIORITY 160", 1);
        if writes_states {
            reload(&self.text(true));
            self.wait("INSTANCE \"VI\" MASTER 160", 1);
            self.wait("INSTANCE \"V2\" MASTER 120", 2);
        }
        reload(&self.text(false));
        self.wait("INSTANCE \"V2\" DELETED 120", 1);
    }

    /// The lines, each once: how often a lower priority is heard is a matter of chance.
    fn heard(&self) -> Vec<String> {
        let mut lines = lines(self.folder.path(), "read");
        lines.sort();
        lines.dedup();
        lines
    }
}

#[test]
fn pipes_hear_of_priorities_reloads_and_removals_what_keepalived_says() {
    let Some((ours, theirs)) = Story::new().zip(Story::new()) else {
        return;
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let router = Router::start(ours.lan.host(1), &ours.text(true));
            let peer = Router::start(ours.lan.host(2), &ours.other());
            ours.happen(|text| router.reload_completely(text), true);
            peer.stop();
            router.stop();
            assert_eq!(lines(ours.folder.path(), "told")[0], "lower");
        });
        let Some(keepalived) = Keepalived::start(theirs.lan.host(1), &theirs.text(true)) else {
            return;
        };
        let peer = Router::start(theirs.lan.host(2), &theirs.other());
        theirs.happen(|text| keepalived.reload(text), false);
        peer.stop();
        keepalived.stop();
    });
    let (mine, other) = (ours.heard(), theirs.heard());
    if !other.is_empty() {
        // Its reader may be ended before the last line; a reload makes its instances backups for a
        // moment; and the first line is one of states at a reload.
        let not_compared = ["VI\" MASTER 160", "BACKUP_PRIORITY", "STOP"];
        let told = |mut lines: Vec<String>| {
            lines.retain(|line| !not_compared.iter().any(|it| line.contains(it)));
            lines
        };
        assert_eq!(told(mine), told(other));
    }
}

#[test]
fn a_pipe_outlives_its_processes_and_follows_a_reload() {
    let Some(lan) = Lan::<1>::new() else { return };
    let (folder, other) = (folder_with_scripts(), folder_with_scripts());
    let text = |folder: &Path, keyword: &str| {
        let folder = folder.display();
        format!(
            "global_defs {{\n script_user root\n {keyword} {folder}/pipe\n \
             {keyword}_script {folder}/reader\n}}\n{}",
            crate::router::instance(150, crate::router::FAST)
        )
    };
    let router = Router::start(lan.host(1), &text(folder.path(), "notify_fifo"));
    router.wait_for(Master);
    wait_for_lines(folder.path(), "read", 2);
    // The next process writes to the same pipe, which has the same reader.
    let killed = router.vrrp_process();
    nix::sys::signal::kill(killed, nix::sys::signal::Signal::SIGKILL).unwrap();
    wait_for_lines(folder.path(), "read", 3);
    // Another path, another keyword, another reader: the old pipe goes.
    router.reload_completely(&text(other.path(), "vrrp_notify_fifo"));
    lvs_testkit::wait_until("the pipe's end", LIMIT, || {
        (!folder.path().join("pipe").exists()).then_some(())
    });
    lan.host(1).ip("link set eth0 down");
    wait_for_lines(other.path(), "read", 1);
    // The same path with another reader: the old one gets no line any more.
    let second = text(other.path(), "vrrp_notify_fifo").replace("/reader", "/second");
    let path = other.path().display();
    script(
        &other.path().join("second"),
        &format!("while read line; do echo \"$line\" >> {path}/second-read; done < \"$1\""),
    );
    router.reload_completely(&second);
    lan.host(1).ip("link set eth0 up");
    wait_for_lines(other.path(), "second-read", 2);
    router.stop();
    assert_eq!(lines(other.path(), "read"), ["INSTANCE \"VI\" FAULT 150"]);
    assert!(!other.path().join("pipe").exists());
}
