//! Stories with times: what each option changes. A line of a story is a time and what came out.

#[path = "behaviour/addresses.rs"]
mod addresses;
#[path = "behaviour/groups.rs"]
mod groups;
#[path = "behaviour/last_word.rs"]
mod last_word;
#[path = "behaviour/stalls.rs"]
mod stalls;

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use vrrp_proto::config::{Delivery, GroupConfig, NamedInstance, Preempt};
use vrrp_proto::track::{Judge, Verdict};
use vrrp_proto::{
    AdvertInterval, Datagram, Event, Family, Input, InstanceConfig, InterfaceState, Name, Output,
    Priority, Router, RouterConfig, RouterOutput, State, Suspicion, Time, TrackReport, TrackStatus,
    TrackerConfig, Version, Vrid,
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

#[test]
fn an_owner_is_master_again_as_soon_as_it_can() {
    let mut story = Story::new(&of([("vr", config("eth0", 255))]));
    story.link("eth0", false);
    assert_eq!(story.state("vr"), State::Fault);
    story.link("eth0", true);
    assert_eq!(story.state("vr"), State::Master);
}

#[test]
fn a_backup_that_starts_anew_has_forgotten_the_interval_of_its_master() {
    let of_version_3 = |priority, centis| {
        let mut config = config("eth0", priority);
        config.version = Version::V3;
        config.advert_interval = AdvertInterval::from_centis(centis).unwrap();
        config
    };
    let mut story = Story::new(&of([("vr", of_version_3(150, 100))]));
    story.hear("eth0", &packet_of(9, of_version_3(200, 300)));
    let down = |story: &Story| {
        let status = story.router.instance("vr").unwrap().status();
        status.timers.master_down.unwrap()
    };
    let nanos = |nanos| Time::ZERO + Duration::from_nanos(nanos);
    assert_eq!(down(&story), nanos(10_242_187_500));
    story.link("eth0", false);
    story.link("eth0", true);
    assert_eq!(down(&story), nanos(3_414_062_500));
}

#[test]
fn an_object_without_weight_is_waited_for() {
    let mut ours = config("eth0", 150);
    ours.trackers = vec![TrackerConfig {
        name: "script must".into(),
        weight: None,
        reverse: false,
    }];
    let mut story = Story::new(&of([("vr", ours)]));
    story.until(secs(60));
    assert_eq!(story.state("vr"), State::Initialize);
    story.track("script must", TrackStatus::Good);
    assert_eq!(story.state("vr"), State::Backup);
}

#[test]
fn over_ipv6_the_source_is_link_local_unless_it_is_unicast() {
    let of_ipv6 = |delivery| {
        let vrid = Vrid::try_from(7).unwrap();
        let mut config = InstanceConfig::new(Version::V3, Family::Ipv6, vrid, "eth0")
            .with_address("fe80::100".parse().unwrap());
        config.delivery = delivery;
        config
    };
    let [global, local, peer] =
        ["2001:db8::1", "fe80::1", "2001:db8::2"].map(|it| it.parse::<IpAddr>().unwrap());
    let multicast = Delivery::multicast(Family::Ipv6);
    for (delivery, addresses, source) in [
        (multicast.clone(), vec![global, local], Some(local)),
        (multicast, vec![global], None),
        (Delivery::unicast([peer]), vec![global], Some(global)),
    ] {
        let mut story = Story::new(&of([("vr", of_ipv6(delivery))]));
        let state = InterfaceState::up(addresses);
        let interface = "eth0".into();
        story.give(Input::Interface { interface, state });
        assert_eq!(story.router.instance("vr").unwrap().source(), source);
    }
}
