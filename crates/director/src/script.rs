//! A script that runs, with all that it has started.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

use crate::privileges::Runnable;
use crate::{daemon, scheduling};

/// Time between the polite and the other signal.
const GRACE: Duration = Duration::from_secs(2);

/// What keepalived, too, keeps from scripts; and our own mark, which is for one process only.
const REMOVED_VARIABLES: [&str; 4] = ["IFS", "LD_PRELOAD", "LD_LIBRARY_PATH", daemon::MARK];

/// A running script, the leader of a process group of its own. When this is dropped before the
/// script has ended, the whole group is killed.
#[derive(Debug)]
pub struct RunningScript {
    child: Child,
    /// `None` once the leader has ended: what it left behind on purpose may stay.
    group: Option<Pid>,
}

impl RunningScript {
    /// Starts a script without input or output. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn start(runnable: &Runnable) -> io::Result<Self> {
        let mut command = std::process::Command::new(&runnable.program);
        command
            .args(&runnable.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        for name in REMOVED_VARIABLES {
            command.env_remove(name);
        }
        if let Some((uid, gid)) = runnable.identity {
            command.uid(uid).gid(gid);
        }
        scheduling::make_ordinary(&mut command);
        let child = Command::from(command).spawn()?;
        // The child leads a group of its own, which has its number.
        let group = child.id().and_then(|pid| i32::try_from(pid).ok());
        Ok(Self {
            child,
            group: group.map(Pid::from_raw),
        })
    }

    /// Waits for its end. May be given up and called again.
    ///
    /// # Errors
    ///
    /// When the system does not tell.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await;
        self.group = None;
        status
    }

    /// Ends it and all that it has started: SIGTERM, and 2 s later SIGKILL.
    pub async fn end(&mut self) {
        let group = self.group;
        self.signal(Signal::SIGTERM);
        let _ = tokio::time::timeout(GRACE, self.child.wait()).await;
        if let Some(group) = group {
            let _ = killpg(group, Signal::SIGKILL);
        }
        self.group = None;
        let _ = self.child.wait().await;
    }

    /// Sends a signal to its group.
    pub fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            let _ = killpg(group, signal);
        }
    }
}

impl Drop for RunningScript {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}
