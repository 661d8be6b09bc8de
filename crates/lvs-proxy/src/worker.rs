//! One worker: a thread with a runtime of its own that moves data.
//!
//! # Design
//! A worker shares nothing with the others but the services' pools. What the control side wants it says through a
//! channel, and waits for the answer where the order matters: a port may only be bound again after every worker
//! has closed its socket.

use std::{
    cell::RefCell,
    collections::HashMap,
    io,
    rc::Rc,
    sync::{Arc, mpsc as blocking},
    thread::{self, JoinHandle},
    time::Duration,
};

use ipvs_netlink::ConnectionEntry;
use socket2::SockRef;
use tokio::{
    net::TcpListener,
    runtime::{Builder, LocalOptions},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinHandle as Task,
    time::{MissedTickBehavior, interval},
};

use crate::{
    connections::{Connections, Cursor},
    listener::ListeningSocket,
    relay::Resources,
    service::{Endpoint, Service},
    shared::Shared,
    tcp,
    udp::UdpService,
};

/// How often entries are looked at for expiry.
const TICK: Duration = Duration::from_secs(1);

/// The largest datagram there is.
const DATAGRAM: usize = 65_535;

/// What a worker's tasks share.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) number: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) connections: Rc<Connections>,
    pub(crate) resources: Resources,
    pub(crate) datagram: RefCell<Box<[u8]>>,
    listening: RefCell<HashMap<Endpoint, Listening>>,
}

/// The control side's end of a worker. Dropping it ends the worker and everything in it.
#[derive(Debug)]
pub(crate) struct WorkerHandle {
    commands: Option<UnboundedSender<Command>>,
    thread: Option<JoinHandle<()>>,
}

/// Where a listing of one worker goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Tcp(Cursor),
    /// Number of the UDP service, and of the flow in it.
    Udp(usize, usize),
}

/// A piece of the connection table, and where to go on if there may be more.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) entries: Vec<ConnectionEntry>,
    pub(crate) next: Option<Place>,
}

#[derive(Debug)]
enum Command {
    Listen(
        Arc<Service>,
        ListeningSocket,
        blocking::Sender<io::Result<()>>,
    ),
    Unlisten(Endpoint, blocking::Sender<()>),
    List(Place, usize, blocking::Sender<Page>),
    CutAll,
}

#[derive(Debug)]
enum Listening {
    Tcp {
        service: Arc<Service>,
        listener: Rc<TcpListener>,
        task: Task<()>,
    },
    Udp {
        service: Rc<UdpService>,
        task: Task<()>,
    },
}

impl WorkerHandle {
    /// Starts a worker's thread; returns once its runtime stands.
    pub(crate) fn start(number: usize, shared: Arc<Shared>) -> io::Result<Self> {
        let (commands, receiver) = unbounded_channel();
        let (started, outcome) = blocking::channel();
        let name = format!("lvs-proxy-{number}");
        let thread = thread::Builder::new().name(name).spawn(move || {
            // Built here because it cannot leave its thread.
            let runtime = Builder::new_current_thread()
                .enable_io()
                .enable_time()
                .build_local(LocalOptions::default());
            match runtime {
                Ok(runtime) => {
                    let _ = started.send(Ok(()));
                    runtime.block_on(run(number, shared, receiver));
                }
                Err(error) => {
                    let _ = started.send(Err(error));
                }
            }
        })?;
        let handle = Self {
            commands: Some(commands),
            thread: Some(thread),
        };
        outcome
            .recv()
            .unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))?;
        Ok(handle)
    }

    /// Serves `service` on `socket` from now on.
    pub(crate) fn listen(&self, service: &Arc<Service>, socket: ListeningSocket) -> io::Result<()> {
        let ask = |reply| Command::Listen(Arc::clone(service), socket, reply);
        self.ask(ask)
            .unwrap_or_else(|| Err(io::ErrorKind::BrokenPipe.into()))
    }

    /// Tells the worker to close its socket; the socket is closed when the receiver hears of it.
    pub(crate) fn unlisten(&self, endpoint: Endpoint) -> blocking::Receiver<()> {
        let (reply, answer) = blocking::channel();
        self.tell(Command::Unlisten(endpoint, reply));
        answer
    }

    /// A page of the worker's connection table.
    pub(crate) fn list(&self, place: Place, limit: usize) -> Option<Page> {
        self.ask(|reply| Command::List(place, limit, reply))
    }

    /// Resets every connection.
    pub(crate) fn cut_all(&self) {
        self.tell(Command::CutAll);
    }

    fn tell(&self, command: Command) {
        if let Some(commands) = &self.commands {
            // A worker that has ended has closed everything already.
            let _ = commands.send(command);
        }
    }

    fn ask<T>(&self, command: impl FnOnce(blocking::Sender<T>) -> Command) -> Option<T> {
        let (reply, answer) = blocking::channel();
        self.tell(command(reply));
        answer.recv().ok()
    }
}

