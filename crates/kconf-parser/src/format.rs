//! One style for every file, and never another meaning.
//!
//! Blocks are indented by four spaces; `{` ends the line of its keyword, and every statement and
//! `}` has a line; words are one blank apart; comments stay where they are and stand in columns; one
//! empty line at most separates what somebody separated.
//!
//! ```
//! use kconf_parser::format::format;
//!
//! let text = "vrrp_instance  A\n{\n virtual_ipaddress { 10.0.0.1 }   # the service\n}";
//! assert_eq!(format(text)?, "\
//! vrrp_instance A {
//!     virtual_ipaddress {
//!         10.0.0.1
//!     } # the service
//! }
//! ");
//! # Ok::<(), kconf_parser::format::FormatError>(())
//! ```
//!
//! # Design
//!
//! A line that the expander acts on, or that keepalived reads a second time in its raw form
//! (backslashes, single quotes), means something by its bytes: it is moved as a whole or not at
//! all. Everything else is taken apart into words and braces and put together again; a part that
//! would begin a line of its own and be taken for a directive there stays where it is. Depth is
//! counted for each id that conditions name, so alternatives do not add up.

mod depth;
mod layout;

use crate::document::{self, Piece, PieceKind, is_blank};
use crate::expand::{MAX_LINE, needs_work};

use depth::{Condition, Depth};
use layout::{Comment, Line, Lines};

/// Why a text is not formatted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// Braces do not match, so nobody knows what belongs where.
    #[error("line {line}: the braces do not match")]
    Unbalanced {
        /// Line of the first `}` too many or of the last `{` that stays open, from 1.
        line: u32,
    },
}

/// The text in our style. The result formats to itself.
///
/// # Errors
///
/// [`FormatError::Unbalanced`] if braces do not match and no definition could be the reason.
pub fn format(text: &str) -> Result<String, FormatError> {
    let lexed = document::lex(text);
    let conditions = lexed
        .pieces
        .iter()
        .filter(|piece| is_condition(piece))
        .map(|piece| Condition::of(slice(text, piece)));
    let mut formatter = Formatter {
        text,
        depth: Depth::new(conditions),
        lines: Lines::default(),
        number: 1,
    };
    let mut at = 0;
    while at < lexed.pieces.len() {
        let rest = lexed.pieces.get(at..).unwrap_or_default();
        let len = rest
            .iter()
            .position(|piece| piece.kind == PieceKind::NewLine)
            .unwrap_or(rest.len());
        let line = rest.get(..len).unwrap_or_default();
        formatter.line(line);
        at += len + 1;
    }
    // A definition may hold the braces that seem to be missing.
    let explained = !lexed.directives.is_empty()
        && lexed.directives.iter().any(|found| {
            use document::DirectiveKind::{Definition, Use};
            matches!(found.kind, Definition | Use)
        });
    match formatter.depth.unbalanced() {
        Some(line) if !explained => Err(FormatError::Unbalanced { line }),
        _ => Ok(formatter.lines.print()),
    }
}

struct Formatter<'a> {
    text: &'a str,
    depth: Depth,
    lines: Lines,
    /// Number of the line, for errors.
    number: u32,
}

