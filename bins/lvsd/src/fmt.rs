//! `lvsd fmt FILE...`: one style for configuration files.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use kconf_parser::format::format;

use crate::files::{self, print, say};

/// Flags of `lvsd fmt`.
#[derive(Debug, Args)]
#[command(after_help = "\
Blocks are indented by four spaces, `{` ends the line of its keyword, every statement and `}` has
a line; comments stay. What a line means never changes: definitions, repetitions, includes and
script commands are moved as a whole. A file whose braces do not match is left alone.

Examples:
  lvsd fmt keepalived.conf conf.d/*.conf
  lvsd fmt --check keepalived.conf         in a pipeline: 1 if something would change
  lvsd fmt - < keepalived.conf             from standard input to standard output

Exit status:
  0  all files are in this style now; with --check and --diff, they were
  1  --check or --diff found a difference, a file cannot be formatted, or the command line is wrong")]
pub(crate) struct Fmt {
    /// Files to rewrite; included files are not followed. `-` reads standard input and writes
    /// standard output.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Write nothing; name the files that would change.
    #[arg(long, group = "mode")]
    check: bool,
    /// Write nothing; print the formatted text.
    #[arg(long, group = "mode")]
    stdout: bool,
    /// Write nothing; print the differences.
    #[arg(long, group = "mode")]
    diff: bool,
}

/// Formats files.
pub(crate) fn run(fmt: &Fmt) -> ExitCode {
    let mut good = true;
    for path in &fmt.files {
        match one(fmt, path) {
            Ok(same) => good &= same,
            Err(error) => {
                say(&format!("lvsd fmt: {error:#}\n"));
                good = false;
            }
        }
    }
    match good {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Formats one file; false if it only should be.
fn one(fmt: &Fmt, path: &Path) -> anyhow::Result<bool> {
    let name = path.display();
    let stdin = path == Path::new("-");
    let bytes = match stdin {
        true => {
            let mut bytes = Vec::new();
            std::io::stdin().read_to_end(&mut bytes).map(|_| bytes)
        }
        false => std::fs::read(path),
    };
    let bytes = bytes.with_context(|| format!("cannot read {name}"))?;
    let before = String::from_utf8(bytes).map_err(|_| {
        anyhow::anyhow!("{name} is not UTF-8; convert it, as with `iconv -t UTF-8`")
    })?;
    let after = format(&before)
        .with_context(|| format!("{name} is left alone (see `lvsd check {name}`)"))?;
    let same = before == after;
    if fmt.check {
        if !same {
            print(&format!("{name}\n"));
        }
        return Ok(same);
    }
    if fmt.diff {
        print(&files::diff(path, &before, &after));
        return Ok(same);
    }
    if fmt.stdout || stdin {
        print(&after);
    } else if !same {
        files::replace(path, &before, &after)?;
    }
    Ok(true)
}
