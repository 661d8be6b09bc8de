//! A running `lvsd` in a host of the lab, and what tests ask it.

use std::path::PathBuf;
use std::process::Command;

use director::control::Client;
use director::status::{AddressState, Status};
use lvs_testkit::lab::{Daemon, Host, LIMIT};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A director on the kernel's dataplane.
pub(crate) struct Director {
    pub(crate) lvsd: Daemon,
    pub(crate) host: Host,
    folder: tempfile::TempDir,
}

impl Director {
    /// Starts `lvsd` in `host` with this configuration and waits until it is up.
    pub(crate) fn start(host: &Host, configuration: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path().join("keepalived.conf");
        std::fs::write(&path, configuration).expect("the folder is writable");
        let lvsd = host.start(
            Command::new(env!("CARGO_BIN_EXE_lvsd"))
                .args(["-n", "-l", "-G", "--dataplane", "kernel", "-f"])
                .arg(&path)
                .arg("--run-dir")
                .arg(folder.path().join("run")),
        );
        lvsd.wait_for("Startup complete", LIMIT);
        Self {
            lvsd,
            host: host.clone(),
            folder,
        }
    }

    fn control(&self) -> PathBuf {
        self.folder.path().join("run/control.sock")
    }

    /// What the director says, if it does.
    pub(crate) fn try_status(&self) -> Option<Status> {
        let mut client = Client::connect(&self.control()).ok()?;
        client.status().ok()
    }

    /// The table of the director's host, as the kernel prints it.
    pub(crate) fn table(&self) -> String {
        let read = || std::fs::read_to_string("/proc/thread-self/net/ip_vs");
        self.host.enter(read).expect("the kernel has IPVS")
    }

    /// Waits until `condition` holds.
    #[track_caller]
    pub(crate) fn wait(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let deadline = std::time::Instant::now() + LIMIT;
        while !condition(self) {
            assert!(
                std::time::Instant::now() < deadline,
                "waited in vain for {what}; the log was\n{}",
                self.lvsd.output()
            );
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// Waits until the table has all that is wished.
    #[track_caller]
    pub(crate) fn wait_serving(&self) {
        self.wait("all services to be served", |director| {
            director.try_status().is_some_and(|status| {
                let addresses = status.services.iter().flat_map(|one| &one.addresses);
                let mut states = addresses.map(|address| &address.state);
                status.dataplane.connected
                    && !status.services.is_empty()
                    && states.all(|state| *state == AddressState::Serving)
            })
        });
    }

    /// Kills a child and waits until the next one is there and at work.
    #[track_caller]
    pub(crate) fn kill_child(&self, name: &str) {
        let find = |director: &Self| {
            let processes = director.try_status()?.processes;
            processes.into_iter().find(|one| one.name == name)?.pid
        };
        let old = find(self).expect("the child runs");
        let pid = Pid::from_raw(i32::try_from(old).expect("a process id"));
        kill(pid, Signal::SIGKILL).expect("the director's own child");
        self.wait("the child to be replaced", |director| {
            find(director).is_some_and(|new| new != old)
        });
        self.wait_serving();
    }
}
