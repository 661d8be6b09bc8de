//! The parent process: supervises, reads the configuration, owns signals and the control socket.
//!
//! # Design
//! One thread and one queue. Whatever happens (a signal, a frame, the end of a child, a question on
//! the control socket) becomes an event, handled to its end before the next one, so that no two
//! things can be half done at a time. The parent holds what must survive its children: the
//! configuration in force and the last state of every virtual server.

mod children;
mod control_server;
mod reload;
mod stop;

use std::collections::BTreeMap;
use std::process::ExitStatus;
use std::time::{Duration, Instant, SystemTime};

use kconf_parser::config::VirtualServerId;
use kconf_parser::{Config, secret};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};
use vrrp_proto::Name;

use self::children::Child;
use self::reload::Reloading;
use self::stop::Stopping;
use crate::child;
use crate::config::{ConfigSource, Loaded, host_config_id};
use crate::control::{Request, Response};
use crate::daemon::{self, Daemon};
use crate::datafile;
use crate::dataplane;
use crate::engine::ServiceState;
use crate::exit::Exit;
use crate::logging::{self, Logging};
use crate::mail::Post;
use crate::message::{FromChecker, FromProxy, FromVrrp, ToChecker, ToProxy, ToVrrp, Told};
use crate::namespace;
use crate::notify;
use crate::options::{Parts, RunOptions};
use crate::pidfile::{PidFile, PidFileError, PidPaths};
use crate::pipes::{Pipes, Topic};
use crate::record::RecordFile;
use crate::role::Role;
use crate::rundir::RunDir;
use crate::status::{
    BfdStatus, DataplaneKind, DataplaneStatus, ProcessStatus, ReloadStatus, ServiceStatus, Status,
    VrrpStatus, unix_ms,
};
use crate::usage;
use crate::vrrp::clock;
use crate::vrrp::dump::Dump;
use crate::vrrp::order::WasMaster;

/// How long the last mails may take at a stop.
const MAIL_LIMIT: Duration = Duration::from_secs(3);

/// What the director calls itself in the log.
const VERSION: &str = concat!("v", env!("CARGO_PKG_VERSION"), " (lvskit)");

/// Runs a director until it is stopped. Returns the exit status.
#[must_use]
pub fn run(options: RunOptions) -> u8 {
    let mut started = None;
    if !options.foreground {
        match daemon::split(options.log.console) {
            Ok(Daemon::First(code)) => return code,
            Ok(Daemon::Second(tell)) => started = Some(tell),
            Err(error) => {
                eprintln!("lvsd: cannot become a daemon: {error}");
                return Exit::Fatal.code();
            }
        }
    }
    let logging = logging::start(&options.log, Role::Parent);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            error!("Unable to start the event loop - {error}");
            return Exit::Software.code();
        }
    };
    let exit = runtime.block_on(async {
        match Parent::start(options, &logging).await {
            Ok(mut parent) => {
                if let Some(started) = started {
                    started.tell();
                }
                parent.serve().await
            }
            Err(exit) => exit,
        }
    });
    exit.code()
}

/// What the parent waits for.
pub(crate) enum Event {
    /// A signal.
    Signal(Signal),
    /// A checker said something.
    Checker(u64, FromChecker),
    /// A proxy said something.
    Proxy(u64, FromProxy),
    /// A VRRP process said something.
    Vrrp(u64, FromVrrp),
    /// A child ended.
    Ended(Role, u64, ExitStatus),
    /// A child's delay is over.
    Restart(Role, u64),
    /// A question on the control socket.
    Control(Request, oneshot::Sender<Response>),
    /// A status question took too long.
    StatusLate(u64),
    /// The time for stopping is over.
    StopLate(u64),
}

