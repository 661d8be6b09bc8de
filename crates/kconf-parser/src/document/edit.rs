//! Changes that leave everything else as it stands.
//!
//! A statement is found by a path: the words that each block around it begins with, from the
//! outside in, such as `["virtual_server 192.0.2.10 80", "real_server 10.0.0.1 80"]`.

use crate::source::Span;
use crate::tree::{Block, Statement};

use super::piece::is_blank;
use super::{Document, span};

/// Why a change was not made; the document is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// Nothing begins with these words.
    #[error("there is no `{0}` here")]
    NotFound(String),
    /// More than one statement begins with these words.
    #[error("`{0}` stands here more than once")]
    Ambiguous(String),
    /// The statement has no block in braces.
    #[error("`{0}` has no block")]
    NoBlock(String),
    /// The `}` of the block is missing.
    #[error("the block of `{0}` is not closed")]
    NotClosed(String),
    /// A value that no word can hold: it has a line break, or blanks and a double quote.
    #[error("{0:?} cannot be written as one word")]
    NotAWord(String),
    /// The new text has braces or quotes without their partners, so it would swallow what follows.
    #[error("the text to insert has an open brace or quote")]
    NotBalanced,
}

impl Document {
    /// The statement at a path; the path has at least one element.
    ///
    /// # Errors
    ///
    /// [`EditError::NotFound`], [`EditError::Ambiguous`], [`EditError::NoBlock`].
    pub fn find(&self, path: &[&str]) -> Result<&Statement, EditError> {
        let (last, around) = path
            .split_last()
            .ok_or_else(|| EditError::NotFound(String::new()))?;
        let here = match around {
            [] => &self.statements,
            around => &block_of(self.find(around)?, around)?.statements,
        };
        let mut found = here.iter().filter(|one| self.begins_with(one, last));
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one),
            (None, _) => Err(EditError::NotFound((*last).to_owned())),
            (Some(_), Some(_)) => Err(EditError::Ambiguous((*last).to_owned())),
        }
    }

    /// Sets a keyword of a block (an empty path: of the top level) to some values.
    ///
    /// A keyword that is there keeps its place and its comment; of several the last one is
    /// changed, which is the one that counts. One that is not there is put at the end. Values
    /// get quotes where they need them.
    ///
    /// # Errors
    ///
    /// Those of [`Self::find`] for the block, [`EditError::NotClosed`], [`EditError::NotAWord`].
    pub fn set(&mut self, block: &[&str], keyword: &str, values: &[&str]) -> Result<(), EditError> {
        let words = values.iter().map(|value| word(value));
        let words = words.collect::<Result<Vec<_>, _>>()?.join(" ");
        let present = self
            .inside(block)?
            .iter()
            .rev()
            .find(|one| one.keyword.value(&self.text) == keyword);
        let Some(present) = present else {
            return self.insert(block, format!("{keyword} {words}").trim_end());
        };
        let after = present.keyword.outer().after();
        match present.args.split_first() {
            _ if words.is_empty() => {
                self.replace(after.to(present.span().after()), "");
            }
            Some((first, rest)) => {
                let args = first.outer().to(rest.last().unwrap_or(first).outer());
                self.replace(args, &words);
            }
            None => self.replace(after, &format!(" {words}")),
        }
        Ok(())
    }

    /// Puts a statement, or several lines of them, at the end of a block (an empty path: of the
    /// text), indented as what is there.
    ///
    /// # Errors
    ///
    /// Those of [`Self::find`] for the block, [`EditError::NotClosed`],
    /// [`EditError::NotBalanced`].
    pub fn insert(&mut self, block: &[&str], text: &str) -> Result<(), EditError> {
        if !Self::parse(text).is_balanced() {
            return Err(EditError::NotBalanced);
        }
        let Some(name) = block.last() else {
            let gap = match self.text.is_empty() || self.text.ends_with('\n') {
                true => "",
                false => "\n",
            };
            let end = self.text.len();
            self.replace(span(end, end), &format!("{gap}{}\n", text.trim_end()));
            return Ok(());
        };
        let statement = self.find(block)?;
        let body = block_of(statement, block)?;
        let close = body
            .close
            .ok_or_else(|| EditError::NotClosed((*name).to_owned()))?;
        let outer = self.indent(statement.keyword.outer().start);
        let inner = match body.statements.last() {
            Some(last) if self.starts_line(last.keyword.outer().start) => {
                self.indent(last.keyword.outer().start)
            }
            _ if outer.ends_with('\t') => format!("{outer}\t"),
            _ => format!("{outer}    "),
        };
        let lines: String = text
            .trim_end()
            .lines()
            .map(|line| match line.is_empty() {
                true => "\n".to_owned(),
                false => format!("{inner}{line}\n"),
            })
            .collect();
        let at = close.start as usize;
        if self.starts_line(close.start) {
            let line = self.line_start(at);
            self.replace(span(line, line), &lines);
        } else {
            let kept = self.text.get(..at).unwrap_or_default();
            let kept = kept.trim_end_matches(is_blank).len();
            self.replace(span(kept, at), &format!("\n{lines}{outer}"));
        }
        Ok(())
    }

    /// Takes a statement out, with its block and what its last line says of it in a comment.
    ///
    /// # Errors
    ///
    /// Those of [`Self::find`], [`EditError::NotClosed`].
    pub fn remove(&mut self, path: &[&str]) -> Result<(), EditError> {
        let statement = self.find(path)?;
        let mut end = statement.span().end;
        if let Some(block) = &statement.block {
            let name = || path.last().copied().unwrap_or_default().to_owned();
            end = block.close.ok_or_else(|| EditError::NotClosed(name()))?.end;
        }
        let (start, end) = (statement.keyword.outer().start as usize, end as usize);
        let line = self.line_start(start);
        let rest = self.text.get(end..).unwrap_or_default();
        let to_break = rest.find('\n').unwrap_or(rest.len());
        let tail = rest.get(..to_break).unwrap_or_default().trim();
        let alone = self.starts_line(statement.keyword.outer().start)
            && (tail.is_empty() || tail.starts_with(['#', '!']));
        let place = match alone {
            true => span(line, (end + to_break + 1).min(self.text.len())),
            false => {
                let blanks = rest.len() - rest.trim_start_matches(is_blank).len();
                span(start, end + blanks)
            }
        };
        self.replace(place, "");
        Ok(())
    }

    /// Replaces bytes; what is not a range of the text changes nothing.
    pub fn replace(&mut self, place: Span, with: &str) {
        let range = place.start as usize..place.end as usize;
        if self.text.get(range.clone()).is_some() {
            let mut text = std::mem::take(&mut self.text);
            text.replace_range(range, with);
            *self = Self::parse(text);
        }
    }

    /// The statements in a block.
    fn inside(&self, block: &[&str]) -> Result<&[Statement], EditError> {
        match block {
            [] => Ok(&self.statements),
            block => Ok(&block_of(self.find(block)?, block)?.statements),
        }
    }

    fn begins_with(&self, statement: &Statement, words: &str) -> bool {
        let own = std::iter::once(&statement.keyword).chain(&statement.args);
        let mut own = own.map(|word| word.value(&self.text));
        words
            .split_ascii_whitespace()
            .all(|word| own.next().is_some_and(|own| own == word))
    }

    fn line_start(&self, at: usize) -> usize {
        let head = self.text.get(..at).unwrap_or_default();
        head.rfind('\n').map_or(0, |line| line + 1)
    }

    /// The blanks at the start of the line that holds a byte.
    fn indent(&self, at: u32) -> String {
        let line = self.line_start(at as usize);
        let rest = self.text.get(line..).unwrap_or_default();
        let blanks = rest.len() - rest.trim_start_matches(is_blank).len();
        rest.get(..blanks).unwrap_or_default().to_owned()
    }

    /// Whether only blanks and directives of the line stand before a byte.
    fn starts_line(&self, at: u32) -> bool {
        let line = self.line_start(at as usize);
        let first = self
            .pieces
            .partition_point(|piece| (piece.span.end as usize) <= line);
        let pieces = self.pieces.get(first..).unwrap_or_default();
        pieces
            .iter()
            .take_while(|piece| piece.span.start < at)
            .all(|piece| {
                use super::PieceKind::{Blank, Directive};
                matches!(piece.kind, Blank | Directive(_))
            })
    }
}

