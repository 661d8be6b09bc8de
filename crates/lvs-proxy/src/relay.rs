//! Moves the data of one connection, both directions, until both have ended.
//!
//! # Design
//! One future polls both directions, so a connection is one task. The first [`COPY_FIRST`] bytes of a direction
//! are copied through a buffer that all connections of a worker share: a request or a short answer costs one read
//! and one write, and an idle connection holds no buffer. What comes after goes through splice(2) as long as it
//! comes in bulk; when a burst was small, the direction goes back to copying until a read fills the buffer,
//! because for a small piece splice(2) needs one system call more.
//!
//! When the end of a sender's data has arrived together with the last of them, both are handed on together: one
//! segment less, and one less to wake up for.
//!
//! Back-pressure is the absence of reading: as long as a piece cannot be handed on, nothing more is read. What is
//! held then is the rest of one read (at most [`BUFFER`] bytes, allocated just then) or one pipe.

use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead as _, AsyncWrite as _, Interest, ReadBuf},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    task::yield_now,
};

use crate::{
    pipe::{Pipe, PipePool},
    stats::Way,
};

/// Bytes of a direction that are copied before splice(2) is considered.
const COPY_FIRST: u64 = 64 * 1024;

/// Size of the shared buffer: one read.
const BUFFER: usize = 16 * 1024;

/// A burst below this ends splicing.
const SMALL_BURST: usize = BUFFER;

/// After this many bytes in a row a direction lets the other connections have their turn.
const TURN: usize = 1024 * 1024;

/// How long a side may be silent before TCP asks whether it lives.
pub(crate) const PROBE_AFTER: Duration = Duration::from_secs(120);

/// What the connections of one worker share for moving data.
#[derive(Debug)]
pub(crate) struct Resources {
    buffer: RefCell<Box<[u8]>>,
    pipes: Rc<PipePool>,
}

/// Whether it is to be found out if both ends of a silent connection live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Probe {
    Wanted,
    Unwanted,
}

/// Hears what happens to the data of a connection.
pub(crate) trait Observer {
    /// The relay looks at its sockets; `waker` makes it do so again.
    fn polled(&self, waker: &Waker) -> Probe;
    /// A piece was read; it has not been handed on yet.
    fn moved(&self, way: Way, bytes: usize);
    /// The sender of this way has ended its data.
    fn ended(&self, way: Way);
}

/// Why a relay ended before both directions had.
#[derive(Debug, thiserror::Error)]
#[error("data could not be moved {}", match .way { Way::In => "to the server", Way::Out => "to the client" })]
pub(crate) struct Broken {
    pub(crate) way: Way,
    pub(crate) source: io::Error,
}

#[derive(Debug)]
struct Direction {
    way: Way,
    held: Held,
    copied: u64,
    burst: usize,
    splicing: bool,
    /// TCP_NODELAY is set; towards clients it comes from the listener.
    undelayed: bool,
    /// What the sender's socket said after the data that are held.
    failed: Option<io::Error>,
    phase: Phase,
}

/// Data that was read and not handed on yet.
#[derive(Debug)]
enum Held {
    Nothing,
    Bytes { bytes: Box<[u8]>, sent: usize },
    Pipe(Pipe),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// The sender has ended. Often the receiver is just about to end too, as when both know that an
    /// answer is complete; so the others have a turn first.
    Ended,
    /// The receiver is to hear of it.
    Ending,
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Nothing is left to do.
    Done,
    /// The other connections are to have their turn.
    Turn,
}

struct Circumstances<'a, O> {
    resources: &'a Resources,
    observer: &'a O,
    /// The other direction is over.
    last: bool,
}

impl Resources {
    /// With at most `pipes` pipes lent at a time.
    pub(crate) fn new(pipes: usize) -> Self {
        Self {
            buffer: RefCell::new(vec![0; BUFFER].into()),
            pipes: PipePool::new(pipes),
        }
    }
}

