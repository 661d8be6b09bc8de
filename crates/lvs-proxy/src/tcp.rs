//! One TCP connection: from accept over the choice of a server to its end.
//!
//! # Design
//! A server that refuses, cannot be reached or does not answer in time is avoided and the next one is asked,
//! before the client has noticed anything; IPVS would pass the refusal on. When no server is left the client is
//! reset, which is as close as a connection that was accepted can come to a refused one.

use std::{io, net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

use nix::errno::Errno;
use socket2::{Domain, SockRef, Socket, Type};
use tokio::{
    io::Interest,
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

use crate::{connections::Place, relay::relay, service::Service, worker::Worker};

/// How long a worker stops accepting after the system had no file or memory left for it.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A client's connection and the server's, reset when dropped unless they ended in order.
struct Pair {
    client: TcpStream,
    server: TcpStream,
    in_order: bool,
}

/// Accepts connections for `service` until it is dropped.
pub(crate) async fn accept_loop(
    worker: Rc<Worker>,
    service: Arc<Service>,
    listener: Rc<TcpListener>,
) {
    loop {
        worker.shared.room().await;
        match listener.accept().await {
            Ok((client, address)) => spawn(&worker, &service, client, address),
            // The client was faster: its connection is gone already.
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                log_trouble(&worker, &error);
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Takes what is waiting in the queue of a listener that is about to be closed: closing would reset it.
pub(crate) fn accept_rest(worker: &Rc<Worker>, service: &Arc<Service>, listener: &SockRef<'_>) {
    loop {
        let (client, address) = match listener.accept() {
            Ok(accepted) => accepted,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) if is_about_one_connection(&error) => continue,
            Err(error) => return log_trouble(worker, &error),
        };
        if client.set_nonblocking(true).is_ok()
            && let (Ok(client), Some(address)) =
                (TcpStream::from_std(client.into()), address.as_socket())
        {
            spawn(worker, service, client, address);
        }
    }
}

fn log_trouble(worker: &Worker, error: &io::Error) {
    let shared = &worker.shared;
    if let Some(held_back) = shared.notices.out_of_files.admit(shared.now()) {
        tracing::warn!(%error, held_back, "cannot accept connections");
    }
}

fn spawn(worker: &Rc<Worker>, service: &Arc<Service>, client: TcpStream, address: SocketAddr) {
    let place = worker.connections.open();
    let slot = place.slot();
    let task = serve(
        Rc::clone(worker),
        Arc::clone(service),
        client,
        address,
        place,
    );
    let task = tokio::task::spawn_local(task);
    worker.connections.set_task(slot, task.abort_handle());
}

async fn serve(
    worker: Rc<Worker>,
    service: Arc<Service>,
    client: TcpStream,
    address: SocketAddr,
    mut place: Place,
) {
    // Boxed: it is large, and gone once the connection stands.
    let Some(server) = Box::pin(connect(&worker, &service, &client, address, &mut place)).await
    else {
        place.unbook();
        reset(&client);
        return;
    };
    let mut pair = Pair {
        client,
        server,
        in_order: false,
    };
    match relay(
        &mut pair.client,
        &mut pair.server,
        &worker.resources,
        &place,
    )
    .await
    {
        Ok(()) => pair.in_order = true,
        Err(error) => {
            tracing::trace!(client = %address, way = ?error.way, error = %error.source, "connection broken")
        }
    }
}

/// Connects to the server that is chosen, or to the next one if that one cannot be reached.
async fn connect(
    worker: &Worker,
    service: &Arc<Service>,
    client: &TcpStream,
    address: SocketAddr,
    place: &mut Place,
) -> Option<TcpStream> {
    let shared = &worker.shared;
    let virtual_address = if service.endpoint.address.ip().is_unspecified() {
        client.local_addr().ok()?
    } else {
        service.endpoint.address
    };
    let mut avoid = Vec::new();
    for _ in 0..shared.config.connect_attempts.get() {
        let Some(booking) = service.choose(address, virtual_address, true, &avoid, shared.now())
        else {
            break;
        };
        let destination = Arc::clone(booking.destination());
        place.book(address, virtual_address, booking);
        let error = match timeout(shared.config.connect_timeout, open(destination.address)).await {
            Ok(Ok(server)) => {
                place.connected();
                return Some(server);
            }
            Ok(Err(error)) => error,
            Err(_) => io::ErrorKind::TimedOut.into(),
        };
        if let Some(held_back) = shared.notices.connect_failed.admit(shared.now()) {
            let virtual_service = &service.endpoint;
            let real_server = virtual_service.server(destination.address);
            tracing::warn!(%virtual_service, %real_server, %error, held_back, "real server cannot be reached");
        }
        avoid.push(destination.id);
    }
    if let Some(held_back) = shared.notices.nobody_available.admit(shared.now()) {
        let (virtual_service, tried) = (&service.endpoint, avoid.len());
        tracing::warn!(%virtual_service, tried, held_back, "client reset: no real server available");
    }
    None
}

async fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking(),
        None,
    )?;
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(Errno::EINPROGRESS as i32) => return Err(error),
        _ => {}
    }
    let stream = TcpStream::from_std(socket.into())?;
    let ready = stream.ready(Interest::WRITABLE | Interest::ERROR).await?;
    if ready.is_error() || ready.is_write_closed() {
        // Asked only now: it is a system call, and most connections have nothing to tell.
        return Err(stream
            .take_error()?
            .unwrap_or_else(|| io::ErrorKind::ConnectionReset.into()));
    }
    Ok(stream)
}

fn reset(socket: &TcpStream) {
    // A socket that refuses the option is closed in order; nothing else can be done about it.
    let _ = socket.set_zero_linger();
}

fn is_about_one_connection(error: &io::Error) -> bool {
    // accept(2) passes on errors of the connection that it was about to return.
    let errno = error
        .raw_os_error()
        .map_or(Errno::UnknownErrno, Errno::from_raw);
    matches!(
        errno,
        Errno::ECONNABORTED
            | Errno::ECONNRESET
            | Errno::EPROTO
            | Errno::EINTR
            | Errno::EAGAIN
            | Errno::ENETDOWN
            | Errno::ENETUNREACH
            | Errno::EHOSTDOWN
            | Errno::EHOSTUNREACH
    )
}

impl Drop for Pair {
    fn drop(&mut self) {
        if !self.in_order {
            reset(&self.client);
            reset(&self.server);
        }
    }
}
