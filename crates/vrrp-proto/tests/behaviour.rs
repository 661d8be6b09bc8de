//! Stories with times: what each option changes. A line of a story is a time and what came out.

#[path = "behaviour/last_word.rs"]
mod last_word;

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use vrrp_proto::config::{Delivery, GroupConfig, NamedInstance, PacingConfig, Preempt};
use vrrp_proto::track::{Judge, Verdict};
use vrrp_proto::{
    AdvertInterval, Datagram, Event, Family, Input, InstanceConfig, InterfaceState, Name, Output,
    Priority, Router, RouterConfig, RouterOutput, State, Suspicion, Time, TrackReport, TrackStatus,
    TrackerConfig, Trouble, Version, VirtualAddress, Vrid,
};

fn config(interface: &str, priority: u8) -> InstanceConfig {
    let vrid = Vrid::try_from(7).unwrap();
    let mut config = InstanceConfig::new(Version::V2, Family::Ipv4, vrid, interface)
        .with_address("10.0.0.100".parse().unwrap())
        .with_priority(Priority::try_from(priority).unwrap());
    config.announce.repeat = 1;
    config.announce.lower_repeat = 1;
    config
}

fn of(instances: impl IntoIterator<Item = (&'static str, InstanceConfig)>) -> RouterConfig {
    let instances = instances.into_iter().map(|(name, config)| NamedInstance {
        name: name.into(),
        config,
    });
    RouterConfig {
        instances: instances.collect(),
        ..RouterConfig::default()
    }
}

fn grouped(instances: impl IntoIterator<Item = (&'static str, InstanceConfig)>) -> RouterConfig {
    let mut config = of(instances);
    config.groups = vec![GroupConfig {
        name: "g".into(),
        members: config.instances.iter().map(|it| it.name.clone()).collect(),
    }];
    config
}

/// A router, its time, and what it has put out.
struct Story {
    router: Router,
    now: Time,
    lines: Vec<String>,
    packets: Vec<(Name, Vec<u8>)>,
}

impl Story {
    fn new(config: &RouterConfig) -> Self {
        Self::at(config, [10, 0, 0, 5])
    }

    /// A router whose interfaces all have this address.
    fn at(config: &RouterConfig, address: [u8; 4]) -> Self {
        let mut story = Self {
            router: Router::new(),
            now: Time::ZERO,
            lines: Vec::new(),
            packets: Vec::new(),
        };
        story.router.configure(Time::ZERO, config).unwrap();
        for named in &config.instances {
            let interface = named.config.interface.clone().unwrap();
            let state = InterfaceState::up([address.into()]);
            story
                .router
                .handle_interface(Time::ZERO, &interface, &state);
        }
        story.drain();
        story
    }

    /// Fires all deadlines up to this time, exactly.
    fn until(&mut self, until: Time) {
        while let Some(at) = self.router.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.router.handle_timeout(self.now);
            self.drain();
        }
        self.now = until;
    }

    fn give(&mut self, input: Input<'_>) {
        self.router.handle(self.now, &input).unwrap();
        self.drain();
    }

    fn hear(&mut self, interface: &str, packet: &[u8]) {
        let datagram = Datagram::ipv4(packet);
        self.router.handle_datagram(self.now, interface, &datagram);
        self.drain();
    }

    fn link(&mut self, interface: &str, up: bool) {
        let state = if up {
            InterfaceState::up(["10.0.0.5".parse().unwrap()])
        } else {
            InterfaceState::down()
        };
        self.give(Input::Interface {
            interface: interface.into(),
            state,
        });
    }

    fn track(&mut self, tracker: &str, status: TrackStatus) {
        self.give(Input::Track(TrackReport {
            tracker: tracker.into(),
            status,
            detail: String::new(),
        }));
    }

    fn drain(&mut self) {
        while let Some(output) = self.router.poll_output() {
            let line = match output {
                RouterOutput::Instance { instance, output } => match output {
                    Output::SendAdvertisement(it) => {
                        let line = format!("{instance} sends {}", it.payload()[2]);
                        self.packets.push((instance, it.packet));
                        line
                    }
                    Output::InstallAddresses { addresses, .. } => {
                        format!("{instance} adds {}", addresses.len())
                    }
                    Output::RemoveAddresses { addresses } => {
                        format!("{instance} removes {}", addresses.len())
                    }
                    Output::Announce { address, .. } => format!("{instance} announces {address}"),
                    Output::StateChanged(it) => format!("{instance} {} ({})", it.to, it.reason),
                    Output::Event(event) => format!("{instance} {}", name_of(&event)),
                },
                RouterOutput::GroupSyncing { group, member, to } => {
                    format!("{group} follows {member} to {to}")
                }
                RouterOutput::GroupChanged { group, to, .. } => format!("{group} is {to}"),
                RouterOutput::Unclaimed { .. } => "unclaimed".to_owned(),
            };
            self.lines.push(format!("{} {line}", self.now));
        }
    }

    /// The lines since the last call.
    fn tell(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }

    fn told(&mut self, words: &str) -> Vec<String> {
        let mut lines = self.tell();
        lines.retain(|line| line.contains(words));
        lines
    }

    fn state(&self, name: &str) -> State {
        self.router.instance(name).unwrap().state()
    }
}

fn name_of(event: &Event) -> String {
    let text = format!("{event:?}");
    let end = text.find([' ', '{', '(']).unwrap_or(text.len());
    text[..end].to_owned()
}

/// What a Master of this priority at 10.0.0.`host` sends.
fn packet(host: u8, priority: u8) -> Vec<u8> {
    packet_of(host, config("eth0", priority))
}

fn packet_of(host: u8, mut config: InstanceConfig) -> Vec<u8> {
    if let Delivery::Unicast { peers, .. } = &mut config.delivery {
        peers[0].address = [10, 0, 0, 5].into();
    }
    let mut story = Story::at(&of([("peer", config)]), [10, 0, 0, host]);
    while story.packets.is_empty() {
        let at = story.router.poll_timeout().unwrap();
        story.until(at);
    }
    story.packets.remove(0).1
}

/// The last word of a Master at 10.0.0.`host`.
fn resignation(host: u8) -> Vec<u8> {
    let mut story = Story::at(&of([("peer", config("eth0", 100))]), [10, 0, 0, host]);
    story.until(Time::from_secs(4));
    story.give(Input::Stop);
    story.packets.pop().unwrap().1
}

const fn secs(secs: u64) -> Time {
    Time::from_secs(secs)
}

#[test]
fn preemption_is_delayed_from_the_first_lower_advertisement() {
    let mut ours = config("eth0", 150);
    ours.preempt = Preempt::After(Duration::from_secs(3));
    let mut story = Story::new(&of([("vr", ours)]));
    let lower = packet(9, 100);
    for second in 1..=5 {
        story.until(secs(second));
        story.hear("eth0", &lower);
    }
    // Accepted at 1, 2 and 3 s; from 4 s on ignored; 3.4140625 s after the last accepted one.
    story.until(secs(7));
    assert_eq!(
        story.told("vr "),
        [
            "0s vr removes 1",
            "0s vr BACKUP (start)",
            "1s vr PreemptDelayStarted",
            "1s vr MasterChanged",
            "4s vr LowerPriorityDiscarded",
            "6.4140625s vr sends 150",
            "6.4140625s vr adds 1",
            "6.4140625s vr announces 10.0.0.100",
            "6.4140625s vr MASTER (preempting 10.0.0.9 with priority 100)",
        ]
    );
}

#[test]
fn a_better_master_ends_the_preemption_delay() {
    let mut ours = config("eth0", 150);
    ours.preempt = Preempt::After(Duration::from_secs(3));
    let mut story = Story::new(&of([("vr", ours)]));
    for (at, packet) in [
        (1, packet(9, 100)),
        (2, packet(8, 200)),
        (3, packet(9, 100)),
    ] {
        story.until(secs(at));
        story.hear("eth0", &packet);
    }
    let delays = story.told("PreemptDelay");
    assert_eq!(
        delays,
        [
            "1s vr PreemptDelayStarted",
            "2s vr PreemptDelayStopped",
            "3s vr PreemptDelayStarted",
        ]
    );
}

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
fn a_second_master_that_does_not_hear_us_is_reported_until_it_is_gone() {
    let mut story = Story::new(&of([("vr", config("eth0", 150))]));
    let lower = packet(9, 100);
    for second in 4..8 {
        story.until(secs(second));
        story.hear("eth0", &lower);
    }
    let rival = story.router.instance("vr").unwrap().status().rival.unwrap();
    assert_eq!(rival.since, secs(4));
    assert_eq!(rival.suspicion, Some(Suspicion::OneWayLink));
    story.until(secs(12));
    let events = story.told("SecondMaster");
    assert_eq!(
        events,
        ["6s vr SecondMaster", "10.4140625s vr SecondMasterGone"]
    );
}

#[test]
fn why_there_are_two_masters_is_guessed_from_what_is_dropped() {
    let suspicion = |change: fn(&mut InstanceConfig)| {
        let mut theirs = config("eth0", 100);
        change(&mut theirs);
        let mut story = Story::new(&of([("vr", config("eth0", 150))]));
        story.until(secs(4));
        story.hear("eth0", &packet_of(9, theirs));
        let status = story.router.instance("vr").unwrap().status();
        status.rival.and_then(|rival| rival.suspicion)
    };
    let secret = |it: &mut InstanceConfig| {
        it.authentication = vrrp_proto::config::Authentication::Pass(*b"password");
    };
    assert_eq!(suspicion(secret), Some(Suspicion::Authentication));
    let slow = |it: &mut InstanceConfig| it.advert_interval = AdvertInterval::from_secs(2).unwrap();
    assert_eq!(suspicion(slow), Some(Suspicion::Interval));
    let newer = |it: &mut InstanceConfig| it.version = Version::V3;
    assert_eq!(suspicion(newer), Some(Suspicion::Version));
    let unicast = |it: &mut InstanceConfig| {
        it.delivery = Delivery::unicast([[10, 0, 0, 77].into()]);
    };
    assert_eq!(suspicion(unicast), Some(Suspicion::Peers));
    let other = |it: &mut InstanceConfig| it.addresses[0].address = [10, 0, 0, 200].into();
    assert_eq!(suspicion(other), Some(Suspicion::VridClash));
    assert_eq!(suspicion(|_| {}), None);
}

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
fn an_unchanged_instance_does_not_notice_a_reload() {
    let old = of([("kept", config("eth0", 150)), ("gone", config("eth1", 150))]);
    let mut story = Story::new(&old);
    story.until(secs(4));
    story.tell();
    let before = story.router.instance("kept").unwrap().status();
    let new = of([("new", config("eth2", 100)), ("kept", config("eth0", 150))]);
    story.give(Input::Configure(new));
    assert_eq!(
        story.tell(),
        [
            "4s gone sends 0",
            "4s gone removes 1",
            "4s gone INIT (removed from the configuration)",
        ]
    );
    assert_eq!(story.router.instance("kept").unwrap().status(), before);
    story.link("eth2", true);
    assert_eq!(story.tell(), ["4s new removes 1", "4s new BACKUP (start)"]);
}

#[test]
fn a_refused_configuration_changes_nothing() {
    let old = of([("a", config("eth0", 150)), ("b", config("eth1", 150))]);
    let mut story = Story::new(&old);
    story.until(secs(4));
    story.tell();
    let mut wrong = config("eth0", 100);
    wrong.down_adverts = 0;
    let mut twice = of([
        ("a", wrong),
        ("b", config("eth1", 100)),
        ("c", config("eth1", 100)),
    ]);
    twice.groups = vec![GroupConfig {
        name: "g".into(),
        members: vec!["b".into(), "x".into()],
    }];
    let refused = story.router.configure(story.now, &twice).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "a: the down timer must be 1 to 100 advertisements, not 0; \
         c: another instance has virtual router identifier 7 on the same interface, family and \
         destination; g: the member x does not exist"
    );
    story.drain();
    assert_eq!(story.tell(), [""; 0]);
    assert_eq!(story.state("a"), State::Master);
}

