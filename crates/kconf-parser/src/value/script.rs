//! Commands and patterns: the words that are read with quotes of both kinds and escapes.

use crate::config::Script;
use crate::diagnostic::Code;
use crate::source::Span;

use super::{Args, owner};

/// A command, then perhaps a user and group.
///
/// The text behind the keyword is read twice: first into words, of which the first is the
/// command and the others its user; then the command into its arguments.
pub(super) fn script(args: &mut Args<'_, '_>) -> Option<Script> {
    let first = args.required("a command")?;
    let text = raw(args, first.outer());
    let split = |text: &str| words(text).ok().filter(|words| !words.is_empty());
    let Some(outer) = split(text) else {
        return unreadable(args, first.outer(), text);
    };
    let argv = outer.first().and_then(|command| split(command));
    let Some(argv) = argv else {
        return unreadable(args, first.outer(), text);
    };
    // Skip the words that were part of the command; what is left names the user.
    let left = outer.len() - 1;
    while args.left() > left {
        args.next();
    }
    let user = args.next().map(|user| owner(args, user));
    Some(Script { argv, user })
}

/// A pattern: one word in quotes.
pub(super) fn regex(args: &mut Args<'_, '_>) -> Option<String> {
    let first = args.required("a pattern in quotes")?;
    let text = raw(args, first.outer());
    args.rest();
    let mut found = words(text).unwrap_or_default().into_iter();
    let Some(pattern) = found.next() else {
        let message = "the pattern cannot be read: it must be one word in quotes";
        let diagnostic = args.report.error(Code::BadValue, first.outer(), message);
        return args.wrong(diagnostic);
    };
    if found.next().is_some() {
        let message = format!("the pattern is `{pattern}` only: the words behind it are not read");
        let help = "put all of a pattern in one pair of quotes";
        let code = Code::TrailingWords;
        let diagnostic = args.report.warning(code, first.outer(), message);
        args.report.push(diagnostic.help(help));
    }
    Some(pattern)
}

/// The text from a word to the last word before a comment, as it stands there.
fn raw<'a>(args: &Args<'_, 'a>, from: Span) -> &'a str {
    args.report
        .slice(args.remaining().map_or(from, |rest| from.to(rest)))
}

fn unreadable<T>(args: &mut Args<'_, '_>, span: Span, text: &str) -> Option<T> {
    args.rest();
    let message = format!("the command `{text}` cannot be read");
    let help = "a quote may be missing, or the command is empty";
    let diagnostic = args.report.error(Code::BadValue, span, message).help(help);
    args.wrong(diagnostic)
}

/// A quote that is not closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OpenQuote;

/// Splits a text into words: single and double quotes group, a backslash escapes.
///
/// Escapes are `\a \b \E \f \n \r \t \v`, `\ooo`, `\xHH`, `\cX`; any other character stands for
/// itself.
pub(crate) fn words(text: &str) -> Result<Vec<String>, OpenQuote> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        match (next, quote) {
            ('\\', _) => {
                let made = escape(&mut rest);
                word.get_or_insert_default().extend(made);
            }
            ('"' | '\'', None) => {
                quote = Some(next);
                word.get_or_insert_default();
            }
            (_, Some(open)) if open == next => quote = None,
            (' ' | '\t' | '\r' | '\n' | '\u{b}' | '\u{c}', None) => words.extend(word.take()),
            _ => word.get_or_insert_default().push(next),
        }
    }
    words.extend(word);
    match quote {
        Some(_) => Err(OpenQuote),
        None => Ok(words),
    }
}

/// What follows a backslash; nothing at the end of the text.
fn escape(rest: &mut std::str::Chars<'_>) -> Option<char> {
    let next = rest.next()?;
    Some(match next {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'E' => '\u{1b}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        'c' => char::from(rest.next().map_or(0, |key| (key as u32 & 0x1f) as u8)),
        'x' => digits(rest, 0, 16, 2),
        '0'..='7' => digits(rest, next.to_digit(8).unwrap_or(0), 8, 2),
        other => other,
    })
}

/// Up to `most` digits behind a value that has begun.
fn digits(rest: &mut std::str::Chars<'_>, mut value: u32, radix: u32, most: usize) -> char {
    for _ in 0..most {
        let Some(digit) = rest.clone().next().and_then(|next| next.to_digit(radix)) else {
            break;
        };
        rest.next();
        value = value * radix + digit;
    }
    char::from(u8::try_from(value & 0xff).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<String> {
        words(text).unwrap()
    }

    #[test]
    fn quotes_group_and_join() {
        assert_eq!(split(r#"a "b c" 'd "e'f"#), ["a", "b c", "d \"ef"]);
        assert_eq!(split(r#""" a"#), ["", "a"]);
        assert_eq!(split(""), Vec::<String>::new());
        assert_eq!(words("a 'b"), Err(OpenQuote));
    }

    #[test]
    fn escapes_apply_inside_and_outside_quotes() {
        assert_eq!(
            split(r"a\ b \x41\x4g \101 \t"),
            ["a b", "A\u{4}g", "A", "\t"]
        );
        assert_eq!(split(r#""a\ b" "\"""#), ["a b", "\""]);
        assert_eq!(split(r"\cC x\"), ["\u{3}", "x"]);
    }
}
