//! The proxy under test, servers that say who they are, clients.

use std::{
    io::{self, BufRead as _, BufReader, Read, Write},
    net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket},
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use ipvs_netlink::{
    Client, ConnectionEntry, Destination, DestinationEntry, ForwardMethod, InProcess, ServiceKey,
    VirtualService,
};
use lvs_proxy::{Control, Proxy, ProxyConfig};
use socket2::{Domain, Socket, Type};

/// Guards against hangs only; nothing here takes long.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A proxy with two workers and a client of its table.
pub(crate) struct Rig {
    pub(crate) table: Client<InProcess<Control>>,
    pub(crate) proxy: Proxy,
}

/// A TCP server that says its name to each client and then echoes what it gets, until the client has ended.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

/// A client's connection, and the name that the server said.
pub(crate) struct Connection {
    pub(crate) stream: BufReader<TcpStream>,
    pub(crate) server: String,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with(ProxyConfig::default())
    }

    pub(crate) fn with(config: ProxyConfig) -> Self {
        let two = NonZeroUsize::new(2).expect("not zero");
        let proxy = Proxy::start(ProxyConfig {
            workers: two,
            ..config
        })
        .expect("threads");
        let table = Client::connect(proxy.transport()).expect("the table answers");
        Self { table, proxy }
    }

    /// Adds a TCP service on a free port of 127.0.0.1.
    pub(crate) fn tcp(&mut self, scheduler: &str) -> ServiceKey {
        self.add(ServiceKey::tcp(free_address()), scheduler)
    }

    pub(crate) fn add(&mut self, key: ServiceKey, scheduler: &str) -> ServiceKey {
        self.table
            .add_service(&service(key, scheduler))
            .expect("can be listened for");
        key
    }

    pub(crate) fn destination(&mut self, key: &ServiceKey, address: SocketAddr, weight: u32) {
        self.table
            .add_destination(key, &destination(address, weight))
            .expect("a new one");
    }

    pub(crate) fn set(&mut self, key: &ServiceKey, destination: &Destination) {
        self.table
            .edit_destination(key, destination)
            .expect("a known one");
    }

    pub(crate) fn remove(&mut self, key: &ServiceKey, address: SocketAddr) {
        let gone = destination(address, 0).key();
        self.table
            .delete_destination(key, &gone)
            .expect("a known one");
    }

    /// The entry of the destination at `address`.
    pub(crate) fn entry(&mut self, key: &ServiceKey, address: SocketAddr) -> DestinationEntry {
        let entries = self.table.destinations(key).expect("a known service");
        entries
            .into_iter()
            .find(|entry| {
                SocketAddr::new(entry.destination.address, entry.destination.port) == address
            })
            .expect("a known destination")
    }

    /// Active and inactive connections of the destination.
    pub(crate) fn counts(&mut self, key: &ServiceKey, address: SocketAddr) -> (u32, u32) {
        let status = self.entry(key, address).status;
        (status.active_conns, status.inactive_conns)
    }

    /// The connection table.
    pub(crate) fn connections(&mut self) -> Vec<ConnectionEntry> {
        let mut all = Vec::new();
        self.table
            .connections(|entry| all.push(entry))
            .expect("a listing");
        all
    }

    /// The states of all entries, sorted.
    pub(crate) fn states(&mut self) -> Vec<String> {
        let mut states: Vec<_> = self
            .connections()
            .into_iter()
            .map(|entry| entry.state)
            .collect();
        states.sort();
        states
    }

    #[track_caller]
    pub(crate) fn wait_states(&mut self, states: &[&str]) {
        lvs_testkit::wait_until(&format!("states {states:?}"), LIMIT, || {
            (self.states() == states).then_some(())
        });
    }

    #[track_caller]
    pub(crate) fn wait_counts(
        &mut self,
        key: &ServiceKey,
        address: SocketAddr,
        counts: (u32, u32),
    ) {
        lvs_testkit::wait_until(&format!("counts {counts:?} of {address}"), LIMIT, || {
            (self.counts(key, address) == counts).then_some(())
        });
    }
}

