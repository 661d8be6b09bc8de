//! Thousands of runs of a simulated LAN with every kind of disturbance, and what must hold in all.
//!
//!     cargo test -p vrrp-proto --test lan
//!     VRRP_LAN_SEEDS=0..100000 cargo test --release -p vrrp-proto --test lan
//!     VRRP_LAN_FILE=lan-17.json cargo test -p vrrp-proto --test lan -- --nocapture
//!
//! A run that fails is written to a file, which the last line runs again with a trace.
//!
//! Checked in every run: a healthy node is never longer without a Master than its timers give;
//! Backups of a silent Master take over in the order of their priorities; two Masters exist only
//! while the worse one does not hear the better one, and one interval longer; addresses are held
//! before they are announced and gone on every way out of Master; changes of state are told, in
//! order; members of a group agree; at the end there is one Master, no better one waits that may
//! preempt, and every host believes in it, also where wires were mended in one direction first; a
//! recording of any node replays to the same outputs.

#[path = "lan/invariants.rs"]
mod invariants;
#[path = "lan/scenario.rs"]
mod scenario;
#[path = "lan/world.rs"]
mod world;

use std::ops::Range;
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;

use vrrp_proto::{Record, Router, RouterOutput};

use invariants::{Observer, settled};
use scenario::Scenario;
use world::World;

/// Seeds of an ordinary test run.
const SEEDS: Range<u64> = 0..400;

/// What a run was good for.
#[derive(Default)]
struct Sum {
    transitions: u64,
    announced: u64,
    seconds: f64,
}

fn run(scenario: &Scenario, trace: bool) -> Sum {
    let mut world = World::new(scenario.clone());
    let mut observer = Observer::default();
    let mut told = vec![0; world.nodes.len()];
    let mut events = 0_u64;
    while world.advance() {
        if trace {
            tell(&world, &mut told);
        }
        observer.look(&world);
        events += 1;
        assert!(events < 2_000_000, "the run does not come to an end");
    }
    settled(&world);
    for node in &world.nodes {
        if node.router.is_some() {
            assert_eq!(
                replay(&node.record),
                node.outputs,
                "a recording replays otherwise"
            );
        }
    }
    Sum {
        transitions: world.transitions,
        announced: world.announced,
        seconds: world.now.since_epoch().as_secs_f64(),
    }
}

/// Shows what nodes have put out since the last time.
fn tell(world: &World, told: &mut [usize]) {
    for (node, told) in world
        .nodes
        .iter()
        .zip(told)
        .enumerate()
        .map(|(i, (n, t))| ((i, n), t))
    {
        let (place, node) = node;
        *told = (*told).min(node.outputs.len());
        for output in &node.outputs[*told..] {
            if let RouterOutput::Instance { instance, output } = output {
                match output {
                    vrrp_proto::Output::StateChanged(it) => println!(
                        "{} node {place} {instance}: {} -> {} ({})",
                        world.now, it.from, it.to, it.reason
                    ),
                    vrrp_proto::Output::Event(event) => {
                        println!("{} node {place} {instance}: {event:?}", world.now);
                    }
                    _ => {}
                }
            }
        }
        *told = node.outputs.len();
    }
}

/// The outputs of a recording, by way of its text.
fn replay(records: &[Record<'_>]) -> Vec<RouterOutput> {
    let mut router = Router::new();
    let mut outputs = Vec::new();
    for record in records {
        let line = serde_json::to_string(record).unwrap();
        let record: Record<'_> = serde_json::from_str(&line).unwrap();
        router.handle(record.at, &record.input).unwrap();
        outputs.extend(std::iter::from_fn(|| router.poll_output()));
    }
    outputs
}

fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var("VRRP_LAN_SEEDS") else {
        return SEEDS;
    };
    let bounds = text.split_once("..").expect("VRRP_LAN_SEEDS=first..end");
    let number = |text: &str| text.parse().expect("VRRP_LAN_SEEDS holds numbers");
    number(bounds.0)..number(bounds.1)
}

#[test]
fn invariants_hold_for_every_seed() {
    if let Ok(path) = std::env::var("VRRP_LAN_FILE") {
        let text = std::fs::read_to_string(&path).expect("VRRP_LAN_FILE is readable");
        let scenario: Scenario = serde_json::from_str(&text).expect("VRRP_LAN_FILE is a scenario");
        for (at, step) in &scenario.steps {
            println!("{at} {step:?}");
        }
        run(&scenario, true);
        return;
    }
    let mut sum = Sum::default();
    let mut failed = Vec::new();
    let seeds = seeds();
    for seed in seeds.clone() {
        let scenario = Scenario::generate(seed);
        match panic::catch_unwind(AssertUnwindSafe(|| run(&scenario, false))) {
            Ok(one) => {
                sum.transitions += one.transitions;
                sum.announced += one.announced;
                sum.seconds += one.seconds;
            }
            Err(_) => {
                let path =
                    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("lan-{seed}.json"));
                let text = serde_json::to_string_pretty(&scenario).unwrap();
                std::fs::write(&path, text).unwrap();
                eprintln!(
                    "seed {seed} failed; run it again: VRRP_LAN_FILE={}",
                    path.display()
                );
                failed.push(seed);
                if failed.len() >= 10 {
                    break;
                }
            }
        }
    }
    assert!(failed.is_empty(), "seeds that failed: {failed:?}");
    println!(
        "{} runs, {:.1} h of virtual time, {} changes of state, {} announcements",
        seeds.end - seeds.start,
        sum.seconds / 3600.0,
        sum.transitions,
        sum.announced
    );
}
