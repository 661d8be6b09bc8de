//! A tree as text again.

use super::{Statement, Word};
use crate::secret::{self, Secrets};

/// Text that reads as the same tree: a statement on each line, blocks indented.
///
/// `text` is what the tree was made of. Comments, blank lines and the original indentation are
/// gone; words are unchanged, but for secrets that are covered.
pub fn print(statements: &[Statement], text: &str, secrets: Secrets) -> String {
    let mut printed = String::new();
    // Statements that are still to be printed at each level, innermost last.
    let mut levels = vec![statements.iter()];
    while let Some(level) = levels.last_mut() {
        let Some(statement) = level.next() else {
            levels.pop();
            if !levels.is_empty() {
                indent(&mut printed, levels.len() - 1);
                printed.push_str("}\n");
            }
            continue;
        };
        indent(&mut printed, levels.len() - 1);
        printed.push_str(raw(statement.keyword, text));
        let mut end = statement.keyword.outer().end;
        let covered = match secrets {
            Secrets::Covered => secret::words(statement, text),
            Secrets::Shown => &[],
        };
        let shown = statement.args.len() - covered.len();
        for word in statement.args.iter().take(shown) {
            // Words that touch are one to a command: `a" b"`.
            if word.outer().start != end {
                printed.push(' ');
            }
            printed.push_str(raw(*word, text));
            end = word.outer().end;
        }
        if !covered.is_empty() {
            printed.push(' ');
            printed.push_str(secret::COVER);
        }
        match &statement.block {
            Some(block) => {
                let head = if raw(statement.keyword, text).is_empty() {
                    "{\n"
                } else {
                    " {\n"
                };
                printed.push_str(head);
                levels.push(block.statements.iter());
            }
            None => printed.push('\n'),
        }
    }
    printed
}

fn indent(printed: &mut String, level: usize) {
    for _ in 0..level {
        printed.push_str("    ");
    }
}

fn raw(word: Word, text: &str) -> &str {
    let span = word.outer();
    text.get(span.start as usize..span.end as usize)
        .unwrap_or_default()
}
