//! Files that are included in others.

use std::path::Path;

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::include::{self, Checks};
use crate::loader::LoadError;
use crate::mapped::Mapped;
use crate::source::Place;

use super::{Expander, to_text};

impl Expander<'_> {
    /// Reads the files that an include line asks for.
    pub(super) fn include(&mut self, line: &Mapped, word: &str, checks: Checks) {
        let text = line.text();
        let start = text.len() - text.trim_start().len() + word.len();
        let pattern = text.get(start..).unwrap_or_default().trim();
        let start = start
            + text
                .get(start..)
                .and_then(|rest| rest.find(pattern))
                .unwrap_or(0);
        let place = line.place(start..start + pattern.len());
        if pattern.starts_with('"') {
            let message = "keepalived takes the quotes for a part of the file's name";
            let help = "write the name without quotes; it is read as if it had none";
            let code = Code::IncludeNoMatch;
            self.diagnostics
                .push(Diagnostic::warning(code, place, message).help(help));
        }
        let pattern = pattern.trim_matches('"');
        if pattern.is_empty() {
            let message = format!("`{word}` needs the name of a file");
            self.diagnostics
                .push(Diagnostic::error(Code::MissingValue, place, message));
            return;
        }
        let directory = self
            .stack
            .last()
            .and_then(|path| path.parent())
            .map(Path::to_owned);
        let found = include::find(pattern, &directory.unwrap_or_default(), self.loader);
        let any = found
            .iter()
            .any(|alternative| !alternative.paths.is_empty());
        for alternative in &found {
            if alternative.paths.is_empty() {
                let insists = match alternative.may_be_empty {
                    true => checks.wildcard && !any || checks.brace && found.len() > 1,
                    false => checks.matched && !any || checks.brace && found.len() > 1,
                };
                self.no_match(
                    &alternative.pattern,
                    alternative.may_be_empty || any,
                    insists,
                    place,
                );
            }
            for path in &alternative.paths {
                self.include_file(path, checks, place);
            }
        }
    }

    /// Reports words of an `include_check` line that are no checks.
    pub(super) fn unknown_checks<'w>(
        &mut self,
        line: &Mapped,
        words: impl Iterator<Item = &'w str>,
    ) {
        let text = line.text();
        for word in words.filter(|word| !Checks::is_known(word.trim_start_matches(['+', '-']))) {
            let start = text.find(word).unwrap_or_default();
            let place = line.place(start..start + word.len());
            let message = format!("`{word}` is no check of `include_check`");
            let help = "there are `readable`, `match`, `wildcard_match` and `brace_match`";
            let diagnostic = Diagnostic::error(Code::BadValue, place, message);
            self.diagnostics.push(diagnostic.help(help));
        }
    }

    fn no_match(&mut self, pattern: &str, may_be_empty: bool, insists: bool, place: Place) {
        let message = format!("no file matches `{pattern}`");
        let code = Code::IncludeNoMatch;
        if insists {
            self.diagnostics
                .push(Diagnostic::error(code, place, message));
        } else if !may_be_empty {
            let help = "keepalived goes on all the same; use `includem` to make it fail";
            self.diagnostics
                .push(Diagnostic::warning(code, place, message).help(help));
        }
    }

    fn include_file(&mut self, path: &Path, checks: Checks, place: Place) {
        let reason = if self.stack.iter().any(|open| open == path) {
            Some("includes itself")
        } else if self.stack.len() >= include::MAX_DEPTH {
            Some("is included too deeply")
        } else if self.sources.files().len() >= include::MAX_FILES {
            Some("is one file too many")
        } else {
            None
        };
        if let Some(reason) = reason {
            let message = format!("`{}` {reason}", path.display());
            self.diagnostics
                .push(Diagnostic::error(Code::IncludeLoop, place, message));
            return;
        }
        if let Some(file) = self.known.get(path).copied() {
            // Text that is read again and again is a limit, too.
            let length = self.sources.file(file).map_or(0, |file| file.text().len());
            if self.sources.text().len() + length <= include::MAX_TEXT {
                self.read(file, path);
                return;
            }
        }
        match self.loader.read(path) {
            Ok(bytes) if self.sources.text().len() + bytes.len() > include::MAX_TEXT => {
                let message = "the configuration is too large";
                self.diagnostics
                    .push(Diagnostic::error(Code::ExpansionLimit, place, message));
            }
            Ok(bytes) => {
                let text = to_text(bytes);
                let file = self.sources.add_file(path.to_owned(), text, Some(place));
                self.known.insert(path.to_owned(), file);
                self.read(file, path);
            }
            Err(error) => {
                let severity = if checks.readable {
                    Severity::Error
                } else {
                    Severity::Warning
                };
                let message = format!("`{}` is skipped: {error}", path.display());
                self.diagnostics
                    .push(unreadable(&error, severity, place, message));
            }
        }
    }
}

pub(super) fn unreadable(
    error: &LoadError,
    severity: Severity,
    place: Place,
    message: String,
) -> Diagnostic {
    let code = match error {
        LoadError::NotRegular | LoadError::Executable => Code::FileSkipped,
        _ => Code::FileNotReadable,
    };
    let diagnostic = match severity {
        Severity::Error => Diagnostic::error(code, place, message),
        Severity::Warning => Diagnostic::warning(code, place, message),
    };
    match error {
        LoadError::Executable => diagnostic.help(
            "keepalived takes an executable file for a script and skips it; \
             remove the execute bits with `chmod a-x`",
        ),
        _ => diagnostic,
    }
}
