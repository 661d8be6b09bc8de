//! What happens in one run: generated from a seed, or read from a file.

use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg32;
use serde::{Deserialize, Serialize};
use vrrp_proto::config::{Authentication, Delivery, GroupConfig, NamedInstance, Preempt};
use vrrp_proto::{
    AdvertInterval, Family, InstanceConfig, Priority, RouterConfig, Time, TrackerConfig, Version,
    Vrid,
};

/// One run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Scenario {
    /// Where it came from; also the seed of the network's luck.
    pub(crate) seed: u64,
    pub(crate) nodes: Vec<RouterConfig>,
    pub(crate) network: Network,
    /// What happens, in order of time.
    pub(crate) steps: Vec<(Time, Step)>,
    /// When the last disturbance is over.
    pub(crate) calm_from: Time,
    /// When the run ends.
    pub(crate) end: Time,
}

/// How packets travel.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Network {
    pub(crate) most_delay: Duration,
    pub(crate) loss: f64,
    pub(crate) duplication: f64,
    /// How late a node acts at most, besides pauses.
    pub(crate) most_lateness: Duration,
}

/// One disturbance, or its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Step {
    /// The process dies at once.
    Kill(usize),
    /// A dead process is started again; a supervisor may tell it that it was Master.
    Start { node: usize, resume: bool },
    /// The process stops in order.
    Stop(usize),
    /// Nothing passes from one node to another.
    Cut { from: usize, to: usize },
    /// It passes again: the way back may still be cut.
    Mend { from: usize, to: usize },
    /// Everything passes again.
    Heal,
    /// The node stands still; packets wait for it, or are lost.
    Pause {
        node: usize,
        lasts: Duration,
        queued: bool,
    },
    /// The node's clock jumps ahead.
    ClockJump { node: usize, by: Duration },
    /// An interface loses or gets back its carrier.
    Link {
        node: usize,
        interface: String,
        up: bool,
    },
    /// A tracked object changes.
    Track { node: usize, good: bool },
    /// A new configuration with other priorities.
    Reload { node: usize, priority: Priority },
    /// Somebody removes a virtual address.
    Steal(usize),
}

/// The one tracked object.
pub(crate) const TRACKER: &str = "script check";

/// The address of a node on an interface.
pub(crate) fn address_of(family: Family, node: usize, interface: &str) -> std::net::IpAddr {
    let host = 10 + u8::try_from(node).unwrap();
    let net = if interface == "eth0" { 0 } else { 1 };
    match family {
        Family::Ipv4 => [10, 0, net, host].into(),
        Family::Ipv6 => format!("fe80::{net}:{host}").parse().unwrap(),
    }
}

fn virtual_address(family: Family, interface: &str, index: usize) -> std::net::IpAddr {
    let net = if interface == "eth0" { 0 } else { 1 };
    let host = 100 + u8::try_from(index).unwrap();
    match family {
        Family::Ipv4 => [10, 0, net, host].into(),
        Family::Ipv6 => format!("fe80::{net}:1:{host}").parse().unwrap(),
    }
}

