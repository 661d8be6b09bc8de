//! How long after the moment that the protocol names a backup has taken over: `lvsd` and keepalived.
//!
//! # Design
//! A pair of the same program on two hosts, network namespaces joined by a bridge. The master dies,
//! is stopped, or loses its link, and the bridge is watched with the kernel's time stamps. What
//! counts is the time from the last advertisement plus the master-down interval (after a
//! resignation: plus the skew time) to the first gratuitous ARP of the other: what a program adds to
//! what the protocol wants. The programs take turns, so that whatever else the machine does hits
//! both.

mod capture;
pub(super) mod crowd;
mod pair;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use lvs_testkit::netns::Namespace;

use self::capture::Capture;
use self::pair::{Fault, Pair, Program};
use crate::step;

/// Ours may take this long.
const BOUND: Duration = Duration::from_millis(1);

/// What and how often.
#[derive(Clone, Debug, Args)]
pub(crate) struct Extent {
    /// Failovers of each program, interval and fault
    #[arg(long, default_value_t = 5)]
    samples: usize,
    /// Advertisement intervals in seconds: 1 is version 2, shorter ones version 3
    #[arg(long, value_delimiter = ',', default_values_t = [1.0, 0.1, 0.03, 0.01])]
    intervals: Vec<f64>,
}

/// A version of the protocol with its interval.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rhythm {
    version: u8,
    interval: Duration,
}

impl Rhythm {
    fn new(seconds: f64) -> Result<Self> {
        let interval = Duration::try_from_secs_f64(seconds)?;
        let version = if seconds < 1.0 { 3 } else { 2 };
        ensure!(
            (Duration::from_millis(10)..=Duration::from_secs(10)).contains(&interval),
            "an interval is 0.01 to 10 seconds"
        );
        Ok(Self { version, interval })
    }

    /// RFC 3768 section 6.1; RFC 9568 section 6.1.
    fn skew(self, priority: u8) -> Duration {
        let unit = match self.version {
            2 => Duration::from_secs(1),
            _ => self.interval,
        };
        unit * (256 - u32::from(priority)) / 256
    }

    /// When a backup takes over, counted from the last word of the master.
    fn due(self, priority: u8, resigned: bool) -> Duration {
        match resigned {
            true => self.skew(priority),
            false => self.interval * 3 + self.skew(priority),
        }
    }
}

/// Runs the comparison; whether ours kept its bound and is not behind.
pub(crate) fn run(extent: &Extent) -> Result<bool> {
    let build = ["build", "--release", "--locked", "-p", "lvsd"];
    ensure!(
        step::run("build", &mut step::cargo(&build))?,
        "lvsd does not build"
    );
    step::heading("failover: lvsd against keepalived");
    let programs = [Program::lvsd()?, Program::keepalived()?];
    let Some(hosts) = lvs_testkit::netns::hosts::<3>() else {
        println!("network namespaces are not permitted here: run as root");
        return Ok(false);
    };
    let [first, second, switch] = hosts;
    let segment = Segment::new(first, second, switch);
    println!(
        "time from when it is due to the first gratuitous ARP, in microseconds: median (least, most)"
    );
    let mut met = true;
    for seconds in &extent.intervals {
        let rhythm = Rhythm::new(*seconds)?;
        for fault in Fault::ALL {
            met &= compare(&segment, &programs, rhythm, fault, extent.samples.max(1))?;
        }
    }
    println!(
        "\n{}",
        match met {
            true => "ours took at most a millisecond and lost nowhere",
            false => "OURS LOST",
        }
    );
    Ok(met)
}

fn compare(
    segment: &Segment,
    programs: &[Program; 2],
    rhythm: Rhythm,
    fault: Fault,
    samples: usize,
) -> Result<bool> {
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..samples {
        for turn in 0..2 {
            let number = (turn + round) % 2;
            let program = &programs[number];
            let time = sample(segment, program, rhythm, fault)
                .with_context(|| format!("{} after {}", program.name(), fault.name()))?;
            times[number].push(time);
        }
    }
    let medians = times.each_mut().map(|times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    });
    println!(
        "\nversion {}, every {:?}, {}: {samples} failovers each",
        rhythm.version,
        rhythm.interval,
        fault.name()
    );
    for (program, times) in programs.iter().zip(&times) {
        println!(
            "  {:<12} {:>8.0} ({:.0}, {:.0})",
            program.name(),
            times[times.len() / 2],
            times[0],
            times[times.len() - 1]
        );
    }
    let [ours, theirs] = medians;
    println!("  ratio {:.2}", ours / theirs);
    let bound = BOUND.as_secs_f64() * 1e6;
    Ok(ours <= bound && ours <= theirs)
}

/// One failover; in microseconds.
fn sample(segment: &Segment, program: &Program, rhythm: Rhythm, fault: Fault) -> Result<f64> {
    let capture = Capture::start(&segment.switch)?;
    let pair = Pair::start(segment, program, rhythm)?;
    let seen = capture.wait("advertisements of the master", |seen| {
        seen.adverts_of(pair::MASTER).count() >= 5 && pair.backup_runs()
    })?;
    // At no moment of the rhythm in particular.
    let phase = seen.adverts_of(pair::MASTER).last().map_or(0, |it| it.at) % 1000;
    std::thread::sleep(rhythm.interval.mul_f64(phase as f64 / 1000.0));
    pair.strike(fault, segment)?;
    let seen = capture.wait("the backup to take over", |seen| {
        seen.claims_after_last_advert_of(pair::MASTER)
            .next()
            .is_some()
    })?;
    let last = seen
        .adverts_of(pair::MASTER)
        .last()
        .context("no advertisement")?;
    let claim = seen.claims_after_last_advert_of(pair::MASTER).next();
    let claim = claim.context("no gratuitous ARP")?;
    let due = rhythm.due(pair::BACKUP_PRIORITY, last.priority == Some(0));
    let due = last.at + i128::try_from(due.as_nanos())?;
    pair.end(segment)?;
    Ok((claim.at - due) as f64 / 1000.0)
}

/// Two hosts on a bridge.
pub(crate) struct Segment {
    first: Namespace,
    second: Namespace,
    switch: Namespace,
}

impl Segment {
    fn new(first: Namespace, second: Namespace, switch: Namespace) -> Self {
        switch.ip("link add br0 type bridge");
        switch.ip("link set br0 up");
        for (number, host) in [(1, &first), (2, &second)] {
            lvs_testkit::netns::cable(host, "eth0", &switch, &format!("port{number}"));
            switch.ip(&format!("link set port{number} master br0"));
            host.ip(&format!("addr add 10.0.0.{number}/24 dev eth0"));
        }
        Self {
            first,
            second,
            switch,
        }
    }
}
