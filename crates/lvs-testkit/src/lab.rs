//! Networks of hosts under a real kernel with IPVS, for tests that `cargo xtask lab` runs.
//!
//! A lab test is a test of a target whose name begins with `lab` (`tests/lab.rs`,
//! `tests/lab-vrrp/main.rs`). It begins with [`enter`], which gives a [`Lab`] inside the lab's kernel
//! and skips the test elsewhere:
//!
//! ```no_run
//! use lvs_testkit::lab;
//!
//! #[test]
//! fn a_page_is_served() {
//!     let Some(lab) = lab::enter() else { return };
//!     let wire = lab.switch("wire");
//!     let client = lab.host("client");
//!     client.plug(&wire, "eth0", &["10.0.0.2/24", "fd00::2/64"]);
//!     let server = lab.host("server");
//!     server.plug(&wire, "eth0", &["10.0.0.3/24", "fd00::3/64"]);
//!     server.serve("hello from server", &[80]);
//!
//!     let packets = client.capture("eth0", "tcp port 80");
//!     assert_eq!(client.fetch("http://10.0.0.3/"), "hello from server");
//!     packets.wait_for("10.0.0.3.80");
//! }
//! ```
//!
//! A [`Host`] is a network namespace and a [`Switch`] a bridge in one of its own, so a user who gets a
//! shell by `cargo xtask lab NAME --keep` finds them in `ip netns`. Hosts share the file system, the
//! process table and the clock. Programs are ordinary [`Command`]s that a host starts; what it
//! [`start`](Host::start)s lives until the test ends. [`Host::enter`] runs a closure in a host, for
//! libraries under test that open sockets themselves.
//!
//! Tests in the lab run one after the other. The kernel has one core and is some times slower than
//! the machine at system calls: wait for conditions ([`wait_until`](crate::wait_until)), never for times.
//!
//! Design: everything is done by the tools that a user would use (`ip`, `tcpdump`, `nginx`, `curl`), so
//! that a scenario reads like the manual and can be repeated by hand.

mod capture;
mod daemon;
mod host;

use std::any::Any;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::skip;

pub use capture::Capture;
pub use daemon::Daemon;
pub use host::Host;

/// The environment variable that `cargo xtask lab` sets inside its kernel.
pub const INSIDE: &str = "LVSKIT_LAB";

/// The environment variable by which `cargo xtask lab --keep` asks for a shell: rows and columns of
/// its terminal.
pub const KEEP: &str = "LVSKIT_LAB_KEEP";

/// The reason of the skip outside the lab. `cargo xtask test` knows it: it runs these tests in the
/// lab afterwards.
pub const ELSEWHERE: &str = "runs in the lab only (cargo xtask lab)";

/// How long anything in the lab may take to become true: a guard against hanging, no measurement.
pub const LIMIT: Duration = Duration::from_secs(30);

/// The terminal of whoever keeps a lab.
const TERMINAL: &str = "/dev/ttyS0";

/// A lab of its own for the running test, without hosts yet; outside the lab's kernel the test is
/// skipped, and `None` comes back.
pub fn enter() -> Option<Lab> {
    if std::env::var_os(INSIDE).is_none() {
        skip(ELSEWHERE);
        return None;
    }
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    // A test that failed has left nothing behind: its lab took everything down.
    let only = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    Some(Lab {
        things: Arc::default(),
        _only: only,
    })
}

/// The hosts and switches of a test. When it goes, all their programs are ended and they go too; with
/// `--keep` there is a shell first.
#[derive(Debug)]
pub struct Lab {
    things: Arc<Things>,
    _only: MutexGuard<'static, ()>,
}

/// What a lab has to take down.
#[derive(Debug, Default)]
struct Things {
    namespaces: Mutex<Vec<String>>,
    kept: Mutex<Vec<Box<dyn Kept>>>,
}

/// Something that ends when it is dropped.
trait Kept: Any + Send + std::fmt::Debug {}

impl<T: Any + Send + std::fmt::Debug> Kept for T {}

impl Things {
    /// Keeps a running program until the end of the lab.
    fn keep(&self, thing: impl Kept) {
        lock(&self.kept).push(Box::new(thing));
    }
}

/// A network segment: what one host sends, the others get at once.
///
/// A bridge named `bridge` in a network namespace of the switch's name, without spanning tree,
/// forwarding delay and multicast snooping.
#[derive(Clone, Debug)]
pub struct Switch {
    name: String,
}