impl Drop for WorkerHandle {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("a worker has panicked");
        }
    }
}

async fn run(number: usize, shared: Arc<Shared>, mut commands: UnboundedReceiver<Command>) {
    let pipes = shared
        .config
        .pipe_limit
        .div_ceil(shared.config.workers.get());
    let worker = Rc::new(Worker {
        number,
        connections: Connections::new(number, Arc::clone(&shared)),
        shared,
        resources: Resources::new(pipes),
        datagram: RefCell::new(vec![0; DATAGRAM].into()),
        listening: RefCell::default(),
    });
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            command = commands.recv() => match command {
                Some(command) => worker.obey(command).await,
                None => return,
            },
            _ = ticks.tick() => worker.handle_timeout(),
        }
    }
}

impl Worker {
    async fn obey(self: &Rc<Self>, command: Command) {
        // Who asked may have given up waiting; that changes nothing.
        match command {
            Command::Listen(service, socket, reply) => {
                let _ = reply.send(self.listen(service, socket));
            }
            Command::Unlisten(endpoint, reply) => {
                self.unlisten(endpoint).await;
                let _ = reply.send(());
            }
            Command::List(place, limit, reply) => {
                let _ = reply.send(self.list(place, limit));
            }
            Command::CutAll => self.connections.cut_all(),
        }
    }

    fn listen(self: &Rc<Self>, service: Arc<Service>, socket: ListeningSocket) -> io::Result<()> {
        let endpoint = service.endpoint;
        let listening = match socket {
            ListeningSocket::Tcp(listener) => {
                let listener = Rc::new(TcpListener::from_std(listener)?);
                let task =
                    tcp::accept_loop(Rc::clone(self), Arc::clone(&service), Rc::clone(&listener));
                Listening::Tcp {
                    service,
                    listener,
                    task: tokio::task::spawn_local(task),
                }
            }
            ListeningSocket::Udp(socket) => {
                let service = UdpService::new(service, socket)?;
                let task = Rc::clone(&service).run(Rc::clone(self));
                Listening::Udp {
                    service,
                    task: tokio::task::spawn_local(task),
                }
            }
        };
        self.listening.borrow_mut().insert(endpoint, listening);
        Ok(())
    }

    /// Closes the socket of a service. TCP connections go on, what waits in the queue is accepted; UDP flows end,
    /// as there is no socket any more that could answer their clients.
    async fn unlisten(self: &Rc<Self>, endpoint: Endpoint) {
        let listening = self.listening.borrow_mut().remove(&endpoint);
        match listening {
            None => {}
            Some(Listening::Tcp {
                service,
                listener,
                task,
            }) => {
                task.abort();
                // Its end, not its result, is waited for: it holds the listener too.
                let _ = task.await;
                tcp::accept_rest(self, &service, &SockRef::from(&*listener));
            }
            Some(Listening::Udp { service, task }) => {
                task.abort();
                let _ = task.await;
                service.end();
            }
        }
    }

    fn handle_timeout(&self) {
        let now = self.shared.now();
        self.connections.handle_timeout(now);
        for listening in self.listening.borrow().values() {
            if let Listening::Udp { service, .. } = listening {
                service.handle_timeout(now);
            }
        }
    }

    fn list(&self, place: Place, limit: usize) -> Page {
        let mut entries = Vec::new();
        let next = match place {
            Place::Tcp(cursor) => match self.connections.list(cursor, limit, &mut entries) {
                Some(cursor) => Some(Place::Tcp(cursor)),
                None => Some(Place::Udp(0, 0)),
            },
            Place::Udp(number, cursor) => {
                let listening = self.listening.borrow();
                let mut services = listening.values().filter_map(|listening| match listening {
                    Listening::Udp { service, .. } => Some(service),
                    Listening::Tcp { .. } => None,
                });
                services.nth(number).map(|service| {
                    match service.list(cursor, limit, self.shared.now(), &mut entries) {
                        Some(cursor) => Place::Udp(number, cursor),
                        None => Place::Udp(number + 1, 0),
                    }
                })
            }
        };
        Page { entries, next }
    }
}
