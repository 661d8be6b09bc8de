//! What a process makes of time in which it did not run.

use std::time::Duration;

use vrrp_proto::config::Preempt;
use vrrp_proto::{InterfaceState, Output, Router, RouterOutput, State, Time};

use super::{Story, config, of, packet, secs};

#[test]
fn a_restarted_master_goes_on_if_nobody_can_have_noticed() {
    for (silent_ms, expected) in [(1_999, State::Master), (2_000, State::Backup)] {
        let mut router = Router::new();
        router
            .configure(secs(100), &of([("vr", config("eth0", 150))]))
            .unwrap();
        router.resume(secs(100), &"vr".into(), Duration::from_millis(silent_ms));
        let state = InterfaceState::up([[10, 0, 0, 5].into()]);
        router.handle_interface(secs(100), &"eth0".into(), &state);
        assert_eq!(router.instance("vr").unwrap().state(), expected);
        let removed = std::iter::from_fn(|| router.poll_output()).any(|it| {
            matches!(
                it,
                RouterOutput::Instance {
                    output: Output::RemoveAddresses { .. },
                    ..
                }
            )
        });
        assert_eq!(removed, expected == State::Backup);
    }
}

#[test]
fn a_backup_that_slept_listens_before_it_takes_over() {
    // Woken at the very end of its wait, but not at the looks before: it slept through them.
    let mut story = Story::new(&of([("vr", config("eth0", 150))]));
    let end = Time::ZERO + Duration::from_nanos(3_414_062_500);
    story.router.handle_timeout(end);
    story.drain();
    assert_eq!(story.state("vr"), State::Backup);
    let timers = story.router.instance("vr").unwrap().status().timers;
    let listen = Duration::from_nanos(1_414_062_500);
    assert_eq!(timers.master_down, Some(end + listen));
    // The Master lives.
    story.now = end + Duration::from_secs(1);
    story.hear("eth0", &packet(9, 200));
    story.until(secs(6));
    assert_eq!(story.state("vr"), State::Backup);
}

#[test]
fn a_backup_that_slept_at_the_end_of_its_wait_listens_first() {
    // Every look before was in time.
    let mut story = Story::new(&of([("vr", config("eth0", 150))]));
    story.until(secs(3));
    let end = Duration::from_nanos(3_414_062_500);
    story.now = Time::ZERO + end + Duration::from_millis(501);
    story.router.handle_timeout(story.now);
    story.drain();
    assert_eq!(story.state("vr"), State::Backup);
    assert_eq!(story.told("Stalled"), ["3.9150625s vr Stalled"]);
}

#[test]
fn a_backup_that_slept_takes_over_if_there_really_is_nobody() {
    let mut story = Story::new(&of([("vr", config("eth0", 150))]));
    story.now = secs(60);
    story.router.handle_timeout(secs(60));
    story.drain();
    story.until(secs(62));
    assert_eq!(
        story.told("vr "),
        [
            "0s vr removes 1",
            "0s vr BACKUP (start)",
            "60s vr Stalled",
            "61.4140625s vr sends 150",
            "61.4140625s vr adds 1",
            "61.4140625s vr announces 10.0.0.100",
            "61.4140625s vr MASTER (no advert of anybody for 61.4140625s)",
        ]
    );
}

#[test]
fn a_little_lateness_delays_nothing() {
    let mut story = Story::new(&of([("vr", config("eth0", 150))]));
    while story.state("vr") == State::Backup {
        story.now = story.router.poll_timeout().unwrap() + Duration::from_millis(499);
        story.router.handle_timeout(story.now);
        story.drain();
    }
    assert_eq!(story.told("Stalled"), [""; 0]);
    assert_eq!(story.now, Time::ZERO + Duration::from_nanos(3_913_062_500));
}

#[test]
fn a_master_that_slept_advertises_and_announces_again() {
    let mut story = Story::new(&of([("vr", config("eth0", 150))]));
    story.until(secs(10));
    story.tell();
    story.now = secs(20);
    story.router.handle_timeout(secs(20));
    story.drain();
    assert_eq!(story.tell(), ["20s vr Stalled", "20s vr sends 150"]);
    story.until(secs(21));
    assert_eq!(
        story.tell(),
        ["21s vr sends 150", "21s vr announces 10.0.0.100"]
    );
}

#[test]
fn a_master_that_slept_does_not_answer_what_came_meanwhile() {
    let mut story = Story::new(&of([("vr", config("eth0", 150))]));
    story.until(secs(10));
    story.tell();
    // All that lay in its socket, by the time at which it came.
    for second in 13..20 {
        story.now = secs(second);
        story.hear("eth0", &packet(9, 100));
    }
    assert_eq!(story.tell(), [""; 0]);
    story.router.handle_timeout(secs(20));
    story.drain();
    story.until(secs(21));
    // The other one is still there.
    story.hear("eth0", &packet(9, 100));
    assert_eq!(
        story.tell(),
        [
            "19s vr Stalled",
            "19s vr sends 150",
            "19s vr announces 10.0.0.100",
            "21s vr sends 150",
            "21s vr announces 10.0.0.100",
            "21s vr LowerPriorityHeard",
            "21s vr announces 10.0.0.100",
            "21s vr sends 150",
        ]
    );
    // A better one wins at once.
    story.now = secs(25);
    story.hear("eth0", &packet(9, 200));
    assert_eq!(story.state("vr"), State::Backup);
}

#[test]
fn a_master_that_slept_can_be_told_to_yield() {
    let mut ours = config("eth0", 150);
    ours.preempt = Preempt::Never;
    ours.yield_after_stall = true;
    let mut story = Story::new(&of([("vr", ours)]));
    story.until(secs(10));
    story.tell();
    story.now = secs(20);
    story.router.handle_timeout(secs(20));
    story.drain();
    assert_eq!(
        story.tell(),
        [
            "20s vr Stalled",
            "20s vr sends 0",
            "20s vr removes 1",
            "20s vr BACKUP (was not scheduled for 9.5859375s)",
        ]
    );
}

#[test]
fn the_rhythm_of_a_master_does_not_drift() {
    let mut story = Story::new(&of([("vr", config("eth0", 150))]));
    story.until(secs(4));
    for _ in 0..100 {
        story.now = story.router.poll_timeout().unwrap() + Duration::from_millis(3);
        story.router.handle_timeout(story.now);
        story.drain();
    }
    let sent = story.told("sends").len() as u64;
    let advert = story
        .router
        .instance("vr")
        .unwrap()
        .status()
        .timers
        .advertisement;
    let expected = Duration::from_nanos(3_414_062_500) + Duration::from_secs(sent);
    assert_eq!(advert, Some(Time::ZERO + expected));
}

#[test]
fn a_backup_that_is_always_late_does_not_listen_for_ever() {
    let mut story = Story::new(&of([("vr", config("eth0", 150))]));
    for _ in 0..10 {
        story.now = story.router.poll_timeout().unwrap() + Duration::from_millis(600);
        story.router.handle_timeout(story.now);
        story.drain();
    }
    assert_eq!(story.state("vr"), State::Master);
}
