//! The same properties for every scheduler, over random histories of a pool.
//!
//! What belongs here: statements that hold for all schedulers or a family of them, whatever
//! happened before. Exact choices are in the recorded traces and beside each scheduler.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use lvs_sched::{
    DestinationConfig, DestinationId, Flow, Pool, Protocol, SchedulerFlags, SchedulerKind, Settings,
};
use proptest::prelude::*;

/// Something that happens to a pool.
#[derive(Clone, Debug)]
enum Step {
    Add {
        server: u8,
        weight: u32,
        upper: u32,
        lower: u32,
    },
    Edit {
        server: u8,
        weight: u32,
        upper: u32,
        lower: u32,
    },
    Remove {
        server: u8,
    },
    Flow {
        client: u8,
        target: u8,
        port: u16,
        active: bool,
    },
    Deactivate {
        connection: usize,
    },
    Close {
        connection: usize,
    },
    Wait {
        seconds: u16,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let config = || {
        (
            prop_oneof![2 => Just(0u32), 8 => 1..12u32],
            0..6u32,
            0..6u32,
        )
    };
    let step = prop_oneof![
        3 => (0..8u8, config()).prop_map(|(server, (weight, upper, lower))| Step::Add {
            server, weight, upper, lower: lower.min(upper)
        }),
        1 => (0..8u8, config()).prop_map(|(server, (weight, upper, lower))| Step::Edit {
            server, weight, upper, lower: lower.min(upper)
        }),
        1 => (0..8u8).prop_map(|server| Step::Remove { server }),
        9 => (0..20u8, 0..6u8, any::<u16>(), any::<bool>())
            .prop_map(|(client, target, port, active)| Step::Flow { client, target, port, active }),
        2 => any::<usize>().prop_map(|connection| Step::Deactivate { connection }),
        3 => any::<usize>().prop_map(|connection| Step::Close { connection }),
        1 => (0..2000u16).prop_map(|seconds| Step::Wait { seconds }),
    ];
    proptest::collection::vec(step, 0..150)
}

fn server(number: u8) -> IpAddr {
    Ipv4Addr::new(192, 168, 0, number).into()
}

fn flow(client: u8, target: u8, src_port: u16, now: Duration) -> Flow {
    Flow {
        src: Ipv4Addr::new(203, 0, 113, client).into(),
        src_port,
        dst: Ipv4Addr::new(10, 0, 0, target).into(),
        dst_port: 80,
        protocol: Protocol::Tcp,
        now,
    }
}

/// A pool, its connections, and what they should add up to.
struct World {
    pool: Pool,
    connections: Vec<(DestinationId, bool)>,
    now: Duration,
}

impl World {
    fn new(kind: SchedulerKind, flags: SchedulerFlags) -> Self {
        Self {
            pool: Pool::new(kind, flags, Duration::ZERO),
            connections: Vec::new(),
            now: Duration::ZERO,
        }
    }

    /// Takes a step; gives the choice of a flow.
    fn step(&mut self, step: &Step) -> Option<Option<DestinationId>> {
        let config = |weight, upper_threshold, lower_threshold| DestinationConfig {
            weight,
            upper_threshold,
            lower_threshold,
        };
        match *step {
            Step::Add {
                server: number,
                weight,
                upper,
                lower,
            } => {
                let there = self.pool.find(server(number), 80).is_some();
                let added = self
                    .pool
                    .add(server(number), 80, config(weight, upper, lower));
                assert_eq!(added.is_err(), there);
            }
            Step::Edit {
                server: number,
                weight,
                upper,
                lower,
            } => {
                let there = self.pool.find(server(number), 80).is_some();
                let edited = self
                    .pool
                    .edit(server(number), 80, config(weight, upper, lower));
                assert_eq!(edited.is_ok(), there);
            }
            Step::Remove { server: number } => {
                let there = self.pool.find(server(number), 80);
                assert_eq!(self.pool.remove(server(number), 80).ok(), there);
            }
            Step::Flow {
                client,
                target,
                port,
                active,
            } => {
                let choice = self.pool.pick(&flow(client, target, port, self.now));
                if let Some(id) = choice {
                    self.pool.bind(id);
                    if active {
                        self.pool.activate(id);
                    }
                    self.connections.push((id, active));
                }
                return Some(choice);
            }
            Step::Deactivate { connection } => {
                let count = self.connections.len().max(1);
                if let Some((id, active)) = self.connections.get_mut(connection % count)
                    && *active
                {
                    *active = false;
                    self.pool.deactivate(*id);
                }
            }
            Step::Close { connection } => {
                if !self.connections.is_empty() {
                    let at = connection % self.connections.len();
                    let (id, active) = self.connections.swap_remove(at);
                    if active {
                        self.pool.deactivate(id);
                    }
                    self.pool.unbind(id);
                }
            }
            Step::Wait { seconds } => {
                self.now += Duration::from_secs(seconds.into());
                while let Some(due) = self.pool.poll_timeout().filter(|due| *due <= self.now) {
                    self.pool.handle_timeout(due);
                    assert!(self.pool.poll_timeout() > Some(due), "no progress");
                }
            }
        }
        None
    }

