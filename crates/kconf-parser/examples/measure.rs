//! Reads a configuration, and says how much memory that took at most:
//! `cargo run --release -p kconf-parser --example measure -- FILE`.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use kconf_parser::{DiskLoader, Options, analyze};

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: measure FILE");
        return ExitCode::FAILURE;
    };
    let analysis = analyze(&path, &Options::default(), &DiskLoader);
    println!("{} problems", analysis.diagnostics.len());
    // The line is `VmHWM:     1234 kB`.
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    println!("{}", peak.unwrap_or("unknown").trim());
    match analysis.has_errors() {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}
