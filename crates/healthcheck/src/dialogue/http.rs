//! The HTTP request of a check, and the judgement of its answer.
//!
//! [`request_headers`] says which headers go out, in keepalived's order. [`Expectation`] says what
//! a good answer is, and [`Judge`] measures one answer against it: first the status, then the body
//! piece by piece, then the end.
//!
//! # Design
//!
//! Status and digest are judged at the end and both must pass, as in keepalived; the status is
//! reported first because an error page never has the expected digest. A body is hashed and counted
//! as it comes and never kept, so its length costs time but no memory. Regular expressions on
//! bodies are not here yet.

use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::digest::{BodyDigest, Md5Digest};
use crate::verdict::Failure;

/// What the check calls itself. Servers have log filters for it.
pub const USER_AGENT: &str = "KeepAliveClient";

/// How long a body a check reads by default, in bytes: 64 MiB.
pub const DEFAULT_BODY_LIMIT: u64 = 64 * 1024 * 1024;

/// The HTTP version of a request. Source: keepalived.conf(5) `http_protocol`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HttpVersion {
    /// `1.0`, the default: without a `Connection` header.
    #[default]
    #[serde(rename = "1.0")]
    Http10,
    /// `1.0C`: HTTP/1.0 with `Connection: close`.
    #[serde(rename = "1.0C")]
    Http10Close,
    /// `1.1`: with `Connection: close`, since a check asks once for each connection.
    #[serde(rename = "1.1")]
    Http11,
}

impl HttpVersion {
    /// Whether `Connection: close` is sent.
    pub fn sends_close(self) -> bool {
        matches!(self, Self::Http10Close | Self::Http11)
    }
}

impl fmt::Display for HttpVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http10 => "1.0",
            Self::Http10Close => "1.0C",
            Self::Http11 => "1.1",
        })
    }
}

/// The headers of a check's request, in the order in which keepalived sends them.
///
/// `Host` is `virtualhost` if there is one, else the address that is asked, with its port unless
/// that is the default of the scheme (80, with `tls` 443), an IPv6 address in brackets.
pub fn request_headers(
    version: HttpVersion,
    virtualhost: Option<&str>,
    address: SocketAddr,
    tls: bool,
) -> Vec<(&'static str, String)> {
    let mut headers = vec![("User-Agent", USER_AGENT.to_owned())];
    if version.sends_close() {
        headers.push(("Connection", "close".to_owned()));
    }
    headers.push((
        "Host",
        virtualhost.map_or_else(|| default_host(address, tls), str::to_owned),
    ));
    headers
}

fn default_host(address: SocketAddr, tls: bool) -> String {
    let default_port = if tls { 443 } else { 80 };
    match (address, address.port() == default_port) {
        (_, false) => SocketAddr::new(address.ip(), address.port()).to_string(),
        (SocketAddr::V4(v4), true) => v4.ip().to_string(),
        (SocketAddr::V6(v6), true) => format!("[{}]", v6.ip()),
    }
}

/// The status codes that a check accepts; displays as `200-299,304`.
///
/// Source: keepalived.conf(5) `status_code`. Default 200-299.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct StatusSet(Vec<RangeInclusive<u16>>);

/// Why a list of status codes is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StatusError {
    /// A code below 100 or above 599.
    #[error("status code {0} is not within 100 to 599")]
    OutOfRange(u16),
    /// A range whose end is before its start.
    #[error("status range {0}-{1} runs backwards")]
    Backwards(u16, u16),
    /// No code at all.
    #[error("no status code")]
    Empty,
    /// A word that is neither `CODE` nor `CODE-CODE`.
    #[error("'{0}' is neither a status code nor a range of them")]
    NotANumber(String),
}

