//! How the processes are scheduled: what the kernel says of them, beside keepalived's.

use std::path::Path;

use director::status::VrrpState::Master;
use lvs_testkit::wait_until;
use nix::unistd::Pid;

use crate::lan::Lan;
use crate::router::{FAST, Keepalived, LIMIT, Router, instance};

/// What the kernel says of a thread.
#[derive(Debug, PartialEq, Eq)]
struct Scheduled {
    nice: i32,
    /// `SCHED_OTHER` is 0, `SCHED_RR` 2.
    policy: u32,
    real_time: u32,
    processors: String,
}

impl Scheduled {
    fn of(folder: &Path) -> Self {
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
        Self::parse(&read("stat"), &read("status"))
    }

    /// Source: proc(5). The fields of `stat` are counted behind the name, which may hold blanks.
    fn parse(stat: &str, status: &str) -> Self {
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        Self {
            nice: fields[16].parse().unwrap(),
            real_time: fields[37].parse().unwrap(),
            policy: fields[38].parse().unwrap(),
            processors: member(status, "Cpus_allowed_list:"),
        }
    }
}

fn member(text: &str, name: &str) -> String {
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.trim_start_matches(name).trim().to_owned()
}

fn folder_of(process: Pid) -> std::path::PathBuf {
    Path::new("/proc").join(process.to_string())
}

/// Each of its threads.
fn threads(process: Pid) -> Vec<Scheduled> {
    let threads = std::fs::read_dir(folder_of(process).join("task")).unwrap();
    threads
        .map(|thread| Scheduled::of(&thread.unwrap().path()))
        .collect()
}

fn is_locked(process: Pid) -> bool {
    let status = std::fs::read_to_string(folder_of(process).join("status")).unwrap();
    member(&status, "VmLck:") != "0 kB"
}

/// The soft limit of a run at real-time priority, in microseconds.
fn longest_run(process: Pid) -> String {
    let limits = std::fs::read_to_string(folder_of(process).join("limits")).unwrap();
    let limit = member(&limits, "Max realtime timeout");
    limit.split_whitespace().next().unwrap().to_owned()
}

/// What a script finds itself to be: `stat` and `status` in a folder.
fn script(folder: &Path) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join("look");
    let folder = folder.display();
    let text = format!(
        "#!/bin/sh\nread -r line < /proc/$$/stat && echo \"$line\" > {folder}/stat\n\
         while read -r line; do echo \"$line\"; done < /proc/$$/status > {folder}/new\n\
         mv {folder}/new {folder}/status\n"
    );
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    path.display().to_string()
}

fn of_script(folder: &Path) -> Scheduled {
    wait_until("the script", LIMIT, || {
        folder.join("status").exists().then_some(())
    });
    Scheduled::of(folder)
}

fn text(globals: &str, folder: &Path) -> String {
    let look = script(folder);
    format!(
        "global_defs {{\n script_user root\n {globals}\n}}\n{}\
         virtual_server 127.0.0.1 1 {{\n protocol TCP\n lb_algo rr\n lb_kind NAT\n \
         real_server 127.0.0.1 2 {{\n }}\n}}\n",
        instance(150, &format!("{FAST}\n notify_master {look}"))
    )
}

#[test]
fn nice_values_processors_and_locked_memory_are_those_of_keepalived() {
    let (Some(lan), Some(other)) = (Lan::<1>::new(), Lan::<1>::new()) else {
        return;
    };
    let globals = "vrrp_priority -5\n vrrp_cpu_affinity 0\n vrrp_no_swap\n checker_priority 7\n \
                   checker_cpu_affinity 0\n checker_no_swap";
    let [ours, theirs] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let keepalived = Keepalived::start(other.host(1), &text(globals, theirs.path()));
    let router = Router::start_whole(lan.host(1), &text(globals, ours.path()));
    router.wait_for(Master);
    let expected = |nice| Scheduled {
        nice,
        policy: 0,
        real_time: 0,
        processors: "0".to_owned(),
    };
    let (vrrp, checker) = (router.process("vrrp"), router.process("checker"));
    for (process, nice) in [(vrrp, -5), (checker, 7)] {
        let threads = threads(process);
        assert!(
            threads.iter().all(|it| *it == expected(nice)),
            "{threads:?}"
        );
        assert!(is_locked(process));
    }
    assert!(!is_locked(router.process("proxy")));
    assert_eq!(of_script(ours.path()), expected(0));
    // A reload may wish for something else, or for nothing in particular.
    let other_nice = |globals: &str| {
        globals
            .replace("-5", "-8")
            .replace("priority 7", "priority 3")
    };
    router.reload_completely(&text(&other_nice(globals), ours.path()));
    let nice = |process| Scheduled::of(&folder_of(process)).nice;
    assert_eq!((nice(vrrp), nice(checker)), (-8, 3));
    router.reload_completely(&text("", ours.path()));
    assert_eq!((nice(vrrp), nice(checker)), (0, 0));
    assert!(!is_locked(vrrp) && !is_locked(checker));
    let of_test = Scheduled::of(Path::new("/proc/self")).processors;
    assert_eq!(Scheduled::of(&folder_of(checker)).processors, of_test);
    let Some(keepalived) = keepalived else { return };
    keepalived.wait_for("MASTER");
    assert_eq!(
        Scheduled::of(&folder_of(keepalived.vrrp_process())),
        expected(-5)
    );
    assert!(is_locked(keepalived.vrrp_process()));
    assert_eq!(of_script(theirs.path()), expected(0));
    keepalived.reload(&text(&other_nice(globals), theirs.path()));
    assert_eq!(nice(keepalived.vrrp_process()), -8);
}

#[test]
fn real_time_priorities_are_those_of_keepalived_and_no_script_has_one() {
    let (Some(lan), Some(other)) = (Lan::<1>::new(), Lan::<1>::new()) else {
        return;
    };
    let globals = "vrrp_rt_priority 40\n vrrp_rlimit_rttime 200000\n checker_rt_priority 30\n \
                   checker_rlimit_rttime 10000";
    let [ours, theirs] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let keepalived = Keepalived::start(other.host(1), &text(globals, theirs.path()));
    let router = Router::start_whole(lan.host(1), &text(globals, ours.path()));
    router.wait_for(Master);
    let found = |process| {
        let main = Scheduled::of(&folder_of(process));
        (main.policy, main.real_time)
    };
    let (vrrp, checker) = (router.process("vrrp"), router.process("checker"));
    assert_eq!((found(vrrp), found(checker)), ((2, 40), (2, 30)));
    assert_eq!(longest_run(vrrp), "200000");
    assert_eq!(longest_run(checker), "10000");
    // Who writes and tells is an ordinary thread, and so is what it starts.
    let real_time = threads(vrrp).iter().filter(|it| it.real_time != 0).count();
    assert_eq!(real_time, 1);
    let ordinary = |it: &Scheduled| (it.nice, it.policy, it.real_time);
    assert_eq!(ordinary(&of_script(ours.path())), (0, 0, 0));
    router.reload_completely(&text("vrrp_rt_priority 41", ours.path()));
    assert_eq!((found(vrrp), found(checker)), ((2, 41), (0, 0)));
    router.reload_completely(&text("vrrp_priority 4", ours.path()));
    assert_eq!(found(vrrp), (0, 0));
    let Some(keepalived) = keepalived else { return };
    keepalived.wait_for("MASTER");
    assert_eq!(found(keepalived.vrrp_process()), (2, 40));
    assert_eq!(ordinary(&of_script(theirs.path())), (0, 0, 0));
}
