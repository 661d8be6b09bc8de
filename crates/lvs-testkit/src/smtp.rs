//! A real mail relay on loopback.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::{Process, program};

/// How long the relay may take to start.
const LIMIT: Duration = Duration::from_secs(30);

/// A running relay. It keeps all mails that it takes, and can be told to misbehave.
#[derive(Debug)]
pub struct Relay {
    // Before the folder, so that it ends first.
    process: Option<Process>,
    folder: TempDir,
    port: u16,
    flags: Vec<String>,
}

/// How the relay treats a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manners {
    /// It takes it.
    Good,
    /// It puts off this recipient, or all: 451.
    Greylist(Option<&'static str>),
    /// It refuses this recipient, or all: 550.
    Refuse(Option<&'static str>),
    /// It has no room for the text: 452.
    Full,
    /// It closes the connection when it has the text.
    Die,
    /// It does not answer when it has the text.
    Slow,
}

/// A certificate for [`Relay::new_with_tls`].
#[derive(Debug)]
pub struct Certificate<'a> {
    /// File with the certificate.
    pub certificate: &'a Path,
    /// File with its key.
    pub key: &'a Path,
    /// Whether TLS begins with the connection, not with STARTTLS.
    pub is_implicit: bool,
}

impl Relay {
    /// Prepares a relay on a port of 127.0.0.1 of the caller's network namespace; `None` when Debian's
    /// `python3-aiosmtpd` is not installed: the test is then to be skipped. [`Relay::start`] starts it.
    ///
    /// # Panics
    ///
    /// When there is no temporary folder.
    pub fn new(port: u16) -> Option<Self> {
        program("aiosmtpd")?;
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let relay = Self {
            process: None,
            folder,
            port,
            flags: Vec::new(),
        };
        relay.behave(Manners::Good);
        Some(relay)
    }

    /// The same with TLS, which is required then, as is a login as `director` with the password
    /// `s3cret word`.
    pub fn new_with_tls(port: u16, certificate: &Certificate<'_>) -> Option<Self> {
        let mut relay = Self::new(port)?;
        for path in [certificate.certificate, certificate.key] {
            relay.flags.push(path.display().to_string());
        }
        if certificate.is_implicit {
            relay.flags.push("implicit".to_owned());
        }
        Some(relay)
    }

    /// Starts it, or starts it again, in the caller's network namespace, and waits until it listens.
    ///
    /// # Panics
    ///
    /// When it does not start.
    #[track_caller]
    pub fn start(&mut self) {
        let script = self.path("relay.py");
        std::fs::write(&script, include_str!("smtp.py")).expect("the folder is writable");
        // Debian's own: another one may come first on the path.
        let mut process = Process::start(
            Command::new("/usr/bin/python3")
                .arg(&script)
                .arg(self.port.to_string())
                .arg(self.folder.path())
                .args(&self.flags),
        );
        process.wait_for("ready", LIMIT);
        self.process = Some(process);
    }

    /// Ends it; its port is closed then.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Treats mails so from now on.
    ///
    /// # Panics
    ///
    /// When the folder is not writable.
    pub fn behave(&self, manners: Manners) {
        let text = match manners {
            Manners::Good => "good".to_owned(),
            Manners::Greylist(who) => format!("451 {}", who.unwrap_or_default()),
            Manners::Refuse(who) => format!("550 {}", who.unwrap_or_default()),
            Manners::Full => "452".to_owned(),
            Manners::Die => "die".to_owned(),
            Manners::Slow => "slow".to_owned(),
        };
        // At one stroke, so that the relay never reads a part.
        let new = self.path("mode.new");
        std::fs::write(&new, text).expect("the folder is writable");
        std::fs::rename(new, self.path("mode")).expect("the folder is writable");
    }

    /// The mails that it took, each as JSON with `from`, `to`, `text`, `user` and `tls`.
    pub fn mails(&self) -> Vec<String> {
        self.lines("mails")
    }

    /// The names by which clients have greeted it, as JSON.
    pub fn sessions(&self) -> Vec<String> {
        self.lines("sessions")
    }

    /// How many texts it was given, whatever became of them.
    pub fn texts(&self) -> usize {
        self.lines("data").len()
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    fn lines(&self, name: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.path(name)).unwrap_or_default();
        // What is not ended yet is being written.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(str::to_owned).collect()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}
