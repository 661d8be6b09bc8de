//! Runs tracked scripts and reports how they do.
//!
//! # Design
//! A task for each script: its runs follow one another and never overlap. A script that a reload
//! leaves alone goes on; one that is changed keeps its verdict until its next run.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroU32;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::time::Duration;

use kconf_parser::Config;
use kconf_parser::config::{Tracking, Vrrp, VrrpScript};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tracing::{info, warn};
use vrrp_proto::TrackStatus;
use vrrp_proto::track::{Judge, Verdict};

use super::seam::{Reports, tracker};
use crate::privileges::{self, Runnable};
use crate::script::RunningScript;

/// The scripts that can be run, and why others cannot.
#[derive(Debug, Default)]
pub(super) struct Usable {
    probes: BTreeMap<String, Probe>,
    refused: BTreeSet<String>,
}

/// What a run does.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Probe {
    /// Runs a program.
    Program(Runnable),
    /// Opens a file: a command that begins with `<`.
    Open(PathBuf),
}

impl Usable {
    /// Judges the scripts that instances or groups track; refusals are logged. Users may have to be
    /// asked for over the network.
    pub(super) fn judge(config: &Config) -> Self {
        let vrrp = &config.vrrp;
        let used: BTreeSet<&str> = trackings(vrrp)
            .flat_map(|tracking| &tracking.scripts)
            .map(|tracked| tracked.name.as_str())
            .collect();
        let mut usable = Self::default();
        for script in vrrp
            .scripts
            .iter()
            .filter(|it| used.contains(it.name.as_str()))
        {
            let name = script.name.clone();
            let first = script.script.argv.first();
            if let Some(path) = first.and_then(|word| word.strip_prefix('<')) {
                usable.probes.insert(name, Probe::Open(path.into()));
                continue;
            }
            match privileges::judge(&script.script, &config.globals) {
                Ok(runnable) => {
                    usable.probes.insert(name, Probe::Program(runnable));
                }
                Err(refusal) => {
                    warn!("{refusal}");
                    warn!("Disabling track script {name} since not found/accessible");
                    usable.refused.insert(name);
                }
            }
        }
        usable
    }

    /// Takes out the trackers of scripts that cannot be run, on which nobody reports. Instances go
    /// without them instead of waiting for ever.
    pub(super) fn restrict(&self, vrrp: &mut Vrrp) {
        let keep = |tracking: &mut Tracking| {
            tracking
                .scripts
                .retain(|it| !self.refused.contains(&it.name));
        };
        vrrp.instances
            .iter_mut()
            .for_each(|it| keep(&mut it.tracking));
        vrrp.sync_groups
            .iter_mut()
            .for_each(|it| keep(&mut it.tracking));
    }
}

/// What instances and groups track.
pub(super) fn trackings(vrrp: &Vrrp) -> impl Iterator<Item = &Tracking> {
    let groups = vrrp.sync_groups.iter().map(|it| &it.tracking);
    vrrp.instances.iter().map(|it| &it.tracking).chain(groups)
}

/// The scripts that are run.
#[derive(Debug)]
pub(super) struct TrackScripts {
    reports: Reports,
    tasks: HashMap<String, Task>,
}

#[derive(Debug)]
struct Task {
    config: VrrpScript,
    probe: Probe,
    verdict: watch::Receiver<Option<Verdict>>,
    task: JoinHandle<()>,
}

/// A run under way is killed with all that it has started.
impl Drop for Task {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl TrackScripts {
    pub(super) fn new(reports: Reports) -> Self {
        Self {
            reports,
            tasks: HashMap::new(),
        }
    }

    /// Runs exactly the usable ones from now on.
    pub(super) fn configure(&mut self, vrrp: &Vrrp, usable: Usable) {
        let mut before = std::mem::take(&mut self.tasks);
        for (name, probe) in usable.probes {
            let Some(config) = vrrp.scripts.iter().find(|it| it.name == name) else {
                continue;
            };
            let task = match before.remove(&name) {
                Some(old) if old.config == *config && old.probe == probe => old,
                Some(old) => {
                    let verdict = *old.verdict.borrow();
                    self.start(config, probe, verdict)
                }
                None => self.start(config, probe, None),
            };
            self.tasks.insert(name, task);
        }
        for name in before.keys() {
            let status = TrackStatus::Unknown;
            self.reports.report(tracker::script(name), status, "");
        }
    }

