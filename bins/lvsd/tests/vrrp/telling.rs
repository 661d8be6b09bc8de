//! What a virtual router tells: files on signals, recordings.

use std::path::Path;
use std::process::Command;

use director::status::VrrpState::Master;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::lan::Lan;
use crate::router::{FAST, Keepalived, LIMIT, Router, instance};

#[test]
fn files_are_those_of_keepalived() {
    let Some(lan) = Lan::<1>::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let variables = [("TMPDIR", folder.path())];
    let router = Router::start_in(lan.host(1), &instance(150, FAST), &[], &variables);
    router.wait_for(Master);
    let send = |number: i32| {
        let parent = Pid::from_raw(router.lvsd.id().cast_signed());
        // There is no name for it in nix.
        let sent = Command::new("kill")
            .arg(format!("-{number}"))
            .arg(parent.to_string())
            .status();
        assert!(sent.unwrap().success());
    };
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).ok();
    send(libc::SIGRTMIN() + 2);
    router.wait("the JSON", |_| read("keepalived.json").is_some());
    router.wait_for_line("Printing VRRP as json for process(");
    let json: serde_json::Value = serde_json::from_str(&read("keepalived.json").unwrap()).unwrap();
    let data = &json[0]["data"];
    assert_eq!((&data["iname"], &data["vrid"]), (&"VI".into(), &51.into()));
    assert_eq!((&data["state"], &data["vipset"]), (&2.into(), &true.into()));
    assert_eq!(data["vips"][0], "10.0.0.100/24 dev eth0 scope global set");
    assert_eq!(json[0]["stats"]["become_master"], 1);

    let parent = Pid::from_raw(router.lvsd.id().cast_signed());
    kill(parent, Signal::SIGUSR2).unwrap();
    router.wait("the statistics", |_| read("keepalived.stats").is_some());
    let text = read("keepalived.stats").unwrap();
    assert!(
        text.starts_with("VRRP Instance: VI\n  Advertisements:\n    Received: 0\n"),
        "{text}"
    );
    kill(parent, Signal::SIGUSR1).unwrap();
    router.wait("the data", |_| read("keepalived.data").is_some());
    assert!(
        read("keepalived.data")
            .unwrap()
            .contains("   State = MASTER\n")
    );
    let parent_data = read("keepalived_parent.data").unwrap();
    assert!(parent_data.starts_with("------< Global definitions >------\n Network namespace"));
    send(libc::SIGRTMAX() - 1);
    router.wait("cleared counters", |_| {
        kill(parent, Signal::SIGUSR2).unwrap();
        read("keepalived.stats").is_some_and(|text| text.contains("Became master: 0"))
    });
}

/// What a script of the daemon and of an instance notes: its name, and how many of the instance's
/// addresses there are.
fn noting(folder: &Path) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join("note");
    let notes = folder.join("notes");
    let text = format!(
        "#!/bin/sh\necho $1 $(ip -o addr show to 10.0.0.100 | wc -l) >> {}\n",
        notes.display()
    );
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    let note = path.display();
    let notify = format!("{FAST}\n notify_master \"{note} master\"");
    format!(
        "global_defs {{\n script_user root\n umask 022\n vrrp_startup_delay 0.5\n \
         startup_script \"{note} start\"\n shutdown_script \"{note} stop\"\n}}\n{}",
        instance(150, &notify)
    )
}

#[test]
fn scripts_of_the_daemon_are_first_and_last_and_files_are_as_open_as_is_wished() {
    let (Some(lan), Some(other)) = (Lan::<1>::new(), Lan::<1>::new()) else {
        return;
    };
    let [ours, theirs] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let notes = |folder: &Path| std::fs::read_to_string(folder.join("notes")).unwrap_or_default();
    let keepalived = Keepalived::start(other.host(1), &noting(theirs.path()));
    let variables = [("TMPDIR", ours.path())];
    let router = Router::start_in(lan.host(1), &noting(ours.path()), &[], &variables);
    // Before it has any state.
    assert_eq!(notes(ours.path()), "start 0\n");
    let lines = [
        "Delaying startup for 0.5 seconds",
        "Delayed start completed",
    ];
    for line in lines {
        router.wait_for_line(line);
    }
    router.wait_for(Master);
    router.wait("the script", |_| notes(ours.path()).contains("master"));
    let parent = Pid::from_raw(router.lvsd.id().cast_signed());
    kill(parent, Signal::SIGUSR1).unwrap();
    let data = ours.path().join("keepalived.data");
    router.wait("the file", |_| data.exists());
    let mode = std::os::unix::fs::MetadataExt::mode(&data.metadata().unwrap());
    assert_eq!(mode & 0o777, 0o644);
    router.stop();
    let expected = "start 0\nmaster 1\nstop 0\n";
    assert_eq!(notes(ours.path()), expected);
    let Some(keepalived) = keepalived else { return };
    keepalived.wait_for("MASTER");
    lvs_testkit::wait_until("its script", LIMIT, || {
        notes(theirs.path()).contains("master").then_some(())
    });
    let log = keepalived.stop();
    assert!(log.contains(lines[0]), "{log}");
    assert_eq!(notes(theirs.path()), expected);
}

