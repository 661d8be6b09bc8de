//! What a probe found, and what a check concludes from it.
//!
//! An [`Outcome`] is one probe's result: a success with its latency, or a [`Failure`] with the
//! reason. A [`Verdict`] is the conclusion of a whole check, drawn by [`Schedule`](crate::Schedule)
//! after its retries. [`Evidence`] joins the two: the outcome that a verdict rests on.
//!
//! # Design
//!
//! All of it is plain data that can be cloned, compared, sent to another process and kept for
//! `status`. The errors of the operating system, of TLS and of HTTP libraries are none of these, so
//! a probe turns them into a [`Failure`] at its edge: the cases an operator acts on differently get
//! their own variant, the rest keeps the whole chain of causes as text ([`Cause`]), because the
//! outermost message of such a chain rarely says what went wrong.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error as ThisError;

use crate::dialogue::digest::Md5Digest;

/// Whether a check considers its real server fit for traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Fit: it answered as expected, or it has not been asked yet and is trusted until then (no
    /// `alpha`).
    Up,
    /// Unfit: the retries are used up, or it has not been asked yet and must prove itself first
    /// (`alpha`).
    Down,
}

impl Verdict {
    /// True for [`Verdict::Up`].
    pub fn is_up(self) -> bool {
        self == Self::Up
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up => "up",
            Self::Down => "down",
        })
    }
}

/// What one probe found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The server did all that was asked of it.
    Success {
        /// From the start of the probe to its end, connecting included.
        latency: Duration,
    },
    /// It did not.
    Failure(Failure),
}

impl Outcome {
    /// True for [`Outcome::Success`].
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Success { .. })
    }

    /// The failure, if it is one.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Success { .. } => None,
            Self::Failure(failure) => Some(failure),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Success { latency } => write!(f, "success in {latency:.1?}"),
            Self::Failure(failure) => failure.fmt(f),
        }
    }
}

/// Why a probe failed.
#[derive(Clone, Debug, PartialEq, Eq, ThisError, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Failure {
    /// Nothing listens on the port (`ECONNREFUSED`).
    #[error("connection refused")]
    Refused,
    /// No way to the address (`EHOSTUNREACH`, `ENETUNREACH`), or a firewall on the way says no
    /// (`EACCES`, `EPERM`).
    #[error("unreachable: {0}")]
    Unreachable(Cause),
    /// The connection broke after it was made (`ECONNRESET`, `EPIPE`).
    #[error("connection reset while {0}")]
    Reset(Stage),
    /// The probe's one deadline passed.
    #[error("timed out after {limit:?} while {stage}")]
    TimedOut {
        /// What the probe was waiting for.
        stage: Stage,
        /// How long the whole probe was allowed to take.
        limit: Duration,
    },
    /// The source address, port, interface or mark that was asked for could not be used. The
    /// director is at fault, not the real server.
    #[error("cannot use the source that is configured: {0}")]
    Source(Cause),
    /// The TLS handshake failed.
    #[error("tls handshake failed: {0}")]
    Tls(Cause),
    /// The peer closed the connection before an answer came.
    #[error("connection closed without an answer")]
    NoAnswer,
    /// The answer is not HTTP, or broken HTTP.
    #[error("protocol error: {0}")]
    Protocol(Cause),
    /// An HTTP status outside the list that is expected.
    #[error("status {code} where {expected} is expected")]
    Status {
        /// The status of the answer.
        code: u16,
        /// The ranges that would have been accepted, as `200-299,304`.
        expected: String,
    },
    /// The body is not the expected one.
    #[error("digest {got} where {expected} is expected")]
    Digest {
        /// MD5 of the body that came.
        got: Md5Digest,
        /// MD5 of the body that was expected.
        expected: Md5Digest,
    },
    /// The connection ended before the length or the last chunk that the answer announced.
    #[error("body ends after {received} bytes, before its announced end")]
    ShortBody {
        /// Bytes of body that came.
        received: u64,
    },
    /// The body is longer than a check is willing to read.
    #[error("body longer than {limit} bytes")]
    LongBody {
        /// The limit, in bytes.
        limit: u64,
    },
    /// Anything else that the operating system reports.
    #[error("{stage}: {cause}")]
    Io {
        /// What the probe was doing.
        stage: Stage,
        /// What the operating system said.
        cause: Cause,
    },
    /// The check cannot be run as it is configured, for example a path that no HTTP request can
    /// carry.
    #[error("check cannot be run: {0}")]
    Unusable(Cause),
}

