//! Log lines in keepalived's form: on the terminal, in the system log, in files.
//!
//! # Design
//! One `tracing` layer with up to three sinks. A line is the event's message, followed by its fields
//! if it has any; the lines that operators search for, those of keepalived, carry none and so read
//! word for word as they are used to. The system log gets a datagram that may be lost, and the terminal
//! has a thread of its own (`console`), because a director must not stop for its log.

use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use jiff::Zoned;
use serde::{Deserialize, Serialize};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use crate::console::Console;
use crate::role::Role;

/// Where the system log takes datagrams.
const SYSLOG_SOCKET: &str = "/dev/log";

/// How long a process that ends waits for its last lines to be read.
const FLUSH_LIMIT: Duration = Duration::from_millis(500);

/// The crates whose detail `--log-detail` shows; of all others only warnings are of interest.
const OURS: [&str; 6] = [
    "director",
    "healthcheck",
    "ipvs_netlink",
    "kconf_parser",
    "lvs_proxy",
    "lvsd",
];

/// Where log lines go, and how many. The same for all processes of a director.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogOptions {
    /// To standard error (`--log-console`).
    pub console: bool,
    /// To the system log; off with `--no-syslog`.
    pub syslog: bool,
    /// The system log's facility (`--log-facility`).
    pub facility: Facility,
    /// To this file, with a suffix per process (`--log-file`).
    pub file: Option<PathBuf>,
    /// 0: the usual; 1: more (`--log-detail`); 2: everything.
    pub detail: u8,
    /// The name of the director, with which those of its processes end in the system log, as in
    /// `Keepalived_vrrp_blue`. Empty: none. The configuration says it: see [`Logging::tell_apart`].
    pub director: String,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            console: false,
            syslog: true,
            facility: Facility::Daemon,
            file: None,
            detail: 0,
            director: String::new(),
        }
    }
}

/// A facility of the system log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Facility {
    /// `LOG_USER`.
    User,
    /// `LOG_DAEMON`, the default.
    Daemon,
    /// `LOG_LOCAL0` to `LOG_LOCAL7`; the number is taken modulo 8.
    Local(u8),
}

impl Facility {
    const fn code(self) -> u8 {
        match self {
            Self::User => 1,
            Self::Daemon => 3,
            Self::Local(number) => 16 + number % 8,
        }
    }
}

impl std::str::FromStr for Facility {
    type Err = UnknownFacility;

    /// `0` to `7`, `local0` to `local7`, `user`, `daemon`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "user" => Ok(Self::User),
            "daemon" => Ok(Self::Daemon),
            _ => match text.strip_prefix("local").unwrap_or(text).as_bytes() {
                [digit @ b'0'..=b'7'] => Ok(Self::Local(digit - b'0')),
                _ => Err(UnknownFacility),
            },
        }
    }
}

/// The word is not a facility.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not one of 0 to 7, local0 to local7, user, daemon")]
pub struct UnknownFacility;

/// Keeps the last lines of a process from being lost: to be dropped at its end.
#[derive(Debug)]
#[must_use = "dropped at once, it waits for nothing that is logged later"]
pub struct Logging {
    console: Option<Console>,
    ident: Arc<OnceLock<String>>,
}

impl Logging {
    /// Has the name of the parent in the system log end with that of its director from now on. Only
    /// the first call counts.
    pub fn tell_apart(&self, director: &str) {
        if !director.is_empty() {
            let ident = ident_of(Role::Parent, director);
            tracing::info!("Changing syslog ident to {ident}");
            let _ = self.ident.set(ident);
        }
    }
}

fn ident_of(role: Role, director: &str) -> String {
    match director {
        "" => role.ident().to_owned(),
        _ => format!("{}_{director}", role.ident()),
    }
}

impl Drop for Logging {
    /// Waits until the terminal has all lines, but no longer than half a second.
    fn drop(&mut self) {
        if let Some(console) = &self.console {
            console.flush(FLUSH_LIMIT);
        }
    }
}

/// Sends this process's log where `options` say, from now on, the report of a panic included.
///
/// A log file that cannot be opened is reported through the other sinks and left out.
pub fn start(options: &LogOptions, role: Role) -> Logging {
    let mut failed = None;
    // Without a thread there is no memory for anything else either.
    let console = options.console.then(|| Console::start(io::stderr()).ok());
    let console = console.flatten();
    let file = options.file.as_deref().and_then(|path| {
        let path = file_of(path, role);
        let open = OpenOptions::new().append(true).create(true).open(&path);
        open.map_err(|error| failed = Some((path, error))).ok()
    });
    let ident = Arc::new(OnceLock::new());
    if role != Role::Parent {
        let _ = ident.set(ident_of(role, &options.director));
    }
    let layer = KeepalivedLayer {
        console: console.clone(),
        syslog: options.syslog.then(Syslog::open).flatten(),
        file: file.map(Mutex::new),
        facility: options.facility,
        ident: Arc::clone(&ident),
    };
    let level = match options.detail {
        0 => Level::INFO,
        1 => Level::DEBUG,
        _ => Level::TRACE,
    };
    let filter = Targets::new()
        .with_default(Level::WARN)
        .with_targets(OURS.map(|target| (target, level)));
    let subscriber = tracing_subscriber::registry().with(layer.with_filter(filter));
    // Fails only when this process logs already; then it goes on doing so.
    let _ = tracing::subscriber::set_global_default(subscriber);
    // A fault in the program must not be lost with the terminal.
    std::panic::set_hook(Box::new({
        let console = console.clone();
        move |panic| {
            tracing::error!("Internal fault: {panic}");
            if let Some(console) = &console {
                console.flush(FLUSH_LIMIT);
            }
        }
    }));
    if let Some((path, error)) = failed {
        tracing::error!("Unable to open log file {} - {error}", path.display());
    }
    Logging { console, ident }
}

