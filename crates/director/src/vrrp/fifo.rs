//! Named pipes that are told of events, and the commands that read them.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::time::Duration;

use kconf_parser::config::{Globals, NotifyFifo, Script};
use nix::sys::stat::Mode;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing::{debug, warn};

use crate::privileges;
use crate::script::RunningScript;

/// An open pipe. Written without waiting: what does not fit because nobody reads is lost.
#[derive(Debug)]
pub(super) struct Pipe {
    config: NotifyFifo,
    file: File,
    /// Whether we made it, and so remove it.
    is_ours: bool,
    reader: Option<Reader>,
}

/// The command that reads it.
#[derive(Debug)]
struct Reader {
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Pipe {
    /// Makes the pipe if it is not there, opens it, and starts its reader. What goes wrong is logged.
    pub(super) fn open(config: &NotifyFifo, globals: &Globals) -> Option<Self> {
        let path = config.path.display();
        let (file, is_ours) = match open(config, globals) {
            Ok(opened) => opened,
            Err(error) => {
                warn!("Unable to open notify fifo {path} - {error}");
                return None;
            }
        };
        let reader = config.script.as_ref().map(|script| {
            let mut script = script.clone();
            script.argv.push(path.to_string());
            let (end, ended) = oneshot::channel();
            let task = tokio::spawn(read(script, globals.clone(), ended));
            Reader { end, task }
        });
        Some(Self {
            config: config.clone(),
            file,
            is_ours,
            reader,
        })
    }

    pub(super) const fn config(&self) -> &NotifyFifo {
        &self.config
    }

    pub(super) fn write(&self, line: &str) {
        if let Err(error) = (&self.file).write_all(line.as_bytes()) {
            let path = self.config.path.display();
            warn!(
                "Unable to write to notify fifo {path}, {:?} is lost - {error}",
                line.trim_end()
            );
        }
    }

    /// Removes the pipe. Its reader sees the end of file after the last line; one that goes on for
    /// longer than `limit` gets SIGTERM.
    pub(super) async fn close(self, limit: Duration) {
        drop(self.file);
        if self.is_ours {
            let _ = std::fs::remove_file(&self.config.path);
        }
        if let Some(mut reader) = self.reader
            && tokio::time::timeout(limit, &mut reader.task).await.is_err()
        {
            let _ = reader.end.send(());
            let _ = reader.task.await;
        }
    }
}

fn open(config: &NotifyFifo, globals: &Globals) -> io::Result<(File, bool)> {
    let path = &config.path;
    let is_ours = match nix::unistd::mkfifo(path, Mode::from_bits_truncate(0o644)) {
        Ok(()) => {
            let owner = config.owner.as_ref().or(globals.script_user.as_ref());
            if let Some((uid, gid)) = owner.and_then(privileges::look_up)
                && nix::unistd::geteuid().is_root()
            {
                nix::unistd::chown(path, Some(uid), Some(gid))?;
            }
            true
        }
        Err(nix::errno::Errno::EEXIST) => false,
        Err(error) => return Err(error.into()),
    };
    // Reading, too, so that it opens although nobody reads yet.
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW)
        .open(path)?;
    if !file.metadata()?.file_type().is_fifo() {
        return Err(io::Error::other("it is there and no named pipe"));
    }
    Ok((file, is_ours))
}

/// Runs the reader once, until it ends or is to end.
async fn read(script: Script, globals: Globals, ended: oneshot::Receiver<()>) {
    let judged = tokio::task::spawn_blocking(move || privileges::judge(&script, &globals));
    // A refusal was logged with those of all scripts.
    let Ok(Ok(runnable)) = judged.await else {
        return;
    };
    let program = runnable.program.display();
    let mut running = match RunningScript::start(&runnable) {
        Ok(running) => running,
        Err(error) => {
            warn!("Unable to run script {program} - {error}");
            return;
        }
    };
    tokio::select! {
        status = running.wait() => debug!("Script {program} ended: {status:?}"),
        _ = ended => running.end().await,
    }
}
