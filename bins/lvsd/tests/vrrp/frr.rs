//! With FRR's vrrpd on the other side: both versions and families, both ways round.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use director::status::VrrpState::{Backup, Master};
use lvs_testkit::netns::Namespace;
use lvs_testkit::{Process, wait_until};
use nix::sys::signal::Signal;
use nix::unistd::{User, chown};

use crate::lan::Lan;
use crate::router::{LIMIT, Router, Story, together};

/// Where Debian has FRR's daemons.
const DAEMONS: &str = "/usr/lib/frr";

/// What both sides have to agree on.
struct Speech {
    version: u8,
    milliseconds: u32,
    address: &'static str,
}

const V2: Speech = Speech {
    version: 2,
    milliseconds: 1000,
    address: "10.0.0.100",
};

const V3: Speech = Speech {
    version: 3,
    milliseconds: 200,
    address: "10.0.0.100",
};

const V3_OVER_IPV6: Speech = Speech {
    version: 3,
    milliseconds: 200,
    address: "fe80::99",
};

impl Speech {
    fn is_ipv6(&self) -> bool {
        self.address.contains(':')
    }

    /// What our side has.
    fn ours(&self, priority: u8, extra: &str) -> String {
        let seconds = f64::from(self.milliseconds) / 1000.0;
        let length = if self.is_ipv6() { 64 } else { 24 };
        format!(
            "vrrp_instance VI {{\n interface eth0\n virtual_router_id 51\n priority {priority}\n \
             version {}\n advert_int {seconds}\n {extra}\n virtual_ipaddress {{\n {}/{length}\n \
             }}\n}}\n",
            self.version, self.address
        )
    }

    /// What FRR's side has.
    fn theirs(&self, priority: u8, extra: &str) -> String {
        let family = if self.is_ipv6() { "ipv6" } else { "ip" };
        format!(
            "debug vrrp protocol\ninterface eth0\n vrrp 51 version {}\n vrrp 51 priority {priority}\n \
             vrrp 51 advertisement-interval {}\n{extra} vrrp 51 {family} {}\n",
            self.version, self.milliseconds, self.address
        )
    }
}

/// FRR's zebra on a host, which tells other daemons of the interfaces.
pub(crate) struct Zebra<'a> {
    host: &'a Namespace,
    // Before the folder, so that it ends first.
    _process: Process,
    folder: tempfile::TempDir,
}

impl<'a> Zebra<'a> {
    /// Starts it; `None`, and a counted skip, where FRR has no such daemon here.
    pub(crate) fn start(host: &'a Namespace, other: &str) -> Option<Self> {
        let user = User::from_name("frr").ok().flatten();
        let user = user.filter(|_| Path::new(DAEMONS).join(other).exists());
        let Some(user) = user else {
            lvs_testkit::skip("FRR is not installed");
            return None;
        };
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path();
        // Its daemons leave root behind, and make sockets and files afterwards.
        chown(path, Some(user.uid), Some(user.gid)).expect("we are root");
        std::fs::write(path.join("zebra.conf"), "").expect("the folder is writable");
        let process = daemon(host, path, "zebra");
        wait_until("zebra", LIMIT, || path.join("zserv").exists().then_some(()));
        Some(Self {
            host,
            _process: process,
            folder,
        })
    }

    /// Starts another daemon.
    pub(crate) fn daemon(&self, name: &str, configuration: &str) -> Process {
        let path = self.folder.path();
        let file = path.join(format!("{name}.conf"));
        std::fs::write(file, configuration).expect("the folder is writable");
        daemon(self.host, path, name)
    }
}

/// FRR's zebra and vrrpd on a host.
struct Frr<'a> {
    // In the order in which they must end.
    vrrpd: Option<Process>,
    zebra: Zebra<'a>,
    configuration: String,
}

impl<'a> Frr<'a> {
    /// Starts both; `None`, and a counted skip, where FRR is not installed.
    fn start(host: &'a Namespace, speech: &Speech, configuration: &str) -> Option<Self> {
        let zebra = Zebra::start(host, "vrrpd")?;
        // It wants the virtual address on an interface that somebody else has made.
        let (kind, length) = if speech.is_ipv6() {
            ("02", "64 nodad")
        } else {
            ("01", "24")
        };
        host.ip("link add vrrp51 link eth0 type macvlan mode bridge");
        host.ip(&format!("link set vrrp51 address 00:00:5e:00:{kind}:33"));
        let address = speech.address;
        host.ip(&format!("addr add {address}/{length} dev vrrp51"));
        host.ip("link set vrrp51 up");
        let mut frr = Self {
            vrrpd: None,
            zebra,
            configuration: configuration.to_owned(),
        };
        frr.start_again();
        Some(frr)
    }

    fn start_again(&mut self) {
        self.vrrpd = Some(self.zebra.daemon("vrrpd", &self.configuration));
    }

    fn log(&self) -> String {
        self.vrrpd.as_ref().map(Process::output).unwrap_or_default()
    }

