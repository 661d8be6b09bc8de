//! The checker process: runs checks, keeps the table, runs scripts, tells the parent.
//!
//! # Design
//! Two machines decide, [`Engine`] about servers and [`Reconciler`] about the table; this driver moves
//! values between them, the probes, the table's thread and the parent, in one loop. After whatever
//! came in, what follows is done in a fixed order: outputs of the engine, states to the parent, and
//! only then the table.

mod addresses;
mod probes;
mod telling;

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime};

use healthcheck::quorum::Notify;
use kconf_parser::config::{FlushOnStop, Script, VirtualServerId};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use self::addresses::Addresses;
use self::probes::{Probed, Probes};
use crate::datafile;
use crate::dataplane::{Place, Reply, Table};
use crate::engine::{Engine, Output};
use crate::exit::Exit;
use crate::message::{CheckerStart, FromChecker, ToChecker, Told};
use crate::notify::Runner;
use crate::parent::with_sources;
use crate::pidfile::PidFile;
use crate::reconcile::{Action, Reconciler};
use crate::record::RecordFile;
use crate::role::Role;
use crate::scheduling::Wishes;
use crate::settings::Settings;
use crate::status::{DataplaneKind, ServiceStatus};
use crate::{child, ipc, logging, privileges, report, table_log, usage, wiring};

/// How often progress that nothing depends on is told to the parent.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// How many events are handled together.
const MAX_BATCH: usize = 1000;

/// How long the table may take to count for a status.
const COUNT_LIMIT: Duration = Duration::from_millis(1500);

/// How long scripts that are under way at a stop may still run.
const SCRIPT_LIMIT: Duration = Duration::from_secs(3);

/// How long the kernel's table may take to be emptied at a stop: less than the parent waits.
const EMPTY_LIMIT: Duration = Duration::from_secs(4);

/// Runs as the checker of the parent with this process id. Returns the exit status.
#[must_use]
pub fn run(parent: i32) -> u8 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let Ok(runtime) = runtime else {
        return Exit::Software.code();
    };
    let exit = runtime.block_on(async {
        let Ok(socket) = child::adopt(Role::Checker, parent) else {
            return Exit::Ok;
        };
        let (mut reader, writer) = socket.into_split();
        match ipc::receive(&mut reader).await {
            Ok(Some(ToChecker::Start(start))) => serve(*start, parent, reader, writer).await,
            _ => Exit::Ok,
        }
    });
    // Scripts and probes that still run do not hold up the end.
    runtime.shutdown_background();
    exit.code()
}

/// What the loop waits for.
enum Event {
    Parent(ToChecker),
    ParentGone,
    Probed(Probed),
    Table(Reply),
    Counted(u64, Vec<ServiceStatus>),
    Addresses(HashSet<IpAddr>),
    Deadline,
}

impl Event {
    /// Whether others may be handled with it before anything follows from it.
    fn can_wait(&self) -> bool {
        matches!(self, Self::Probed(_) | Self::Table(_) | Self::Counted(..))
    }
}

struct Checker {
    start: CheckerStart,
    engine: Engine,
    table: Reconciler,
    probes: Probes,
    addresses: Addresses,
    runner: Runner<VirtualServerId>,
    parent: OwnedWriteHalf,
    dataplane: Table,
    events: mpsc::UnboundedSender<Event>,
    /// The wished table may be another one than the reconciler knows.
    table_changed: bool,
    /// Virtual servers whose state the parent must know before the table follows.
    changed: BTreeSet<VirtualServerId>,
    /// Virtual servers with progress to be told when it is time.
    progressed: BTreeSet<VirtualServerId>,
    progress_at: Instant,
    /// Empty the table before it is read for the first time (`lvs_flush`).
    flush: bool,
}