impl Scenario {
    pub(crate) fn generate(seed: u64) -> Self {
        let mut rng = Pcg32::seed_from_u64(seed);
        let count = rng.random_range(2..=4);
        let version = if rng.random_bool(0.4) {
            Version::V2
        } else {
            Version::V3
        };
        let family = match version {
            Version::V3 if rng.random_bool(0.5) => Family::Ipv6,
            _ => Family::Ipv4,
        };
        let common = Common::generate(&mut rng, version);
        let grouped = rng.random_bool(0.3);
        let unicast = rng.random_bool(0.3);
        let secret = *b"secret\0\0";
        let authentication = match rng.random_range(0..3) {
            _ if version == Version::V3 => Authentication::None,
            0 => Authentication::None,
            1 => Authentication::Pass(secret),
            _ => Authentication::Ah(secret),
        };
        let ties = rng.random_bool(0.2);
        let owner = !ties && !grouped && rng.random_bool(0.1);
        let mut nodes = Vec::new();
        for node in 0..count {
            let priority = match node {
                0 if owner => 255,
                _ if ties => 100,
                _ => 60 + 40 * u8::try_from(node).unwrap(),
            };
            let interval = common.interval_of(&mut rng);
            let interfaces: &[&str] = if grouped {
                &["eth0", "eth1"]
            } else {
                &["eth0"]
            };
            let preempt = match rng.random_range(0..4) {
                _ if priority == 255 => Preempt::AtOnce,
                0 => Preempt::Never,
                1 => Preempt::After(common.longest * rng.random_range(1..6)),
                _ => Preempt::AtOnce,
            };
            let instances = interfaces.iter().map(|interface| {
                let vrid = Vrid::try_from(7).unwrap();
                let mut config = InstanceConfig::new(version, family, vrid, *interface);
                for index in 0..2 {
                    config = config.with_address(virtual_address(family, interface, index));
                }
                config.priority = Priority::try_from(priority).unwrap();
                config.advert_interval = interval;
                config.preempt = preempt;
                config.authentication = authentication.clone();
                config.announce.delay = common.longest * 2;
                config.announce.lower_delay = common.longest * rng.random_range(0..2);
                config.announce.repeat = 2;
                config.startup_delay = common.startup_delay;
                if !config.priority.is_owner() && common.tracked {
                    config.trackers.push(TrackerConfig {
                        name: TRACKER.into(),
                        weight: common.weight.map(|it| it.try_into().unwrap()),
                        reverse: false,
                    });
                }
                if unicast {
                    let peers = (0..count).filter(|peer| *peer != node);
                    let peers = peers.map(|peer| address_of(family, peer, interface));
                    config.delivery = Delivery::unicast(peers);
                }
                NamedInstance {
                    name: format!("on {interface}").as_str().into(),
                    config,
                }
            });
            let instances: Vec<_> = instances.collect();
            let group = GroupConfig {
                name: "both".into(),
                members: instances.iter().map(|it| it.name.clone()).collect(),
            };
            nodes.push(RouterConfig {
                instances,
                groups: if grouped { vec![group] } else { Vec::new() },
                pacing: Vec::new(),
            });
        }
        let shortest = nodes.iter().flat_map(|it| &it.instances);
        let shortest = shortest.map(|it| it.config.advert_interval.as_duration());
        let shortest = shortest.min().unwrap();
        let network = Network {
            most_delay: shortest * rng.random_range(0..=5) / 50,
            loss: [0.0, 0.0, 0.0, 0.05, 0.3][rng.random_range(0..5)],
            duplication: [0.0, 0.1][rng.random_range(0..2)],
            most_lateness: shortest / 50,
        };
        let unit = common.longest;
        let (steps, calm_from) = steps(&mut rng, count, unit, grouped, owner);
        let end = calm_from + rest(&steps, calm_from, unit) + common.startup_delay;
        Self {
            seed,
            nodes,
            network,
            steps,
            calm_from,
            end,
        }
    }
}

/// What the nodes of a run have in common.
struct Common {
    intervals: Vec<AdvertInterval>,
    longest: Duration,
    startup_delay: Duration,
    tracked: bool,
    weight: Option<i16>,
}

impl Common {
    fn generate(rng: &mut Pcg32, version: Version) -> Self {
        let centis = |centis| AdvertInterval::from_centis(centis).unwrap();
        let intervals = match (version, rng.random_range(0..5)) {
            (Version::V2, _) | (_, 0) => vec![centis(100)],
            (_, 1) => vec![centis(1)],
            (_, 2) => vec![centis(3)],
            (_, 3) => vec![centis(10)],
            _ => vec![centis(10), centis(30)],
        };
        let longest = intervals.iter().map(|it| it.as_duration()).max().unwrap();
        let weighted = rng.random_bool(0.5).then_some(-70);
        Self {
            intervals,
            longest,
            startup_delay: if rng.random_bool(0.1) {
                longest * 2
            } else {
                Duration::ZERO
            },
            tracked: rng.random_bool(0.5),
            weight: weighted,
        }
    }

    fn interval_of(&self, rng: &mut Pcg32) -> AdvertInterval {
        self.intervals[rng.random_range(0..self.intervals.len())]
    }
}

/// The nodes in two parts.
struct Sides(Vec<bool>);

impl Sides {
    fn generate(rng: &mut Pcg32, count: usize) -> Self {
        Self((0..count).map(|_| rng.random_bool(0.5)).collect())
    }

    /// The wires from the first part to the second.
    fn there(&self) -> impl Iterator<Item = (usize, usize)> {
        let nodes = || self.0.iter().enumerate();
        nodes()
            .flat_map(move |from| nodes().map(move |to| (from, to)))
            .filter(|((_, from), (_, to))| **from && !**to)
            .map(|((from, _), (to, _))| (from, to))
    }

