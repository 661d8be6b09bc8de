//! What is told of virtual and real servers: pipes and mails, side by side with keepalived.

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use lvs_testkit::lab::{Daemon, Host, LIMIT, Lab, enter};
use lvs_testkit::smtp::Relay;
use lvs_testkit::wait_until;
use nix::sys::signal::Signal;

use crate::director::Director;

/// Two servers, the first with two checks and the more weight; without it there is no quorum.
fn configuration(folder: &Path, second: bool) -> String {
    let folder = folder.display();
    let check = |port: u16| {
        format!("TCP_CHECK {{\n connect_port {port}\n connect_timeout 1\n retry 0\n }}\n")
    };
    let second = match second {
        true => format!("real_server 10.0.1.2 80 {{\n weight 1\n {}}}\n", check(80)),
        false => String::new(),
    };
    format!(
        "global_defs {{\n router_id R1\n script_user root\n notification_email {{\n a@example.org\n }}\n \
         notification_email_from d@example.org\n smtp_server 127.0.0.1 2525\n \
         lvs_notify_fifo {folder}/pipe\n lvs_notify_fifo_script {folder}/reader\n}}\n\
         virtual_server 10.0.0.1 80 {{\n delay_loop 1\n warmup 0\n lb_algo wrr\n lb_kind NAT\n \
         protocol TCP\n quorum 3\n hysteresis 1\n omega\n smtp_alert\n \
         real_server 10.0.1.1 80 {{\n weight 3\n {}{}}}\n{second}}}\n",
        check(80),
        check(81),
    )
}

/// One of the two that are compared.
struct Side {
    host: Host,
    relay: Relay,
    folder: tempfile::TempDir,
    listeners: Vec<(u8, u16, TcpListener)>,
}

