//! UDP services: a flow per client, a connected socket per flow.
//!
//! # Design
//! Datagrams of one client always reach the same worker, because the kernel chooses among the workers' sockets by
//! a hash of both addresses; so flows belong to one thread and need no lock. A flow's socket is connected to its
//! server, which makes the kernel deliver the server's answers, and its refusals, to this flow alone.
//!
//! A flow is scheduled anew, with its client's next datagram, when its server refused (port unreachable) or is not
//! in the service any more. IPVS drops the client's datagrams in the second case until the flow expires; there is
//! no connection here that moving the client could break.

use std::{
    cell::{Cell, RefCell},
    io::{self, Read as _},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use ipvs_netlink::ConnectionEntry;
use lvs_sched::DestinationId;
use socket2::SockRef;
use tokio::{
    io::Interest,
    net::UdpSocket,
    task::{AbortHandle, coop::consume_budget},
};

use crate::{
    datagram::DatagramSocket,
    flow::{FlowKey, Flows},
    service::{Booking, Destination, Service},
    shared::FlowPlace,
    stats::Way,
    worker::Worker,
};

/// How long the socket of a one-packet flow waits for an answer. The flow itself ends at once.
const ONE_PACKET_ANSWER: Duration = Duration::from_secs(30);

/// A UDP service on one worker.
#[derive(Debug)]
pub(crate) struct UdpService {
    service: Arc<Service>,
    socket: DatagramSocket,
    flows: RefCell<Flows<Flow>>,
}

#[derive(Debug)]
struct Flow {
    upstream: Rc<UdpSocket>,
    destination: Arc<Destination>,
    /// None with one-packet scheduling: the place was given back at once.
    booking: Option<Booking>,
    answered: Cell<bool>,
    /// The service's count of removals when the destination was last known to be in it.
    removals: Cell<u64>,
    answers: AbortHandle,
    _place: FlowPlace,
}

impl UdpService {
    pub(crate) fn new(service: Arc<Service>, socket: std::net::UdpSocket) -> io::Result<Rc<Self>> {
        let socket = DatagramSocket::new(socket)?;
        Ok(Rc::new(Self {
            service,
            socket,
            flows: RefCell::default(),
        }))
    }

    /// Forwards what clients send, until it is dropped.
    pub(crate) async fn run(self: Rc<Self>, worker: Rc<Worker>) {
        loop {
            // Waiting does not yield while there is something; the other tasks want their turn too.
            consume_budget().await;
            if self.socket.readable().await.is_err() {
                // The runtime is shutting down.
                return;
            }
            let mut buffer = worker.datagram.borrow_mut();
            // An error is an earlier answer's: that client does not listen any more. Its flow expires.
            let Ok(received) = self.socket.receive(&mut buffer) else {
                continue;
            };
            let key = FlowKey {
                client: received.client,
                local: received.local,
                server: None,
            };
            if let Some(datagram) = buffer.get(..received.bytes) {
                self.forward(&worker, key, datagram);
            }
        }
    }

    /// Lets flows expire; to be called about once a second.
    pub(crate) fn handle_timeout(&self, now: Duration) {
        let expired = self.flows.borrow_mut().expire(now);
        drop(expired);
    }

    /// Ends all flows. Their tasks hold this service, so it would not go by itself.
    pub(crate) fn end(&self) {
        let flows = self.flows.take();
        drop(flows);
    }

    /// Adds up to `limit` flows from `cursor` on; returns where to go on, if there may be more.
    pub(crate) fn list(
        &self,
        cursor: usize,
        limit: usize,
        now: Duration,
        entries: &mut Vec<ConnectionEntry>,
    ) -> Option<usize> {
        let flows = self.flows.borrow();
        let mut cursor = cursor;
        for _ in 0..limit {
            let (next, key, expires, flow) = flows.at_or_after(cursor)?;
            cursor = next;
            if flow.booking.is_none() {
                continue;
            }
            entries.push(ConnectionEntry {
                protocol: "UDP".to_owned(),
                client: key.client,
                virtual_address: SocketAddr::new(key.local, self.service.endpoint.address.port()),
                destination: flow.destination.address,
                state: "UDP".to_owned(),
                expires: expires.saturating_sub(now),
                engine: None,
            });
        }
        Some(cursor)
    }

    /// Sends a client's datagram to its server, to another one if that refuses.
    fn forward(self: &Rc<Self>, worker: &Rc<Worker>, key: FlowKey, datagram: &[u8]) {
        let now = worker.shared.now();
        let expires = now + worker.shared.timeouts().udp;
        let mut avoid = Vec::new();
        if !self.service.one_packet()
            && let Some(flow) = self.flows.borrow_mut().touch(&key, expires)
            && self.still_there(flow)
        {
            match flow.send(worker, &self.service, datagram) {
                Ok(()) => return,
                Err(refused) => avoid.push(refused),
            }
        }
        for _ in 0..worker.shared.config.connect_attempts.get() {
            match self.start(worker, key, datagram, &avoid, now) {
                Some(Err(refused)) => avoid.push(refused),
                Some(Ok(())) => return,
                None => break,
            }
        }
        if let Some(held_back) = worker.shared.notices.nobody_available.admit(now) {
            let (virtual_service, tried) = (&self.service.endpoint, avoid.len());
            tracing::warn!(%virtual_service, tried, held_back, "datagram dropped: no real server available");
        }
    }

    /// Schedules a new flow and sends its first datagram. None: nobody is available.
    fn start(
        self: &Rc<Self>,
        worker: &Rc<Worker>,
        key: FlowKey,
        datagram: &[u8],
        avoid: &[DestinationId],
        now: Duration,
    ) -> Option<Result<(), DestinationId>> {
        let local = SocketAddr::new(key.local, self.service.endpoint.address.port());
        let removals = self.service.removals();
        let booking = self.service.choose(key.client, local, false, avoid, now)?;
        let destination = Arc::clone(booking.destination());
        let one_packet = self.service.one_packet();
        let (key, booking, life) = if one_packet {
            // The place is given back right here: the flow is over once its datagram is on its way.
            drop(booking);
            (
                FlowKey {
                    server: Some(destination.address),
                    ..key
                },
                None,
                ONE_PACKET_ANSWER,
            )
        } else {
            (key, Some(booking), worker.shared.timeouts().udp)
        };
        if avoid.is_empty() {
            self.service.counters.cell(worker.number).connection();
        }
        destination.counters.cell(worker.number).connection();
        let life = life.min(worker.shared.timeouts().udp);
        if one_packet && let Some(flow) = self.flows.borrow_mut().touch(&key, now + life) {
            return Some(flow.send(worker, &self.service, datagram));
        }
        let (upstream, place) = match open(worker, destination.address) {
            Ok((upstream, place)) => (Rc::new(upstream), place),
            Err(error) => {
                if let Some(held_back) = worker.shared.notices.connect_failed.admit(now) {
                    let real_server = self.service.endpoint.server(destination.address);
                    tracing::warn!(%real_server, %error, held_back, "no socket for a flow");
                }
                return Some(Err(destination.id));
            }
        };
        let answers = Rc::clone(self).answer(Rc::clone(worker), key, Rc::clone(&upstream));
        let answers = tokio::task::spawn_local(answers).abort_handle();
        let flow = Flow {
            upstream,
            destination,
            booking,
            answered: Cell::new(false),
            removals: Cell::new(removals),
            answers,
            _place: place,
        };
        let sent = flow.send(worker, &self.service, datagram);
        if sent.is_ok() {
            let old = self.flows.borrow_mut().insert(key, now + life, flow);
            drop(old);
        }
        Some(sent)
    }

    /// Brings a server's answers to the client, until the flow ends.
    async fn answer(self: Rc<Self>, worker: Rc<Worker>, key: FlowKey, upstream: Rc<UdpSocket>) {
        // A refusal is an error without data, which readable alone would not report.
        let news = Interest::READABLE | Interest::ERROR;
        loop {
            consume_budget().await;
            let Ok(ready) = upstream.ready(news).await else {
                return;
            };
            let interest = if ready.is_readable() {
                Interest::READABLE
            } else {
                Interest::ERROR
            };
            let mut buffer = worker.datagram.borrow_mut();
            let receive = || (&*SockRef::from(&*upstream)).read(&mut buffer);
            let bytes = match upstream.try_io(interest, receive) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(_) => {
                    // Port unreachable. The client's next datagram finds no flow and is scheduled anew.
                    let refused = self.flows.borrow_mut().remove(&key);
                    drop(refused);
                    return;
                }
            };
            let life = worker.shared.timeouts().udp;
            let life = if key.server.is_some() {
                life.min(ONE_PACKET_ANSWER)
            } else {
                life
            };
            if let Some(flow) = self
                .flows
                .borrow_mut()
                .touch(&key, worker.shared.now() + life)
            {
                flow.count(&worker, &self.service, Way::Out, bytes);
                if !flow.answered.replace(true)
                    && let Some(booking) = &flow.booking
                {
                    booking.establish();
                }
            }
            // A datagram that the system cannot take right now is lost, as on any network.
            let _ = self.socket.send(
                buffer.get(..bytes).unwrap_or_default(),
                key.local,
                key.client,
            );
        }
    }

    /// Whether the flow's server is in the service; looks it up only after some server was removed.
    fn still_there(&self, flow: &Flow) -> bool {
        let removals = self.service.removals();
        if flow.removals.get() != removals {
            if !self.service.is_available(flow.destination.id) {
                return false;
            }
            flow.removals.set(removals);
        }
        true
    }
}

