//! lvsadm beside the real ipvsadm, each on an IPVS of its own, on a real kernel.

#[path = "support/sequences.rs"]
mod sequences;
#[path = "support/traffic.rs"]
mod traffic;
#[path = "support/twins.rs"]
mod twins;
#[path = "support/values.rs"]
mod values;

use lvs_testkit::lab;
use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;
use twins::Twins;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable)
        .ok()
        .map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn random_sequences_end_the_same() {
    let Some(lab) = lab::enter() else { return };
    let first = number("LVSADM_SEED", 1);
    let count = number("LVSADM_SEQUENCES", 40);
    let mut twins = Twins::new(&lab);
    let mut wrong = Vec::new();
    for seed in first..first + count {
        let mut rng = Pcg64Mcg::seed_from_u64(seed);
        twins.reset();
        let mut lines = Vec::new();
        for invocation in sequences::sequence(&mut rng) {
            lines.push(invocation.to_string());
            if let Some(difference) = twins.compare(&invocation) {
                wrong.push(format!(
                    "=== seed {seed}\n{}\n{difference}",
                    lines.join("\n")
                ));
                break;
            }
        }
        if let Some(difference) = twins.compare_states() {
            wrong.push(format!(
                "=== seed {seed}\n{}\n{difference}",
                lines.join("\n")
            ));
        }
        if wrong.len() >= 10 {
            break;
        }
    }
    eprintln!(
        "{} invocations, {} of them refused",
        twins.invocations, twins.refused
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn listings_of_traffic_are_the_same() {
    let Some(lab) = lab::enter() else { return };
    let first = number("LVSADM_SEED", 1);
    let count = number("LVSADM_SEQUENCES", 40) / 20;
    let mut wrong = Vec::new();
    let mut lines = 0;
    let mut twins = Twins::new(&lab);
    for seed in first..first + count {
        let mut rng = Pcg64Mcg::seed_from_u64(seed);
        twins.reset();
        let table = traffic::table(&mut rng);
        twins.prepare(&table);
        traffic::send(twins.left(), &mut rng);
        lines += twins.connections();
        for _ in 0..20 {
            let listing = sequences::listing(&mut rng);
            let difference = twins.compare(&listing);
            wrong.extend(difference.map(|text| format!("=== seed {seed}\n{table}{text}")));
        }
    }
    assert!(
        lines > count as usize * 3,
        "only {lines} lines of connections"
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
