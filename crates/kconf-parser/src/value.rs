//! Reads the arguments of a keyword by the shape that the table gives it.
//!
//! # Design
//!
//! One function for each kind of value. What is wrong is said with its consequence and, where
//! there is one, the text to write instead; the value is then absent and everything else goes
//! on. [`Args`] knows where a `//` begins what somebody took for a comment, so that the words
//! before it still count.

mod address;
mod list;
mod number;
mod script;
mod service;

use crate::ast::Value;
use crate::config::ScriptUser;
use crate::diagnostic::{Code, Diagnostic};
use crate::keyword::{Keyword, Shape};
use crate::report::Report;
use crate::source::Span;
use crate::tree::Word;

pub(crate) use address::{parse_address, parse_network};
pub(crate) use list::option_number;
pub(crate) use number::parse_decimal;
pub(crate) use service::group_range;

/// The arguments of a statement, taken one by one.
pub(crate) struct Args<'r, 'a> {
    pub(crate) report: &'r mut Report<'a>,
    /// The keyword in the text.
    pub(crate) keyword: Word,
    words: &'r [Word],
    at: usize,
    /// Index of the word that begins a `//` comment.
    slash: usize,
}

impl<'r, 'a> Args<'r, 'a> {
    /// `text_first` says that the first argument is free text, which may begin with `//`.
    pub(crate) fn new(
        report: &'r mut Report<'a>,
        keyword: Word,
        words: &'r [Word],
        text_first: bool,
    ) -> Self {
        let slash = slash_comment(report, words, usize::from(text_first));
        Self {
            report,
            keyword,
            words,
            at: 0,
            slash,
        }
    }

    /// The next word.
    pub(crate) fn next(&mut self) -> Option<Word> {
        let word = self.peek()?;
        self.at += 1;
        Some(word)
    }

    /// The next word, left where it is.
    pub(crate) fn peek(&self) -> Option<Word> {
        self.words
            .get(self.at)
            .copied()
            .filter(|_| self.at < self.slash)
    }

    /// The next word, which must be there: `what` says what it is.
    pub(crate) fn required(&mut self, what: &str) -> Option<Word> {
        if let Some(word) = self.next() {
            return (!self.placeholder(word)).then_some(word);
        }
        let name = self.text(self.keyword);
        let message = format!("`{name}` needs {what}");
        let place = self.keyword.outer();
        let help = "keepalived stops at once with status 2 when it reads this line";
        let diagnostic = self
            .report
            .error(Code::MissingValue, place, message)
            .help(help);
        self.report.push(diagnostic);
        None
    }

    /// All words that are left.
    pub(crate) fn rest(&mut self) -> &'r [Word] {
        let end = self.slash.min(self.words.len());
        let rest = self.words.get(self.at..end).unwrap_or_default();
        self.at = end;
        rest
    }

    /// The last word before a `//` comment.
    pub(crate) fn last_word(&self) -> Option<Word> {
        let end = self.slash.min(self.words.len());
        self.words.get(..end)?.last().copied()
    }

    /// How many words are left.
    fn left(&self) -> usize {
        self.slash.min(self.words.len()).saturating_sub(self.at)
    }

    /// All that is left, as one span.
    fn remaining(&self) -> Option<Span> {
        let rest = self.words.get(self.at..self.slash.min(self.words.len()))?;
        Some(rest.first()?.outer().to(rest.last()?.outer()))
    }

    /// The text of a word.
    pub(crate) fn text(&self, word: Word) -> &'a str {
        self.report.slice(word.span)
    }

    /// Says something about a word and takes it as wrong.
    pub(crate) fn wrong<T>(&mut self, diagnostic: Diagnostic) -> Option<T> {
        self.report.push(diagnostic);
        None
    }

    /// Reports a word such as `<IPADDR>`, left over from a template.
    pub(crate) fn placeholder(&mut self, word: Word) -> bool {
        let text = self.text(word);
        let is_placeholder = !word.quoted && text.starts_with('<');
        if is_placeholder {
            let message = format!("`{text}` is a placeholder of a template");
            let help = "write the value that it stands for, or delete the line";
            let diagnostic = self
                .report
                .error(Code::Placeholder, word.outer(), message)
                .help(help);
            self.report.push(diagnostic);
        }
        is_placeholder
    }

    /// Reports what stands behind the value.
    pub(crate) fn finish(&mut self, siblings: impl Fn(&str) -> bool) {
        let left = self.rest();
        if let (Some(first), Some(last)) = (left.first(), left.last()) {
            let span = first.outer().to(last.outer());
            let (name, text) = (self.text(self.keyword), self.report.slice(span));
            let message = match left.len() {
                1 => format!("`{text}` is not read: it stands behind the value of `{name}`"),
                _ => {
                    format!("`{text}` is not read: these words stand behind the value of `{name}`")
                }
            };
            let mut diagnostic = self.report.warning(Code::TrailingWords, span, message);
            if siblings(self.text(*first)) {
                let help = format!("`{}` must begin a line of its own", self.text(*first));
                diagnostic = diagnostic.help(help);
            }
            self.report.push(diagnostic);
        }
        if let (Some(first), Some(last)) = (self.words.get(self.slash), self.words.last()) {
            let span = first.outer().to(last.outer());
            self.report.push(slash_diagnostic(self.report, span, false));
        }
    }
}

