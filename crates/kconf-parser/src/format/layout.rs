//! Lines that are to be printed: what may be joined, empty lines, columns of comments.

use crate::document::is_blank;
use crate::expand::MAX_LINE;

/// Columns of a level.
const INDENT: usize = 4;

/// A comment behind code.
#[derive(Debug, Clone)]
pub(super) struct Comment {
    text: String,
    /// Whether it begins in the middle of a word. That may be a mistake, and is not hidden.
    touches: bool,
}

impl Comment {
    pub(super) fn new(text: &str, touches: bool) -> Self {
        Self {
            text: text.trim_end_matches(is_blank).to_owned(),
            touches,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Blank,
    /// As it was.
    Verbatim,
    Comment,
    /// Words that a `{` on the next line belongs to.
    Statement,
    Close,
    Code,
}

/// A line.
#[derive(Debug, Clone)]
pub(super) struct Line {
    kind: Kind,
    indent: usize,
    code: String,
    comment: Option<Comment>,
}

impl Line {
    fn new(kind: Kind, indent: usize, code: String) -> Self {
        Self {
            kind,
            indent: indent * INDENT,
            code,
            comment: None,
        }
    }

    pub(super) fn verbatim(raw: &str) -> Self {
        Self::new(Kind::Verbatim, 0, raw.to_owned())
    }

    pub(super) fn comment(indent: usize, text: &str) -> Self {
        Self::new(Kind::Comment, indent, text.to_owned())
    }

    pub(super) fn statement(indent: usize, code: String) -> Self {
        Self::new(Kind::Statement, indent, code)
    }

    pub(super) fn close(indent: usize) -> Self {
        Self::new(Kind::Close, indent, "}".to_owned())
    }

    pub(super) fn code(indent: usize, code: String, comment: Option<Comment>) -> Self {
        Self {
            comment,
            ..Self::new(Kind::Code, indent, code)
        }
    }

    /// Columns that the code takes, and whether a comment may be lined up with others. The limit
    /// of a line counts indentation, so a long line gets less of it.
    fn width(&self) -> usize {
        self.indent() + self.code.chars().count()
    }

    fn indent(&self) -> usize {
        self.indent.min(MAX_LINE.saturating_sub(self.code.len()))
    }

    fn lines_up(&self) -> bool {
        let comment = self.comment.as_ref();
        comment.is_some_and(|comment| !comment.touches) && !self.code.contains('\n')
    }

    /// Whether its comment and that of a line next to it share a column: within a block.
    fn lines_up_with(&self, other: &Self) -> bool {
        self.lines_up() && other.lines_up() && self.indent == other.indent
    }
}

/// All lines of a text.
#[derive(Debug, Default)]
pub(super) struct Lines {
    lines: Vec<Line>,
}

impl Lines {
    pub(super) fn push(&mut self, line: Line) {
        let last = self.lines.last();
        if line.kind == Kind::Close && last.is_some_and(|last| last.kind == Kind::Blank) {
            self.lines.pop();
        }
        self.lines.push(line);
    }

    /// An empty line; several are one, and none begins a text or a block.
    pub(super) fn blank(&mut self) {
        let opens = |last: &Line| last.kind == Kind::Code && last.code.ends_with('{');
        if self
            .lines
            .last()
            .is_some_and(|last| last.kind != Kind::Blank && !opens(last))
        {
            self.lines.push(Line::new(Kind::Blank, 0, String::new()));
        }
    }

    /// Puts `{` behind the statement of the last line; false if there is none.
    pub(super) fn open_last(&mut self) -> bool {
        match self.lines.last_mut() {
            Some(last) if last.kind == Kind::Statement && last.comment.is_none() => {
                last.code.push_str(" {");
                last.kind = Kind::Code;
                true
            }
            _ => false,
        }
    }

    /// Puts a comment behind the last line.
    pub(super) fn comment_last(&mut self, comment: Comment) {
        if let Some(last) = self.lines.last_mut() {
            last.comment = Some(comment);
        }
    }

    pub(super) fn print(mut self) -> String {
        if self
            .lines
            .last()
            .is_some_and(|last| last.kind == Kind::Blank)
        {
            self.lines.pop();
        }
        let mut text = String::new();
        let mut column = 0;
        for (index, line) in self.lines.iter().enumerate() {
            let before = index.checked_sub(1).and_then(|index| self.lines.get(index));
            if line.lines_up() && !before.is_some_and(|before| before.lines_up_with(line)) {
                let run = self.lines.get(index..).unwrap_or_default();
                let run = run.iter().take_while(|other| other.lines_up_with(line));
                column = run.map(Line::width).max().unwrap_or(0);
            }
            text.extend(std::iter::repeat_n(' ', line.indent()));
            text.push_str(&line.code);
            if let Some(comment) = &line.comment {
                let pad = match (comment.touches, line.lines_up()) {
                    (true, _) => 0,
                    (_, true) => column - line.width() + 1,
                    _ => 1,
                };
                // Blanks before a comment count for the limit of a line.
                let room = MAX_LINE.saturating_sub(line.indent() + line.code.len());
                text.extend(std::iter::repeat_n(' ', pad.min(room)));
                text.push_str(&comment.text);
            }
            text.push('\n');
        }
        text
    }
}
