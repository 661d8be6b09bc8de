//! Replays everything that was recorded from a kernel.

use std::fs;
use std::path::{Path, PathBuf};

use lvs_sim::replay::replay;
use lvs_sim::report::{Disagreement, Outcome};
use lvs_sim::trace::{Event, Trace};

fn recorded() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lvs-sched/tests/recorded");
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "jsonl")
        })
        .collect();
    files.sort();
    files
}

#[test]
fn every_decision_is_the_kernels() {
    let mut compared = 0;
    for path in recorded() {
        let trace = Trace::open(&path).unwrap();
        let report = replay(&trace).unwrap();
        assert_eq!(
            report.outcome(),
            Outcome::Equal,
            "{}: {:#?} {:#?}",
            path.display(),
            report.difference,
            report.skipped
        );
        compared += report.compared;
    }
    // The recordings must have been found, all of them.
    assert!(compared > 14_000, "{compared}");
}

#[test]
fn every_scheduler_of_the_kernel_is_recorded() {
    let groups: Vec<_> = recorded()
        .iter()
        .map(|path| Trace::open(path).unwrap().header.group)
        .collect();
    for scheduler in [
        "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "dh", "sed", "nq", "fo", "ovf", "mh",
    ] {
        let count = groups.iter().filter(|group| *group == scheduler).count();
        assert!(count >= 4, "{scheduler}: {count}");
    }
}

/// A replay that finds nothing must be able to find something: the last answer of each trace, turned
/// into another, is found at its line.
#[test]
fn a_wrong_answer_is_found_at_its_line() {
    for path in recorded() {
        let mut trace = Trace::open(&path).unwrap();
        let wrong = "192.168.250.250:1".parse().unwrap();
        let Some(last) = trace.lines.iter().rposition(
            |line| matches!(&line.event, Event::Open(open) if open.got.flatten().is_some()),
        ) else {
            continue;
        };
        let line = &mut trace.lines[last];
        let number = line.number;
        let Event::Open(open) = &mut line.event else {
            unreachable!("matched above")
        };
        let right = open.got.replace(Some(wrong)).flatten();
        let report = replay(&trace).unwrap();
        let difference = report
            .difference
            .unwrap_or_else(|| panic!("{}: not found", path.display()));
        assert_eq!(difference.line, number, "{}", path.display());
        assert_eq!(
            difference.what,
            Disagreement::Choice {
                kernel: Some(wrong),
                replay: right
            },
            "{}",
            path.display()
        );
    }
}

/// Likewise for the order of the destination list.
#[test]
fn a_wrong_table_is_found() {
    let path = recorded()
        .into_iter()
        .find(|path| path.ends_with("rr-d1-basic.jsonl"))
        .unwrap();
    let mut trace = Trace::open(&path).unwrap();
    let rows = trace
        .lines
        .iter_mut()
        .find_map(|line| match &mut line.event {
            Event::DestAdd(line) => line.dests.as_mut()?.values_mut().next(),
            _ => None,
        })
        .unwrap();
    rows.reverse();
    let report = replay(&trace).unwrap();
    let what = report.difference.unwrap().what;
    assert!(matches!(what, Disagreement::Table { .. }), "{what:?}");
}