/// The signals that mean something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Reload,
    Stop,
    Dump(Dump, &'static str),
    Other(&'static str),
}

pub(crate) struct Parent {
    options: RunOptions,
    source: ConfigSource,
    run_dir: RunDir,
    pid_paths: PidPaths,
    config: Config,
    started: (Instant, SystemTime),
    dataplane: DataplaneStatus,
    checker: Child<ToChecker>,
    proxy: Child<ToProxy>,
    vrrp: Child<ToVrrp>,
    /// Whether the running proxy's table answers.
    proxy_ready: bool,
    states: BTreeMap<VirtualServerId, ServiceState>,
    /// The last answer of a checker, for when there is none to ask.
    services: Vec<ServiceStatus>,
    /// The instances of which the VRRP process is master.
    masters: Vec<Name>,
    /// What the next VRRP process is told about the one that died.
    resume: Vec<WasMaster>,
    /// The last answer of a VRRP process.
    vrrp_status: VrrpStatus,
    bfd_status: BfdStatus,
    questions: Vec<Question>,
    next_question: u64,
    last_reload: Option<ReloadStatus>,
    reloading: Reloading,
    stopping: Option<Stopping>,
    exit: Option<Exit>,
    pipes: Pipes,
    post: Post,
    events: mpsc::UnboundedSender<Event>,
    queue: mpsc::UnboundedReceiver<Event>,
    // Dropped, and so removed, last.
    _pid_files: Vec<PidFile>,
}

impl Parent {
    async fn start(mut options: RunOptions, logging: &Logging) -> Result<Self, Exit> {
        info!("Starting Keepalived {VERSION}");
        log_system();
        // First of all: a signal that comes during the start is heeded after it.
        let (events, queue) = mpsc::unbounded_channel();
        listen_to_signals(&events).map_err(|error| {
            error!("Unable to set signal handlers - {error}");
            Exit::Software
        })?;
        let source = ConfigSource {
            path: options.config_file.clone(),
            config_id: options.config_id.clone().unwrap_or_else(host_config_id),
            check_includes: options.check_includes,
        };
        let loaded = load(&source)?;
        let config = loaded.config;
        let wished = &config.globals.net_namespace;
        let namespace = options.namespace.as_ref().or(wished.as_ref());
        let name = [namespace, config.globals.instance.as_ref()];
        let name: Vec<&str> = name.into_iter().flatten().map(String::as_str).collect();
        options.log.director = name.join("_");
        logging.tell_apart(&options.log.director);
        child::call_itself(config.globals.process_names.parent.as_deref());
        let run_dir = RunDir::find(options.run_dir.as_deref()).of_director(&options.log.director);
        run_dir.create().map_err(|error| {
            error!("{}", with_sources(&error));
            Exit::Permission
        })?;
        if let Some(name) = namespace {
            // Before there is any socket or thread.
            namespace::enter(name).map_err(|error| {
                error!("{}", with_sources(&error));
                Exit::Fatal
            })?;
            info!("Running in network namespace {name}");
        }
        let pid_paths = PidPaths::find(&options, &run_dir, &config.globals);
        pid_paths.create_folder().map_err(|error| {
            error!("Unable to make the folder of pid files - {error}");
            Exit::Permission
        })?;
        let umask = options.umask.or(config.globals.umask).unwrap_or(0o177);
        nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(umask));

        // Two directors in one run folder would take each other's sockets, whatever their pid files.
        let mut pid_files = Vec::new();
        for path in [&run_dir.lock_file(), &pid_paths.parent] {
            pid_files.push(PidFile::create(path).map_err(|error| {
                error!("{}", with_sources(&error));
                match error {
                    PidFileError::AlreadyRunning => Exit::Ok,
                    PidFileError::Io { .. } => Exit::Permission,
                }
            })?);
        }

        let dataplane = dataplane::choose(options.dataplane, &run_dir).map_err(|refused| {
            error!("{refused}");
            Exit::Fatal
        })?;
        let (kind, reason) = (dataplane.kind, &dataplane.reason);
        info!(
            "Dataplane: {} - {reason}",
            match kind {
                DataplaneKind::Kernel => "kernel",
                DataplaneKind::Userspace => "userspace",
            }
        );
        look_after_records(kind, &run_dir);
        reload::warn_of_emptiness(&config);
        if options.dump_config {
            dump(&config);
        }
        if let Some(script) = &config.globals.startup_script {
            notify::run_once(
                script,
                &config.globals,
                config.globals.startup_script_timeout,
            )
            .await;
        }

        let control = control_server::listen(&run_dir.control_socket(), events.clone());
        if let Err(error) = control {
            error!("Unable to listen in {} - {error}", run_dir.path().display());
            return Err(Exit::Fatal);
        }
        let mut parent = Self {
            checker: Child::new(Role::Checker, options.respawn),
            proxy: Child::new(Role::Proxy, options.respawn),
            vrrp: Child::new(Role::Vrrp, options.respawn),
            options,
            source,
            run_dir,
            pid_paths,
            config,
            started: (Instant::now(), SystemTime::now()),
            dataplane,
            proxy_ready: false,
            states: BTreeMap::new(),
            services: Vec::new(),
            masters: Vec::new(),
            resume: Vec::new(),
            vrrp_status: VrrpStatus::default(),
            bfd_status: BfdStatus::default(),
            questions: Vec::new(),
            next_question: 0,
            last_reload: None,
            reloading: Reloading::default(),
            stopping: None,
            exit: None,
            pipes: Pipes::default(),
            post: Post::default(),
            events,
            queue,
            _pid_files: pid_files,
        };
        parent.configure_telling();
        // First: until it runs, nobody may have the addresses.
        if parent.wants_vrrp() {
            parent.start_child(Role::Vrrp);
        }
        if parent.wants_checks() {
            if parent.dataplane.kind == DataplaneKind::Userspace {
                parent.start_child(Role::Proxy);
            }
            parent.start_child(Role::Checker);
        }
        info!("Startup complete");
        Ok(parent)
    }

    /// Handles events until it is time to exit.
    async fn serve(&mut self) -> Exit {
        let exit = loop {
            if let Some(exit) = self.exit {
                break exit;
            }
            // There is always a sender: our own.
            let Some(event) = self.queue.recv().await else {
                break Exit::Software;
            };
            self.handle(event);
        };
        let pipes = std::mem::take(&mut self.pipes);
        tokio::join!(pipes.finish(), self.post.finish(MAIL_LIMIT));
        let globals = &self.config.globals;
        if let Some(script) = &globals.shutdown_script {
            notify::run_once(script, globals, globals.shutdown_script_timeout).await;
        }
        let _ = std::fs::remove_file(self.run_dir.control_socket());
        let _ = std::fs::remove_file(self.run_dir.ipvs_socket());
        // That table has ended with its process.
        let _ = std::fs::remove_file(self.run_dir.table_record(DataplaneKind::Userspace));
        info!("{}", usage::total());
        info!("Stopped Keepalived {VERSION}");
        exit
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Signal(Signal::Stop) => self.stop(),
            Event::Signal(Signal::Reload) => {
                self.reload();
            }
            Event::Signal(Signal::Dump(which, name)) => self.dump(which, name),
            Event::Signal(Signal::Other(name)) => info!("{name} ignored"),
            Event::Checker(life, message) if self.checker.is_life(life) => {
                self.handle_checker(message);
            }
            Event::Proxy(life, FromProxy::Ready) if self.proxy.is_life(life) => {
                self.proxy_ready = true;
                self.checker.send(ToChecker::TableReady);
            }
            Event::Vrrp(life, message) if self.vrrp.is_life(life) => self.handle_vrrp(message),
            // From a child that is gone.
            Event::Checker(..) | Event::Proxy(..) | Event::Vrrp(..) => {}
            Event::Ended(role, life, status) => self.handle_end(role, life, status),
            Event::Restart(role, life) => self.handle_restart(role, life),
            Event::Control(Request::Status, answer) => self.ask_status(answer),
            Event::Control(Request::Reload, answer) => {
                let _ = answer.send(Response::Reload(self.reload()));
            }
            Event::StatusLate(number) => self.answer_status(number),
            Event::StopLate(number) => self.stop_late(number),
        }
    }

    fn table_answers(&self) -> bool {
        self.dataplane.kind == DataplaneKind::Kernel || self.proxy_ready
    }

    fn handle_checker(&mut self, message: FromChecker) {
        match message {
            FromChecker::Configured => {
                if std::mem::take(&mut self.reloading.checker) {
                    self.tell_reload_complete();
                }
            }
            FromChecker::Told(told) => self.tell(Topic::Servers, told),
            FromChecker::States(states) => {
                for state in states {
                    self.states.insert(state.id.clone(), state);
                }
            }
            FromChecker::Status {
                number,
                connected,
                services,
            } => {
                self.dataplane.connected = connected;
                self.services = services;
                self.answered(number, |question| &mut question.checker);
            }
        }
    }

    fn handle_vrrp(&mut self, message: FromVrrp) {
        match message {
            FromVrrp::Configured => {
                // One that was started anew says nothing of those of which it is not master any more.
                self.tell_masters();
                if std::mem::take(&mut self.reloading.vrrp) {
                    self.tell_reload_complete();
                }
            }
            FromVrrp::Masters(masters) => {
                self.masters = masters;
                self.tell_masters();
                if self.masters.is_empty() {
                    self.released();
                }
            }
            FromVrrp::Told(told) => self.tell(Topic::Routers, told),
            FromVrrp::Status { number, vrrp, bfd } => {
                self.vrrp_status = vrrp;
                self.bfd_status = bfd;
                self.answered(number, |question| &mut question.vrrp);
            }
        }
    }

    /// Pipes and mails are those of the configuration in force.
    fn configure_telling(&mut self) {
        let topics: &[Topic] = match self.options.parts {
            Parts::Checks => &[Topic::Servers],
            Parts::Vrrp => &[Topic::Routers],
            Parts::Both => &[Topic::Servers, Topic::Routers],
        };
        self.pipes.configure(&self.config.globals, topics);
        self.post.configure(&self.config.globals);
    }

    fn tell(&mut self, topic: Topic, told: Told) {
        match told {
            Told::Line(line) => self.pipes.write(topic, &line),
            Told::Mail(alert) => self.post.send(alert),
        }
    }

    /// Has every process write its file.
    fn dump(&self, which: Dump, signal: &str) {
        if which == Dump::Data {
            let pid = std::process::id();
            info!("Printing parent data for process({pid}) on signal");
            if let Err(error) = datafile::write_data(Role::Parent, &self.config, "") {
                error!("Unable to write the file - {error}");
            }
            self.checker.send(ToChecker::Dump);
        } else if !self.vrrp.is_running() {
            info!("{signal} ignored: there is no virtual router");
        }
        self.vrrp.send(ToVrrp::Dump(which));
    }

    fn wants_vrrp(&self) -> bool {
        self.options.parts != Parts::Checks && !self.config.vrrp.is_empty()
    }

    fn wants_checks(&self) -> bool {
        self.options.parts != Parts::Vrrp
    }

    fn tell_masters(&self) {
        self.checker.send(ToChecker::Masters(self.masters.clone()));
    }

    /// The VRRP process has died: the next one must know what it was master of, and that the last
    /// advertisement may be as old as the interval.
    fn mourn_masters(&mut self) {
        let now = clock::now();
        let masters = std::mem::take(&mut self.masters);
        let was_master = |instance: Name| {
            let configured = self.config.vrrp.instance(instance.as_str())?;
            Some(WasMaster {
                silent_since: now - configured.advert_int,
                instance,
            })
        };
        self.resume = masters.into_iter().filter_map(was_master).collect();
    }

    fn ask_status(&mut self, answer: oneshot::Sender<Response>) {
        let number = self.next_question;
        self.next_question += 1;
        let checker = self.checker.send(ToChecker::Status(number));
        if !checker {
            self.dataplane.connected = false;
        }
        self.questions.push(Question {
            number,
            answer,
            checker,
            vrrp: self.vrrp.send(ToVrrp::Status(number)),
        });
        if self.answer_if_complete(number) {
            return;
        }
        let events = self.events.clone();
        tokio::spawn(async move {
            tokio::time::sleep(control_server::STATUS_LIMIT).await;
            let _ = events.send(Event::StatusLate(number));
        });
    }

    /// One of the processes has answered a question.
    fn answered(&mut self, number: u64, who: fn(&mut Question) -> &mut bool) {
        let mut questions = self.questions.iter_mut();
        if let Some(question) = questions.find(|question| question.number == number) {
            *who(question) = false;
        }
        self.answer_if_complete(number);
    }

    fn answer_if_complete(&mut self, number: u64) -> bool {
        let mut questions = self.questions.iter();
        let waits = questions.any(|it| it.number == number && (it.checker || it.vrrp));
        if !waits {
            self.answer_status(number);
        }
        !waits
    }

    /// Answers a question with what is known by now; late answers and late deadlines find nobody.
    fn answer_status(&mut self, number: u64) {
        let asked = |question: &Question| question.number == number;
        if let Some(position) = self.questions.iter().position(asked) {
            let question = self.questions.swap_remove(position);
            let _ = question
                .answer
                .send(Response::Status(Box::new(self.status())));
        }
    }

    fn status(&self) -> Status {
        let mut processes = Vec::new();
        if self.wants_checks() {
            processes.push(process_status(&self.checker));
            if self.dataplane.kind == DataplaneKind::Userspace {
                processes.push(process_status(&self.proxy));
            }
        }
        if self.wants_vrrp() {
            processes.push(process_status(&self.vrrp));
        }
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            config_file: self.options.config_file.clone(),
            started_unix_ms: unix_ms(self.started.1),
            uptime_seconds: self.started.0.elapsed().as_secs_f64(),
            last_reload: self.last_reload.clone(),
            dataplane: self.dataplane.clone(),
            processes,
            services: self.services.clone(),
            vrrp: self.vrrp_status.clone(),
            bfd: self.bfd_status.clone(),
            mail: self.post.status(),
        }
    }
}

