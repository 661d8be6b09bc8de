//! Words, statements and blocks, with their places; no meaning yet.
//!
//! A [`Statement`] is a line: a keyword, its arguments and perhaps a block. `{` may end the line
//! or begin the next one; what follows a brace is as if on a new line.
//!
//! # Design
//!
//! The grammar delivers a flat list of tokens and cannot fail. Blocks are put together here
//! with a stack that is kept by hand and has a limit, so nothing nests too deeply for the
//! machine. A brace that is missing or too many is repaired where indentation and the
//! vocabulary say it most likely belongs, see `repair`; so the blocks around it keep their
//! meaning and one lost brace is one problem. pest types stop in `token`.

mod builder;
mod print;
mod repair;
mod token;

use std::borrow::Cow;

use crate::source::Span;

pub(crate) use builder::build;
pub use print::print;
pub(crate) use token::{Kind, Token, tokenize};

/// Deepest nesting of blocks that is read. The language needs five.
pub const MAX_DEPTH: usize = 64;

/// One word of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// Its bytes, without the quotes.
    pub span: Span,
    /// Whether it stood in double quotes.
    pub quoted: bool,
}

impl Word {
    /// The bytes, quotes included.
    pub fn outer(self) -> Span {
        match self.quoted {
            true => Span {
                start: self.span.start - 1,
                end: self.span.end + 1,
            },
            false => self.span,
        }
    }

    /// The value: `\#` and `\!` outside quotes have become `#` and `!`.
    pub fn value(self, text: &str) -> Cow<'_, str> {
        let raw = text
            .get(self.span.start as usize..self.span.end as usize)
            .unwrap_or_default();
        if !self.quoted && (raw.contains("\\#") || raw.contains("\\!")) {
            Cow::Owned(raw.replace("\\#", "#").replace("\\!", "!"))
        } else {
            Cow::Borrowed(raw)
        }
    }
}

/// A line with a keyword, or an entry of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The first word.
    pub keyword: Word,
    /// The other words.
    pub args: Box<[Word]>,
    /// What stands in braces behind it.
    pub block: Option<Box<Block>>,
}

impl Statement {
    /// The keyword and its arguments, without the block.
    pub fn span(&self) -> Span {
        let end = self.args.last().unwrap_or(&self.keyword).outer();
        self.keyword.outer().to(end)
    }
}

/// What stands in braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The `{`.
    pub open: Span,
    /// The `}`; `None` if it is missing.
    pub close: Option<Span>,
    /// The statements between them.
    pub statements: Vec<Statement>,
}

/// What is wrong with the structure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem {
    /// A block is not closed.
    MissingBrace {
        /// Keyword and arguments of the block.
        head: Span,
        /// Where the `}` belongs: just before this.
        before: Span,
        /// The block that stays open if braces are only counted.
        counted: Span,
    },
    /// A `}` has nothing to close.
    ExtraBrace {
        /// The brace.
        brace: Span,
        /// The block that it closes too early; its keyword and arguments.
        closes: Option<Span>,
    },
    /// A `{` without a keyword.
    StrayBlock(Span),
    /// A quote that is not closed on its line; from the quote on.
    OpenQuote {
        /// From the quote to the end of the line.
        quote: Span,
    },
    /// The `{` that is one too deep.
    TooDeep(Span),
}

/// What the tree builder must know of keywords to repair braces.
pub(crate) trait Vocabulary {
    /// The blocks that a block with this keyword can stand in, when that is telling enough to
    /// conclude a missing brace from it. An empty name is the top level.
    fn homes(&self, keyword: &str, has_args: bool) -> &'static [&'static str];

    /// Whether a keyword can stand in a block with this keyword; an empty name is the top level.
    fn member(&self, block: &str, keyword: &str) -> bool;
}
