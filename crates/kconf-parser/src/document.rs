//! One file as somebody wrote it: nothing expanded, nothing lost.
//!
//! A [`Document`] holds the text of one file and knows what every byte of it is: word, brace,
//! comment, blank, definition, condition, repetition. It prints as exactly the text it was made
//! of, can be edited statement by statement without touching what stands around, and can be sent
//! elsewhere by serde and come back the same.
//!
//! ```
//! use kconf_parser::Document;
//!
//! let mut document = Document::parse("\
//! virtual_server 192.0.2.10 80 {
//!     lb_algo  rr        # the oldest of them
//!     real_server 10.0.0.1 80 {
//!     }
//! }
//! ");
//! document.set(&["virtual_server 192.0.2.10 80"], "lb_algo", &["wlc"])?;
//! document.set(
//!     &["virtual_server 192.0.2.10 80", "real_server 10.0.0.1 80"],
//!     "weight",
//!     &["5"],
//! )?;
//! assert_eq!(document.text(), "\
//! virtual_server 192.0.2.10 80 {
//!     lb_algo  wlc        # the oldest of them
//!     real_server 10.0.0.1 80 {
//!         weight 5
//!     }
//! }
//! ");
//! # Ok::<(), kconf_parser::document::EditError>(())
//! ```
//!
//! # Design
//!
//! The text is the truth and the tree is made of it, so there is no second form that could print
//! differently; an edit replaces bytes and reads the text again. What the expander would act on is
//! found first and hidden from the grammar behind bytes of the same length (`mask`), so that one
//! grammar and one tree builder serve both levels and every span fits the original text. The
//! expanded, checked and resolved form is [`Analysis`](crate::Analysis).

mod edit;
mod mask;
mod node;
mod piece;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::keyword::KeywordTable;
use crate::source::Span;
use crate::tree::{self, Statement};

pub use edit::EditError;
pub use mask::{Directive, DirectiveKind};
pub use node::{Node, StatementNode};
pub(crate) use piece::is_blank;
pub use piece::{Piece, PieceKind};

/// A file as written. See the [module](self).
///
/// Spans of all its parts are ranges of [`Self::text`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "Vec<Node>", into = "Vec<Node>")]
pub struct Document {
    text: String,
    pieces: Vec<Piece>,
    directives: Vec<Directive>,
    statements: Vec<Statement>,
    balanced: bool,
}

impl Document {
    /// Reads a text; takes any.
    pub fn parse(text: impl Into<String>) -> Self {
        let text = text.into();
        let Lexed {
            masked,
            tokens,
            pieces,
            directives,
        } = lex(&text);
        let (statements, problems) = tree::build(&masked, &tokens, &KeywordTable);
        Self {
            text,
            pieces,
            directives,
            statements,
            balanced: problems.is_empty(),
        }
    }

    /// The text, byte by byte as it was read but for what was edited.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The bytes of a span; empty if it is none of this text.
    pub fn slice(&self, span: Span) -> &str {
        self.text
            .get(span.start as usize..span.end as usize)
            .unwrap_or_default()
    }

    /// Every piece of the text, in order and without a gap.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// What is done before keywords are looked for: definitions, conditions, repetitions,
    /// includes.
    pub fn directives(&self) -> &[Directive] {
        &self.directives
    }

    /// Statements and blocks. Lost braces are put back where they most likely belong.
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// Whether every brace and quote of this file has its partner in it.
    ///
    /// One that lies in a definition, or under a condition, may make a good file look bad.
    pub fn is_balanced(&self) -> bool {
        self.balanced
    }

    /// The text as a list of nodes, blocks with their nodes in them: the form for serde.
    pub fn nodes(&self) -> Vec<Node> {
        node::nodes(self)
    }
}

impl PartialEq for Document {
    /// Documents are equal when they print the same; all else follows from the text.
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Document {}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<Vec<Node>> for Document {
    fn from(nodes: Vec<Node>) -> Self {
        let mut text = String::new();
        node::print(&nodes, &mut text);
        Self::parse(text)
    }
}

impl From<Document> for Vec<Node> {
    fn from(document: Document) -> Self {
        document.nodes()
    }
}

/// A text cut into pieces.
pub(crate) struct Lexed {
    /// The text with its directives hidden, of the same length.
    masked: String,
    tokens: Vec<tree::Token>,
    pub(crate) pieces: Vec<Piece>,
    pub(crate) directives: Vec<Directive>,
}

/// The part of [`Document::parse`] that looks at bytes only.
pub(crate) fn lex(text: &str) -> Lexed {
    let (masked, directives) = mask::mask(text);
    let tokens = tree::tokenize(&masked);
    let pieces = piece::pieces(text, &tokens, &directives);
    Lexed {
        masked,
        tokens,
        pieces,
        directives,
    }
}

/// Offsets are 32 bits wide; larger files are refused by the loader.
fn to_u32(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}

fn span(start: usize, end: usize) -> Span {
    Span {
        start: to_u32(start),
        end: to_u32(end),
    }
}
