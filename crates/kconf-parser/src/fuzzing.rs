//! What the fuzz targets call; the property tests call it, too.
//!
//! Each function takes anything at all and panics when a promise of this crate is broken.

use std::path::Path;

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::document::Document;
use crate::keyword::KeywordTable;
use crate::loader::MemoryLoader;
use crate::secret::Secrets;
use crate::tree::{self, Statement};
use crate::{Analysis, Options, analyze, render};

/// The tree of any text prints as text with the same tree, in which nothing is wrong.
pub fn structure(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let tokens = tree::tokenize(&text);
    let (first, _) = tree::build(&text, &tokens, &KeywordTable);
    let printed = tree::print(&first, &text, Secrets::Shown);
    let (second, problems) = tree::build(&printed, &tree::tokenize(&printed), &KeywordTable);
    if stray(&first) {
        return; // a `{` without a keyword would take the statement before it
    }
    assert_eq!(problems, [], "in {printed:?}");
    assert!(
        same(&first, &text, &second, &printed),
        "{text:?} became {printed:?}"
    );
}

/// Any text, cut into pieces and into nodes, prints as it was, through serde too.
pub fn lexer(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let document = Document::parse(text.as_ref());
    let mut at = 0;
    for piece in document.pieces() {
        assert_eq!(piece.span.start, at, "a gap in {text:?}");
        assert!(piece.span.end > at, "an empty piece in {text:?}");
        at = piece.span.end;
    }
    assert_eq!(at as usize, text.len(), "the end of {text:?}");
    let json = serde_json::to_string(&document).expect("nodes are plain data");
    let again: Document = serde_json::from_str(&json).expect("what was written can be read");
    assert_eq!(again.text(), text);
    assert_eq!(again.statements(), document.statements());
}

/// A formatted text formats to itself, and means what it meant: the same tree, values and problems.
pub fn format(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(formatted) = crate::format::format(&text) else {
        return;
    };
    assert_eq!(
        crate::format::format(&formatted).as_ref(),
        Ok(&formatted),
        "from {text:?}"
    );
    for id in ["node", ""] {
        let (before, after) = (formatted_from(&text, id), formatted_from(&formatted, id));
        // Where a lost brace belongs is guessed from the indentation, and limits count blanks.
        let guesses = [
            Code::MissingBrace,
            Code::ExtraBrace,
            Code::LineTooLong,
            Code::ExpansionLimit,
        ];
        if before
            .diagnostics
            .iter()
            .any(|found| guesses.contains(&found.code))
        {
            continue;
        }
        let (old, new) = (before.sources.text(), after.sources.text());
        assert!(
            same(&before.tree(), old, &after.tree(), new),
            "{text:?} became {formatted:?}"
        );
        assert_eq!(before.config, after.config, "{text:?} became {formatted:?}");
        let problems = |analysis: &Analysis| -> Vec<Code> {
            analysis
                .diagnostics
                .iter()
                .map(|found| found.code)
                .collect()
        };
        assert_eq!(
            problems(&before),
            problems(&after),
            "{text:?} became {formatted:?}"
        );
    }
}

/// Suggestions that are followed leave fewer problems and not more errors, and are all in the files.
pub fn fix(data: &[u8]) {
    let path = Path::new("/etc/keepalived/keepalived.conf");
    let loader = MemoryLoader::default()
        .with(path, data)
        .with("/etc/keepalived/a.conf", "wieght 3\n");
    let options = Options::default();
    let before = analyze(path, &options, &loader);
    let fixed = crate::fix::fix(path, &options, &loader);
    let (errors, after) = (before.count(Severity::Error), &fixed.analysis);
    assert!(after.count(Severity::Error) <= errors);
    assert!(after.diagnostics.len() <= before.diagnostics.len());
    assert_eq!(fixed.applied.is_empty(), fixed.files.is_empty());
    let mut loader = loader;
    for file in fixed.files {
        loader = loader.with(file.path, file.after);
    }
    let again = analyze(path, &options, &loader);
    assert_eq!(again.diagnostics, after.diagnostics);
}

fn formatted_from(text: &str, id: &str) -> Analysis {
    let path = Path::new("/etc/keepalived/keepalived.conf");
    let loader = MemoryLoader::default()
        .with(path, text)
        .with("/etc/keepalived/a.conf", "$B=b c\nweight 3\n$A\n");
    let options = Options {
        config_id: id.to_owned(),
        ..Options::default()
    };
    analyze(path, &options, &loader)
}

/// Any text is checked, rendered and checked again with the same result.
pub fn check(data: &[u8]) {
    let (head, tail) = data.split_at(data.len() / 2);
    let path = Path::new("/etc/keepalived/keepalived.conf");
    let loader = MemoryLoader::default()
        .with(path, data)
        .with("/etc/keepalived/a.conf", tail);
    let loader = loader.with("/etc/keepalived/b.conf", head);
    let options = Options {
        config_id: "node".to_owned(),
        ..Options::default()
    };
    let first = analyze(path, &options, &loader);
    for diagnostic in &first.diagnostics {
        check_places(&first, diagnostic);
    }
    let second = analyze(path, &options, &loader);
    assert_eq!(first.diagnostics, second.diagnostics);
    assert_eq!(first.config, second.config);
    let _ = render::human(&first, true);
    let _ = render::json(&[second]);
}

/// Every place of a diagnostic is a range of its file, between characters.
fn check_places(analysis: &Analysis, diagnostic: &Diagnostic) {
    let labels = std::iter::once(&diagnostic.primary).chain(&diagnostic.secondary);
    let places = labels.map(|label| label.place);
    for place in places.chain(diagnostic.suggestion.iter().map(|change| change.place)) {
        let file = analysis
            .sources
            .file(place.file)
            .expect("a place is in a file");
        let range = place.start as usize..place.end as usize;
        assert!(
            file.text().get(range).is_some(),
            "{place:?} in {diagnostic:?}"
        );
    }
    assert!(
        !diagnostic.message.contains('\n'),
        "{:?}",
        diagnostic.message
    );
}

/// Whether there is a block without a keyword.
fn stray(statements: &[Statement]) -> bool {
    any(statements, &|statement| {
        statement.keyword.outer().start == statement.keyword.outer().end
    })
}

fn any(statements: &[Statement], is: &dyn Fn(&Statement) -> bool) -> bool {
    statements.iter().any(|statement| {
        let inner = statement
            .block
            .as_ref()
            .map_or(&[][..], |block| &block.statements);
        is(statement) || any(inner, is)
    })
}

fn same(one: &[Statement], text: &str, other: &[Statement], printed: &str) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).all(|(one, other)| {
            let words = |statement: &Statement, text: &str| -> Vec<(String, bool)> {
                let words = std::iter::once(&statement.keyword).chain(&statement.args);
                words
                    .map(|word| (word.value(text).into_owned(), word.quoted))
                    .collect()
            };
            let blocks = match (&one.block, &other.block) {
                (Some(one), Some(other)) => same(&one.statements, text, &other.statements, printed),
                (None, None) => true,
                _ => false,
            };
            blocks && words(one, text) == words(other, printed)
        })
}