impl Flow {
    /// Fails with the server that refused an earlier datagram; this one was not sent then.
    fn send(
        &self,
        worker: &Worker,
        service: &Service,
        datagram: &[u8],
    ) -> Result<(), DestinationId> {
        // Past the runtime: it does not know yet that a new socket is writable, and there is no waiting anyway.
        match SockRef::from(&*self.upstream).send(datagram) {
            Err(error) if is_refusal(&error) => Err(self.destination.id),
            // Sent, or lost for lack of room, as on any network.
            _ => {
                self.count(worker, service, Way::In, datagram.len());
                Ok(())
            }
        }
    }

    fn count(&self, worker: &Worker, service: &Service, way: Way, bytes: usize) {
        service.counters.cell(worker.number).packet(way, bytes);
        self.destination
            .counters
            .cell(worker.number)
            .packet(way, bytes);
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.answers.abort();
    }
}

fn open(worker: &Worker, server: SocketAddr) -> io::Result<(UdpSocket, FlowPlace)> {
    let place = worker.shared.flow().ok_or(io::ErrorKind::QuotaExceeded)?;
    let any: SocketAddr = if server.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = std::net::UdpSocket::bind(any)?;
    socket.set_nonblocking(true)?;
    socket.connect(server)?;
    Ok((UdpSocket::from_std(socket)?, place))
}

fn is_refusal(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
    matches!(
        error.kind(),
        ConnectionRefused | HostUnreachable | NetworkUnreachable
    )
}