async fn serve(
    mut start: CheckerStart,
    parent_id: i32,
    reader: OwnedReadHalf,
    parent: OwnedWriteHalf,
) -> Exit {
    let _logging = logging::start(&start.log, Role::Checker);
    if let Err(error) = child::leave_signals_to_parent() {
        error!("Unable to set signal handlers - {error}");
        return Exit::Software;
    }
    let _pid_file = PidFile::create(&start.pid_file)
        .inspect_err(|error| warn!("{}", with_sources(error)))
        .ok();
    let globals = &start.config.globals;
    child::call_itself(globals.process_names.checker.as_deref());
    for problem in Wishes::of_checker(globals).apply(0) {
        warn!("{problem}");
    }
    let (events, mut queue) = mpsc::unbounded_channel();
    let (replies, mut table_queue) = mpsc::unbounded_channel();
    let place = match start.dataplane {
        DataplaneKind::Kernel => Place::Kernel,
        DataplaneKind::Userspace => Place::Userspace(start.ipvs_socket.clone()),
    };
    let record = RecordFile::open(&start.record);
    let owned = record.record().services.clone();
    let dataplane = match Table::start(place, record, replies) {
        Ok(dataplane) => dataplane,
        Err(error) => {
            error!("Unable to start the table's thread - {error}");
            return Exit::Software;
        }
    };
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return Exit::Software;
    };
    tokio::spawn(hear(reader, events.clone()));
    tokio::spawn({
        let events = events.clone();
        async move {
            while terminate.recv().await.is_some() {
                // A stop of the whole service signals every process; the parent's word counts then.
                if child::is_orphan(parent_id) {
                    let _ = events.send(Event::ParentGone);
                }
            }
        }
    });
    tokio::spawn({
        let events = events.clone();
        async move {
            while let Some(reply) = table_queue.recv().await {
                let _ = events.send(Event::Table(reply));
            }
        }
    });

    privileges::warn_of(privileges::scripts(&start.config), &start.config.globals);
    let now = Instant::now();
    let states = std::mem::take(&mut start.states);
    let seed = u64::from(std::process::id()) ^ crate::status::unix_ms(SystemTime::now());
    let mut checker = Checker {
        engine: Engine::new(&start.config, states, now, seed),
        table: Reconciler::new(owned, start.audit_interval),
        probes: Probes::new(events.clone()),
        addresses: Addresses::default(),
        runner: Runner::default(),
        parent,
        dataplane,
        events,
        table_changed: false,
        changed: BTreeSet::new(),
        progressed: BTreeSet::new(),
        progress_at: now,
        flush: start.is_first && start.config.globals.lvs_flush,
        start,
    };
    checker.tell_all_states();
    let exit = checker.serve(&mut queue).await;
    info!("{}", usage::stopped());
    exit
}

async fn hear(mut reader: OwnedReadHalf, events: mpsc::UnboundedSender<Event>) {
    loop {
        let event = match ipc::receive(&mut reader).await {
            Ok(Some(message)) => Event::Parent(message),
            Ok(None) | Err(_) => Event::ParentGone,
        };
        let last = matches!(event, Event::ParentGone);
        if events.send(event).is_err() || last {
            return;
        }
    }
}

impl Checker {
    async fn serve(&mut self, queue: &mut mpsc::UnboundedReceiver<Event>) -> Exit {
        self.wish();
        self.set();
        self.follow_addresses();
        let _ = self.say(&FromChecker::Configured).await;
        let mut next = None;
        loop {
            if self.settle().await.is_err() {
                self.stop(queue, true).await;
                return Exit::Ok;
            }
            let event = match (next.take(), self.deadline()) {
                (Some(event), _) => Some(event),
                (None, None) => queue.recv().await,
                (None, Some(deadline)) => {
                    match tokio::time::timeout_at(deadline.into(), queue.recv()).await {
                        Ok(event) => event,
                        Err(_) => Some(Event::Deadline),
                    }
                }
            };
            match event {
                Some(Event::Parent(ToChecker::Stop)) => {
                    self.stop(queue, false).await;
                    return Exit::Ok;
                }
                // There is always a sender: our own.
                Some(Event::ParentGone) | None => {
                    self.stop(queue, true).await;
                    return Exit::Ok;
                }
                Some(event) => self.handle(event).await,
            }
            // Many servers may fail in one moment: what follows from it is done once for all of them.
            for _ in 0..MAX_BATCH {
                match queue.try_recv() {
                    Ok(event) if event.can_wait() => self.handle(event).await,
                    Ok(event) => {
                        next = Some(event);
                        break;
                    }
                    Err(_) => break,
                }
            }
        }
    }

