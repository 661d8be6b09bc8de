//! Which dataplane, and the thread that talks to its table.
//!
//! # Design
//! The client blocks, so it has a thread of its own: a table that is slow to answer never delays a
//! check. Jobs go in and replies come out in order, one at a time, as
//! [`Reconciler`](crate::reconcile::Reconciler) wants them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ipvs_netlink::{
    Client, Command, DestinationEntry, Failure, IpvsError, KernelTransport, ServiceEntry,
    ServiceRules, Transport, UnixTransport, socket,
};
use tokio::sync::{mpsc, oneshot};
use tracing::warn;

use crate::options::DataplaneChoice;
use crate::record::{Record, RecordFile};
use crate::rundir::RunDir;
use crate::settings::{Keeper, Settings};
use crate::status::{DataplaneKind, DataplaneStatus};

/// How long the table may be silent.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// The dataplane that was asked for cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the kernel dataplane cannot be used: {reason}; --dataplane userspace needs no kernel support"
)]
pub struct Unavailable {
    /// Why.
    pub reason: String,
}

/// Chooses the dataplane, and says why.
///
/// # Errors
///
/// When the kernel's is asked for and cannot be had.
pub fn choose(choice: DataplaneChoice, run_dir: &RunDir) -> Result<DataplaneStatus, Unavailable> {
    let userspace = |reason: String| DataplaneStatus {
        kind: DataplaneKind::Userspace,
        reason,
        socket: Some(run_dir.ipvs_socket()),
        connected: false,
    };
    match choice {
        DataplaneChoice::Userspace => Ok(userspace("as --dataplane asks for".to_owned())),
        DataplaneChoice::Auto | DataplaneChoice::Kernel => match (socket::probe(), choice) {
            (Ok(info), _) => Ok(DataplaneStatus {
                kind: DataplaneKind::Kernel,
                reason: format!("IPVS {} is there and permitted", info.version),
                socket: None,
                connected: false,
            }),
            (Err(unavailable), DataplaneChoice::Kernel) => Err(Unavailable {
                reason: unavailable.to_string(),
            }),
            (Err(unavailable), _) => Ok(userspace(unavailable.to_string())),
        },
    }
}

/// Where the table is.
#[derive(Debug, Clone)]
pub enum Place {
    /// The kernel's, in the network namespace of this process.
    Kernel,
    /// That of a proxy, at this socket.
    Userspace(PathBuf),
}

type AnyClient = Client<Box<dyn Transport>>;

/// Counters as one dump shows them: each service with its destinations.
pub type Counts = Vec<(ServiceEntry, Vec<DestinationEntry>)>;

/// What the thread can be asked.
#[derive(Debug)]
enum Job {
    Set(Settings),
    Read {
        flush: bool,
    },
    Audit,
    Apply(Vec<Command>),
    Finish {
        flush: bool,
        done: oneshot::Sender<()>,
    },
    Count(oneshot::Sender<Option<Counts>>),
}

/// What the thread answers to [`Table::read`], [`Table::audit`] and [`Table::apply`].
#[derive(Debug)]
pub enum Reply {
    /// The table holds this.
    Table(Vec<ServiceRules>),
    /// The commands were applied, all but these.
    Applied(Vec<Failure>),
    /// The dataplane does not answer; why.
    Lost(String),
}

/// The way to the thread. It ends when this is dropped.
#[derive(Debug)]
pub struct Table {
    jobs: std::sync::mpsc::Sender<Job>,
    record: Arc<Mutex<RecordFile>>,
}

impl Table {
    /// Starts the thread for the table at `place`; replies go to `replies`. What is put there goes to
    /// `record` first.
    ///
    /// # Errors
    ///
    /// When there can be no more threads.
    pub fn start(
        place: Place,
        record: RecordFile,
        replies: mpsc::UnboundedSender<Reply>,
    ) -> std::io::Result<Self> {
        let (jobs, queue) = std::sync::mpsc::channel();
        let record = Arc::new(Mutex::new(record));
        let shared = Arc::clone(&record);
        let work = move || {
            let worker = Worker {
                place,
                client: None,
                keeper: Keeper::default(),
                record: shared,
                replies,
            };
            worker.serve(&queue);
        };
        std::thread::Builder::new()
            .name("ipvs".to_owned())
            .spawn(work)?;
        Ok(Self { jobs, record })
    }

    /// What is, or may be, in the table because of us or a predecessor.
    #[must_use]
    pub fn record(&self) -> Record {
        lock(&self.record).record().clone()
    }

    /// Changes the record, before the table is changed.
    pub fn update_record(&self, change: impl FnOnce(&mut Record)) {
        lock(&self.record).update(change);
    }

