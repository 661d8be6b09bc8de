//! Which dataplane, and the thread that talks to its table.
//!
//! # Design
//! The client blocks, so it has a thread of its own: a table that is slow to answer never delays a
//! check. Jobs go in and replies come out in order, one at a time, as
//! [`Reconciler`](crate::reconcile::Reconciler) wants them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ipvs_netlink::{
    Client, Command, DestinationEntry, Failure, IpvsError, ServiceEntry, ServiceRules,
    UnixTransport,
};
use tokio::sync::{mpsc, oneshot};

use crate::options::DataplaneChoice;
use crate::rundir::RunDir;
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
        DataplaneChoice::Auto => Ok(userspace(kernel_refusal())),
        DataplaneChoice::Kernel => Err(Unavailable {
            reason: kernel_refusal(),
        }),
    }
}

/// Why the kernel's IPVS cannot be used.
fn kernel_refusal() -> String {
    if !Path::new("/proc/net/ip_vs").exists() {
        return "the kernel has no IPVS here (module ip_vs not loaded)".to_owned();
    }
    "this version cannot drive the kernel's IPVS yet".to_owned()
}

/// Counters as one dump shows them: each service with its destinations.
pub type Counts = Vec<(ServiceEntry, Vec<DestinationEntry>)>;

/// What the thread can be asked.
#[derive(Debug)]
enum Job {
    Read(Vec<Command>),
    Apply(Vec<Command>),
    Count(oneshot::Sender<Option<Counts>>),
}

/// What the thread answers to [`Table::read`] and [`Table::apply`].
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
}

impl Table {
    /// Starts the thread for the userspace dataplane's table at `socket`; replies go to `replies`.
    ///
    /// # Errors
    ///
    /// When there can be no more threads.
    pub fn start(socket: PathBuf, replies: mpsc::UnboundedSender<Reply>) -> std::io::Result<Self> {
        let (jobs, queue) = std::sync::mpsc::channel();
        std::thread::Builder::new()
            .name("ipvs".to_owned())
            .spawn(move || work(&socket, &queue, &replies))?;
        Ok(Self { jobs })
    }

    /// Reads the table, over a new connection; `first` is done before, whatever comes of it.
    pub fn read(&self, first: Vec<Command>) {
        let _ = self.jobs.send(Job::Read(first));
    }

    /// Applies commands.
    pub fn apply(&self, commands: Vec<Command>) {
        let _ = self.jobs.send(Job::Apply(commands));
    }

    /// Reads all counters; `None` when the dataplane does not answer.
    pub fn count(&self) -> oneshot::Receiver<Option<Counts>> {
        let (sender, receiver) = oneshot::channel();
        let _ = self.jobs.send(Job::Count(sender));
        receiver
    }
}

fn work(
    socket: &Path,
    queue: &std::sync::mpsc::Receiver<Job>,
    replies: &mpsc::UnboundedSender<Reply>,
) {
    let mut client = None;
    while let Ok(job) = queue.recv() {
        match job {
            Job::Read(first) => {
                client = None;
                let result = connect(socket).and_then(|new| {
                    let client = client.insert(new);
                    if !first.is_empty() {
                        client.apply(&first)?;
                    }
                    client.rules()
                });
                answer(result.map(Reply::Table), &mut client, replies);
            }
            Job::Apply(commands) => {
                let result = match &mut client {
                    Some(client) => client.apply(&commands),
                    None => Err(IpvsError::Closed),
                };
                answer(result.map(Reply::Applied), &mut client, replies);
            }
            Job::Count(counts) => {
                let result = client.as_mut().map(count);
                // Asked for by a person who may have gone.
                let _ = counts.send(result.and_then(Result::ok));
            }
        }
    }
}

fn answer(
    result: Result<Reply, IpvsError>,
    client: &mut Option<Client<UnixTransport>>,
    replies: &mpsc::UnboundedSender<Reply>,
) {
    let reply = result.unwrap_or_else(|error| {
        *client = None;
        Reply::Lost(error.to_string())
    });
    // Without a receiver the checker is ending.
    let _ = replies.send(reply);
}

fn connect(socket: &Path) -> Result<Client<UnixTransport>, IpvsError> {
    let mut client = Client::connect(UnixTransport::connect(socket)?)?;
    client.set_limit(ANSWER_LIMIT);
    Ok(client)
}

fn count(client: &mut Client<UnixTransport>) -> Result<Counts, IpvsError> {
    let services = client.services()?;
    services
        .into_iter()
        .map(|entry| {
            let destinations = client.destinations(&entry.service.key)?;
            Ok((entry, destinations))
        })
        .collect()
}
