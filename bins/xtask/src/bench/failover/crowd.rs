//! Many virtual routers on one pair: what they cost, and whether they stay calm.
//!
//! # Design
//! Two hosts, joined by two cables, run all instances between them. The processor time is the
//! scheduler's own account, in nanoseconds, of every thread of the program: nothing is sampled. The
//! programs take turns; then ours goes on for long while a thread on each core burns what time it
//! gets, and a change of state of any instance is a false failover.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use lvs_testkit::Process;
use lvs_testkit::netns::{self, Namespace};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tempfile::TempDir;

use super::pair::{Program, children};
use crate::step;

/// Ours may use this part of keepalived's processor time.
const BOUND: f64 = 0.5;

/// More than the virtual router identifiers of one interface.
const CABLES: usize = 2;

const MASTER_PRIORITY: u8 = 150;
const BACKUP_PRIORITY: u8 = 100;

/// How long until all instances have found their places.
const LIMIT: Duration = Duration::from_secs(60);

/// How many and how long.
#[derive(Clone, Debug, Args)]
pub(crate) struct Crowd {
    /// Instances on one pair, each with an advertisement a second
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..=510))]
    instances: u16,
    /// Seconds of each window in which processor time is counted
    #[arg(long, default_value_t = 20)]
    window: u64,
    /// Windows of each program
    #[arg(long, default_value_t = 3)]
    windows: usize,
    /// Seconds with all cores busy, in which nothing may change
    #[arg(long, default_value_t = 600)]
    soak: u64,
}

/// Runs the comparison; whether ours kept its bounds.
pub(crate) fn run(crowd: &Crowd) -> Result<bool> {
    let build = ["build", "--release", "--locked", "-p", "lvsd"];
    ensure!(
        step::run("build", &mut step::cargo(&build))?,
        "lvsd does not build"
    );
    step::heading("crowd: many virtual routers on one pair, lvsd against keepalived");
    let programs = [Program::lvsd()?, Program::keepalived()?];
    let Some(hosts) = netns::hosts::<2>() else {
        println!("network namespaces are not permitted here: run as root");
        return Ok(false);
    };
    for cable in 0..CABLES {
        let name = format!("eth{cable}");
        netns::cable(&hosts[0], &name, &hosts[1], &name);
        for (number, host) in (1..).zip(&hosts) {
            host.ip(&format!("addr add 10.{cable}.0.{number}/16 dev {name}"));
        }
    }
    let mut met = compare(&hosts, &programs, crowd)?;
    if crowd.soak > 0 {
        met &= soak(&hosts, &programs[0], crowd)?;
    }
    println!(
        "\n{}",
        match met {
            true => "ours kept its bounds",
            false => "OURS LOST",
        }
    );
    Ok(met)
}

fn compare(hosts: &[Namespace; 2], programs: &[Program; 2], crowd: &Crowd) -> Result<bool> {
    let mut times = [const { [const { Vec::new() }; 2] }; 2];
    for round in 0..crowd.windows.max(1) {
        for turn in 0..2 {
            let number = (turn + round) % 2;
            let pair = Pair::start(hosts, &programs[number], crowd)?;
            let before = pair.spent()?;
            std::thread::sleep(Duration::from_secs(crowd.window));
            let after = pair.spent()?;
            for role in 0..2 {
                times[number][role].push((after[role] - before[role]) / crowd.window as f64);
            }
            pair.end();
        }
    }
    println!(
        "{} instances, processor time a second, in milliseconds: median (least, most)",
        crowd.instances
    );
    let mut met = true;
    for (role, name) in ["master", "backup"].into_iter().enumerate() {
        let medians = [0, 1].map(|number: usize| {
            let times = &mut times[number][role];
            times.sort_by(f64::total_cmp);
            let median = times[times.len() / 2];
            let (least, most) = (times[0], times[times.len() - 1]);
            let program = programs[number].name();
            println!("  {name}  {program:<12} {median:>7.2} ({least:.2}, {most:.2})");
            median
        });
        let ratio = medians[0] / medians[1];
        println!("  {name}  ratio {ratio:.2} (bound {BOUND})");
        met &= ratio <= BOUND;
    }
    Ok(met)
}

