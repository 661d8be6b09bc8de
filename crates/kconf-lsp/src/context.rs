//! What stands at a place of a file, and in which block.

use kconf_parser::Document;
use kconf_parser::document::{Directive, DirectiveKind};
use kconf_parser::keyword::{BlockKind, Shape};
use kconf_parser::source::Span;
use kconf_parser::tree::{Statement, Word};

/// A place in a file.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    /// The blocks around it, from the outside in.
    pub(crate) blocks: Vec<&'a Statement>,
    /// The statement that it touches.
    pub(crate) statement: Option<&'a Statement>,
    /// The word of it, counted from the keyword, that the place touches.
    pub(crate) word: Option<usize>,
}

impl<'a> Context<'a> {
    /// What stands at a byte.
    pub(crate) fn at(document: &'a Document, offset: usize) -> Self {
        let mut context = Self {
            blocks: Vec::new(),
            statement: None,
            word: None,
        };
        let offset = u32::try_from(offset).unwrap_or(u32::MAX);
        let mut level = document.statements();
        loop {
            // Statements stand in the order of the text.
            let next = level.partition_point(|one| one.keyword.outer().start <= offset);
            let Some(last) = next.checked_sub(1).and_then(|at| level.get(at)) else {
                return context;
            };
            if touches(last.span(), offset) {
                context.statement = Some(last);
                context.word = words(last).position(|word| touches(word.outer(), offset));
                return context;
            }
            match &last.block {
                Some(block)
                    if block.open.end <= offset
                        && block.close.is_none_or(|close| offset <= close.start) =>
                {
                    context.blocks.push(last);
                    level = &block.statements;
                }
                _ => return context,
            }
        }
    }

    /// What kind of block this is in; `None` in a list, and where a block is unknown.
    pub(crate) fn kind(&self, document: &Document) -> Option<BlockKind> {
        self.blocks.iter().try_fold(BlockKind::Root, |kind, block| {
            let name = document.slice(block.keyword.span);
            kind.keyword(name)?.shape.block_kind()
        })
    }

    /// The shape of the list or block that this is in, if the blocks around that are known.
    pub(crate) fn shape(&self, document: &Document) -> Option<Shape> {
        let (last, around) = self.blocks.split_last()?;
        let outer = Self {
            blocks: around.to_vec(),
            statement: None,
            word: None,
        };
        let keyword = outer
            .kind(document)?
            .keyword(document.slice(last.keyword.span))?;
        Some(keyword.shape)
    }

    /// Keyword of the innermost block; empty at the top level.
    pub(crate) fn block_name<'d>(&self, document: &'d Document) -> &'d str {
        self.blocks
            .last()
            .map_or("", |block| document.slice(block.keyword.span))
    }
}

/// All words of a statement, the keyword first.
pub(crate) fn words(statement: &Statement) -> impl Iterator<Item = &Word> {
    std::iter::once(&statement.keyword).chain(&statement.args)
}

/// The directive of one of these kinds that a byte lies in.
pub(crate) fn directive(
    document: &Document,
    offset: usize,
    kinds: &[DirectiveKind],
) -> Option<Directive> {
    let offset = u32::try_from(offset).unwrap_or(u32::MAX);
    let mut found = document.directives().iter();
    found
        .find(|found| kinds.contains(&found.kind) && touches(found.span, offset))
        .copied()
}

fn touches(span: Span, offset: u32) -> bool {
    span.start <= offset && offset <= span.end
}