fn block_of<'a>(statement: &'a Statement, path: &[&str]) -> Result<&'a Block, EditError> {
    let name = || path.last().copied().unwrap_or_default().to_owned();
    statement
        .block
        .as_deref()
        .ok_or_else(|| EditError::NoBlock(name()))
}

/// A value as a word, with quotes if it needs them.
fn word(value: &str) -> Result<String, EditError> {
    let needs_quotes = value.is_empty()
        || value.contains(|c: char| is_blank(c) || matches!(c, '{' | '}' | '#' | '!'));
    let quoted = format!("\"{value}\"");
    let is_quoted = value.len() > 1 && value.starts_with('"') && value.ends_with('"');
    let inner = match is_quoted {
        true => value.get(1..value.len() - 1).unwrap_or_default(),
        false => value,
    };
    if value.contains(['\n', '\0']) || inner.contains('"') {
        return Err(EditError::NotAWord(value.to_owned()));
    }
    Ok(match needs_quotes && !is_quoted {
        true => quoted,
        false => value.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# of the site
virtual_server 192.0.2.10 80 {   # web
\tprotocol TCP
\tlb_algo rr # why not
\tlb_algo wrr
\treal_server 10.0.0.1 80 { weight 1 }
\treal_server 10.0.0.2 80
\t{
\t}
}
";
    const WEB: &str = "virtual_server 192.0.2.10 80";

    fn edited(change: impl FnOnce(&mut Document) -> Result<(), EditError>) -> String {
        let mut document = Document::parse(TEXT);
        change(&mut document).unwrap();
        document.text().to_owned()
    }

    #[test]
    fn the_setting_that_counts_is_changed_and_nothing_else() {
        let text = edited(|document| document.set(&[WEB], "lb_algo", &["mh"]));
        assert_eq!(text, TEXT.replace("wrr", "mh"));
        let text = edited(|document| document.set(&[WEB], "protocol", &[]));
        assert_eq!(text, TEXT.replace("protocol TCP", "protocol"));
    }

    #[test]
    fn what_is_not_there_is_put_at_the_end_of_its_block() {
        let text = edited(|document| document.set(&[WEB], "virtualhost", &["a b"]));
        assert_eq!(
            text,
            TEXT.replace("\t}\n}", "\t}\n\tvirtualhost \"a b\"\n}")
        );
        let first = "real_server 10.0.0.1 80";
        let text = edited(|document| document.insert(&[WEB, first], "TCP_CHECK {\n}"));
        let wanted = "{ weight 1\n\t\tTCP_CHECK {\n\t\t}\n\t}\n";
        assert_eq!(text, TEXT.replace("{ weight 1 }\n", wanted));
        let second = "real_server 10.0.0.2 80";
        let text = edited(|document| document.set(&[WEB, second], "weight", &["3"]));
        assert_eq!(text, TEXT.replace("\t{\n\t}", "\t{\n\t\tweight 3\n\t}"));
        let text = edited(|document| document.insert(&[], "include x.conf"));
        assert_eq!(text, format!("{TEXT}include x.conf\n"));
    }

    #[test]
    fn a_statement_goes_with_its_line() {
        let text = edited(|document| document.remove(&[WEB, "real_server 10.0.0.2"]));
        assert_eq!(
            text,
            TEXT.replace("\treal_server 10.0.0.2 80\n\t{\n\t}\n", "")
        );
        let text = edited(|document| document.remove(&[WEB, "real_server 10.0.0.1", "weight"]));
        assert_eq!(text, TEXT.replace("weight 1 }", "}"));
        let text = edited(|document| document.remove(&[WEB]));
        assert_eq!(text, "# of the site\n");
        let mut document = Document::parse("a {\n  @node b 1 # c\n  d\n}\n");
        document.remove(&["a", "b"]).unwrap();
        assert_eq!(document.text(), "a {\n  d\n}\n");
    }

    #[test]
    fn what_cannot_be_done_changes_nothing() {
        let mut document = Document::parse(TEXT);
        let mut refused = |change: fn(&mut Document) -> Result<(), EditError>| {
            let error = change(&mut document).unwrap_err();
            assert_eq!(document.text(), TEXT);
            error
        };
        let not_found = EditError::NotFound("x".into());
        assert_eq!(refused(|d| d.set(&["x"], "y", &[])), not_found);
        let twice = EditError::Ambiguous("real_server".into());
        assert_eq!(refused(|d| d.remove(&[WEB, "real_server"])), twice);
        let no_block = EditError::NoBlock("protocol".into());
        assert_eq!(refused(|d| d.insert(&[WEB, "protocol"], "x")), no_block);
        let word = EditError::NotAWord("a\nb".into());
        assert_eq!(refused(|d| d.set(&[WEB], "y", &["a\nb"])), word);
        assert_eq!(refused(|d| d.insert(&[], "a {")), EditError::NotBalanced);
    }
}
