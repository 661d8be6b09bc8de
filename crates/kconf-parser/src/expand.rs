//! From files to the expanded text: includes, conditions, definitions, repetitions.
//!
//! # Design
//!
//! keepalived does all this line by line before it looks for keywords, and so do we. A line
//! that has nothing to expand is copied with the lines around it in one piece; that is nearly
//! all of them. The rest goes through [`Mapped`], which knows for every byte where it came from.
//! Everything that could grow has a limit; reaching it is one diagnostic, not a slow machine.

mod files;
mod names;

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memchr::{memchr, memchr2};

use crate::analysis::Options;
use crate::conditional::{Condition, condition};
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::include::Checks;
use crate::loader::FileLoader;
use crate::mapped::Mapped;
use crate::source::{FileId, Place, SourceMap};
use crate::substitute::{comment_start, definition, is_quoted, next_use, repetition};

use self::files::unreadable;

/// Longest line that keepalived reads, in bytes.
pub(crate) const MAX_LINE: usize = 1023;

/// Deepest nesting of definitions in definitions and of repetitions.
const MAX_NESTING: usize = 32;

/// Longest line while it is being expanded, in bytes.
const MAX_EXPANDED_LINE: usize = 64 << 10;

/// Most text made by expansion, in bytes, what is only made on the way included.
const MAX_MADE: usize = 64 << 20;

/// Most steps of expansion: uses of names and rounds of repetitions.
const MAX_STEPS: usize = 300_000;

/// Reads a file and all that it includes.
pub(crate) fn expand(
    path: &Path,
    options: &Options,
    loader: &dyn FileLoader,
) -> (SourceMap, Vec<Diagnostic>) {
    let checks = if options.check_includes {
        Checks::ALL
    } else {
        Checks::default()
    };
    let mut expander = Expander {
        options,
        loader,
        sources: SourceMap::default(),
        diagnostics: Vec::new(),
        definitions: HashMap::new(),
        known: HashMap::new(),
        stack: Vec::new(),
        checks,
        random: options.random_seed,
        made: 0,
        steps: 0,
        exhausted: false,
    };
    expander.main_file(path);
    (expander.sources, expander.diagnostics)
}

/// The value of a name.
#[derive(Debug, Clone)]
struct Definition {
    /// One or more lines.
    lines: Vec<Arc<str>>,
    place: Place,
}

/// Lines of one file that have not been read yet.
struct Lines {
    file: FileId,
    text: Arc<str>,
    at: usize,
}

struct Expander<'a> {
    options: &'a Options,
    loader: &'a dyn FileLoader,
    sources: SourceMap,
    diagnostics: Vec<Diagnostic>,
    definitions: HashMap<String, Definition>,
    /// Files that have been read; one that is included twice is one file.
    known: HashMap<PathBuf, FileId>,
    /// Files being read, the innermost last.
    stack: Vec<PathBuf>,
    checks: Checks,
    /// State of `${_RANDOM}`.
    random: u64,
    /// Bytes made by expansion so far.
    made: usize,
    steps: usize,
    /// Whether a limit was reached; then nothing more is expanded.
    exhausted: bool,
}