/// What a probe was doing when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stage {
    /// Making the TCP connection.
    Connecting,
    /// Agreeing on TLS.
    Handshaking,
    /// Sending the request and waiting for the first line and the headers of the answer.
    Waiting,
    /// Reading the body.
    Reading,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "connecting",
            Self::Handshaking => "negotiating tls",
            Self::Waiting => "waiting for the answer",
            Self::Reading => "reading the body",
        })
    }
}

/// An error of another library as text: its message and those of all its sources, joined by `: `.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cause(String);

impl Cause {
    /// Keeps `error` and all that [`Error::source`] tells about it. A source that only repeats the
    /// tail of what is there already is left out.
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        let mut text = error.to_string();
        let mut next = error.source();
        while let Some(source) = next {
            let source_text = source.to_string();
            if !text.ends_with(&source_text) {
                text.push_str(": ");
                text.push_str(&source_text);
            }
            next = source.source();
        }
        Self(text)
    }
}

impl From<&str> for Cause {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One probe's outcome together with its place in the life of the check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// What the probe found.
    pub outcome: Outcome,
    /// Which step it was, from 0; always 0 unless the check has several urls.
    pub step: u32,
    /// Failures in a row that led here, this one included; 0 after a success.
    ///
    /// Counts as far as it matters for the verdict: a check that is down does not count on, it
    /// shows 1.
    pub failures: u32,
    /// How many more tries the check makes before it turns down; 0 after a success, when this
    /// failure decided, and when the check was down already.
    pub retries_left: u32,
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.outcome.fmt(f)?;
        if self.retries_left > 0 {
            write!(f, " (tries left: {})", self.retries_left)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, ThisError)]
    #[error("outer")]
    struct Outer(#[source] Inner);

    #[derive(Debug, ThisError)]
    #[error("inner")]
    struct Inner;

    #[test]
    fn cause_names_every_source() {
        assert_eq!(Cause::of(&Outer(Inner)).to_string(), "outer: inner");
    }

    #[test]
    fn cause_does_not_repeat_itself() {
        #[derive(Debug, ThisError)]
        #[error("while reading: inner")]
        struct Wordy(#[source] Inner);
        assert_eq!(Cause::of(&Wordy(Inner)).to_string(), "while reading: inner");
    }

    #[test]
    fn every_failure_reads_well() {
        let digest = |text: &str| text.parse::<Md5Digest>().unwrap();
        let table = [
            (Failure::Refused, "connection refused"),
            (
                Failure::Unreachable("no route to host".into()),
                "unreachable: no route to host",
            ),
            (
                Failure::Reset(Stage::Waiting),
                "connection reset while waiting for the answer",
            ),
            (
                Failure::TimedOut {
                    stage: Stage::Connecting,
                    limit: Duration::from_secs(5),
                },
                "timed out after 5s while connecting",
            ),
            (
                Failure::Source("address not available".into()),
                "cannot use the source that is configured: address not available",
            ),
            (
                Failure::Tls("bad record".into()),
                "tls handshake failed: bad record",
            ),
            (Failure::NoAnswer, "connection closed without an answer"),
            (
                Failure::Protocol("invalid version".into()),
                "protocol error: invalid version",
            ),
            (
                Failure::Status {
                    code: 503,
                    expected: "200-299".into(),
                },
                "status 503 where 200-299 is expected",
            ),
            (
                Failure::Digest {
                    got: digest("d41d8cd98f00b204e9800998ecf8427e"),
                    expected: digest("00000000000000000000000000000000"),
                },
                "digest d41d8cd98f00b204e9800998ecf8427e where 00000000000000000000000000000000 is expected",
            ),
            (
                Failure::ShortBody { received: 7 },
                "body ends after 7 bytes, before its announced end",
            ),
            (Failure::LongBody { limit: 10 }, "body longer than 10 bytes"),
            (
                Failure::Io {
                    stage: Stage::Reading,
                    cause: "too many open files".into(),
                },
                "reading the body: too many open files",
            ),
            (
                Failure::Unusable("invalid uri".into()),
                "check cannot be run: invalid uri",
            ),
        ];
        for (failure, text) in table {
            assert_eq!(failure.to_string(), text);
        }
    }
}
