//! Reading large configurations, in ratio to `keepalived -t`.
//!
//! Both read the same file in turn; what counts is the median, and that a file ten times as long
//! takes at most about ten times as long.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::step;

/// Lines of the file that both read.
const LINES: usize = 100_000;

/// How often each reads it.
const ROUNDS: usize = 5;

/// Compares; whether we take at most the time of keepalived, and grow with the file only.
pub(super) fn run() -> Result<bool> {
    let arguments = [
        "build",
        "--locked",
        "--release",
        "-p",
        "kconf-parser",
        "--example",
        "vips",
    ];
    let built = step::run("build", &mut step::cargo(&arguments))?;
    ensure!(built, "the example does not build");
    let target = std::env::var_os("CARGO_TARGET_DIR");
    let target = target.map_or_else(|| step::root().join("target"), Into::into);
    let ours = target.join("release/examples/vips");
    let folder = tempfile::tempdir()?;
    let file = |lines: usize| -> Result<_> {
        let path = folder.path().join(format!("{lines}.conf"));
        std::fs::write(&path, services(lines))?;
        Ok(path)
    };
    let (file, long) = (file(LINES)?, file(10 * LINES)?);
    step::heading("configuration");
    let read = |path: &Path| {
        let mut command = Command::new(&ours);
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
    let long = time(&mut read(&long))?;
    let ratio = mine.as_secs_f64() / theirs.as_secs_f64();
    let growth = long.as_secs_f64() / mine.as_secs_f64();
    println!("{LINES} lines: lvskit {mine:.1?}, keepalived -t {theirs:.1?}, ratio {ratio:.2}");
    println!(
        "{} lines: lvskit {long:.1?}, {growth:.1} times as long",
        10 * LINES
    );
    Ok(ratio <= 1.0 && growth <= 15.0)
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

/// Services with two checked servers each, as in the criterion bench.
fn services(lines: usize) -> String {
    let mut text = String::from("global_defs {\n    router_id bench\n}\n");
    for service in 0..lines / 29 {
        let (port, high, low) = (1 + (service >> 16), service >> 8 & 0xff, service & 0xff);
        let _ = write!(
            text,
            "# service {service}\nvirtual_server 10.{high}.{low}.1 {port} {{\n    delay_loop 6\n    \
             lb_algo wrr\n    lb_kind NAT\n    protocol TCP\n"
        );
        for server in 2..4 {
            let _ = write!(
                text,
                "    real_server 10.{high}.{low}.{server} 80 {{\n        weight 5\n        \
                 HTTP_GET {{\n            url {{\n                path /health\n                \
                 status_code 200\n            }}\n            connect_timeout 3\n            \
                 retry 2\n        }}\n    }}\n"
            );
        }
        text.push_str("}\n");
    }
    text
}
