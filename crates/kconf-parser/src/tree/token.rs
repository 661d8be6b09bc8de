//! From text to a flat list of tokens. The only place that sees pest.

use std::ops::Range;

use memchr::memchr;
use pest::Parser;

use crate::source::Span;

/// Kind of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Word,
    Quoted,
    OpenQuote,
    Open,
    Close,
    NewLine,
}

/// A token; quotes are part of its span.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) span: Span,
}

impl Token {
    fn ends_word_at(&self, offset: u32) -> bool {
        self.kind == Kind::Word && self.span.end == offset
    }
}

#[allow(missing_docs, unreachable_pub, reason = "made by a macro")]
mod generated {
    #[derive(pest_derive::Parser)]
    #[grammar = "grammar.pest"]
    pub(super) struct Grammar;
}

use generated::{Grammar, Rule};

/// Least bytes that the grammar is given at a time.
const PIECE: usize = 16 << 10;

/// All tokens of a text. Offsets must fit 32 bits; `SourceMap` sees to that.
///
/// No token goes over the end of a line, so the text is read in pieces of whole lines: what pest
/// notes for each token is several times as large as the token, and is needed for a piece only.
pub(crate) fn tokenize(text: &str) -> Vec<Token> {
    let mut tokens = Vec::with_capacity(text.len() / 6);
    let mut rest = text;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(piece_len(rest));
        read(piece, text.len() - rest.len(), &mut tokens);
        rest = after;
    }
    tokens
}

/// Length of the first [`PIECE`] bytes and of the line that they end in.
fn piece_len(text: &str) -> usize {
    let behind = text.as_bytes().get(PIECE..).unwrap_or_default();
    memchr(b'\n', behind).map_or(text.len(), |at| PIECE + at + 1)
}

/// Adds the tokens of a piece that begins at an offset of the text.
fn read(piece: &str, offset: usize, tokens: &mut Vec<Token>) {
    // `file` matches every text; were that wrong, no token is the harmless answer.
    let Ok(pairs) = Grammar::parse(Rule::file, piece) else {
        return;
    };
    let (mut start, mut end) = (0, 0);
    for edge in pairs.tokens() {
        let (rule, at) = match edge {
            pest::Token::Start { pos, .. } => {
                start = pos.pos();
                continue;
            }
            pest::Token::End { rule, pos } => (rule, pos.pos()),
        };
        let kind = match rule {
            Rule::word | Rule::rare => Kind::Word,
            Rule::quoted => Kind::Quoted,
            Rule::open_quote => Kind::OpenQuote,
            Rule::open => Kind::Open,
            Rule::close => Kind::Close,
            _ => continue,
        };
        line_ends(piece, end..start, offset, tokens);
        let span = span(offset, start..at);
        match tokens.last_mut() {
            // Letters of both kinds in one word.
            Some(last) if last.ends_word_at(span.start) && kind == Kind::Word => {
                last.span.end = span.end;
            }
            _ => tokens.push(Token { kind, span }),
        }
        end = at;
    }
    line_ends(piece, end..piece.len(), offset, tokens);
}

/// Adds the ends of lines in what stands between two tokens: blanks and comments.
fn line_ends(piece: &str, between: Range<usize>, offset: usize, tokens: &mut Vec<Token>) {
    let bytes = piece.as_bytes().get(between.clone()).unwrap_or_default();
    for (at, _) in between.zip(bytes).filter(|(_, byte)| **byte == b'\n') {
        tokens.push(Token {
            kind: Kind::NewLine,
            span: span(offset, at..at + 1),
        });
    }
}

/// A range of a piece that begins at `offset`.
fn span(offset: usize, range: Range<usize>) -> Span {
    let of_text = |at: usize| u32::try_from(offset + at).unwrap_or(u32::MAX);
    Span {
        start: of_text(range.start),
        end: of_text(range.end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(Kind, &str)> {
        let slice = |span: Span| &text[span.start as usize..span.end as usize];
        tokenize(text)
            .into_iter()
            .map(|token| (token.kind, slice(token.span)))
            .collect()
    }

    #[test]
    fn a_comment_starts_in_the_middle_of_a_word_but_not_behind_a_backslash() {
        assert_eq!(kinds("a!b\n"), [(Kind::Word, "a"), (Kind::NewLine, "\n")]);
        assert_eq!(
            kinds(r"a\!b\#c d\x"),
            [(Kind::Word, r"a\!b\#c"), (Kind::Word, r"d\x")]
        );
    }

    #[test]
    fn braces_split_words_outside_quotes_only() {
        let expected = [
            (Kind::Word, "a"),
            (Kind::Open, "{"),
            (Kind::Word, "b"),
            (Kind::Close, "}"),
            (Kind::Quoted, "\"{ # }\""),
        ];
        assert_eq!(kinds("a{b}\"{ # }\""), expected);
    }

    #[test]
    fn a_quote_ends_the_word_before_it() {
        let expected = [
            (Kind::Word, "a"),
            (Kind::Quoted, "\"b c\""),
            (Kind::Word, "d"),
        ];
        assert_eq!(kinds("a\"b c\"d"), expected);
    }

    #[test]
    fn an_open_quote_takes_the_rest_of_its_line() {
        let expected = [
            (Kind::Word, "a"),
            (Kind::OpenQuote, "\"b } #"),
            (Kind::NewLine, "\n"),
            (Kind::Word, "c"),
        ];
        assert_eq!(kinds("a \"b } #\nc"), expected);
    }

    #[test]
    fn a_long_text_has_the_tokens_of_its_lines() {
        let line = "  weight 5 \"a b\" { } # a comment\n";
        let text = format!(
            "{}x{}",
            line.repeat(3 * PIECE / line.len()),
            "y".repeat(2 * PIECE)
        );
        let found: Vec<_> = kinds(&text);
        let of_lines: Vec<_> = text.split_inclusive('\n').flat_map(kinds).collect();
        assert!(found == of_lines, "they differ");
    }

    #[test]
    fn control_characters_and_nothing_at_all_are_no_trouble() {
        assert_eq!(kinds(""), []);
        assert_eq!(
            kinds("\u{1}a\u{0}b"),
            [(Kind::Word, "\u{1}a"), (Kind::Word, "b")]
        );
    }
}
