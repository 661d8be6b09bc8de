//! Members of a sync group share their state.

use std::time::Duration;

use vrrp_proto::{Input, State};

use super::{Story, config, grouped, of, packet, secs};

#[test]
fn a_group_becomes_master_when_all_its_members_would() {
    let config = grouped([("a", config("eth0", 150)), ("b", config("eth1", 150))]);
    let mut story = Story::new(&config);
    let master = packet(9, 200);
    story.until(secs(3));
    story.hear("eth1", &master);
    story.until(secs(6));
    assert_eq!(story.state("a"), State::Backup); // ready since 3.4140625 s
    story.tell();
    story.until(secs(7));
    assert_eq!(
        story.tell(),
        [
            "6.4140625s b sends 150",
            "6.4140625s b adds 1",
            "6.4140625s b announces 10.0.0.100",
            "6.4140625s b MASTER (no advert of 10.0.0.9 for 3.4140625s)",
            "6.4140625s g follows b to MASTER",
            "6.4140625s a sends 150",
            "6.4140625s a adds 1",
            "6.4140625s a announces 10.0.0.100",
            "6.4140625s a MASTER (group g follows b)",
            "6.4140625s g is MASTER",
        ]
    );
}

#[test]
fn a_group_follows_its_first_member_to_backup_and_to_fault() {
    let config = grouped([("a", config("eth0", 150)), ("b", config("eth1", 150))]);
    let mut story = Story::new(&config);
    story.until(secs(4));
    story.tell();
    story.hear("eth1", &packet(9, 200));
    assert_eq!(
        story.tell(),
        [
            "4s b sends 150",
            "4s b removes 1",
            "4s b BACKUP (advert of 10.0.0.9 with priority 200, ours 150)",
            "4s g follows b to BACKUP",
            "4s a sends 0",
            "4s a removes 1",
            "4s a BACKUP (group g follows b)",
            "4s g is BACKUP",
        ]
    );
    story.link("eth0", false);
    assert_eq!(
        story.tell(),
        [
            "4s a FAULT (interface eth0 down)",
            "4s g follows a to FAULT",
            "4s b FAULT (member a of group g has a fault)",
            "4s g is FAULT",
        ]
    );
    story.link("eth1", false);
    story.link("eth0", true);
    assert_eq!(story.state("a"), State::Fault);
    story.link("eth1", true);
    assert_eq!(story.state("a"), State::Backup);
    assert_eq!(story.state("b"), State::Backup);
    assert_eq!(story.tell().last().unwrap(), "4s g is BACKUP");
}

#[test]
fn a_member_that_leaves_its_group_does_not_wait_for_it_any_more() {
    let ours = [("a", config("eth0", 150)), ("b", config("eth1", 150))];
    let mut story = Story::new(&grouped(ours.clone()));
    for second in 1..=5 {
        story.until(secs(second));
        story.hear("eth1", &packet(9, 200));
    }
    assert_eq!(story.state("a"), State::Backup);
    story.give(Input::Configure(of(ours)));
    story.until(secs(9));
    assert_eq!(story.state("a"), State::Master);
}

#[test]
fn a_group_of_owners_is_master_at_once() {
    let mut story = Story::new(&grouped([
        ("a", config("eth0", 255)),
        ("b", config("eth1", 255)),
    ]));
    assert_eq!(
        story.told("MASTER"),
        [
            "0s b MASTER (address owner, priority 255)",
            "0s g follows b to MASTER",
            "0s a MASTER (group g follows b)",
            "0s g is MASTER",
        ]
    );
}

#[test]
fn the_members_announce_over_a_lower_master_together() {
    let mut ours = [config("eth0", 150), config("eth1", 150)];
    for config in &mut ours {
        config.announce.delay = Duration::ZERO;
        config.announce.lower_delay = Duration::ZERO;
    }
    let [one, two] = ours;
    let mut story = Story::new(&grouped([("a", one), ("b", two)]));
    story.until(secs(4));
    story.tell();
    story.hear("eth1", &packet(9, 100));
    assert_eq!(
        story.told("announces"),
        ["4s b announces 10.0.0.100", "4s a announces 10.0.0.100"]
    );
}

#[test]
fn members_that_go_on_as_masters_do_not_need_to_know_all_at_once() {
    let mut story = Story::new(&of([]));
    let ours = grouped([("a", config("eth0", 150)), ("b", config("eth1", 150))]);
    story.now = secs(100);
    story.give(Input::Configure(ours));
    for instance in ["a", "b"].map(Into::into) {
        let silent_for = Duration::from_millis(100);
        story.give(Input::Resume {
            instance,
            silent_for,
        });
    }
    story.link("eth0", true);
    assert_eq!(
        [story.state("a"), story.state("b")],
        [State::Master, State::Initialize]
    );
    story.link("eth1", true);
    assert_eq!([story.state("a"), story.state("b")], [State::Master; 2]);
    assert_eq!(story.told("removes"), [""; 0]);
}
