//! Applies what diagnostics suggest.
//!
//! # Design
//!
//! A suggestion is a guess, so nothing is believed: after each step the text is read again, and a
//! step that does not take its problem away, or that brings new errors, is undone. Braces decide
//! what every line behind them means; they are put right one at a time, from the top, and before
//! anything else. What only replaces words is done together, and one by one if that went wrong.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use crate::analysis::{Analysis, Options, analyze};
use crate::diagnostic::{Code, Diagnostic, Severity, Suggestion};
use crate::loader::{FileLoader, LoadError};
use crate::source::{FileId, SourceFile};

/// Steps that are tried; each reads the whole configuration again.
const MAX_STEPS: usize = 200;

/// A file that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixedFile {
    /// Its path, as it was given or included.
    pub path: PathBuf,
    /// Its text as it was read.
    pub before: String,
    /// Its text with the changes.
    pub after: String,
}

/// A suggestion that was followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Kind of the problem that is gone.
    pub code: Code,
    /// What was wrong.
    pub message: String,
    /// Path of the file.
    pub path: PathBuf,
    /// Line of the problem when it was put right, counted from 1.
    pub line: u32,
}

/// What [`fix`] did.
#[derive(Debug, Clone)]
pub struct Fixed {
    /// Files that change, by path.
    pub files: Vec<FixedFile>,
    /// What was put right, in the order it was done.
    pub applied: Vec<Applied>,
    /// What the changed text still has to be told about.
    pub analysis: Analysis,
}

/// Follows the suggestions for a configuration and all it includes. Writes nothing.
///
/// Left alone are suggestions that make matters worse, and files that are not UTF-8.
pub fn fix(path: &Path, options: &Options, loader: &dyn FileLoader) -> Fixed {
    let mut fixer = Fixer {
        path,
        options,
        files: Overlay {
            changed: BTreeMap::new(),
            below: loader,
        },
        originals: BTreeMap::new(),
        applied: Vec::new(),
        refused: HashSet::new(),
        steps: 0,
    };
    let mut analysis = analyze(path, options, loader);
    while let Some(next) = fixer.step(&analysis) {
        analysis = next;
    }
    let files = fixer.files.changed.into_iter().filter_map(|(path, after)| {
        let before = fixer.originals.remove(&path)?;
        (before != after).then_some(FixedFile {
            path,
            before,
            after,
        })
    });
    Fixed {
        files: files.collect(),
        applied: fixer.applied,
        analysis,
    }
}

/// Files as changed so far, above those that are there.
struct Overlay<'a> {
    changed: BTreeMap<PathBuf, String>,
    below: &'a dyn FileLoader,
}

impl FileLoader for Overlay<'_> {
    fn read(&self, path: &Path) -> Result<Vec<u8>, LoadError> {
        match self.changed.get(path) {
            Some(text) => Ok(text.clone().into_bytes()),
            None => self.below.read(path),
        }
    }

    fn matches(&self, pattern: &str) -> Vec<PathBuf> {
        self.below.matches(pattern)
    }

    fn has_folder(&self, path: &Path) -> bool {
        self.below.has_folder(path)
    }
}

struct Fixer<'a> {
    path: &'a Path,
    options: &'a Options,
    files: Overlay<'a>,
    originals: BTreeMap<PathBuf, String>,
    applied: Vec<Applied>,
    /// Suggestions that made matters worse, by what was wrong and what was suggested.
    refused: HashSet<(Code, String, String)>,
    steps: usize,
}