#[test]
fn a_recording_is_replayed() {
    let Some(lan) = Lan::<1>::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recording");
    let flags = ["--record", path.to_str().unwrap()];
    let router = Router::start_with(lan.host(1), &instance(150, FAST), &flags);
    let reason = router.wait_for(Master).reason;
    router.stop();
    let replayed = Command::new(env!("CARGO_BIN_EXE_lvsd"))
        .arg("replay")
        .arg(&path)
        .output();
    let text = String::from_utf8(replayed.unwrap().stdout).unwrap();
    assert!(
        text.contains("VI: INIT -> BACKUP (start), priority 150"),
        "{text}"
    );
    assert!(
        text.contains(&format!("VI: BACKUP -> MASTER ({reason}), priority 150")),
        "{text}"
    );
    assert!(text.contains("VI: MASTER -> INIT (stop)"), "{text}");
}

/// Two virtual routers in a group.
fn pair(priority: u8, with_second: bool) -> String {
    let one = |name: &str, vrid: u8| {
        format!(
            "vrrp_instance {name} {{\n interface eth0\n virtual_router_id {vrid}\n \
             priority {priority}\n {FAST}\n virtual_ipaddress {{\n 10.0.0.{}/24\n }}\n}}\n",
            vrid + 50
        )
    };
    match with_second {
        true => {
            let group = "vrrp_sync_group G {\n group {\n VI\n V2\n }\n}\n";
            [&one("VI", 51), &one("V2", 52), group].concat()
        }
        false => one("VI", 51),
    }
}

/// Lines without their time, and with one name for both instances: which one is first is chance.
fn lines(log: &str) -> Vec<String> {
    let texts = log.lines().filter_map(|line| line.get(26..));
    texts
        .map(|text| text.replace("V2", "VI").replace("10.0.0.102", "10.0.0.101"))
        .collect()
}

/// What happens to a host whose log is compared.
fn story(lan: &Lan<2>, log: &(dyn Fn() -> String + Sync), reload: &(dyn Fn(&str) + Sync)) {
    let wait = |text: &str, count: usize| {
        lvs_testkit::wait_until(text, LIMIT, || {
            (log().matches(text).count() >= count).then_some(())
        });
    };
    let host = lan.host(1);
    wait("Entering MASTER STATE", 2);
    host.ip("link set eth0 down");
    wait("Entering FAULT STATE", 2);
    host.ip("link set eth0 up");
    wait("Entering MASTER STATE", 4);
    let better = Router::start(lan.host(2), &pair(200, true));
    wait("Entering BACKUP STATE", 6);
    better.stop();
    wait("Entering MASTER STATE", 6);
    let worse = Router::start(lan.host(2), &pair(100, true));
    lan.switch.ip("link set port2 nomaster");
    worse.wait_for(Master);
    lan.switch.ip("link set port2 master br0");
    wait("with lower priority 100, ours 150, forcing new election", 1);
    worse.stop();
    reload(&pair(150, false));
}

#[test]
fn every_line_of_keepalived_is_one_of_ours() {
    let Some(lans) = Lan::<2>::new().zip(Lan::<2>::new()) else {
        return;
    };
    let text = pair(150, true);
    let Some(keepalived) = Keepalived::start(lans.1.host(1), &text) else {
        return;
    };
    let router = Router::start(lans.0.host(1), &text);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let reload = |text: &str| router.reload_completely(text);
            story(&lans.0, &|| router.log(), &reload);
        });
        let reload = |text: &str| keepalived.reload(text);
        story(&lans.1, &|| keepalived.process.output(), &reload);
    });
    let (mine, theirs) = (router.stop(), keepalived.stop());
    let mine = lines(&mine);
    // About its insides, or with numbers of its own; and addresses that were there before.
    let others = [
        "Registering ",
        "VRRP sockpool",
        "NOTICE: ",
        "Starting ",
        "Running on ",
        "Command line",
        " ",
        "Opening file",
        "Configuration file",
        "Stopped ",
        "CPU usage",
        "Script user",
        // Its second announcement may come while the link is down.
        "Error 100 (Network is down) sending gratuitous ARP",
        "Assigned address 10.0.0.1 ",
        "Assigned address f",
        "Deassigned address f",
        "Assigned address 10.0.0.2 ",
    ];
    let missing: Vec<_> = lines(&theirs)
        .into_iter()
        .filter(|line| !others.iter().any(|it| line.starts_with(it)))
        .filter(|line| !mine.iter().any(|it| it.starts_with(line.as_str())))
        .collect();
    assert!(missing.is_empty(), "{missing:#?} are not in {mine:#?}");
}