impl Formatter<'_> {
    /// Takes the pieces of a line.
    fn line(&mut self, pieces: &[Piece]) {
        self.depth.line = self.number;
        let raw = match (pieces.first(), pieces.last()) {
            (Some(first), Some(last)) => self
                .text
                .get(first.span.start as usize..last.span.end as usize)
                .unwrap_or_default(),
            _ => "",
        };
        // A definition may have several lines.
        self.number += 1 + u32::try_from(raw.matches('\n').count()).unwrap_or(0);
        let trimmed = raw.trim_matches(is_blank);
        if trimmed.is_empty() {
            self.lines.blank();
        } else if raw.contains('\0') || raw.lines().any(|line| line.len() > MAX_LINE) {
            // keepalived drops it, as long as it stays as it is.
            self.count(pieces);
            self.lines.push(Line::verbatim(raw));
        } else if trimmed.starts_with(['#', '!']) {
            let indent = self.depth.of(&[]);
            self.lines.push(Line::comment(indent, trimmed));
        } else if !self.plain(raw, pieces) {
            self.whole(pieces);
        }
    }

    /// A line whose bytes matter: only its indentation changes.
    fn whole(&mut self, pieces: &[Piece]) {
        let conditions = self.conditions(pieces);
        let solid = |piece: &&Piece| {
            let hidden = matches!(piece.kind, PieceKind::Directive(_));
            piece.kind != PieceKind::Blank && !hidden
        };
        let closing = pieces
            .iter()
            .filter(solid)
            .take_while(|piece| piece.kind == PieceKind::Close)
            .count();
        let indent = self.depth.of(&conditions).saturating_sub(closing);
        self.count(pieces);
        let (code, comment) = match pieces.split_last() {
            Some((last, code)) if last.kind == PieceKind::Comment => (code, Some(last)),
            _ => (pieces, None),
        };
        let (first, last) = (code.first(), code.last());
        let start = first.map_or(0, |piece| piece.span.start as usize);
        let end = last.map_or(start, |piece| piece.span.end as usize);
        let code = self.text.get(start..end).unwrap_or_default();
        // Other blanks would hide a directive from the expander.
        let code = code.trim_start_matches([' ', '\t']);
        let touches = !code.ends_with(is_blank);
        let code = code.trim_end_matches(is_blank);
        let comment = comment.map(|piece| Comment::new(slice(self.text, piece), touches));
        self.lines
            .push(Line::code(indent, code.to_owned(), comment));
    }

    /// A line that is words, braces and comment only; false if it is not.
    fn plain(&mut self, raw: &str, pieces: &[Piece]) -> bool {
        let simple = |piece: &Piece| match piece.kind {
            PieceKind::Word => !slice(self.text, piece).contains(['\'', '\\']),
            PieceKind::Directive(_) | PieceKind::OpenQuote | PieceKind::Stray => false,
            _ => true,
        };
        if needs_work(raw) || !pieces.iter().all(simple) {
            return false;
        }
        let Some(parts) = self.parts(pieces) else {
            return false;
        };
        for part in parts {
            self.part(part);
        }
        true
    }

    /// What gets a line of its own; `None` if a part must not have one.
    fn parts(&self, pieces: &[Piece]) -> Option<Vec<Part>> {
        let mut parts: Vec<Part> = Vec::new();
        let (mut code, mut end) = (String::new(), None);
        for piece in pieces {
            let text = slice(self.text, piece);
            match piece.kind {
                PieceKind::Open => parts.push(Part::Open(std::mem::take(&mut code))),
                PieceKind::Close => {
                    if !code.is_empty() {
                        parts.push(Part::Words(std::mem::take(&mut code)));
                    }
                    parts.push(Part::Close);
                }
                PieceKind::Comment => {
                    if !code.is_empty() {
                        parts.push(Part::Words(std::mem::take(&mut code)));
                    }
                    let touches = end == Some(piece.span.start);
                    parts.push(Part::Comment(Comment::new(text, touches)));
                }
                PieceKind::Blank => continue,
                _ => {
                    // Words that touch are one to a command: `a" b"`.
                    if !code.is_empty() && end != Some(piece.span.start) {
                        code.push(' ');
                    }
                    code.push_str(text);
                }
            }
            let brace = matches!(piece.kind, PieceKind::Open | PieceKind::Close);
            end = (!brace).then_some(piece.span.end);
        }
        if !code.is_empty() {
            parts.push(Part::Words(code));
        }
        let harmless = |part: &Part| match part {
            Part::Open(code) | Part::Words(code) => !needs_work(code),
            Part::Close | Part::Comment(_) => true,
        };
        parts.iter().all(harmless).then_some(parts)
    }

    fn part(&mut self, part: Part) {
        match part {
            Part::Words(code) => {
                let indent = self.depth.of(&[]);
                self.lines.push(Line::statement(indent, code));
            }
            Part::Open(code) => {
                let indent = self.depth.of(&[]);
                if !(code.is_empty() && self.lines.open_last()) {
                    let code = match code.as_str() {
                        "" => "{".to_owned(),
                        code => format!("{code} {{"),
                    };
                    self.lines.push(Line::code(indent, code, None));
                }
                self.depth.change(&[], 1);
            }
            Part::Close => {
                self.depth.change(&[], -1);
                let indent = self.depth.of(&[]);
                self.lines.push(Line::close(indent));
            }
            Part::Comment(comment) => self.lines.comment_last(comment),
        }
    }

    /// Counts the braces of a line that is not taken apart.
    fn count(&mut self, pieces: &[Piece]) {
        let conditions = self.conditions(pieces);
        for piece in pieces {
            match piece.kind {
                PieceKind::Open => self.depth.change(&conditions, 1),
                PieceKind::Close => self.depth.change(&conditions, -1),
                _ => {}
            }
        }
    }

    fn conditions(&self, pieces: &[Piece]) -> Vec<Condition> {
        pieces
            .iter()
            .filter(|piece| is_condition(piece))
            .map(|piece| Condition::of(slice(self.text, piece)))
            .collect()
    }
}

/// What gets a line of its own, or the comment behind it.
enum Part {
    Words(String),
    /// Words and the `{` behind them.
    Open(String),
    Close,
    Comment(Comment),
}

fn slice<'a>(text: &'a str, piece: &Piece) -> &'a str {
    text.get(piece.span.start as usize..piece.span.end as usize)
        .unwrap_or_default()
}

fn is_condition(piece: &Piece) -> bool {
    piece.kind == PieceKind::Directive(document::DirectiveKind::Condition)
}

#[cfg(test)]
mod tests;
