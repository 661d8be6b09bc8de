//! Diagnostics as our own JSON.

use serde::Serialize;

use crate::analysis::Analysis;
use crate::diagnostic::{Diagnostic, Severity};
use crate::source::Place;

/// All diagnostics as a JSON document.
///
/// An object with `errors`, `warnings` and `diagnostics`; each diagnostic has `file`, `line`,
/// `column`, `end_line`, `end_column`, `code`, `severity`, `message`, `label`, `reason` (what the
/// code means), `help`, `related`, `included_from` (include lines, the nearest first) and
/// `suggestion`. Lines and columns count from 1, columns in characters.
pub fn json(analyses: &[Analysis]) -> serde_json::Value {
    let mut diagnostics = Vec::new();
    for analysis in analyses {
        diagnostics.extend(
            analysis
                .diagnostics
                .iter()
                .map(|found| entry(analysis, found)),
        );
    }
    let count = |severity| -> usize { analyses.iter().map(|found| found.count(severity)).sum() };
    serde_json::json!({
        "errors": count(Severity::Error),
        "warnings": count(Severity::Warning),
        "diagnostics": diagnostics,
    })
}

#[derive(Serialize)]
struct JsonPlace {
    file: String,
    line: u32,
    column: u32,
    end_line: u32,
    end_column: u32,
}

fn json_place(analysis: &Analysis, place: Place) -> JsonPlace {
    let location = analysis.sources.location(place);
    JsonPlace {
        file: location.path.to_string_lossy().into_owned(),
        line: location.line,
        column: location.column,
        end_line: location.end_line,
        end_column: location.end_column,
    }
}

fn entry(analysis: &Analysis, diagnostic: &Diagnostic) -> serde_json::Value {
    #[derive(Serialize)]
    struct Text<'a> {
        #[serde(flatten)]
        place: JsonPlace,
        message: &'a str,
    }
    #[derive(Serialize)]
    struct Change<'a> {
        #[serde(flatten)]
        place: JsonPlace,
        replacement: &'a str,
    }
    #[derive(Serialize)]
    struct Entry<'a> {
        #[serde(flatten)]
        place: JsonPlace,
        code: String,
        severity: Severity,
        message: &'a str,
        label: Option<&'a str>,
        reason: &'static str,
        help: Option<&'a str>,
        related: Vec<Text<'a>>,
        included_from: Vec<JsonPlace>,
        suggestion: Option<Change<'a>>,
    }
    let related = diagnostic.secondary.iter().map(|label| Text {
        place: json_place(analysis, label.place),
        message: &label.text,
    });
    let entry = Entry {
        place: json_place(analysis, diagnostic.primary.place),
        code: diagnostic.code.to_string(),
        severity: diagnostic.severity,
        message: &diagnostic.message,
        label: Some(diagnostic.primary.text.as_str()).filter(|text| !text.is_empty()),
        reason: diagnostic.code.summary(),
        help: diagnostic.help.as_deref(),
        related: related.collect(),
        included_from: analysis
            .sources
            .included_from(diagnostic.primary.place.file)
            .map(|place| json_place(analysis, place))
            .collect(),
        suggestion: diagnostic.suggestion.as_ref().map(|suggestion| Change {
            place: json_place(analysis, suggestion.place),
            replacement: &suggestion.replacement,
        }),
    };
    // Strings and numbers only: this cannot fail.
    serde_json::to_value(entry).unwrap_or_default()
}
