//! `lvsd check FILE...`: says what is wrong with configurations, and puts right what it can.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use kconf_parser::fix::{Applied, FixedFile, fix};
use kconf_parser::{Analysis, DiskLoader, analyze, render};

use crate::colour;
use crate::files::{self, print, say};
use crate::rules::RuleFlags;

/// Flags of `lvsd check`.
#[derive(Debug, Args)]
#[command(after_help = "\
The findings go to standard output, the count at the end to standard error. `lvsd explain CODE` says
what a code such as KC0017 means and what to do.

With --fix, suggestions are followed one by one and kept if they leave fewer problems and no new
error. What cannot be put right is printed as without it.

Examples:
  lvsd check keepalived.conf
  lvsd check --fix --dry-run keepalived.conf       see what would change
  lvsd check --format short sites/*.conf
  lvsd check --format github keepalived.conf       marks lines of a pull request
  lvsd check --format json keepalived.conf | jq '.diagnostics[].message'
  lvsd check --pair director1.conf director2.conf
  lvsd check --system --off KC0104 keepalived.conf

A comment does what --off does for its line, or the line below it: # lvskit: off KC0104

Exit status:
  0  nothing, or only warnings; with --fix, what was left
  1  an error in some file, or a file that cannot be read, or the command line is wrong")]
pub(crate) struct Check {
    /// Configuration files; each is checked for itself, with all that it includes.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How to print what was found.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    format: Format,
    /// Follow the suggestions and write the files.
    #[arg(long)]
    fix: bool,
    /// With --fix: write nothing, print the differences.
    #[arg(long, requires = "fix")]
    dry_run: bool,
    #[command(flatten)]
    rules: RuleFlags,
    #[command(flatten)]
    reading: files::Reading,
}

/// How diagnostics are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Source snippets, in colours on a terminal.
    #[value(alias = "human")]
    Text,
    /// One line for each diagnostic.
    Short,
    /// One JSON document.
    Json,
    /// One SARIF 2.1.0 document, for code scanning.
    Sarif,
    /// Commands for GitHub workflows.
    Github,
}

/// Checks files: 0 if there are at most warnings, 1 if there is an error.
pub(crate) fn run(check: &Check) -> ExitCode {
    let mut options = check.reading.options();
    options.rules = check.rules.rules();
    let mut checked = Vec::new();
    let mut written = true;
    for file in &check.files {
        if !check.fix {
            checked.push(analyze(file, &options, &DiskLoader));
            continue;
        }
        let fixed = fix(file, &options, &DiskLoader);
        match check.dry_run {
            true => fixed.files.iter().for_each(|file| print(&diff(file))),
            false => written &= write(&fixed.files),
        }
        say(&done(&fixed.applied, check.dry_run));
        checked.push(fixed.analysis);
    }
    if let Err(reason) = check.rules.look_further(&mut checked) {
        say(&format!("lvsd check: {reason}\n"));
        return ExitCode::FAILURE;
    }
    print(&rendered(&checked, check.format));
    say(&format!("{}\n", render::summary(&checked)));
    match written && !checked.iter().any(Analysis::has_errors) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn rendered(checked: &[Analysis], format: Format) -> String {
    let color = colour::is_wanted(&io::stdout());
    match format {
        Format::Text => checked
            .iter()
            .map(|found| render::human(found, color))
            .collect(),
        Format::Short => {
            let mut text = String::new();
            for found in checked {
                for diagnostic in &found.diagnostics {
                    text.push_str(&render::line(found, diagnostic));
                    text.push('\n');
                }
            }
            text
        }
        Format::Json => format!("{:#}\n", render::json(checked)),
        Format::Sarif => {
            let log = render::sarif(checked, "lvsd", env!("CARGO_PKG_VERSION"));
            format!("{log:#}\n")
        }
        Format::Github => checked.iter().map(render::github).collect(),
    }
}

fn diff(file: &FixedFile) -> String {
    files::diff(&file.path, &file.before, &file.after)
}

/// Writes what changed; false if a file could not be written.
fn write(changed: &[FixedFile]) -> bool {
    let mut all = true;
    for file in changed {
        if let Err(error) = files::replace(&file.path, &file.before, &file.after) {
            let _ = writeln!(io::stderr(), "lvsd check: {error:#}");
            all = false;
        }
    }
    all
}

/// What was put right, a line for each.
fn done(applied: &[Applied], dry_run: bool) -> String {
    let word = if dry_run { "would fix" } else { "fixed" };
    let line = |done: &Applied| {
        let Applied {
            code,
            message,
            path,
            line,
        } = done;
        format!("{word} {}:{line}: [{code}] {message}\n", path.display())
    };
    applied.iter().map(line).collect()
}