/// Index of the first word that begins what was meant as a `//` comment.
fn slash_comment(report: &Report<'_>, words: &[Word], from: usize) -> usize {
    let is_slash = |word: &Word| !word.quoted && report.slice(word.span).starts_with("//");
    let found = words.iter().skip(from).position(is_slash);
    found.map_or(usize::MAX, |found| found + from)
}

/// `//` where a comment was meant. As a statement of its own it is an unknown keyword.
pub(crate) fn slash_diagnostic(report: &Report<'_>, span: Span, own_line: bool) -> Diagnostic {
    let message = "`//` does not start a comment; use `#` or `!`";
    let slashes = Span {
        start: span.start,
        end: span.start + 2,
    };
    let diagnostic = match own_line {
        true => report
            .error(Code::SlashComment, span, message)
            .help("keepalived takes the word for an unknown keyword"),
        false => report
            .warning(Code::SlashComment, span, message)
            .help("the words are ignored as long as the keyword needs no more of them"),
    };
    diagnostic.suggest(report.place(slashes), "#")
}

/// Whether the first argument is free text that may begin with `//`.
pub(crate) fn takes_text(shape: Shape) -> bool {
    matches!(
        shape,
        Shape::Word
            | Shape::OptWord
            | Shape::Script
            | Shape::OptScript
            | Shape::Regex
            | Shape::Fifo
    )
}

/// Reads the arguments of a keyword. `None` if they are wrong, which has then been said.
///
/// Blocks are not read here, only the words before them.
pub(crate) fn read(keyword: &'static Keyword, args: &mut Args<'_, '_>) -> Option<Value> {
    match keyword.shape {
        Shape::Flag => {
            flag_argument(args);
            Some(Value::None)
        }
        Shape::Bool => boolean(args),
        Shape::Int { min, max } => {
            number::integer(args, keyword, min, max, "a whole number").map(Value::Int)
        }
        Shape::OptInt { min, max } => match args.peek() {
            None => Some(Value::None),
            Some(_) => number::integer(args, keyword, min, max, "a whole number").map(Value::Int),
        },
        Shape::Seconds { min, max } => number::seconds(args, keyword, min, max).map(Value::Time),
        Shape::OptSeconds { min, max } => match args.peek() {
            None => Some(Value::None),
            Some(_) => number::seconds(args, keyword, min, max).map(Value::Time),
        },
        Shape::Decimal { min, max } => number::decimal(args, keyword, min, max).map(Value::Time),
        Shape::Word => args.required("a value").map(Value::Word),
        Shape::OptWord => match args.next() {
            Some(word) => (!args.placeholder(word)).then_some(Value::Word(word)),
            None => Some(Value::None),
        },
        Shape::Words { min, max } => words(args, min, max),
        Shape::OptWords { max } => words(args, 0, max),
        Shape::Choice(choices) => {
            let word = args.required("a value")?;
            choice(args, word, choices, false).map(Value::Choice)
        }
        Shape::AnyCase(choices) => {
            let word = args.required("a value")?;
            choice(args, word, choices, true).map(Value::Choice)
        }
        Shape::OptChoice(choices) => match args.next() {
            Some(word) => choice(args, word, choices, false).map(Value::Choice),
            None => Some(Value::None),
        },
        Shape::Address => address::address(args).map(Value::Address),
        Shape::Address4 => address::of_family(args, true).map(Value::Address),
        Shape::Address6 => address::of_family(args, false).map(Value::Address),
        Shape::AddressPort => address::address_port(args),
        Shape::HostPort => address::host_port(args),
        Shape::Script => script::script(args).map(|script| Value::Script(Box::new(script))),
        Shape::OptScript => match args.peek() {
            None => Some(Value::None),
            Some(_) => script::script(args).map(|script| Value::Script(Box::new(script))),
        },
        Shape::Regex => script::regex(args).map(|pattern| Value::Regex(pattern.into())),
        Shape::User => {
            let user = args.required("a user")?;
            Some(Value::User(Box::new(owner(args, user))))
        }
        Shape::Fifo => {
            let path = args.required("a path")?;
            let user = args.next().map(|user| Box::new(owner(args, user)));
            Some(Value::Fifo(path, user))
        }
        Shape::Millis { min, max } => number::millis(args, keyword, min, max).map(Value::Time),
        Shape::Extra { min, max } => {
            let all = args.peek().is_some_and(|word| args.text(word) == "all");
            if all {
                args.next();
            }
            let interval = number::seconds(args, keyword, min, max)?;
            Some(Value::Extra { all, interval })
        }
        Shape::Weight { min, max } => number::weight(args, keyword, min, max),
        Shape::Method => service::method(args).map(Value::Method),
        Shape::Scheduler => service::scheduler(args).map(Value::Scheduler),
        Shape::Protocol => service::protocol(args).map(Value::Protocol),
        Shape::Netmask => address::netmask(args).map(Value::Granularity),
        Shape::Digest => list::digest(args).map(Value::Digest),
        Shape::StatusCodes => {
            list::status_codes(args).map(|codes| Value::StatusCodes(codes.into()))
        }
        Shape::LvsTimeouts => Some(Value::LvsTimeouts(Box::new(list::lvs_timeouts(args)))),
        Shape::SyncDaemon => list::sync_daemon(args).map(|made| Value::SyncDaemon(Box::new(made))),
        Shape::Umask => number::umask(args).map(Value::Int),
        Shape::Service => service::target(args).map(Value::Target),
        Shape::Server(_) => address::address_port(args),
        Shape::NamedBlock(_) | Shape::NamedEntries(_) => args.required("a name").map(Value::Word),
        Shape::Block(_) | Shape::WordList | Shape::Entries(_) => Some(Value::None),
    }
}

