//! The last word of a Master that yields: when it is repeated, to whom, and when no more.

use std::time::Duration;

use vrrp_proto::config::Preempt;
use vrrp_proto::{
    AdvertInterval, InstanceConfig, Priority, State, Time, TrackStatus, TrackerConfig, Version,
};

use super::{Story, config, grouped, of, packet, packet_of, secs};

/// What a Master at 10.0.0.9 says, each packet with a number of its own.
struct Better {
    packet: Vec<u8>,
    number: u16,
}

impl Better {
    fn new(priority: u8) -> Self {
        let packet = packet(9, priority);
        Self { packet, number: 0 }
    }

    fn advertises_to(&mut self, story: &mut Story) {
        self.number += 1;
        self.packet[4..6].copy_from_slice(&self.number.to_be_bytes());
        story.hear("eth0", &self.packet);
    }

    /// Says an advertisement at each of these seconds.
    fn advertises_each_second(&mut self, story: &mut Story, seconds: impl Iterator<Item = u64>) {
        for second in seconds {
            story.until(secs(second));
            self.advertises_to(story);
        }
    }
}

/// A Master of priority 100 at ten seconds that has just yielded to a better one.
fn yielded(change: impl FnOnce(&mut InstanceConfig)) -> (Story, Better) {
    let mut ours = config("eth0", 100);
    change(&mut ours);
    let mut story = Story::new(&of([("vr", ours)]));
    story.until(secs(10));
    story.tell();
    let mut better = Better::new(200);
    better.advertises_to(&mut story);
    assert_eq!(story.state("vr"), State::Backup);
    (story, better)
}

#[test]
fn without_an_answer_it_is_said_more_and_more_rarely() {
    let (mut story, mut better) = yielded(|_| {});
    better.advertises_each_second(&mut story, 11..1000);
    let said = [
        10, 12, 16, 24, 40, 72, 136, 200, 264, 328, 392, 456, 520, 584, 648, 712,
    ];
    let lines = story.tell();
    let sent: Vec<&String> = lines.iter().filter(|it| it.contains("sends")).collect();
    assert_eq!(
        sent,
        said.map(|at| format!("{at}s vr sends 100"))
            .iter()
            .collect::<Vec<_>>()
    );
    let told: Vec<&String> = lines
        .iter()
        .filter(|it| it.contains("Unanswered"))
        .collect();
    assert_eq!(told, ["16s vr LastWordUnanswered"]);
    assert_eq!(story.state("vr"), State::Backup);
}

#[test]
fn an_answer_ends_it() {
    let (mut story, mut better) = yielded(|_| {});
    story.until(Time::from_millis(10_499));
    better.advertises_to(&mut story);
    better.advertises_each_second(&mut story, 11..100);
    assert_eq!(story.told("sends"), ["10s vr sends 100"]);

    // Half an interval later it is the Master's rhythm.
    let (mut story, mut better) = yielded(|_| {});
    story.until(Time::from_millis(10_500));
    better.advertises_to(&mut story);
    better.advertises_each_second(&mut story, 11..13);
    // What answers a word that was repeated counts as well.
    story.until(Time::from_millis(12_100));
    better.advertises_to(&mut story);
    better.advertises_each_second(&mut story, 13..100);
    assert_eq!(
        story.told("sends"),
        ["10s vr sends 100", "12s vr sends 100"]
    );
}

#[test]
fn a_copy_of_what_was_answered_is_no_answer() {
    let (mut story, mut better) = yielded(|_| {});
    better.number -= 1;
    better.advertises_to(&mut story);
    better.advertises_each_second(&mut story, 11..13);
    assert_eq!(story.told("sends").len(), 2);

    // Where packets have no number, copies cannot be told.
    better.advertises_each_second(&mut story, 13..16);
    better.packet[4..6].fill(0);
    for millis in [16_000, 16_001] {
        story.until(Time::from_millis(millis));
        story.hear("eth0", &better.packet);
    }
    better.advertises_each_second(&mut story, 17..100);
    assert_eq!(story.told("sends"), ["16s vr sends 100"]);
}

