//! Alert mails through a real relay: keepalived's mails on the same events, and relays that misbehave.

use std::collections::BTreeMap;
use std::path::Path;

use director::status::MailStatus;
use director::status::VrrpState::Master;
use lvs_testkit::netns::Namespace;
use lvs_testkit::smtp::{Certificate, Manners, Relay};

use crate::lan::Lan;
use crate::router::{FAST, Keepalived, LIMIT, Router, instance};

const PORT: u16 = 2525;

/// `global_defs` with two recipients, and a fast instance with mail.
fn configuration(globals: &str) -> String {
    format!(
        "global_defs {{\n router_id R1\n notification_email {{\n a@example.org\n b@example.org\n }}\n \
         notification_email_from director@example.org\n smtp_server 127.0.0.1 {PORT}\n \
         smtp_helo_name director.example.org\n {globals}\n}}\n{}",
        instance(150, &format!("{FAST}\n smtp_alert"))
    )
}

/// A host with a relay that runs.
fn with_relay(lan: &Lan<1>, relay: Option<Relay>) -> Option<Relay> {
    let Some(mut relay) = relay else {
        lvs_testkit::skip("python3-aiosmtpd is not installed");
        return None;
    };
    lan.host(1).run(|| relay.start());
    Some(relay)
}

/// A mail: headers by name, and the body.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Mail {
    from: String,
    to: Vec<String>,
    headers: Vec<(String, String)>,
    body: String,
}

impl Mail {
    fn header(&self, name: &str) -> &str {
        let mut headers = self.headers.iter();
        headers.find(|(of, _)| of == name).map_or("", |it| &it.1)
    }
}

fn mails(relay: &Relay) -> Vec<Mail> {
    let parse = |line: &String| {
        let mail: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = mail["text"].as_str().unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let headers = head.split("\r\n").map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_owned(), value.to_owned())
        });
        let to = mail["to"].as_array().unwrap().iter();
        Mail {
            from: mail["from"].as_str().unwrap().to_owned(),
            to: to.map(|it| it.as_str().unwrap().to_owned()).collect(),
            headers: headers.collect(),
            body: body.to_owned(),
        }
    };
    relay.mails().iter().map(parse).collect()
}

fn subjects(relay: &Relay) -> Vec<String> {
    let mails = mails(relay);
    mails
        .iter()
        .map(|it| it.header("Subject").to_owned())
        .collect()
}

fn mail_status(router: &Router) -> MailStatus {
    router.status().map(|it| it.mail).unwrap_or_default()
}

/// The events whose mails are compared.
fn live(host: &Namespace, relay: &Relay) {
    let wait = |count: usize| {
        lvs_testkit::wait_until("mails", LIMIT, || {
            (relay.mails().len() >= count).then_some(())
        });
    };
    wait(6);
    host.ip("link set eth0 down");
    wait(9);
    host.ip("link set eth0 up");
    wait(15);
}

