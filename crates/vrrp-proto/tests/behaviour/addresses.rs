//! When addresses are announced, put back, and left to others.

use std::time::Duration;

use vrrp_proto::config::{Delivery, PacingConfig};
use vrrp_proto::{Input, State, Time, Trouble, VirtualAddress, Vrid};

use super::{Story, config, of, packet, secs};

#[test]
fn announcements_follow_their_plan() {
    let mut ours = config("eth0", 150);
    ours.addresses.clear();
    let mut ours = ours
        .with_address("10.0.0.101".parse().unwrap())
        .with_address("10.0.0.102".parse().unwrap());
    ours.announce.repeat = 2;
    ours.announce.delay = Duration::from_secs(2);
    ours.announce.refresh = Duration::from_secs(4);
    ours.announce.refresh_repeat = 1;
    let mut story = Story::new(&of([("vr", ours)]));
    story.until(secs(12));
    let took_over = "3.4140625s vr announces 10.0.0";
    let expected = [
        format!("{took_over}.101"),
        format!("{took_over}.102"),
        format!("{took_over}.101"),
        format!("{took_over}.102"),
        "5.4140625s vr announces 10.0.0.101".to_owned(),
        "5.4140625s vr announces 10.0.0.102".to_owned(),
        "5.4140625s vr announces 10.0.0.101".to_owned(),
        "5.4140625s vr announces 10.0.0.102".to_owned(),
        "7.4140625s vr announces 10.0.0.101".to_owned(),
        "7.4140625s vr announces 10.0.0.102".to_owned(),
        "11.4140625s vr announces 10.0.0.101".to_owned(),
        "11.4140625s vr announces 10.0.0.102".to_owned(),
    ];
    assert_eq!(story.told("announces"), expected);
}

#[test]
fn interfaces_without_advertisements_are_reminded_of_with_one_address_each() {
    let mut ours = config("eth0", 150);
    ours.announce.repeat = 1;
    ours.announce.delay = Duration::ZERO;
    for address in ["10.0.1.1", "10.0.1.2"] {
        ours.addresses.push(VirtualAddress {
            address: address.parse().unwrap(),
            interface: "eth1".into(),
            advertised: false,
            announced: true,
        });
    }
    ours.reminders.interval = Duration::from_secs(3);
    ours.reminders.interfaces = vec!["eth1".into(), "eth2".into()];
    let mut story = Story::new(&of([("vr", ours)]));
    story.until(secs(10));
    assert_eq!(
        story.told("announces"),
        [
            "3.4140625s vr announces 10.0.0.100",
            "3.4140625s vr announces 10.0.1.1",
            "3.4140625s vr announces 10.0.1.2",
            "6.4140625s vr announces 10.0.1.1",
            "9.4140625s vr announces 10.0.1.1",
        ]
    );
}

#[test]
fn announcements_of_all_instances_keep_the_gap_of_their_interface() {
    let mut other = config("eth0", 150);
    other.vrid = Vrid::try_from(8).unwrap();
    other.addresses.clear();
    let other = other.with_address("10.0.0.200".parse().unwrap());
    let mut config = of([("one", config("eth0", 150)), ("two", other)]);
    config.pacing = vec![PacingConfig {
        interfaces: vec!["eth0".into()],
        arp_gap: Duration::from_millis(100),
        neighbour_gap: Duration::ZERO,
    }];
    let mut story = Story::new(&config);
    story.until(secs(4));
    assert_eq!(
        story.told("announces"),
        [
            "3.4140625s one announces 10.0.0.100",
            "3.5140625s two announces 10.0.0.200",
        ]
    );
}

#[test]
fn an_announcement_that_waits_is_forgotten_with_its_address() {
    let mut ours = config("eth0", 150);
    ours.announce.repeat = 3;
    let mut config = of([("vr", ours)]);
    config.pacing = vec![PacingConfig {
        interfaces: vec!["eth0".into()],
        arp_gap: Duration::from_secs(1),
        neighbour_gap: Duration::ZERO,
    }];
    let mut story = Story::new(&config);
    story.until(secs(4));
    story.hear("eth0", &packet(9, 200));
    assert_eq!(story.state("vr"), State::Backup);
    story.until(secs(7));
    assert_eq!(
        story.told("announces"),
        ["3.4140625s vr announces 10.0.0.100"]
    );
}

#[test]
fn a_flood_of_lower_advertisements_is_answered_but_announced_over_once_an_interval() {
    let mut ours = config("eth0", 150);
    ours.announce.delay = Duration::ZERO;
    ours.announce.lower_delay = Duration::ZERO;
    let mut story = Story::new(&of([("vr", ours)]));
    story.until(secs(4));
    story.tell();
    let lower = packet(9, 100);
    for millis in 0..2000 {
        story.until(Time::from_millis(4000 + millis));
        story.hear("eth0", &lower);
    }
    let lines = story.tell();
    let count = |words: &str| lines.iter().filter(|line| line.contains(words)).count();
    assert_eq!(count("announces"), 2);
    assert_eq!(count("LowerPriorityHeard"), 2);
    assert_eq!(count("SecondMaster"), 1);
    assert_eq!(count("sends"), 2002);
}

