//! What pipes and mailboxes are told of virtual and real servers, in keepalived's words.

use healthcheck::quorum::Notify;
use healthcheck::{ServerId, Verdict};
use kconf_parser::config::{Globals, VirtualServerId};

use crate::mail::{self, Alert};
use crate::message::Told;

/// What the parent is to tell of an event; `mail` is the body of a mail.
pub(super) fn event(
    service: &VirtualServerId,
    event: &Notify,
    mail: Option<String>,
    globals: &Globals,
) -> Vec<Told> {
    let (server, verdict) = match event {
        Notify::ServerUp { server, .. } => (Some(*server), Verdict::Up),
        Notify::ServerDown { server, .. } => (Some(*server), Verdict::Down),
        Notify::QuorumUp { .. } => (None, Verdict::Up),
        Notify::QuorumDown { .. } => (None, Verdict::Down),
    };
    let is_piped = globals.notify_fifo.is_some() || globals.lvs_notify_fifo.is_some();
    let line = is_piped.then(|| Told::Line(line(service, server, verdict)));
    line.into_iter()
        .chain(alert(service, server, verdict, mail, globals))
        .collect()
}

/// The mail about a check that has not decided about its server, which is down then: because of
/// another check.
pub(super) fn check(
    service: &VirtualServerId,
    server: ServerId,
    mail: String,
    globals: &Globals,
) -> Option<Told> {
    let mail = (!globals.no_checker_emails).then_some(mail);
    alert(service, Some(server), Verdict::Down, mail, globals)
}

/// A line of a pipe.
fn line(service: &VirtualServerId, server: Option<ServerId>, verdict: Verdict) -> String {
    let word = word(verdict);
    match server {
        Some(server) => format!("RS {server} {service} {word}\n"),
        None => format!("VS {service} {word}\n"),
    }
}

fn alert(
    service: &VirtualServerId,
    server: Option<ServerId>,
    verdict: Verdict,
    body: Option<String>,
    globals: &Globals,
) -> Option<Told> {
    let body = body.filter(|_| mail::is_wanted(globals))?;
    let word = word(verdict);
    let subject = match server {
        Some(server) => format!("Realserver {server} of virtual server {service} - {word}"),
        None => format!("Virtualserver {service} - {word}"),
    };
    Some(Told::Mail(Alert::now(subject, body)))
}

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Up => "UP",
        Verdict::Down => "DOWN",
    }
}

#[cfg(test)]
mod tests {
    use healthcheck::Protocol;
    use healthcheck::quorum::{DownReason, QuorumReason};
    use kconf_parser::config::{self, NotifyFifo, SmtpServer, SmtpTls};

    use super::*;

    fn service() -> VirtualServerId {
        VirtualServerId::Address {
            protocol: config::Protocol::Tcp,
            address: "10.0.0.1:80".parse().unwrap(),
        }
    }

    fn server() -> ServerId {
        ServerId::new("10.0.1.1:8080".parse().unwrap(), Protocol::Tcp)
    }

    fn globals() -> Globals {
        Globals {
            notification_email: vec!["a@example.org".into()],
            smtp_server: Some(SmtpServer {
                host: "relay".into(),
                port: 25,
                tls: SmtpTls::Off,
                ca: None,
                login: None,
            }),
            lvs_notify_fifo: Some(NotifyFifo {
                path: "/run/pipe".into(),
                owner: None,
                script: None,
            }),
            ..Globals::default()
        }
    }

    fn texts(told: impl IntoIterator<Item = Told>) -> Vec<String> {
        let text = |told| match told {
            Told::Line(line) => line,
            Told::Mail(alert) => format!("{}: {}", alert.subject, alert.body),
        };
        told.into_iter().map(text).collect()
    }

    #[test]
    fn the_words_are_those_of_keepalived() {
        let down = Notify::ServerDown {
            server: server(),
            reason: DownReason::Check,
        };
        assert_eq!(
            texts(event(&service(), &down, Some("why".into()), &globals())),
            [
                "RS [10.0.1.1]:tcp:8080 [10.0.0.1]:tcp:80 DOWN\n",
                "Realserver [10.0.1.1]:tcp:8080 of virtual server [10.0.0.1]:tcp:80 - DOWN: why",
            ]
        );
        let up = Notify::QuorumUp {
            reason: QuorumReason::Weight,
            quorum: 1,
            hysteresis: 0,
            weight: 1,
        };
        assert_eq!(
            texts(event(&service(), &up, up.body(), &globals())),
            [
                "VS [10.0.0.1]:tcp:80 UP\n",
                "Virtualserver [10.0.0.1]:tcp:80 - UP: => Gained quorum 1+0=1 <= 1 <=",
            ]
        );
        assert_eq!(
            texts(event(&service(), &up, up.body(), &Globals::default())),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_check_that_does_not_decide_is_mailed_unless_that_is_off() {
        let mut globals = globals();
        let told = |globals: &Globals| {
            let told = check(&service(), server(), "why".into(), globals);
            texts(told).len()
        };
        assert_eq!(told(&globals), 1);
        globals.no_checker_emails = true;
        assert_eq!(told(&globals), 0);
    }
}
