//! A running `lvsd`, or keepalived, on a host.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use director::control::Client;
use director::status::{BfdSessionStatus, BfdState, Status, VrrpInstanceStatus, VrrpState};
use lvs_testkit::Process;
use lvs_testkit::netns::Namespace;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long anything may take. A guard against hanging, no measurement.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// An instance `VI` on eth0 with VRID 51 that holds 10.0.0.100; `extra` goes in.
pub(crate) fn instance(priority: u8, extra: &str) -> String {
    format!(
        "vrrp_instance VI {{\n  interface eth0\n  virtual_router_id 51\n  priority {priority}\n  \
         {extra}\n  virtual_ipaddress {{\n    10.0.0.100/24\n  }}\n}}\n"
    )
}

/// What makes an instance fast.
pub(crate) const FAST: &str = "version 3\n  advert_int 0.1";

/// A part of a test, with a name.
pub(crate) type Story<'a> = (&'a str, Box<dyn FnOnce() + Send + 'a>);

/// Tells stories at the same time: they wait most of theirs.
pub(crate) fn together<'a>(stories: impl IntoIterator<Item = Story<'a>>) {
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    std::thread::scope(|scope| {
        for (name, story) in stories {
            let thread = std::thread::Builder::new().name(format!("{test} ({name})"));
            thread.spawn_scoped(scope, story).expect("a thread");
        }
    });
}

/// `lvsd` with its folder.
pub(crate) struct Router {
    // Before the folder, so that it ends first.
    pub(crate) lvsd: Process,
    folder: tempfile::TempDir,
}

impl Router {
    /// Starts `lvsd` on a host.
    pub(crate) fn start(host: &Namespace, configuration: &str) -> Self {
        Self::start_with(host, configuration, &[])
    }

    /// The same with more flags.
    pub(crate) fn start_with(host: &Namespace, configuration: &str, flags: &[&str]) -> Self {
        Self::start_in(host, configuration, flags, &[])
    }

    /// The same with variables of the environment.
    pub(crate) fn start_in(
        host: &Namespace,
        configuration: &str,
        flags: &[&str],
        variables: &[(&str, &Path)],
    ) -> Self {
        let flags = [&["-P"], flags].concat();
        host.run(|| Self::launch(&[], configuration, &flags, variables))
    }

    /// With checks and the userspace dataplane.
    pub(crate) fn start_whole(host: &Namespace, configuration: &str) -> Self {
        let flags = ["--dataplane", "userspace"];
        host.run(|| Self::launch(&[], configuration, &flags, &[]))
    }

    /// Starts it as root of a container: a host with eth0 and 10.0.0.1, and no rights outside. `None`,
    /// and a counted skip, where that is not permitted.
    pub(crate) fn start_in_container(configuration: &str) -> Option<Self> {
        let container = ["unshare", "--map-root-user", "--net"];
        let mut tried = Command::new(container[0]);
        if !tried
            .args(&container[1..])
            .arg("true")
            .status()
            .is_ok_and(|status| status.success())
        {
            lvs_testkit::skip("not permitted to make user namespaces");
            return None;
        }
        let script = "ip link set lo up && ip link add eth0 type veth peer name far0 && \
                      ip link set far0 up && ip link set eth0 up && \
                      ip addr add 10.0.0.1/24 dev eth0 && exec \"$@\"";
        let prefix = [&container[..], &["sh", "-c", script, "sh"]].concat();
        Some(Self::launch(&prefix, configuration, &["-P"], &[]))
    }

