//! The director as a child process of the demo.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use director::rundir::RunDir;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

/// How long the director may take to end: it lets connections drain.
const STOP_LIMIT: Duration = Duration::from_secs(15);

/// Lines of the log that are shown when something went wrong.
const TAIL: usize = 20;

/// A running `lvsd run`.
#[derive(Debug)]
pub(crate) struct Director {
    child: Child,
    run_dir: RunDir,
    log: PathBuf,
}

impl Director {
    /// Starts the program that this is on `config`, with its run folder and log in `folder`.
    ///
    /// It gets its own process group, so that Ctrl-C reaches the demo alone, which then ends it in
    /// order; and it ends with the demo whatever happens.
    pub(crate) fn start(folder: &Path, config: &Path) -> anyhow::Result<Self> {
        let run_dir = RunDir::find(Some(&folder.join("run")));
        let log = folder.join("lvsd.log");
        let output = File::create(&log).context("cannot make the log file")?;
        let program = std::env::current_exe().context("cannot find this program's file")?;
        let mut command = Command::new(program);
        command
            .arg("run")
            .args(["-n", "-l", "--dataplane", "userspace", "-f"])
            .arg(config)
            .arg("--run-dir")
            .arg(run_dir.path())
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .kill_on_drop(true);
        parent_death::end_with_parent(&mut command);
        let child = command.spawn().context("cannot start the director")?;
        Ok(Self {
            child,
            run_dir,
            log,
        })
    }

    /// Where its sockets are.
    pub(crate) fn run_dir(&self) -> &RunDir {
        &self.run_dir
    }

    /// Waits for it to end by itself.
    pub(crate) async fn ended(&mut self) -> String {
        match self.child.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        }
    }

    /// Has it end and waits for that; after a limit, by force.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            return judge(status);
        }
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(pid) = pid {
            kill(Pid::from_raw(pid), Signal::SIGTERM).context("cannot stop the director")?;
        }
        match tokio::time::timeout(STOP_LIMIT, self.child.wait()).await {
            Ok(status) => judge(status?),
            Err(_) => {
                self.child.kill().await?;
                anyhow::bail!("the director did not end within {STOP_LIMIT:?}")
            }
        }
    }

    /// The end of its log.
    pub(crate) fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let skip = lines.len().saturating_sub(TAIL);
        lines
            .into_iter()
            .skip(skip)
            .map(|line| format!("  {line}\n"))
            .collect()
    }
}

fn judge(status: ExitStatus) -> anyhow::Result<()> {
    anyhow::ensure!(status.success(), "the director ended badly: {status}");
    Ok(())
}

/// The one place of the demo that needs `unsafe`.
mod parent_death {
    use nix::sys::prctl;
    use nix::sys::signal::Signal;
    use tokio::process::Command;

    /// Has the kernel send SIGTERM to the child when the thread that starts it ends.
    #[allow(unsafe_code)]
    pub(super) fn end_with_parent(command: &mut Command) {
        let prepare = || prctl::set_pdeathsig(Signal::SIGTERM).map_err(Into::into);
        // SAFETY: between fork and exec only functions that are safe in signal handlers may be
        // called. The closure makes one system call, and allocates nothing: an Errno converts to an
        // io::Error without.
        unsafe {
            command.pre_exec(prepare);
        }
    }
}