impl Expander<'_> {
    fn main_file(&mut self, path: &Path) {
        let (text, error) = match self.loader.read(path) {
            Ok(bytes) => (to_text(bytes), None),
            Err(error) => (String::new(), Some(error)),
        };
        let file = self.sources.add_file(path.to_owned(), text, None);
        if let Some(error) = error {
            let place = Place {
                file,
                start: 0,
                end: 0,
            };
            let message = format!("cannot read `{}`: {error}", path.display());
            self.diagnostics
                .push(unreadable(&error, Severity::Error, place, message));
            return;
        }
        self.read(file, path);
    }

    /// Expands one file into the text.
    fn read(&mut self, file: FileId, path: &Path) {
        let Some(text) = self
            .sources
            .file(file)
            .map(crate::source::SourceFile::shared_text)
        else {
            return;
        };
        let checks = self.checks;
        self.stack.push(path.to_owned());
        let mut lines = Lines { file, text, at: 0 };
        let mut plain = 0..0;
        while let Some(range) = lines.next() {
            let line = &lines.text[range.clone()]; // `next` gives ranges of this text
            if needs_work(line) {
                self.copy(file, &plain);
                let content = line.trim_end_matches(['\n', '\r']).len();
                let content = range.start..range.start + content;
                self.raw_line(&mut lines, content.clone());
                // A definition may have taken more lines than this one.
                plain = lines.at..lines.at;
                self.copy(file, &(content.end..range.end));
            } else {
                plain.end = range.end;
            }
        }
        self.copy(file, &plain);
        if !lines.text.is_empty() && !lines.text.ends_with('\n') {
            self.sources
                .append_made("\n", place(file, &(lines.at..lines.at)), false, None);
        }
        self.stack.pop();
        self.checks = checks;
    }

    fn copy(&mut self, file: FileId, range: &Range<usize>) {
        if !range.is_empty() {
            self.sources.append(place(file, range));
        }
    }

    /// A line of a file that is not simply copied.
    fn raw_line(&mut self, lines: &mut Lines, range: Range<usize>) {
        let place = place(lines.file, &range);
        let line = lines.text[range].to_owned(); // a range of this text, see `read`
        if line.contains('\0') {
            let message = "the line holds a NUL byte; keepalived drops such lines";
            self.diagnostics
                .push(Diagnostic::error(Code::NulByte, place, message));
            return;
        }
        let end = comment_start(&line).unwrap_or(line.len());
        let mapped = Mapped::verbatim(&line, place).part(0..end);
        self.line(mapped, Some(lines), 0);
    }

    /// Expands a line and appends what it becomes, without its line break.
    fn line(&mut self, line: Mapped, lines: Option<&mut Lines>, depth: usize) {
        if self.exhausted {
            return;
        }
        if depth > 0 {
            self.made += line.text().len();
            if self.made > MAX_MADE {
                self.exhaust(&line, "definitions and repetitions make too much text");
                return;
            }
        }
        if depth > MAX_NESTING || line.text().len() > MAX_EXPANDED_LINE {
            self.too_deep(&line);
            return;
        }
        match condition(line.text(), &self.options.config_id) {
            Condition::Keep(rest) => return self.line(line.tail(rest), lines, depth + 1),
            Condition::Drop => return,
            Condition::None => {}
        }
        if line.text().trim_start().starts_with("~") && self.repeat(&line, depth) {
            return;
        }
        if let Some((name, value)) = definition(line.text()) {
            self.define(&line, name, value, lines);
            return;
        }
        if self.blank_before_equals(&line) {
            return;
        }
        match self.substitute(&line) {
            Some(made) => {
                for (index, line) in made.into_iter().enumerate() {
                    if index > 0 {
                        let place = line.place(0..0);
                        self.sources.append_made("\n", place, false, None);
                    }
                    self.line(line, None, depth + 1);
                }
            }
            None => self.finished(&line),
        }
    }

    /// A line with nothing left to expand.
    fn finished(&mut self, line: &Mapped) {
        let text = line.text();
        let trimmed = text.trim();
        let mut words = trimmed.split_ascii_whitespace();
        let word = words.next().unwrap_or_default();
        match word {
            "include_check" => {
                self.unknown_checks(line, words.clone());
                self.checks = self.checks.changed(words);
            }
            "random_seed" => {
                if let Some(seed) = words.next().and_then(|word| word.parse().ok()) {
                    self.random = seed;
                }
            }
            _ => {
                if let Some(checks) = Checks::of(word, self.checks) {
                    self.include(line, word, checks);
                    return;
                }
            }
        }
        if text.len() > MAX_LINE {
            let message = format!(
                "the line has {} bytes; keepalived drops lines over {MAX_LINE}",
                text.len()
            );
            let place = line.place(0..text.len());
            let help = "split it; lists may use several lines";
            self.push_once(Diagnostic::error(Code::LineTooLong, place, message).help(help));
            return;
        }
        line.append_to(&mut self.sources);
    }

    /// Repeats the rest of a line; false if the line is no repetition.
    fn repeat(&mut self, line: &Mapped, depth: usize) -> bool {
        // Names may be used in the parentheses; those of a list are values as they stand, which
        // are replaced where they are used.
        let head_end = line.text().find(')').unwrap_or_else(|| line.text().len());
        let head = line.part(0..head_end);
        let mut whole = match line.text().trim_start().starts_with("~LST") {
            true => head,
            false => self.substitute_known(&head),
        };
        whole.push_part(line, head_end..line.text().len());
        let repetition = match repetition(whole.text()) {
            None => return false,
            Some(Ok(repetition)) => repetition,
            Some(Err(reason)) => {
                let start = line.text().len() - line.text().trim_start().len();
                let place = line.place(start..head_end.max(start));
                let message = format!("this repetition cannot be read: {reason}");
                let help = "the forms are `~SEQ(NAME,START,STEP,END)`, `~SEQ(NAME,START,END)`, \
                            `~SEQ(NAME,END)` and `~LST(NAME,VALUE,VALUE...)`";
                let diagnostic = Diagnostic::error(Code::BadRepetition, place, message);
                self.diagnostics.push(diagnostic.help(help));
                return true;
            }
        };
        let rest = whole.tail(repetition.rest);
        let rounds = repetition.rounds.count();
        let left = MAX_STEPS.saturating_sub(self.steps);
        if usize::try_from(rounds).map_or(true, |rounds| rounds > left) {
            let message = format!("{rounds} rounds are more than can be expanded");
            self.exhaust(line, &message);
            return true;
        }
        // What is used in the text may have the names of the round in it.
        let names = repetition.names.iter();
        let outer: Vec<_> = names
            .map(|name| (name, self.definitions.remove(name)))
            .collect();
        let place = line.place(0..line.text().len());
        for round in 0..rounds {
            self.steps += 1;
            if self.exhausted {
                break;
            }
            if round > 0 {
                self.sources
                    .append_made("\n", line.place(0..0), false, None);
            }
            let values = repetition.rounds.values(round);
            let made = replace(&rest, |name| {
                let index = repetition.names.iter().position(|known| known == name)?;
                values.get(index).map(String::as_str)
            });
            for (name, value) in repetition.names.iter().zip(&values) {
                let lines = vec![value.as_str().into()];
                let value = Definition { lines, place };
                self.definitions.insert(name.clone(), value);
            }
            self.line(made, None, depth + 1);
        }
        for (name, before) in outer {
            match before {
                Some(before) => self.definitions.insert(name.clone(), before),
                None => self.definitions.remove(name),
            };
        }
        true
    }

    fn define(
        &mut self,
        line: &Mapped,
        name: Range<usize>,
        value: usize,
        lines: Option<&mut Lines>,
    ) {
        let text = line.text();
        let place = line.place(name.start.saturating_sub(1)..text.len());
        let name = text.get(name).unwrap_or_default().to_owned();
        let mut last = text.get(value..).unwrap_or_default().trim_end().to_owned();
        let mut values = Vec::new();
        self.open_quote(text.get(value..).unwrap_or_default(), place);
        if let Some(lines) = lines {
            while let Some(head) = last.strip_suffix('\\') {
                values.push(head.trim_end().into());
                let Some((range, next)) = lines.continued() else {
                    last = String::new();
                    break;
                };
                self.open_quote(&next, self::place(lines.file, &range));
                last = next;
            }
        }
        values.push(last.into());
        // A first line that is only `$NAME= \` adds no line of its own.
        if values.len() > 1
            && values
                .first()
                .is_some_and(|first: &Arc<str>| first.is_empty())
        {
            values.remove(0);
        }
        self.definitions.insert(
            name,
            Definition {
                lines: values,
                place,
            },
        );
    }

    /// Reports a quote that a line of a definition does not close.
    fn open_quote(&mut self, text: &str, place: Place) {
        if is_quoted(text, text.len()) {
            let message = "this quote is not closed on its line";
            let help = "the value goes on, but keepalived fails";
            let diagnostic = Diagnostic::error(Code::UnterminatedQuote, place, message);
            self.diagnostics.push(diagnostic.help(help));
        }
    }

    /// A line that would grow for ever is left out.
    fn too_deep(&mut self, line: &Mapped) {
        let place = line.place(0..line.text().len());
        let message = "definitions or repetitions are nested too deeply; the line is left out";
        let help = "a definition may refer to itself";
        self.push_once(Diagnostic::error(Code::ExpansionLimit, place, message).help(help));
    }

    /// Says of a line what every round of a repetition would say of it.
    fn push_once(&mut self, diagnostic: Diagnostic) {
        if self.diagnostics.last() != Some(&diagnostic) {
            self.diagnostics.push(diagnostic);
        }
    }

    /// Says once that a limit was reached.
    fn exhaust(&mut self, line: &Mapped, reason: &str) {
        if !std::mem::replace(&mut self.exhausted, true) {
            let place = line.place(0..line.text().len());
            let message = format!("expansion stops here: {reason}");
            self.diagnostics
                .push(Diagnostic::error(Code::ExpansionLimit, place, message));
        }
    }
}

