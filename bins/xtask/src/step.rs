//! A command with its heading, its time and its end.

use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest
        .ancestors()
        .nth(2)
        .unwrap_or(manifest)
        .to_path_buf()
}

/// The cargo that runs us, in the root of the workspace.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(root());
    command
}

/// A program of ours that cargo has built with this profile.
pub(crate) fn built(profile: &str, name: &str) -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    root().join(target).join(profile).join(name)
}

/// A heading, bold on a terminal.
pub(crate) fn heading(text: &str) {
    if std::io::stdout().is_terminal() {
        println!("\n\x1b[1m== {text}\x1b[0m");
    } else {
        println!("\n== {text}");
    }
}

/// Runs a command with its output going where ours goes; whether it succeeded.
pub(crate) fn run(name: &str, command: &mut Command) -> Result<bool> {
    heading(name);
    let start = Instant::now();
    let status = command
        .status()
        .with_context(|| format!("cannot run {command:?}"))?;
    println!(
        "-- {name}: {} after {:.1?}",
        end(status.success()),
        start.elapsed()
    );
    Ok(status.success())
}

/// Runs a command, showing its output and handing each line of its standard output to `see`;
/// whether it succeeded.
pub(crate) fn run_seen(
    name: &str,
    command: &mut Command,
    mut see: impl FnMut(&str),
) -> Result<bool> {
    heading(name);
    let start = Instant::now();
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {command:?}"))?;
    let output = child.stdout.take().context("the output is piped")?;
    let mut stdout = std::io::stdout().lock();
    for line in BufReader::new(output).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        writeln!(stdout, "{line}")?;
        see(&line);
    }
    drop(stdout);
    let status = child.wait()?;
    println!(
        "-- {name}: {} after {:.1?}",
        end(status.success()),
        start.elapsed()
    );
    Ok(status.success())
}

/// Whether a program is on the path.
pub(crate) fn have(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .any(|folder| folder.join(program).is_file())
}

fn end(success: bool) -> &'static str {
    if success { "ok" } else { "FAILED" }
}