impl Fixer<'_> {
    /// Puts something right; the text read again, or `None` if there is nothing left to do.
    fn step(&mut self, analysis: &Analysis) -> Option<Analysis> {
        let open: Vec<&Diagnostic> = analysis
            .diagnostics
            .iter()
            .filter(|found| self.is_open(analysis, found))
            .collect();
        let structural = open.iter().find(|found| is_structural(found.code));
        if let Some(first) = structural {
            return self.one_by_one(analysis, &[*first]);
        }
        if let Some(next) = self.attempt(analysis, &open) {
            return Some(next);
        }
        self.one_by_one(analysis, &open)
    }

    fn one_by_one(&mut self, analysis: &Analysis, open: &[&Diagnostic]) -> Option<Analysis> {
        for found in open {
            match self.attempt(analysis, &[*found]) {
                Some(next) => return Some(next),
                None => {
                    self.refused.insert(key(found));
                }
            }
        }
        // Others may be left once these are refused.
        let left = (analysis.diagnostics.iter()).any(|found| self.is_open(analysis, found));
        (left && !open.is_empty() && self.steps < MAX_STEPS).then(|| analysis.clone())
    }

    fn is_open(&self, analysis: &Analysis, found: &Diagnostic) -> bool {
        let Some(suggestion) = &found.suggestion else {
            return false;
        };
        let file = analysis.sources.file(suggestion.place.file);
        // Bytes that are not UTF-8 were replaced when the file was read; writing it would lose them.
        file.is_some_and(|file| !file.text().contains('\u{fffd}'))
            && !self.refused.contains(&key(found))
    }

    /// Follows some suggestions; `None` leaves everything as it was.
    fn attempt(&mut self, analysis: &Analysis, found: &[&Diagnostic]) -> Option<Analysis> {
        self.steps += 1;
        if found.is_empty() || self.steps > MAX_STEPS {
            return None;
        }
        let mut edits: HashMap<FileId, Vec<&Suggestion>> = HashMap::new();
        let mut applied = Vec::new();
        for found in found {
            let Some(suggestion) = &found.suggestion else {
                continue;
            };
            let list = edits.entry(suggestion.place.file).or_default();
            // In the order of the text; what overlaps waits for the next step.
            let last = list.last().map_or(0, |last| last.place.end);
            if suggestion.place.start < last || list.last() == Some(&suggestion) {
                continue;
            }
            list.push(suggestion);
            let location = analysis.sources.location(found.primary.place);
            applied.push(Applied {
                code: found.code,
                message: found.message.clone(),
                path: location.path.to_owned(),
                line: location.line,
            });
        }
        let before = self.files.changed.clone();
        for (file, list) in edits {
            let file = analysis.sources.file(file)?;
            let text = apply(file, &list);
            let path = file.path().to_owned();
            self.originals
                .entry(path.clone())
                .or_insert_with(|| file.text().to_owned());
            self.files.changed.insert(path, text);
        }
        let next = analyze(self.path, self.options, &self.files);
        if is_better(analysis, &next) {
            self.applied.extend(applied);
            return Some(next);
        }
        self.files.changed = before;
        None
    }
}

/// Whether fewer problems or fewer errors are left, and not more of either: a value put right may
/// be one to warn of.
fn is_better(before: &Analysis, after: &Analysis) -> bool {
    let errors = |analysis: &Analysis| analysis.count(Severity::Error);
    let counts = |analysis: &Analysis| (errors(analysis), analysis.diagnostics.len());
    let (after, before) = (counts(after), counts(before));
    after != before && after.0 <= before.0 && after.1 <= before.1
}

fn is_structural(code: Code) -> bool {
    matches!(
        code,
        Code::MissingBrace | Code::ExtraBrace | Code::MissingBlock | Code::UnterminatedQuote
    )
}

fn key(found: &Diagnostic) -> (Code, String, String) {
    let replacement = found
        .suggestion
        .as_ref()
        .map(|change| change.replacement.clone());
    (
        found.code,
        found.message.clone(),
        replacement.unwrap_or_default(),
    )
}