/// Moves data between `client` and `server` until both have ended theirs.
///
/// # Errors
///
/// When a socket fails; the caller then resets both connections.
pub(crate) async fn relay(
    client: &mut TcpStream,
    server: &mut TcpStream,
    resources: &Resources,
    observer: &impl Observer,
) -> Result<(), Broken> {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let (mut inward, mut outward) = (Direction::new(Way::In), Direction::new(Way::Out));
    loop {
        let step = poll_fn(|cx| {
            if observer.polled(cx.waker()) == Probe::Wanted {
                probe(from_client.as_ref(), to_server.as_ref())?;
            }
            let mut circumstances = Circumstances {
                resources,
                observer,
                last: outward.is_over(),
            };
            let in_step = inward.poll(cx, &mut from_client, &mut to_server, &circumstances);
            circumstances.last = inward.is_over();
            // Also when the other direction has just failed: what a server said before it went is
            // still passed on.
            let out_step = outward.poll(cx, &mut from_server, &mut to_client, &circumstances);
            match (in_step?, out_step?) {
                (Poll::Ready(Step::Done), Poll::Ready(Step::Done)) => Poll::Ready(Ok(Step::Done)),
                (Poll::Ready(Step::Turn), _) | (_, Poll::Ready(Step::Turn)) => {
                    Poll::Ready(Ok(Step::Turn))
                }
                _ => Poll::Pending,
            }
        });
        match step.await? {
            Step::Done => return Ok(()),
            // Comes back after the sockets have been looked at.
            Step::Turn => yield_now().await,
        }
    }
}

impl Direction {
    fn new(way: Way) -> Self {
        Self {
            way,
            held: Held::Nothing,
            copied: 0,
            burst: 0,
            splicing: false,
            undelayed: false,
            failed: None,
            phase: Phase::Open,
        }
    }

    /// Everything that the sender has said has been handed on, and it will say no more.
    fn is_over(&self) -> bool {
        self.phase != Phase::Open && self.held.is_empty()
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut ReadHalf<'_>,
        to: &mut WriteHalf<'_>,
        circumstances: &Circumstances<'_, impl Observer>,
    ) -> Result<Poll<Step>, Broken> {
        match self.poll_io(cx, from, to, circumstances) {
            Poll::Ready(Ok(step)) => Ok(Poll::Ready(step)),
            Poll::Ready(Err(source)) => Err(Broken {
                way: self.way,
                source,
            }),
            Poll::Pending => Ok(Poll::Pending),
        }
    }