/// Runs ours with every core busy; whether nothing changed.
fn soak(hosts: &[Namespace; 2], program: &Program, crowd: &Crowd) -> Result<bool> {
    let pair = Pair::start(hosts, program, crowd)?;
    let before = pair.changes();
    let is_over = AtomicBool::new(false);
    let cores = std::thread::available_parallelism()?.get();
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    std::hint::black_box((0..10_000_u64).sum::<u64>());
                }
            });
        }
        std::thread::sleep(Duration::from_secs(crowd.soak));
        is_over.store(true, Ordering::Relaxed);
    });
    let changes = pair.changes() - before;
    pair.end();
    println!(
        "  {} s with {cores} cores busy: {changes} changes of state (bound 0)",
        crowd.soak
    );
    Ok(changes == 0)
}

struct Pair {
    hosts: [Process; 2],
    _folder: TempDir,
}

impl Pair {
    /// Starts both and waits until the first is master everywhere.
    fn start(hosts: &[Namespace; 2], program: &Program, crowd: &Crowd) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let start = |host: u8, priority: u8| -> Result<Process> {
            let path = folder.path().join(format!("{host}.conf"));
            std::fs::write(path, configuration(crowd.instances, priority))?;
            let namespace = &hosts[usize::from(host) - 1];
            Ok(namespace.run(|| Process::start(&mut program.command(folder.path(), host))))
        };
        let pair = Self {
            hosts: [start(1, MASTER_PRIORITY)?, start(2, BACKUP_PRIORITY)?],
            _folder: folder,
        };
        let deadline = Instant::now() + LIMIT;
        let all = usize::from(crowd.instances);
        while pair.hosts[0].output().matches(MASTER_LINE).count() < all {
            if Instant::now() > deadline {
                bail!("{} did not become master everywhere", program.name());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        // The second announcements of new masters are five seconds later.
        std::thread::sleep(Duration::from_secs(7));
        Ok(pair)
    }

    /// Processor time of each host's program since it was started, in milliseconds.
    fn spent(&self) -> Result<[f64; 2]> {
        let of = |process: &Process| spent(Pid::from_raw(process.id().cast_signed()));
        Ok([of(&self.hosts[0])?, of(&self.hosts[1])?])
    }

    fn changes(&self) -> usize {
        let outputs = self.hosts.iter().map(Process::output);
        outputs.map(|it| it.matches("Entering ").count()).sum()
    }

    fn end(self) {
        for mut process in self.hosts {
            process.signal(Signal::SIGTERM);
            process.wait(LIMIT);
        }
    }
}

const MASTER_LINE: &str = "Entering MASTER STATE";

fn configuration(instances: u16, priority: u8) -> String {
    let one = |number: u16| {
        let (cable, vrid) = (number / 255, number % 255 + 1);
        format!(
            "vrrp_instance VI_{number} {{\n interface eth{cable}\n virtual_router_id {vrid}\n \
             priority {priority}\n advert_int 1\n virtual_ipaddress {{\n 10.{cable}.1.{vrid}/16\n \
             }}\n}}\n"
        )
    };
    (0..instances).map(one).collect()
}

/// Of a process and its children, all threads.
fn spent(parent: Pid) -> Result<f64> {
    let mut milliseconds = 0.0;
    for pid in children(parent)?.into_iter().chain([parent]) {
        for task in Path::new(&format!("/proc/{pid}/task")).read_dir()? {
            let path = task?.path().join("schedstat");
            let text = std::fs::read_to_string(&path)?;
            let nanos = text.split_whitespace().next().context("schedstat")?;
            milliseconds += nanos.parse::<f64>()? / 1e6;
        }
    }
    Ok(milliseconds)
}
