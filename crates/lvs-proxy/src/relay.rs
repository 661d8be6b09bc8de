//! Moves the data of one connection, both directions, until both have ended.
//!
//! # Design
//! One future polls both directions, so a connection is one task. The first [`COPY_FIRST`] bytes of a direction
//! are copied through a buffer that all connections of a worker share: a request or a short answer costs one read
//! and one write, and an idle connection holds no buffer. What comes after goes through splice(2) as long as it
//! comes in bulk; when a burst was small, the direction goes back to copying until a read fills the buffer,
//! because for a small piece splice(2) needs one system call more.
//!
//! Back-pressure is the absence of reading: as long as a piece cannot be handed on, nothing more is read. What is
//! held then is the rest of one read (at most [`BUFFER`] bytes, allocated just then) or one pipe.

use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead as _, AsyncWrite as _, Interest, ReadBuf},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
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

/// What the connections of one worker share for moving data.
#[derive(Debug)]
pub(crate) struct Resources {
    buffer: RefCell<Box<[u8]>>,
    pipes: Rc<PipePool>,
}

/// Hears what happens to the data of a connection.
pub(crate) trait Observer {
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
    /// The sender has ended; the receiver is to hear of it.
    Ending,
    Done,
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
    poll_fn(|cx| {
        let last = outward.phase == Phase::Done;
        let inward_done = inward.poll(
            cx,
            &mut from_client,
            &mut to_server,
            resources,
            observer,
            last,
        );
        let last = inward.phase == Phase::Done;
        // Also when the other direction has just failed: what a server said before it went is still passed on.
        let outward_done = outward.poll(
            cx,
            &mut from_server,
            &mut to_client,
            resources,
            observer,
            last,
        );
        let (inward_done, outward_done) = (inward_done?, outward_done?);
        if inward_done.is_ready() && outward_done.is_ready() {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    })
    .await
}

impl Direction {
    fn new(way: Way) -> Self {
        Self {
            way,
            held: Held::Nothing,
            copied: 0,
            burst: 0,
            splicing: false,
            phase: Phase::Open,
        }
    }

    /// `last`: the other direction is done, so the sockets are about to be closed, which says it all.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut ReadHalf<'_>,
        to: &mut WriteHalf<'_>,
        resources: &Resources,
        observer: &impl Observer,
        last: bool,
    ) -> Poll<Result<(), Broken>> {
        let way = self.way;
        let result = ready!(self.poll_io(cx, from, to, resources, observer, last));
        Poll::Ready(result.map_err(|source| Broken { way, source }))
    }

    fn poll_io(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut ReadHalf<'_>,
        to: &mut WriteHalf<'_>,
        resources: &Resources,
        observer: &impl Observer,
        last: bool,
    ) -> Poll<io::Result<()>> {
        let mut turn = 0;
        loop {
            ready!(self.poll_hand_on(cx, to))?;
            match self.phase {
                Phase::Open => {}
                Phase::Ending => {
                    if !last {
                        ready!(Pin::new(&mut *to).poll_shutdown(cx)).or_else(already_gone)?;
                    }
                    self.phase = Phase::Done;
                    return Poll::Ready(Ok(()));
                }
                Phase::Done => return Poll::Ready(Ok(())),
            }
            if turn >= TURN {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let moved = if self.splicing {
                ready!(self.poll_splice(cx, from, resources, observer))?
            } else {
                Some(ready!(self.poll_copy(cx, from, to, resources, observer))?)
            };
            match moved {
                None => {}
                Some(0) => {
                    self.phase = Phase::Ending;
                    self.held.give_back_pipe();
                    observer.ended(self.way);
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
        resources: &Resources,
        observer: &impl Observer,
    ) -> Poll<io::Result<usize>> {
        let mut buffer = resources.buffer.borrow_mut();
        let mut buffer = ReadBuf::new(&mut buffer);
        ready!(Pin::new(&mut *from).poll_read(cx, &mut buffer))?;
        let full = buffer.remaining() == 0;
        let bytes = buffer.filled();
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        observer.moved(self.way, bytes.len());
        let sent = match Pin::new(&mut *to).poll_write(cx, bytes) {
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

    /// One splice into an empty pipe. None: nothing happened, the loop is to go on.
    fn poll_splice(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut ReadHalf<'_>,
        resources: &Resources,
        observer: &impl Observer,
    ) -> Poll<io::Result<Option<usize>>> {
        let socket: &TcpStream = from.as_ref();
        if socket.poll_read_ready(cx)?.is_pending() {
            self.held.give_back_pipe();
            return Poll::Pending;
        }
        if !matches!(self.held, Held::Pipe(_)) {
            let Some(pipe) = resources.pipes.lend() else {
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
                observer.moved(self.way, moved);
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
    /// Only called when everything has been handed on.
    fn give_back_pipe(&mut self) {
        if matches!(self, Self::Pipe(_)) {
            *self = Self::Nothing;
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
