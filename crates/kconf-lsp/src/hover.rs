//! What a keyword or a name means.

use std::fmt::Write as _;

use kconf_parser::Document;
use kconf_parser::document::DirectiveKind;
use kconf_parser::explain::{KeywordExplanation, explain_keyword};
use kconf_parser::source::Span;

use crate::context::{Context, directive};
use crate::definition::definition_of;

/// Markdown about what stands at a byte, and its place.
pub(crate) fn hover(document: &Document, offset: usize) -> Option<(String, Span)> {
    if let Some(used) = directive(document, offset, &[DirectiveKind::Use]) {
        let name = document.slice(used.name);
        let definition = definition_of(document, name, used.span.start)?;
        let text = document.slice(definition.span);
        return Some((format!("```\n{text}\n```"), used.span));
    }
    let context = Context::at(document, offset);
    let statement = context.statement.filter(|_| context.word == Some(0))?;
    let name = document.slice(statement.keyword.span);
    let kind = context.kind(document);
    // In a list the first word is a value.
    if kind.is_none() && context.shape(document).is_some() {
        return None;
    }
    let mut told = explain_keyword(name, kind.map(|kind| kind.name()));
    if told.is_empty() {
        // A file of its own that is included in a block.
        told = explain_keyword(name, None);
    }
    let texts: Vec<String> = told.iter().map(markdown).collect();
    (!texts.is_empty()).then(|| (texts.join("\n\n---\n\n"), statement.keyword.outer()))
}

/// A keyword as Markdown.
pub(crate) fn markdown(told: &KeywordExplanation) -> String {
    let mut text = format!("```\n{}\n```\n{}.\n", told.syntax, told.doc);
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = write!(text, "\n- {name}: {value}");
        }
    };
    line("in", &told.path.join(" > "));
    line("value", &told.value);
    line("default", told.default);
    line("lvskit", told.effect);
    if let Some(new) = told.renamed {
        line("old name of", &format!("`{new}`"));
    }
    text
}
