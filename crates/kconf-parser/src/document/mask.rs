//! What the expander acts on, found and hidden from the grammar.
//!
//! The rules are those of `expand`, but without a configuration id and without values: a line
//! under a condition is one that may count.

use serde::{Deserialize, Serialize};

use crate::expand::needs_work;
use crate::include::Checks;
use crate::source::Span;
use crate::substitute::{comment_start, definition, next_use};

use super::span;

/// Kind of a directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum DirectiveKind {
    /// `$NAME=VALUE`, with all its lines.
    Definition,
    /// `@id` or `@^id` before a line.
    Condition,
    /// `~SEQ(...)`, `~SEQx(...)` or `~LST(...)` before a line.
    Repetition,
    /// `$NAME` or `${NAME}`.
    Use,
    /// The pattern behind a word of the include family.
    Include,
    /// A line that keepalived drops, because it holds a NUL byte.
    Dropped,
}

/// Something that is done before keywords are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Directive {
    /// What it is.
    pub kind: DirectiveKind,
    /// All of it.
    pub span: Span,
    /// The name that is defined or used, the id of a condition, the pattern of an include, what
    /// stands in the parentheses of a repetition.
    pub name: Span,
}

impl Directive {
    /// Whether nothing of it is a word of the line it stands in.
    pub fn is_hidden(self) -> bool {
        !matches!(self.kind, DirectiveKind::Use | DirectiveKind::Include)
    }
}

/// The text with directives behind bytes that mean nothing, and what they are, in order.
pub(super) fn mask(text: &str) -> (String, Vec<Directive>) {
    let mut masker = Masker {
        text,
        masked: text.as_bytes().to_vec(),
        found: Vec::new(),
        at: 0,
    };
    while let Some((start, end)) = masker.next_line() {
        // `next_line` gives ranges between characters.
        if needs_work(text.get(start..end).unwrap_or_default()) {
            masker.line(start, end);
        }
    }
    // Whole characters are replaced by ASCII, so this is UTF-8; if not, nothing is hidden.
    let masked = String::from_utf8(masker.masked).unwrap_or_else(|_| text.to_owned());
    masker.found.sort_by_key(|found| found.span);
    (masked, masker.found)
}

struct Masker<'a> {
    text: &'a str,
    masked: Vec<u8>,
    found: Vec<Directive>,
    at: usize,
}

impl<'a> Masker<'a> {
    /// The next line without its line break.
    fn next_line(&mut self) -> Option<(usize, usize)> {
        let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        let start = self.at;
        self.at += rest.find('\n').map_or(rest.len(), |at| at + 1);
        let line = self.slice(start, self.at);
        Some((start, start + line.trim_end_matches(['\n', '\r']).len()))
    }