impl Server {
    pub(crate) fn start(name: &str) -> Self {
        Self::start_at(name, (Ipv4Addr::LOCALHOST, 0).into())
    }

    pub(crate) fn start_at(name: &str, address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, line) = (Arc::clone(&stop), format!("{name}\n"));
        let thread = thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if stopped.load(SeqCst) {
                    return;
                }
                let line = line.clone();
                thread::spawn(move || echo(stream, &line));
            }
        });
        Self {
            address,
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, SeqCst);
        // Wakes the accept.
        let woken = TcpStream::connect(self.address);
        if let (Ok(_), Some(thread)) = (woken, self.thread.take()) {
            thread.join().expect("the server does not panic");
        }
    }
}

impl Connection {
    /// Connects and reads the server's name.
    pub(crate) fn open(key: &ServiceKey) -> io::Result<Self> {
        Self::start(TcpStream::connect(address(key))?)
    }

    /// The same from a certain address of this host.
    pub(crate) fn open_from(source: Ipv4Addr, key: &ServiceKey) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((source, 0)).into())?;
        socket.connect(&address(key).into())?;
        Self::start(socket.into())
    }

    fn start(stream: TcpStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(LIMIT))?;
        let mut stream = BufReader::new(stream);
        let mut server = String::new();
        if stream.read_line(&mut server)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Self {
            stream,
            server: server.trim_end().to_owned(),
        })
    }

    /// Sends and expects the echo.
    pub(crate) fn say(&mut self, text: &str) -> io::Result<()> {
        self.stream.get_mut().write_all(text.as_bytes())?;
        let mut heard = vec![0; text.len()];
        self.stream.read_exact(&mut heard)?;
        if heard == text.as_bytes() {
            Ok(())
        } else {
            Err(io::ErrorKind::InvalidData.into())
        }
    }

    /// Ends in order and expects that the server does too.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.stream.get_mut().shutdown(Shutdown::Write)?;
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest)?;
        if rest.is_empty() {
            Ok(())
        } else {
            Err(io::ErrorKind::InvalidData.into())
        }
    }
}

/// Opens `count` connections one after the other, ends each, and returns the servers' names in a row.
pub(crate) fn sequence(key: &ServiceKey, count: usize) -> String {
    let one = |_| {
        let connection = Connection::open(key).expect("a server");
        let server = connection.server.clone();
        connection.finish().expect("an end in order");
        server
    };
    (0..count).map(one).collect()
}

/// Holds true if the connection attempt was reset.
pub(crate) fn is_reset(key: &ServiceKey) -> bool {
    Connection::open(key).err().map(|error| error.kind()) == Some(io::ErrorKind::ConnectionReset)
}

pub(crate) fn service(key: ServiceKey, scheduler: &str) -> VirtualService {
    VirtualService::new(key, scheduler.parse().expect("a name"))
}

pub(crate) fn destination(address: SocketAddr, weight: u32) -> Destination {
    Destination {
        weight,
        ..Destination::new(address, ForwardMethod::Masq)
    }
}

/// Where clients of a service connect to.
pub(crate) fn address(key: &ServiceKey) -> SocketAddr {
    match key {
        ServiceKey::Address { address, port, .. } => SocketAddr::new(*address, *port),
        ServiceKey::Mark { .. } => panic!("a mark has no address"),
    }
}

pub(crate) fn free_address() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, lvs_testkit::free_port()).into()
}

/// Whether this host has IPv6 at all; says so if not.
pub(crate) fn has_ipv6() -> bool {
    let has = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    if !has {
        lvs_testkit::skip("no IPv6 on loopback");
    }
    has
}

fn echo(mut stream: TcpStream, line: &str) {
    let greeted = stream.write_all(line.as_bytes());
    let mut buffer = [0; 16 * 1024];
    while greeted.is_ok() {
        match stream.read(&mut buffer) {
            Ok(count) if count > 0 && stream.write_all(&buffer[..count]).is_ok() => {}
            _ => return,
        }
    }
}
