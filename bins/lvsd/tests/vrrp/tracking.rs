//! What instances track: scripts, files, processes, their own source address.

use std::path::Path;
use std::process::{Child, Command};

use director::status::VrrpState::{Fault, Master};
use lvs_testkit::wait_until;
use nix::sys::signal::{Signal, kill};

use crate::lan::Lan;
use crate::router::{FAST, Keepalived, LIMIT, Router, instance};

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
    router.wait_for_line("(VI): entering FAULT state due to script chk");
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

/// An instance that tracks `f`, which is the file at this path.
fn following(path: &Path, settings: &str, weight: &str) -> String {
    format!(
        "track_file f {{\n file {}\n {settings}\n}}\n{}",
        path.display(),
        instance(150, &format!("{FAST}\n track_file {{\n f {weight}\n }}"))
    )
}

/// The changes of priority in a log.
fn changes(log: &str) -> Vec<String> {
    let lines = log.lines();
    let after = |line: &str| Some(line.split_once("effective priority from ")?.1.to_owned());
    lines.filter_map(after).collect()
}

#[test]
fn the_number_in_a_file_changes_the_priority_as_with_keepalived() {
    let (Some(lan), Some(other)) = (Lan::<1>::new(), Lan::<1>::new()) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("number");
    let text = following(&path, "weight 5", "weight 2 reverse");
    let ours = Router::start(lan.host(1), &text);
    let theirs = Keepalived::start(other.host(1), &text);
    ours.wait_for(Master);
    if let Some(theirs) = &theirs {
        theirs.wait_for("MASTER");
    }
    let mut expected = Vec::new();
    let mut priority = 150;
    let spare = folder.path().join("spare");
    for (content, number) in [
        (Some("10\n"), 10),
        (Some("0x1f"), 31),
        (Some("010"), 8),
        (Some("12xyz"), 12),
        (Some("abc"), 0),
        (Some(" -5"), -5),
        (None, 0),
        (Some("7"), 7),
    ] {
        match content {
            Some(text) => std::fs::write(&path, text).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        let next = 150 - 2 * number;
        expected.push(format!("{priority} to {next}"));
        priority = next;
        // None may overtake another.
        ours.wait("another priority", |it| changes(&it.log()) == expected);
        if let Some(theirs) = &theirs {
            let same = || (changes(&theirs.process.output()) == expected).then_some(());
            wait_until("keepalived's other priority", LIMIT, same);
        }
    }
    // Another file takes the name, and the name goes.
    std::fs::write(&spare, "20").unwrap();
    std::fs::rename(&spare, &path).unwrap();
    expected.push("136 to 110".to_owned());
    ours.wait("the file's successor", |it| changes(&it.log()) == expected);
    std::fs::rename(&path, &spare).unwrap();
    expected.push("110 to 150".to_owned());
    ours.wait("the loss of its name", |it| changes(&it.log()) == expected);
    // Too much to be subtracted is a fault.
    std::fs::write(&path, "127").unwrap();
    let fault = ours.wait_for(Fault);
    ours.wait_for_line("(VI): tracked file f now FAULT state");
    assert!(
        fault.reason.contains("file f holds 127"),
        "{}",
        fault.reason
    );
    std::fs::write(&path, "1").unwrap();
    assert_eq!(ours.wait_for(Master).effective_priority, 148);
    if let Some(theirs) = &theirs {
        let log = theirs.process.output();
        assert!(changes(&log).starts_with(&expected), "{log}");
        wait_until("keepalived's words", LIMIT, || {
            let log = theirs.process.output();
            log.contains("(VI): tracked file f now FAULT state")
                .then_some(())
        });
        wait_until("keepalived's fault", LIMIT, || {
            let log = theirs.process.output();
            log.contains("Entering FAULT STATE").then_some(())
        });
    }
    assert!(ours.count("Entering MASTER") == 2);
}

#[test]
fn a_file_without_weight_decides_on_fault_and_is_made_and_followed_wherever_it_goes() {
    let Some(lan) = Lan::<1>::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("deep");
    let path = deep.join("number");
    std::fs::create_dir(&deep).unwrap();
    std::fs::write(&path, "9").unwrap();
    let text = following(&path, "weight 0\n init_file 3 overwrite", "");
    let mut router = Router::start(lan.host(1), &text);
    let fault = router.wait_for(Fault);
    assert!(fault.reason.contains("file f holds 3"), "{}", fault.reason);
    let content = || std::fs::read_to_string(&path).unwrap();
    assert_eq!(content(), "3\n");
    std::fs::write(&path, "0").unwrap();
    router.wait_for(Master);
    // A reload and a new process leave the file as it is, and the state.
    router.reload_completely(&text);
    let before = router.vrrp_process();
    kill(before, Signal::SIGKILL).unwrap();
    router.wait("another process", |it| it.vrrp_process() != before);
    router.wait_for(Master);
    assert_eq!(
        (content(), router.count("Entering FAULT")),
        ("0".to_owned(), 1)
    );
    // Its folder is moved away, and comes back with another number.
    let away = folder.path().join("away");
    std::fs::rename(&deep, &away).unwrap();
    router.wait_for_line("cannot be watched");
    std::fs::write(away.join("number"), "1").unwrap();
    std::fs::rename(&away, &deep).unwrap();
    router.wait_for(Fault);
    // Over a symbolic link, what it leads to counts.
    let target = folder.path().join("target");
    std::fs::write(&target, "0").unwrap();
    std::os::unix::fs::symlink(&target, folder.path().join("link")).unwrap();
    std::fs::rename(folder.path().join("link"), &path).unwrap();
    router.wait_for(Master);
    std::fs::write(&target, "2").unwrap();
    router.wait_for(Fault);
    // Whoever does not track it any more does not mind.
    router.reload_completely(&instance(150, FAST));
    router.wait_for(Master);
    // And who tracks it again knows at once.
    router.reload_completely(&text);
    router.wait_for(Fault);
    router.lvsd.signal(Signal::SIGTERM);
    router.lvsd.wait(LIMIT);
}

/// A program that runs until it is dropped.
struct Running(Child);

impl Running {
    fn start(program: &Path, arguments: &[&str]) -> Self {
        Self(Command::new(program).args(arguments).spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A program with a name that no other test's processes have.
fn program(folder: &Path, letter: char) -> std::path::PathBuf {
    let program = folder.join(format!("lvs{letter}{}", std::process::id()));
    std::fs::copy("/bin/sleep", &program).unwrap();
    program
}

/// Three ways to count the processes of a program.
fn counting(program: &Path, quorum: &str) -> String {
    let name = program.file_name().unwrap().display();
    format!(
        "vrrp_track_process any {{\n process {name}\n {quorum}\n}}\n\
         vrrp_track_process one {{\n process {} 100 20\n param_match initial\n weight 10\n}}\n\
         vrrp_track_process none {{\n process {name}\n quorum_max 0\n weight -20\n}}\n{}",
        program.display(),
        instance(
            150,
            &format!("{FAST}\n track_process {{\n any\n one\n none\n }}")
        )
    )
}

/// What a router makes of processes that come and go.
fn count(router: Router, program: &Path) {
    assert!(
        router
            .wait_for(Fault)
            .reason
            .contains("process any runs 0 times")
    );
    let first = Running::start(program, &["100", "200"]);
    router.wait_for_line("Quorum gained for tracked process one");
    router.wait_for_line("Quorum lost for tracked process none");
    router.wait("the priority", |it| {
        it.instance("VI")
            .is_some_and(|it| it.effective_priority == 140)
    });
    assert_eq!(router.wait_for(Fault).effective_priority, 140);
    let second = Running::start(program, &["100"]);
    router.wait_for(Master);
    router.wait_for_line("Quorum gained for tracked process any");
    drop(first);
    router.wait("the loss", |it| {
        it.instance("VI")
            .is_some_and(|it| it.state == Fault && it.effective_priority == 130)
    });
    // Another quorum, and another look.
    router.reload_completely(&counting(program, "quorum 1"));
    router.wait_for(Master);
    drop(second);
    router.wait_for(Fault);
    router.wait_for_line("Quorum gained for tracked process none");
    router.stop();
}

#[test]
fn processes_are_counted() {
    let Some(lan) = Lan::<1>::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path(), 'k');
    let router = Router::start(lan.host(1), &counting(&program, "quorum 2"));
    count(router, &program);
}

#[test]
fn processes_are_counted_where_the_kernel_does_not_tell_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path(), 'c');
    let router = Router::start_in_container(&counting(&program, "quorum 2"));
    let Some(router) = router else { return };
    let line = "The kernel tells nothing of processes, they are looked at every second";
    router.wait_for_line(line);
    assert_eq!(router.count(line), 1);
    count(router, &program);
}

#[test]
fn what_lasts_no_longer_than_its_delay_does_not_count() {
    let Some(lan) = Lan::<1>::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path(), 'd');
    let name = program.file_name().unwrap().display();
    let text = format!(
        "vrrp_track_process quick {{\n process {name}\n weight 1\n}}\n\
         vrrp_track_process slow {{\n process {name}\n fork_delay 3\n weight 10\n}}\n\
         vrrp_track_process lasting {{\n process {} 100\n delay 3\n full_command\n weight 20\n}}\n{}",
        program.display(),
        instance(
            150,
            &format!("{FAST}\n track_process {{\n quick\n slow\n lasting\n }}")
        )
    );
    let router = Router::start(lan.host(1), &text);
    router.wait_for(Master);
    let is_said = |verb: &str, name: &str, count| {
        let line = format!("Quorum {verb} for tracked process {name}");
        router.wait(&line, |it| it.count(&line) == count);
    };
    // Every one counts as lost at first.
    let brief = Running::start(&program, &["100"]);
    is_said("gained", "quick", 1);
    drop(brief);
    is_said("lost", "quick", 2);
    let running = Running::start(&program, &["100"]);
    is_said("gained", "slow", 1);
    is_said("gained", "lasting", 1);
    assert_eq!(router.wait_for(Master).effective_priority, 181);
    drop(running);
    is_said("lost", "lasting", 2);
    // The one without a delay was lost before.
    let log = router.log();
    let place = |text: &str| log.rfind(text).unwrap();
    assert!(place("lost for tracked process slow") < place("lost for tracked process lasting"));
    assert_eq!(router.wait_for(Master).effective_priority, 150);
    assert_eq!(router.count("gained for tracked process slow"), 1);
}