    async fn handle(&mut self, event: Event) {
        let now = Instant::now();
        match event {
            Event::Parent(ToChecker::Reload(config)) => {
                info!("Reloading");
                privileges::warn_of(privileges::scripts(&config), &config.globals);
                self.engine.reconfigure(&config, now);
                self.table.recheck(now);
                let before = Wishes::of_checker(&self.start.config.globals);
                for problem in Wishes::of_checker(&config.globals).replace(&before, 0) {
                    warn!("{problem}");
                }
                self.start.config = *config;
                self.set();
                self.follow_addresses();
                self.tell_all_states();
                // The parent counts the reload as complete when the checks go by the new text.
                let _ = self.flush_states(now).await;
                let _ = self.say(&FromChecker::Configured).await;
            }
            Event::Parent(ToChecker::Masters(masters)) => {
                self.start.masters = masters;
                if self.start.config.globals.lvs_sync_daemon.is_some() {
                    self.set();
                    self.table.recheck(now);
                }
            }
            Event::Parent(ToChecker::TableReady) => self.table.handle_ready(),
            Event::Parent(ToChecker::Status(number)) => self.count(number),
            Event::Parent(ToChecker::Dump) => self.dump(),
            Event::Counted(number, services) => {
                let connected = self.table.is_connected();
                let status = FromChecker::Status {
                    number,
                    connected,
                    services,
                };
                let _ = self.say(&status).await;
            }
            Event::Probed(probed) => {
                self.probes.ended(&probed);
                self.engine.handle_outcome(
                    now,
                    SystemTime::now(),
                    probed.check,
                    probed.probe,
                    probed.outcome,
                );
            }
            Event::Table(Reply::Table(rules)) => {
                // A table that was emptied once must not be emptied again.
                self.flush = false;
                self.table.handle_table(now, rules);
            }
            Event::Table(Reply::Applied(failures)) => self.table.handle_applied(now, &failures),
            Event::Table(Reply::Lost(reason)) => self.table.handle_lost(now, reason),
            Event::Addresses(local) => {
                self.engine.handle_addresses(now, local);
                // One that has come may be one that is to be listened on.
                if self.start.dataplane == DataplaneKind::Userspace {
                    self.table.recheck(now);
                }
            }
            Event::Deadline => self.engine.handle_timeout(now),
            // Handled before.
            Event::Parent(ToChecker::Start(_) | ToChecker::Stop) | Event::ParentGone => {}
        }
    }

    fn follow_addresses(&mut self) {
        let (config, dataplane) = (&self.start.config, self.start.dataplane);
        self.addresses.follow(config, dataplane, &self.events);
    }