#[test]
fn what_lay_in_a_socket_is_neither_an_answer_nor_a_reason() {
    let (mut story, mut better) = yielded(|_| {});
    better.advertises_each_second(&mut story, 11..12);
    story.now = secs(15);
    for _ in 12..=15 {
        better.advertises_to(&mut story);
    }
    better.advertises_each_second(&mut story, 16..18);
    assert_eq!(
        story.told("sends"),
        ["10s vr sends 100", "16s vr sends 100"]
    );

    // The same as Master: the first of them makes it yield.
    let mut story = Story::new(&of([("vr", config("eth0", 100))]));
    story.until(secs(10));
    story.now = secs(20);
    story.tell();
    better.advertises_to(&mut story);
    better.advertises_to(&mut story);
    better.advertises_each_second(&mut story, 21..23);
    assert_eq!(
        story.told("sends"),
        ["20s vr sends 100", "22s vr sends 100"]
    );
}

#[test]
fn where_it_would_win_it_is_said_below_the_master() {
    let (mut story, mut better) = yielded(|ours| {
        ours.preempt = Preempt::Never;
        let name = "script may".into();
        let weight = Some(150.try_into().unwrap());
        let reverse = false;
        ours.trackers = vec![TrackerConfig {
            name,
            weight,
            reverse,
        }];
    });
    better.packet = packet(9, 50);
    better.advertises_each_second(&mut story, 11..20);
    let said = ["10s vr sends 100", "12s vr sends 49", "16s vr sends 49"];
    assert_eq!(story.told("sends"), said);
    // Our own priority is higher by now; the word is still the one by which the contest was lost.
    better.packet = packet(9, 200);
    story.track("script may", TrackStatus::Good);
    better.advertises_each_second(&mut story, 20..25);
    assert_eq!(story.told("sends"), ["24s vr sends 100"]);
}

#[test]
fn it_is_said_to_the_master_that_is_there() {
    let (mut story, mut better) = yielded(|_| {});
    better.advertises_each_second(&mut story, 11..12);
    // Another one is heard beside it, with a rhythm of its own, and says nothing about the word.
    let mut other = Better::new(210);
    other.packet[15] = 8;
    for second in 12..=13 {
        story.until(secs(second));
        better.advertises_to(&mut story);
        story.until(Time::from_millis(second * 1000 + 100));
        other.advertises_to(&mut story);
    }
    assert_eq!(
        story.told("sends"),
        ["10s vr sends 100", "12s vr sends 100"]
    );
    // It takes over, and hears the word in the place of the first.
    other.advertises_each_second(&mut story, 14..20);
    assert_eq!(story.told("sends"), ["18s vr sends 100"]);
}

#[test]
fn who_does_not_answer_expects_no_answer() {
    let (mut story, mut better) = yielded(|ours| ours.answer_lower = false);
    better.advertises_each_second(&mut story, 11..100);
    assert_eq!(story.told("sends"), ["10s vr sends 100"]);
    let (mut story, mut better) = yielded(|ours| ours.answer_higher = false);
    better.advertises_each_second(&mut story, 11..100);
    assert_eq!(story.told("sends"), [""; 0]);
}

#[test]
fn a_backup_that_was_no_rival_is_silent() {
    let second = config("eth1", 100);
    let mut story = Story::new(&grouped([("one", config("eth0", 100)), ("two", second)]));
    story.until(secs(10));
    story.tell();
    let mut better = Better::new(200);
    for second in 10..100 {
        story.until(secs(second));
        better.advertises_to(&mut story);
        story.hear("eth1", &better.packet);
    }
    let sent = story.told("two sends");
    assert_eq!(sent, ["10s two sends 0"], "it resigned with its group");
    assert!(story.router.instance("one").unwrap().statistics().sent > 10);
}

#[test]
fn its_interval_is_that_of_the_master() {
    let centis = |centis| AdvertInterval::from_centis(centis).unwrap();
    let of_version_3 = |priority| {
        let mut it = config("eth0", priority);
        it.version = Version::V3;
        it
    };
    let mut slow = of_version_3(200);
    slow.advert_interval = centis(300);
    let slow = packet_of(9, slow);
    let mut story = Story::new(&of([("vr", of_version_3(100))]));
    for second in [10, 13, 16] {
        story.until(secs(second));
        story.hear("eth0", &slow);
    }
    let words = story.packets.iter().rev().take(2);
    let intervals = words.map(|(_, packet)| u16::from_be_bytes([packet[24], packet[25]]));
    assert!(intervals.eq([300, 300]));
    assert_eq!(story.told("sends 100").last().unwrap(), "16s vr sends 100");
    // As Master it has its own again.
    story.until(secs(30));
    let packet = &story.packets.last().unwrap().1;
    assert_eq!(packet[24..26], 100_u16.to_be_bytes());
}

