//! Collects diagnostics while text is being read.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::keyword::BlockKind;
use crate::source::{Place, SourceMap, Span};
use crate::suggest;

/// Suggestions are looked for this many times; a file with more unknown words is no
/// configuration.
const MAX_SEARCHES: usize = 1_000;

/// Where diagnostics go; knows the way from spans to places.
pub(crate) struct Report<'a> {
    sources: &'a SourceMap,
    found: Vec<Diagnostic>,
    /// How many of them are about the text itself.
    of_text: usize,
    /// How often a problem came from a place that was expanded; only the first time is told.
    repeated: HashMap<(Code, Place), usize>,
    searches: usize,
    /// Places where a definition is used: text suggested for its value does not fit there.
    expanded: OnceCell<HashSet<Place>>,
}

impl<'a> Report<'a> {
    pub(crate) fn new(sources: &'a SourceMap, found: Vec<Diagnostic>) -> Self {
        Self {
            sources,
            found,
            of_text: 0,
            repeated: HashMap::new(),
            searches: 0,
            expanded: OnceCell::new(),
        }
    }

    pub(crate) fn place(&self, span: Span) -> Place {
        self.sources.place(span)
    }

    /// Number of the line that a place begins in.
    pub(crate) fn line(&self, place: Place) -> u32 {
        self.sources.location(place).line
    }

    /// The whole expanded text.
    pub(crate) fn text(&self) -> &'a str {
        self.sources.text()
    }

    pub(crate) fn slice(&self, span: Span) -> &'a str {
        self.sources.slice(span)
    }

    /// An error about a span.
    pub(crate) fn error(&self, code: Code, span: Span, message: impl Into<String>) -> Diagnostic {
        self.expanded(Diagnostic::error(code, self.place(span), message), span)
    }

    /// A warning about a span.
    pub(crate) fn warning(&self, code: Code, span: Span, message: impl Into<String>) -> Diagnostic {
        self.expanded(Diagnostic::warning(code, self.place(span), message), span)
    }

    fn expanded(&self, diagnostic: Diagnostic, span: Span) -> Diagnostic {
        match self.sources.definition(span) {
            Some(definition) => diagnostic.also(definition, "the text comes from this definition"),
            None => diagnostic,
        }
    }

    /// Takes a diagnostic in; the same problem at the same place counts once.
    pub(crate) fn push(&mut self, mut diagnostic: Diagnostic) {
        let expanded = || self.sources.expanded_places().collect();
        if let Some(suggestion) = &diagnostic.suggestion
            && self
                .expanded
                .get_or_init(expanded)
                .contains(&suggestion.place)
        {
            diagnostic.suggestion = None;
        }
        let times = self
            .repeated
            .entry((diagnostic.code, diagnostic.primary.place))
            .or_default();
        *times += 1;
        if *times == 1 {
            self.found.push(diagnostic);
        }
    }

    /// The nearest of some words, if one is near enough.
    pub(crate) fn nearest<'w>(
        &mut self,
        word: &str,
        candidates: impl Iterator<Item = &'w str>,
    ) -> Option<&'w str> {
        self.searches += 1;
        (self.searches <= MAX_SEARCHES)
            .then(|| suggest::nearest(word, candidates))
            .flatten()
    }

    /// The nearest keyword of a block.
    pub(crate) fn nearest_keyword(&mut self, word: &str, block: BlockKind) -> Option<&'static str> {
        self.nearest(word, block.keywords().map(|keyword| keyword.name))
    }

    /// What comes from here on is about what the text means.
    pub(crate) fn text_is_read(&mut self) {
        self.of_text = self.found.len();
    }

    /// All diagnostics, in the order of the text; but errors in the text itself come before what
    /// may only follow from them, such as something that is missing.
    pub(crate) fn finish(mut self) -> Vec<Diagnostic> {
        let is_error = |found: &Diagnostic| found.severity == Severity::Error;
        let (of_text, of_meaning) = self.found.split_at_mut(self.of_text);
        if of_text.iter().any(is_error) {
            in_order(of_text);
            in_order(of_meaning);
        } else {
            in_order(&mut self.found);
        }
        self.found
    }
}

fn in_order(found: &mut [Diagnostic]) {
    found.sort_by_key(|diagnostic| {
        let place = diagnostic.primary.place;
        (place.file, place.start, diagnostic.code)
    });
}
