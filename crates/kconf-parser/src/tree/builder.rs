//! From tokens to statements and blocks.

use std::collections::BTreeMap;

use crate::source::Span;

use super::repair::{Insertion, place_missing};
use super::token::{Kind, Token};
use super::{Block, MAX_DEPTH, Problem, Statement, Vocabulary, Word};

/// Repairs beyond this many take the simplest guess, so that a hopeless file costs no time.
const MAX_REPAIRS: usize = 1_000;

/// Blocks closed too early are looked for this many times, this many tokens ahead.
const MAX_REOPENED: usize = 200;
const MAX_LOOKAHEAD: usize = 5_000;

/// Statements of a text, and what is wrong with its structure.
pub(crate) fn build(
    text: &str,
    tokens: &[Token],
    vocabulary: &dyn Vocabulary,
) -> (Vec<Statement>, Vec<Problem>) {
    let builder = Builder {
        text,
        tokens,
        vocabulary,
        statements: Vec::new(),
        frames: Vec::new(),
        line: Vec::new(),
        line_start: 0,
        line_broken: false,
        pending: false,
        skipped_depth: 0,
        reopened: 0,
        repairs: 0,
        reread: 0,
        insertions: BTreeMap::new(),
        problems: Vec::new(),
    };
    builder.run()
}

/// A block that is open.
struct Frame {
    statement: Statement,
    open: Span,
    /// Index of the first statement in it.
    first: usize,
    /// Token that begins the statement.
    first_token: usize,
}

struct Builder<'a> {
    text: &'a str,
    tokens: &'a [Token],
    vocabulary: &'a dyn Vocabulary,
    /// Statements of the top level, then of each open block.
    statements: Vec<Statement>,
    frames: Vec<Frame>,
    /// Words of the statement that is being read.
    line: Vec<Word>,
    /// Token of the first of them.
    line_start: usize,
    /// Whether a quote is open on this line, so that none of it counts.
    line_broken: bool,
    /// Whether the last statement may still get a block by a `{` on a later line.
    pending: bool,
    /// Blocks that are open beyond [`MAX_DEPTH`].
    skipped_depth: usize,
    /// How often it was tried to open a block again.
    reopened: usize,
    repairs: usize,
    /// Tokens that were read again for them.
    reread: usize,
    /// Closing braces to put before a token, by the index of that token.
    insertions: BTreeMap<usize, Vec<Insertion>>,
    problems: Vec<Problem>,
}

