//! Where a missing `}` most likely belongs.

use std::ops::Range;

use crate::source::Span;

use super::Vocabulary;
use super::token::{Kind, Token};

/// A closing brace that was put in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Insertion {
    /// Keyword and arguments of the block that stays open if braces are only counted.
    pub(super) counted: Span,
}

/// An open block while looking for the place.
struct Open<'a> {
    name: &'a str,
    indent: usize,
    /// First statement in it that belongs to the block around it and stands as far left.
    ends_before: Option<usize>,
}

/// Tokens before which the `missing` closing braces of a stretch of text belong.
///
/// Nothing but indentation tells which of several nested blocks lacks its brace: a `}` at the
/// start of a line belongs to the innermost block whose first line has the same indent, so the
/// blocks inside that one ended before. Blocks that stay open end with the stretch.
pub(super) fn place_missing<'a>(
    tokens: &[Token],
    stretch: Range<usize>,
    missing: usize,
    text: &str,
    vocabulary: &dyn Vocabulary,
    name: &dyn Fn(Span) -> &'a str,
) -> Vec<usize> {
    let mut stack: Vec<Open<'_>> = Vec::new();
    let mut placed = Vec::new();
    let end = stretch.end;
    // The statement being read: its first token; and the last one, which a `{` may still follow.
    let (mut line, mut last): (Option<usize>, Option<usize>) = (None, None);
    for at in stretch {
        let Some(token) = tokens.get(at) else { break };
        match token.kind {
            Kind::NewLine => last = line.take().or(last),
            Kind::Word | Kind::Quoted | Kind::OpenQuote => {
                if line.is_none() {
                    line = Some(at);
                    if let Some(indent) = indent(text, token.span.start) {
                        note_dedent(&mut stack, at, indent, name(token.span), vocabulary);
                    }
                }
            }
            Kind::Open => {
                let head = line.take().or_else(|| last.take()).unwrap_or(at);
                let span = tokens.get(head).map_or(token.span, |token| token.span);
                // A block on the line of another one is at least as far right.
                let around = stack.last().map_or(0, |open| open.indent);
                let indent = indent(text, span.start).unwrap_or(around + 1);
                stack.push(Open {
                    name: name(span),
                    indent,
                    ends_before: None,
                });
            }
            Kind::Close => {
                (line, last) = (None, None);
                let same = indent(text, token.span.start).and_then(|indent| {
                    let inner = stack.iter().rposition(|open| open.indent == indent)?;
                    Some(stack.len() - 1 - inner).filter(|above| placed.len() + above <= missing)
                });
                for open in stack
                    .drain(stack.len().saturating_sub(same.unwrap_or(0))..)
                    .rev()
                {
                    placed.push(open.ends_before.unwrap_or(at));
                }
                stack.pop();
            }
        }
    }
    let open = stack
        .iter()
        .rev()
        .map(|open| open.ends_before.unwrap_or(end));
    placed.extend(open);
    // Both can only differ if the stretch was not what it was said to be.
    placed.resize(missing, end);
    placed
}

/// Notes that a statement stands left of the inside of a block and does not belong there.
fn note_dedent(
    stack: &mut [Open<'_>],
    at: usize,
    indent: usize,
    keyword: &str,
    vocabulary: &dyn Vocabulary,
) {
    let [.., around, open] = stack else {
        return;
    };
    let fits = |block: &str| vocabulary.member(block, keyword);
    if open.ends_before.is_none() && indent <= open.indent && !fits(open.name) && fits(around.name)
    {
        open.ends_before = Some(at);
    }
}

/// Columns of white space before this byte; `None` if something else stands there.
fn indent(text: &str, offset: u32) -> Option<usize> {
    let head = text.get(..offset as usize)?;
    let mut columns = 0;
    for byte in head
        .as_bytes()
        .get(head.rfind('\n').map_or(0, |at| at + 1)..)?
    {
        match byte {
            b' ' => columns += 1,
            b'\t' => columns = (columns / 8 + 1) * 8,
            _ => return None,
        }
    }
    Some(columns)
}
