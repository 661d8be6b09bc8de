//! The conversation with the relay.

use std::time::Duration;

use kconf_parser::config::{Globals, SmtpServer, SmtpTls};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters,
};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, MailParameter};
use tracing::{info, warn};

use super::letter::Host;
use super::queue::{Answer, Attempt, Job};

/// What the relay says when it wants to be asked in another way: that is a matter of our
/// configuration, and no reason to lose mails.
const AUTHENTICATION_REQUIRED: u16 = 530;

/// What it says when it closes the connection.
const CLOSING: u16 = 421;

/// How long a polite end may take.
const QUIT_LIMIT: Duration = Duration::from_secs(5);

/// A relay, and how to speak to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Relay {
    server: SmtpServer,
    hello: ClientId,
    limit: Duration,
}

/// A connection over which mails can be sent.
pub(super) struct Session {
    relay: Relay,
    connection: Box<AsyncSmtpConnection>,
}

impl Relay {
    /// That of a configuration, if there is one.
    pub(super) fn of(globals: &Globals, host: &Host) -> Option<Self> {
        let hello = globals.smtp_helo_name.as_ref().unwrap_or(&host.name);
        Some(Self {
            server: globals.smtp_server.clone()?,
            hello: match hello.parse() {
                Ok(std::net::IpAddr::V4(address)) => ClientId::Ipv4(address),
                Ok(std::net::IpAddr::V6(address)) => ClientId::Ipv6(address),
                Err(_) => ClientId::Domain(hello.clone()),
            },
            limit: globals.smtp_connect_timeout,
        })
    }

    /// Sends a mail over `session`, or a new one. Gives back what can be used for the next one.
    pub(super) async fn deliver(
        &self,
        session: Option<Session>,
        job: &Job,
    ) -> (Option<Session>, Attempt) {
        let mut session = match session {
            Some(session) => session,
            None => match tokio::time::timeout(self.limit, self.open()).await {
                Ok(Ok(session)) => session,
                Ok(Err(error)) => return (None, Attempt::broken(self.unreachable(&error))),
                Err(_) => {
                    let trouble = format!("Timeout connecting remote SMTP server {}.", self.name());
                    return (None, Attempt::broken(trouble));
                }
            },
        };
        match tokio::time::timeout(self.limit, session.send(job)).await {
            Ok(attempt) if attempt.trouble.is_none() => (Some(session), attempt),
            Ok(attempt) => (None, attempt),
            Err(_) => {
                let name = self.name();
                let trouble = format!("Timeout reading data to remote SMTP server {name}.");
                (None, Attempt::broken(trouble))
            }
        }
    }

    async fn open(&self) -> Result<Session, Error> {
        let address = (self.server.host.as_str(), self.server.port);
        let (at_once, later) = match self.server.tls {
            SmtpTls::Off => (None, None),
            SmtpTls::Implicit => (Some(self.tls()?), None),
            SmtpTls::StartTls => (None, Some(self.tls()?)),
        };
        let limit = Some(self.limit);
        let hello = &self.hello;
        let opened =
            AsyncSmtpConnection::connect_tokio1(address, limit, hello, at_once, None).await;
        let mut connection = opened?;
        if let Some(tls) = later {
            connection.starttls(tls, hello).await?;
        }
        if let Some(login) = &self.server.login {
            let login = Credentials::new(login.user.clone(), login.password.clone());
            let ways = [Mechanism::Plain, Mechanism::Login];
            connection.auth(&ways, &login).await?;
        }
        info!("Remote SMTP server {} connected.", self.name());
        Ok(Session {
            relay: self.clone(),
            connection: Box::new(connection),
        })
    }

    fn tls(&self) -> Result<TlsParameters, Error> {
        let builder = TlsParameters::builder(self.server.host.clone());
        let Some(ca) = &self.server.ca else {
            return builder.build();
        };
        // What cannot be read has no authority in it, and the certificate is refused.
        let authorities = std::fs::read(ca).unwrap_or_else(|error| {
            warn!("smtp_tls_ca {} cannot be read - {error}", ca.display());
            Vec::new()
        });
        builder
            .certificate_store(CertificateStore::None)
            .add_root_certificate(Certificate::from_pem(&authorities)?)
            .build()
    }

