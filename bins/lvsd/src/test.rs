//! `lvsd -t -f FILE`: keepalived's test of a configuration.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use kconf_parser::{DiskLoader, analyze, render};

use crate::{colour, files};

/// Tests one file: everything goes to standard error, or to `log`.
pub(crate) fn run(
    file: &Path,
    config_id: Option<&str>,
    check_includes: bool,
    log: Option<&Path>,
) -> ExitCode {
    let options = files::options(config_id, check_includes);
    let checked = analyze(file, &options, &DiskLoader);
    let mut out: Box<dyn Write> = match log.map(|path| (path, File::create(path))) {
        None => Box::new(io::stderr().lock()),
        Some((_, Ok(file))) => Box::new(file),
        Some((path, Err(error))) => {
            eprintln!("lvsd: cannot write {}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    };
    let color = log.is_none() && colour::is_wanted(&io::stderr());
    let text = render::human(&checked, color);
    let summary = render::summary(std::slice::from_ref(&checked));
    let _ = writeln!(out, "{text}{summary}").and_then(|()| out.flush());
    match checked.has_errors() {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}
