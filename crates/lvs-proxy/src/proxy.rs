//! A running dataplane.

use std::{
    io,
    os::unix::net::UnixListener,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ipvs_netlink::{InProcess, Table};

use crate::{
    Control, ProxyConfig,
    face::Face,
    limits::{capacity, raise_open_files},
    shared::Shared,
    worker::WorkerHandle,
};

/// A running dataplane: its workers, and the table that rules over them.
///
/// It starts empty. Services and destinations come through the table: from a process that connects to a socket
/// given to [`serve`](Self::serve), or from this one through [`transport`](Self::transport).
///
/// Dropping it resets all connections and waits for the threads to end; [`drain`](Self::drain) first is kinder.
#[derive(Debug)]
pub struct Proxy {
    // Dropped in this order: nobody may ask workers that are gone.
    face: Face,
    table: Arc<Mutex<Table<Control>>>,
    shared: Arc<Shared>,
}

/// How a [`drain`](Proxy::drain) ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were still open when the time was over, and have been reset.
    pub cut: usize,
}

impl Proxy {
    /// Starts the workers. Listens nowhere yet.
    ///
    /// The limit of open files is raised as far as permitted, for the whole process: a connection needs two, a
    /// UDP flow one. TCP clients beyond what that allows wait until others end; UDP flows take half of it at
    /// most, and datagrams that would begin more are dropped.
    ///
    /// # Errors
    /// When threads or their event queues cannot be made.
    pub fn start(config: ProxyConfig) -> io::Result<Self> {
        let workers = config.workers.get();
        let capacity = capacity(raise_open_files());
        tracing::info!(workers, capacity, "userspace dataplane started");
        let shared = Arc::new(Shared::new(config, capacity));
        let workers: io::Result<Vec<_>> = (0..workers)
            .map(|number| WorkerHandle::start(number, Arc::clone(&shared)))
            .collect();
        let control = Control::new(Arc::clone(&shared), workers?);
        let table = Arc::new(Mutex::new(Table::new(control)));
        let face = Face::start(Arc::clone(&table), Arc::clone(&shared))?;
        Ok(Self {
            face,
            table,
            shared,
        })
    }

    /// Answers the IPVS table protocol on `listener` from now on, to any number of clients.
    ///
    /// Who may connect may change everything: give the socket a mode of 0600.
    ///
    /// # Errors
    /// When the listener cannot be watched.
    pub fn serve(&self, listener: UnixListener) -> io::Result<()> {
        self.face.serve(listener)
    }

    /// A transport for [`ipvs_netlink::Client`] inside this process.
    #[must_use]
    pub fn transport(&self) -> InProcess<Control> {
        InProcess::new(Arc::clone(&self.table))
    }

    /// TCP connections of clients that are open now.
    #[must_use]
    pub fn live_connections(&self) -> usize {
        self.shared.live()
    }

    /// Stops accepting, for good, and waits until all connections have ended; after `limit` the rest is reset.
    ///
    /// What clients had connected before is accepted still. UDP flows end at once. The table goes on answering,
    /// but takes no new service. Blocks the calling thread.
    pub fn drain(&self, limit: Duration) -> Drained {
        self.control().dataplane_mut().stop_accepting();
        let cut = self.shared.wait_idle(limit);
        if cut > 0 {
            self.control().dataplane().cut_all();
        }
        Drained { cut }
    }

    fn control(&self) -> MutexGuard<'_, Table<Control>> {
        // The table changes at the end of a command only, so it is whole after a panic too.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