    fn unreachable(&self, error: &Error) -> String {
        format!("Unable to speak to SMTP server {} ({error})", self.name())
    }

    /// As keepalived writes it.
    fn name(&self) -> String {
        format!("[{}]:{}", self.server.host, self.server.port)
    }
}

impl Session {
    pub(super) const fn relay(&self) -> &Relay {
        &self.relay
    }

    /// Ends it in good order, in the background.
    pub(super) fn close(mut self) {
        tokio::spawn(async move { tokio::time::timeout(QUIT_LIMIT, self.connection.quit()).await });
    }

    async fn send(&mut self, job: &Job) -> Attempt {
        let mut attempt = Attempt::default();
        let addresses = || job.to.iter().chain([&job.letter.from]);
        let parameters = match addresses().all(|address| AsRef::<str>::as_ref(address).is_ascii()) {
            true => Vec::new(),
            false => vec![MailParameter::SmtpUtfEight],
        };
        let mail = Mail::new(Some(job.letter.from.clone()), parameters);
        if let Err(error) = self.connection.command(mail).await {
            self.failed("MAIL", &error, &job.to, &mut attempt);
            return self.begin_anew(attempt).await;
        }
        let mut taken = Vec::with_capacity(job.to.len());
        for address in &job.to {
            let recipient = Rcpt::new(address.clone(), Vec::new());
            match self.connection.command(recipient).await {
                Ok(_) => taken.push(address.clone()),
                Err(error) => {
                    let (answer, text) = self.judge("RCPT", &error);
                    match answer {
                        Some(answer) => {
                            warn!("{text} for {address}");
                            attempt.answers.push((address.clone(), answer));
                        }
                        None => {
                            attempt.trouble = Some(text);
                            return attempt;
                        }
                    }
                }
            }
        }
        if taken.is_empty() {
            return self.begin_anew(attempt).await;
        }
        if let Err(error) = self.connection.command(Data).await {
            self.failed("DATA", &error, &taken, &mut attempt);
            return self.begin_anew(attempt).await;
        }
        match self.connection.message(&job.letter.text).await {
            Ok(_) => {
                let accepted = taken.into_iter().map(|address| (address, Answer::Accepted));
                attempt.answers.extend(accepted);
                attempt
            }
            Err(error) => {
                self.failed("BODY", &error, &taken, &mut attempt);
                attempt
            }
        }
    }

    /// What is refused as a whole leaves; what is put off as a whole is trouble with the relay.
    fn failed(&self, command: &str, error: &Error, to: &[lettre::Address], attempt: &mut Attempt) {
        let (answer, text) = self.judge(command, error);
        if answer == Some(Answer::Refused) {
            warn!("{text}");
            let refused = to.iter().map(|address| (address.clone(), Answer::Refused));
            attempt.answers.extend(refused);
        } else {
            attempt.trouble = Some(text);
        }
    }

    /// What the relay said to a command, and in words; `None` when it is not there any more.
    fn judge(&self, command: &str, error: &Error) -> (Option<Answer>, String) {
        let name = self.relay.name();
        let Some(code) = error.status().map(u16::from) else {
            let text = format!("Remote SMTP server {name} has closed the connection. ({error})");
            return (None, text);
        };
        let answer = match code {
            CLOSING | AUTHENTICATION_REQUIRED => None,
            _ if error.is_permanent() => Some(Answer::Refused),
            _ => Some(Answer::Deferred),
        };
        let text = format!(
            "Error processing {command} cmd on SMTP server {name}. SMTP status code = {code} ({error})"
        );
        (answer, text)
    }

    /// After a mail that was not taken the next one begins on clean ground.
    async fn begin_anew(&mut self, mut attempt: Attempt) -> Attempt {
        if attempt.trouble.is_none()
            && let Err(error) = self.connection.command(Rset).await
        {
            attempt.trouble = Some(self.judge("RSET", &error).1);
        }
        attempt
    }
}