/// Two routers and a wire for each direction.
struct Pair {
    better: Story,
    worse: Story,
    to_worse: bool,
    to_better: bool,
}

impl Pair {
    fn new(starts_at: Time) -> Self {
        let mut better = config("eth0", 150);
        better.priority = Priority::try_from(150).unwrap();
        better.announce.lower_delay = Duration::ZERO;
        better.announce.delay = Duration::ZERO;
        better.startup_delay = starts_at.since(Time::ZERO);
        Self {
            better: Story::at(&of([("vr", better)]), [10, 0, 0, 9]),
            worse: Story::at(&of([("vr", config("eth0", 100))]), [10, 0, 0, 5]),
            to_worse: true,
            to_better: true,
        }
    }

    fn until(&mut self, until: Time) {
        while let Some(at) = self.next().filter(|at| *at <= until) {
            self.better.until(at);
            self.worse.until(at);
            self.carry();
        }
    }

    fn next(&self) -> Option<Time> {
        let both = [&self.better, &self.worse];
        both.into_iter()
            .filter_map(|it| it.router.poll_timeout())
            .min()
    }

    fn carry(&mut self) {
        while !self.better.packets.is_empty() || !self.worse.packets.is_empty() {
            for (_, packet) in std::mem::take(&mut self.better.packets) {
                if self.to_worse {
                    self.worse.hear("eth0", &packet);
                }
            }
            for (_, packet) in std::mem::take(&mut self.worse.packets) {
                if self.to_better {
                    self.better.hear("eth0", &packet);
                }
            }
        }
    }
}

#[test]
fn hosts_learn_who_won_when_the_wires_are_mended_one_after_the_other() {
    let mut pair = Pair::new(Time::ZERO);
    (pair.to_worse, pair.to_better) = (false, false);
    pair.until(secs(10));
    assert_eq!(
        [&pair.better, &pair.worse].map(|it| it.state("vr")),
        [State::Master; 2]
    );
    pair.to_worse = true;
    pair.until(secs(12));
    assert_eq!(pair.worse.state("vr"), State::Backup);
    pair.to_better = true;
    pair.better.tell();
    pair.until(secs(100));
    // It yielded at 10.4 s; the words of 12.4 s and later are heard.
    assert_eq!(
        pair.better.told("announces"),
        ["12.4140625s vr announces 10.0.0.100"]
    );
    assert_eq!(
        pair.worse.told("sends").split_off(7),
        ["10.4140625s vr sends 100", "12.4140625s vr sends 100"]
    );
}

#[test]
fn a_master_that_is_preempted_says_one_word() {
    let mut pair = Pair::new(secs(10));
    pair.until(secs(10));
    pair.worse.tell();
    pair.until(secs(100));
    assert_eq!(pair.better.state("vr"), State::Master);
    assert_eq!(
        pair.worse.told("sends").pop().unwrap(),
        "13.4140625s vr sends 100"
    );
    assert_eq!(
        pair.better.told("GoodbyeHeard"),
        ["13.4140625s vr GoodbyeHeard"]
    );
    assert_eq!(pair.better.told("announces").len(), 0);
}

#[test]
fn a_word_that_comes_soon_after_another_is_announced_over_later() {
    let mut ours = config("eth0", 150);
    ours.announce.lower_delay = Duration::ZERO;
    ours.announce.delay = Duration::ZERO;
    let mut story = Story::new(&of([("vr", ours)]));
    for millis in [10_000, 10_400, 10_700] {
        story.until(Time::from_millis(millis));
        story.hear("eth0", &packet(9, 100));
    }
    story.until(secs(20));
    assert_eq!(
        story.told("announces").split_off(1),
        [
            "10s vr announces 10.0.0.100",
            "11.5s vr announces 10.0.0.100"
        ]
    );
}
