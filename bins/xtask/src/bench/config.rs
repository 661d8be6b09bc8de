//! Reading large configurations, in ratio to `keepalived -t`.
//!
//! Both read the same file in turn; what counts is the median, that a file ten times as long
//! takes at most about ten times as long, and that memory stays within a multiple of the file.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use benches::configurations::{services, virtual_routers};

use crate::step;

/// Lines of the file that both read.
const LINES: usize = 100_000;

/// How often each reads it.
const ROUNDS: usize = 5;

/// Most memory that reading takes, as a multiple of the file.
const MAX_MEMORY: f64 = 20.0;

/// Compares; whether we take at most the time of keepalived, and grow with the file only.
pub(super) fn run() -> Result<bool> {
    let arguments = [
        "build",
        "--locked",
        "--release",
        "-p",
        "kconf-parser",
        "--example",
        "measure",
    ];
    let built = step::run("build", &mut step::cargo(&arguments))?;
    ensure!(built, "the example does not build");
    let target = std::env::var_os("CARGO_TARGET_DIR");
    let target = target.map_or_else(|| step::root().join("target"), Into::into);
    let ours = target.join("release/examples/measure");
    let mut met = true;
    for (name, make) in [
        ("services", services as fn(usize) -> String),
        ("virtual routers", virtual_routers),
    ] {
        step::heading(&format!("configuration of {name}"));
        met &= compare(&ours, make)?;
    }
    Ok(met)
}

fn compare(ours: &Path, make: fn(usize) -> String) -> Result<bool> {
    let folder = tempfile::tempdir()?;
    let file = |lines: usize| -> Result<_> {
        let path = folder.path().join(format!("{lines}.conf"));
        std::fs::write(&path, make(lines))?;
        Ok(path)
    };
    let (short, file, long) = (file(LINES / 10)?, file(LINES)?, file(10 * LINES)?);
    let read = |path: &Path| {
        let mut command = Command::new(ours);
        command.arg(path);
        command
    };
    let test = || {
        let mut command = Command::new("keepalived");
        command.arg("-t").arg("-f").arg(&file);
        command
    };
    let (mut mine, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        mine.push(time(&mut read(&file))?);
        theirs.push(time(&mut test())?);
    }
    let (mine, theirs) = (median(mine), median(theirs));
    let (short, longer) = (time(&mut read(&short))?, time(&mut read(&long))?);
    let ratio = mine.as_secs_f64() / theirs.as_secs_f64();
    let growth = longer.as_secs_f64() / mine.as_secs_f64();
    println!("{LINES} lines: lvskit {mine:.1?}, keepalived -t {theirs:.1?}, ratio {ratio:.2}");
    println!(
        "{} lines: lvskit {short:.1?}; {} lines: {longer:.1?}, {growth:.1} times as long",
        LINES / 10,
        10 * LINES
    );
    let memory = memory(&mut read(&file))? / std::fs::metadata(&file)?.len() as f64;
    println!("{LINES} lines: {memory:.1} times the file in memory");
    Ok(ratio <= 1.0 && growth <= 15.0 && memory <= MAX_MEMORY)
}

/// The most memory that a reader says it took, in bytes.
fn memory(command: &mut Command) -> Result<f64> {
    let output = command.output()?;
    let text = String::from_utf8(output.stdout)?;
    let peak = text
        .lines()
        .last()
        .and_then(|line| line.strip_suffix(" kB"));
    let peak: f64 = peak.context("the reader does not say it")?.parse()?;
    Ok(peak * 1024.0)
}

fn time(command: &mut Command) -> Result<Duration> {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let status = command
        .status()
        .with_context(|| format!("cannot run {command:?}"))?;
    let took = start.elapsed();
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(took)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