    fn slice(&self, start: usize, end: usize) -> &'a str {
        self.text.get(start..end).unwrap_or_default()
    }

    fn line(&mut self, start: usize, end: usize) {
        let line = self.slice(start, end);
        if line.contains('\0') {
            self.hide(DirectiveKind::Dropped, (start, end), (start, end));
            return;
        }
        let end = start + comment_start(line).unwrap_or(line.len());
        let (mut at, mut repeated) = (start, false);
        loop {
            let rest = self.slice(at, end);
            at += rest.len() - rest.trim_start().len();
            let rest = self.slice(at, end);
            if let Some(id) = rest.strip_prefix('@') {
                let id = id.strip_prefix('^').unwrap_or(id);
                let len = id.find(char::is_whitespace).unwrap_or(id.len());
                let name = at + rest.len() - id.len();
                self.hide(
                    DirectiveKind::Condition,
                    (at, name + len),
                    (name, name + len),
                );
                at = name + len;
            } else if rest.starts_with("~SEQ") || rest.starts_with("~LST") {
                // Without its end the whole line is lost.
                let close = rest.find(')').map_or(rest.len(), |close| close + 1);
                let open = rest.find('(').map_or(close, |open| (open + 1).min(close));
                let inner = (at + open, at + close.saturating_sub(1).max(open));
                self.hide(DirectiveKind::Repetition, (at, at + close), inner);
                at += close;
                repeated = true;
            } else {
                break;
            }
        }
        let rest = self.slice(at, end);
        if let Some((name, value)) = definition(rest) {
            let end = self.definition_end(at + value, end, repeated);
            let name = (at + name.start, at + name.end);
            self.hide(DirectiveKind::Definition, (at, end), name);
            return;
        }
        self.include(at, end);
        self.uses(at, end);
    }

    /// Where a definition ends whose value begins at `value`; takes the lines that belong to it.
    fn definition_end(&mut self, value: usize, end: usize, repeated: bool) -> usize {
        let mut end = value + self.slice(value, end).trim_end().len();
        let mut last = value;
        // A definition that is repeated has one line.
        while !repeated && self.slice(last, end).ends_with('\\') {
            let Some((next, next_end)) = self.next_line() else {
                break;
            };
            let line = self.slice(next, next_end);
            let code = comment_start(line).unwrap_or(line.len());
            last = next;
            end = next + self.slice(next, next + code).trim_end().len();
        }
        end
    }

    fn include(&mut self, start: usize, end: usize) {
        let rest = self.slice(start, end);
        let len = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (word, pattern) = rest.split_at_checked(len).unwrap_or_default();
        if Checks::of(word, Checks::default()).is_none() || pattern.trim().is_empty() {
            return;
        }
        let at = start + len + pattern.len() - pattern.trim_start().len();
        let place = span(at, at + pattern.trim().len());
        self.found.push(Directive {
            kind: DirectiveKind::Include,
            span: place,
            name: place,
        });
        // Its braces are those of a pattern.
        for byte in self.masked.get_mut(at..end).unwrap_or_default() {
            if matches!(byte, b'{' | b'}') {
                *byte = b'_';
            }
        }
    }

    fn uses(&mut self, start: usize, end: usize) {
        let line = self.slice(start, end);
        let mut from = 0;
        while let Some(used) = next_use(line, from) {
            from = used.range.end;
            let place = (start + used.range.start, start + used.range.end);
            self.found.push(Directive {
                kind: DirectiveKind::Use,
                span: span(place.0, place.1),
                name: span(start + used.name.start, start + used.name.end),
            });
            self.fill(place, b'_');
        }
    }

    fn hide(&mut self, kind: DirectiveKind, place: (usize, usize), name: (usize, usize)) {
        self.found.push(Directive {
            kind,
            span: span(place.0, place.1),
            name: span(name.0, name.1),
        });
        self.fill(place, b' ');
    }

    fn fill(&mut self, place: (usize, usize), with: u8) {
        if let Some(bytes) = self.masked.get_mut(place.0..place.1) {
            bytes.fill(with);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(DirectiveKind, &str)> {
        let (masked, found) = mask(text);
        assert_eq!(masked.len(), text.len());
        let slice = |span: Span| &text[span.start as usize..span.end as usize];
        found
            .iter()
            .map(|found| (found.kind, slice(found.name)))
            .collect()
    }

    #[test]
    fn each_kind_is_found_with_its_name() {
        use DirectiveKind::*;
        let text = "$A=1 # x\n@^node ~SEQ(i,3) real_server 10.0.0.$i 8${A} {\n}\ninclude {a,b}.conf\nx\0y\n";
        assert_eq!(
            found(text),
            [
                (Definition, "A"),
                (Condition, "node"),
                (Repetition, "i,3"),
                (Use, "i"),
                (Use, "A"),
                (Include, "{a,b}.conf"),
                (Dropped, "x\0y"),
            ]
        );
        let (masked, _) = mask(text);
        assert_eq!(
            masked.lines().nth(1),
            Some("                 real_server 10.0.0.__ 8____ {")
        );
    }

    #[test]
    fn a_definition_takes_all_its_lines_but_not_its_comment() {
        let text = "$BLOCK= \\\n  a { \\\n  } # end\nb\n";
        let (masked, found) = mask(text);
        assert_eq!(found.len(), 1);
        let rest = masked.trim_start();
        assert_eq!(rest, "# end\nb\n");
    }

    #[test]
    fn a_repeated_definition_has_one_line() {
        let (masked, _) = mask("~SEQ(i,2) $A=\\\nb {\n");
        assert!(masked.ends_with("\nb {\n"));
    }
}
