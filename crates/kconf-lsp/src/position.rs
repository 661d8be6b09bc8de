//! Bytes to lines and columns of the protocol, paths to URIs, and back.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use gen_lsp_types::{Position, Range, Uri};
use kconf_parser::source::Span;

/// How columns count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Bytes.
    Utf8,
    /// Code units of UTF-16, the protocol's default.
    Utf16,
}

/// A text with an index of its lines.
#[derive(Debug, Clone)]
pub(crate) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
    encoding: Encoding,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(text: &'a str, encoding: Encoding) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self {
            text,
            starts: std::iter::once(0)
                .chain(breaks.map(|(at, _)| at + 1))
                .collect(),
            encoding,
        }
    }

    /// The position of a byte.
    pub(crate) fn position(&self, offset: usize) -> Position {
        let line = self
            .starts
            .partition_point(|start| *start <= offset)
            .saturating_sub(1);
        let start = self.starts.get(line).copied().unwrap_or(0);
        let head = self.text.get(start..offset).unwrap_or_default();
        let column = match self.encoding {
            Encoding::Utf8 => head.len(),
            Encoding::Utf16 => head.encode_utf16().count(),
        };
        Position {
            line: to_u32(line),
            character: to_u32(column),
        }
    }

    /// The byte at a position; one past the end of a line is its end.
    pub(crate) fn offset(&self, position: Position) -> usize {
        let line = position.line as usize;
        let Some(start) = self.starts.get(line).copied() else {
            return self.text.len();
        };
        let end = self
            .starts
            .get(line + 1)
            .map_or(self.text.len(), |next| next - 1);
        let mut left = position.character as usize;
        let line = self.text.get(start..end).unwrap_or_default();
        for (at, c) in line.char_indices() {
            if left == 0 {
                return start + at;
            }
            left = left.saturating_sub(match self.encoding {
                Encoding::Utf8 => c.len_utf8(),
                Encoding::Utf16 => c.len_utf16(),
            });
        }
        start + line.len()
    }

    pub(crate) fn range(&self, span: Span) -> Range {
        Range {
            start: self.position(span.start as usize),
            end: self.position(span.end as usize),
        }
    }

    /// The range of the whole text.
    pub(crate) fn whole(&self) -> Range {
        Range {
            start: self.position(0),
            end: self.position(self.text.len()),
        }
    }
}

/// The path of a URI; what is no file keeps its URI as a name.
pub(crate) fn path(uri: &Uri) -> PathBuf {
    let Some(encoded) = uri.0.strip_prefix("file://") else {
        return PathBuf::from(&uri.0);
    };
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        let hex = |rest: &std::str::Bytes<'_>| {
            let digits = rest
                .clone()
                .take(2)
                .map(|digit| char::from(digit).to_digit(16));
            let digits: Option<Vec<u32>> = digits.collect();
            digits.filter(|digits| digits.len() == 2)
        };
        match hex(&rest).filter(|_| byte == b'%') {
            Some(digits) => {
                rest.nth(1);
                let value = digits.iter().fold(0, |value, digit| value * 16 + digit);
                bytes.push(u8::try_from(value).unwrap_or_default());
            }
            None => bytes.push(byte),
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

fn to_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use kconf_parser::source::file_uri;

    use super::*;

    #[test]
    fn columns_count_as_the_client_wants() {
        let text = "ab\n\u{e9}\u{1f600}x\n";
        for (encoding, column) in [(Encoding::Utf8, 6), (Encoding::Utf16, 3)] {
            let lines = Lines::new(text, encoding);
            let at = text.find('x').unwrap();
            let position = Position {
                line: 1,
                character: column,
            };
            assert_eq!(lines.position(at), position);
            assert_eq!(lines.offset(position), at);
            let far = Position {
                line: 1,
                character: 99,
            };
            assert_eq!(lines.offset(far), at + 1);
            assert_eq!(
                lines.offset(Position {
                    line: 9,
                    character: 0
                }),
                text.len()
            );
        }
    }

    #[test]
    fn a_path_becomes_a_uri_and_itself_again() {
        for name in ["/etc/k.conf", "/a b/\u{e9}%20#.conf"] {
            let uri = Uri(file_uri(Path::new(name)));
            assert_eq!(path(&uri), Path::new(name));
        }
        assert_eq!(path(&Uri("file:///a%zz%2".into())), Path::new("/a%zz%2"));
        assert_eq!(path(&Uri("untitled:1".into())), Path::new("untitled:1"));
    }
}
