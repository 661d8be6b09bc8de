//! MD5 digests of HTTP bodies, as `genhash` prints them and `digest` in keepalived.conf expects
//! them.
//!
//! keepalived hashes *bytes of the connection*: everything after the first blank line, but no more
//! than `Content-Length` bytes if the answer has a header spelled exactly so. For most answers that
//! is the body. For a chunked one it is the framing too: sizes, line ends, trailers.
//!
//! # Design
//!
//! Two hashes run side by side, both in constant memory. [`BodyDigest`] hashes the body as HTTP
//! defines it, with chunks taken apart; content codings such as gzip are left as they are.
//! [`WireDigest`] hashes what keepalived would, and is fed with the raw bytes of the connection.
//! They agree unless the answer is chunked; a probe accepts either, so a digest made with `genhash`
//! matches, and so does one made with `curl URL | md5sum`.

use std::fmt;
use std::str::FromStr;

use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// An MD5 digest; displays as 32 lower-case hex digits, reads either case.
///
/// MD5 tells a changed page from an unchanged one. It protects against accidents only, not against
/// a server that wants to pass.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Md5Digest([u8; 16]);

impl Md5Digest {
    /// The digest with these bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The digest of `data`.
    pub fn of(data: &[u8]) -> Self {
        Self(Md5::digest(data).into())
    }
}

/// Why a text is not an [`Md5Digest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParseDigestError {
    /// Another length than 32.
    #[error("digest has {0} characters instead of 32")]
    Length(usize),
    /// A character that is no hex digit.
    #[error("'{0}' in a digest is not a hex digit")]
    Digit(char),
}

impl FromStr for Md5Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let length = text.chars().count();
        if length != 32 {
            return Err(ParseDigestError::Length(length));
        }
        let mut bytes = [0; 16];
        let mut digits = text.chars();
        for byte in &mut bytes {
            for digit in digits.by_ref().take(2) {
                let value = digit.to_digit(16).ok_or(ParseDigestError::Digit(digit))?;
                // A hex digit is less than 16: it fits.
                *byte = *byte << 4 | value as u8;
            }
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Md5Digest {
    type Error = ParseDigestError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Md5Digest> for String {
    fn from(digest: Md5Digest) -> Self {
        digest.to_string()
    }
}

impl fmt::Display for Md5Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Md5Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Md5Digest({self})")
    }
}

/// Hashes a body that comes in pieces.
#[derive(Clone, Default)]
pub struct BodyDigest(Md5);

impl BodyDigest {
    /// A digest of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next piece of the body.
    pub fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    /// The digest of all pieces.
    pub fn finish(&self) -> Md5Digest {
        Md5Digest(self.0.clone().finalize().into())
    }
}

impl fmt::Debug for BodyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BodyDigest").finish_non_exhaustive()
    }
}

/// Hashes what keepalived hashes, from the raw bytes of an answer.
#[derive(Clone, Debug, Default)]
pub struct WireDigest {
    state: WireState,
    body: BodyDigest,
}

#[derive(Clone, Debug)]
enum WireState {
    /// In the headers: the line so far, cut off once it is too long to be of interest, and the
    /// length announced.
    Head {
        line: Vec<u8>,
        content_length: Option<u64>,
    },
    /// In the body, with this many bytes left to hash.
    Body { left: u64 },
}

impl Default for WireState {
    fn default() -> Self {
        Self::Head {
            line: Vec::new(),
            content_length: None,
        }
    }
}

/// `Content-Length: ` and 20 digits are shorter.
const LINE_OF_INTEREST: usize = 64;

impl WireDigest {
    /// At the start of an answer.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next bytes of the connection.
    pub fn update(&mut self, data: &[u8]) {
        let mut rest = data;
        while let WireState::Head {
            line,
            content_length,
        } = &mut self.state
        {
            let Some((&byte, tail)) = rest.split_first() else {
                return;
            };
            rest = tail;
            match byte {
                b'\n' if line.is_empty() => {
                    self.state = WireState::Body {
                        left: content_length.unwrap_or(u64::MAX),
                    };
                }
                b'\n' => {
                    if let Some(length) = announced_length(line) {
                        *content_length = Some(length);
                    }
                    line.clear();
                }
                b'\r' => {}
                _ if line.len() < LINE_OF_INTEREST => line.push(byte),
                _ => {}
            }
        }
        if let WireState::Body { left } = &mut self.state {
            let here = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
            let (hashed, _) = rest.split_at(here);
            self.body.update(hashed);
            *left -= here as u64;
        }
    }

