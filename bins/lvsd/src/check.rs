//! `lvsd check FILE...` and `lvsd -t -f FILE`: says what is wrong with a configuration.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use director::config::host_config_id;
use kconf_parser::{Analysis, DiskLoader, Options, analyze, render};

use crate::colour;
use crate::rules::RuleFlags;

/// Flags of `lvsd check`.
#[derive(Debug, Args)]
#[command(after_help = "\
The findings go to standard output, the count at the end to standard error.

Examples:
  lvsd check keepalived.conf
  lvsd check --format short sites/*.conf
  lvsd check --format json keepalived.conf | jq '.diagnostics[].message'
  lvsd check --pair director1.conf director2.conf
  lvsd check --system --off KC0104 keepalived.conf

A comment does what --off does for its line, or the line below it: # lvskit: off KC0104

Exit status:
  0  nothing, or only warnings
  1  an error in some file, or a file that cannot be read, or the command line is wrong")]
pub(crate) struct Check {
    /// Configuration files; each is checked for itself, with all that it includes.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How to print what was found.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Human)]
    format: Format,
    /// Id that lines beginning with @id are compared with; the host name if not given.
    #[arg(short = 'i', long, value_name = "ID")]
    config_id: Option<String>,
    /// Every include must match and be readable.
    #[arg(short = 'e', long)]
    all_config: bool,
    #[command(flatten)]
    rules: RuleFlags,
}

/// How diagnostics are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Source snippets, in colours on a terminal.
    Human,
    /// One line for each diagnostic.
    Short,
    /// One JSON document.
    Json,
}

/// Checks files: 0 if there are at most warnings, 1 if there is an error.
pub(crate) fn run(check: &Check) -> ExitCode {
    let mut options = options(check.config_id.as_deref(), check.all_config);
    options.rules = check.rules.rules();
    let mut checked: Vec<Analysis> = check
        .files
        .iter()
        .map(|file| analyze(file, &options, &DiskLoader))
        .collect();
    if let Err(reason) = check.rules.look_further(&mut checked) {
        eprintln!("lvsd check: {reason}");
        return ExitCode::FAILURE;
    }
    let text = print(&checked, check.format, colour::is_wanted(&io::stdout()));
    write(&mut io::stdout().lock(), &text);
    write(
        &mut io::stderr().lock(),
        &format!("{}\n", render::summary(&checked)),
    );
    exit_code(&checked)
}

/// Tests one file as `-t` does: everything goes to standard error, or to `log`.
pub(crate) fn test(
    file: &Path,
    config_id: Option<&str>,
    check_includes: bool,
    log: Option<&Path>,
) -> ExitCode {
    let options = options(config_id, check_includes);
    let checked = [analyze(file, &options, &DiskLoader)];
    let mut out: Box<dyn Write> = match log.map(|path| (path, File::create(path))) {
        None => Box::new(io::stderr().lock()),
        Some((_, Ok(file))) => Box::new(file),
        Some((path, Err(error))) => {
            eprintln!("lvsd: cannot write {}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    };
    let color = log.is_none() && colour::is_wanted(&io::stderr());
    let text = print(&checked, Format::Human, color);
    write(&mut out, &format!("{text}{}\n", render::summary(&checked)));
    exit_code(&checked)
}

fn options(config_id: Option<&str>, check_includes: bool) -> Options {
    Options {
        config_id: config_id.map_or_else(host_config_id, str::to_owned),
        check_includes,
        environment: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
        ..Options::default()
    }
}

fn print(checked: &[Analysis], format: Format, color: bool) -> String {
    match format {
        Format::Human => checked
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
    }
}

/// Writes, and does not mind a reader that has gone, such as `head`.
fn write(out: &mut dyn Write, text: &str) {
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn exit_code(checked: &[Analysis]) -> ExitCode {
    match checked.iter().any(Analysis::has_errors) {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}