impl Switch {
    /// The name of its namespace.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Lab {
    /// A new host. Its loopback is up; addresses of IPv6 are usable without delay (no duplicate
    /// address detection).
    ///
    /// # Panics
    ///
    /// When there is one of that name, or the kernel refuses.
    #[track_caller]
    pub fn host(&self, name: &str) -> Host {
        self.namespace(name);
        Host::new(name, Arc::clone(&self.things))
    }

    /// A new switch.
    ///
    /// # Panics
    ///
    /// When there is a host or switch of that name, or the kernel refuses.
    #[track_caller]
    pub fn switch(&self, name: &str) -> Switch {
        self.namespace(name);
        let bridge = "link add bridge type bridge forward_delay 0 stp_state 0 mcast_snooping 0\n\
                      link set bridge up\n";
        ip(Some(name), bridge);
        Switch {
            name: name.to_owned(),
        }
    }

    #[track_caller]
    fn namespace(&self, name: &str) {
        ip(None, &format!("netns add {name}\n"));
        lock(&self.things.namespaces).push(name.to_owned());
        let host = Host::new(name, Arc::clone(&self.things));
        for scope in ["all", "default", "lo"] {
            host.sysctl(&format!("net.ipv6.conf.{scope}.accept_dad"), "0");
            host.sysctl(&format!("net.ipv6.conf.{scope}.dad_transmits"), "0");
        }
        ip(Some(name), "link set lo up\n");
    }

    /// A shell on the terminal, with everything still running.
    fn offer_shell(&self, size: &str) {
        let names = lock(&self.things.namespaces).join(" ");
        let outcome = if std::thread::panicking() {
            "The test has failed."
        } else {
            "The test has passed."
        };
        let text = format!(
            "\r\n{outcome} Hosts and switches: {names}\r\n\
             ip netns exec HOST COMMAND runs a command in one; exit ends the lab.\r\n\r\n"
        );
        let terminal = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(TERMINAL);
        let Ok(mut terminal) = terminal else { return };
        let _ = terminal.write_all(text.as_bytes());
        let (Ok(input), Ok(output)) = (terminal.try_clone(), terminal.try_clone()) else {
            return;
        };
        if let Some((rows, columns)) = size.split_once(' ') {
            let _ = Command::new("stty")
                .args(["-F", TERMINAL, "rows", rows, "cols", columns])
                .status();
        }
        let _ = Command::new("setsid")
            .args(["--ctty", "--wait", "bash", "--norc", "-i"])
            .env("PS1", "lab:\\w# ")
            .stdin(Stdio::from(input))
            .stdout(Stdio::from(output))
            .stderr(Stdio::from(terminal))
            .status();
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Ok(size) = std::env::var(KEEP) {
            self.offer_shell(&size);
        }
        // The last started first: daemons before what they use.
        while let Some(thing) = { lock(&self.things.kept).pop() } {
            drop(thing);
        }
        for name in std::mem::take(&mut *lock(&self.things.namespaces)) {
            end_programs(&name);
            let _ = Command::new("ip").args(["netns", "delete", &name]).status();
        }
    }
}

/// Kills what somebody has started in a namespace and not ended.
fn end_programs(namespace: &str) {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    let listed = Command::new("ip")
        .args(["netns", "pids", namespace])
        .output();
    let listed = listed.map_or_else(|_| Vec::new(), |output| output.stdout);
    for word in String::from_utf8_lossy(&listed).split_whitespace() {
        if let Ok(pid) = word.parse() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// Does lines of `ip -batch`, in a namespace or in the lab's own.
#[track_caller]
fn ip(namespace: Option<&str>, lines: &str) {
    let mut command = Command::new("ip");
    if let Some(namespace) = namespace {
        command.args(["-netns", namespace]);
    }
    let mut child = command
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start ip: {error}"));
    let mut input = child.stdin.take().expect("its input is piped");
    let _ = input.write_all(lines.as_bytes());
    drop(input);
    let output = child.wait_with_output().expect("our own child");
    assert!(
        output.status.success(),
        "ip cannot do this{}:\n{lines}{}",
        namespace.map_or_else(String::new, |name| format!(" in {name}")),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A panic of the test leaves the lists as they are: whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
