//! Starting, hearing and mourning children.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tracing::{debug, error, info, warn};

use super::{Event, Parent};
use crate::exit::Exit;
use crate::ipc::IpcError;
use crate::message::{CheckerStart, ProxyStart, ToChecker, ToProxy, ToVrrp, VrrpStart};
use crate::role::Role;
use crate::supervisor::{Ended, Respawn, Verdict};
use crate::{child, ipc};

/// A child that takes messages of type `M`, running or waiting to be started again.
pub(super) struct Child<M> {
    role: Role,
    respawn: Respawn,
    running: Option<Running<M>>,
    /// Counts the starts: what comes from an earlier life is told apart by it.
    life: u64,
}

struct Running<M> {
    pid: u32,
    messages: mpsc::UnboundedSender<M>,
}

impl<M> Child<M> {
    pub(super) const fn new(role: Role, respawn: bool) -> Self {
        Self {
            role,
            respawn: Respawn::new(respawn),
            running: None,
            life: 0,
        }
    }

    pub(super) const fn role(&self) -> Role {
        self.role
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.pid)
    }

    pub(super) const fn restarts(&self) -> u64 {
        self.life.saturating_sub(1)
    }

    /// Whether it has never been started.
    pub(super) const fn is_new(&self) -> bool {
        self.life == 0
    }

    pub(super) const fn is_life(&self, life: u64) -> bool {
        self.life == life
    }

    pub(super) const fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Sends a message; false when there is nobody to take it.
    pub(super) fn send(&self, message: M) -> bool {
        self.running
            .as_ref()
            .is_some_and(|running| running.messages.send(message).is_ok())
    }

    /// Kills it, if it still runs though it was told to stop.
    pub(super) fn force(&self) {
        if let Some(pid) = self.pid() {
            error!("pid {pid}: process failed to die - forcing termination");
            self.signal(Signal::SIGKILL);
        }
    }

    pub(super) fn signal(&self, signal: Signal) {
        // Not yet waited for, so the number is still the child's.
        if let Some(pid) = self.pid().and_then(|pid| i32::try_from(pid).ok()) {
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
}

impl Parent {
    /// Starts a child; one that cannot be started counts as one that died at once.
    pub(super) fn start_child(&mut self, role: Role) {
        let now = Instant::now();
        let result = match role {
            Role::Proxy => {
                let start = ToProxy::Start(Box::new(ProxyStart {
                    log: self.options.log.clone(),
                    ipvs_socket: self.run_dir.ipvs_socket(),
                }));
                launch(&mut self.proxy, start, &self.events, Event::Proxy)
            }
            Role::Parent | Role::Checker => {
                let start = ToChecker::Start(Box::new(CheckerStart {
                    log: self.options.log.clone(),
                    pid_file: self.pid_paths.checkers.clone(),
                    dataplane: self.dataplane.kind,
                    ipvs_socket: self.run_dir.ipvs_socket(),
                    keep_ipvs: self.options.keep_ipvs,
                    config: self.config.clone(),
                    states: self.states.values().cloned().collect(),
                    is_first: self.checker.is_new(),
                    record: self.run_dir.table_record(self.dataplane.kind),
                    audit_interval: self.options.audit_interval,
                    masters: self.masters.clone(),
                }));
                launch(&mut self.checker, start, &self.events, Event::Checker)
            }
            Role::Vrrp => {
                let start = ToVrrp::Start(Box::new(VrrpStart {
                    log: self.options.log.clone(),
                    pid_file: self.pid_paths.vrrp.clone(),
                    keep_vrrp: self.options.keep_vrrp,
                    no_bfd: self.options.no_bfd,
                    record: self.options.record.clone(),
                    config: self.config.clone(),
                    is_restart: self.vrrp.life > 0,
                    resume: std::mem::take(&mut self.resume),
                }));
                launch(&mut self.vrrp, start, &self.events, Event::Vrrp)
            }
        };
        match result {
            Ok(pid) => {
                info!("Starting {} child process, pid={pid}", role.title());
                self.respawn_of(role).handle_start(now);
                if role == Role::Checker && self.table_answers() {
                    self.checker.send(ToChecker::TableReady);
                }
            }
            Err(error) => {
                error!("Unable to start the {} process - {error}", role.title());
                let verdict = self.respawn_of(role).handle_end(now, Ended::Signalled(0));
                self.follow(role, verdict, 0);
            }
        }
    }

    fn respawn_of(&mut self, role: Role) -> &mut Respawn {
        match role {
            Role::Proxy => &mut self.proxy.respawn,
            Role::Vrrp => &mut self.vrrp.respawn,
            Role::Parent | Role::Checker => &mut self.checker.respawn,
        }
    }

    pub(super) fn handle_end(&mut self, role: Role, life: u64, status: ExitStatus) {
        let pid = match role {
            Role::Proxy if self.proxy.is_life(life) => {
                self.proxy_ready = false;
                self.proxy.running.take().map(|r| r.pid)
            }
            Role::Checker if self.checker.is_life(life) => {
                self.checker.running.take().map(|r| r.pid)
            }
            Role::Vrrp if self.vrrp.is_life(life) => {
                self.mourn_masters();
                self.vrrp.running.take().map(|r| r.pid)
            }
            _ => return,
        };
        let pid = pid.unwrap_or_default();
        if self.stopping.is_some() {
            self.stopped_child();
            return;
        }
        if role == Role::Vrrp && !self.wants_vrrp() {
            // The last instance has gone from the configuration.
            return self.reloaded_without_vrrp();
        }
        let ended = match (status.code(), status.signal()) {
            (Some(code), _) => Ended::Exited(code),
            (None, signal) => Ended::Signalled(signal.unwrap_or_default()),
        };
        match ended {
            Ended::Signalled(signal) => warn!("pid {pid} exited due to signal {signal}"),
            Ended::Exited(code) => warn!("pid {pid} exited with status {code}"),
        }
        let verdict = self.respawn_of(role).handle_end(Instant::now(), ended);
        self.follow(role, verdict, pid);
    }

    fn follow(&mut self, role: Role, verdict: Verdict, pid: u32) {
        let title = role.title();
        match verdict {
            Verdict::RestartNow => {
                warn!("{title} child process({pid}) died: Respawning");
                self.start_child(role);
            }
            Verdict::RestartAfter(delay) => {
                warn!("{title} child process({pid}) died: Respawning");
                info!(
                    "Restart of {title} process delayed {} seconds to limit respawn rate",
                    delay.as_secs()
                );
                self.restart_after(role, delay);
            }
            Verdict::Permanent(permanent) => {
                error!("pid {pid} exited with permanent error {permanent}. Terminating");
                self.end_with(Exit::Fatal);
            }
            Verdict::GiveUp => {
                error!("{title} child process({pid}) died: Exiting");
                self.end_with(Exit::Fatal);
            }
        }
    }

    fn restart_after(&self, role: Role, delay: Duration) {
        let life = match role {
            Role::Proxy => self.proxy.life,
            Role::Vrrp => self.vrrp.life,
            Role::Parent | Role::Checker => self.checker.life,
        };
        let events = self.events.clone();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            let _ = events.send(Event::Restart(role, life));
        });
    }

    pub(super) fn handle_restart(&mut self, role: Role, life: u64) {
        let waiting = match role {
            Role::Proxy => self.proxy.is_life(life) && !self.proxy.is_running(),
            Role::Vrrp => self.vrrp.is_life(life) && !self.vrrp.is_running(),
            Role::Parent | Role::Checker => {
                self.checker.is_life(life) && !self.checker.is_running()
            }
        };
        if waiting && self.stopping.is_none() {
            self.start_child(role);
        }
    }
}

