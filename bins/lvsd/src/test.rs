//! `lvsd -t -f FILE`: keepalived's test of a configuration, with its exit status.
//!
//! What keepalived 2.2.7 was seen to return, by kind of problem; docs/interop.md lists where we
//! differ and why. Everything is read and told before the status is chosen.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use kconf_parser::{Analysis, Code, Diagnostic, DiskLoader, Severity, analyze, render};

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
    ExitCode::from(status(&checked))
}

/// The exit status for all problems together.
///
/// keepalived ends at once where a value is missing; otherwise the gravest kind counts, and a
/// file that cannot be read is the least of them.
fn status(checked: &Analysis) -> u8 {
    let found = checked.diagnostics.iter();
    let all: Vec<u8> = found.map(|found| one(checked, found)).collect();
    match all.contains(&MISSING_VALUE) {
        true => MISSING_VALUE,
        false => all.into_iter().max().unwrap_or(0),
    }
}

/// A value that must be there is not.
const MISSING_VALUE: u8 = 2;
/// The file cannot be read.
const NO_FILE: u8 = 4;
/// Anything that keepalived tells of.
const PROBLEM: u8 = 5;
/// An include that insists fails, or scripts are run without `enable_script_security`.
const REFUSED: u8 = 6;

/// The exit status for one problem; 0 if keepalived says nothing about it.
fn one(checked: &Analysis, found: &Diagnostic) -> u8 {
    let sources = &checked.sources;
    match (found.severity, found.code) {
        (_, Code::MissingValue) => MISSING_VALUE,
        (Severity::Error, Code::FileNotReadable | Code::FileSkipped)
            if sources.files().len() == 1 && sources.text().is_empty() =>
        {
            NO_FILE
        }
        (Severity::Error, Code::FileNotReadable | Code::FileSkipped | Code::IncludeNoMatch) => {
            REFUSED
        }
        (_, Code::ScriptSecurityOff) => REFUSED,
        (Severity::Error, _) => PROBLEM,
        (
            Severity::Warning,
            Code::DeprecatedKeyword
            | Code::Rounded
            | Code::NoProtocol
            | Code::NoScheduler
            | Code::NoMethod
            | Code::QuorumTooHigh
            | Code::HysteresisTooHigh
            | Code::PortZeroNeedsPersistence
            | Code::NoAddress
            | Code::OneMemberGroup
            | Code::PasswordTooLong,
        ) => PROBLEM,
        // In braces it is taken for a block that nobody knows.
        (Severity::Warning, Code::UndefinedName) => {
            let place = found.primary.place;
            let text = sources.file(place.file).map_or("", |file| file.text());
            let used = text.get(place.start as usize..).unwrap_or_default();
            if used.starts_with("${") { PROBLEM } else { 0 }
        }
        _ => 0,
    }
}
