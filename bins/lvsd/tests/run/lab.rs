//! A running `lvsd` with its folder, and what tests ask it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use director::control::Client;
use director::status::{ServerStatus, Status};
use lvs_testkit::{Process, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::backend::Backend;

/// How long anything may take. A guard against hanging, no measurement.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A director on loopback in a folder of its own.
pub(crate) struct Lab {
    // Before the folder, so that it ends first.
    pub(crate) lvsd: Process,
    folder: tempfile::TempDir,
}

/// A `real_server` block with a fast check; `extra` goes in.
pub(crate) fn real_server(backend: &Backend, weight: u32, extra: &str) -> String {
    format!(
        "  real_server 127.0.0.1 {} {{\n    weight {weight}\n    {extra}\n    HTTP_GET {{\n      \
         url {{\n        path /\n        status_code 200\n      }}\n      connect_timeout 2\n      \
         retry 1\n      delay_before_retry 0.1\n    }}\n  }}\n",
        backend.port()
    )
}

/// A `virtual_server` block for TCP with wrr; `inner` goes in.
pub(crate) fn virtual_server(port: u16, inner: &str) -> String {
    format!(
        "virtual_server 127.0.0.1 {port} {{\n  delay_loop 0.2\n  warmup 0\n  lb_algo wrr\n  \
         lb_kind NAT\n  protocol TCP\n{inner}}}\n"
    )
}

impl Lab {
    /// Starts `lvsd` with this configuration and waits until it is up.
    pub(crate) fn start(configuration: &str) -> Self {
        Self::start_with(configuration, &[])
    }

    /// The same with more flags.
    pub(crate) fn start_with(configuration: &str, flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path().join("keepalived.conf");
        std::fs::write(&path, configuration).expect("the folder is writable");
        let mut lvsd = Process::start(
            Command::new(env!("CARGO_BIN_EXE_lvsd"))
                .env("TMPDIR", folder.path())
                .args(["-n", "-l", "-G", "--dataplane", "userspace", "-f"])
                .arg(&path)
                .arg("--run-dir")
                .arg(folder.path().join("run"))
                .args(flags),
        );
        lvsd.wait_for("Startup complete", LIMIT);
        Self { lvsd, folder }
    }

    pub(crate) fn run_dir(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes another configuration and sends SIGHUP.
    pub(crate) fn reload(&self, configuration: &str) {
        std::fs::write(self.path("keepalived.conf"), configuration).expect("writable");
        self.lvsd.signal(Signal::SIGHUP);
    }

    /// Reloads and waits until the new configuration is in force.
    pub(crate) fn reload_completely(&self, configuration: &str) {
        let done = self.count("Reload complete");
        self.reload(configuration);
        self.wait("the end of the reload", |lab| {
            lab.count("Reload complete") > done
        });
    }

    /// How many lines of the log contain `text`.
    pub(crate) fn count(&self, text: &str) -> usize {
        let output = self.lvsd.output();
        output.lines().filter(|line| line.contains(text)).count()
    }

    /// What the director says, if it does.
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
        let text = format!("{what}; the log was");
        let deadline = std::time::Instant::now() + LIMIT;
        while !condition(self) {
            assert!(
                std::time::Instant::now() < deadline,
                "waited in vain for {text}\n{}",
                self.lvsd.output()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until the table has all that is wished.
    #[track_caller]
    pub(crate) fn wait_serving(&self) {
        self.wait("all services to be served", |lab| {
            lab.try_status().is_some_and(|status| {
                status.dataplane.connected
                    && !status.services.is_empty()
                    && status.services.iter().all(|service| {
                        let addresses = &service.addresses;
                        let serving = director::status::AddressState::Serving;
                        addresses.iter().all(|address| address.state == serving)
                    })
            })
        });
    }

    /// The server of the first service at this port.
    pub(crate) fn server(&self, port: u16) -> Option<ServerStatus> {
        let status = self.try_status()?;
        let mut servers = status.services.into_iter().next()?.servers.into_iter();
        servers.find(|server| server.address.port() == port)
    }

    /// The weights in the table of the first service, by port; those that are not there are left out.
    pub(crate) fn weights(&self) -> Vec<(u16, u32)> {
        let status = self.status();
        let servers = status.services.iter().flat_map(|service| &service.servers);
        servers
            .filter(|server| server.in_table)
            .map(|server| (server.address.port(), server.weight))
            .collect()
    }

    /// The process id of a child.
    pub(crate) fn child(&self, name: &str) -> Pid {
        let pid = wait_until("the child to run", LIMIT, || {
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
        self.wait("the child to be replaced", |lab| lab.child(name) != old);
        self.wait_serving();
    }
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

/// Asks once over a new connection; the body, or `None` when there is no good answer.
pub(crate) fn get(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).ok()?;
    stream.set_read_timeout(Some(LIMIT)).ok()?;
    stream.write_all(b"GET /page HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.1 200").then(|| body.to_owned())
}

/// Asks `count` times in turn; the bodies in order.
pub(crate) fn get_many(port: u16, count: usize) -> Vec<String> {
    (0..count)
        .map(|_| get(port).unwrap_or_else(|| "-".to_owned()))
        .collect()
}
