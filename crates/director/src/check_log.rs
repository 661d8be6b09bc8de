//! What is logged about a check: keepalived's lines, with the reason added.
//!
//! # Design
//! keepalived says that a server "failed" and leaves the reason to guesses. Its lines, from
//! [`healthcheck::check_lines`], are kept to the letter for those who search for them; what was seen
//! follows in brackets.

use healthcheck::schedule::Output;
use healthcheck::{Evidence, Outcome, ServerId, Verdict, check_lines};
use kconf_parser::config::{Check, CheckKind};

/// The lines about one output of a check's schedule; most have none. `is_first` says that nothing was
/// known of the server before: its success is told then, too.
#[must_use]
pub fn lines(check: &Check, server: ServerId, output: &Output, is_first: bool) -> Vec<String> {
    let (Output::Probed(evidence) | Output::VerdictChanged { evidence, .. }) = output else {
        return Vec::new();
    };
    let Some(kind) = kind(check, evidence) else {
        return Vec::new();
    };
    let has_one_step = !matches!(&check.kind, CheckKind::Http(http) if http.urls.len() > 1);
    let is_probed = matches!(output, Output::Probed(_));
    if is_first && is_probed && has_one_step && evidence.outcome.is_success() {
        return kind.success(server);
    }
    let mut lines = check_lines(kind, server, output, check.log_all_failures);
    // With log_all_failures the reason came with the probe, just before.
    let has_reason = matches!(output, Output::Probed(_)) || !check.log_all_failures;
    if let (Outcome::Failure(failure), true, Some(first)) =
        (&evidence.outcome, has_reason, lines.first_mut())
    {
        first.push_str(&format!(" ({failure})"));
    }
    lines
}

/// The body of the mail about a change of a check's verdict.
#[must_use]
pub fn mail_body(check: &Check, verdict: Verdict) -> Option<&'static str> {
    let kind = match &check.kind {
        CheckKind::Tcp => healthcheck::CheckKind::Tcp,
        CheckKind::Http(http) => healthcheck::CheckKind::Http {
            tls: http.tls,
            path: "",
            digest: false,
        },
        _ => return None,
    };
    Some(kind.body(verdict))
}

/// The keyword of a check, such as `HTTP_GET`.
#[must_use]
pub fn keyword(check: &Check) -> &'static str {
    match &check.kind {
        CheckKind::Tcp => "TCP_CHECK",
        CheckKind::Http(http) if http.tls => "SSL_GET",
        CheckKind::Http(_) => "HTTP_GET",
        CheckKind::Smtp(_) => "SMTP_CHECK",
        CheckKind::Misc(_) => "MISC_CHECK",
        CheckKind::Dns(_) => "DNS_CHECK",
        CheckKind::Udp(_) => "UDP_CHECK",
        CheckKind::Ping => "PING_CHECK",
        CheckKind::Bfd { .. } => "BFD_CHECK",
        CheckKind::File(_) => "FILE_CHECK",
    }
}

fn kind<'a>(check: &'a Check, evidence: &Evidence) -> Option<healthcheck::CheckKind<'a>> {
    match &check.kind {
        CheckKind::Tcp => Some(healthcheck::CheckKind::Tcp),
        CheckKind::Http(http) => {
            let step = usize::try_from(evidence.step).unwrap_or(usize::MAX);
            let url = http.urls.get(step);
            Some(healthcheck::CheckKind::Http {
                tls: http.tls,
                path: url.map_or("", |url| &url.path),
                digest: url.is_some_and(|url| url.digest.is_some()),
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use healthcheck::Failure;

    use super::*;
    use crate::wiring::tests::{http_check, tcp_check};

    fn refused(check: &Check) -> Vec<String> {
        let server = ServerId::new("10.0.0.1:80".parse().unwrap(), healthcheck::Protocol::Tcp);
        let evidence = Evidence {
            outcome: Outcome::Failure(Failure::Refused),
            step: 0,
            failures: 3,
            retries_left: 0,
        };
        let verdict = Verdict::Down;
        let probed = lines(check, server, &Output::Probed(evidence.clone()), false);
        let decided = lines(
            check,
            server,
            &Output::VerdictChanged { verdict, evidence },
            false,
        );
        [probed, decided].concat()
    }

    #[test]
    fn the_reason_follows_the_phrase() {
        let expected = [
            "Error connecting server [10.0.0.1]:tcp:80. (connection refused)",
            "TCP_CHECK on service [10.0.0.1]:tcp:80 failed after 2 retries.",
        ];
        assert_eq!(refused(&tcp_check()), expected);
        let mut loud = tcp_check();
        loud.log_all_failures = true;
        assert_eq!(refused(&loud), expected);
    }

    #[test]
    fn an_http_check_has_its_own_name() {
        assert_eq!(
            refused(&http_check())[1],
            "HTTP_CHECK on service [10.0.0.1]:tcp:80 failed after 2 retries."
        );
    }
}
