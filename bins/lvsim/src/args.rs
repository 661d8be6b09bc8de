//! The command line of lvsim.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Replays load-balancing decisions recorded from a Linux kernel's IPVS.
#[derive(Debug, Parser)]
#[command(
    name = "lvsim",
    version,
    arg_required_else_help = true,
    after_help = "`lvsim replay --help` has examples and the exit statuses."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Replay(ReplayArgs),
}

/// Make every decision of recorded traces anew and compare it with the kernel's
///
/// A trace is a JSON Lines file: services, servers, packets and waits in order, each with what the
/// kernel answered. lvsim feeds the same events to its own schedulers. Connection counts are taken
/// from the trace, the choices are not. A file's replay ends at its first difference, which is shown
/// with the destinations as they were and the events that led there.
///
/// What a trace does not tell enough about to decide is listed as skipped, with the reason, and
/// never counted as equal.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lvsim replay wrr-d1-basic.jsonl
  lvsim replay traces/                  all *.jsonl below a directory
  lvsim replay --json traces/ | jq '.files[] | select(.outcome != \"equal\")'

Exit status:
  0  every decision of every file is the kernel's
  1  some decision differs
  2  a file cannot be read or is no trace, or the command line is wrong (and nothing differs)
  3  nothing differs, but some decisions could not be replayed")]
pub(crate) struct ReplayArgs {
    /// Trace files, or directories to search for *.jsonl
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    /// Print only files that are not equal, and the last line
    #[arg(short, long, conflicts_with = "json")]
    pub(crate) quiet: bool,
    /// Colours: by default on a terminal, unless NO_COLOR is set
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}