    /// The digest of the body so far.
    pub fn finish(&self) -> Md5Digest {
        self.body.finish()
    }
}

/// The number of a header line spelled exactly `Content-Length:`.
fn announced_length(line: &[u8]) -> Option<u64> {
    let value = line.strip_prefix(b"Content-Length:")?;
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wire(answer: &[u8]) -> Md5Digest {
        let mut digest = WireDigest::new();
        digest.update(answer);
        digest.finish()
    }

    // RFC 1321 appendix A.5.
    #[test]
    fn md5_of_the_rfc() {
        assert_eq!(
            Md5Digest::of(b"abc").to_string(),
            "900150983cd24fb0d6963f7d28e17f72"
        );
        assert_eq!(
            Md5Digest::of(b"").to_string(),
            "d41d8cd98f00b204e9800998ecf8427e"
        );
    }

    #[test]
    fn a_digest_reads_what_it_writes_in_either_case() {
        let digest = Md5Digest::of(b"abc");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!(digest.to_string().to_uppercase().parse(), Ok(digest));
    }

    #[test]
    fn a_bad_digest_is_refused_with_its_fault() {
        assert_eq!("abc".parse::<Md5Digest>(), Err(ParseDigestError::Length(3)));
        let text = "g00150983cd24fb0d6963f7d28e17f72";
        assert_eq!(text.parse::<Md5Digest>(), Err(ParseDigestError::Digit('g')));
        let wide = "é".repeat(32);
        assert_eq!(wide.parse::<Md5Digest>(), Err(ParseDigestError::Digit('é')));
    }

    #[test]
    fn wire_digest_starts_after_the_first_blank_line() {
        assert_eq!(
            wire(b"HTTP/1.0 200 OK\r\nA: b\r\n\r\nabc"),
            Md5Digest::of(b"abc")
        );
        assert_eq!(
            wire(b"HTTP/1.0 200 OK\n\nabc\n\nd"),
            Md5Digest::of(b"abc\n\nd")
        );
    }

    #[test]
    fn wire_digest_minds_content_length_in_that_spelling_only() {
        let exact = b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nabc";
        assert_eq!(wire(exact), Md5Digest::of(b"ab"));
        let other = b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nabc";
        assert_eq!(wire(other), Md5Digest::of(b"abc"));
    }

    #[test]
    fn wire_digest_keeps_chunk_framing() {
        let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        assert_eq!(wire(answer), Md5Digest::of(b"3\r\nabc\r\n0\r\n\r\n"));
    }

    #[test]
    fn an_endless_header_line_holds_no_memory() {
        let mut digest = WireDigest::new();
        for _ in 0..1000 {
            digest.update(&[b'x'; 1000]);
        }
        let WireState::Head { line, .. } = &digest.state else {
            panic!("still in the headers")
        };
        assert_eq!(line.len(), LINE_OF_INTEREST);
    }

    proptest! {
        #[test]
        fn wire_digest_does_not_depend_on_how_bytes_arrive(
            answer in "HTTP/1.1 200 OK\r\n(Content-Length: [0-9]{1,2}\r\n)?(A: b\r\n)?\r\n[a-z\r\n]{0,40}",
            cuts in prop::collection::vec(1_usize..9, 0..40),
        ) {
            let mut digest = WireDigest::new();
            let mut rest = answer.as_bytes();
            for cut in cuts {
                let (head, tail) = rest.split_at(cut.min(rest.len()));
                digest.update(head);
                rest = tail;
            }
            digest.update(rest);
            prop_assert_eq!(digest.finish(), wire(answer.as_bytes()));
        }
    }
}