    fn start(&self, config: &VrrpScript, probe: Probe, before: Option<Verdict>) -> Task {
        let (told, verdict) = watch::channel(before);
        let worker = Worker::new(config.clone(), self.reports.clone(), told);
        let task = tokio::spawn(worker.work(probe.clone()));
        Task {
            config: config.clone(),
            probe,
            verdict,
            task,
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Exited(i32),
    Killed(i32),
    TimedOut,
    NotRun(String),
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "exited with status {status}"),
            Self::Killed(signal) => write!(f, "due to signal {signal}"),
            Self::TimedOut => f.write_str("timed out"),
            Self::NotRun(reason) => write!(f, "not run: {reason}"),
        }
    }
}

/// What the task of a script has.
struct Worker {
    config: VrrpScript,
    judge: Judge,
    reports: Reports,
    told: watch::Sender<Option<Verdict>>,
    last_status: i32,
    /// The last outcome and how often it has come in a row.
    row: (Outcome, u32),
}

impl Worker {
    fn new(config: VrrpScript, reports: Reports, told: watch::Sender<Option<Verdict>>) -> Self {
        let rise = NonZeroU32::new(config.rise).unwrap_or(NonZeroU32::MIN);
        let fall = NonZeroU32::new(config.fall).unwrap_or(NonZeroU32::MIN);
        let before = *told.borrow();
        let judge = match before {
            Some(Verdict::Good) => {
                let mut judge = Judge::new(rise, fall);
                judge.handle_run(true);
                judge
            }
            Some(Verdict::Bad) => Judge::failed(rise, fall),
            None if config.init_fail => {
                let tracker = tracker::script(&config.name);
                reports.report(tracker, TrackStatus::Bad, "not run yet (init_fail)");
                Judge::failed(rise, fall)
            }
            None => Judge::new(rise, fall),
        };
        Self {
            config,
            judge,
            reports,
            told,
            last_status: 0,
            row: (Outcome::Exited(0), 0),
        }
    }

    async fn work(mut self, probe: Probe) {
        let mut ticks = tokio::time::interval(self.config.interval.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            match &probe {
                Probe::Open(path) => {
                    let opened = tokio::fs::File::open(path).await;
                    self.handle(Outcome::Exited(i32::from(opened.is_err())));
                }
                Probe::Program(runnable) => self.run(runnable, &mut ticks).await,
            }
        }
    }

    async fn run(&mut self, runnable: &Runnable, ticks: &mut Interval) {
        let mut running = match RunningScript::start(runnable) {
            Ok(running) => running,
            Err(error) => return self.handle(Outcome::NotRun(error.to_string())),
        };
        let deadline = Instant::now() + self.config.timeout;
        let outcome = loop {
            tokio::select! {
                biased;
                ended = running.wait() => break match ended {
                    Ok(status) => match (status.code(), status.signal()) {
                        (Some(code), _) => Outcome::Exited(code),
                        (None, signal) => Outcome::Killed(signal.unwrap_or_default()),
                    },
                    Err(error) => Outcome::NotRun(error.to_string()),
                },
                () = tokio::time::sleep_until(deadline) => break Outcome::TimedOut,
                _ = ticks.tick() => info!(
                    "Track script {} is already running, expect idle - skipping run",
                    self.config.name
                ),
            }
        };
        // A failure is told before the rest of the script is gone.
        let is_late = outcome == Outcome::TimedOut;
        self.handle(outcome);
        if is_late {
            running.end().await;
        }
    }

    fn handle(&mut self, outcome: Outcome) {
        let name = &self.config.name;
        if let Outcome::Exited(status) = outcome
            && status != self.last_status
        {
            info!("Script `{name}` now returning {status}");
            self.last_status = status;
        }
        let times = if outcome == self.row.0 { self.row.1 } else { 0 };
        self.row = (outcome.clone(), times.saturating_add(1));
        let Some(verdict) = self.judge.handle_run(outcome == Outcome::Exited(0)) else {
            return;
        };
        match (verdict, &outcome) {
            (Verdict::Good, _) => info!("VRRP_Script({name}) succeeded"),
            (Verdict::Bad, Outcome::TimedOut) => info!("VRRP_Script({name}) timed_out"),
            (Verdict::Bad, outcome) => info!("VRRP_Script({name}) failed ({outcome})"),
        }
        let status = match verdict {
            Verdict::Good => TrackStatus::Good,
            Verdict::Bad => TrackStatus::Bad,
        };
        let detail = match self.row.1 {
            1 => outcome.to_string(),
            times => format!("{outcome}, {times} times"),
        };
        self.reports.report(tracker::script(name), status, detail);
        let _ = self.told.send(Some(verdict));
    }
}
