//! Two hosts that run the same program, and what happens to the first.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lvs_testkit::Process;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::{Rhythm, Segment};
use crate::step;

/// The address of the host that is master.
pub(super) const MASTER: &str = "10.0.0.1";

/// Priority of the other one.
pub(super) const BACKUP_PRIORITY: u8 = 100;

const MASTER_PRIORITY: u8 = 150;

const LIMIT: Duration = Duration::from_secs(20);

/// A way to lose the master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// All its processes are killed at one stroke.
    Kill,
    /// It is stopped in good order.
    Stop,
    /// Its cable is pulled out.
    LinkDown,
}

impl Fault {
    pub(super) const ALL: [Self; 3] = [Self::Kill, Self::Stop, Self::LinkDown];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill -9",
            Self::Stop => "orderly stop",
            Self::LinkDown => "link down",
        }
    }
}

/// What is compared.
pub(super) struct Program {
    name: &'static str,
    path: PathBuf,
}

impl Program {
    pub(super) fn lvsd() -> Result<Self> {
        let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        let target = target.unwrap_or_else(|| step::root().join("target"));
        Ok(Self {
            name: "lvsd",
            path: target.join("release/lvsd").canonicalize().context("lvsd")?,
        })
    }

    pub(super) fn keepalived() -> Result<Self> {
        let path = lvs_testkit::program("keepalived").context("keepalived is not installed")?;
        Ok(Self {
            name: "keepalived",
            path,
        })
    }

    pub(super) const fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn command(&self, folder: &Path, host: u8) -> Command {
        let file = |ending: &str| folder.join(format!("{host}.{ending}"));
        let mut command = Command::new(&self.path);
        command
            .args(["-n", "-l", "-G", "-P", "-f"])
            .arg(file("conf"));
        match self.name {
            "lvsd" => command.arg("--run-dir").arg(file("run")),
            _ => command
                .arg("-p")
                .arg(file("pid"))
                .arg("-r")
                .arg(file("vrrp")),
        };
        command
    }
}

pub(super) struct Pair {
    master: Process,
    backup: Process,
    _folder: TempDir,
}

impl Pair {
    /// Starts both; the first is master when it has waited for its time.
    pub(super) fn start(segment: &Segment, program: &Program, rhythm: Rhythm) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let start = |host: u8, priority: u8| -> Result<Process> {
            let path = folder.path().join(format!("{host}.conf"));
            std::fs::write(path, configuration(rhythm, priority))?;
            let namespace = match host {
                1 => &segment.first,
                _ => &segment.second,
            };
            Ok(namespace.run(|| Process::start(&mut program.command(folder.path(), host))))
        };
        let master = start(1, MASTER_PRIORITY)?;
        let backup = start(2, BACKUP_PRIORITY)?;
        Ok(Self {
            master,
            backup,
            _folder: folder,
        })
    }

    pub(super) fn backup_runs(&self) -> bool {
        self.backup.output().contains("Entering BACKUP STATE")
    }

    /// Takes the master away.
    pub(super) fn strike(&self, fault: Fault, segment: &Segment) -> Result<()> {
        match fault {
            Fault::Kill => {
                let parent = Pid::from_raw(self.master.id().cast_signed());
                let children = children(parent)?;
                // A parent that stands still neither warns nor replaces its children.
                kill(parent, Signal::SIGSTOP)?;
                for child in children {
                    kill(child, Signal::SIGKILL)?;
                }
                kill(parent, Signal::SIGKILL)?;
            }
            Fault::Stop => self.master.signal(Signal::SIGTERM),
            Fault::LinkDown => {
                segment.switch.ip("link set port1 down");
            }
        }
        Ok(())
    }

    /// Ends both and leaves the hosts as they were.
    pub(super) fn end(self, segment: &Segment) -> Result<()> {
        for mut process in [self.master, self.backup] {
            let pid = Pid::from_raw(process.id().cast_signed());
            let _ = kill(pid, Signal::SIGTERM);
            process.wait(LIMIT);
        }
        segment.switch.ip("link set port1 up");
        for host in [&segment.first, &segment.second] {
            // Left by one that was killed.
            let held = host.ip("-o addr show to 10.0.0.100");
            if !held.is_empty() {
                host.ip("addr del 10.0.0.100/24 dev eth0");
            }
        }
        Ok(())
    }
}

fn configuration(rhythm: Rhythm, priority: u8) -> String {
    format!(
        "vrrp_instance VI {{\n interface eth0\n virtual_router_id 51\n priority {priority}\n \
         version {}\n advert_int {}\n virtual_ipaddress {{\n 10.0.0.100/24\n }}\n}}\n",
        rhythm.version,
        rhythm.interval.as_secs_f64()
    )
}

/// The processes that a process has started.
pub(super) fn children(parent: Pid) -> Result<Vec<Pid>> {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let text = std::fs::read_to_string(&path).context(path)?;
    let pids: Vec<_> = text
        .split_whitespace()
        .filter_map(|it| it.parse().ok())
        .map(Pid::from_raw)
        .collect();
    if pids.is_empty() {
        bail!("{parent} has no children");
    }
    Ok(pids)
}
