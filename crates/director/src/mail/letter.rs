//! From an alert to a mail: keepalived's headers in their order, then those that relays like to see.

use kconf_parser::config::Globals;
use lettre::Address;
use lettre::message::header::{ContentType, HeaderName, HeaderValue, MIME_VERSION_1_0, MessageId};
use lettre::message::{Mailbox, Message};

use super::Alert;

/// A mail, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// The sender.
    pub from: Address,
    /// The recipients.
    pub to: Vec<Address>,
    /// Headers and body.
    pub text: Vec<u8>,
}

/// What this machine calls itself, and us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Its name with its domain, if it has one.
    pub name: String,
    /// The user that we are.
    pub user: String,
}

impl Host {
    /// Asks the system; may wait for the resolver.
    #[must_use]
    pub fn look_up() -> Self {
        let name = dns_lookup::get_hostname().unwrap_or_default();
        let hints = dns_lookup::AddrInfoHints {
            flags: libc::AI_CANONNAME,
            socktype: libc::SOCK_STREAM,
            ..dns_lookup::AddrInfoHints::default()
        };
        let found = dns_lookup::getaddrinfo(Some(&name), None, Some(hints));
        let full = found.ok().and_then(|mut found| {
            let first = found.next()?.ok()?;
            first.canonname.filter(|full| full.contains('.'))
        });
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid());
        Self {
            name: full.unwrap_or(name),
            user: match user {
                Ok(Some(user)) => user.name,
                _ => "keepalived".to_owned(),
            },
        }
    }
}

/// What all mails of a configuration have in common.
#[derive(Debug, Clone)]
pub struct Letterhead {
    router: String,
    from: Mailbox,
    to: Vec<Mailbox>,
    host: String,
    count: u64,
}

impl Letterhead {
    /// That of a configuration, if it has somebody to mail to; and what is wrong with its addresses,
    /// which are left out.
    #[must_use]
    pub fn of(globals: &Globals, host: &Host) -> (Option<Self>, Vec<String>) {
        let mut problems = Vec::new();
        let mut parse = |keyword: &str, text: &String| match text.parse::<Mailbox>() {
            Ok(mailbox) => Some(mailbox),
            Err(error) => {
                problems.push(format!("{keyword} {text} is no mail address - {error}"));
                None
            }
        };
        let to = globals.notification_email.iter();
        let to: Vec<_> = to
            .filter_map(|text| parse("notification_email", text))
            .collect();
        let from = globals.notification_email_from.as_ref();
        let from = from.and_then(|text| parse("notification_email_from", text));
        // A host whose name is none for mail has a mailbox all the same.
        let ours = || Address::new_dangerous(&host.user, &host.name).into();
        let head = Self {
            router: globals
                .router_id
                .clone()
                .unwrap_or_else(|| host.name.clone()),
            from: from.unwrap_or_else(ours),
            to,
            host: host.name.clone(),
            count: 0,
        };
        ((!head.to.is_empty()).then_some(head), problems)
    }

    /// The mail of an alert.
    pub fn write(&mut self, alert: &Alert) -> Option<Letter> {
        self.count += 1;
        let at = jiff::Timestamp::from_millisecond(alert.at_unix_ms.try_into().ok()?).ok()?;
        // Stays the same however often the mail is sent, so that a copy is known as one.
        let id = format!(
            "<{}.{}.{}@{}>",
            alert.at_unix_ms,
            std::process::id(),
            self.count,
            self.host
        );
        let subject = format!("[{}] {}", self.router, alert.subject);
        let mut message = Message::builder()
            .date(at.into())
            .from(self.from.clone())
            .raw_header(whole("Subject", subject))
            .raw_header(whole("X-Mailer", "Keepalived".to_owned()));
        for mailbox in &self.to {
            message = message.to(mailbox.clone());
        }
        let mut message = message
            .header(MessageId::from(id))
            // Keeps holiday notices away (RFC 3834 section 5).
            .raw_header(whole("Auto-Submitted", "auto-generated".to_owned()))
            .header(MIME_VERSION_1_0)
            .header(ContentType::TEXT_PLAIN)
            .body(format!("{}\r\n", alert.body))
            .ok()?;
        // In local time, as people want it; the library knows only that of Greenwich.
        let local = at.to_zoned(jiff::tz::TimeZone::system());
        let local = local.strftime("%a, %d %b %Y %H:%M:%S %z").to_string();
        message.headers_mut().insert_raw(whole("Date", local));
        Some(Letter {
            from: self.from.email.clone(),
            to: self
                .to
                .iter()
                .map(|mailbox| mailbox.email.clone())
                .collect(),
            text: message.formatted(),
        })
    }
}

