//! `lvsd replay`: what the virtual routers of a recording did, again.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use director::exit::Exit;
use director::vrrp::replay::replay;
use vrrp_proto::{Output, RouterOutput, Time};

/// Flags of `lvsd replay`.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// What lvsd --record FILE has written.
    file: PathBuf,
    /// Print every output as a line of JSON, packets included.
    #[arg(long)]
    json: bool,
}

/// Replays and prints.
pub(crate) fn run(options: &Replay) -> ExitCode {
    match print(options) {
        Ok(()) => Exit::Ok.into(),
        Err(error) => {
            eprintln!("lvsd replay: {error:#}");
            Exit::Fatal.into()
        }
    }
}

fn print(options: &Replay) -> Result<()> {
    let name = options.file.display().to_string();
    let file = File::open(&options.file).with_context(|| name.clone())?;
    let mut out = BufWriter::new(stdout());
    let outcome = replay(BufReader::new(file), |at, output| {
        let line = match options.json {
            true => json(at, output),
            false => text(at, output),
        };
        if let Some(line) = line {
            // A reader that has seen enough, such as `head`, is no error.
            let _ = writeln!(out, "{line}");
        }
    });
    let _ = out.flush();
    outcome.context(name)
}

fn json(at: Time, output: &RouterOutput) -> Option<String> {
    serde_json::to_string(&serde_json::json!({"at": at, "output": output})).ok()
}

/// Changes and events, not every packet.
fn text(at: Time, output: &RouterOutput) -> Option<String> {
    let happened = match output {
        RouterOutput::Instance { instance, output } => match output {
            Output::StateChanged(change) => format!(
                "{instance}: {} -> {} ({}), priority {}",
                change.from, change.to, change.reason, change.priority
            ),
            Output::Event(event) => format!("{instance}: {event:?}"),
            _ => return None,
        },
        RouterOutput::GroupChanged { group, from, to } => format!("group {group}: {from} -> {to}"),
        RouterOutput::GroupSyncing { group, member, to } => {
            format!("group {group}: all follow {member} to {to}")
        }
        other => format!("{other:?}"),
    };
    Some(format!("{at}  {happened}"))
}