/// A status question, and which processes have still to answer it.
struct Question {
    number: u64,
    answer: oneshot::Sender<Response>,
    checker: bool,
    vrrp: bool,
}

fn process_status<M>(child: &Child<M>) -> ProcessStatus {
    ProcessStatus {
        name: child.role().name().to_owned(),
        pid: child.pid(),
        restarts: child.restarts(),
    }
}

/// Reads the configuration for the start. Faults are logged and what is sound is run, as keepalived
/// does: a director that stays down for a misspelt word would darken every other service too.
fn load(source: &ConfigSource) -> Result<Loaded, Exit> {
    tracing::debug!("Opening file '{}'.", source.path.display());
    let loaded = source.load();
    reload::log_problems(&loaded);
    if !loaded.readable {
        return Err(Exit::NoConfig);
    }
    info!("Configuration file {}", source.path.display());
    Ok(loaded)
}

/// Forgets what an earlier director put into a table that is gone, and tells of what it left in one
/// that this director will not look at.
fn look_after_records(kind: DataplaneKind, run_dir: &RunDir) {
    // The userspace table has ended with its director.
    let _ = std::fs::remove_file(run_dir.table_record(DataplaneKind::Userspace));
    if kind == DataplaneKind::Userspace {
        let record = RecordFile::open(&run_dir.table_record(DataplaneKind::Kernel));
        let count = record.record().services.len();
        if count > 0 {
            warn!(
                "{count} services of an earlier director are still in the kernel's IPVS table, and may \
                 take traffic - ipvsadm -C, or a start with --dataplane kernel, removes them"
            );
        }
    }
}

