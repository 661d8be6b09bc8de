//! The table's face: clients on Unix sockets, and what is done by the clock.
//!
//! # Design
//! One thread with a runtime of its own, so that a client that does not read hinders neither the others nor any
//! worker. The table is locked while one piece of an answer is made.

use std::{
    io,
    os::unix::net::UnixListener,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use ipvs_netlink::{Session, Table};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    runtime::{Builder, Runtime},
    sync::{
        Semaphore,
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    },
    time::{interval, sleep},
};

use crate::{Control, shared::Shared, stats::SAMPLE_INTERVAL};

/// Clients that are answered at a time; more wait.
const CLIENTS: usize = 64;

/// What is read from a client at once.
const CHUNK: usize = 16 * 1024;

type SharedTable = Arc<Mutex<Table<Control>>>;

/// The thread that answers clients. Dropping it ends the thread and closes all its sockets.
#[derive(Debug)]
pub(crate) struct Face {
    listeners: Option<UnboundedSender<UnixListener>>,
    thread: Option<JoinHandle<()>>,
}

impl Face {
    pub(crate) fn start(table: SharedTable, shared: Arc<Shared>) -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let (listeners, receiver) = unbounded_channel();
        let thread = thread::Builder::new()
            .name("lvs-proxy-table".to_owned())
            .spawn(move || run(&runtime, table, &shared, receiver))?;
        Ok(Self {
            listeners: Some(listeners),
            thread: Some(thread),
        })
    }

    pub(crate) fn serve(&self, listener: UnixListener) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        let sent = self
            .listeners
            .as_ref()
            .map(|listeners| listeners.send(listener));
        sent.and_then(Result::ok)
            .ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}

impl Drop for Face {
    fn drop(&mut self) {
        self.listeners = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the table's thread has panicked");
        }
    }
}

fn run(
    runtime: &Runtime,
    table: SharedTable,
    shared: &Shared,
    mut listeners: UnboundedReceiver<UnixListener>,
) {
    let clients = Arc::new(Semaphore::new(CLIENTS));
    runtime.block_on(async {
        let mut second = interval(Duration::from_secs(1));
        let mut sample = interval(SAMPLE_INTERVAL);
        loop {
            tokio::select! {
                listener = listeners.recv() => match listener {
                    Some(listener) => match tokio::net::UnixListener::from_std(listener) {
                        Ok(listener) => {
                            tokio::spawn(accept(listener, Arc::clone(&table), Arc::clone(&clients)));
                        }
                        Err(error) => tracing::error!(%error, "cannot listen for clients of the table"),
                    },
                    None => return,
                },
                _ = second.tick() => lock(&table).dataplane_mut().handle_timeout(shared.now()),
                _ = sample.tick() => lock(&table).dataplane().sample(),
            }
        }
    });
}

async fn accept(listener: tokio::net::UnixListener, table: SharedTable, clients: Arc<Semaphore>) {
    // The semaphore is never closed.
    while let Ok(permit) = Arc::clone(&clients).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let table = Arc::clone(&table);
                tokio::spawn(async move {
                    if let Err(error) = answer(stream, &table).await {
                        tracing::debug!(%error, "client of the table gone");
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept clients of the table");
                sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn answer(mut stream: UnixStream, table: &Mutex<Table<Control>>) -> io::Result<()> {
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    let mut session = Session::new();
    let (mut input, mut output) = (vec![0; CHUNK], Vec::new());
    loop {
        let count = stream.read(&mut input).await?;
        if count == 0 {
            return Ok(());
        }
        session
            .handle_input(input.get(..count).unwrap_or_default())
            .map_err(invalid)?;
        // The guard is gone before anything is waited for.
        while session
            .poll_output(&mut lock(table), &mut output)
            .map_err(invalid)?
        {
            stream.write_all(&output).await?;
            output.clear();
        }
        stream.write_all(&output).await?;
        output.clear();
    }
}

fn lock(table: &Mutex<Table<Control>>) -> MutexGuard<'_, Table<Control>> {
    // The table changes at the end of a command only, so it is whole after a panic too.
    table.lock().unwrap_or_else(PoisonError::into_inner)
}
