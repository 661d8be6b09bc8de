//! From the tree to the configuration as written, by the table of keywords.
//!
//! # Design
//!
//! Every statement is judged for itself: a wrong one is reported and left out, its neighbours
//! never notice. An unknown block is skipped with all that is in it, as one problem.

mod entry;
mod structure;
mod unknown;

use crate::ast::{Block, Setting, Value};
use crate::diagnostic::Code;
use crate::keyword::{BlockKind, Keyword, Shape};
use crate::report::Report;
use crate::source::Span;
use crate::tree::{self, Statement, Word};
use crate::value::{self, Args};

pub(crate) use structure::report_problems;

/// Reads all statements of the top level.
pub(crate) fn read(statements: &[Statement], report: &mut Report<'_>) -> Block {
    let root = Block {
        kind: BlockKind::Root,
        head: Span::default(),
        name: Some(Value::None),
        settings: Vec::new(),
        blocks: Vec::new(),
        misspelt: Vec::new(),
    };
    Reader {
        report,
        path: Vec::new(),
    }
    .block(root, statements)
}

struct Reader<'r, 'a> {
    report: &'r mut Report<'a>,
    /// The blocks around the one being read, with the place of each; the top level is left out.
    path: Vec<(BlockKind, Span)>,
}

impl Reader<'_, '_> {
    fn block(&mut self, mut block: Block, statements: &[Statement]) -> Block {
        let blocks = statements.iter().filter(|it| it.block.is_some()).count();
        block.settings.reserve_exact(statements.len() - blocks);
        block.blocks.reserve_exact(blocks);
        for statement in statements {
            self.statement(&mut block, statement);
        }
        block.settings.shrink_to_fit();
        block.blocks.shrink_to_fit();
        block
    }

    fn statement(&mut self, block: &mut Block, statement: &Statement) {
        let name = self.report.slice(statement.keyword.span);
        // A stray brace; the structure is reported elsewhere.
        if statement.keyword.outer().start == statement.keyword.outer().end {
            return;
        }
        if !statement.keyword.quoted && name.starts_with("//") {
            let span = statement.span();
            self.report
                .push(value::slash_diagnostic(self.report, span, true));
            return;
        }
        let Some(keyword) = block.kind.keyword(name) else {
            let meant = unknown::report(self.report, block.kind, &self.path, statement);
            block.misspelt.extend(meant);
            return;
        };
        self.renamed(keyword, statement.keyword);
        match &statement.block {
            Some(body) if !keyword.shape.has_block() => {
                self.unexpected_block(block, keyword, statement, body);
            }
            Some(body) => self.with_block(block, keyword, statement, body),
            None if keyword.shape.has_block() => self.missing_block(block, keyword, statement),
            None => {
                let value = self.arguments(block.kind, keyword, statement);
                block.settings.push(setting(keyword, statement, value));
            }
        }
    }

    /// The words between the keyword and its end or block.
    fn arguments(
        &mut self,
        kind: BlockKind,
        keyword: &'static Keyword,
        statement: &Statement,
    ) -> Option<Value> {
        let text_first = value::takes_text(keyword.shape);
        let words = self.without_equals(&statement.args);
        let mut args = Args::new(self.report, statement.keyword, words, text_first);
        let value = value::read(keyword, &mut args);
        if let (Shape::Word, Some(Value::Word(word))) = (keyword.shape, &value) {
            cut_off(args.report, *word);
        }
        match value {
            Some(_) => args.finish(|word| kind.keyword(word).is_some()),
            // One message about a line is enough, but `//` explains what went wrong.
            None => {
                args.rest();
                args.finish(|_| false);
            }
        }
        value
    }