impl Lines {
    /// The next line with its line break.
    fn next(&mut self) -> Option<Range<usize>> {
        let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        let start = self.at;
        self.at += memchr(b'\n', rest.as_bytes()).map_or(rest.len(), |at| at + 1);
        Some(start..self.at)
    }

    /// The next line of a definition, without comment; lines that are only a comment do not count.
    fn continued(&mut self) -> Option<(Range<usize>, String)> {
        loop {
            let range = self.next()?;
            let line = self.text[range.clone()].trim(); // `next` gives ranges of this text
            let end = comment_start(line).unwrap_or(line.len());
            if end > 0 || line.is_empty() {
                let line = line[..end].trim_end().to_owned(); // a byte position in `line`
                return Some((range, line));
            }
        }
    }
}

/// Whether a line is more than text to be copied.
pub(crate) fn needs_work(line: &str) -> bool {
    let bytes = line.as_bytes();
    let blanks = bytes
        .iter()
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count();
    let first = bytes.get(blanks).copied().unwrap_or(b'\n');
    let directive = match first {
        b'@' | b'~' => true,
        b'i' => bytes
            .get(blanks..)
            .is_some_and(|rest| rest.starts_with(b"include")),
        b'r' => bytes
            .get(blanks..)
            .is_some_and(|rest| rest.starts_with(b"random_seed")),
        _ => false,
    };
    directive || bytes.len() > MAX_LINE || memchr2(b'$', 0, bytes).is_some()
}

/// Replaces the names that `value` knows.
fn replace<'v>(line: &Mapped, value: impl Fn(&str) -> Option<&'v str>) -> Mapped {
    let text = line.text();
    let (mut made, mut copied, mut from) = (Mapped::default(), 0, 0);
    while let Some(found) = next_use(text, from) {
        from = found.range.end;
        if let Some(value) = text.get(found.name).and_then(&value) {
            made.push_part(line, copied..found.range.start);
            made.push(value, line.place(found.range.clone()), None);
            copied = found.range.end;
        }
    }
    made.push_part(line, copied..text.len());
    made
}

/// Bytes that are not UTF-8 become U+FFFD; they can only be in comments and free text.
fn to_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn place(file: FileId, range: &Range<usize>) -> Place {
    let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    Place {
        file,
        start: offset(range.start),
        end: offset(range.end),
    }
}
