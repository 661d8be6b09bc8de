//! Loading, listing and changing large tables of the kernel, against ipvsadm.
//!
//! Both run in turn in one boot of the lab's kernel, which is held on one core: whole processes, from
//! their start to their end. Compared are medians; the first round also compares what they have done.

mod inside;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::{lab, step};

pub(crate) use inside::measure;

/// How long all rounds may take.
const LIMIT: Duration = Duration::from_secs(600);

/// Flags of the comparison.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Rounds {
    /// How often each of the rule comparisons is run
    #[arg(long, default_value_t = 7)]
    rule_rounds: usize,
}

/// What is compared, and how many times as fast ours must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Case {
    LoadServers,
    LoadServices,
    ListServers,
    ListServices,
    ApplyServers,
    ApplyServices,
}

impl Case {
    fn text(self) -> &'static str {
        match self {
            Self::LoadServers => "load 1 service with 5,000 servers",
            Self::LoadServices => "load 2,000 services with 2 each",
            Self::ListServers => "list 1 service with 5,000 servers",
            Self::ListServices => "list 2,000 services with 2 each",
            Self::ApplyServers => "change 1 % of 1 service with 5,000 servers",
            Self::ApplyServices => "change 1 % of 2,000 services with 2 each",
        }
    }

    fn bound(self) -> f64 {
        match self {
            Self::LoadServers => 8.0,
            Self::LoadServices => 18.0,
            Self::ListServers => 1.5,
            Self::ListServices => 4.0,
            Self::ApplyServers | Self::ApplyServices => 50.0,
        }
    }
}

/// The times of a case, in seconds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Times {
    ours: Vec<f64>,
    theirs: Vec<f64>,
}

/// What the inside hands to the outside.
type Results = BTreeMap<Case, Times>;

/// Runs the comparison; whether every bound was met.
pub(super) fn run(rounds: Rounds) -> Result<bool> {
    if let Some(obstacle) = lab::obstacle() {
        bail!("the lab cannot run here: {obstacle}");
    }
    let built = step::cargo(&["build", "--release", "--locked", "-p", "lvsadm"]).status();
    if !built.context("cannot run cargo")?.success() {
        bail!("cannot build lvsadm");
    }
    step::heading("rules");
    let folder = tempfile::tempdir().context("cannot make a folder")?;
    let library = lab::library()?;
    let memory = lab::memory_folder(1)?;
    let boot = lab::Boot {
        library: &library,
        memory: &memory,
        // The last one: the first is busiest with interrupts.
        core: Some(std::thread::available_parallelism()?.get() - 1),
        interactive: false,
    };
    let job = lab::Job {
        name: "rules".to_owned(),
        program: std::env::current_exe()?,
        arguments: vec![
            "bench-inside".to_owned(),
            step::built("release", "lvsadm").display().to_string(),
            folder.path().display().to_string(),
            rounds.rule_rounds.to_string(),
        ],
        folder: step::root(),
        environment: lab::inherited(),
        shell: false,
        limit: LIMIT,
    };
    let mut outcome = None;
    let crash = boot.run(&lab::Deal::new(vec![job])?, |told| match told {
        lab::Told::Began(_) => {}
        lab::Told::Line(line) => println!("{line}"),
        lab::Told::Ended(end) => outcome = Some(end),
    })?;
    if let Some(last_words) = crash {
        bail!("the lab's kernel died: {last_words}");
    }
    if outcome != Some(lab::End::Status(0)) {
        bail!("the comparison failed: {outcome:?}");
    }
    report(&read(folder.path())?)
}

/// Prints a line for each case; whether every bound was met.
fn report(results: &Results) -> Result<bool> {
    println!(
        "{:<44} {:>9} {:>9} {:>7} {:>6}",
        "", "ipvsadm", "lvsadm", "ratio", "bound"
    );
    let mut met = true;
    for (case, times) in results {
        let (ours, theirs) = (median(&times.ours), median(&times.theirs));
        let (ours, theirs) = (ours.context("no times")?, theirs.context("no times")?);
        let ratio = theirs / ours;
        let holds = ratio >= case.bound();
        met &= holds;
        println!(
            "{:<44} {:>6.0} ms {:>6.1} ms {ratio:>6.1}x {:>5}x {}",
            case.text(),
            theirs * 1000.0,
            ours * 1000.0,
            case.bound(),
            if holds { "ok" } else { "NOT MET" },
        );
    }
    Ok(met)
}

fn median(times: &[f64]) -> Option<f64> {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied()
}

fn write(folder: &Path, results: &Results) -> Result<()> {
    let pairs: Vec<_> = results.iter().collect();
    Ok(std::fs::write(
        folder.join("results.json"),
        serde_json::to_vec(&pairs)?,
    )?)
}

fn read(folder: &Path) -> Result<Results> {
    let text = std::fs::read(folder.join("results.json")).context("no results")?;
    let pairs: Vec<(Case, Times)> = serde_json::from_slice(&text)?;
    Ok(pairs.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_that_is_missed_shows() {
        let times = |ours: f64| Times {
            ours: vec![ours, 9.0, ours],
            theirs: vec![8.0],
        };
        assert!(report(&Results::from([(Case::LoadServers, times(1.0))])).unwrap());
        assert!(!report(&Results::from([(Case::LoadServers, times(1.1))])).unwrap());
    }
}
