//! Which dataplane, and the thread that talks to its table.
//!
//! # Design
//! The client blocks, so it has a thread of its own: a table that is slow to answer never delays a
//! check. Jobs go in and replies come out in order, one at a time, as
//! [`Reconciler`](crate::reconcile::Reconciler) wants them.

use std::path::PathBuf;
use std::time::Duration;

use ipvs_netlink::{
    Client, Command, DestinationEntry, Failure, IpvsError, KernelTransport, ServiceEntry,
    ServiceRules, Transport, UnixTransport, socket,
};
use tokio::sync::{mpsc, oneshot};
use tracing::warn;

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
    Read(Vec<Command>),
    Audit,
    Apply(Vec<Command>),
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
}

impl Table {
    /// Starts the thread for the table at `place`; replies go to `replies`.
    ///
    /// # Errors
    ///
    /// When there can be no more threads.
    pub fn start(place: Place, replies: mpsc::UnboundedSender<Reply>) -> std::io::Result<Self> {
        let (jobs, queue) = std::sync::mpsc::channel();
        std::thread::Builder::new()
            .name("ipvs".to_owned())
            .spawn(move || work(&place, &queue, &replies))?;
        Ok(Self { jobs })
    }

    /// Reads the table, over a new connection; `first` is done before, whatever comes of it.
    pub fn read(&self, first: Vec<Command>) {
        let _ = self.jobs.send(Job::Read(first));
    }

    /// Reads the table over the connection that there is.
    pub fn audit(&self) {
        let _ = self.jobs.send(Job::Audit);
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
    place: &Place,
    queue: &std::sync::mpsc::Receiver<Job>,
    replies: &mpsc::UnboundedSender<Reply>,
) {
    let mut client = None;
    while let Ok(job) = queue.recv() {
        match job {
            Job::Read(first) => {
                client = None;
                let result = connect(place).and_then(|new| {
                    let client = client.insert(new);
                    if !first.is_empty() {
                        for failure in client.apply(&first)? {
                            warn!(
                                "The dataplane refuses a global setting - {}",
                                failure.refused
                            );
                        }
                    }
                    client.rules()
                });
                answer(result.map(Reply::Table), &mut client, replies);
            }
            Job::Audit => {
                let result = match &mut client {
                    Some(client) => client.rules(),
                    None => Err(IpvsError::Closed),
                };
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
    client: &mut Option<AnyClient>,
    replies: &mpsc::UnboundedSender<Reply>,
) {
    let reply = result.unwrap_or_else(|error| {
        *client = None;
        Reply::Lost(error.to_string())
    });
    // Without a receiver the checker is ending.
    let _ = replies.send(reply);
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