    fn check_counts(&self) {
        let mut counts: HashMap<DestinationId, (u32, u32)> = HashMap::new();
        for (id, active) in &self.connections {
            let count = counts.entry(*id).or_default();
            if *active { count.0 += 1 } else { count.1 += 1 }
        }
        for d in self.pool.destinations().iter().chain(self.pool.removed()) {
            let expected = counts.remove(&d.id).unwrap_or_default();
            assert_eq!((d.active_conns, d.inactive_conns), expected, "{d:?}");
            // The mark can only stand where there are connections to lift it again.
            assert!(!d.overloaded || d.total_conns() > 0, "{d:?}");
        }
        assert!(
            counts.is_empty(),
            "connections of forgotten destinations: {counts:?}"
        );
    }
}

/// Plays a history, checking each choice; returns the choices.
fn play(kind: SchedulerKind, flags: SchedulerFlags, steps: &[Step]) -> Vec<Option<DestinationId>> {
    let mut world = World::new(kind, flags);
    let mut choices = Vec::new();
    for step in steps {
        let eligible: Vec<_> = world
            .pool
            .destinations()
            .iter()
            .filter(|d| d.is_eligible())
            .map(|d| d.id)
            .collect();
        let quiesced: Vec<_> = world
            .pool
            .destinations()
            .iter()
            .filter(|d| d.weight == 0)
            .map(|d| d.id)
            .collect();
        if let Some(choice) = world.step(step) {
            match choice {
                Some(id) => {
                    assert!(world.pool.is_available(id), "{kind} chose a removed one");
                    assert!(!quiesced.contains(&id), "{kind} chose a quiesced one");
                    // lblc alone looks past the overloaded mark, of a server it remembers.
                    let lblc = kind == SchedulerKind::LocalityLeastConnection;
                    assert!(
                        lblc || eligible.contains(&id),
                        "{kind} chose an overloaded one"
                    );
                }
                None => {
                    assert!(
                        may_refuse(kind, flags) || eligible.is_empty(),
                        "{kind} refused"
                    );
                }
            }
            choices.push(choice);
        }
        world.check_counts();
    }
    choices
}

/// Schedulers that refuse flows although somebody could take them.
fn may_refuse(kind: SchedulerKind, flags: SchedulerFlags) -> bool {
    match kind {
        SchedulerKind::DestinationHash | SchedulerKind::Overflow => true,
        SchedulerKind::SourceHash => !flags.fallback,
        // Its fallback tries as many places as the table has, but at hashed ones, so it may miss.
        SchedulerKind::Maglev => true,
        _ => false,
    }
}

macro_rules! suite {
    ($($name:ident: $kind:ident;)*) => {$(
        mod $name {
            use super::*;

            const KIND: SchedulerKind = SchedulerKind::$kind;

            proptest! {
                #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

                /// Nobody but those in the service, of weight above 0 and not overloaded, is chosen;
                /// somebody is, if there is one; counts add up.
                #[test]
                fn choices_are_permitted(steps in steps(), fallback: bool, port: bool) {
                    play(KIND, SchedulerFlags { fallback, port }, &steps);
                }

                /// The same history gives the same choices.
                #[test]
                fn choices_repeat(steps in steps()) {
                    let flags = SchedulerFlags::default();
                    prop_assert_eq!(play(KIND, flags, &steps), play(KIND, flags, &steps));
                }

                /// Avoided destinations are not chosen, everything eligible but them is, and the
                /// pool is as it was.
                #[test]
                fn avoiding_leaves_no_trace(steps in steps(), mask: u8) {
                    let mut world = World::new(KIND, SchedulerFlags::default());
                    for step in &steps {
                        world.step(step);
                    }
                    let before: Vec<_> = world.pool.destinations().to_vec();
                    let avoid: Vec<_> = before.iter().enumerate()
                        .filter(|(i, _)| mask >> (i % 8) & 1 == 1).map(|(_, d)| d.id).collect();
                    let choice = world.pool.pick_avoiding(&flow(1, 1, 1, world.now), &avoid);
                    prop_assert_eq!(world.pool.destinations(), &before[..]);
                    if avoid.is_empty() {
                        return Ok(());
                    }
                    let others = before.iter().any(|d| d.is_eligible() && !avoid.contains(&d.id));
                    match choice {
                        Some(id) => prop_assert!(!avoid.contains(&id)),
                        None => prop_assert!(!others, "refused although others are eligible"),
                    }
                }

                /// A pool that is emptied refuses, and one that is filled again serves.
                #[test]
                fn an_empty_pool_refuses(steps in steps()) {
                    let mut world = World::new(KIND, SchedulerFlags::default());
                    for step in &steps {
                        world.step(step);
                    }
                    for number in 0..8 {
                        let _ = world.pool.remove(server(number), 80);
                    }
                    prop_assert_eq!(world.pool.pick(&flow(1, 1, 1, world.now)), None);
                    let id = world.pool.add(server(99), 80, DestinationConfig::default()).unwrap();
                    prop_assert_eq!(world.pool.pick(&flow(1, 1, 1, world.now)), Some(id));
                }
            }
        }
    )*};
}

suite! {
    rr: RoundRobin;
    wrr: WeightedRoundRobin;
    lc: LeastConnection;
    wlc: WeightedLeastConnection;
    lblc: LocalityLeastConnection;
    lblcr: LocalityLeastConnectionReplicated;
    sh: SourceHash;
    dh: DestinationHash;
    sed: ShortestExpectedDelay;
    nq: NeverQueue;
    fo: Failover;
    ovf: Overflow;
    mh: Maglev;
    twos: PowerOfTwo;
}

fn pool(kind: SchedulerKind, weights: &[u32]) -> (Pool, Vec<DestinationId>) {
    let mut pool = Pool::new(kind, Settings::default(), Duration::ZERO);
    let ids = (0u8..)
        .zip(weights)
        .map(|(number, weight)| {
            pool.add(server(number), 80, DestinationConfig::with_weight(*weight))
                .unwrap()
        })
        .collect();
    (pool, ids)
}

fn weights() -> impl Strategy<Value = Vec<u32>> {
    proptest::collection::vec(0..20u32, 1..10).prop_filter("somebody must serve", |weights| {
        weights.iter().any(|w| *w > 0)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// rr: over any run, eligible destinations differ by one flow at most.
    #[test]
    fn rr_spreads_evenly(weights in weights(), flows in 0..200usize) {
        let (mut pool, ids) = pool(SchedulerKind::RoundRobin, &weights);
        let mut counts: HashMap<_, usize> = HashMap::new();
        for _ in 0..flows {
            *counts.entry(pool.pick(&flow(1, 1, 1, Duration::ZERO)).unwrap()).or_default() += 1;
        }
        let counts = ids.iter().zip(&weights).filter(|(_, w)| **w > 0)
            .map(|(id, _)| counts.get(id).copied().unwrap_or(0));
        let (min, max) = counts.fold((usize::MAX, 0), |(min, max), n| (min.min(n), max.max(n)));
        prop_assert!(max - min <= 1, "{min} {max}");
    }

    /// wrr: after the flat first round, each full cycle gives everybody exactly its weight divided
    /// by the common divisor.
    #[test]
    fn wrr_spreads_by_weight(weights in weights(), cycles in 1..4usize, factor in 1..50u32) {
        let weights: Vec<_> = weights.iter().map(|w| w * factor).collect();
        let (mut pool, ids) = pool(SchedulerKind::WeightedRoundRobin, &weights);
        let gcd = |mut a: u32, mut b: u32| { while b != 0 { (a, b) = (b, a % b); } a };
        let divisor = weights.iter().copied().fold(0, gcd);
        let mut pick = || pool.pick(&flow(1, 1, 1, Duration::ZERO)).unwrap();
        let first_round: Vec<_> = (0..weights.iter().filter(|w| **w > 0).count()).map(|_| pick()).collect();
        let flat: Vec<_> =
            ids.iter().zip(&weights).filter(|(_, w)| **w > 0).map(|(id, _)| *id).rev().collect();
        prop_assert_eq!(first_round, flat);
        let cycle: u32 = weights.iter().map(|w| w / divisor).sum();
        let mut counts: HashMap<_, u32> = HashMap::new();
        for _ in 0..cycles * cycle as usize {
            *counts.entry(pick()).or_default() += 1;
        }
        for (id, weight) in ids.iter().zip(&weights) {
            let expected = weight / divisor * cycles as u32;
            prop_assert_eq!(counts.get(id).copied().unwrap_or(0), expected);
        }
    }

    /// wlc, sed: no connection could have gone to a destination where it would cost less.
    #[test]
    fn wlc_and_sed_level_the_load(weights in weights(), flows in 1..200usize) {
        for (kind, inactive) in [(SchedulerKind::WeightedLeastConnection, 0), (SchedulerKind::ShortestExpectedDelay, 1)] {
            let (mut pool, _) = pool(kind, &weights);
            for _ in 0..flows {
                let id = pool.pick(&flow(1, 1, 1, Duration::ZERO)).unwrap();
                let chosen = pool.destination(id).unwrap();
                let cost = |active: u32| u64::from(active) + inactive;
                for other in pool.destinations().iter().filter(|d| d.is_eligible()) {
                    prop_assert!(
                        cost(chosen.active_conns) * u64::from(other.weight)
                            <= cost(other.active_conns) * u64::from(chosen.weight)
                    );
                }
                pool.bind(id);
                pool.activate(id);
            }
        }
    }

    /// sh, mh: a client keeps its server, whatever the load; dh: an address does.
    #[test]
    fn hashes_are_faithful(weights in weights(), client: u8, target: u8, flows in 1..20usize) {
        for kind in [SchedulerKind::SourceHash, SchedulerKind::Maglev, SchedulerKind::DestinationHash] {
            let (mut pool, _) = pool(kind, &weights);
            let first = pool.pick(&flow(client, target, 1, Duration::ZERO));
            for port in 0..flows {
                let again = pool.pick(&flow(client, target, port as u16, Duration::ZERO));
                prop_assert_eq!(again, first);
                if let Some(id) = again {
                    pool.bind(id);
                }
            }
        }
    }
}

/// Weights at the top of the range: no overflow, no endless descent, exact shares.
#[test]
fn the_greatest_weights() {
    for kind in SchedulerKind::ALL {
        let (mut pool, ids) = pool(kind, &[lvs_sched::MAX_WEIGHT, lvs_sched::MAX_WEIGHT - 1, 1]);
        for port in 0..500 {
            let choice = pool.pick(&flow(1, 1, port, Duration::ZERO));
            if let Some(id) = choice {
                assert!(ids.contains(&id));
                pool.bind(id);
                pool.activate(id);
            }
        }
        // Heavy ones quiesced by overload: wrr has two thousand million levels to come down.
        for (number, weight) in [(0, lvs_sched::MAX_WEIGHT), (1, lvs_sched::MAX_WEIGHT - 1)] {
            let config = DestinationConfig {
                weight,
                upper_threshold: 1,
                lower_threshold: 0,
            };
            pool.edit(server(number), 80, config).unwrap();
            pool.bind(ids[usize::from(number)]);
        }
        let choice = pool.pick(&flow(1, 2, 1, Duration::ZERO));
        if !matches!(
            kind,
            SchedulerKind::DestinationHash
                | SchedulerKind::SourceHash
                | SchedulerKind::Maglev
                | SchedulerKind::Overflow
        ) {
            assert_eq!(choice, Some(ids[2]), "{kind}");
        }
    }
}

fn is_send<T: Send>() {}

#[test]
fn pools_and_schedulers_cross_threads() {
    is_send::<Pool>();
    is_send::<Box<dyn lvs_sched::Scheduler>>();
}