#[test]
fn a_source_address_that_is_not_there_is_a_fault() {
    let Some(lan) = Lan::<1>::new() else { return };
    let settings = format!("{FAST}\n mcast_src_ip 10.0.0.7\n track_src_ip");
    let router = Router::start(lan.host(1), &instance(150, &settings));
    let reason = router.wait_for(Fault).reason;
    assert!(
        reason.contains("source address 10.0.0.7 not there"),
        "{reason}"
    );
    lan.host(1).ip("address add 10.0.0.7/32 dev lo");
    router.wait_for(Master);
    lan.host(1).ip("address delete 10.0.0.7/32 dev lo");
    router.wait_for(Fault);
    // Without the keyword it is used whatever there is.
    router.reload_completely(&instance(150, &settings.replace("track_src_ip", "")));
    router.wait_for(Master);
    router.stop();
}

#[test]
fn an_instance_whose_peers_are_all_gone_is_a_fault_where_that_is_asked_for() {
    let Some(lan) = Lan::<1>::new() else { return };
    let text = |peer: &str| {
        let peers = format!("unicast_fault_no_peer\n unicast_peer {{\n {peer}\n }}");
        instance(150, &format!("{FAST}\n {peers}"))
    };
    let router = Router::start(lan.host(1), &text(""));
    let reason = router.wait_for(Fault).reason;
    assert!(
        reason.contains("list of unicast peers is empty"),
        "{reason}"
    );
    router.reload_completely(&text("10.0.0.9"));
    router.wait_for(Master);
    router.reload_completely(&text(""));
    router.wait_for(Fault);
    router.stop();
}

#[test]
fn a_process_that_is_late_rises_as_far_as_it_may() {
    let Some(lan) = Lan::<1>::new() else { return };
    let text = "global_defs {\n max_auto_priority 2\n min_auto_priority_delay 300000\n}\n";
    let router = Router::start(lan.host(1), &(text.to_owned() + &instance(150, FAST)));
    router.wait_for(Master);
    let process = router.vrrp_process();
    for _ in 0..2 {
        let stalls = router.wait_for(Master).counters.stalls;
        kill(process, Signal::SIGSTOP).unwrap();
        // Nothing else can tell that it has been still for longer than the limit.
        std::thread::sleep(std::time::Duration::from_millis(400));
        kill(process, Signal::SIGCONT).unwrap();
        router.wait("a stall", |it| it.wait_for(Master).counters.stalls > stalls);
    }
    router.wait_for_line("its real-time priority is 2 now");
    assert_eq!(router.count("its real-time priority is"), 1);
    router.stop();
}