#[test]
fn an_instance_learns_of_what_was_reported_before_it_was_there() {
    let mut story = Story::new(&of([]));
    story.link("eth0", true);
    story.track("script must", TrackStatus::Bad);
    let mut late = config("eth0", 150);
    late.trackers = vec![TrackerConfig {
        name: "script must".into(),
        weight: None,
        reverse: false,
    }];
    story.give(Input::Configure(of([("late", late)])));
    story.until(secs(1));
    assert_eq!(
        story.tell(),
        ["0s late removes 1", "0s late FAULT (script must is bad)"]
    );
}

#[test]
fn a_virtual_address_of_another_instance_is_no_source() {
    let mut other = config("eth0", 150);
    other.vrid = Vrid::try_from(8).unwrap();
    other.addresses[0].address = [10, 0, 0, 3].into();
    let mut story = Story::new(&of([("one", config("eth0", 150)), ("two", other)]));
    story.give(Input::Interface {
        interface: "eth0".into(),
        state: InterfaceState::up([[10, 0, 0, 3].into(), [10, 0, 0, 5].into()]),
    });
    let source = story.router.instance("one").unwrap().source();
    assert_eq!(source, Some(IpAddr::from([10, 0, 0, 5])));
}

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
fn two_owners_end_with_one_master() {
    let mut story = Story::new(&of([("vr", config("eth0", 255))]));
    // The lower address does not yield, though it should.
    let other = packet(4, 255);
    for second in 1..=5 {
        story.until(secs(second));
        story.hear("eth0", &other);
    }
    assert_eq!(
        story.told("vr "),
        [
            "0s vr sends 255",
            "0s vr adds 1",
            "0s vr announces 10.0.0.100",
            "0s vr MASTER (address owner, priority 255)",
            "1s vr sends 255",
            "1s vr OwnerConflict",
            "1s vr LowerPriorityHeard",
            "1s vr announces 10.0.0.100",
            "1s vr sends 255",
            "2s vr sends 255",
            "2s vr LowerPriorityHeard",
            "2s vr announces 10.0.0.100",
            "2s vr sends 255",
            "3s vr sends 255",
            "3s vr SecondMaster",
            "3s vr LowerPriorityHeard",
            "3s vr announces 10.0.0.100",
            "3s vr sends 255",
            "3s vr PriorityChanged",
            "4s vr sends 254",
            "4s vr sends 254",
            "4s vr removes 1",
            "4s vr BACKUP (advert of 10.0.0.4 with priority 255, ours 254)",
        ]
    );
    // Once it is gone we are the owner again.
    story.until(secs(10));
    assert_eq!(story.state("vr"), State::Master);
    assert!(story.told("sends 255").len() > 1);
}

