//! How replays are shown: a table with explanations below it, or JSON.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::SocketAddr;

use lvs_sim::report::{Difference, Disagreement, Outcome, Report};
use serde_json::json;

use crate::Replayed;

/// Longer lines of a trace are cut in explanations.
const LINE_SHOWN: usize = 200;

#[derive(Clone, Copy)]
enum Style {
    Good,
    Bad,
    Doubtful,
}

pub(crate) fn json(out: &mut impl Write, replayed: &[Replayed]) -> io::Result<()> {
    let files: Vec<_> = replayed
        .iter()
        .map(|file| match &file.result {
            Ok(report) => json!({
                "path": file.path.to_string_lossy(),
                "outcome": report.outcome(),
                "report": report,
            }),
            Err(error) => json!({
                "path": file.path.to_string_lossy(),
                "outcome": "unreadable",
                "error": error.to_string(),
            }),
        })
        .collect();
    let compared: usize = reports(replayed).map(|report| report.compared).sum();
    serde_json::to_writer_pretty(&mut *out, &json!({ "files": files, "compared": compared }))?;
    writeln!(out)
}

pub(crate) fn text(
    out: &mut impl Write,
    replayed: &[Replayed],
    quiet: bool,
    colored: bool,
) -> io::Result<()> {
    let shown: Vec<&Replayed> = replayed
        .iter()
        .filter(|file| {
            let equal = file
                .result
                .as_ref()
                .is_ok_and(|r| r.outcome() == Outcome::Equal);
            !(quiet && equal)
        })
        .collect();
    if !shown.is_empty() {
        table(out, &shown, colored)?;
    }
    for file in &shown {
        let path = plain(&file.path.to_string_lossy());
        match &file.result {
            Ok(report) => {
                if let Some(difference) = &report.difference {
                    writeln!(out)?;
                    explain(out, &path, difference, colored)?;
                }
                if !report.skipped.is_empty() {
                    writeln!(out)?;
                    skipped(out, &path, report)?;
                }
            }
            Err(error) => writeln!(out, "\n{}", plain(&error.to_string()))?,
        }
    }
    if !shown.is_empty() {
        writeln!(out)?;
    }
    summary(out, replayed, colored)
}

fn table(out: &mut impl Write, shown: &[&Replayed], colored: bool) -> io::Result<()> {
    let name = |file: &Replayed| {
        plain(
            &file
                .path
                .file_name()
                .unwrap_or(file.path.as_os_str())
                .to_string_lossy(),
        )
    };
    let width = shown
        .iter()
        .map(|file| name(file).len())
        .max()
        .unwrap_or(0)
        .max(5);
    writeln!(
        out,
        "{:width$}  {:>9}  {:>6}  {:>7}  result",
        "trace", "decisions", "tables", "skipped"
    )?;
    for file in shown {
        let name = name(file);
        match &file.result {
            Ok(report) => {
                let (word, style) = match report.outcome() {
                    Outcome::Equal => ("equal", Style::Good),
                    Outcome::Different => ("DIFFERENT", Style::Bad),
                    Outcome::Incomplete => ("incomplete", Style::Doubtful),
                };
                let word = paint(word, style, colored);
                let Report {
                    compared,
                    tables,
                    skipped,
                    ..
                } = report;
                writeln!(
                    out,
                    "{name:width$}  {compared:>9}  {tables:>6}  {:>7}  {word}",
                    skipped.len()
                )?;
            }
            Err(_) => {
                let word = paint("UNREADABLE", Style::Bad, colored);
                writeln!(
                    out,
                    "{name:width$}  {:>9}  {:>6}  {:>7}  {word}",
                    "-", "-", "-"
                )?;
            }
        }
    }
    Ok(())
}

