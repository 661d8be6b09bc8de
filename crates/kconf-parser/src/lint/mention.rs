//! Comments that switch rules: `# lvskit: off KC0102`.

use std::collections::HashMap;

use crate::diagnostic::Code;
use crate::source::{FileId, SourceMap};

use super::rules::Rules;

/// What such a comment begins with, behind its sign.
const MARK: &str = "lvskit:";

/// What comments say of rules.
#[derive(Debug, Default)]
pub(super) struct Mentions {
    lines: HashMap<(FileId, usize, Code), bool>,
    files: HashMap<(FileId, Code), bool>,
}

impl Mentions {
    pub(super) fn of(sources: &SourceMap) -> Self {
        let mut mentions = Self::default();
        for (id, file) in sources.file_ids().zip(sources.files()) {
            let text = file.text();
            for (at, _) in text.match_indices(MARK) {
                let index = file.line_index(u32::try_from(at).unwrap_or(u32::MAX));
                let range = file.line_range(index);
                let line = text.get(range.clone()).unwrap_or_default();
                let before = text.get(range.start..at).unwrap_or_default().trim_end();
                let Some(before) = before.strip_suffix(['#', '!']) else {
                    continue;
                };
                let alone = before.trim_matches(['#', '!', ' ', '\t']).is_empty();
                let words = line
                    .get(at - range.start + MARK.len()..)
                    .unwrap_or_default();
                mentions.read(id, if alone { index + 1 } else { index }, words);
            }
        }
        mentions
    }

    fn read(&mut self, file: FileId, line: usize, words: &str) {
        let mut words = words
            .split([' ', '\t', ','])
            .filter(|word| !word.is_empty());
        let (on, whole) = match words.next() {
            Some("off") => (false, false),
            Some("on") => (true, false),
            Some("off-file") => (false, true),
            Some("on-file") => (true, true),
            _ => return,
        };
        for code in words.map_while(|word| Rules::code(word).ok()) {
            match whole {
                true => self.files.insert((file, code), on),
                false => self.lines.insert((file, line, code), on),
            };
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.files.is_empty()
    }

    /// Whether any comment says something of a code.
    pub(super) fn name(&self, code: Code) -> bool {
        let mut lines = self.lines.keys().map(|(_, _, code)| *code);
        let mut files = self.files.keys().map(|(_, code)| *code);
        lines.any(|said| said == code) || files.any(|said| said == code)
    }

    /// What a comment says of a code in a line, by index from 0.
    pub(super) fn said(&self, file: FileId, line: usize, code: Code) -> Option<bool> {
        let of_line = self.lines.get(&(file, line, code));
        of_line.or_else(|| self.files.get(&(file, code))).copied()
    }
}