/// `true`, `on`, `yes` or nothing; `false`, `off`, `no`.
fn boolean(args: &mut Args<'_, '_>) -> Option<Value> {
    const WORDS: &[&str] = &["true", "on", "yes", "false", "off", "no"];
    let Some(word) = args.next() else {
        return Some(Value::Bool(true));
    };
    let chosen = choice(args, word, WORDS, false)?;
    Some(Value::Bool(matches!(chosen, "true" | "on" | "yes")))
}

/// An argument of a flag that looks as if it could switch it off.
fn flag_argument(args: &mut Args<'_, '_>) {
    let Some(word) = args.peek() else {
        return;
    };
    let text = args.text(word);
    match text {
        "off" | "no" | "false" | "0" => {
            args.next();
            let name = args.text(args.keyword);
            let message = format!("`{name} {text}` switches `{name}` on: it takes no argument");
            let help = format!("to have it off, leave the line out; to have it on, write `{name}`");
            let place = args.keyword.outer().to(word.outer());
            let diagnostic = args
                .report
                .warning(Code::FlagArgument, place, message)
                .help(help);
            args.report.push(diagnostic);
        }
        // Harmless: what is written is what happens.
        "on" | "yes" | "true" | "1" => {
            args.next();
        }
        _ => {}
    }
}

fn words(args: &mut Args<'_, '_>, min: usize, max: usize) -> Option<Value> {
    let mut words = Vec::new();
    while words.len() < max {
        let word = match words.len() < min {
            true => args.required("more values")?,
            false => match args.next() {
                Some(word) => word,
                None => break,
            },
        };
        words.push(word);
    }
    Some(Value::Words(words.into()))
}

/// One of some words; `any_case` ignores the case of letters.
pub(crate) fn choice(
    args: &mut Args<'_, '_>,
    word: Word,
    choices: &'static [&'static str],
    any_case: bool,
) -> Option<&'static str> {
    if args.placeholder(word) {
        return None;
    }
    let text = args.text(word);
    let same = |known: &&&str| match any_case {
        true => known.eq_ignore_ascii_case(text),
        false => **known == text,
    };
    if let Some(found) = choices.iter().find(same) {
        return Some(found);
    }
    let name = args.text(args.keyword);
    let list = choices.join(", ");
    let span = word.outer();
    if text.contains('|') {
        let message = format!("`{text}` lists what may stand here; one of it must be chosen");
        let help = format!("`{name}` is one of: {list}");
        let diagnostic = args
            .report
            .error(Code::Placeholder, span, message)
            .help(help);
        return args.wrong(diagnostic);
    }
    let message = format!("`{text}` is not a value of `{name}`");
    let mut diagnostic = args.report.error(Code::BadChoice, span, message);
    let meant = args
        .report
        .nearest(text, choices.iter().copied())
        .or_else(|| {
            // Of a few short words, the one that begins alike and differs by half is still telling.
            let alike = |known: &&&str| {
                known.len() >= 3
                    && known.as_bytes().first().map(u8::to_ascii_uppercase)
                        == text.as_bytes().first().map(u8::to_ascii_uppercase)
                    && text.len() <= 16
                    && strsim::damerau_levenshtein(known, text) <= known.len() / 2
            };
            choices.iter().find(alike).copied()
        });
    if let Some(meant) = meant {
        let place = args.report.place(word.span);
        diagnostic = diagnostic
            .label(format!("did you mean `{meant}`?"))
            .suggest(place, meant);
    }
    args.wrong(diagnostic.help(format!("one of: {list}")))
}

/// A user and perhaps a group.
pub(crate) fn owner(args: &mut Args<'_, '_>, user: Word) -> ScriptUser {
    let (user, group) = match args.text(user).split_once(':') {
        Some((user, group)) => (user.to_owned(), Some(group.to_owned())),
        None => (args.text(user).to_owned(), None),
    };
    let group = group.or_else(|| {
        let word = args.next()?;
        Some(args.text(word).trim_start_matches(':').to_owned())
    });
    ScriptUser {
        user,
        group: group.filter(|group| !group.is_empty()),
    }
}
