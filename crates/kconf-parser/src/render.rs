//! Diagnostics for people and for programs.
//!
//! # Design
//!
//! A snippet shows the line in question and what surrounds it. The renderer is given these few
//! lines, never the file: with the whole of a large file each snippet costs milliseconds.

mod github;
mod json;
mod sarif;

use std::fmt::Write as _;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::analysis::Analysis;
use crate::diagnostic::{Diagnostic, Severity};
use crate::source::{Place, SourceFile};

pub use github::github;
pub use json::json;
pub use sarif::sarif;

/// Lines before and after the one in question that the renderer may show.
const AROUND: usize = 3;

/// All diagnostics as source snippets, each ending in an empty line; empty when there are none.
///
/// `color` adds terminal escapes.
pub fn human(analysis: &Analysis, color: bool) -> String {
    let renderer = if color {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let mut text = String::new();
    for diagnostic in &analysis.diagnostics {
        text.push_str(&one(analysis, diagnostic, &renderer));
        text.push_str("\n\n");
    }
    text
}

/// One diagnostic on a line of its own: `path:line:column: severity[code]: message`.
pub fn line(analysis: &Analysis, diagnostic: &Diagnostic) -> String {
    let location = analysis.sources.location(diagnostic.primary.place);
    let Diagnostic {
        severity,
        code,
        message,
        ..
    } = diagnostic;
    let mut text = format!("{location}: {severity}[{code}]: {message}");
    if let Some(suggestion) = &diagnostic.suggestion {
        match suggestion.replacement.trim() {
            "" => {}
            replacement => {
                let _ = write!(text, "; suggestion: `{replacement}`");
            }
        }
    }
    text
}

/// One line for the end: how many errors and warnings, in how many files.
pub fn summary(analyses: &[Analysis]) -> String {
    let count = |severity| {
        analyses
            .iter()
            .map(|analysis| analysis.count(severity))
            .sum()
    };
    let (errors, warnings): (usize, usize) = (count(Severity::Error), count(Severity::Warning));
    let files: usize = analyses
        .iter()
        .map(|analysis| analysis.sources.files().len())
        .sum();
    let plural = |count: usize, word: &str| match count {
        1 => format!("1 {word}"),
        _ => format!("{count} {word}s"),
    };
    let (errors, warnings) = (plural(errors, "error"), plural(warnings, "warning"));
    format!("{errors}, {warnings} in {}", plural(files, "file"))
}

fn one(analysis: &Analysis, diagnostic: &Diagnostic, renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level
        .primary_title(&diagnostic.message)
        .id(diagnostic.code.to_string());
    let mut group = Group::with_title(title);
    let mut labels = vec![(&diagnostic.primary, AnnotationKind::Primary)];
    labels.extend(
        diagnostic
            .secondary
            .iter()
            .map(|label| (label, AnnotationKind::Context)),
    );
    let mut windows: Vec<Window<'_>> = Vec::new();
    for (label, kind) in labels {
        let Some(file) = analysis.sources.file(label.place.file) else {
            continue;
        };
        let lines = lines(file, label.place);
        let near = windows.iter_mut().find(|window| {
            std::ptr::eq(window.file, file)
                && lines.start <= window.lines.end
                && window.lines.start <= lines.end
        });
        match near {
            Some(window) => {
                window.lines.start = window.lines.start.min(lines.start);
                window.lines.end = window.lines.end.max(lines.end);
                window.labels.push((label, kind));
            }
            None => windows.push(Window {
                file,
                lines,
                labels: vec![(label, kind)],
            }),
        }
    }
    for window in &windows {
        group = group.element(window.snippet());
    }
    for place in analysis
        .sources
        .included_from(diagnostic.primary.place.file)
    {
        let location = analysis.sources.location(place);
        let text = format!(
            "included from {}:{}",
            location.path.display(),
            location.line
        );
        group = group.element(Level::NOTE.message(text));
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help));
    }
    if let Some(text) = suggestion(analysis, diagnostic) {
        group = group.element(Level::HELP.message(text));
    }
    renderer.render(&[group])
}

/// The suggested change in words.
fn suggestion(analysis: &Analysis, diagnostic: &Diagnostic) -> Option<String> {
    let suggestion = diagnostic.suggestion.as_ref()?;
    let file = analysis.sources.file(suggestion.place.file)?;
    let range = suggestion.place.start as usize..suggestion.place.end as usize;
    let old = file.text().get(range)?;
    let new = suggestion.replacement.trim();
    // What the label says already need not be said twice.
    if diagnostic.primary.text.contains(&format!("`{new}`")) {
        return None;
    }
    Some(match (old, new) {
        ("", new) => format!("insert `{new}`"),
        (old, "") if old.trim().is_empty() => "delete the blank".to_owned(),
        (_, "")
            if diagnostic
                .help
                .as_deref()
                .is_some_and(|help| help.starts_with("delete")) =>
        {
            return None;
        }
        (old, "") => format!("delete `{old}`"),
        (old, new) => format!("write `{new}` instead of `{old}`"),
    })
}

/// A few lines of a file, and what to mark in them.
struct Window<'a> {
    file: &'a SourceFile,
    lines: Range<usize>,
    labels: Vec<(&'a crate::diagnostic::Label, AnnotationKind)>,
}

impl<'a> Window<'a> {
    fn snippet(&self) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
        let start = self.file.line_range(self.lines.start).start;
        let end = self
            .file
            .line_range(self.lines.end.saturating_sub(1))
            .end
            .max(start);
        let text = self.file.text().get(start..end).unwrap_or_default();
        let path = self.file.path().to_string_lossy().into_owned();
        let mut snippet = Snippet::source(text)
            .line_start(self.lines.start + 1)
            .path(path);
        for (label, kind) in &self.labels {
            let from = (label.place.start as usize).clamp(start, end) - start;
            let to = (label.place.end as usize).clamp(start, end) - start;
            // A mark over several lines says less than one at the beginning.
            let first = text
                .get(from..to)
                .map_or(0, |marked| marked.find('\n').unwrap_or(to - from));
            let mut mark = (*kind).span(from..from + first);
            if !label.text.is_empty() {
                mark = mark.label(label.text.as_str());
            }
            snippet = snippet.annotation(mark);
        }
        snippet
    }
}

/// The lines around a place, by index.
fn lines(file: &SourceFile, place: Place) -> Range<usize> {
    let line = file.line_index(place.start);
    line.saturating_sub(AROUND)..(line + AROUND + 1).min(file.line_count())
}