#[test]
fn the_goodbye_of_a_preempted_master_is_no_news() {
    let mut story = Story::new(&of([("vr", config("eth0", 150))]));
    let lower = packet(9, 100);
    story.until(secs(3));
    story.hear("eth0", &lower);
    story.until(Time::from_millis(3_500));
    story.tell();
    story.hear("eth0", &lower);
    assert_eq!(story.tell(), ["3.5s vr GoodbyeHeard", "3.5s vr sends 150"]);
    story.until(secs(4));
    story.hear("eth0", &lower);
    assert_eq!(story.told("LowerPriorityHeard").len(), 1);
}

#[test]
fn an_address_that_is_taken_again_and_again_is_put_back_once_an_interval() {
    let mut story = Story::new(&of([("vr", config("eth0", 150))]));
    story.until(secs(10));
    story.tell();
    for millis in 0..2500 {
        story.until(Time::from_millis(10_000 + millis));
        let trouble = Trouble::AddressLost {
            address: [10, 0, 0, 100].into(),
            interface: "eth0".into(),
        };
        story.give(Input::Trouble {
            instance: "vr".into(),
            trouble,
        });
    }
    assert_eq!(
        story.told("adds"),
        ["10s vr adds 1", "11s vr adds 1", "12s vr adds 1"]
    );
    assert_eq!(story.state("vr"), State::Master);
}

#[test]
fn addresses_that_cannot_be_added_are_left_to_others_for_a_while() {
    let mut story = Story::new(&of([("vr", config("eth0", 150))]));
    story.until(secs(4));
    for second in 4..7 {
        story.until(secs(second));
        let trouble = Trouble::AddressNotInstalled {
            address: [10, 0, 0, 100].into(),
            interface: "eth0".into(),
            detail: "permission denied".to_owned(),
        };
        story.give(Input::Trouble {
            instance: "vr".into(),
            trouble,
        });
    }
    assert_eq!(story.state("vr"), State::Fault);
    // Back after 30 s, but it preempts nobody.
    for second in 7..50 {
        story.until(secs(second));
        story.hear("eth0", &packet(9, 100));
    }
    assert_eq!(story.state("vr"), State::Backup);
    // A change of the interface gives it another chance.
    story.link("eth0", false);
    story.link("eth0", true);
    story.until(secs(54));
    assert_eq!(story.state("vr"), State::Master);
}

#[test]
fn a_lower_advertisement_is_announced_over_twice() {
    let mut ours = config("eth0", 150);
    ours.announce.delay = Duration::ZERO;
    ours.announce.lower_delay = Duration::from_secs(3);
    let mut story = Story::new(&of([("vr", ours)]));
    story.until(secs(10));
    story.tell();
    story.hear("eth0", &packet(9, 100));
    story.until(secs(30));
    let sets = ["10s", "13s"].map(|at| format!("{at} vr announces 10.0.0.100"));
    assert_eq!(story.told("announces"), sets);
}

#[test]
fn a_goodbye_is_expected_for_two_intervals() {
    let mut story = Story::new(&of([("vr", config("eth0", 150))]));
    story.until(secs(3));
    story.hear("eth0", &packet(9, 100));
    story.until(Time::from_millis(5_415)); // Master since 3.4140625 s
    story.hear("eth0", &packet(9, 100));
    assert_eq!(story.told("GoodbyeHeard"), [""; 0]);
    assert_eq!(story.state("vr"), State::Master);
}

#[test]
fn an_address_that_is_missing_is_not_announced() {
    let ours = config("eth0", 150).with_address([10, 0, 0, 101].into());
    let mut story = Story::new(&of([("vr", ours)]));
    story.until(secs(4));
    let trouble = Trouble::AddressNotInstalled {
        address: [10, 0, 0, 100].into(),
        interface: "eth0".into(),
        detail: "permission denied".to_owned(),
    };
    let instance = "vr".into();
    story.give(Input::Trouble { instance, trouble });
    story.tell();
    let instance = "vr".into();
    story.give(Input::Announce { instance });
    assert_eq!(story.tell(), ["4s vr announces 10.0.0.101"]);
}

#[test]
fn a_unicast_router_that_is_back_tells_where_it_lives() {
    let mut ours = config("eth0", 150);
    ours.delivery = Delivery::unicast([[10, 0, 0, 9].into()]);
    let mut story = Story::new(&of([("vr", ours)]));
    story.link("eth0", false);
    story.tell();
    story.link("eth0", true);
    assert_eq!(
        story.tell(),
        [
            "0s vr BACKUP (no cause of fault is left)",
            "0s vr announces 10.0.0.5",
        ]
    );
}
