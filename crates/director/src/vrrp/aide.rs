//! The thread that has time: it talks to the parent, writes lines and files, and tells the scripts.
//!
//! # Design
//! Everything that may wait, or that costs more than a moment, is here and not on the driver's
//! thread: reading a configuration from the parent and making a plan of it, writing log lines,
//! answering status questions. The two threads exchange values and wait for each other nowhere.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kconf_parser::Config;
use kconf_parser::config::VrrpGlobals;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tracing::{error, info, warn};
use vrrp_proto::{Name, Output, Record, RouterOutput, State};

use super::bfd::{self, Bfd, BfdNews};
use super::dump::{Cleared, Dump};
use super::mailbox::Mailbox;
use super::narrate::{self, Narrator};
use super::news::{News, Survey};
use super::notify::Teller;
use super::order::Order;
use super::seam::Notice;
use super::track_files::TrackFiles;
use super::track_processes::TrackProcesses;
use super::track_scripts::{TrackScripts, Usable};
use super::{clock, report};
use crate::ipc;
use crate::message::{FromVrrp, ToVrrp};
use crate::scheduling::Wishes;
use crate::status::BfdStatus;
use crate::{scheduling, wiring};

/// What the thread has.
pub(super) struct Aide {
    pub(super) parent: OwnedWriteHalf,
    pub(super) orders: Mailbox<Order>,
    pub(super) news: UnboundedReceiver<News>,
    /// How long instances wait at the start of this process.
    pub(super) startup_delay: Duration,
    /// The configuration that is in force, or about to be.
    pub(super) config: Arc<Config>,
    /// Whom scripts and pipes hear of what happens from.
    pub(super) teller: Teller,
    /// Writes the lines.
    pub(super) narrator: Narrator,
    /// The scripts that are tracked.
    pub(super) scripts: TrackScripts,
    /// The files that are tracked.
    pub(super) files: TrackFiles,
    /// The processes that are tracked.
    pub(super) processes: TrackProcesses,
    /// The BFD sessions.
    pub(super) bfd: Bfd,
    /// What they have told of themselves last.
    pub(super) sessions: BfdStatus,
    /// The driver's thread.
    pub(super) driver: i32,
    pub(super) masters: BTreeSet<Name>,
    /// What the counters were when they were last cleared.
    pub(super) cleared: Cleared,
    pub(super) recording: Option<File>,
}

impl Aide {
    /// Works until the driver has stopped.
    pub(super) async fn run(mut self, reader: OwnedReadHalf) {
        let (heard, mut messages) = unbounded_channel();
        tokio::spawn(listen(reader, heard));
        tell_of_delay(self.startup_delay);
        self.configure().await;
        let limit = SignalKind::from_raw(libc::SIGXCPU);
        let mut overrun = signal(limit).ok();
        loop {
            tokio::select! {
                // What happened first is told first.
                biased;
                news = self.news.recv() => match news {
                    Some(News::Stopped) | None => break,
                    Some(news) => self.handle(news).await,
                },
                message = messages.recv() => self.obey(message).await,
                Some(()) = next(&mut overrun) => {
                    warn!("The VRRP process ran too long without a pause, it is an ordinary one now");
                    scheduling::give_up(self.driver);
                    self.bfd.thread().into_iter().for_each(scheduling::give_up);
                }
            }
        }
        drop(self.scripts);
        self.bfd.stop().await;
        self.teller.finish().await;
        if let Some(mut file) = self.recording {
            let _ = file.flush().await;
        }
    }

    async fn obey(&mut self, message: Option<ToVrrp>) {
        match message {
            Some(ToVrrp::Reload(config)) => {
                info!("Reloading");
                self.schedule(&config.vrrp.globals);
                self.config = Arc::new(*config);
                self.configure().await;
            }
            Some(ToVrrp::Status(number)) => self.bfd.survey(Order::Status(number)),
            Some(ToVrrp::Dump(which)) => self.orders.put(Order::Dump(which)),
            // Without a parent there is nobody to start us again.
            Some(ToVrrp::Stop) | None => self.orders.put(Order::Stop),
            Some(ToVrrp::Start(_)) => {}
        }
    }

    /// Gives the threads the priorities of another configuration.
    fn schedule(&self, globals: &VrrpGlobals) {
        let old = &self.config.vrrp.globals;
        let [before, sessions_before] = [Wishes::of_vrrp(old), Wishes::of_sessions(old)];
        let [wishes, sessions] = [Wishes::of_vrrp(globals), Wishes::of_sessions(globals)];
        let mut problems = wishes.replace(&before, self.driver);
        // What was just changed was so for all threads.
        let is_changed = wishes != before || sessions != sessions_before;
        if let Some(thread) = self.bfd.thread().filter(|_| is_changed) {
            problems.extend(sessions.apply_to_one(thread));
        }
        for problem in problems {
            warn!("{problem}");
        }
    }

