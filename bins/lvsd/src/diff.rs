//! `lvsd diff OLD NEW`: what a reload would do.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use kconf_parser::compare::{Change, compare};
use kconf_parser::{Config, DiskLoader, Options, analyze, render};

use crate::colour;
use crate::files::{Reading, print, say, secrets};

/// Flags of `lvsd diff`.
#[derive(Debug, Args)]
#[command(after_help = "\
Compares what two configurations mean: comments, order of settings, definitions and includes do
not count. Each line is `+` for what is added, `-` for what is removed, `~` for what changes.

Examples:
  lvsd diff /etc/keepalived/keepalived.conf new.conf
  git show HEAD:keepalived.conf > old.conf; lvsd diff old.conf keepalived.conf
  lvsd diff --json old.conf new.conf | jq -r '.[] | select(.kind == \"removed\") | .path[-1]'

Exit status, as that of diff(1):
  0  they mean the same
  1  they differ
  2  one of them has an error, so a reload would be refused; or the command line is wrong")]
pub(crate) struct Diff {
    /// The configuration that runs.
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The configuration that would be loaded.
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// Print JSON: a list with `kind`, `path`, `setting`, `old` and `new`.
    #[arg(long)]
    json: bool,
    /// Show passwords and keys, which are covered otherwise.
    #[arg(long)]
    show_secrets: bool,
    #[command(flatten)]
    reading: Reading,
}

/// Compares two configurations.
pub(crate) fn run(diff: &Diff) -> ExitCode {
    let options = diff.reading.options();
    let (old, new) = (read(&diff.old, &options), read(&diff.new, &options));
    let (Some(old), Some(new)) = (old, new) else {
        return ExitCode::from(2);
    };
    let changes = compare(&old, &new, secrets(diff.show_secrets));
    match diff.json {
        // Plain data: this cannot fail.
        true => print(&format!(
            "{:#}\n",
            serde_json::to_value(&changes).unwrap_or_default()
        )),
        false => {
            let lines = changes.iter().map(|change: &Change| format!("{change}\n"));
            print(&lines.collect::<String>());
        }
    }
    match changes.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(1),
    }
}

/// A configuration without errors; says what is wrong otherwise.
fn read(path: &Path, options: &Options) -> Option<Config> {
    let analysis = analyze(path, options, &DiskLoader);
    if analysis.has_errors() {
        say(&render::human(&analysis, colour::is_wanted(&io::stderr())));
        say(&format!("lvsd diff: {} has an error\n", path.display()));
        return None;
    }
    Some(analysis.config)
}
