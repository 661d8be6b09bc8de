//! A document as nested nodes: the form for serde and for tools in other languages.

use serde::{Deserialize, Serialize};

use crate::tree::Word;

use super::mask::DirectiveKind;
use super::{Document, Piece, PieceKind};

/// Blocks nested deeper than this are not taken apart, so that no reader of the nodes runs out of
/// stack. The language needs five.
const MAX_NESTING: usize = 32;

/// A part of a text. The texts of all nodes, one behind the other, are the text of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Node {
    /// Blanks and line breaks.
    Blank {
        /// The bytes.
        text: String,
    },
    /// A comment, without the line break behind it.
    Comment {
        /// The bytes, with the `#` or `!`.
        text: String,
    },
    /// A definition, condition or repetition.
    Directive {
        /// Which.
        directive: DirectiveKind,
        /// The bytes.
        text: String,
    },
    /// A keyword with its arguments, and perhaps a block.
    Statement(StatementNode),
    /// What belongs to nothing: a `}` too many, a quote that is not closed, control characters.
    Stray {
        /// The bytes.
        text: String,
    },
}

/// A keyword with its arguments, and perhaps a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementNode {
    /// The keyword. For reading only: what counts is `text`.
    pub keyword: String,
    /// The values of the arguments. For reading only, as `keyword`.
    pub args: Vec<String>,
    /// Line of the keyword, counted from 1. For reading only.
    pub line: u32,
    /// The bytes of keyword and arguments.
    pub text: String,
    /// What stands between them and the block, up to the `{`. `None` without a block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<String>,
    /// What stands in the braces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub block: Vec<Node>,
    /// The `}`. `None` without a block, and when it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub close: Option<String>,
}

/// Appends the text of nodes.
pub(super) fn print(nodes: &[Node], text: &mut String) {
    for node in nodes {
        match node {
            Node::Blank { text: own }
            | Node::Comment { text: own }
            | Node::Directive { text: own, .. }
            | Node::Stray { text: own } => text.push_str(own),
            Node::Statement(statement) => {
                text.push_str(&statement.text);
                text.push_str(statement.open.as_deref().unwrap_or_default());
                print(&statement.block, text);
                text.push_str(statement.close.as_deref().unwrap_or_default());
            }
        }
    }
}

/// The nodes of a document. Braces are only counted here: nothing is put in or left out.
pub(super) fn nodes(document: &Document) -> Vec<Node> {
    let mut builder = Builder {
        document,
        levels: vec![Vec::new()],
        too_deep: 0,
        line: 1,
    };
    let mut at = 0;
    while let Some(piece) = document.pieces.get(at) {
        at += builder.piece(piece, at);
    }
    while builder.levels.len() > 1 {
        builder.close(None);
    }
    builder.levels.pop().unwrap_or_default()
}

struct Builder<'a> {
    document: &'a Document,
    /// Nodes of each block that is open, the innermost last.
    levels: Vec<Vec<Node>>,
    /// Blocks that are open beyond the limit.
    too_deep: usize,
    line: u32,
}

impl Builder<'_> {
    /// Takes a piece; how many pieces were used.
    fn piece(&mut self, piece: &Piece, at: usize) -> usize {
        let text = self.document.slice(piece.span);
        match piece.kind {
            PieceKind::Word | PieceKind::Quoted => return self.statement(at),
            PieceKind::Blank | PieceKind::NewLine => self.blank(text),
            PieceKind::Comment => self.push(Node::Comment { text: text.into() }),
            PieceKind::Directive(directive) => self.push(Node::Directive {
                directive,
                text: text.into(),
            }),
            PieceKind::Open if self.too_deep > 0 || self.levels.len() > MAX_NESTING => {
                self.too_deep += 1;
                self.push(Node::Stray { text: text.into() });
            }
            PieceKind::Open => {
                let statement = self.opened();
                self.push(Node::Statement(statement));
                self.levels.push(Vec::new());
            }
            PieceKind::Close if self.too_deep == 0 && self.levels.len() > 1 => {
                self.close(Some(text.to_owned()));
            }
            PieceKind::Close | PieceKind::OpenQuote | PieceKind::Stray => {
                self.too_deep -= usize::from(piece.kind == PieceKind::Close && self.too_deep > 0);
                self.push(Node::Stray { text: text.into() });
            }
        }
        self.line += super::to_u32(text.matches('\n').count());
        1
    }

    fn push(&mut self, node: Node) {
        if let Some(level) = self.levels.last_mut() {
            level.push(node);
        }
    }

    fn blank(&mut self, text: &str) {
        if let Some(Node::Blank { text: last }) = self.levels.last_mut().and_then(|l| l.last_mut())
        {
            last.push_str(text);
        } else {
            self.push(Node::Blank { text: text.into() });
        }
    }

    /// Words of a line, with the blanks between them; how many pieces they are.
    fn statement(&mut self, at: usize) -> usize {
        let pieces = self.document.pieces.get(at..).unwrap_or_default();
        let is_word = |piece: &Piece| matches!(piece.kind, PieceKind::Word | PieceKind::Quoted);
        let used = pieces
            .iter()
            .take_while(|piece| is_word(piece) || piece.kind == PieceKind::Blank)
            .count();
        let used = pieces
            .get(..used)
            .and_then(|line| line.iter().rposition(is_word))
            .map_or(1, |last| last + 1);
        let line = pieces.get(..used).unwrap_or_default();
        let word = |piece: &Piece| {
            let quoted = piece.kind == PieceKind::Quoted;
            let inner = u32::from(quoted);
            let span = super::span(
                (piece.span.start + inner) as usize,
                (piece.span.end - inner) as usize,
            );
            Word { span, quoted }
                .value(&self.document.text)
                .into_owned()
        };
        let mut words = line.iter().filter(|piece| is_word(piece)).map(word);
        let keyword = words.next().unwrap_or_default();
        let args = words.collect();
        let text = line
            .iter()
            .map(|piece| self.document.slice(piece.span))
            .collect();
        self.push(Node::Statement(StatementNode {
            keyword,
            args,
            line: self.line,
            text,
            open: None,
            block: Vec::new(),
            close: None,
        }));
        used
    }

    /// The statement that a `{` belongs to, with all that stands between; an empty one if there
    /// is none.
    fn opened(&mut self) -> StatementNode {
        let empty = StatementNode {
            keyword: String::new(),
            args: Vec::new(),
            line: self.line,
            text: String::new(),
            open: Some("{".to_owned()),
            block: Vec::new(),
            close: None,
        };
        let Some(level) = self.levels.last_mut() else {
            return empty;
        };
        let between = |node: &Node| matches!(node, Node::Blank { .. } | Node::Comment { .. });
        let Some(last) = level.iter().rposition(|node| !between(node)) else {
            return empty;
        };
        match level.get(last) {
            Some(Node::Statement(statement)) if statement.open.is_none() => {}
            _ => return empty,
        }
        let mut open = String::new();
        print(level.get(last + 1..).unwrap_or_default(), &mut open);
        open.push('{');
        level.truncate(last + 1);
        match level.pop() {
            Some(Node::Statement(statement)) => StatementNode {
                open: Some(open),
                ..statement
            },
            _ => empty,
        }
    }

    /// Ends the innermost block.
    fn close(&mut self, brace: Option<String>) {
        let nodes = self.levels.pop().unwrap_or_default();
        if let Some(Node::Statement(statement)) =
            self.levels.last_mut().and_then(|level| level.last_mut())
        {
            statement.block = nodes;
            statement.close = brace;
        }
    }
}