    /// `priority = 100`, as other programs have it.
    fn without_equals<'w>(&mut self, words: &'w [Word]) -> &'w [Word] {
        let Some((first, rest)) = words.split_first() else {
            return words;
        };
        if first.quoted || rest.is_empty() || self.report.slice(first.span) != "=" {
            return words;
        }
        let message = "no `=` stands between a keyword and its value";
        let place = self.report.place(first.span);
        let diagnostic = self.report.error(Code::BadValue, first.span, message);
        let help = "keepalived takes the sign for the value";
        self.report.push(diagnostic.help(help).suggest(place, ""));
        rest
    }

    fn with_block(
        &mut self,
        block: &mut Block,
        keyword: &'static Keyword,
        statement: &Statement,
        body: &tree::Block,
    ) {
        let name = match self.two_checkers(statement) {
            true => Some(Value::None),
            false => self.arguments(block.kind, keyword, statement),
        };
        match keyword.shape {
            Shape::WordList => {
                let words = self.word_list(keyword, body);
                let value = Some(Value::Words(words.into()));
                block.settings.push(setting(keyword, statement, value));
            }
            Shape::Entries(kind) | Shape::NamedEntries(kind) => {
                let entries = entry::read(self.report, kind, keyword, body);
                let value = match (name, entries) {
                    (Some(Value::Word(name)), Value::Entries(lines)) => {
                        Some(Value::NamedEntries(Box::new((name, lines))))
                    }
                    (Some(_), entries) => Some(entries),
                    (None, _) => None,
                };
                block.settings.push(setting(keyword, statement, value));
            }
            shape => {
                let Some(kind) = shape.block_kind() else {
                    return;
                };
                let (settings, blocks, misspelt) = (Vec::new(), Vec::new(), Vec::new());
                let head = statement.span();
                let inner = Block {
                    kind,
                    head,
                    name,
                    settings,
                    blocks,
                    misspelt,
                };
                self.path.push((kind, head));
                let inner = self.block(inner, &body.statements);
                self.path.pop();
                block.blocks.push(inner);
            }
        }
    }

    /// `HTTP_GET | SSL_GET {`, copied from a template.
    fn two_checkers(&mut self, statement: &Statement) -> bool {
        let [bar, other] = &*statement.args else {
            return false;
        };
        let (bar, other) = (self.report.slice(bar.span), self.report.slice(other.span));
        if bar != "|" || !matches!(other, "HTTP_GET" | "SSL_GET") {
            return false;
        }
        let name = self.report.slice(statement.keyword.span);
        let span = statement.span();
        let message = format!("`{name} | {other}` lists what may stand here; keep one of them");
        let help = format!("the block is read as `{name}`");
        let place = self.report.place(span);
        let diagnostic = self
            .report
            .error(Code::Placeholder, span, message)
            .help(help);
        self.report.push(diagnostic.suggest(place, name));
        true
    }

    /// Every word of a block of words.
    fn word_list(&mut self, keyword: &Keyword, body: &tree::Block) -> Vec<Word> {
        let mut words = Vec::new();
        for statement in &body.statements {
            entry::no_block(self.report, keyword, statement);
            for word in std::iter::once(&statement.keyword).chain(&statement.args) {
                let text = self.report.slice(word.span);
                if !word.quoted && text.starts_with("//") {
                    let span = word.outer().to(statement.span());
                    let span = Span {
                        start: word.outer().start,
                        ..span
                    };
                    self.report
                        .push(value::slash_diagnostic(self.report, span, true));
                    break;
                }
                words.push(*word);
            }
        }
        if body.statements.is_empty() && body.close.is_some() {
            let message = format!("`{}` is empty", keyword.name);
            let diagnostic = self.report.warning(Code::EmptyBlock, body.open, message);
            self.report.push(diagnostic.help("it has no effect"));
        }
        words
    }

    fn renamed(&mut self, keyword: &Keyword, word: Word) {
        let Some(new) = keyword.renamed else {
            return;
        };
        let message = format!("`{}` is an old name of `{new}`", keyword.name);
        let place = self.report.place(word.span);
        let diagnostic = self
            .report
            .warning(Code::DeprecatedKeyword, word.outer(), message);
        self.report.push(diagnostic.suggest(place, new));
    }

    /// A block behind a keyword that has none.
    fn unexpected_block(
        &mut self,
        block: &mut Block,
        keyword: &'static Keyword,
        statement: &Statement,
        body: &tree::Block,
    ) {
        // `weight 1 TCP_CHECK { ... }` on one line: words are split by lines and braces only.
        let inner = statement.args.iter().rposition(|word| {
            let known = block.kind.keyword(self.report.slice(word.span));
            known.is_some_and(|known| known.shape.has_block())
        });
        let name = keyword.name;
        let Some(at) = inner else {
            let message = format!("`{name}` has no block");
            let diagnostic = self.report.error(Code::UnexpectedBlock, body.open, message);
            let diagnostic =
                diagnostic.also(self.report.place(statement.span()), "belongs to this");
            self.report.push(diagnostic.help("the block is ignored"));
            let value = self.arguments(block.kind, keyword, statement);
            block.settings.push(setting(keyword, statement, value));
            return;
        };
        let (before, behind) = statement.args.split_at(at);
        let Some((opener, args)) = behind.split_first() else {
            return;
        };
        let text = self.report.slice(opener.span);
        let message = format!("`{text}` must begin a line of its own");
        let help =
            format!("here it is taken for an argument of `{name}`, and its `{{` for a mistake");
        let diagnostic = self
            .report
            .error(Code::UnexpectedBlock, opener.outer(), message);
        self.report.push(diagnostic.help(help));
        let (first, args) = (before.into(), args.into());
        let first = Statement {
            keyword: statement.keyword,
            args: first,
            block: None,
        };
        let second = Statement {
            keyword: *opener,
            args,
            block: Some(Box::new(body.clone())),
        };
        self.statement(block, &first);
        self.statement(block, &second);
    }

    /// A keyword that must open a block and does not.
    fn missing_block(
        &mut self,
        block: &mut Block,
        keyword: &'static Keyword,
        statement: &Statement,
    ) {
        let value = self.arguments(block.kind, keyword, statement);
        if value.is_none() {
            return;
        }
        let name = keyword.name;
        let message = format!("`{name}` must open a block with `{{`");
        let span = statement.span();
        let after = self.report.place(span.after());
        let diagnostic = self.report.error(Code::MissingBlock, span, message);
        self.report.push(diagnostic.suggest(after, " {"));
    }
}

/// Free text, such as a password, that a `#` or `!` cuts off.
fn cut_off(report: &mut Report<'_>, word: Word) {
    let sign = report
        .text()
        .as_bytes()
        .get(word.span.end as usize)
        .copied();
    if let (Some(sign @ (b'#' | b'!')), false) = (sign, word.quoted) {
        let sign = char::from(sign);
        let message = format!("the value ends here, because `{sign}` starts a comment");
        let help = format!("put the value in double quotes, or a blank before the `{sign}`");
        let diagnostic = report.warning(Code::CommentInWord, word.outer(), message);
        report.push(diagnostic.help(help));
    }
}

fn setting(keyword: &'static Keyword, statement: &Statement, value: Option<Value>) -> Setting {
    Setting {
        keyword,
        place: statement.keyword.outer(),
        span: statement.span(),
        value,
    }
}