impl StatusSet {
    /// The set of all codes in `ranges`.
    ///
    /// # Errors
    ///
    /// If there is none, or one is empty or leaves 100 to 599.
    pub fn try_new(
        ranges: impl IntoIterator<Item = RangeInclusive<u16>>,
    ) -> Result<Self, StatusError> {
        let ranges: Vec<_> = ranges.into_iter().collect();
        for range in &ranges {
            for &code in [range.start(), range.end()] {
                if !(100..=599).contains(&code) {
                    return Err(StatusError::OutOfRange(code));
                }
            }
            if range.is_empty() {
                return Err(StatusError::Backwards(*range.start(), *range.end()));
            }
        }
        if ranges.is_empty() {
            Err(StatusError::Empty)
        } else {
            Ok(Self(ranges))
        }
    }

    /// Whether `code` is accepted.
    pub fn contains(&self, code: u16) -> bool {
        self.0.iter().any(|range| range.contains(&code))
    }
}

impl Default for StatusSet {
    fn default() -> Self {
        Self(vec![200..=299])
    }
}

impl FromStr for StatusSet {
    type Err = StatusError;

    /// Reads codes and ranges separated by commas or blanks.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |word: &str, digits: &str| {
            digits
                .parse::<u16>()
                .map_err(|_| StatusError::NotANumber(word.to_owned()))
        };
        let ranges = text
            .split([',', ' '])
            .filter(|word| !word.is_empty())
            .map(|word| match word.split_once('-') {
                Some((first, last)) => Ok(number(word, first)?..=number(word, last)?),
                None => number(word, word).map(|code| code..=code),
            })
            .collect::<Result<Vec<_>, _>>()?;
        Self::try_new(ranges)
    }
}

impl TryFrom<String> for StatusSet {
    type Error = StatusError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<StatusSet> for String {
    fn from(set: StatusSet) -> Self {
        set.to_string()
    }
}

impl fmt::Display for StatusSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            write!(f, "{}", range.start())?;
            if range.start() != range.end() {
                write!(f, "-{}", range.end())?;
            }
        }
        Ok(())
    }
}

/// What a good answer is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expectation {
    /// Accepted status codes; default 200-299. Checked also when there is a digest.
    pub status: StatusSet,
    /// MD5 of the body; default none. Either as HTTP sees the body or as `genhash` does, which
    /// differ for chunked answers only: see [`digest`](super::digest). Source: keepalived.conf(5)
    /// `digest`.
    pub digest: Option<Md5Digest>,
}

/// Measures one answer.
#[derive(Debug)]
pub struct Judge<'a> {
    expectation: &'a Expectation,
    status: u16,
    received: u64,
    limit: u64,
    digest: BodyDigest,
}

impl<'a> Judge<'a> {
    /// An answer with this status begins. More than `limit` bytes of body are a failure.
    pub fn new(expectation: &'a Expectation, status: u16, limit: u64) -> Self {
        Self {
            expectation,
            status,
            received: 0,
            limit,
            digest: BodyDigest::new(),
        }
    }

    /// A piece of the body, transfer coding removed.
    ///
    /// # Errors
    ///
    /// [`Failure::LongBody`] when the limit is passed; there is no use in reading on.
    pub fn data(&mut self, data: &[u8]) -> Result<(), Failure> {
        self.received = self.received.saturating_add(data.len() as u64);
        if self.received > self.limit {
            return Err(Failure::LongBody { limit: self.limit });
        }
        if self.expectation.digest.is_some() {
            self.digest.update(data);
        }
        Ok(())
    }