/// `/tmp/keepalived.log` becomes `/tmp/keepalived_healthcheckers.log` for the checker.
fn file_of(path: &Path, role: Role) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_os_string();
    name.push(role.file_suffix());
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

struct KeepalivedLayer {
    console: Option<Console>,
    syslog: Option<Syslog>,
    file: Option<Mutex<File>>,
    facility: Facility,
    /// That of a parent until something else is said.
    ident: Arc<OnceLock<String>>,
}

impl<S: Subscriber> Layer<S> for KeepalivedLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        let text = line.text();
        let now = Zoned::now();
        if self.console.is_some() || self.file.is_some() {
            let stamped = format!("{}: {text}\n", console_time(&now));
            if let Some(file) = &self.file
                && let Ok(mut file) = file.lock()
            {
                let _ = file.write_all(stamped.as_bytes());
            }
            if let Some(console) = &self.console {
                console.push(stamped);
            }
        }
        if let Some(syslog) = &self.syslog {
            let priority = self.facility.code() * 8 + severity(*event.metadata().level());
            let pid = std::process::id();
            let time = now.strftime("%b %e %H:%M:%S");
            let ident = self.ident.get();
            let ident = ident.map_or(Role::Parent.ident(), String::as_str);
            syslog.send(&format!("<{priority}>{time} {ident}[{pid}]: {text}"));
        }
    }
}

/// The prefix of `--log-console` without its colon: `Fri Nov 20 10:30:47 2026`, in local time.
fn console_time(now: &Zoned) -> impl fmt::Display {
    now.strftime("%a %b %e %H:%M:%S %Y")
}

/// keepalived logs its detail as information, so that it is not filtered away by the system log.
fn severity(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        _ => 6,
    }
}

struct Syslog {
    socket: UnixDatagram,
}

impl Syslog {
    fn open() -> Option<Self> {
        let socket = UnixDatagram::unbound().ok()?;
        socket.set_nonblocking(true).ok()?;
        Some(Self { socket })
    }

    /// Names the address each time: the system log may be restarted.
    fn send(&self, line: &str) {
        let _ = self.socket.send_to(line.as_bytes(), SYSLOG_SOCKET);
    }
}

/// Collects an event's message and its other fields.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Line {
    /// On one line: what servers and files bring in must not forge lines of its own.
    fn text(mut self) -> String {
        self.message.push_str(&self.fields);
        if self.message.contains(char::is_control) {
            self.message = self.message.replace(char::is_control, " ");
        }
        self.message
    }
}

impl Visit for Line {
    // Writing to a String cannot fail.
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(value);
        } else {
            let _ = write!(self.fields, " {}={value}", field.name());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.message, "{value:?}");
        } else {
            let _ = write!(self.fields, " {}={value:?}", field.name());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_written_as_keepalived_does() {
        let time: Zoned = "2026-11-02T10:30:47[UTC]".parse().unwrap();
        assert_eq!(console_time(&time).to_string(), "Mon Nov  2 10:30:47 2026");
    }

    #[test]
    fn facilities_are_keepalived_words() {
        assert_eq!("7".parse(), Ok(Facility::Local(7)));
        assert_eq!("local0".parse(), Ok(Facility::Local(0)));
        assert_eq!("daemon".parse(), Ok(Facility::Daemon));
        for word in ["8", "local8", "local", "", "mail", "77"] {
            assert_eq!(word.parse::<Facility>(), Err(UnknownFacility), "{word}");
        }
        assert_eq!(Facility::Local(7).code(), 23);
    }

    #[test]
    fn each_process_has_its_own_file() {
        let path = Path::new("/tmp/keepalived.log");
        assert_eq!(file_of(path, Role::Parent), path);
        assert_eq!(
            file_of(path, Role::Checker),
            Path::new("/tmp/keepalived_healthcheckers.log")
        );
        assert_eq!(file_of(Path::new("x"), Role::Proxy), Path::new("x_proxy"));
    }

    #[test]
    fn an_event_becomes_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let layer = KeepalivedLayer {
            console: None,
            syslog: None,
            file: Some(Mutex::new(File::create(&path).unwrap())),
            facility: Facility::Daemon,
            ident: Arc::default(),
        };
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(errno = 98, what = "x\nforged", "Adding service {}", 7);
        });
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text.ends_with(": Adding service 7 errno=98 what=x forged\n"),
            "{text}"
        );
    }
}