    /// The wires from the second part to the first.
    fn back(&self) -> impl Iterator<Item = (usize, usize)> {
        self.there().map(|(from, to)| (to, from))
    }
}

/// How long it takes at most until all is as it will be. Two last words are no further apart than the
/// first of them is from the yielding, which was after the first cut; and 64 intervals.
fn rest(steps: &[(Time, Step)], calm_from: Time, unit: Duration) -> Duration {
    let mut cuts = steps
        .iter()
        .filter(|(_, step)| matches!(step, Step::Cut { .. }));
    let cut_at = cuts.next().map_or(calm_from, |(at, _)| *at);
    let pause = calm_from.since(cut_at).min(unit * 64);
    unit * 18 + pause
}

fn steps(
    rng: &mut Pcg32,
    count: usize,
    unit: Duration,
    grouped: bool,
    owner: bool,
) -> (Vec<(Time, Step)>, Time) {
    let mut at = Time::ZERO + unit * rng.random_range(0..8);
    let mut steps = Vec::new();
    // Some runs have nothing but deaths, with time to settle in between.
    let calm = rng.random_bool(0.15);
    for _ in 0..rng.random_range(3..12) {
        at = at + unit * rng.random_range(1..60) / 10;
        if calm {
            at = at + unit * 9;
            let node = rng.random_range(0..count);
            let resume = false;
            let start = rng.random_bool(0.6);
            steps.push((
                at,
                if start {
                    Step::Start { node, resume }
                } else {
                    Step::Kill(node)
                },
            ));
            continue;
        }
        let node = rng.random_range(0..count);
        let interface = if grouped && rng.random_bool(0.5) {
            "eth1"
        } else {
            "eth0"
        };
        let step = match rng.random_range(0..13) {
            0 => Step::Kill(node),
            1 | 2 => Step::Start {
                node,
                resume: rng.random_bool(0.5),
            },
            3 => Step::Stop(node),
            4 | 5 => {
                // One half cannot hear the other, perhaps both ways.
                let sides = Sides::generate(rng, count);
                let back = rng.random_bool(0.7).then(|| sides.back());
                for (from, to) in sides.there().chain(back.into_iter().flatten()) {
                    steps.push((at, Step::Cut { from, to }));
                }
                continue;
            }
            6 if rng.random_bool(0.5) => {
                let sides = Sides::generate(rng, count);
                steps.extend(
                    sides
                        .there()
                        .map(|(from, to)| (at, Step::Mend { from, to })),
                );
                continue;
            }
            6 => Step::Heal,
            7 => Step::Pause {
                node,
                lasts: unit * rng.random_range(1..100) / 10,
                queued: rng.random_bool(0.5),
            },
            8 => Step::ClockJump {
                node,
                by: unit * rng.random_range(1..100) / 10,
            },
            9 => Step::Link {
                node,
                interface: interface.to_owned(),
                up: rng.random_bool(0.5),
            },
            10 => Step::Track {
                node,
                good: rng.random_bool(0.5),
            },
            11 if !owner => Step::Reload {
                node,
                priority: Priority::try_from(rng.random_range(1..=254)).unwrap(),
            },
            _ => Step::Steal(node),
        };
        steps.push((at, step));
    }
    at = at + unit * 11;
    if rng.random_bool(0.3) {
        // Two halves with a Master each find together in one direction first.
        let sides = Sides::generate(rng, count);
        let cut = sides.there().chain(sides.back());
        steps.extend(cut.map(|(from, to)| (at, Step::Cut { from, to })));
        at = at + unit * 11;
        steps.extend(
            sides
                .there()
                .map(|(from, to)| (at, Step::Mend { from, to })),
        );
        at = at + unit * rng.random_range(0..300) / 10;
    }
    steps.push((at, Step::Heal));
    for node in 0..count {
        for interface in ["eth0", "eth1"] {
            let interface = interface.to_owned();
            steps.push((
                at,
                Step::Link {
                    node,
                    interface,
                    up: true,
                },
            ));
        }
        steps.push((at, Step::Track { node, good: true }));
        if node == 0 || rng.random_bool(0.5) {
            steps.push((
                at,
                Step::Start {
                    node,
                    resume: false,
                },
            ));
        }
    }
    (steps, at)
}
