//! Network namespaces: hosts of our own, joined by cables, on one kernel.
//!
//! ```no_run
//! use lvs_testkit::netns::{self, Namespace};
//!
//! let Some([left, right]) = netns::hosts() else { return };
//! netns::cable(&left, "eth0", &right, "eth0");
//! left.ip("addr add 10.0.0.1/24 dev eth0");
//! left.run(|| std::net::UdpSocket::bind("10.0.0.1:0").unwrap());
//! ```

use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::thread;

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};

/// A network namespace without a name. It ends with the last thing that uses it: this value, a
/// socket, a process.
#[derive(Debug)]
pub struct Namespace {
    file: File,
}

impl Namespace {
    /// A new namespace with its loopback interface up; `None`, and a counted skip, where the
    /// kernel does not let us have one.
    ///
    /// # Panics
    ///
    /// For any reason but the lack of permission.
    pub fn new() -> Option<Self> {
        let create = || match unshare(CloneFlags::CLONE_NEWNET) {
            Ok(()) => Some(File::open("/proc/thread-self/ns/net").expect("our own namespace")),
            Err(Errno::EPERM | Errno::ENOSYS | Errno::EINVAL) => None,
            Err(error) => panic!("no network namespace: {error}"),
        };
        let file = thread::scope(|scope| scope.spawn(create).join()).expect("no panic above");
        let Some(file) = file else {
            crate::skip("not permitted to make network namespaces (run as root)");
            return None;
        };
        let namespace = Self { file };
        namespace.ip("link set lo up");
        Some(namespace)
    }

    /// Runs `work` in the namespace, on a thread of its own, and gives its result. Sockets opened
    /// and processes started there stay there.
    ///
    /// # Panics
    ///
    /// When `work` does.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        // Skips and panics of the thread shall bear the name of the test.
        let name = thread::current()
            .name()
            .unwrap_or("unnamed test")
            .to_owned();
        let enter = || {
            setns(&self.file, CloneFlags::CLONE_NEWNET).expect("a namespace of ours");
            work()
        };
        thread::scope(|scope| {
            let thread = thread::Builder::new().name(name).spawn_scoped(scope, enter);
            match thread.expect("a thread").join() {
                Ok(value) => value,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Runs `ip` with these words in the namespace, and gives what it printed.
    ///
    /// # Panics
    ///
    /// When it fails.
    #[track_caller]
    pub fn ip(&self, words: &str) -> String {
        self.command("ip", words)
    }

    /// Runs `program` with these words (no quotes) in the namespace, and gives what it printed.
    ///
    /// # Panics
    ///
    /// When it cannot be started or fails.
    #[track_caller]
    pub fn command(&self, program: &str, words: &str) -> String {
        let output = self.run(|| {
            let path = crate::program(program).unwrap_or_else(|| program.into());
            Command::new(path).args(words.split_whitespace()).output()
        });
        let output = output.unwrap_or_else(|error| panic!("cannot run {program}: {error}"));
        assert!(
            output.status.success(),
            "{program} {words}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A path by which `ip link set … netns` finds the namespace, while this value lives.
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }
}

/// `N` namespaces; `None`, and a counted skip, where we may not make them.
pub fn hosts<const N: usize>() -> Option<[Namespace; N]> {
    let mut hosts = Vec::with_capacity(N);
    for _ in 0..N {
        hosts.push(Namespace::new()?);
    }
    hosts.try_into().ok()
}

/// Joins two namespaces by a pair of interfaces, both up.
///
/// # Panics
///
/// When `ip` fails.
#[track_caller]
pub fn cable(left: &Namespace, left_name: &str, right: &Namespace, right_name: &str) {
    let far = right.path();
    left.ip(&format!(
        "link add {left_name} type veth peer name {right_name} netns {far}"
    ));
    left.ip(&format!("link set {left_name} up"));
    right.ip(&format!("link set {right_name} up"));
}
