//! What keepalived writes to its log about a check.
//!
//! # Design
//!
//! The words are keepalived's, exactly, because operators search for them. They are thin on
//! reasons; a driver should put the [`Failure`] of the evidence beside them, as a field of the log
//! record.

use crate::quorum::ServerId;
use crate::schedule::Output;
use crate::verdict::{Evidence, Failure, Outcome, Stage, Verdict};

/// Which check talks, with what its lines mention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckKind<'a> {
    /// `TCP_CHECK`.
    Tcp,
    /// `HTTP_GET` and `SSL_GET`.
    Http {
        /// Whether it is `SSL_GET`.
        tls: bool,
        /// The path of the url that was asked for.
        path: &'a str,
        /// Whether that url has a digest.
        digest: bool,
    },
}

impl CheckKind<'_> {
    /// The body of the mail about a change of this check's verdict.
    pub fn body(&self, verdict: Verdict) -> &'static str {
        match (self, verdict) {
            (Self::Tcp, Verdict::Up) => "=> TCP CHECK succeed on service <=",
            (Self::Tcp, Verdict::Down) => "=> TCP CHECK failed on service <=",
            (Self::Http { .. }, Verdict::Up) => "=> CHECK succeed on service <=",
            (Self::Http { .. }, Verdict::Down) => {
                "=> CHECK failed on service : HTTP/SSL request failed <="
            }
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Tcp => "TCP_CHECK",
            Self::Http { tls: false, .. } => "HTTP_CHECK",
            Self::Http { tls: true, .. } => "SSL_CHECK",
        }
    }

    /// The lines about a success that changes something, or that is the first one.
    pub fn success(&self, server: ServerId) -> Vec<String> {
        let Self::Http { path, digest, .. } = self else {
            return vec![format!("TCP connection to {server} success.")];
        };
        let mut lines = vec![format!("HTTP status code success to {server} url({path}).")];
        if *digest {
            lines.push(format!("MD5 digest success to {server} url({path})."));
        }
        lines.push(format!("Remote Web server {server} succeed on service."));
        lines
    }
}

/// The lines about one output of a [`Schedule`](crate::Schedule), for the log.
///
/// A failure that does not change the verdict is mentioned only with `log_all_failures`
/// (keepalived.conf(5), global_defs).
pub fn check_lines(
    kind: CheckKind<'_>,
    server: ServerId,
    output: &Output,
    log_all_failures: bool,
) -> Vec<String> {
    match output {
        Output::Probed(Evidence {
            outcome: Outcome::Failure(failure),
            ..
        }) if log_all_failures => {
            vec![reason(failure, server)]
        }
        Output::VerdictChanged {
            verdict: Verdict::Up,
            ..
        } => kind.success(server),
        Output::VerdictChanged {
            verdict: Verdict::Down,
            evidence,
        } => {
            let mut lines = Vec::new();
            // With log_all_failures it was said with the probe.
            if let (Outcome::Failure(failure), false) = (&evidence.outcome, log_all_failures) {
                lines.push(reason(failure, server));
            }
            let name = kind.name();
            lines.push(match evidence.failures.saturating_sub(1) {
                0 => format!("{name} on service {server} failed."),
                retries => format!("{name} on service {server} failed after {retries} retries."),
            });
            lines
        }
        Output::StartProbe { .. } | Output::AbortProbe { .. } | Output::Probed(_) => Vec::new(),
    }
}

fn reason(failure: &Failure, server: ServerId) -> String {
    match failure {
        Failure::Status { .. } => format!("HTTP status code error to server {server}."),
        Failure::Digest { .. } => format!("MD5 digest error to server {server}."),
        Failure::TimedOut {
            stage: Stage::Reading | Stage::Waiting,
            ..
        } => {
            format!("Timeout reading server {server}.")
        }
        Failure::TimedOut { .. } => format!("Timeout connecting server {server}."),
        _ => format!("Error connecting server {server}."),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::quorum::Protocol;

    const WEB: CheckKind<'_> = CheckKind::Http {
        tls: false,
        path: "/ok",
        digest: true,
    };

    fn lines(kind: CheckKind<'_>, output: &Output, log_all_failures: bool) -> Vec<String> {
        let server = ServerId::new(([10, 0, 0, 2], 80).into(), Protocol::Tcp);
        check_lines(kind, server, output, log_all_failures)
    }

    fn evidence(outcome: Outcome, failures: u32) -> Evidence {
        Evidence {
            outcome,
            step: 0,
            failures,
            retries_left: 0,
        }
    }

    fn up() -> Output {
        let outcome = Outcome::Success {
            latency: Duration::ZERO,
        };
        Output::VerdictChanged {
            verdict: Verdict::Up,
            evidence: evidence(outcome, 0),
        }
    }

    fn down(failure: Failure, failures: u32) -> Output {
        let evidence = evidence(Outcome::Failure(failure), failures);
        Output::VerdictChanged {
            verdict: Verdict::Down,
            evidence,
        }
    }

    #[test]
    fn changes_are_told_in_keepaliveds_words() {
        let status = || Failure::Status {
            code: 500,
            expected: "200".into(),
        };
        let late = |stage| Failure::TimedOut {
            stage,
            limit: Duration::from_secs(5),
        };
        let tls = CheckKind::Http {
            tls: true,
            path: "/",
            digest: false,
        };
        let table = [
            (
                CheckKind::Tcp,
                up(),
                vec!["TCP connection to [10.0.0.2]:tcp:80 success."],
            ),
            (
                WEB,
                up(),
                vec![
                    "HTTP status code success to [10.0.0.2]:tcp:80 url(/ok).",
                    "MD5 digest success to [10.0.0.2]:tcp:80 url(/ok).",
                    "Remote Web server [10.0.0.2]:tcp:80 succeed on service.",
                ],
            ),
            (
                CheckKind::Tcp,
                down(Failure::Refused, 4),
                vec![
                    "Error connecting server [10.0.0.2]:tcp:80.",
                    "TCP_CHECK on service [10.0.0.2]:tcp:80 failed after 3 retries.",
                ],
            ),
            (
                CheckKind::Tcp,
                down(late(Stage::Connecting), 1),
                vec![
                    "Timeout connecting server [10.0.0.2]:tcp:80.",
                    "TCP_CHECK on service [10.0.0.2]:tcp:80 failed.",
                ],
            ),
            (
                WEB,
                down(status(), 2),
                vec![
                    "HTTP status code error to server [10.0.0.2]:tcp:80.",
                    "HTTP_CHECK on service [10.0.0.2]:tcp:80 failed after 1 retries.",
                ],
            ),
            (
                tls,
                down(late(Stage::Waiting), 1),
                vec![
                    "Timeout reading server [10.0.0.2]:tcp:80.",
                    "SSL_CHECK on service [10.0.0.2]:tcp:80 failed.",
                ],
            ),
        ];
        for (kind, output, expected) in table {
            assert_eq!(lines(kind, &output, false), expected);
        }
    }

    #[test]
    fn log_all_failures_tells_each_once() {
        let probed = Output::Probed(evidence(Outcome::Failure(Failure::Refused), 1));
        assert_eq!(lines(CheckKind::Tcp, &probed, false), [""; 0]);
        let said = ["Error connecting server [10.0.0.2]:tcp:80."];
        assert_eq!(lines(CheckKind::Tcp, &probed, true), said);
        let said = ["TCP_CHECK on service [10.0.0.2]:tcp:80 failed."];
        assert_eq!(
            lines(CheckKind::Tcp, &down(Failure::Refused, 1), true),
            said
        );
    }
}