/// A header on one line, as keepalived writes it, unless it must be encoded.
fn whole(name: &'static str, text: String) -> HeaderValue {
    let is_plain = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    let name = HeaderName::new_from_ascii_str(name);
    match text.bytes().all(is_plain) {
        true => HeaderValue::dangerous_new_pre_encoded(name, text.clone(), text),
        false => HeaderValue::new(name, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> Host {
        Host {
            name: "director.example.org".into(),
            user: "root".into(),
        }
    }

    fn globals(to: &[&str]) -> Globals {
        Globals {
            notification_email: to.iter().map(|&text| text.to_owned()).collect(),
            ..Globals::default()
        }
    }

    fn alert(subject: &str) -> Alert {
        Alert {
            subject: subject.into(),
            body: "=> VRRP Instance stopping <=".into(),
            at_unix_ms: 1_782_000_000_000,
        }
    }

    #[test]
    fn headers_come_in_keepalived_order_each_on_its_line() {
        let globals = globals(&["a@example.org", "\"The b\" <b@example.org>"]);
        let (head, problems) = Letterhead::of(&globals, &host());
        assert_eq!(problems, Vec::<String>::new());
        let long =
            "Realserver [10.0.0.101]:tcp:8080 of virtual server [10.0.0.100]:tcp:8080 - DOWN";
        let letter = head.unwrap().write(&alert(long)).unwrap();
        assert_eq!(letter.from.to_string(), "root@director.example.org");
        let to: Vec<_> = letter.to.iter().map(ToString::to_string).collect();
        assert_eq!(to, ["a@example.org", "b@example.org"]);
        let text = String::from_utf8(letter.text).unwrap();
        let (headers, body) = text.split_once("\r\n\r\n").unwrap();
        let names: Vec<_> = headers
            .split("\r\n")
            .map(|line| line.split_once(": ").unwrap().0)
            .collect();
        assert_eq!(names[..5], ["Date", "From", "Subject", "X-Mailer", "To"]);
        let subject = format!("\r\nSubject: [director.example.org] {long}\r\n");
        assert!(headers.contains(&subject), "{headers}");
        assert_eq!(body, "=> VRRP Instance stopping <=\r\n");
    }

    #[test]
    fn what_is_no_address_is_told_and_left_out() {
        let mut globals = globals(&["nobody", "a@example.org"]);
        globals.notification_email_from = Some("x y".into());
        let (head, problems) = Letterhead::of(&globals, &host());
        assert_eq!(head.unwrap().to.len(), 1);
        assert!(problems[0].starts_with("notification_email nobody is no mail address"));
        assert!(problems[1].starts_with("notification_email_from x y is"));
        assert!(
            Letterhead::of(&self::globals(&["nobody"]), &host())
                .0
                .is_none()
        );
    }

    #[test]
    fn a_name_cannot_forge_headers() {
        let (head, _) = Letterhead::of(&globals(&["a@example.org"]), &host());
        let letter = head
            .unwrap()
            .write(&alert("VI\r\nBcc: x@example.org\r\n\r\nü"))
            .unwrap();
        let text = String::from_utf8(letter.text).unwrap();
        assert!(text.is_ascii() && !text.contains("\nBcc"), "{text}");
    }
}