    /// Starts it where the calling thread is, behind the words of `prefix`.
    fn launch(
        prefix: &[&str],
        configuration: &str,
        flags: &[&str],
        variables: &[(&str, &Path)],
    ) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path().join("keepalived.conf");
        std::fs::write(&path, configuration).expect("the folder is writable");
        let run_dir = folder.path().join("run");
        let lvsd = env!("CARGO_BIN_EXE_lvsd");
        let words = [prefix, &[lvsd]].concat();
        let mut lvsd = Process::start(
            Command::new(words[0])
                .args(&words[1..])
                .args(["-n", "-l", "-G", "-D", "-f"])
                .arg(&path)
                .arg("--run-dir")
                .arg(&run_dir)
                .args(flags)
                .envs(variables.iter().copied()),
        );
        lvsd.wait_for("Startup complete", LIMIT);
        Self { lvsd, folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn log(&self) -> String {
        self.lvsd.output()
    }

    /// How many lines of the log contain `text`.
    pub(crate) fn count(&self, text: &str) -> usize {
        self.log()
            .lines()
            .filter(|line| line.contains(text))
            .count()
    }

    pub(crate) fn status(&self) -> Option<Status> {
        let mut client = Client::connect(&self.path("run/control.sock")).ok()?;
        client.status().ok()
    }

    /// A BFD session's status.
    pub(crate) fn session(&self, name: &str) -> Option<BfdSessionStatus> {
        let sessions = self.status()?.bfd.sessions;
        sessions.into_iter().find(|it| it.name == name)
    }

    /// Waits until a BFD session is in this state; gives its status.
    #[track_caller]
    pub(crate) fn wait_for_session(&self, name: &str, state: BfdState) -> BfdSessionStatus {
        let found = std::cell::Cell::new(None);
        self.wait(&format!("session {name} to be {state:?}"), |it| {
            let session = it.session(name).filter(|it| it.state == state);
            let is_there = session.is_some();
            found.set(session);
            is_there
        });
        found.take().expect("waited for it")
    }

    /// An instance's status.
    pub(crate) fn instance(&self, name: &str) -> Option<VrrpInstanceStatus> {
        let instances = self.status()?.vrrp.instances;
        instances.into_iter().find(|it| it.name == name)
    }

    /// Waits until `condition` holds.
    #[track_caller]
    pub(crate) fn wait(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + LIMIT;
        while !condition(self) {
            assert!(
                Instant::now() < deadline,
                "waited in vain for {what}; the log was\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until the instance `VI` is in this state; gives its status.
    #[track_caller]
    pub(crate) fn wait_for(&self, state: VrrpState) -> VrrpInstanceStatus {
        let found = std::cell::Cell::new(None);
        self.wait(&format!("state {state:?}"), |it| {
            let instance = it.instance("VI").filter(|it| it.state == state);
            let is_there = instance.is_some();
            found.set(instance);
            is_there
        });
        found.take().expect("waited for it")
    }

    /// Waits until the instance `VI` has sent, or accepted, this many advertisements more.
    #[track_caller]
    pub(crate) fn wait_for_more(&self, count: u64) {
        let said = |router: &Self| {
            let counters = router.instance("VI").map(|it| it.counters);
            counters.map_or(0, |it| it.sent + it.received)
        };
        let before = said(self);
        self.wait("more advertisements", |it| said(it) >= before + count);
    }

    #[track_caller]
    pub(crate) fn wait_for_line(&self, text: &str) {
        self.wait(&format!("the line {text:?}"), |it| it.log().contains(text));
    }

    /// Writes another configuration and sends SIGHUP.
    pub(crate) fn reload(&self, configuration: &str) {
        std::fs::write(self.path("keepalived.conf"), configuration).expect("writable");
        self.lvsd.signal(Signal::SIGHUP);
    }

    /// Reloads and waits until the new configuration is in force.
    #[track_caller]
    pub(crate) fn reload_completely(&self, configuration: &str) {
        let done = self.count("Reload complete");
        self.reload(configuration);
        self.wait("the end of the reload", |it| {
            it.count("Reload complete") > done
        });
    }

    /// The process id of the VRRP process.
    pub(crate) fn vrrp_process(&self) -> Pid {
        self.process("vrrp")
    }

    /// The process id of a child.
    pub(crate) fn process(&self, name: &str) -> Pid {
        let found = std::cell::Cell::new(None);
        self.wait(name, |it| {
            let processes = it.status().map(|status| status.processes);
            let mut processes = processes.unwrap_or_default().into_iter();
            let pid = processes.find(|it| it.name == name).and_then(|it| it.pid);
            found.set(pid);
            pid.is_some()
        });
        Pid::from_raw(found.take().expect("waited for it").cast_signed())
    }

    /// Ends all processes at one stroke, as a power cut does.
    pub(crate) fn cut_power(mut self) {
        let child = self.vrrp_process();
        // A parent that stands still neither warns nor replaces its child.
        self.lvsd.signal(Signal::SIGSTOP);
        kill(child, Signal::SIGKILL).expect("our own child");
        self.lvsd.signal(Signal::SIGKILL);
        self.lvsd.wait(LIMIT);
    }

    /// Stops it in good order.
    pub(crate) fn stop(mut self) -> String {
        self.lvsd.signal(Signal::SIGTERM);
        let status = self.lvsd.wait(LIMIT);
        assert!(status.success(), "{status}: {}", self.log());
        self.log()
    }
}

/// keepalived, for comparison and company.
pub(crate) struct Keepalived {
    pub(crate) process: Process,
    folder: tempfile::TempDir,
}

impl Keepalived {
    /// Starts it on a host; `None`, and a counted skip, where it is not installed.
    pub(crate) fn start(host: &Namespace, configuration: &str) -> Option<Self> {
        let Some(program) = lvs_testkit::program("keepalived") else {
            lvs_testkit::skip("keepalived is not installed");
            return None;
        };
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path().join("keepalived.conf");
        std::fs::write(&path, configuration).expect("the folder is writable");
        let process = host.run(|| {
            Process::start(
                Command::new(program)
                    .args(["-n", "-l", "-D", "-P", "-f"])
                    .arg(&path)
                    .arg("-p")
                    .arg(folder.path().join("keepalived.pid"))
                    .arg("-r")
                    .arg(folder.path().join("vrrp.pid"))
                    .arg("-b")
                    .arg(folder.path().join("bfd.pid")),
            )
        });
        Some(Self { process, folder })
    }

    /// The process id of its VRRP process.
    pub(crate) fn vrrp_process(&self) -> Pid {
        let pid = std::fs::read_to_string(self.folder.path().join("vrrp.pid"));
        let pid = pid.ok().and_then(|text| text.trim().parse().ok());
        Pid::from_raw(pid.expect("keepalived writes its pid files"))
    }

    /// Waits until its last change of state is into this one.
    #[track_caller]
    pub(crate) fn wait_for(&self, state: &str) {
        let deadline = Instant::now() + LIMIT;
        let last = || {
            let log = self.process.output();
            let is_change = |line: &&str| line.contains("Entering ") && line.contains(" STATE");
            let line = log.lines().rfind(is_change);
            line.is_some_and(|line| line.contains(&format!("Entering {state} STATE")))
        };
        while !last() {
            assert!(
                Instant::now() < deadline,
                "keepalived is not {state}:\n{}",
                self.process.output()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Writes another configuration and waits until it is in force.
    pub(crate) fn reload(&self, configuration: &str) {
        let count = || self.process.output().matches("Reload complete").count();
        let done = count();
        std::fs::write(self.folder.path().join("keepalived.conf"), configuration)
            .expect("the folder is writable");
        self.process.signal(Signal::SIGHUP);
        lvs_testkit::wait_until("the reload", LIMIT, || (count() > done).then_some(()));
    }

    /// Kills its BFD process for good.
    pub(crate) fn kill_bfd(&self) {
        // A parent that stands still replaces no child.
        self.process.signal(Signal::SIGSTOP);
        let pid = std::fs::read_to_string(self.folder.path().join("bfd.pid"));
        let child = pid.ok().and_then(|text| text.trim().parse().ok());
        let child = child.expect("keepalived writes its pid files");
        kill(Pid::from_raw(child), Signal::SIGKILL).expect("our own child");
    }

    /// Has its parent replace what was killed.
    pub(crate) fn go_on(&self) {
        self.process.signal(Signal::SIGCONT);
    }

    /// Ends all its processes at one stroke.
    pub(crate) fn cut_power(mut self) {
        let child = self.vrrp_process();
        self.process.signal(Signal::SIGSTOP);
        kill(child, Signal::SIGKILL).expect("our own child");
        self.process.signal(Signal::SIGKILL);
        self.process.wait(LIMIT);
    }

    /// Stops it in good order; gives its log.
    pub(crate) fn stop(mut self) -> String {
        self.process.signal(Signal::SIGTERM);
        self.process.wait(LIMIT);
        self.process.output()
    }
}
