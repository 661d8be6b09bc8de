//! A dataplane for tests of the listings: counters as told, connections as listed.

use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use ipvs_netlink::{
    Command, ConnectionEntry, Dataplane, DestinationKey, DestinationStatus, Refusal, ServiceKey,
    Stats, Table, unix,
};

#[derive(Default)]
pub(crate) struct Plane {
    pub(crate) stats: Stats,
    pub(crate) connections: Vec<ConnectionEntry>,
}

impl Dataplane for Plane {
    fn apply(&mut self, command: &Command) -> Result<(), Refusal> {
        match command {
            // The one interface of the recordings.
            Command::StartDaemon(daemon) if daemon.interface != "d0" => Err(libc::ENODEV.into()),
            Command::AddService(service) if service.key.port() == 666 => {
                let message = format!("cannot listen on {}: address not there", service.key);
                Err(Refusal::new(libc::EADDRNOTAVAIL, message))
            }
            Command::Zero(_) => {
                self.stats = Stats::default();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn knows_engine(&self, name: &str) -> bool {
        name == "sip"
    }

    fn service_stats(&mut self, _: &ServiceKey) -> Stats {
        self.stats
    }

    fn destination_status(
        &mut self,
        service: &ServiceKey,
        key: &DestinationKey,
    ) -> DestinationStatus {
        let mut status = DestinationStatus {
            stats: self.stats,
            ..DestinationStatus::default()
        };
        for entry in &self.connections {
            let of_service = match service {
                ServiceKey::Address {
                    protocol, address, ..
                } => entry.protocol == protocol.as_str() && entry.virtual_address.ip() == *address,
                ServiceKey::Mark { .. } => true,
            };
            let port = entry.destination.port();
            if !of_service
                || entry.destination.ip() != key.address
                || (key.port != port && key.port != 0)
            {
                continue;
            }
            match (entry.client.port(), entry.state.as_str()) {
                (0, _) => status.persist_conns += 1,
                (_, "ESTABLISHED" | "SYN_RECV") => status.active_conns += 1,
                _ => status.inactive_conns += 1,
            }
        }
        status
    }

    fn connections(&mut self, position: u64, entries: &mut Vec<ConnectionEntry>) -> Option<u64> {
        // One at a time, so that the pieces show.
        let next = usize::try_from(position).unwrap();
        entries.extend(self.connections.get(next).cloned());
        (next + 1 < self.connections.len()).then_some(position + 1)
    }
}

/// A table of that dataplane on a socket of its own.
#[allow(dead_code, reason = "some tests need the socket only")]
pub(crate) struct Served {
    pub(crate) table: Arc<Mutex<Table<Plane>>>,
    pub(crate) socket: PathBuf,
    pub(crate) folder: tempfile::TempDir,
}

impl Served {
    pub(crate) fn new(plane: Plane) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("ipvs.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let table = Arc::new(Mutex::new(Table::new(plane)));
        let served = Arc::clone(&table);
        std::thread::spawn(move || unix::serve(&listener, &served));
        Self {
            table,
            socket,
            folder,
        }
    }
}