fn explain(
    out: &mut impl Write,
    path: &str,
    difference: &Difference,
    colored: bool,
) -> io::Result<()> {
    let Difference {
        line,
        service,
        scheduler,
        time,
        ..
    } = difference;
    let what = match &difference.what {
        Disagreement::Choice { .. } => "another decision",
        Disagreement::Table { .. } => "another destination list",
    };
    let what = paint(what, Style::Bad, colored);
    writeln!(
        out,
        "{path}:{line}: {what} in service {} ({scheduler}) after {time} s",
        plain(service)
    )?;
    match &difference.what {
        Disagreement::Choice { kernel, replay } => {
            let server = |choice: &Option<SocketAddr>| {
                choice.map_or_else(|| "no server".to_owned(), |server| server.to_string())
            };
            writeln!(out, "  the kernel chose {}", server(kernel))?;
            writeln!(out, "  the replay chose {}", server(replay))?;
        }
        Disagreement::Table { kernel, replay } => {
            let list = |rows: &[(SocketAddr, u32)]| {
                let rows: Vec<_> = rows
                    .iter()
                    .map(|(d, weight)| format!("{d} weight {weight}"))
                    .collect();
                if rows.is_empty() {
                    "(empty)".to_owned()
                } else {
                    rows.join(", ")
                }
            };
            writeln!(out, "  the kernel had {}", list(kernel))?;
            writeln!(out, "  the replay has {}", list(replay))?;
        }
    }
    writeln!(out, "  destinations, head of the list first:")?;
    let addresses: Vec<_> = difference
        .destinations
        .iter()
        .map(|d| d.address.to_string())
        .collect();
    let width = addresses.iter().map(String::len).max().unwrap_or(0);
    for (address, d) in addresses.iter().zip(&difference.destinations) {
        write!(
            out,
            "    {address:width$}  weight {}  active {}  inactive {}",
            d.weight, d.active_conns, d.inactive_conns
        )?;
        if d.upper_threshold != 0 {
            write!(out, "  upper {}", d.upper_threshold)?;
        }
        if d.lower_threshold != 0 {
            write!(out, "  lower {}", d.lower_threshold)?;
        }
        writeln!(out, "{}", if d.overloaded { "  overloaded" } else { "" })?;
    }
    writeln!(out, "  events:")?;
    for (number, event) in &difference.before {
        writeln!(out, "    {number:>5}  {}", cut(event))?;
    }
    writeln!(out, "  > {line:>5}  {}", cut(&difference.event))
}

fn skipped(out: &mut impl Write, path: &str, report: &Report) -> io::Result<()> {
    // Reason to how often, and the first line.
    let mut reasons: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for skipped in &report.skipped {
        reasons
            .entry(&skipped.reason)
            .or_insert((0, skipped.line))
            .0 += 1;
    }
    let mut reasons: Vec<_> = reasons.into_iter().collect();
    reasons.sort_by_key(|(_, (_, line))| *line);
    for (reason, (count, line)) in reasons {
        writeln!(
            out,
            "{path}:{line}: not replayed: {} ({count} {})",
            plain(reason),
            decisions(count)
        )?;
    }
    Ok(())
}

fn summary(out: &mut impl Write, replayed: &[Replayed], colored: bool) -> io::Result<()> {
    let count = |outcome| {
        reports(replayed)
            .filter(|report| report.outcome() == outcome)
            .count()
    };
    let compared: usize = reports(replayed).map(|report| report.compared).sum();
    let skipped: usize = reports(replayed).map(|report| report.skipped.len()).sum();
    let different = count(Outcome::Different);
    let unreadable = replayed.len() - reports(replayed).count();
    let files = replayed.len();
    let noun = if files == 1 { "file" } else { "files" };
    write!(
        out,
        "{files} {noun}, {compared} {} compared: ",
        decisions(compared)
    )?;
    let mut findings = Vec::new();
    if different > 0 {
        findings.push(paint(
            &format!("{different} different"),
            Style::Bad,
            colored,
        ));
    }
    if unreadable > 0 {
        findings.push(paint(
            &format!("{unreadable} unreadable"),
            Style::Bad,
            colored,
        ));
    }
    if skipped > 0 {
        let text = format!("{skipped} {} not replayed", decisions(skipped));
        findings.push(paint(&text, Style::Doubtful, colored));
    }
    if findings.is_empty() {
        findings.push(paint("all equal", Style::Good, colored));
    }
    writeln!(out, "{}", findings.join(", "))
}

fn reports(replayed: &[Replayed]) -> impl Iterator<Item = &Report> {
    replayed.iter().filter_map(|file| file.result.as_ref().ok())
}

fn decisions(count: usize) -> &'static str {
    if count == 1 { "decision" } else { "decisions" }
}

fn paint(text: &str, style: Style, colored: bool) -> String {
    if !colored {
        return text.to_owned();
    }
    let code = match style {
        Style::Good => 32,
        Style::Bad => 31,
        Style::Doubtful => 33,
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// Without control characters: what a trace says must not steer the terminal.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// The beginning of a line, without control characters.
fn cut(line: &str) -> String {
    let line = plain(line);
    match line.char_indices().nth(LINE_SHOWN) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}
