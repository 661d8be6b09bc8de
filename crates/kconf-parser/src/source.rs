//! Files, places in them, and the way back from expanded text to what somebody wrote.
//!
//! A [`Span`] is a range of the *expanded text*: all files with includes read in, definitions
//! replaced and lines repeated. A [`Place`] is a range of one file. [`SourceMap::place`] leads
//! from the first to the second; diagnostics carry places only.
//!
//! # Design
//!
//! The language expands text before it looks at it, so positions must survive that. The
//! expanded text is kept as one string with a sorted list of pieces, each saying which bytes of
//! which file it came from: either the same bytes, or the use of a definition. A file without
//! includes or definitions is a single piece. Lines and columns are computed from byte offsets
//! when somebody asks, by an index of line starts for each file.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memchr::memchr_iter;

/// A range of bytes of the expanded text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The smallest span that holds both.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self {
            start: self.start.min(other.start),
            end: self.end.max(other.end),
        }
    }

    /// The empty span just behind this one.
    #[must_use]
    pub fn after(self) -> Self {
        Self {
            start: self.end,
            end: self.end,
        }
    }
}

/// A file of a [`SourceMap`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(u32);

/// A range of bytes of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The file.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Place {
    /// The empty place just behind this one.
    #[must_use]
    pub fn after(self) -> Self {
        Self {
            start: self.end,
            ..self
        }
    }
}

/// The start of the first file, for want of a better place.
pub(crate) const NOWHERE: Place = Place {
    file: FileId(0),
    start: 0,
    end: 0,
};

/// A place in words for people: lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location<'a> {
    /// Path of the file as it was given or found.
    pub path: &'a Path,
    /// Line of the first character.
    pub line: u32,
    /// Column of the first character.
    pub column: u32,
    /// Line of the end.
    pub end_line: u32,
    /// Column just behind the last character.
    pub end_column: u32,
}

impl fmt::Display for Location<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.path.display(), self.line, self.column)
    }
}

/// One file as read.
#[derive(Debug, Clone)]
pub struct SourceFile {
    path: PathBuf,
    text: Arc<str>,
    line_starts: Vec<u32>,
    included: Option<Place>,
}

impl SourceFile {
    fn new(path: PathBuf, text: String, included: Option<Place>) -> Self {
        let ends = memchr_iter(b'\n', text.as_bytes());
        let line_starts = std::iter::once(0)
            .chain(ends.map(|at| to_u32(at + 1)))
            .collect();
        Self {
            path,
            text: text.into(),
            line_starts,
            included,
        }
    }

    /// Path as it was given or found by a pattern.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The text. Bytes that are not UTF-8 have become U+FFFD.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The pattern of the include line that brought it in first; `None` for the main file.
    pub fn included(&self) -> Option<Place> {
        self.included
    }

    /// The text, to be kept while the map grows.
    pub(crate) fn shared_text(&self) -> Arc<str> {
        Arc::clone(&self.text)
    }

    /// Index from 0 of the line that holds this byte.
    pub fn line_index(&self, offset: u32) -> usize {
        self.line_starts
            .partition_point(|start| *start <= offset)
            .saturating_sub(1)
    }

    /// Byte range of a line, by index from 0, without its line break; empty past the end.
    pub fn line_range(&self, index: usize) -> std::ops::Range<usize> {
        let end = self.text.len();
        let start = self
            .line_starts
            .get(index)
            .map_or(end, |start| *start as usize);
        let next = self
            .line_starts
            .get(index + 1)
            .map_or(end, |next| *next as usize);
        let line = self.text.get(start..next).unwrap_or_default();
        start..start + line.trim_end_matches(['\n', '\r']).len()
    }

    /// How many lines there are; a text that ends in a line break has an empty last one.
    pub fn line_count(&self) -> usize {
        self.line_starts.len()
    }

    fn line_column(&self, offset: u32) -> (u32, u32) {
        let index = self.line_index(offset);
        let start = self
            .line_starts
            .get(index)
            .map_or(0, |start| *start as usize);
        let head = self.text.get(start..offset as usize).unwrap_or_default();
        (to_u32(index + 1), to_u32(head.chars().count() + 1))
    }
}

/// Where a stretch of the expanded text came from.
#[derive(Debug, Clone, Copy)]
struct Piece {
    /// First byte in the expanded text.
    start: u32,
    origin: Place,
    /// Whether the bytes are the same, so that offsets carry over; otherwise all of it stands
    /// for all of `origin`.
    verbatim: bool,
    /// The definition whose value this is.
    definition: Option<Place>,
}

/// All files of one configuration, and the expanded text made from them.
#[derive(Debug, Clone, Default)]
pub struct SourceMap {
    files: Vec<SourceFile>,
    text: String,
    pieces: Vec<Piece>,
}

impl SourceMap {
    /// Adds a file; its text becomes part of the expanded text only by [`Self::append`].
    pub(crate) fn add_file(
        &mut self,
        path: PathBuf,
        text: String,
        included: Option<Place>,
    ) -> FileId {
        self.files.push(SourceFile::new(path, text, included));
        FileId(to_u32(self.files.len() - 1))
    }

