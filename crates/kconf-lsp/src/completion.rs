//! What can stand at a place.

use kconf_parser::Document;
use kconf_parser::config::Scheduler;
use kconf_parser::document::DirectiveKind;
use kconf_parser::explain::explain_block;
use kconf_parser::keyword::{BlockKind, Shape};

use crate::context::Context;
use crate::definition::{defined, named_behind, named_in};
use crate::hover::markdown;

/// What a proposal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Keyword,
    Block,
    Value,
    Name,
}

/// Something that can stand at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proposal {
    pub(crate) label: String,
    pub(crate) kind: Kind,
    /// A line about it.
    pub(crate) detail: String,
    /// More about it, in Markdown.
    pub(crate) text: String,
    /// Whether it has a newer name.
    pub(crate) old: bool,
}

impl Proposal {
    fn short(label: impl Into<String>, kind: Kind) -> Self {
        Self {
            label: label.into(),
            kind,
            detail: String::new(),
            text: String::new(),
            old: false,
        }
    }
}

/// Proposals for a byte of a file; names come from all files of the configuration.
pub(crate) fn complete(document: &Document, offset: usize, files: &[Document]) -> Vec<Proposal> {
    let head = document.text().get(..offset).unwrap_or_default();
    let line = head.rsplit('\n').next().unwrap_or_default();
    if line.contains(['#', '!']) {
        return Vec::new();
    }
    // Behind `$` or `${` the names of definitions.
    let word = line
        .rsplit([' ', '\t', '"', '{', ',', '('])
        .next()
        .unwrap_or_default();
    let in_braces = line
        .strip_suffix(word)
        .is_some_and(|before| before.ends_with("${"));
    if word.starts_with('$') || in_braces {
        return definitions(document, in_braces);
    }
    let context = Context::at(document, offset);
    let before = words_before(line);
    match before.as_slice() {
        [] => first_word(document, &context, files),
        [.., last] => arguments(document, &context, before.len(), before[0], last, files),
    }
}

/// Complete words of the statement on a line, before the one that the cursor is in.
fn words_before(line: &str) -> Vec<&str> {
    let statement = line.rsplit(['{', '}']).next().unwrap_or_default();
    let complete = statement.ends_with([' ', '\t']);
    let mut words: Vec<&str> = statement.split_ascii_whitespace().collect();
    if !complete {
        words.pop();
    }
    words.retain(|word| !word.starts_with('@'));
    words
}

fn definitions(document: &Document, in_braces: bool) -> Vec<Proposal> {
    let found = document.directives().iter();
    let names = found
        .filter(|found| found.kind == DirectiveKind::Definition)
        .map(|found| document.slice(found.name));
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.dedup();
    let label = |name: &str| match in_braces {
        true => name.to_owned(),
        false => format!("${name}"),
    };
    names
        .into_iter()
        .map(|name| Proposal::short(label(name), Kind::Name))
        .collect()
}

fn first_word(document: &Document, context: &Context<'_>, files: &[Document]) -> Vec<Proposal> {
    if let Some(kind) = context.kind(document) {
        return keywords(kind);
    }
    let block = context.block_name(document);
    match named_in(block) {
        Some(by) => names(files, by),
        None => Vec::new(),
    }
}

fn keywords(kind: BlockKind) -> Vec<Proposal> {
    let told = explain_block(kind);
    told.map(|told| Proposal {
        label: told.keyword.to_owned(),
        kind: match told.syntax.ends_with('}') {
            true => Kind::Block,
            false => Kind::Keyword,
        },
        detail: told.syntax.clone(),
        text: markdown(&told),
        old: told.renamed.is_some(),
    })
    .collect()
}

fn arguments(
    document: &Document,
    context: &Context<'_>,
    position: usize,
    keyword: &str,
    last: &str,
    files: &[Document],
) -> Vec<Proposal> {
    if let Some(by) = named_behind(last) {
        return names(files, by);
    }
    let values = |words: &[&str]| -> Vec<Proposal> {
        words
            .iter()
            .map(|word| Proposal::short(*word, Kind::Value))
            .collect()
    };
    let Some(row) = context
        .kind(document)
        .and_then(|kind| kind.keyword(keyword))
    else {
        return match context.shape(document) {
            Some(Shape::Entries(kind) | Shape::NamedEntries(kind)) => kind
                .options()
                .iter()
                .map(|option| Proposal::short(option.name, Kind::Value))
                .collect(),
            _ => Vec::new(),
        };
    };
    match row.shape {
        _ if position > 1 => Vec::new(),
        Shape::Choice(words) | Shape::AnyCase(words) | Shape::OptChoice(words) => values(words),
        Shape::Bool => values(&["on", "off"]),
        Shape::Protocol => values(&["TCP", "UDP", "SCTP"]),
        Shape::Method => values(&["NAT", "DR", "TUN"]),
        Shape::Scheduler => values(&Scheduler::ALL.map(Scheduler::name)),
        Shape::Service => values(&["fwmark", "group"]),
        _ => Vec::new(),
    }
}

fn names(files: &[Document], by: &[&str]) -> Vec<Proposal> {
    let found = files.iter().flat_map(|file| defined(file, by));
    let mut names: Vec<&str> = found.map(|(name, _)| name).collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .map(|name| Proposal::short(name, Kind::Name))
        .collect()
}
