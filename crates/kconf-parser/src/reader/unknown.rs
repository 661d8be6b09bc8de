//! Words that are no keyword of their block: what was meant, or where they belong.

use crate::diagnostic::{Code, Diagnostic};
use crate::keyword::{BlockKind, REMOVED};
use crate::report::Report;
use crate::source::Span;
use crate::tree::Statement;

/// Words of other blocks, and what means the same in the block where they turn up.
const SYNONYMS: &[(&str, &str)] = &[
    ("lb_kind", "lvs_method"),
    ("nb_get_retry", "retry"),
    ("script", "misc_path"),
];

/// Reports a statement whose keyword its block does not have. Returns the keyword that most likely
/// was meant.
pub(super) fn report(
    report: &mut Report<'_>,
    block: BlockKind,
    path: &[(BlockKind, Span)],
    statement: &Statement,
) -> Option<&'static str> {
    let word = report.slice(statement.keyword.span);
    let span = statement.keyword.outer();
    if let Some((_, _, reason)) = REMOVED
        .iter()
        .find(|(kind, name, _)| *kind == block && *name == word)
    {
        let message = format!("`{word}` does not exist any more: {reason}");
        let whole = report.place(statement.span());
        let diagnostic = report.error(Code::RemovedKeyword, span, message);
        report.push(diagnostic.suggest(whole, ""));
        return None;
    }
    if let Some(own) = joined_by_equals(report, block, span, word) {
        return Some(own);
    }
    let elsewhere: Vec<BlockKind> = BlockKind::ALL
        .iter()
        .copied()
        .filter(|kind| *kind != block && kind.keyword(word).is_some())
        .collect();
    let near = report.nearest_keyword(word, block);
    // What somebody put a level too deep or too high is more likely than a typing mistake;
    // between blocks that have nothing to do with each other it is the other way round.
    let related = elsewhere.iter().any(|kind| related(*kind, block, path));
    let synonym = SYNONYMS
        .iter()
        .find(|(other, own)| *other == word && block.keyword(own).is_some());
    let own = match (synonym, near.or_else(|| part_of(word, block))) {
        (Some((_, own)), _) => Some(*own),
        (_, Some(near)) if !related || elsewhere.is_empty() => Some(near),
        _ => None,
    };
    let diagnostic = match own {
        Some(own) => meant(report, block, span, word, own),
        None if !elsewhere.is_empty() => {
            misplaced(report, block, statement, word, &elsewhere, path)
        }
        None => nothing_like_it(report, block, span, word),
    };
    let diagnostic = match &statement.block {
        Some(_) => {
            let help = match diagnostic.help.as_deref() {
                Some(help) => format!("{help}; its block is skipped"),
                None => "its block is skipped".to_owned(),
            };
            diagnostic.help(help)
        }
        None => diagnostic,
    };
    report.push(diagnostic);
    own
}

/// `priority=100`, as other programs have it.
fn joined_by_equals(
    report: &mut Report<'_>,
    block: BlockKind,
    span: Span,
    word: &str,
) -> Option<&'static str> {
    let (name, value) = word.split_once('=')?;
    let own = block.keyword(name)?.name;
    let place = report.place(span);
    let diagnostic = unknown(report, block, span, word)
        .label("a blank stands between a keyword and its value")
        .suggest(place, format!("{own} {value}").trim_end());
    report.push(diagnostic);
    Some(own)
}

fn unknown(report: &Report<'_>, block: BlockKind, span: Span, word: &str) -> Diagnostic {
    let message = format!("unknown keyword `{word}` {}", place_name(block));
    report.error(Code::UnknownKeyword, span, message)
}

fn meant(
    report: &Report<'_>,
    block: BlockKind,
    span: Span,
    word: &str,
    near: &'static str,
) -> Diagnostic {
    let place = report.place(span);
    unknown(report, block, span, word)
        .label(format!("did you mean `{near}`?"))
        .suggest(place, near)
}