#[test]
fn unicast_goes_to_each_peer_and_to_nobody_else() {
    let mut ours = config("eth0", 150);
    let peers = [[10, 0, 0, 5], [10, 0, 0, 6], [10, 0, 0, 7]].map(IpAddr::from);
    ours.delivery = Delivery::unicast(peers);
    let mut story = Story::new(&of([("vr", ours)]));
    story.until(Time::from_millis(3_500));
    let sent: Vec<[u8; 4]> = story
        .packets
        .iter()
        .map(|(_, it)| it[16..20].try_into().unwrap())
        .collect();
    assert_eq!(sent, [[10, 0, 0, 6], [10, 0, 0, 7]]); // 10.0.0.5 is our own
    let identifications = story.packets.iter().map(|(_, it)| it[5]);
    assert!(identifications.eq([1, 2]));
}

#[test]
fn two_instances_with_one_vrid_are_told_apart_by_destination() {
    let multicast = config("eth0", 150);
    let mut unicast = config("eth0", 150);
    unicast.delivery = Delivery::unicast([[10, 0, 0, 9].into()]);
    let ours = of([("multi", multicast), ("uni", unicast.clone())]);
    let mut story = Story::new(&ours);
    story.hear("eth0", &packet_of(9, unicast));
    story.hear("eth0", &packet(9, 200));
    let received = |name| story.router.instance(name).unwrap().statistics().received;
    assert_eq!((received("multi"), received("uni")), (1, 1));
}

