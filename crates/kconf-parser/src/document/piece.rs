//! The text cut into pieces: words, braces, blanks, comments, directives.

use crate::source::Span;
use crate::tree::{Kind, Token};

use super::mask::{Directive, DirectiveKind};
use super::to_u32;

/// What a piece of a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PieceKind {
    /// A word.
    Word,
    /// A word in double quotes, quotes included.
    Quoted,
    /// From a quote that its line does not close to the end of the line.
    OpenQuote,
    /// `{`.
    Open,
    /// `}`.
    Close,
    /// The end of a line.
    NewLine,
    /// Blanks within a line.
    Blank,
    /// From `#` or `!` to the end of the line.
    Comment,
    /// A directive that is no word of its line.
    Directive(DirectiveKind),
    /// Bytes that mean nothing, such as control characters.
    Stray,
}

/// A piece of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// What it is.
    pub kind: PieceKind,
    /// Its bytes.
    pub span: Span,
}

/// All pieces of a text, without gaps.
pub(super) fn pieces(text: &str, tokens: &[Token], directives: &[Directive]) -> Vec<Piece> {
    let mut pieces = Vec::with_capacity(tokens.len() * 2);
    let mut hidden = directives
        .iter()
        .filter(|found| found.is_hidden())
        .peekable();
    let mut at = 0;
    let end = Token {
        kind: Kind::NewLine,
        span: super::span(text.len(), text.len()),
    };
    for token in tokens.iter().chain([&end]) {
        while at < token.span.start {
            at = gap(text, at, token.span.start, &mut hidden, &mut pieces);
        }
        if token.span.start < token.span.end {
            pieces.push(Piece {
                kind: kind(token.kind),
                span: token.span,
            });
        }
        at = token.span.end;
    }
    pieces
}

/// Takes one piece of what stands between two tokens; where the next one begins.
fn gap<'d>(
    text: &str,
    start: u32,
    end: u32,
    hidden: &mut std::iter::Peekable<impl Iterator<Item = &'d Directive>>,
    pieces: &mut Vec<Piece>,
) -> u32 {
    while hidden.next_if(|found| found.span.end <= start).is_some() {}
    let next = hidden.peek().filter(|found| found.span.start < end);
    if let Some(found) = next.filter(|found| found.span.start <= start) {
        pieces.push(Piece {
            kind: PieceKind::Directive(found.kind),
            span: found.span,
        });
        return found.span.end;
    }
    let stop = next.map_or(end, |found| found.span.start);
    let rest = text.get(start as usize..stop as usize).unwrap_or_default();
    let blanks = rest.len() - rest.trim_start_matches(is_blank).len();
    let (kind, len) = if blanks > 0 {
        (PieceKind::Blank, blanks)
    } else if rest.starts_with(['#', '!']) {
        (PieceKind::Comment, rest.len())
    } else {
        let ends = |c: char| is_blank(c) || matches!(c, '#' | '!');
        let len = rest.find(ends).unwrap_or(rest.len());
        (PieceKind::Stray, len.max(1).min(rest.len()))
    };
    let after = start + to_u32(len.max(1));
    let span = Span {
        start,
        end: after.min(stop),
    };
    pieces.push(Piece { kind, span });
    span.end
}

/// What separates words within a line.
pub(crate) fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\u{0b}' | '\u{0c}')
}

fn kind(kind: Kind) -> PieceKind {
    match kind {
        Kind::Word => PieceKind::Word,
        Kind::Quoted => PieceKind::Quoted,
        Kind::OpenQuote => PieceKind::OpenQuote,
        Kind::Open => PieceKind::Open,
        Kind::Close => PieceKind::Close,
        Kind::NewLine => PieceKind::NewLine,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Document;
    use super::PieceKind::{self, *};
    use crate::document::DirectiveKind;

    fn pieces(text: &str) -> Vec<(PieceKind, String)> {
        let document = Document::parse(text);
        let pieces = document.pieces().iter();
        let pieces: Vec<_> = pieces
            .map(|piece| (piece.kind, document.slice(piece.span).to_owned()))
            .collect();
        let joined: String = pieces.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(joined, text);
        pieces
    }

    #[test]
    fn nothing_is_left_out() {
        let found = pieces(" @a b{ # c\n\t$X=1!\n");
        let expected = [
            (Blank, " "),
            (Directive(DirectiveKind::Condition), "@a"),
            (Blank, " "),
            (Word, "b"),
            (Open, "{"),
            (Blank, " "),
            (Comment, "# c"),
            (NewLine, "\n"),
            (Blank, "\t"),
            (Directive(DirectiveKind::Definition), "$X=1"),
            (Comment, "!"),
            (NewLine, "\n"),
        ];
        let found: Vec<_> = found.iter().map(|(k, t)| (*k, t.as_str())).collect();
        assert_eq!(found, expected);
    }
}
