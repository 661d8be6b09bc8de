//! What a virtual router tells: files on signals, recordings.

use std::process::Command;

use director::status::VrrpState::Master;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::lan::Lan;
use crate::router::{FAST, Router, instance};

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
    send(libc::SIGRTMAX() - 1);
    router.wait("cleared counters", |_| {
        kill(parent, Signal::SIGUSR2).unwrap();
        read("keepalived.stats").is_some_and(|text| text.contains("Became master: 0"))
    });
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