    fn poll_io(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut ReadHalf<'_>,
        to: &mut WriteHalf<'_>,
        circumstances: &Circumstances<'_, impl Observer>,
    ) -> Poll<io::Result<Step>> {
        let mut turn = 0;
        loop {
            ready!(self.poll_hand_on(cx, to))?;
            if let Some(error) = self.failed.take() {
                return Poll::Ready(Err(error));
            }
            match self.phase {
                Phase::Open => {}
                // The sockets are about to be closed, which says it all.
                Phase::Ended | Phase::Ending if circumstances.last => self.phase = Phase::Done,
                Phase::Ended => {
                    self.phase = Phase::Ending;
                    return Poll::Ready(Ok(Step::Turn));
                }
                Phase::Ending => {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx)).or_else(already_gone)?;
                    self.phase = Phase::Done;
                }
                Phase::Done => return Poll::Ready(Ok(Step::Done)),
            }
            if self.phase != Phase::Open {
                continue;
            }
            if turn >= TURN {
                return Poll::Ready(Ok(Step::Turn));
            }
            let moved = if self.splicing {
                ready!(self.poll_splice(cx, from, circumstances))?
            } else {
                Some(ready!(self.poll_copy(cx, from, to, circumstances))?)
            };
            match moved {
                None => {}
                Some(0) => {
                    self.phase = Phase::Ended;
                    self.held.give_back_pipe();
                    circumstances.observer.ended(self.way);
                }
                Some(bytes) => turn += bytes,
            }
        }
    }

    /// Hands on what is held, all of it.
    fn poll_hand_on(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut WriteHalf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.held {
            Held::Nothing => {}
            Held::Bytes { bytes, sent } => {
                while let Some(rest) = bytes.get(*sent..).filter(|rest| !rest.is_empty()) {
                    *sent += some(ready!(Pin::new(&mut *to).poll_write(cx, rest))?)?;
                }
                self.held = Held::Nothing;
            }
            Held::Pipe(pipe) => {
                while pipe.held() > 0 {
                    let socket: &TcpStream = to.as_ref();
                    ready!(socket.poll_write_ready(cx))?;
                    match socket.try_io(Interest::WRITABLE, || pipe.drain(socket)) {
                        Ok(moved) => some(moved).map(drop)?,
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(error) => return Poll::Ready(Err(error)),
                    }
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// One read and, without waiting, one write; the rest is held.
    fn poll_copy(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut ReadHalf<'_>,
        to: &mut WriteHalf<'_>,
        circumstances: &Circumstances<'_, impl Observer>,
    ) -> Poll<io::Result<usize>> {
        let mut buffer = circumstances.resources.buffer.borrow_mut();
        let mut buffer = ReadBuf::new(&mut buffer);
        let ended = ready!(self.poll_read(cx, from, &mut buffer))?;
        let full = buffer.remaining() == 0;
        if buffer.filled().is_empty() {
            return Poll::Ready(Ok(0));
        }
        let bytes = buffer.filled();
        circumstances.observer.moved(self.way, bytes.len());
        if self.way == Way::In && !self.undelayed && self.copied > 0 {
            // Only now: a first small piece is never delayed, and a second one may not come.
            self.undelayed = true;
            to.as_ref().set_nodelay(true)?;
        }
        let sent = if ended {
            // The end follows at once and travels in the same segment.
            self.phase = Phase::Ending;
            circumstances.observer.ended(self.way);
            write_more(to.as_ref(), cx, bytes)
        } else {
            Pin::new(&mut *to).poll_write(cx, bytes)
        };
        let sent = match sent {
            Poll::Ready(sent) => sent?,
            Poll::Pending => 0,
        };
        if let Some(rest) = bytes.get(sent..).filter(|rest| !rest.is_empty()) {
            self.held = Held::Bytes {
                bytes: rest.into(),
                sent: 0,
            };
        }
        self.copied = self.copied.saturating_add(bytes.len() as u64);
        if full && self.copied >= COPY_FIRST {
            self.splicing = true;
            self.burst = 0;
        }
        Poll::Ready(Ok(bytes.len()))
    }

    /// One read, and whether the sender's end is known to follow what was read.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut ReadHalf<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<bool>> {
        ready!(Pin::new(&mut *from).poll_read(cx, buffer))?;
        let length = buffer.filled().len();
        // After a read that did not fill the buffer, the socket counts as ready only if its end has arrived.
        if length == 0 || buffer.remaining() == 0 || from.as_ref().poll_read_ready(cx)?.is_pending()
        {
            return Poll::Ready(Ok(false));
        }
        match Pin::new(&mut *from).poll_read(cx, buffer) {
            // More data may have come before the end.
            Poll::Ready(Ok(())) => Poll::Ready(Ok(buffer.filled().len() == length)),
            Poll::Ready(Err(error)) => {
                self.failed = Some(error);
                Poll::Ready(Ok(false))
            }
            Poll::Pending => Poll::Ready(Ok(false)),
        }
    }

    /// One splice into an empty pipe. None: nothing happened, the loop is to go on.
    fn poll_splice(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut ReadHalf<'_>,
        circumstances: &Circumstances<'_, impl Observer>,
    ) -> Poll<io::Result<Option<usize>>> {
        let socket: &TcpStream = from.as_ref();
        if socket.poll_read_ready(cx)?.is_pending() {
            self.held.give_back_pipe();
            return Poll::Pending;
        }
        if !matches!(self.held, Held::Pipe(_)) {
            let Some(pipe) = circumstances.resources.pipes.lend() else {
                self.splicing = false;
                return Poll::Ready(Ok(None));
            };
            self.held = Held::Pipe(pipe);
        }
        let Held::Pipe(pipe) = &mut self.held else {
            return Poll::Ready(Ok(None));
        };
        match socket.try_io(Interest::READABLE, || pipe.fill(socket)) {
            Ok(0) => Poll::Ready(Ok(Some(0))),
            Ok(moved) => {
                circumstances.observer.moved(self.way, moved);
                self.burst = self.burst.saturating_add(moved);
                Poll::Ready(Ok(Some(moved)))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.splicing = self.burst >= SMALL_BURST;
                self.burst = 0;
                if !self.splicing {
                    self.held.give_back_pipe();
                }
                Poll::Ready(Ok(None))
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl Held {
    fn is_empty(&self) -> bool {
        match self {
            Self::Nothing => true,
            // Replaced as soon as all of it is sent.
            Self::Bytes { .. } => false,
            Self::Pipe(pipe) => pipe.held() == 0,
        }
    }

    /// Only called when everything has been handed on.
    fn give_back_pipe(&mut self) {
        if matches!(self, Self::Pipe(_)) {
            *self = Self::Nothing;
        }
    }
}

/// Lets TCP find out whether both sides of a silent connection live. And asks what
/// it has found out since: a side whose data cannot be handed on is not read from, so its end goes unnoticed.
fn probe(client: &TcpStream, server: &TcpStream) -> Result<(), Broken> {
    // Without it a dead side is found out when something is sent to it.
    for (way, sender) in [(Way::In, client), (Way::Out, server)] {
        let probes = TcpKeepalive::new().with_time(PROBE_AFTER);
        let _ = SockRef::from(sender).set_tcp_keepalive(&probes);
        if let Ok(Some(source)) = sender.take_error() {
            return Err(Broken { way, source });
        }
    }
    Ok(())
}

/// Writes what something else follows at once: the system may wait for it.
fn write_more(to: &TcpStream, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
    loop {
        ready!(to.poll_write_ready(cx))?;
        let send = || SockRef::from(to).send_with_flags(bytes, libc::MSG_MORE | libc::MSG_NOSIGNAL);
        match to.try_io(Interest::WRITABLE, send) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            sent => return Poll::Ready(sent),
        }
    }
}

/// A peer that is gone already does not need to hear that the data ended.
fn already_gone(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotConnected {
        Ok(())
    } else {
        Err(error)
    }
}

fn some(moved: usize) -> io::Result<usize> {
    if moved == 0 {
        Err(io::ErrorKind::WriteZero.into())
    } else {
        Ok(moved)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        future::Future as _,
        io::{Read as _, Write as _},
        pin::pin,
    };

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    #[derive(Default)]
    struct Watch {
        waker: RefCell<Option<Waker>>,
        wanted: Cell<bool>,
    }

    impl Observer for Watch {
        fn polled(&self, waker: &Waker) -> Probe {
            self.waker.replace(Some(waker.clone()));
            if self.wanted.take() {
                Probe::Wanted
            } else {
                Probe::Unwanted
            }
        }

        fn moved(&self, _: Way, _: usize) {}

        fn ended(&self, _: Way) {}
    }

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (outer, inner) = tokio::join!(TcpStream::connect(address), listener.accept());
        (outer.expect("it listens"), inner.expect("a connection").0)
    }

    #[tokio::test]
    async fn an_end_that_came_with_the_data_is_passed_on_with_it() {
        let (client, mut inner) = pair().await;
        let (mut outer, mut server) = pair().await;
        outer.write_all(b"all of it").await.expect("open");
        outer.shutdown().await.expect("open");
        let known = async {
            while !server.ready(Interest::READABLE).await?.is_read_closed() {
                yield_now().await;
            }
            io::Result::Ok(())
        };
        let known = tokio::time::timeout(LIMIT, known).await;
        known.expect("in time").expect("open");
        let (resources, watch) = (Resources::new(1), Watch::default());
        let mut relay = Box::pin(relay(&mut inner, &mut server, &resources, &watch));
        // Looks once, and has nothing left to do in this direction.
        let mut cx = Context::from_waker(Waker::noop());
        assert!(relay.as_mut().poll(&mut cx).is_pending());
        let mut client = client.into_std().expect("a socket");
        client.set_nonblocking(false).expect("an option");
        client.set_read_timeout(Some(LIMIT)).expect("an option");
        let mut text = String::new();
        client.read_to_string(&mut text).expect("data and end");
        assert_eq!(text, "all of it");
        // The other direction is open still.
        client.write_all(b"thanks").expect("open");
        drop(client);
        let ended = tokio::time::timeout(LIMIT, relay).await.expect("in time");
        ended.expect("in order");
        drop(server);
        text.clear();
        let read = tokio::time::timeout(LIMIT, outer.read_to_string(&mut text)).await;
        read.expect("in time").expect("data and end");
        assert_eq!(text, "thanks");
    }

    #[tokio::test]
    async fn a_client_that_went_while_its_server_did_not_read_is_noticed() {
        let (client, mut inner) = pair().await;
        let (_silent, mut server) = pair().await;
        let (resources, watch) = (Resources::new(1), Watch::default());
        let mut relay = pin!(relay(&mut inner, &mut server, &resources, &watch));
        let fill = async {
            let data = vec![0; 1 << 20];
            // Until nobody on the way takes any more.
            while let Ok(ready) = tokio::time::timeout(LIMIT / 60, client.writable()).await {
                ready.expect("open");
                let _ = client.try_write(&data);
            }
        };
        tokio::select! {
            ended = &mut relay => panic!("{ended:?}"),
            () = fill => {}
        }
        client.set_zero_linger().expect("an option");
        drop(client);
        let mut cx = Context::from_waker(Waker::noop());
        // It looks at nothing that could tell.
        assert!(relay.as_mut().poll(&mut cx).is_pending());
        watch.wanted.set(true);
        let broken = tokio::time::timeout(LIMIT, relay).await.expect("noticed");
        assert_eq!(broken.expect_err("a reset").way, Way::In);
    }
}
