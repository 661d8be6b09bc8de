//! Named pipes that are told of events, and the commands that read them.
//!
//! # Design
//! The parent has them for all processes, as it has the mails: a pipe that virtual servers and virtual
//! routers share is made, read and removed once, and is there, with its reader, when a child dies and
//! is started again.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::time::Duration;

use kconf_parser::config::{Globals, NotifyFifo, Script};
use nix::sys::stat::Mode;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing::{debug, info, warn};

use crate::privileges;
use crate::script::RunningScript;

/// How long a reader may go on after the last line.
const READER_LIMIT: Duration = Duration::from_secs(1);

/// Whose events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// Those of virtual and real servers: `lvs_notify_fifo`.
    Servers,
    /// Those of instances and groups: `vrrp_notify_fifo`.
    Routers,
}

/// All pipes of a configuration.
#[derive(Debug, Default)]
pub struct Pipes {
    /// Those of one topic, or of all.
    open: Vec<(Option<Topic>, Pipe)>,
}

impl Pipes {
    /// Opens the pipes of a configuration that are about one of `topics`, and closes others; what is
    /// the same is not touched. Needs a tokio runtime.
    pub fn configure(&mut self, globals: &Globals, topics: &[Topic]) {
        let wanted = [
            (None, &globals.notify_fifo),
            (Some(Topic::Servers), &globals.lvs_notify_fifo),
            (Some(Topic::Routers), &globals.vrrp_notify_fifo),
        ];
        let is_about = |topic: Option<Topic>| topic.is_none_or(|topic| topics.contains(&topic));
        let wanted: Vec<(Option<Topic>, &NotifyFifo)> = wanted
            .into_iter()
            .filter_map(|(topic, fifo)| Some((topic, fifo.as_ref()?)))
            .filter(|(topic, _)| is_about(*topic))
            .collect();
        let readers = wanted.iter().filter_map(|(_, fifo)| fifo.script.as_ref());
        privileges::warn_of(readers, globals);
        let (kept, dropped): (Vec<_>, _) = std::mem::take(&mut self.open)
            .into_iter()
            .partition(|(topic, pipe)| wanted.contains(&(*topic, &pipe.config)));
        self.open = kept;
        // First, because a new one may have the same path.
        for (_, pipe) in dropped {
            if let Some(reader) = pipe.close() {
                tokio::spawn(reader.end());
            }
        }
        for (topic, fifo) in wanted {
            let mut open = self.open.iter();
            if !open.any(|(of, pipe)| (*of, &pipe.config) == (topic, fifo)) {
                let pipe = Pipe::open(fifo, globals);
                self.open.extend(pipe.map(|pipe| (topic, pipe)));
            }
        }
    }

    /// Writes a line to the pipes of this topic, without waiting.
    pub fn write(&mut self, topic: Topic, line: &str) {
        for (of, pipe) in &mut self.open {
            if of.is_none_or(|of| of == topic) {
                pipe.write(line);
            }
        }
    }

    /// Removes all pipes. Their readers see the end of file after the last line; one that goes on for
    /// longer than a second gets SIGTERM.
    pub async fn finish(self) {
        let readers = self.open.into_iter().filter_map(|(_, pipe)| pipe.close());
        let readers: Vec<_> = readers.map(|it| tokio::spawn(it.end())).collect();
        for reader in readers {
            let _ = reader.await;
        }
    }
}

/// An open pipe. Written without waiting: what does not fit because nobody reads is lost.
#[derive(Debug)]
struct Pipe {
    config: NotifyFifo,
    file: File,
    /// Whether we made it, and so remove it.
    is_ours: bool,
    reader: Option<Reader>,
    /// How many lines were lost since one was written.
    lost: u64,
}

/// The command that reads it.
#[derive(Debug)]
struct Reader {
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Pipe {
    /// Makes the pipe if it is not there, opens it, and starts its reader. What goes wrong is logged.
    fn open(config: &NotifyFifo, globals: &Globals) -> Option<Self> {
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
            lost: 0,
        })
    }

    /// Somebody who does not read must not fill the log, too.
    fn write(&mut self, line: &str) {
        let path = self.config.path.display();
        match (&self.file).write_all(line.as_bytes()) {
            Ok(()) if self.lost > 0 => {
                info!(
                    "Notify fifo {path} is read again, {} lines were lost",
                    self.lost
                );
                self.lost = 0;
            }
            Ok(()) => {}
            Err(error) => {
                if self.lost == 0 {
                    let line = line.trim_end_matches(['\0', '\n']);
                    warn!("Unable to write to notify fifo {path}, {line:?} is lost - {error}");
                }
                self.lost += 1;
            }
        }
    }

    /// Removes it; gives its reader, which sees the end of file.
    fn close(self) -> Option<Reader> {
        if self.is_ours {
            let _ = std::fs::remove_file(&self.config.path);
        }
        self.reader
    }
}

impl Reader {
    /// Waits for its end, and helps a second later.
    async fn end(mut self) {
        let ended = tokio::time::timeout(READER_LIMIT, &mut self.task).await;
        if ended.is_err() {
            let _ = self.end.send(());
            let _ = self.task.await;
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
