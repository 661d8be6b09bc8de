//! Counts tracked processes and reports whether there are enough of them.
//!
//! # Design
//! One task for all. All processes are looked at once, then the kernel tells what becomes of them; a
//! child is like its parent until it runs something else, so the many processes that nobody tracks
//! cost no look at all. Where the kernel does not tell, or has told more than there was room for,
//! everything is looked at again.

mod census;
mod events;
mod quorum;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::{Duration, Instant};

use kconf_parser::config::{TrackProcess, Vrrp};
use tokio::task::JoinHandle;
use tracing::{info, warn};
use vrrp_proto::TrackStatus;

use self::census::{Census, Pattern};
use self::events::{Event, Events};
use self::quorum::Quorum;
use super::seam::{Reports, tracker};
use super::track_scripts::trackings;

/// How often everything is looked at where the kernel does not tell.
const LOOK: Duration = Duration::from_secs(1);

/// The processes that are followed.
#[derive(Debug)]
pub(super) struct TrackProcesses {
    reports: Reports,
    followed: BTreeMap<String, TrackProcess>,
    task: Option<JoinHandle<()>>,
}

impl Drop for TrackProcesses {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl TrackProcesses {
    pub(super) const fn new(reports: Reports) -> Self {
        Self {
            reports,
            followed: BTreeMap::new(),
            task: None,
        }
    }

    /// Follows exactly those that instances or groups track from now on.
    pub(super) fn configure(&mut self, vrrp: &Vrrp) {
        let used: BTreeSet<&str> = trackings(vrrp)
            .flat_map(|tracking| &tracking.processes)
            .map(|tracked| tracked.name.as_str())
            .collect();
        let processes = vrrp.track_processes.iter();
        let processes = processes.filter(|it| used.contains(it.name.as_str()));
        let wished: BTreeMap<String, TrackProcess> =
            processes.map(|it| (it.name.clone(), it.clone())).collect();
        // Delays that run go on.
        if wished == self.followed {
            return;
        }
        if let Some(task) = self.task.take() {
            task.abort();
        }
        let before = std::mem::replace(&mut self.followed, wished);
        for name in before.keys().filter(|it| !self.followed.contains_key(*it)) {
            let status = TrackStatus::Unknown;
            self.reports.report(tracker::process(name), status, "");
        }
        if !self.followed.is_empty() {
            let configs = self.followed.values().cloned().collect();
            let follower = Follower::new(configs, self.reports.clone());
            self.task = Some(tokio::spawn(follower.work()));
        }
    }
}

/// What the task has.
struct Follower {
    census: Census,
    tracked: Vec<(TrackProcess, Quorum)>,
    reports: Reports,
}

impl Follower {
    fn new(configs: Vec<TrackProcess>, reports: Reports) -> Self {
        let census = Census::new(configs.iter().map(Pattern::new).collect());
        let tracked = configs.into_iter().map(|config| {
            let quorum = Quorum::new(&config);
            (config, quorum)
        });
        Self {
            census,
            tracked: tracked.collect(),
            reports,
        }
    }

    async fn work(mut self) {
        // First listen, then look: nobody is missed.
        let mut events = match Events::open() {
            Ok(events) => Some(events),
            Err(error) => {
                warn!(
                    "The kernel tells nothing of processes, they are looked at every second - {error}"
                );
                None
            }
        };
        self.look().await;
        loop {
            let due = self.tracked.iter().filter_map(|it| it.1.poll_timeout());
            let due = due.min().map(tokio::time::Instant::from_std);
            tokio::select! {
                happened = next(&mut events) => match happened {
                    Ok(happened) => self.handle(&happened).await,
                    Err(error) => {
                        warn!("The kernel tells nothing of processes any more - {error}");
                        events = None;
                    }
                },
                () = tokio::time::sleep(LOOK), if events.is_none() => self.look().await,
                () = sleep_until(due) => {
                    let now = Instant::now();
                    self.each(|quorum, _| quorum.handle_timeout(now));
                }
            }
        }
    }

    async fn handle(&mut self, happened: &[Event]) {
        if happened.contains(&Event::Lost) {
            return self.look().await;
        }
        let with_commands = self.census.needs_commands();
        for event in happened {
            match *event {
                Event::Forked { parent, child } => self.census.handle_fork(parent, child),
                Event::Changed(pid) => match events::process(pid, with_commands) {
                    Some(process) => self.census.handle_process(&process),
                    None => self.census.handle_exit(pid),
                },
                Event::Ended(pid) => self.census.handle_exit(pid),
                Event::Lost => {}
            }
        }
        self.count();
    }

    /// Looks at all processes.
    async fn look(&mut self) {
        let with_commands = self.census.needs_commands();
        let all = tokio::task::spawn_blocking(move || events::all(with_commands)).await;
        if let Ok(all) = all {
            self.census.handle_all(&all);
            self.count();
        }
    }

    fn count(&mut self) {
        let now = Instant::now();
        self.each(|quorum, count| quorum.handle_count(now, count));
    }

    /// Asks each quorum for its verdict, with its count, and reports new ones.
    fn each(&mut self, ask: impl Fn(&mut Quorum, u32) -> Option<bool>) {
        let counts = self.census.counts();
        for ((config, quorum), count) in self.tracked.iter_mut().zip(counts) {
            if let Some(holds) = ask(quorum, count) {
                tell(config, count, holds, &self.reports);
            }
        }
    }
}

fn tell(config: &TrackProcess, count: u32, holds: bool, reports: &Reports) {
    let name = &config.name;
    let (status, verb) = match holds {
        true => (TrackStatus::Good, "gained"),
        false => (TrackStatus::Bad, "lost"),
    };
    info!("Quorum {verb} for tracked process {name}");
    reports.report(
        tracker::process(name),
        status,
        format!("runs {count} times"),
    );
}

async fn next(events: &mut Option<Events>) -> io::Result<Vec<Event>> {
    match events {
        Some(events) => events.next().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(due: Option<tokio::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
