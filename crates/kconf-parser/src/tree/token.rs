//! From text to a flat list of tokens. The only place that sees pest.

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

#[allow(missing_docs, unreachable_pub, reason = "made by a macro")]
mod generated {
    #[derive(pest_derive::Parser)]
    #[grammar = "grammar.pest"]
    pub(super) struct Grammar;
}

use generated::{Grammar, Rule};

/// All tokens of a text. Offsets must fit 32 bits; `SourceMap` sees to that.
pub(crate) fn tokenize(text: &str) -> Vec<Token> {
    // `file` matches every text; were that wrong, an empty list is the harmless answer.
    let Ok(mut pairs) = Grammar::parse(Rule::file, text) else {
        return Vec::new();
    };
    let Some(file) = pairs.next() else {
        return Vec::new();
    };
    let mut tokens = Vec::with_capacity(text.len() / 6);
    for pair in file.into_inner() {
        let kind = match pair.as_rule() {
            Rule::word => Kind::Word,
            Rule::quoted => Kind::Quoted,
            Rule::open_quote => Kind::OpenQuote,
            Rule::open => Kind::Open,
            Rule::close => Kind::Close,
            Rule::nl => Kind::NewLine,
            _ => continue,
        };
        let span = pair.as_span();
        let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        tokens.push(Token {
            kind,
            span: Span {
                start: offset(span.start()),
                end: offset(span.end()),
            },
        });
    }
    tokens
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
    fn control_characters_and_nothing_at_all_are_no_trouble() {
        assert_eq!(kinds(""), []);
        assert_eq!(
            kinds("\u{1}a\u{0}b"),
            [(Kind::Word, "\u{1}a"), (Kind::Word, "b")]
        );
    }
}