#[test]
fn mails_are_those_of_keepalived() {
    let Some(lans) = Lan::<1>::new().zip(Lan::<1>::new()) else {
        return;
    };
    let text = |muted: &str| {
        let second = instance(150, &format!("{FAST}\n smtp_alert"));
        let second = second
            .replace("VI", "V2")
            .replace(" 51", " 52")
            .replace(".100/", ".101/");
        let group = "vrrp_sync_group G {\n group {\n VI\n V2\n }\n smtp_alert\n}\n";
        [&configuration(muted), second.as_str(), group].concat()
    };
    let Some(ours) = with_relay(&lans.0, Relay::new(PORT)) else {
        return;
    };
    let Some(theirs) = with_relay(&lans.1, Relay::new(PORT)) else {
        return;
    };
    let keepalived = Keepalived::start(lans.1.host(1), &text(""));
    let router = Router::start(lans.0.host(1), &text(""));
    live(lans.0.host(1), &ours);
    // An instance that goes: the group, too, has one member less.
    let text = text("");
    let without = text.replace(
        "virtual_router_id 52",
        "notify_deleted\n virtual_router_id 52",
    );
    router.reload_completely(&without);
    let start = without.find("vrrp_instance V2").unwrap();
    let end = without.find("vrrp_sync_group").unwrap();
    let without = [&without[..start], &without[end..]]
        .concat()
        .replace("VI\n V2", "VI");
    router.reload_completely(&without);
    router.wait("the mail about it", |_| ours.mails().len() == 16);
    router.stop();
    let mine = mails(&ours);
    assert_eq!(
        mine[15].header("Subject"),
        "[R1] VRRP Instance V2 - Deleted"
    );
    assert_eq!(mine[15].body, "=> VRRP Deleted at reload <=\r\n\r\n");
    let last: Vec<_> = mine[16..].iter().map(|it| it.header("Subject")).collect();
    // keepalived does not wait for these to be sent.
    assert_eq!(
        last,
        [
            "[R1] VRRP Instance VI - Stopping",
            "[R1] VRRP Group G - Stopping"
        ]
    );
    assert_eq!(mine[16].body, "=> VRRP Instance stopping <=\r\n\r\n");
    assert_eq!(
        mine[17].body,
        "=> All VRRP group instances are now stopping <=\r\n\r\n"
    );

    let Some(keepalived) = keepalived else { return };
    live(lans.1.host(1), &theirs);
    keepalived.stop();
    let zone = |date: &str| date.rsplit(' ').next().unwrap().to_owned();
    // Beside the time and what we add, in no order: it sends all at once.
    let comparable = |mails: &[Mail]| {
        let mut mails = mails[..15].to_vec();
        for mail in &mut mails {
            mail.headers.truncate(5);
            let date = &mut mail.headers[0].1;
            *date = zone(date);
        }
        mails.sort();
        mails
    };
    assert_eq!(comparable(&mine), comparable(&mails(&theirs)));
    assert_eq!(
        ours.sessions().first(),
        theirs.sessions().first(),
        "the names in the greeting"
    );
    // Ours come in the order of the events.
    let of_one = |mails: &[Mail]| -> BTreeMap<String, Vec<String>> {
        let mut of_one: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for mail in mails {
            let subject = mail.header("Subject");
            let (subject, event) = subject.split_once(" - ").unwrap();
            of_one
                .entry(subject.to_owned())
                .or_default()
                .push(event.to_owned());
        }
        of_one
    };
    let states = ["BACKUP", "MASTER", "FAULT", "BACKUP", "MASTER"];
    let states = states.map(|state| format!("Entering {state} state"));
    for (subject, events) in of_one(&mine[..15]) {
        assert_eq!(events, states, "{subject}");
    }
}

#[test]
fn a_relay_that_misbehaves_loses_nothing_and_holds_up_nothing() {
    let Some(lan) = Lan::<1>::new() else { return };
    let Some(mut relay) = with_relay(&lan, Relay::new(PORT)) else {
        return;
    };
    // It is not there at first.
    relay.stop();
    let text = configuration("smtp_connect_timeout 1");
    let router = Router::start(lan.host(1), &text);
    router.wait_for(Master);
    router.wait("two mails that wait", |it| {
        let status = mail_status(it);
        (status.queued, status.sent) == (2, 0) && status.failures > 0
    });
    // A reload loses none of them, and tries again.
    relay.behave(Manners::Greylist(Some("b@example.org")));
    lan.host(1).run(|| relay.start());
    router.reload_completely(&text);
    router.wait("what one recipient gets", |_| relay.mails().len() >= 2);
    assert_eq!(mails(&relay)[0].to, ["a@example.org"]);
    let expected = [
        "[R1] VRRP Instance VI - Entering BACKUP state",
        "[R1] VRRP Instance VI - Entering MASTER state",
    ];
    assert_eq!(subjects(&relay)[..2], expected);
    router.wait_for_line("SMTP status code = 451 (transient error (451): 4.7.1 greylisted");
    // The other one is asked again.
    relay.behave(Manners::Good);
    router.wait("what the other one gets", |_| relay.mails().len() >= 4);
    assert_eq!(mails(&relay)[2].to, ["b@example.org"]);
    assert_eq!(subjects(&relay)[2..], expected);
    // One copy is one mail, however often it is sent.
    assert_eq!(
        mails(&relay)[2].header("Message-ID"),
        mails(&relay)[0].header("Message-ID")
    );

    // Refused for good, and so gone; the other one gets his.
    relay.behave(Manners::Refuse(Some("a@example.org")));
    lan.host(1).ip("link set eth0 down");
    router.wait("the mail of the fault", |_| relay.mails().len() == 5);
    assert_eq!(mails(&relay)[4].to, ["b@example.org"]);
    router.wait("one refusal", |it| mail_status(it).refused == 1);

    // It has the text and dies, has no room, says nothing: the same mail again, until it is taken.
    for (manners, line) in [
        (Manners::Die, "has closed the connection."),
        (Manners::Full, "Error processing BODY cmd on SMTP server"),
        (Manners::Slow, "Timeout reading data to remote SMTP server"),
    ] {
        let (texts, taken) = (relay.texts(), relay.mails().len());
        relay.behave(manners);
        lan.host(1).ip("link set eth0 up");
        router.wait("the text to be lost", |_| relay.texts() > texts);
        router.wait_for_line(line);
        relay.behave(Manners::Good);
        router.reload_completely(&text);
        router.wait("all mails", |_| relay.mails().len() == taken + 2);
        lan.host(1).ip("link set eth0 down");
        router.wait("the next mail", |_| relay.mails().len() == taken + 3);
    }
    let status = mail_status(&router);
    assert_eq!((status.queued, status.lost), (0, 0), "{status:?}");

    // A stop waits for a relay that takes mails, and not long for one that does not.
    relay.behave(Manners::Slow);
    let log = router.stop();
    assert!(
        log.contains("1 mails were not sent before the end"),
        "{log}"
    );
}