    /// Appends bytes of a file as they are.
    pub(crate) fn append(&mut self, origin: Place) {
        let start = to_u32(self.text.len());
        let follows = self.pieces.last().is_some_and(|last| {
            last.verbatim
                && last.origin.file == origin.file
                && last.origin.end == origin.start
                && last.definition.is_none()
        });
        if let Some(last) = self.pieces.last_mut().filter(|_| follows) {
            last.origin.end = origin.end;
        } else {
            self.pieces.push(Piece {
                start,
                origin,
                verbatim: true,
                definition: None,
            });
        }
        let file = &self.files[origin.file.0 as usize]; // a `FileId` is made by `add_file` only
        self.text
            .push_str(&file.text[origin.start as usize..origin.end as usize]);
    }

    /// Appends text that stands for `origin`; with `verbatim`, byte by byte.
    pub(crate) fn append_made(
        &mut self,
        text: &str,
        origin: Place,
        verbatim: bool,
        definition: Option<Place>,
    ) {
        if !text.is_empty() {
            let start = to_u32(self.text.len());
            self.pieces.push(Piece {
                start,
                origin,
                verbatim,
                definition,
            });
            self.text.push_str(text);
        }
    }

    /// The expanded text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The bytes of a span; empty if it is not one of this map.
    pub fn slice(&self, span: Span) -> &str {
        self.text
            .get(span.start as usize..span.end as usize)
            .unwrap_or_default()
    }

    /// All files, the main one first, then in the order they were included.
    pub fn files(&self) -> &[SourceFile] {
        &self.files
    }

    /// What places call the files, in the same order.
    pub(crate) fn file_ids(&self) -> impl Iterator<Item = FileId> {
        (0..to_u32(self.files.len())).map(FileId)
    }

    /// The file of a place; `None` only for a place of another map.
    pub fn file(&self, id: FileId) -> Option<&SourceFile> {
        self.files.get(id.0 as usize)
    }

    /// The include lines that lead to a file, the nearest first; none for the main file.
    pub fn included_from(&self, file: FileId) -> impl Iterator<Item = Place> {
        let above = |file: FileId| self.file(file).and_then(SourceFile::included);
        // A file is added after the one that includes it, so this ends.
        std::iter::successors(above(file), move |place| above(place.file))
    }

    /// The place in a file that a span of the expanded text came from.
    ///
    /// Inside the value of a definition this is where the definition was used. A span over
    /// several files ends with the file it began in.
    pub fn place(&self, span: Span) -> Place {
        let Some(first) = self.piece(span.start) else {
            return Place {
                file: FileId(0),
                start: 0,
                end: 0,
            };
        };
        let start = first.map(span.start).0;
        if span.end <= span.start {
            // The end of a file is the start of nothing: look at the byte before.
            return Place {
                file: first.origin.file,
                start,
                end: start,
            };
        }
        let last = self.piece(span.end - 1).unwrap_or(first);
        let end = match last.origin.file == first.origin.file {
            true => last.map(span.end - 1).1,
            false => first.origin.end,
        };
        Place {
            file: first.origin.file,
            start,
            end: end.max(start),
        }
    }

    /// The places that stand for something else: uses of definitions and the like.
    pub(crate) fn expanded_places(&self) -> impl Iterator<Item = Place> {
        self.pieces
            .iter()
            .filter(|piece| !piece.verbatim)
            .map(|piece| piece.origin)
            // A line break that was put in stands for nothing.
            .filter(|origin| origin.start < origin.end)
    }

    /// The definition whose value this span is part of.
    pub fn definition(&self, span: Span) -> Option<Place> {
        self.piece(span.start)?.definition
    }

    /// A place in lines and columns.
    pub fn location(&self, place: Place) -> Location<'_> {
        let Some(file) = self.file(place.file) else {
            return Location {
                path: Path::new(""),
                line: 1,
                column: 1,
                end_line: 1,
                end_column: 1,
            };
        };
        let (line, column) = file.line_column(place.start);
        let (end_line, end_column) = file.line_column(place.end);
        Location {
            path: &file.path,
            line,
            column,
            end_line,
            end_column,
        }
    }

    fn piece(&self, offset: u32) -> Option<&Piece> {
        let at = self.pieces.partition_point(|piece| piece.start <= offset);
        self.pieces.get(at.saturating_sub(1))
    }
}

impl Piece {
    /// First byte and one past the last byte in the file for one byte of the expanded text.
    fn map(&self, offset: u32) -> (u32, u32) {
        if self.verbatim {
            let at = (self.origin.start + (offset - self.start)).min(self.origin.end);
            (at, (at + 1).min(self.origin.end))
        } else {
            (self.origin.start, self.origin.end)
        }
    }
}

/// A path as a URI reference: absolute with its scheme, relative without.
pub fn file_uri(path: &Path) -> String {
    use std::fmt::Write as _;
    use std::os::unix::ffi::OsStrExt as _;

    let mut uri = String::new();
    if path.is_absolute() {
        uri.push_str("file://");
    }
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(*byte));
            }
            _ => {
                let _ = write!(uri, "%{byte:02X}");
            }
        }
    }
    uri
}

/// Offsets are 32 bits wide; the loader refuses more text than that, see `include::MAX_TEXT`.
fn to_u32(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}