impl Builder<'_> {
    fn run(mut self) -> (Vec<Statement>, Vec<Problem>) {
        let mut at = 0;
        loop {
            if let Some(inserted) = self.insertions.get(&at).cloned() {
                for insertion in inserted {
                    self.end_line();
                    self.close_missing(insertion, at);
                }
            }
            let Some(token) = self.tokens.get(at).copied() else {
                self.end_line();
                match self.repair(0, at) {
                    Some(restart) => at = restart,
                    None => break,
                }
                continue;
            };
            match token.kind {
                Kind::Word => self.word(
                    at,
                    Word {
                        span: token.span,
                        quoted: false,
                    },
                ),
                Kind::Quoted => {
                    let span = Span {
                        start: token.span.start + 1,
                        end: token.span.end - 1,
                    };
                    self.word(at, Word { span, quoted: true });
                }
                Kind::OpenQuote => {
                    self.problems.push(Problem::OpenQuote { quote: token.span });
                    self.line_broken = true;
                }
                Kind::NewLine => self.end_line(),
                Kind::Open => {
                    if let Some(restart) = self.misplaced_block(at) {
                        at = restart;
                        continue;
                    }
                    self.open(at, token.span);
                }
                Kind::Close => self.close(token.span),
            }
            at += 1;
        }
        self.problems.sort_by_key(Problem::start);
        (self.statements, self.problems)
    }

    fn word(&mut self, at: usize, word: Word) {
        if self.line.is_empty() {
            self.line_start = at;
        }
        self.line.push(word);
    }

    /// Ends the statement being read, if there is one.
    fn end_line(&mut self) {
        let broken = std::mem::take(&mut self.line_broken);
        if let Some(statement) = self.take_line() {
            // keepalived ignores a line with an open quote.
            if !broken {
                self.reopen_if_closed_early(&statement);
                self.statements.push(statement);
                self.pending = true;
            }
        }
    }

    fn take_line(&mut self) -> Option<Statement> {
        let (keyword, args) = self.line.split_first()?;
        let statement = Statement {
            keyword: *keyword,
            args: args.into(),
            block: None,
        };
        self.line.clear();
        Some(statement)
    }

    /// The statements of the innermost block so far.
    fn here(&self) -> &[Statement] {
        let first = self.frames.last().map_or(0, |frame| frame.first);
        self.statements.get(first..).unwrap_or_default()
    }

    /// Takes statements of the innermost block back that begin at this offset or behind it.
    fn forget_from(&mut self, offset: u32) {
        let behind = |statement: &Statement| statement.keyword.outer().start >= offset;
        while self.here().last().is_some_and(behind) {
            self.statements.pop();
        }
    }

    fn open(&mut self, at: usize, brace: Span) {
        if self.skipped_depth > 0 || self.frames.len() >= MAX_DEPTH {
            if self.skipped_depth == 0 {
                self.problems.push(Problem::TooDeep(brace));
            }
            self.line.clear();
            self.skipped_depth += 1;
            return;
        }
        let broken = std::mem::take(&mut self.line_broken);
        let mut first_token = self.line_start;
        let statement = match self.take_line().filter(|_| !broken) {
            Some(statement) => {
                self.reopen_if_closed_early(&statement);
                statement
            }
            None => {
                let pending = std::mem::take(&mut self.pending);
                let last = if pending { self.statements.pop() } else { None };
                last.unwrap_or_else(|| {
                    self.problems.push(Problem::StrayBlock(brace));
                    first_token = at;
                    let keyword = Word {
                        span: Span {
                            end: brace.start,
                            ..brace
                        },
                        quoted: false,
                    };
                    Statement {
                        keyword,
                        args: Box::default(),
                        block: None,
                    }
                })
            }
        };
        self.pending = false;
        self.frames.push(Frame {
            statement,
            open: brace,
            first: self.statements.len(),
            first_token,
        });
    }

    fn close(&mut self, brace: Span) {
        self.end_line();
        if self.skipped_depth > 0 {
            self.skipped_depth -= 1;
        } else if !self.pop(Some(brace)) {
            self.problems.push(Problem::ExtraBrace {
                brace,
                closes: None,
            });
        }
    }

    /// Ends the innermost block; false if there is none.
    fn pop(&mut self, close: Option<Span>) -> bool {
        self.pending = false;
        let Some(Frame {
            mut statement,
            open,
            first,
            ..
        }) = self.frames.pop()
        else {
            return false;
        };
        let statements = self.statements.drain(first..).collect();
        statement.block = Some(Box::new(Block {
            open,
            close,
            statements,
        }));
        self.statements.push(statement);
        true
    }

    /// Ends the innermost block at a place where a `}` was found to be missing.
    fn close_missing(&mut self, insertion: Insertion, at: usize) {
        let Some(frame) = self.frames.last() else {
            return;
        };
        let before = self
            .tokens
            .get(at)
            .map_or_else(|| self.end_of_text(), |token| token.span);
        let head = frame.statement.span();
        self.problems.push(Problem::MissingBrace {
            head,
            before,
            counted: insertion.counted,
        });
        self.pop(None);
    }

    fn end_of_text(&self) -> Span {
        let end = u32::try_from(self.text.len()).unwrap_or(u32::MAX);
        Span { start: end, end }
    }

    /// A block that cannot stand here shows that blocks around it are not closed: where to go
    /// on reading after they have been given their braces.
    fn misplaced_block(&mut self, at: usize) -> Option<usize> {
        if self.frames.is_empty() || self.skipped_depth > 0 {
            return None;
        }
        let (name, has_args, first_token) = match self.line.first() {
            Some(word) => (*word, self.line.len() > 1, self.line_start),
            None if self.pending => {
                let last = self.here().last()?;
                let (keyword, has_args) = (last.keyword, !last.args.is_empty());
                (keyword, has_args, self.token_at(keyword.outer(), at))
            }
            None => return None,
        };
        let homes = self.vocabulary.homes(self.slice(name.span), has_args);
        if name.quoted || homes.is_empty() {
            return None;
        }
        // How many of the open blocks may stay open.
        let keep = |frame: &Frame| homes.contains(&self.slice(frame.statement.keyword.span));
        let depth = match self.frames.iter().rposition(keep) {
            Some(home) => home + 1,
            None if homes.contains(&"") => 0,
            None => return None,
        };
        self.repair(depth, first_token)
    }

    /// Index of the token with this span, at or before `from`.
    fn token_at(&self, span: Span, from: usize) -> usize {
        let end = from.min(self.tokens.len());
        let before = self.tokens.get(..end).unwrap_or_default();
        before.partition_point(|token| token.span.start < span.start)
    }

    /// Places closing braces so that `depth` blocks are open at token `here`; where to go on.
    fn repair(&mut self, depth: usize, here: usize) -> Option<usize> {
        let missing = self
            .frames
            .len()
            .checked_sub(depth)
            .filter(|missing| *missing > 0)?;
        let frame = self.frames.get(depth)?;
        let (start, statements) = (frame.first_token, frame.first);
        let counted = frame.statement.span();
        self.repairs += 1;
        self.reread += here.saturating_sub(start);
        let hopeless =
            self.repairs > MAX_REPAIRS || self.reread > 4 * self.tokens.len() + MAX_LOOKAHEAD;
        let placed = match hopeless {
            true => vec![here; missing],
            false => {
                let name = |span| self.slice(span);
                place_missing(
                    self.tokens,
                    start..here,
                    missing,
                    self.text,
                    self.vocabulary,
                    &name,
                )
            }
        };
        for before in placed {
            self.insertions
                .entry(before)
                .or_default()
                .push(Insertion { counted });
        }
        if hopeless {
            // Nothing before this place changes; only the statement that begins here is read
            // again.
            let first = self
                .tokens
                .get(here)
                .map_or(u32::MAX, |token| token.span.start);
            self.line.clear();
            self.forget_from(first);
            self.pending = false;
            return Some(here);
        }
        // Undo what was read since, and read it again with the braces in place.
        let first = self.tokens.get(start).map_or(0, |token| token.span.start);
        self.problems.retain(|problem| problem.start() < first);
        self.statements.truncate(statements);
        self.frames.truncate(depth);
        self.forget_from(first);
        self.line.clear();
        self.line_broken = false;
        self.pending = false;
        self.skipped_depth = 0;
        Some(start)
    }

    /// A statement that belongs in the block just closed, while a `}` too many follows: that
    /// block was closed too early, so it is opened again.
    fn reopen_if_closed_early(&mut self, statement: &Statement) {
        if self.skipped_depth > 0 || self.reopened >= MAX_REOPENED {
            return;
        }
        let keyword = self.slice(statement.keyword.span);
        let block = self
            .frames
            .last()
            .map_or("", |frame| self.slice(frame.statement.keyword.span));
        let Some(last) = self.here().last() else {
            return;
        };
        let Some(Some(close)) = last.block.as_ref().map(|block| block.close) else {
            return;
        };
        let before = self.slice(last.keyword.span);
        if self.vocabulary.member(block, keyword) || !self.vocabulary.member(before, keyword) {
            return;
        }
        let closes = Some(last.span());
        self.reopened += 1;
        if !self.brace_too_many(statement.keyword.outer()) {
            return;
        }
        let Some(mut reopened) = self.statements.pop() else {
            return;
        };
        let Some(Block {
            open, statements, ..
        }) = reopened.block.take().map(|block| *block)
        else {
            return;
        };
        let first_token = self.token_at(reopened.keyword.outer(), usize::MAX);
        self.frames.push(Frame {
            statement: reopened,
            open,
            first: self.statements.len(),
            first_token,
        });
        self.statements.extend(statements);
        self.problems.push(Problem::ExtraBrace {
            brace: close,
            closes,
        });
    }

    /// Whether a `}` without a block follows before the next block of the top level.
    fn brace_too_many(&self, from: Span) -> bool {
        let mut depth = self.frames.len();
        let start = self.token_at(from, usize::MAX);
        let mut line_start = false;
        for token in self.tokens.iter().skip(start).take(MAX_LOOKAHEAD) {
            match token.kind {
                Kind::Open => depth += 1,
                Kind::Close => match depth.checked_sub(1) {
                    Some(less) => depth = less,
                    None => return true,
                },
                Kind::Word if line_start => {
                    let homes = self.vocabulary.homes(self.slice(token.span), true);
                    if homes.contains(&"") {
                        return false;
                    }
                }
                _ => {}
            }
            line_start = matches!(token.kind, Kind::NewLine | Kind::Open | Kind::Close);
        }
        false
    }

    fn slice(&self, span: Span) -> &str {
        self.text
            .get(span.start as usize..span.end as usize)
            .unwrap_or_default()
    }
}

impl Problem {
    fn start(&self) -> u32 {
        match self {
            Self::MissingBrace { head, .. } => head.start,
            Self::ExtraBrace { brace, .. } => brace.start,
            Self::StrayBlock(span) | Self::TooDeep(span) => span.start,
            Self::OpenQuote { quote } => quote.start,
        }
    }
}