/// The text of a file with changes that are in order and do not overlap.
///
/// A change that would leave nothing of a line takes the line with it.
pub fn apply(file: &SourceFile, changes: &[&Suggestion]) -> String {
    let text = file.text();
    let (mut made, mut copied) = (String::with_capacity(text.len() + 64), 0);
    for change in changes {
        let (mut start, mut end) = (change.place.start as usize, change.place.end as usize);
        if change.replacement.is_empty() {
            let first = file.line_range(file.line_index(change.place.start));
            let last = file.line_range(file.line_index(change.place.end));
            let blank = |part: Option<&str>| part.is_some_and(|part| part.trim().is_empty());
            if blank(text.get(first.start..start)) && blank(text.get(end..last.end)) {
                start = first.start;
                end = text
                    .get(last.end..)
                    .and_then(|rest| rest.find('\n'))
                    .map_or(text.len(), |line_break| last.end + line_break + 1);
            }
        }
        made.push_str(text.get(copied..start.max(copied)).unwrap_or_default());
        made.push_str(&change.replacement);
        copied = end.max(copied);
    }
    made.push_str(text.get(copied..).unwrap_or_default());
    made
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryLoader;

    const PATH: &str = "/etc/k.conf";

    fn fixed(text: &str) -> Fixed {
        let loader = MemoryLoader::default().with(PATH, text);
        fix(Path::new(PATH), &Options::default(), &loader)
    }

    const GOOD: &str = "\
virtual_server 10.0.0.1 80 {
    protocol TCP
    lb_algo wrr
    lb_kind NAT
    real_server 10.0.0.2 80 {
        weight 5
        TCP_CHECK {
            retry 2
        }
    }
}
virtual_server 10.0.0.3 80 {
    protocol TCP
    lb_algo rr
    lb_kind NAT
    real_server 10.0.0.4 80 {
        TCP_CHECK {
        }
    }
}
";

    /// `rr` with persistence is warned of, which is one problem for another, but no error.
    #[test]
    fn a_right_value_that_is_warned_of_is_better_than_an_error() {
        let text = GOOD.replacen("lb_algo wrr", "persistence_timeout 50\n    lb_algo rrr", 1);
        let result = fixed(&text);
        assert!(
            !result.analysis.has_errors(),
            "{:?}",
            result.analysis.diagnostics
        );
        assert_eq!(result.analysis.diagnostics.len(), 1);
    }

    #[test]
    fn mistakes_become_the_text_that_was_meant() {
        for (right, wrong) in [
            ("lb_algo", "lb_alog"),
            (
                "    protocol TCP\n    lb_algo wrr",
                "    protocol tpc\n    lb_algo wrrr",
            ),
            ("        }\n    }\n}\n", "        }\n}\n"),
            ("retry 2\n", "nb_get_retry 2\n"),
            ("        weight 5\n", "        weight 5\n}\n"),
            ("TCP_CHECK {", "TCP_CHECK"),
            ("10.0.0.2 80", "10.0.0.2:80"),
        ] {
            assert!(GOOD.contains(right));
            let bad = GOOD.replacen(right, wrong, 1);
            let result = fixed(&bad);
            let text = result.files.first().map(|file| file.after.as_str());
            assert_eq!(
                text,
                Some(GOOD),
                "from {wrong:?}: {:?}",
                result.analysis.diagnostics
            );
            assert_eq!(result.analysis.diagnostics, []);
            assert!(!result.applied.is_empty());
        }
    }

    #[test]
    fn a_line_that_becomes_empty_goes() {
        let result = fixed(&GOOD.replacen(
            "    lb_kind NAT\n",
            "    lb_kind NAT\n    nat_mask 255.0.0.0\n",
            1,
        ));
        assert_eq!(result.files[0].after, GOOD);
    }

    #[test]
    fn what_is_right_or_hopeless_is_left_alone() {
        assert_eq!(fixed(GOOD).files, []);
        let result = fixed("virtual_server 10.0.0.1 80 {\n    frobnicate\n}\n");
        assert_eq!((result.files.len(), result.applied.len()), (0, 0));
        assert!(result.analysis.has_errors());
    }

    #[test]
    fn the_included_file_is_the_one_that_changes() {
        let loader = MemoryLoader::default()
            .with(PATH, "include a.conf\n")
            .with("/etc/a.conf", GOOD.replace("lb_algo", "lb_alog"));
        let result = fix(Path::new(PATH), &Options::default(), &loader);
        assert_eq!(result.files.len(), 1);
        assert_eq!(result.files[0].path, Path::new("/etc/a.conf"));
        assert_eq!(result.files[0].after, GOOD);
    }

    #[test]
    fn bytes_that_are_no_text_are_never_lost() {
        let mut bytes = b"# caf\xe9\n".to_vec();
        bytes.extend(GOOD.replace("lb_algo", "lb_alog").into_bytes());
        let loader = MemoryLoader::default().with(PATH, bytes);
        let result = fix(Path::new(PATH), &Options::default(), &loader);
        assert_eq!(result.files, []);
    }
}
