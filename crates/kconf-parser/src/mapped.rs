//! A piece of text that remembers which bytes of which file it was made from.

use std::ops::Range;

use crate::source::{Place, SourceMap};

/// Where a stretch came from.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    /// First byte in the text.
    start: usize,
    origin: Place,
    /// Whether the bytes are those of `origin`, one by one.
    verbatim: bool,
    definition: Option<Place>,
}

/// Text with origins; what a line is while it is being expanded.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mapped {
    text: String,
    stretches: Vec<Stretch>,
}

impl Mapped {
    /// The bytes of a file as they are.
    pub(crate) fn verbatim(text: &str, origin: Place) -> Self {
        let stretch = Stretch {
            start: 0,
            origin,
            verbatim: true,
            definition: None,
        };
        Self {
            text: text.to_owned(),
            stretches: vec![stretch],
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Appends text that stands for `origin`.
    pub(crate) fn push(&mut self, text: &str, origin: Place, definition: Option<Place>) {
        if !text.is_empty() {
            let start = self.text.len();
            self.stretches.push(Stretch {
                start,
                origin,
                verbatim: false,
                definition,
            });
            self.text.push_str(text);
        }
    }

    /// Appends a part of another text with its origins.
    pub(crate) fn push_part(&mut self, other: &Self, part: Range<usize>) {
        let Some(text) = other.text.get(part.clone()).filter(|text| !text.is_empty()) else {
            return;
        };
        let first = other
            .stretches
            .partition_point(|stretch| stretch.start <= part.start);
        let from = first.saturating_sub(1);
        for (index, stretch) in other.stretches.iter().enumerate().skip(from) {
            if stretch.start >= part.end {
                break;
            }
            let skipped = part.start.saturating_sub(stretch.start);
            let end = other
                .stretches
                .get(index + 1)
                .map_or(other.text.len(), |next| next.start);
            let mut origin = stretch.origin;
            if stretch.verbatim {
                origin.start += to_u32(skipped);
                let length = end.min(part.end) - stretch.start.max(part.start);
                origin.end = origin.start + to_u32(length);
            }
            let start = self.text.len() + stretch.start.max(part.start) - part.start;
            self.stretches.push(Stretch {
                start,
                origin,
                ..*stretch
            });
        }
        self.text.push_str(text);
    }

    /// A part of this text.
    pub(crate) fn part(&self, part: Range<usize>) -> Self {
        let mut made = Self::default();
        made.push_part(self, part);
        made
    }

    /// From a byte to the end.
    pub(crate) fn tail(&self, from: usize) -> Self {
        self.part(from..self.text.len())
    }

    /// The place in a file that a part was made from.
    pub(crate) fn place(&self, part: Range<usize>) -> Place {
        let find = |at: usize| {
            let next = self
                .stretches
                .partition_point(|stretch| stretch.start <= at);
            self.stretches.get(next.saturating_sub(1))
        };
        let Some(first) = find(part.start) else {
            return crate::source::NOWHERE;
        };
        let last = find(part.end.saturating_sub(1)).unwrap_or(first);
        let map = |stretch: &Stretch, at: usize| {
            let origin = stretch.origin;
            (origin.start + to_u32(at.saturating_sub(stretch.start))).min(origin.end)
        };
        let start = if first.verbatim {
            map(first, part.start)
        } else {
            first.origin.start
        };
        let end = if last.verbatim {
            map(last, part.end)
        } else {
            last.origin.end
        };
        let end = if last.origin.file == first.origin.file {
            end
        } else {
            first.origin.end
        };
        Place {
            file: first.origin.file,
            start,
            end: end.max(start),
        }
    }

    /// Appends all of it to the expanded text.
    pub(crate) fn append_to(&self, sources: &mut SourceMap) {
        for (index, stretch) in self.stretches.iter().enumerate() {
            let end = self
                .stretches
                .get(index + 1)
                .map_or(self.text.len(), |next| next.start);
            let text = self.text.get(stretch.start..end).unwrap_or_default();
            sources.append_made(text, stretch.origin, stretch.verbatim, stretch.definition);
        }
    }
}

/// Lines are short; the expanded text as a whole is limited by `include`.
fn to_u32(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}
