//! Masters that go away.

use director::status::VrrpState::{Backup, Fault, Master};
use nix::sys::signal::{Signal, kill};

use crate::lan::Lan;
use crate::router::{FAST, Router, instance};

/// A pair of which the first is master.
fn pair(lan: &Lan<2>, extra: &str) -> (Router, Router) {
    let first = Router::start(lan.host(1), &instance(150, extra));
    first.wait_for(Master);
    let second = Router::start(lan.host(2), &instance(100, extra));
    second.wait_for(Backup);
    second.wait("the master to be heard", |it| {
        it.instance("VI").is_some_and(|it| it.master.is_some())
    });
    (first, second)
}

#[test]
fn a_power_cut_is_noticed_by_the_silence() {
    let Some(lan) = Lan::<2>::new() else { return };
    let (first, second) = pair(&lan, FAST);
    first.cut_power();
    let master = second.wait_for(Master);
    assert!(
        master.reason.starts_with("no advert of 10.0.0.1 for 0.3"),
        "{}",
        master.reason
    );
    assert!(master.counters.announced >= 5);
    // What the dead one has left is removed before it takes part again.
    assert!(lan.has(1, "10.0.0.100") && lan.has(2, "10.0.0.100"));
    let first = Router::start(lan.host(1), &instance(90, FAST));
    first.wait_for(Backup);
    assert!(!lan.has(1, "10.0.0.100"));
}

#[test]
fn a_killed_process_is_master_again_before_anybody_notices() {
    let Some(lan) = Lan::<2>::new() else { return };
    let (first, second) = pair(&lan, "advert_int 1");
    let child = first.vrrp_process();
    kill(child, Signal::SIGKILL).unwrap();
    first.wait("another process", |it| it.vrrp_process() != child);
    let master = first.wait_for(Master);
    assert!(
        master.reason.starts_with("was master 1."),
        "{}",
        master.reason
    );
    assert!(lan.has(1, "10.0.0.100"));
    first.wait("an advertisement of the new process", |it| {
        it.instance("VI").is_some_and(|it| it.counters.sent >= 3)
    });
    let backup = second.wait_for(Backup);
    assert_eq!(
        (backup.counters.became_master, second.count("Entering")),
        (0, 1)
    );
}

#[test]
fn a_link_that_is_down_is_a_fault_with_its_reason() {
    let Some(lan) = Lan::<2>::new() else { return };
    let (first, second) = pair(&lan, FAST);
    lan.host(1).ip("link set eth0 down");
    let fault = first.wait_for(Fault);
    assert_eq!(fault.reason, "interface eth0 down");
    assert_eq!(fault.faults, ["interface eth0 down"]);
    assert!(!lan.has(1, "10.0.0.100"));
    second.wait_for(Master);
    lan.host(1).ip("link set eth0 up");
    first.wait_for(Master);
    second.wait_for(Backup);
    first.wait_for_line("(VI) Entering FAULT STATE (interface eth0 down)");
}

#[test]
fn a_tracked_interface_takes_its_weight_along() {
    let Some(lan) = Lan::<2>::new() else { return };
    lan.host(1).ip("link add up0 type veth peer name far0");
    lan.host(1).ip("link set far0 up");
    lan.host(1).ip("link set up0 up");
    let tracks = format!("{FAST}\n  track_interface {{\n    up0 weight -60\n  }}");
    let first = Router::start(lan.host(1), &instance(150, &tracks));
    first.wait_for(Master);
    let second = Router::start(lan.host(2), &instance(100, FAST));
    second.wait_for(Backup);
    lan.host(1).ip("link set up0 down");
    second.wait_for(Master);
    let backup = first.wait_for(Backup);
    assert_eq!((backup.priority, backup.effective_priority), (150, 90));
    first.wait_for_line("(VI) Changing effective priority from 150 to 90");
    lan.host(1).ip("link set up0 up");
    assert_eq!(first.wait_for(Master).effective_priority, 150);
}

#[test]
fn a_master_that_stood_still_says_so_and_announces_again() {
    let Some(lan) = Lan::<2>::new() else { return };
    let (first, second) = pair(&lan, FAST);
    let child = first.vrrp_process();
    kill(child, Signal::SIGSTOP).unwrap();
    second.wait_for(Master);
    // What the other one sends meanwhile is heard all at once.
    second.wait("many advertisements", |it| {
        it.instance("VI")
            .is_some_and(|it| it.counters.sent >= 20 && it.counters.announced >= 5)
    });
    kill(child, Signal::SIGCONT).unwrap();
    second.wait_for(Backup);
    let master = first.wait_for(Master);
    assert_eq!(
        (master.counters.became_master, master.counters.stalls),
        (1, 1)
    );
    first.wait_for_line("(VI) this process was not scheduled for");
    first.wait("a second announcement", |it| {
        it.instance("VI")
            .is_some_and(|it| it.counters.announced >= 10)
    });
    assert!(lan.has(1, "10.0.0.100") && !lan.has(2, "10.0.0.100"));
    // It answers the other one once, not each of its advertisements.
    assert!(first.wait_for(Master).counters.announced <= 20);
    assert!(first.count("forcing new election") <= 1, "{}", first.log());
    assert_eq!(first.count("acts as master, too"), 0, "{}", first.log());
}

#[test]
fn a_child_without_a_parent_gives_everything_back() {
    let Some(lan) = Lan::<2>::new() else { return };
    let (mut first, second) = pair(&lan, FAST);
    first.lvsd.signal(Signal::SIGKILL);
    first.lvsd.wait(crate::router::LIMIT);
    assert_eq!(second.wait_for(Master).reason, "10.0.0.1 resigned");
    second.wait("the address to be gone", |_| !lan.has(1, "10.0.0.100"));
}

#[test]
fn a_backup_that_stood_still_listens_before_it_takes_over() {
    let Some(lan) = Lan::<2>::new() else { return };
    let (first, second) = pair(&lan, FAST);
    let child = second.vrrp_process();
    let sent = first.wait_for(Master).counters.sent;
    kill(child, Signal::SIGSTOP).unwrap();
    first.wait("ten advertisements", |it| {
        it.instance("VI")
            .is_some_and(|it| it.counters.sent > sent + 10)
    });
    kill(child, Signal::SIGCONT).unwrap();
    let sent = first.wait_for(Master).counters.sent;
    first.wait("five more", |it| {
        it.instance("VI")
            .is_some_and(|it| it.counters.sent > sent + 5)
    });
    let backup = second.wait_for(Backup);
    assert_eq!(backup.counters.became_master, 0);
}