fn nothing_like_it(
    report: &mut Report<'_>,
    block: BlockKind,
    span: Span,
    word: &str,
) -> Diagnostic {
    let all = BlockKind::ALL
        .iter()
        .flat_map(|kind| kind.keywords().map(|keyword| keyword.name));
    let near = report.nearest(word, all);
    let diagnostic = unknown(report, block, span, word);
    let home = near.and_then(|near| {
        let home = BlockKind::ALL
            .iter()
            .find(|kind| kind.keyword(near).is_some())?;
        Some((near, *home))
    });
    match home {
        Some((near, home)) => diagnostic.help(format!(
            "there is a `{near}`, which belongs {}",
            place_name(home)
        )),
        None => diagnostic.help("keepalived skips the line"),
    }
}

/// A keyword of another block.
fn misplaced(
    report: &Report<'_>,
    block: BlockKind,
    statement: &Statement,
    word: &str,
    homes: &[BlockKind],
    path: &[(BlockKind, Span)],
) -> Diagnostic {
    let span = statement.keyword.outer();
    let around = path
        .iter()
        .rev()
        .skip(1)
        .find(|(kind, _)| kind.keyword(word).is_some());
    if let Some((kind, head)) = around {
        let (wrong, right) = (place_name(block), place_name(*kind));
        let message = format!("`{word}` does not belong {wrong}, but {right}");
        let text = format!("this `{}` can have it", kind.name());
        let diagnostic = report.error(Code::MisplacedKeyword, span, message);
        return diagnostic
            .also(report.place(*head), text)
            .help("move the line out of the inner block");
    }
    let mut names: Vec<String> = Vec::new();
    let mut ordered = homes.to_vec();
    ordered.sort_by_key(|home| !related(*home, block, path));
    let near_only = ordered
        .first()
        .is_some_and(|home| related(*home, block, path));
    for home in ordered {
        let name = place_name(home);
        let wanted = related(home, block, path) || !near_only;
        if wanted && !names.contains(&name) && names.len() < 3 {
            names.push(name);
        }
    }
    let message = format!(
        "`{word}` does not belong {}, but {}",
        place_name(block),
        names.join(" or ")
    );
    report
        .error(Code::MisplacedKeyword, span, message)
        .help("keepalived skips the line")
}

/// Whether two blocks are so near each other that a line easily ends up in the wrong one.
fn related(home: BlockKind, block: BlockKind, path: &[(BlockKind, Span)]) -> bool {
    let checker =
        |kind: BlockKind| kind.name().ends_with("_CHECK") || kind.name().ends_with("_GET");
    let around = path.iter().any(|(kind, _)| *kind == home);
    let inside = block
        .keywords()
        .any(|keyword| keyword.shape.block_kind() == Some(home));
    let inside_that = block
        .keywords()
        .filter_map(|keyword| keyword.shape.block_kind())
        .any(|inner| {
            inner
                .keywords()
                .any(|keyword| keyword.shape.block_kind() == Some(home))
        });
    let first_level = block == BlockKind::Root && inside;
    around
        || (inside && !first_level)
        || inside_that && block != BlockKind::Root
        || checker(home) && checker(block)
        || block == BlockKind::Root && !checker(home)
        || home == BlockKind::Root
}

/// A keyword that has the word as a part, `connect_timeout` for `timeout`, or begins as the word
/// does, `protocol` for `proto`.
fn part_of(word: &str, block: BlockKind) -> Option<&'static str> {
    let names = || block.keywords().map(|keyword| keyword.name);
    if word.len() < 3 {
        return None;
    }
    let mut parts = names().filter(|name| name.split(['_', '-']).any(|part| part == word));
    if let (Some(only), None) = (parts.next(), parts.next()) {
        return Some(only);
    }
    let common = |name: &str| {
        let pairs = name.bytes().zip(word.bytes());
        pairs.take_while(|(known, typed)| known == typed).count()
    };
    let enough = |name: &&str| common(name) >= 4.max(name.len().min(word.len()) * 3 / 5);
    names()
        .filter(enough)
        .max_by_key(|name| (common(name), usize::MAX - name.len()))
}

/// Where, in words.
fn place_name(block: BlockKind) -> String {
    match block {
        BlockKind::Root => "at the top level".to_owned(),
        block => format!("in `{}`", block.name()),
    }
}