/// Starts the process and the three tasks that serve it: one writes, one reads, one waits.
fn launch<M, F>(
    child: &mut Child<M>,
    start: M,
    events: &mpsc::UnboundedSender<Event>,
    heard: fn(u64, F) -> Event,
) -> std::io::Result<u32>
where
    M: Serialize + Send + Sync + 'static,
    F: DeserializeOwned + Send + 'static,
{
    let (mut process, socket) = child::start(child.role)?;
    let pid = process.id().unwrap_or_default();
    child.life += 1;
    let (role, life) = (child.role, child.life);
    let (messages, queue) = mpsc::unbounded_channel();
    let _ = messages.send(start);
    child.running = Some(Running { pid, messages });
    let (reader, writer) = socket.into_split();
    tokio::spawn(write(writer, queue));
    let reading = tokio::spawn(read(reader, life, events.clone(), heard));
    let events = events.clone();
    tokio::spawn(async move {
        let status = process.wait().await;
        // What it said last counts: it is in the socket, and is read before the end is reported.
        let _ = reading.await;
        let status = status.unwrap_or_else(|_| ExitStatus::from_raw(1 << 8));
        let _ = events.send(Event::Ended(role, life, status));
    });
    Ok(pid)
}

async fn write<M: Serialize + Sync>(
    mut socket: tokio::net::unix::OwnedWriteHalf,
    mut queue: mpsc::UnboundedReceiver<M>,
) {
    while let Some(message) = queue.recv().await {
        if let Err(error) = ipc::send(&mut socket, &message).await {
            log_trouble("tell", &error);
            return;
        }
    }
}

async fn read<F: DeserializeOwned>(
    mut socket: tokio::net::unix::OwnedReadHalf,
    life: u64,
    events: mpsc::UnboundedSender<Event>,
    heard: fn(u64, F) -> Event,
) {
    loop {
        match ipc::receive(&mut socket).await {
            Ok(Some(message)) => {
                if events.send(heard(life, message)).is_err() {
                    return;
                }
            }
            Ok(None) => return,
            Err(error) => {
                log_trouble("hear", &error);
                return;
            }
        }
    }
}

/// A child that is gone is mourned elsewhere; anything else is a fault that nobody else will tell.
fn log_trouble(what: &str, error: &IpcError) {
    let text = super::with_sources(error);
    match error {
        IpcError::Io(_) => debug!("Unable to {what} a child - {text}"),
        _ => error!("Unable to {what} a child - {text}"),
    }
}
