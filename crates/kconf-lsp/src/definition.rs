//! Where a name is defined: scripts, groups, instances, `$NAME`, included files.

use kconf_parser::Document;
use kconf_parser::document::{Directive, DirectiveKind};
use kconf_parser::tree::Statement;

use crate::context::{Context, words};

/// What the first word of a line of a list names: the list, and the keywords that define it.
const LISTS: &[(&str, &[&str])] = &[
    ("track_script", &["vrrp_script"]),
    ("track_file", &["vrrp_track_file", "track_file"]),
    ("track_process", &["vrrp_track_process"]),
    ("track_bfd", &["bfd_instance"]),
    ("group", &["vrrp_instance"]),
];

/// What the word behind another word names.
const BEHIND: &[(&str, &[&str])] = &[
    ("group", &["virtual_server_group"]),
    ("track_group", &["track_group"]),
    ("name", &["bfd_instance"]),
];

/// The name at a byte, and the keywords that could define it.
pub(crate) fn reference(
    document: &Document,
    offset: usize,
) -> Option<(&str, &'static [&'static str])> {
    let context = Context::at(document, offset);
    let at = context.word?;
    let all: Vec<&str> = words(context.statement?)
        .map(|word| document.slice(word.span))
        .collect();
    let name = *all.get(at)?;
    let block = context.block_name(document);
    // Words of a `group` stand on one line or on several.
    let by = match at == 0 || block == "group" {
        true => named_in(block)?,
        false => named_behind(all.get(at - 1)?)?,
    };
    Some((name, by))
}

/// The keywords that define what the lines of a list name.
pub(crate) fn named_in(list: &str) -> Option<&'static [&'static str]> {
    look_up(LISTS, list)
}

/// The keywords that define what stands behind a word.
pub(crate) fn named_behind(word: &str) -> Option<&'static [&'static str]> {
    look_up(BEHIND, word)
}

fn look_up(
    table: &[(&str, &'static [&'static str])],
    word: &str,
) -> Option<&'static [&'static str]> {
    let found = table.iter().find(|(known, _)| *known == word);
    found.map(|(_, by)| *by)
}

/// Statements of the top level that define something with one of these keywords.
pub(crate) fn defined<'d>(
    document: &'d Document,
    by: &'d [&str],
) -> impl Iterator<Item = (&'d str, &'d Statement)> {
    document.statements().iter().filter_map(move |one| {
        let keyword = document.slice(one.keyword.span);
        let name = one.args.first().filter(|_| by.contains(&keyword))?;
        Some((document.slice(name.span), one))
    })
}

/// The definition of `$NAME` that counts at a byte: the last one above it, or the first at all.
pub(crate) fn definition_of(document: &Document, name: &str, before: u32) -> Option<Directive> {
    let same = |found: &&Directive| {
        found.kind == DirectiveKind::Definition && document.slice(found.name) == name
    };
    let mut above = document.directives().iter().filter(same);
    let mut all = document.directives().iter().filter(same);
    above
        .rfind(|found| found.span.start < before)
        .or_else(|| all.next())
        .copied()
}