#[test]
fn weights_change_the_priority_and_the_running_timer() {
    let mut ours = config("eth0", 100);
    ours.trackers = vec![TrackerConfig {
        name: "script may".into(),
        weight: Some(50.try_into().unwrap()),
        reverse: false,
    }];
    let mut story = Story::new(&of([("vr", ours)]));
    story.until(secs(1));
    story.track("script may", TrackStatus::Good);
    let vr = story.router.instance("vr").unwrap();
    assert_eq!(vr.effective_priority().as_u8(), 150);
    let down = Time::ZERO + Duration::from_nanos(3_414_062_500);
    assert_eq!(vr.status().timers.master_down, Some(down));
}

#[test]
fn a_resignation_counts_even_during_the_preemption_delay() {
    let mut ours = config("eth0", 150);
    ours.preempt = Preempt::After(Duration::from_secs(100));
    let mut story = Story::new(&of([("vr", ours)]));
    story.until(secs(1));
    story.hear("eth0", &packet(9, 100));
    story.hear("eth0", &resignation(9));
    story.until(secs(2));
    assert_eq!(
        story.told("MASTER"),
        ["1.4140625s vr MASTER (10.0.0.9 resigned)"]
    );
}

#[test]
fn resignations_without_end_do_not_keep_a_backup_from_its_duty() {
    let mut story = Story::new(&of([("vr", config("eth0", 150))]));
    let word = resignation(9);
    for millis in 0..1000 {
        story.until(Time::from_millis(millis));
        story.hear("eth0", &word);
    }
    assert_eq!(story.told("MASTER (").len(), 1);
}

#[test]
fn strict_mode_says_what_it_changes() {
    let mut ours = config("eth0", 150);
    ours.authentication = vrrp_proto::config::Authentication::Pass(*b"password");
    ours.preempt = Preempt::After(Duration::from_secs(1));
    let changes: Vec<String> = ours.make_strict().iter().map(ToString::to_string).collect();
    assert_eq!(
        changes,
        [
            "authentication is dropped",
            "the preemption delay is dropped",
            "packets to the addresses are not accepted",
            "an advertisement of higher priority is not answered",
            "an advertisement of lower priority is not answered",
            "addresses are not announced after a lower priority",
        ]
    );
    assert_eq!(ours.check(), Ok(()));
    assert_eq!(ours.make_strict(), []);
}

#[test]
fn a_judge_holds_a_script_that_flaps_for_what_it_was() {
    let mut judge = Judge::new(NonZeroU32::new(2).unwrap(), NonZeroU32::new(2).unwrap());
    assert_eq!(judge.handle_run(false), Some(Verdict::Bad));
    for _ in 0..10 {
        assert_eq!(judge.handle_run(true), None);
        assert_eq!(judge.handle_run(false), None);
    }
}