impl Side {
    fn new(lab: &Lab, name: &str) -> Option<Self> {
        let host = lab.host(name);
        host.ip("address add 10.0.1.1/24 dev lo\naddress add 10.0.1.2/24 dev lo");
        let mut relay = Relay::new(2525)?;
        host.enter(|| relay.start());
        let folder = tempfile::tempdir().unwrap();
        let reader = folder.path().join("reader");
        let text = format!(
            "#!/bin/sh\nexec cat \"$1\" > {}/read\n",
            folder.path().display()
        );
        std::fs::write(&reader, text).unwrap();
        std::fs::set_permissions(&reader, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut side = Self {
            host,
            relay,
            folder,
            listeners: Vec::new(),
        };
        side.open(1, 80);
        side.open(1, 81);
        side.open(2, 80);
        Some(side)
    }

    fn open(&mut self, server: u8, port: u16) {
        let listener = self
            .host
            .enter(|| TcpListener::bind((Ipv4Addr::new(10, 0, 1, server), port)).unwrap());
        self.listeners.push((server, port, listener));
    }

    fn close(&mut self, server: u8, port: u16) {
        self.listeners.retain(|it| (it.0, it.1) != (server, port));
    }

    fn lines(&self) -> Vec<String> {
        let bytes = std::fs::read(self.folder.path().join("read")).unwrap_or_default();
        let text = String::from_utf8(bytes).unwrap();
        text.split_inclusive('\n').map(str::to_owned).collect()
    }

    /// Subject and body of each mail.
    fn mails(&self) -> Vec<String> {
        let mails = self.relay.mails().into_iter().map(|line| {
            let start = line.find("Subject: ").unwrap();
            let subject = line[start..].split("\\r\\n").next().unwrap().to_owned();
            let body = line.split("\\r\\n\\r\\n").nth(1).unwrap();
            format!("{subject} {body}")
        });
        mails.collect()
    }

    fn wait(&self, lines: usize, mails: usize) {
        let what = format!("{lines} lines and {mails} mails");
        wait_until(&what, LIMIT, || {
            let is_there = self.lines().len() >= lines && self.mails().len() >= mails;
            is_there.then_some(())
        });
    }
}

#[test]
fn pipes_and_mails_of_servers_are_those_of_keepalived() {
    let Some(lab) = enter() else { return };
    let Some(mut sides) = Side::new(&lab, "ours").zip(Side::new(&lab, "theirs")) else {
        return lvs_testkit::skip("python3-aiosmtpd is not installed");
    };
    let director = Director::start(
        &sides.0.host,
        &configuration(sides.0.folder.path(), true),
        &["-D"],
    );
    let file = sides.1.folder.path().join("keepalived.conf");
    let folder = sides.1.folder.path().to_owned();
    let write = |second: bool| {
        std::fs::write(&file, configuration(&folder, second)).unwrap();
    };
    write(true);
    let keepalived = run_keepalived(&sides.1.host, &file, sides.1.folder.path());
    let wait = |sides: &(Side, Side), lines: usize, mails: usize| {
        sides.0.wait(lines, mails);
        sides.1.wait(lines, mails);
    };
    wait(&sides, 1, 1);
    // What happens, and how many lines and mails are there then. A check that does not decide is
    // mailed, and the subject says how its server is.
    type Act = fn(&mut Side);
    let story: [(Act, usize, usize); 4] = [
        (|side| side.close(1, 81), 3, 3),
        (|side| side.close(1, 80), 3, 4),
        (|side| side.open(1, 81), 3, 5),
        (|side| side.open(1, 80), 5, 7),
    ];
    for (act, lines, mails) in story {
        act(&mut sides.0);
        act(&mut sides.1);
        wait(&sides, lines, mails);
    }
    assert_eq!(sides.0.lines(), sides.1.lines());
    let sorted = |side: &Side| {
        let mut mails = side.mails();
        mails.sort();
        mails
    };
    // It sends all at once, so that their order is left to chance.
    assert_eq!(sorted(&sides.0), sorted(&sides.1));
    let service = "Subject: [R1] Virtualserver [10.0.0.1]:tcp:80";
    let server = "Subject: [R1] Realserver [10.0.1.1]:tcp:80 of virtual server [10.0.0.1]:tcp:80";
    let mails = sides.0.mails();
    assert_eq!(
        mails[0],
        format!("{service} - UP => Starting with quorum up 3+1=4 <= 4 <=")
    );
    assert_eq!(
        mails[4],
        format!("{server} - DOWN => TCP CHECK succeed on service <=")
    );

    // A server that a reload removes. Its reader is started anew, and the quorum is lost for a moment.
    director.reload_completely(&configuration(sides.0.folder.path(), false));
    write(false);
    keepalived.signal(Signal::SIGHUP);
    let removed = "RS [10.0.1.2]:tcp:80 [10.0.0.1]:tcp:80 DOWN\n".to_owned();
    for side in [&sides.0, &sides.1] {
        wait_until("the removal", LIMIT, || {
            let is_mailed = side
                .mails()
                .iter()
                .any(|mail| mail.ends_with("=> Removing <="));
            (is_mailed && side.lines().contains(&removed)).then_some(())
        });
    }
    keepalived.stop(LIMIT);
    director.stop();
    // The reader has heard all, and the relay has all.
    assert_eq!(
        sides.0.lines()[5..],
        [
            removed,
            "RS [10.0.1.1]:tcp:80 [10.0.0.1]:tcp:80 DOWN\n".to_owned(),
            "VS [10.0.0.1]:tcp:80 DOWN\n".to_owned(),
        ]
    );
    let last = sides.0.mails()[8..].to_vec();
    assert!(
        last.len() == 2
            && last
                .iter()
                .all(|mail| mail.ends_with("=> Shutting down <=")),
        "{last:?}"
    );
}

fn run_keepalived(host: &Host, file: &Path, folder: &Path) -> Daemon {
    let mut command = Command::new("keepalived");
    command
        .args(["-n", "-l", "-D", "-C", "-f"])
        .arg(file)
        .arg("-p")
        .arg(folder.join("keepalived.pid"))
        .arg("-c")
        .arg(folder.join("checkers.pid"));
    host.start(&mut command)
}
