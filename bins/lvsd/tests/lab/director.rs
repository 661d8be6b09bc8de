//! A running `lvsd` in a host of the lab.

use std::path::{Path, PathBuf};
use std::process::Command;

use director::control::Client;
use director::status::{AddressState, Status};
use lvs_testkit::lab::{Daemon, Host, LIMIT};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A director on the kernel's dataplane. It ends with the lab.
pub(crate) struct Director {
    pub(crate) lvsd: Daemon,
    host: Host,
    folder: tempfile::TempDir,
}

impl Director {
    /// Starts one and waits until it is up.
    #[track_caller]
    pub(crate) fn start(host: &Host, configuration: &str, flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        Self {
            lvsd: run(host, folder.path(), configuration, flags),
            host: host.clone(),
            folder,
        }
    }

    /// Starts another one after this one's end, in the same folder.
    #[track_caller]
    pub(crate) fn succeed(&mut self, configuration: &str, flags: &[&str]) {
        self.lvsd = run(&self.host, self.folder.path(), configuration, flags);
    }

    /// Stops it; what it leaves is for the next one.
    #[track_caller]
    pub(crate) fn stop(&self) {
        let status = self.lvsd.stop(LIMIT);
        assert_eq!(status.code(), Some(0), "{}", self.lvsd.output());
    }

    pub(crate) fn run_dir(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    /// Writes another configuration, reloads, and waits until it is in force.
    #[track_caller]
    pub(crate) fn reload_completely(&self, configuration: &str) {
        let done = self.count("Reload complete");
        std::fs::write(self.folder.path().join("keepalived.conf"), configuration)
            .expect("the folder is writable");
        self.lvsd.signal(Signal::SIGHUP);
        self.wait("the end of the reload", |director| {
            director.count("Reload complete") > done
        });
    }

    /// How many lines of the log contain `text`.
    pub(crate) fn count(&self, text: &str) -> usize {
        let output = self.lvsd.output();
        output.lines().filter(|line| line.contains(text)).count()
    }

    /// What tells why a connection has gone where it has: the log, the table and its connections.
    pub(crate) fn evidence(&self) -> String {
        let log = self.lvsd.output();
        let table = self.host.run(&["lvsadm", "-Ln"]);
        let connections = self.host.run(&["lvsadm", "-Lnc"]);
        format!("the log was\n{log}\n{table}\n{connections}")
    }

    /// What it says of itself, if it answers.
    pub(crate) fn try_status(&self) -> Option<Status> {
        let mut client = Client::connect(&self.run_dir().join("control.sock")).ok()?;
        client.status().ok()
    }

    pub(crate) fn status(&self) -> Status {
        self.try_status().expect("the director answers")
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
                status.dataplane.connected
                    && !status.services.is_empty()
                    && status
                        .services
                        .iter()
                        .flat_map(|service| &service.addresses)
                        .all(|address| address.state == AddressState::Serving)
            })
        });
    }

    /// The process id of a child.
    pub(crate) fn child(&self, name: &str) -> Pid {
        let pid = lvs_testkit::wait_until("the child to run", LIMIT, || {
            let status = self.try_status()?;
            let mut processes = status.processes.into_iter();
            processes.find(|process| process.name == name)?.pid
        });
        Pid::from_raw(i32::try_from(pid).expect("a process id"))
    }

    /// Kills a child and waits until the next one is there and at work.
    #[track_caller]
    pub(crate) fn kill_child(&self, name: &str) {
        let old = self.child(name);
        kill(old, Signal::SIGKILL).expect("our own child");
        self.wait("the child to be replaced", |director| {
            director.child(name) != old
        });
        self.wait_serving();
    }
}

fn run(host: &Host, folder: &Path, configuration: &str, flags: &[&str]) -> Daemon {
    let path = folder.join("keepalived.conf");
    std::fs::write(&path, configuration).expect("the folder is writable");
    let mut command = Command::new(env!("CARGO_BIN_EXE_lvsd"));
    command
        .args(["-n", "-l", "-G", "--dataplane", "kernel", "-f"])
        .arg(&path)
        .arg("--run-dir")
        .arg(folder.join("run"))
        .args(flags);
    let lvsd = host.start(&mut command);
    lvsd.wait_for("Startup complete", LIMIT);
    lvsd
}

/// Whether a process is gone, or dead and only not waited for by whoever inherited it.
pub(crate) fn is_gone(pid: Pid) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat
            .rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with('Z')),
        Err(_) => true,
    }
}