fn log_system() {
    if let Ok(system) = nix::sys::utsname::uname() {
        info!(
            "Running on {} {} {}",
            system.sysname().to_string_lossy(),
            system.release().to_string_lossy(),
            system.version().to_string_lossy()
        );
    }
    let words: Vec<String> = std::env::args_os()
        .map(|word| format!("'{}'", word.to_string_lossy()))
        .collect();
    info!("Command line: {}", words.join(" "));
}

/// Logs the configuration as it is meant, a line of JSON for each virtual server.
fn dump(config: &Config) {
    let covered = |value: serde_json::Result<serde_json::Value>| {
        let mut value = value.ok()?;
        secret::cover(&mut value);
        Some(value)
    };
    let values = std::iter::once(serde_json::to_value(&config.globals))
        .chain(config.services.iter().map(serde_json::to_value));
    info!("------< Global definitions, then virtual servers >------");
    for value in values.filter_map(covered) {
        info!("{value}");
    }
}

fn listen_to_signals(events: &mpsc::UnboundedSender<Event>) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    for (kind, meaning) in [
        (SignalKind::hangup(), Signal::Reload),
        (SignalKind::terminate(), Signal::Stop),
        (SignalKind::interrupt(), Signal::Stop),
        (
            SignalKind::user_defined1(),
            Signal::Dump(Dump::Data, "SIGUSR1"),
        ),
        (
            SignalKind::user_defined2(),
            Signal::Dump(Dump::Stats, "SIGUSR2"),
        ),
        // Monitoring sends these for JSON and statistics.
        (
            SignalKind::from_raw(libc::SIGRTMIN() + 2),
            Signal::Dump(Dump::Json, "SIGRTMIN+2"),
        ),
        (
            SignalKind::from_raw(libc::SIGRTMAX() - 1),
            Signal::Dump(Dump::StatsAndClear, "SIGRTMAX-1"),
        ),
        (
            SignalKind::from_raw(libc::SIGRTMAX()),
            Signal::Other("SIGRTMAX"),
        ),
    ] {
        let mut stream = signal(kind)?;
        let events = events.clone();
        tokio::spawn(async move {
            while stream.recv().await.is_some() {
                if events.send(Event::Signal(meaning)).is_err() {
                    return;
                }
            }
        });
    }
    Ok(())
}

/// An error with all that it says about its cause.
pub(crate) fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