    /// Waits until its last change of state is into this one.
    #[track_caller]
    fn wait_for(&self, state: &str) {
        let deadline = Instant::now() + LIMIT;
        let arrow = format!("-> {state}");
        let last = |log: &str| {
            let line = log.lines().rfind(|line| line.contains(" -> "));
            line.is_some_and(|line| line.contains(&arrow))
        };
        while !last(&self.log()) {
            assert!(
                Instant::now() < deadline,
                "FRR is not {state}:\n{}",
                self.log()
            );
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// How often it has become master since it was started.
    fn times_master(&self) -> usize {
        self.log().matches("-> Master").count()
    }

    /// Ends vrrpd by a signal.
    fn end(&mut self, signal: Signal) {
        if let Some(mut vrrpd) = self.vrrpd.take() {
            vrrpd.signal(signal);
            vrrpd.wait(LIMIT);
        }
    }
}

fn daemon(host: &Namespace, folder: &Path, name: &str) -> Process {
    let mut command = Command::new(Path::new(DAEMONS).join(name));
    if name == "bfdd" {
        command.arg("--bfdctl").arg(folder.join("bfdd.sock"));
    }
    host.run(|| {
        Process::start(
            command
                .arg("-f")
                .arg(folder.join(format!("{name}.conf")))
                .arg("-i")
                .arg(folder.join(format!("{name}.pid")))
                .arg("-z")
                .arg(folder.join("zserv"))
                .arg("--vty_socket")
                .arg(folder)
                .args(["-P", "0", "--log", "stdout", "--log-level", "debug"]),
        )
    })
}

/// We preempt, are gone, and come back.
fn we_are_master(speech: &Speech) -> Option<()> {
    let lan = Lan::<2>::new()?;
    let theirs = Frr::start(lan.host(2), speech, &speech.theirs(100, ""))?;
    theirs.wait_for("Master");
    let ours = Router::start(lan.host(1), &speech.ours(150, ""));
    ours.wait_for(Master);
    theirs.wait_for("Backup");
    assert!(lan.has(1, speech.address));
    // It accepts all that we say, or it would be master again.
    ours.wait_for_more(5);
    assert_eq!(theirs.times_master(), 1);
    ours.stop();
    theirs.wait_for("Master");
    assert!(!lan.has(1, speech.address));
    // Its priority is the lower one, but it does not have to yield.
    let ours = Router::start(lan.host(1), &speech.ours(150, "nopreempt"));
    ours.wait_for(Backup);
    ours.wait_for_more(5);
    assert_eq!(ours.wait_for(Backup).counters.became_master, 0);
    Some(())
}

/// FRR is master, resigns, comes back and preempts, and dies.
fn we_are_backup(speech: &Speech) -> Option<()> {
    let lan = Lan::<2>::new()?;
    let mut theirs = Frr::start(lan.host(2), speech, &speech.theirs(150, ""))?;
    theirs.wait_for("Master");
    let ours = Router::start(lan.host(1), &speech.ours(100, ""));
    ours.wait_for(Backup);
    ours.wait_for_more(5);
    assert_eq!(ours.wait_for(Backup).counters.became_master, 0);
    theirs.end(Signal::SIGTERM);
    let reason = ours.wait_for(Master).reason;
    assert!(reason.ends_with(" resigned"), "{reason}");
    theirs.start_again();
    theirs.wait_for("Master");
    let reason = ours.wait_for(Backup).reason;
    assert!(reason.ends_with(" with priority 150, ours 100"), "{reason}");
    theirs.end(Signal::SIGKILL);
    let reason = ours.wait_for(Master).reason;
    assert!(reason.starts_with("no advert of "), "{reason}");
    Some(())
}

/// FRR is told not to preempt, and leaves us master.
fn frr_leaves_us_alone(speech: &Speech) -> Option<()> {
    let lan = Lan::<2>::new()?;
    let ours = Router::start(lan.host(1), &speech.ours(100, ""));
    ours.wait_for(Master);
    let meek = speech.theirs(150, " no vrrp 51 preempt\n");
    let theirs = Frr::start(lan.host(2), speech, &meek)?;
    theirs.wait_for("Backup");
    ours.wait_for_more(5);
    assert_eq!(theirs.times_master(), 0);
    let master = ours.wait_for(Master);
    assert_eq!(master.counters.became_master, 1);
    Some(())
}

#[test]
fn both_versions_and_families() {
    fn story(
        name: &'static str,
        tell: fn(&Speech) -> Option<()>,
        speech: Speech,
    ) -> Story<'static> {
        let tell = move || {
            // Skipped where there is no FRR.
            let _ = tell(&speech);
        };
        (name, Box::new(tell))
    }
    together([
        story("version 2 as master", we_are_master, V2),
        story("version 2 as backup", we_are_backup, V2),
        story("version 3 as master", we_are_master, V3),
        story("version 3 as backup", we_are_backup, V3),
        story("version 3 not preempted", frr_leaves_us_alone, V3),
        story("IPv6 as master", we_are_master, V3_OVER_IPV6),
        story("IPv6 as backup", we_are_backup, V3_OVER_IPV6),
    ]);
}
