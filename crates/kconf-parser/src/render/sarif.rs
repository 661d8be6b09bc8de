//! Diagnostics as SARIF, which code scanning services and editors read.
//!
//! Source: OASIS Static Analysis Results Interchange Format 2.1.0 with its errata 01.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::analysis::Analysis;
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::explain::explain_code;
use crate::source::{Place, file_uri};

/// Where the schema of the format is.
const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// All diagnostics as a SARIF 2.1.0 log with one run.
///
/// `tool` and `version` name the program that runs this. Columns count in characters, which the log
/// says. Suggestions become `fixes`, other places `relatedLocations`.
pub fn sarif(analyses: &[Analysis], tool: &str, version: &str) -> Value {
    let found = || {
        analyses.iter().flat_map(|analysis| {
            analysis
                .diagnostics
                .iter()
                .map(move |found| (analysis, found))
        })
    };
    let codes: BTreeSet<Code> = found().map(|(_, found)| found.code).collect();
    let codes: Vec<Code> = codes.into_iter().collect();
    let rules: Vec<Value> = codes.iter().map(|code| rule(*code)).collect();
    let results: Vec<Value> = found()
        .map(|(analysis, found)| result(analysis, found, &codes))
        .collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": tool, "version": version, "rules": rules } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rule(code: Code) -> Value {
    json!({
        "id": code.to_string(),
        "name": format!("{code:?}"),
        "shortDescription": { "text": code.summary() },
        "help": { "text": explain_code(code).remedy },
    })
}

fn result(analysis: &Analysis, diagnostic: &Diagnostic, codes: &[Code]) -> Value {
    let mut text = diagnostic.message.clone();
    if let Some(help) = &diagnostic.help {
        let _ = write!(text, "; {help}");
    }
    let mut result = json!({
        "ruleId": diagnostic.code.to_string(),
        "ruleIndex": codes.binary_search(&diagnostic.code).unwrap_or_default(),
        "level": match diagnostic.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        },
        "message": { "text": text },
        "locations": [{ "physicalLocation": physical(analysis, diagnostic.primary.place) }],
    });
    let file = diagnostic.primary.place.file;
    let includes = analysis.sources.included_from(file);
    let related: Vec<Value> = diagnostic
        .secondary
        .iter()
        .map(|label| (label.place, label.text.as_str()))
        .chain(includes.map(|place| (place, "the file is included here")))
        .map(|(place, text)| {
            json!({ "physicalLocation": physical(analysis, place), "message": { "text": text } })
        })
        .collect();
    if !related.is_empty() {
        set(&mut result, "relatedLocations", related.into());
    }
    if let Some(change) = &diagnostic.suggestion {
        let fix = json!({
            "description": { "text": format!("apply the suggestion of {}", diagnostic.code) },
            "artifactChanges": [{
                "artifactLocation": artifact(analysis, change.place),
                "replacements": [{
                    "deletedRegion": region(analysis, change.place),
                    "insertedContent": { "text": change.replacement },
                }],
            }],
        });
        set(&mut result, "fixes", json!([fix]));
    }
    result
}

fn set(object: &mut Value, name: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
}

fn physical(analysis: &Analysis, place: Place) -> Value {
    json!({
        "artifactLocation": artifact(analysis, place),
        "region": region(analysis, place),
    })
}

fn artifact(analysis: &Analysis, place: Place) -> Value {
    json!({ "uri": file_uri(analysis.sources.location(place).path) })
}

fn region(analysis: &Analysis, place: Place) -> Value {
    let location = analysis.sources.location(place);
    json!({
        "startLine": location.line,
        "startColumn": location.column,
        "endLine": location.end_line,
        "endColumn": location.end_column,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{MemoryLoader, Options, analyze};

    fn log(text: &str) -> Value {
        let path = Path::new("/etc/k.conf");
        let loader = MemoryLoader::default()
            .with(path, text)
            .with("/etc/a b.conf", "wieght 3\n");
        sarif(&[analyze(path, &Options::default(), &loader)], "lvsd", "1")
    }

    /// What the schema calls required, and the minima that it gives.
    fn assert_valid(log: &Value) {
        assert_eq!(log["version"], "2.1.0");
        for run in log["runs"].as_array().unwrap() {
            assert!(run["tool"]["driver"]["name"].is_string());
            let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
            assert!(rules.iter().all(|rule| rule["id"].is_string()));
            for result in run["results"].as_array().unwrap() {
                assert!(result["message"]["text"].is_string());
                let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
                assert_eq!(rules[index]["id"], result["ruleId"]);
                assert!(["error", "warning"].contains(&result["level"].as_str().unwrap()));
                for location in result["locations"].as_array().unwrap() {
                    let region = &location["physicalLocation"]["region"];
                    for member in ["startLine", "startColumn", "endLine", "endColumn"] {
                        assert!(region[member].as_u64().unwrap() >= 1);
                    }
                }
                for fix in result["fixes"].as_array().into_iter().flatten() {
                    for change in fix["artifactChanges"].as_array().unwrap() {
                        assert!(change["artifactLocation"]["uri"].is_string());
                        let replacements = change["replacements"].as_array().unwrap();
                        assert!(!replacements.is_empty());
                        assert!(replacements[0]["deletedRegion"].is_object());
                    }
                }
            }
        }
    }

    #[test]
    fn a_log_has_rules_results_places_and_fixes() {
        let log = log("virtual_server 10.0.0.1 80 {\n    lb_alog rr\ninclude a*.conf\n");
        assert_valid(&log);
        let results = log["runs"][0]["results"].as_array().unwrap();
        let typo = &results
            .iter()
            .find(|result| result["ruleId"] == "KC0017")
            .unwrap();
        let region = &typo["locations"][0]["physicalLocation"]["region"];
        assert_eq!(
            (&region["startLine"], &region["endColumn"]),
            (&2.into(), &12.into())
        );
        let change = &typo["fixes"][0]["artifactChanges"][0];
        assert_eq!(
            change["replacements"][0]["insertedContent"]["text"],
            "lb_algo"
        );
        let included = results.iter().find_map(|result| {
            let at = &result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
            (at == "file:///etc/a%20b.conf").then_some(&result["relatedLocations"])
        });
        let from = &included.unwrap()[0]["physicalLocation"];
        assert_eq!(from["region"]["startLine"], 3);
    }

    #[test]
    fn nothing_wrong_is_a_valid_log_too() {
        let log = log("");
        assert_valid(&log);
        assert_eq!(log["runs"][0]["results"], json!([]));
    }
}