#[test]
fn faults_are_not_mailed_where_that_is_off() {
    let Some(lan) = Lan::<1>::new() else { return };
    let Some(relay) = with_relay(&lan, Relay::new(PORT)) else {
        return;
    };
    let router = Router::start(lan.host(1), &configuration("no_email_faults"));
    router.wait("two mails", |_| relay.mails().len() == 2);
    lan.host(1).ip("link set eth0 down");
    lan.host(1).ip("link set eth0 up");
    router.wait("two more", |_| relay.mails().len() == 4);
    router.stop();
    let events = ["Entering BACKUP state", "Entering MASTER state"];
    let events = [&events[..], &events[..], &["Stopping"]].concat();
    let expected: Vec<_> = events
        .iter()
        .map(|event| format!("[R1] VRRP Instance VI - {event}"))
        .collect();
    assert_eq!(subjects(&relay), expected);
}

/// A certificate for 127.0.0.1 that is its own authority, in a folder.
fn certificate() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(folder.path().join("cert.pem"), made.cert.pem()).unwrap();
    let key = made.signing_key.serialize_pem();
    std::fs::write(folder.path().join("key.pem"), key).unwrap();
    folder
}

fn over_tls(folder: &Path, is_implicit: bool) {
    let Some(lan) = Lan::<1>::new() else { return };
    let relay = Relay::new_with_tls(
        PORT,
        &Certificate {
            certificate: &folder.join("cert.pem"),
            key: &folder.join("key.pem"),
            is_implicit,
        },
    );
    let Some(relay) = with_relay(&lan, relay) else {
        return;
    };
    let word = if is_implicit { "implicit" } else { "starttls" };
    let tls = format!("smtp_tls {word}\n smtp_login director \"s3cret word\"");
    // Without its authority the certificate is nobody's.
    let router = Router::start(lan.host(1), &configuration(&tls));
    router.wait("a refusal", |it| {
        let failure = mail_status(it).last_failure.unwrap_or_default();
        failure.contains("UnknownIssuer")
    });
    let ca = folder.join("cert.pem");
    router.reload_completely(&configuration(&format!(
        "{tls}\n smtp_tls_ca {}",
        ca.display()
    )));
    router.wait("the mails", |_| relay.mails().len() == 2);
    for mail in relay.mails() {
        let mail: serde_json::Value = serde_json::from_str(&mail).unwrap();
        assert_eq!(
            (&mail["user"], &mail["tls"]),
            (&"director".into(), &true.into())
        );
    }
    assert!(!router.stop().contains("s3cret"));
}

#[test]
fn mails_go_over_tls_with_a_login() {
    let folder = certificate();
    std::thread::scope(|scope| {
        for is_implicit in [false, true] {
            let folder = folder.path();
            scope.spawn(move || over_tls(folder, is_implicit));
        }
    });
}