    /// Does what follows from the machines' states. Fails when the parent is gone.
    async fn settle(&mut self) -> Result<(), ipc::IpcError> {
        let now = Instant::now();
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Log(line) => info!("{line}"),
                Output::StartProbe { check, probe, step } => {
                    if let Some((_, known)) = self.engine.check(check) {
                        self.probes.start(check, probe, step, &known.config);
                    }
                }
                Output::AbortProbe { check, .. } => self.probes.abort(check),
                Output::Notify {
                    service,
                    event,
                    script,
                    mail,
                } => self.notify(&service, &event, script, mail).await?,
                Output::CheckNotify {
                    service,
                    server,
                    mail,
                } => {
                    let globals = &self.start.config.globals;
                    let told = telling::check(&service, server, mail, globals);
                    self.tell(told).await?;
                }
                Output::StateChanged(service) => {
                    self.changed.insert(service);
                }
                Output::ProgressChanged(service) => {
                    self.progressed.insert(service);
                }
                Output::TableChanged => self.table_changed = true,
            }
        }
        if now >= self.progress_at && !self.progressed.is_empty() {
            self.progress_at = now + PROGRESS_INTERVAL;
            let progressed = std::mem::take(&mut self.progressed);
            self.changed.extend(progressed);
        }
        self.flush_states(now).await?;
        // While commands are under way the wish may go on changing: only the last one counts.
        if self.table_changed && !self.table.is_busy() {
            self.table_changed = false;
            self.wish();
        }
        self.act(now);
        for news in self.table.take_news() {
            table_log::log(&news);
        }
        Ok(())
    }

    /// Tells scripts, pipes and mailboxes, in keepalived's order.
    async fn notify(
        &mut self,
        service: &VirtualServerId,
        event: &Notify,
        script: Option<Script>,
        mail: Option<String>,
    ) -> Result<(), ipc::IpcError> {
        let globals = &self.start.config.globals;
        if let Some(script) = script {
            self.runner.run(service, &script, globals);
        }
        let told = telling::event(service, event, mail, globals);
        self.tell(told).await
    }

    async fn tell(&mut self, told: impl IntoIterator<Item = Told>) -> Result<(), ipc::IpcError> {
        for told in told {
            self.say(&FromChecker::Told(told)).await?;
        }
        Ok(())
    }

    /// Has the table's thread do what is next, once it is on record.
    fn act(&mut self, now: Instant) {
        let action = self.table.poll_action(now);
        let owned = self.table.owned();
        self.dataplane
            .update_record(|record| record.services.clone_from(owned));
        match action {
            Some(Action::Read) => self.dataplane.read(self.flush),
            Some(Action::Audit) => self.dataplane.audit(),
            Some(Action::Apply(commands)) => self.dataplane.apply(commands),
            None => {}
        }
    }

    fn set(&self) {
        let (globals, masters) = (&self.start.config.globals, &self.start.masters);
        self.dataplane.set(Settings::of(globals, masters));
    }

    fn wish(&mut self) {
        let services = self.engine.services().iter();
        let rules = services.flat_map(|service| {
            let pool: Vec<_> = service.machine().pool().collect();
            wiring::rules(service.config(), &pool)
        });
        self.table.wish(rules.collect());
    }

    fn deadline(&self) -> Option<Instant> {
        let progress = (!self.progressed.is_empty()).then_some(self.progress_at);
        [
            self.engine.poll_timeout(),
            self.table.poll_timeout(),
            progress,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn tell_all_states(&mut self) {
        let services = self.engine.services().iter();
        self.changed
            .extend(services.map(|service| service.id().clone()));
    }

    async fn flush_states(&mut self, now: Instant) -> Result<(), ipc::IpcError> {
        if self.changed.is_empty() {
            return Ok(());
        }
        let changed = std::mem::take(&mut self.changed);
        let states = changed
            .iter()
            .filter_map(|id| self.engine.service(id))
            .map(|service| service.state(now))
            .collect();
        self.say(&FromChecker::States(states)).await
    }

    async fn say(&mut self, message: &FromChecker) -> Result<(), ipc::IpcError> {
        ipc::send(&mut self.parent, message).await
    }

    /// Makes a status: what is known here now, and the table's counters when it has counted.
    fn count(&self, number: u64) {
        let mut services = report::services(&self.engine, &self.table);
        let counts = self.dataplane.count();
        let events = self.events.clone();
        tokio::spawn(async move {
            if let Ok(Ok(Some(counts))) = tokio::time::timeout(COUNT_LIMIT, counts).await {
                report::add_counts(&mut services, &counts);
            }
            let _ = events.send(Event::Counted(number, services));
        });
    }

    /// Writes keepalived's file.
    fn dump(&self) {
        let pid = std::process::id();
        info!("Printing checker data for process({pid}) on signal");
        let services = report::services(&self.engine, &self.table);
        let text = report::data::text(&services);
        let written = datafile::write_data(Role::Checker, &self.start.config, &text);
        if let Err(error) = written {
            error!("Unable to write the file - {error}");
        }
    }

    /// Ends: announces what `omega` asks for, and cleans up the kernel's dataplane. The userspace one
    /// ends with its process, when its connections have ended.
    ///
    /// When the parent is gone the kernel's table stays as it is, whatever may have killed it: traffic
    /// goes on, and the next director takes over what is there.
    async fn stop(&mut self, queue: &mut mpsc::UnboundedReceiver<Event>, parent_gone: bool) {
        self.engine.shutdown();
        self.probes.abort_all();
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Log(line) => info!("{line}"),
                Output::Notify {
                    service,
                    event,
                    script,
                    mail,
                } => {
                    // That the parent is gone is known.
                    let _ = self.notify(&service, &event, script, mail).await;
                }
                _ => {}
            }
        }
        match (self.start.dataplane, parent_gone) {
            (DataplaneKind::Userspace, _) => {}
            (DataplaneKind::Kernel, true) => warn!("The IPVS table is left as it is"),
            (DataplaneKind::Kernel, false) => {
                if tokio::time::timeout(EMPTY_LIMIT, self.clean_up(queue))
                    .await
                    .is_err()
                {
                    error!("Unable to clean up the IPVS table in time - the next start will do it");
                }
            }
        }
        if !parent_gone {
            self.runner.finish(SCRIPT_LIMIT).await;
        }
    }

    /// Takes our services out of the kernel's table, unless they are to be kept, and puts back settings.
    async fn clean_up(&mut self, queue: &mut mpsc::UnboundedReceiver<Event>) {
        let flush = match (
            self.start.keep_ipvs,
            self.start.config.globals.lvs_flush_on_stop,
        ) {
            (true, _) => false,
            (false, FlushOnStop::All) => true,
            (false, FlushOnStop::No | FlushOnStop::OwnServices) => {
                self.table.wish(Vec::new());
                self.empty(queue).await;
                false
            }
        };
        let _ = self.dataplane.finish(flush).await;
    }

    async fn empty(&mut self, queue: &mut mpsc::UnboundedReceiver<Event>) {
        loop {
            self.act(Instant::now());
            for news in self.table.take_news() {
                table_log::log(&news);
            }
            if self.table.is_settled() {
                return;
            }
            match queue.recv().await {
                Some(event @ Event::Table(_)) => self.handle(event).await,
                Some(_) => {}
                None => return,
            }
        }
    }
}