    /// Makes a plan of the configuration and has it put in force.
    async fn configure(&mut self) {
        let config = Arc::clone(&self.config);
        let judged = tokio::task::spawn_blocking(move || Usable::judge(&config)).await;
        let usable = judged.unwrap_or_default();
        let mut vrrp = self.config.vrrp.clone();
        self.narrator.logs_unknown = vrrp.globals.log_unknown_vrids;
        usable.restrict(&mut vrrp);
        let (plan, problems) = wiring::vrrp::vrrp(&vrrp, self.startup_delay);
        for problem in problems {
            error!("{problem}");
        }
        self.orders.put(Order::Configure(Box::new(plan)));
        // After the plan: the instances know by then what they track.
        self.scripts.configure(&vrrp, usable);
        self.files.configure(&vrrp).await;
        self.processes.configure(&vrrp);
        self.bfd.configure(&vrrp).await;
    }

    async fn handle(&mut self, news: News) {
        match news {
            News::Configuring => {
                self.tell(Notice::Configured(Arc::clone(&self.config)))
                    .await;
            }
            News::Configured => self.say(&FromVrrp::Configured).await,
            News::Step(step) => {
                self.narrator.step(&step, clock::now(), &self.masters);
                self.follow_state(&step).await;
                if let Some(notice) = Notice::of(&step) {
                    self.tell(notice).await;
                }
            }
            News::Did(did) => narrate::did(&did),
            News::Interface(name, is_up) => narrate::interface(&name, is_up),
            News::Bfd(BfdNews::Survey(sessions)) => self.sessions = sessions,
            News::Bfd(news) => bfd::narrate::news(&news, &self.config.vrrp),
            News::Remark(text) => info!("{text}"),
            News::Warning(text) => warn!("{text}"),
            News::Status(number, survey) => {
                let vrrp = report::status(&survey, &self.config.vrrp, SystemTime::now());
                let bfd = self.sessions.clone();
                self.say(&FromVrrp::Status { number, vrrp, bfd }).await;
            }
            News::Dump(which, survey) => self.dump(which, &survey),
            News::Input(record) => self.record(&record).await,
            News::Stopped => {}
        }
    }

    async fn tell(&mut self, notice: Notice) {
        for told in self.teller.tell(notice) {
            self.say(&FromVrrp::Told(told)).await;
        }
    }

    /// The parent must know who is master when this process dies.
    async fn follow_state(&mut self, step: &RouterOutput) {
        let RouterOutput::Instance {
            instance,
            output: Output::StateChanged(change),
        } = step
        else {
            return;
        };
        let changed = match change.to {
            State::Master => self.masters.insert(instance.clone()),
            _ => self.masters.remove(instance),
        };
        if changed {
            let masters = self.masters.iter().cloned().collect();
            self.say(&FromVrrp::Masters(masters)).await;
        }
    }

    fn dump(&mut self, which: Dump, survey: &Survey) {
        let pid = std::process::id();
        info!("{} for process({pid}) on signal", which.phrase());
        if let Err(error) = which.write(survey, &self.config, &self.cleared) {
            error!("Unable to write the file - {error}");
        }
        if which == Dump::StatsAndClear {
            let all = survey.instances.iter();
            self.cleared = all.map(|it| (it.name.clone(), it.statistics)).collect();
        }
    }

    async fn say(&mut self, message: &FromVrrp) {
        // That the parent is gone is heard by the reading end.
        let _ = ipc::send(&mut self.parent, message).await;
    }

    async fn record(&mut self, record: &Record<'_>) {
        let Some(file) = &mut self.recording else {
            return;
        };
        let written = match serde_json::to_vec(record) {
            Ok(mut line) => {
                line.push(b'\n');
                file.write_all(&line).await
            }
            Err(error) => Err(error.into()),
        };
        if let Err(error) = written {
            error!("Unable to write the recording, it ends here - {error}");
            self.recording = None;
        }
    }
}

/// Opens a recording; it holds passwords, so it is for us alone.
pub(super) async fn open_recording(path: &Path) -> Option<File> {
    let mut options = tokio::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    match options.open(path).await {
        Ok(file) => Some(file),
        Err(error) => {
            error!("Unable to record to {} - {error}", path.display());
            None
        }
    }
}

async fn next(signal: &mut Option<Signal>) -> Option<()> {
    match signal {
        Some(signal) => signal.recv().await,
        None => std::future::pending().await,
    }
}

/// Logs that the instances wait, and when they do not any more.
fn tell_of_delay(delay: Duration) {
    if !delay.is_zero() {
        info!("Delaying startup for {} seconds", delay.as_secs_f64());
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            info!("Delayed start completed");
        });
    }
}

/// Not cancel safe, so a task of its own.
async fn listen(mut reader: OwnedReadHalf, heard: UnboundedSender<ToVrrp>) {
    while let Ok(Some(message)) = ipc::receive(&mut reader).await {
        if heard.send(message).is_err() {
            return;
        }
    }
}
