//! Replays scheduler traces and shows where they differ.

mod args;
mod render;

use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use lvs_sim::replay::replay;
use lvs_sim::report::{Outcome, Report};
use lvs_sim::trace::{Trace, TraceError};

use crate::args::{Cli, Color, Command, ReplayArgs};

const DIFFERENT: u8 = 1;
const UNREADABLE: u8 = 2;
const INCOMPLETE: u8 = 3;

/// A trace file and what came of it.
#[derive(Debug)]
struct Replayed {
    path: PathBuf,
    result: Result<Report, TraceError>,
}

fn main() -> ExitCode {
    let Command::Replay(args) = Cli::parse().command;
    match run(&args) {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lvsim: {error:#}");
            ExitCode::from(UNREADABLE)
        }
    }
}

fn run(args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    let mut files = Vec::new();
    for path in &args.paths {
        find_traces(path, &mut files)?;
    }
    let replayed: Vec<Replayed> = files
        .into_iter()
        .map(|path| {
            let result = Trace::open(&path).and_then(|trace| replay(&trace));
            Replayed { path, result }
        })
        .collect();
    let mut out = io::BufWriter::new(io::stdout().lock());
    if args.json {
        render::json(&mut out, &replayed)?;
    } else {
        let colored = match args.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                io::stdout().is_terminal()
                    && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
            }
        };
        render::text(&mut out, &replayed, args.quiet, colored)?;
    }
    out.flush()?;
    Ok(exit_code(&replayed))
}

fn exit_code(replayed: &[Replayed]) -> ExitCode {
    let any = |outcome| {
        replayed
            .iter()
            .any(|file| file.result.as_ref().is_ok_and(|r| r.outcome() == outcome))
    };
    if any(Outcome::Different) {
        DIFFERENT.into()
    } else if replayed.iter().any(|file| file.result.is_err()) {
        UNREADABLE.into()
    } else if any(Outcome::Incomplete) {
        INCOMPLETE.into()
    } else {
        ExitCode::SUCCESS
    }
}

/// The file itself, or the `*.jsonl` files below a directory, by name.
fn find_traces(path: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let before = files.len();
    collect(path, files)?;
    anyhow::ensure!(
        files.len() > before,
        "{}: no *.jsonl file in this directory",
        path.display()
    );
    Ok(())
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let read = || -> io::Result<Vec<fs::DirEntry>> { fs::read_dir(directory)?.collect() };
    let mut entries = read().with_context(|| directory.display().to_string())?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        // Links to directories are not followed: they may lead in circles.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&path, files)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "jsonl")
        {
            files.push(path);
        }
    }
    Ok(())
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}