    /// Wishes for other settings beside the table; they are in force after the next reading, and are
    /// looked at with every further one.
    pub fn set(&self, settings: Settings) {
        let _ = self.jobs.send(Job::Set(settings));
    }

    /// Reads the table, over a new connection; with `flush` it is emptied first.
    pub fn read(&self, flush: bool) {
        let _ = self.jobs.send(Job::Read { flush });
    }

    /// Reads the table over the connection that there is.
    pub fn audit(&self) {
        let _ = self.jobs.send(Job::Audit);
    }

    /// Applies commands.
    pub fn apply(&self, commands: Vec<Command>) {
        let _ = self.jobs.send(Job::Apply(commands));
    }

    /// Puts all settings back as they were; with `flush` the table is emptied, too.
    pub fn finish(&self, flush: bool) -> oneshot::Receiver<()> {
        let (done, receiver) = oneshot::channel();
        let _ = self.jobs.send(Job::Finish { flush, done });
        receiver
    }

    /// Reads all counters; `None` when the dataplane does not answer.
    pub fn count(&self) -> oneshot::Receiver<Option<Counts>> {
        let (sender, receiver) = oneshot::channel();
        let _ = self.jobs.send(Job::Count(sender));
        receiver
    }
}

/// Nothing under the lock panics, and a record that is half changed would still be whole.
fn lock(record: &Mutex<RecordFile>) -> std::sync::MutexGuard<'_, RecordFile> {
    record.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Worker {
    place: Place,
    client: Option<AnyClient>,
    keeper: Keeper,
    record: Arc<Mutex<RecordFile>>,
    replies: mpsc::UnboundedSender<Reply>,
}

impl Worker {
    fn serve(mut self, queue: &std::sync::mpsc::Receiver<Job>) {
        while let Ok(job) = queue.recv() {
            match job {
                Job::Set(settings) => self.keeper.wish(settings),
                Job::Read { flush } => {
                    let result = self.connect().and_then(|()| self.read(flush));
                    self.answer(result.map(Reply::Table));
                }
                Job::Audit => {
                    let result = self.read(false);
                    self.answer(result.map(Reply::Table));
                }
                Job::Apply(commands) => {
                    let result = self.client().and_then(|client| client.apply(&commands));
                    self.answer(result.map(Reply::Applied));
                }
                Job::Finish { flush, done } => {
                    self.keeper.wish(Settings::default());
                    if let Err(error) = self.finish(flush) {
                        warn!("Unable to clean up the dataplane - {error}");
                    }
                    let _ = done.send(());
                }
                Job::Count(counts) => {
                    let result = self.client().and_then(count);
                    // Asked for by a person who may have gone.
                    let _ = counts.send(result.ok());
                }
            }
        }
    }

    fn connect(&mut self) -> Result<(), IpvsError> {
        self.client = None;
        self.client = Some(connect(&self.place)?);
        Ok(())
    }

    fn client(&mut self) -> Result<&mut AnyClient, IpvsError> {
        self.client.as_mut().ok_or(IpvsError::Closed)
    }

    fn read(&mut self, flush: bool) -> Result<Vec<ServiceRules>, IpvsError> {
        if flush {
            self.flush()?;
        }
        let client = self.client.as_mut().ok_or(IpvsError::Closed)?;
        self.keeper.keep(client, &mut lock(&self.record))?;
        client.rules()
    }

    fn finish(&mut self, flush: bool) -> Result<(), IpvsError> {
        let client = self.client.as_mut().ok_or(IpvsError::Closed)?;
        self.keeper.keep(client, &mut lock(&self.record))?;
        match flush {
            true => self.flush(),
            false => Ok(()),
        }
    }

    fn flush(&mut self) -> Result<(), IpvsError> {
        self.client()?.execute(&Command::Flush)?;
        lock(&self.record).update(|record| record.services.clear());
        Ok(())
    }

    fn answer(&mut self, result: Result<Reply, IpvsError>) {
        let reply = result.unwrap_or_else(|error| {
            self.client = None;
            Reply::Lost(error.to_string())
        });
        // Without a receiver the checker is ending.
        let _ = self.replies.send(reply);
    }
}

fn connect(place: &Place) -> Result<AnyClient, IpvsError> {
    let transport: Box<dyn Transport> = match place {
        Place::Kernel => Box::new(KernelTransport::open()?),
        Place::Userspace(socket) => Box::new(UnixTransport::connect(socket)?),
    };
    let mut client = Client::connect(transport)?;
    client.set_limit(ANSWER_LIMIT);
    Ok(client)
}

fn count(client: &mut AnyClient) -> Result<Counts, IpvsError> {
    let services = client.services()?;
    services
        .into_iter()
        .map(|entry| {
            let destinations = client.destinations(&entry.service.key)?;
            Ok((entry, destinations))
        })
        .collect()
}