    /// Bytes of body so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// The answer is complete. `wire` is the digest as keepalived computes it, if it was computed;
    /// it is accepted as well.
    ///
    /// # Errors
    ///
    /// [`Failure::Status`] or [`Failure::Digest`].
    pub fn finish(&self, wire: Option<Md5Digest>) -> Result<(), Failure> {
        if !self.expectation.status.contains(self.status) {
            return Err(Failure::Status {
                code: self.status,
                expected: self.expectation.status.to_string(),
            });
        }
        match self.expectation.digest {
            Some(expected) if wire != Some(expected) && self.digest.finish() != expected => {
                Err(Failure::Digest {
                    got: self.digest.finish(),
                    expected,
                })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(version: HttpVersion, host: Option<&str>, address: &str, tls: bool) -> String {
        request_headers(version, host, address.parse().unwrap(), tls)
            .into_iter()
            .map(|(name, value)| format!("{name}: {value}\n"))
            .collect()
    }

    #[test]
    fn headers_are_keepaliveds() {
        use HttpVersion::{Http10, Http10Close, Http11};
        assert_eq!(
            headers(Http10, None, "10.0.0.2:80", false),
            "User-Agent: KeepAliveClient\nHost: 10.0.0.2\n"
        );
        for version in [Http10Close, Http11] {
            assert_eq!(
                headers(version, Some("www.example.org"), "10.0.0.2:8080", false),
                "User-Agent: KeepAliveClient\nConnection: close\nHost: www.example.org\n"
            );
        }
    }

    #[test]
    fn host_of_an_address() {
        let table = [
            ("10.0.0.2:8080", false, "10.0.0.2:8080"),
            ("10.0.0.2:443", false, "10.0.0.2:443"),
            ("10.0.0.2:443", true, "10.0.0.2"),
            ("[2001:db8::2]:80", false, "[2001:db8::2]"),
            ("[2001:db8::2]:81", false, "[2001:db8::2]:81"),
        ];
        for (address, tls, host) in table {
            assert_eq!(default_host(address.parse().unwrap(), tls), host);
        }
    }

    #[test]
    fn status_lists_and_ranges() {
        let set: StatusSet = "200-299,304 404".parse().unwrap();
        for (code, expected) in [
            (199, false),
            (200, true),
            (299, true),
            (300, false),
            (304, true),
        ] {
            assert_eq!(set.contains(code), expected, "{code}");
        }
        assert_eq!(set.to_string(), "200-299,304,404");
        assert_eq!(StatusSet::default().to_string(), "200-299");
    }

    #[test]
    fn bad_status_lists_are_refused() {
        let table = [
            ("", StatusError::Empty),
            ("99", StatusError::OutOfRange(99)),
            ("200-600", StatusError::OutOfRange(600)),
            ("300-200", StatusError::Backwards(300, 200)),
            ("2xx", StatusError::NotANumber("2xx".into())),
            ("200-", StatusError::NotANumber("200-".into())),
            ("70000", StatusError::NotANumber("70000".into())),
        ];
        for (text, error) in table {
            assert_eq!(text.parse::<StatusSet>(), Err(error), "{text}");
        }
    }

    #[test]
    fn status_counts_also_when_the_digest_fits() {
        let expectation = Expectation {
            digest: Some(Md5Digest::of(b"abc")),
            ..Expectation::default()
        };
        let mut good = Judge::new(&expectation, 200, 10);
        good.data(b"ab").unwrap();
        good.data(b"c").unwrap();
        assert_eq!(good.finish(None), Ok(()));

        let mut bad = Judge::new(&expectation, 404, 10);
        bad.data(b"abc").unwrap();
        assert_eq!(
            bad.finish(None),
            Err(Failure::Status {
                code: 404,
                expected: "200-299".into()
            })
        );
    }

    #[test]
    fn digest_of_the_body_or_of_the_wire() {
        let expectation = Expectation {
            digest: Some(Md5Digest::of(b"abc")),
            ..Expectation::default()
        };
        let mut judge = Judge::new(&expectation, 200, 10);
        judge.data(b"abd").unwrap();
        assert_eq!(
            judge.finish(None),
            Err(Failure::Digest {
                got: Md5Digest::of(b"abd"),
                expected: Md5Digest::of(b"abc")
            })
        );
        assert_eq!(judge.finish(Some(Md5Digest::of(b"abc"))), Ok(()));
    }

    #[test]
    fn a_body_may_be_as_long_as_the_limit() {
        let expectation = Expectation::default();
        let mut judge = Judge::new(&expectation, 200, 3);
        assert_eq!(judge.data(b"abc"), Ok(()));
        assert_eq!(judge.data(b"d"), Err(Failure::LongBody { limit: 3 }));
    }
}
