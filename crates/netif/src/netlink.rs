//! One conversation with the kernel: requests out, acknowledgements and dumps in.
//!
//! Design: neli's [`NlSocket`] alone, without its router: a request and its answers belong together
//! on one thread, and a lost answer must show as an error. The kernel works within the call that
//! sends, so all answers are there when it returns: nothing ever waits, and an answer that is not
//! there is lost.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use neli::consts::nl::{NlmF, NlmsgerrAttr};
use neli::consts::socket::{Msg, NlFamily};
use neli::socket::NlSocket;
use neli::utils::Groups;
use nix::sys::socket::{setsockopt, sockopt};

use crate::codec::{Attributes, HEADER, Message, Messages, ParseError, Writer, align};
use crate::error::{NetifError, Refused};

/// The largest piece of a dump that the kernel makes, twice.
const CHUNK: usize = 64 * 1024;

/// What the receive buffer shall hold: all answers of a batch, all events of a busy moment.
const RECEIVE_BUFFER: usize = 1 << 20;

/// What the send buffer shall hold: a netfilter transaction with some ten thousand addresses.
const SEND_BUFFER: usize = 8 << 20;

/// How many requests go out in one write: their answers fit the smallest receive buffer.
const BATCH: usize = 100;

/// How often a dump that the kernel marks as inconsistent is begun again.
const DUMP_ATTEMPTS: usize = 10;

/// A netlink socket on which one request at a time is under way.
pub(crate) struct Netlink {
    socket: NlSocket,
    sequence: u32,
    outgoing: Vec<u8>,
    chunk: Box<[u8]>,
}

/// A request: its words for errors, its type, its flags beyond the usual, its payload.
pub(crate) struct Request {
    pub(crate) action: String,
    pub(crate) kind: u16,
    pub(crate) flags: NlmF,
    pub(crate) payload: Vec<u8>,
}

impl Request {
    /// A request whose payload `fill` writes.
    pub(crate) fn new(
        action: String,
        kind: impl Into<u16>,
        flags: NlmF,
        fill: impl FnOnce(&mut Writer<'_>),
    ) -> Self {
        let mut payload = Vec::with_capacity(128);
        fill(&mut Writer::new(&mut payload));
        Self {
            action,
            kind: kind.into(),
            flags,
            payload,
        }
    }
}

impl Netlink {
    /// Opens a socket in the network namespace of the calling thread.
    pub(crate) fn open(family: NlFamily) -> Result<Self, NetifError> {
        Ok(Self {
            socket: open_socket(family, Groups::empty())?,
            sequence: 0,
            outgoing: Vec::new(),
            chunk: vec![0; CHUNK].into(),
        })
    }

    /// Does one request.
    pub(crate) fn request(&mut self, request: Request) -> Result<(), NetifError> {
        self.batch(vec![request]).pop().unwrap_or(Ok(()))
    }

    /// Does requests, many in a write, each on its own: the others are done even if one is
    /// refused. Gives one result for each, in order.
    pub(crate) fn batch(&mut self, requests: Vec<Request>) -> Vec<Result<(), NetifError>> {
        let mut results = Vec::with_capacity(requests.len());
        let mut requests = requests.into_iter();
        loop {
            let write: Vec<_> = requests.by_ref().take(BATCH).collect();
            if write.is_empty() {
                return results;
            }
            let answers = self.write(&write, NlmF::ACK);
            results.extend(
                answers
                    .into_iter()
                    .zip(write)
                    .map(|(answer, request)| match answer {
                        Answer::Done => Ok(()),
                        Answer::Failed(failure) => Err(failure.during(request.action)),
                        Answer::None => Err(NetifError::Lost {
                            action: request.action,
                        }),
                    }),
            );
        }
    }

    /// Sends all of `requests` in one write for netfilter, which does them all or none. Only those
    /// that fail, and those with [`NlmF::ACK`] among their flags, are answered.
    pub(crate) fn transaction(&mut self, requests: &[Request]) -> Result<(), NetifError> {
        let answers = self.write(requests, NlmF::empty());
        let mut acknowledged = false;
        for (answer, request) in answers.into_iter().zip(requests) {
            match answer {
                Answer::Done => acknowledged = true,
                Answer::Failed(failure) => return Err(failure.during(request.action.clone())),
                Answer::None => {}
            }
        }
        if acknowledged {
            return Ok(());
        }
        let action = requests.first().map(|request| request.action.clone());
        Err(NetifError::Lost {
            action: action.unwrap_or_default(),
        })
    }

    /// Asks for a list and turns each of its messages into a value; `None` leaves one out.
    pub(crate) fn dump<T>(
        &mut self,
        request: &Request,
        read: impl Fn(&Message<'_>) -> Result<Option<T>, ParseError>,
    ) -> Result<Vec<T>, NetifError> {
        for _ in 0..DUMP_ATTEMPTS {
            self.outgoing.clear();
            let sequence = self.append(request, NlmF::DUMP);
            let answer = self.send().and_then(|()| self.list(sequence, &read));
            match answer {
                Ok((list, Consistent::Yes)) => return Ok(list),
                Ok((_, Consistent::No)) => {}
                Err(failure) => return Err(failure.during(request.action.clone())),
            }
        }
        Err(NetifError::Restless {
            action: request.action.clone(),
        })
    }

    /// Asks for one thing and turns what comes before the acknowledgement into values.
    pub(crate) fn fetch<T>(
        &mut self,
        request: &Request,
        read: impl Fn(&Message<'_>) -> Result<Option<T>, ParseError>,
    ) -> Result<Vec<T>, NetifError> {
        self.outgoing.clear();
        let sequence = self.append(request, NlmF::ACK);
        let answer = self.send().and_then(|()| self.list(sequence, &read));
        match answer {
            Ok((list, _)) => Ok(list),
            Err(failure) => Err(failure.during(request.action.clone())),
        }
    }

    /// Sends `requests` and gives what came back for each, in order.
    fn write(&mut self, requests: &[Request], flags: NlmF) -> Vec<Answer> {
        self.outgoing.clear();
        let first = self.sequence.wrapping_add(1);
        for request in requests {
            self.append(request, flags);
        }
        let mut answers: Vec<_> = requests.iter().map(|_| Answer::None).collect();
        let outcome = self.send().and_then(|()| self.collect(first, &mut answers));
        if let (Err(failure), Some(answer)) = (
            outcome,
            answers
                .iter_mut()
                .find(|answer| matches!(answer, Answer::None)),
        ) {
            *answer = Answer::Failed(failure);
        }
        answers
    }

    fn append(&mut self, request: &Request, flags: NlmF) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        let flags = request.flags | flags | NlmF::REQUEST;
        Writer::new(&mut self.outgoing).message(request.kind, flags, self.sequence, |writer| {
            writer.raw(&request.payload);
        });
        self.sequence
    }

    fn send(&mut self) -> Result<(), Failure> {
        loop {
            match self.socket.send(&*self.outgoing, Msg::empty()) {
                Ok(sent) if sent == self.outgoing.len() => return Ok(()),
                Ok(_) => return Err(Failure::System(io::ErrorKind::WriteZero.into())),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure::System(error)),
            }
        }
    }

    /// Reads what is there and files each answer with its request. Left-over answers to earlier
    /// requests are passed over.
    fn collect(&mut self, first: u32, answers: &mut [Answer]) -> Result<(), Failure> {
        while let Some(length) = receive(&self.socket, &mut self.chunk).map_err(Failure::System)? {
            for message in Messages::new(self.chunk.get(..length).unwrap_or_default()) {
                let message = message.map_err(Failure::Parse)?;
                let place = usize::try_from(message.sequence.wrapping_sub(first)).ok();
                if let Some(answer) = place.and_then(|place| answers.get_mut(place))
                    && message.is_error()
                {
                    *answer = match verdict(&message) {
                        Ok(()) => Answer::Done,
                        Err(failure) => Answer::Failed(failure),
                    };
                }
            }
        }
        Ok(())
    }

    /// Reads a dump up to its end.
    fn list<T>(
        &mut self,
        sequence: u32,
        read: impl Fn(&Message<'_>) -> Result<Option<T>, ParseError>,
    ) -> Result<(Vec<T>, Consistent), Failure> {
        let mut list = Vec::new();
        let mut consistent = Consistent::Yes;
        while let Some(length) = receive(&self.socket, &mut self.chunk).map_err(Failure::System)? {
            for message in Messages::new(self.chunk.get(..length).unwrap_or_default()) {
                let message = message.map_err(Failure::Parse)?;
                if message.sequence != sequence {
                    continue;
                }
                if message.flags.contains(NlmF::DUMP_INTR) {
                    consistent = Consistent::No;
                }
                if message.is_done() || message.is_error() {
                    return verdict(&message).map(|()| (list, consistent));
                }
                list.extend(read(&message).map_err(Failure::Parse)?);
            }
        }
        Err(Failure::Lost)
    }
}

impl std::fmt::Debug for Netlink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Netlink").finish_non_exhaustive()
    }
}

/// Whether a dump shows one moment (`NLM_F_DUMP_INTR` unset).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Consistent {
    Yes,
    No,
}

/// What came back for one request.
#[derive(Debug)]
enum Answer {
    None,
    Done,
    Failed(Failure),
}

/// Why there is no good answer; [`Failure::during`] adds what was asked.
#[derive(Debug)]
enum Failure {
    Kernel { errno: i32, message: Option<String> },
    System(io::Error),
    Parse(ParseError),
    Lost,
}

impl Failure {
    fn during(self, action: String) -> NetifError {
        match self {
            Self::Kernel { errno, message } => Refused {
                action,
                errno,
                message,
            }
            .into(),
            Self::System(error) => NetifError::System { action, error },
            Self::Parse(error) => NetifError::Parse { action, error },
            Self::Lost => NetifError::Lost { action },
        }
    }
}

/// What an acknowledgement, an error or the end of a dump says.
///
/// An error holds the negative number and the request's header (the whole request, unless
/// `NLM_F_CAPPED`); words may follow as attributes. A dump's end holds the number alone.
fn verdict(message: &Message<'_>) -> Result<(), Failure> {
    let errno = match message.payload.first_chunk() {
        Some(bytes) => i32::from_ne_bytes(*bytes),
        // Kernels before 2.6.25 end a dump without a number.
        None if message.is_done() => 0,
        None => {
            return Err(Failure::Parse(ParseError::Truncated {
                needed: 4,
                available: message.payload.len(),
            }));
        }
    };
    if errno >= 0 {
        return Ok(());
    }
    Err(Failure::Kernel {
        errno: errno.saturating_neg(),
        message: words(message),
    })
}

/// The kernel's words behind an error, if there are any.
fn words(message: &Message<'_>) -> Option<String> {
    if !message.flags.contains(NlmF::ACK_TLVS) {
        return None;
    }
    let quoted = message.payload.get(4..8)?.first_chunk().copied()?;
    let quoted = if message.is_done() {
        0
    } else if message.flags.contains(NlmF::CAPPED) {
        HEADER
    } else {
        usize::try_from(u32::from_ne_bytes(quoted)).ok()?
    };
    let start = align(quoted).checked_add(4)?;
    let attributes = Attributes::new(message.payload.get(start..)?);
    let text = attributes.find(NlmsgerrAttr::Msg.into()).ok()??.text();
    (!text.is_empty()).then_some(text)
}

/// Opens a socket of `family` that hears `groups`, in the calling thread's network namespace.
pub(crate) fn open_socket(family: NlFamily, groups: Groups) -> Result<NlSocket, NetifError> {
    let open = || {
        let socket = NlSocket::connect(family, None, groups)?;
        // Only kernels before 4.12 lack the first, before 4.20 the second; they have no words to
        // lose, and list more than was asked for, which the readers leave out.
        let _ = socket.enable_ext_ack(true);
        let _ = socket.enable_strict_checking(true);
        Ok(socket)
    };
    let socket = open().map_err(|error| NetifError::system("open a netlink socket", error))?;
    // As much as is allowed; less only makes lost messages likelier, which are noticed.
    if setsockopt(&borrow(&socket), sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    }
    // Likewise; a transaction that does not fit is refused as too long.
    let _ = setsockopt(&borrow(&socket), sockopt::SndBufForce, &SEND_BUFFER);
    Ok(socket)
}

/// Reads one datagram, or nothing where there is none.
pub(crate) fn receive(socket: &NlSocket, chunk: &mut [u8]) -> io::Result<Option<usize>> {
    loop {
        // TRUNC gives the whole length even of a datagram that does not fit.
        match socket.recv(&mut *chunk, Msg::TRUNC | Msg::DONTWAIT) {
            Ok((length, _)) if length <= chunk.len() => return Ok(Some(length)),
            Ok(_) => return Err(io::ErrorKind::FileTooLarge.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

/// The descriptor of `socket`, for as long as it is borrowed.
#[allow(unsafe_code)]
pub(crate) fn borrow(socket: &NlSocket) -> BorrowedFd<'_> {
    // SAFETY: the descriptor belongs to `socket`, which lives as long as the borrow.
    unsafe { BorrowedFd::borrow_raw(socket.as_raw_fd()) }
}

#[cfg(test)]
mod tests {
    use neli::consts::nl::Nlmsg;

    use super::*;

    fn read(bytes: &[u8]) -> Result<(), Failure> {
        verdict(&Messages::new(bytes).next().unwrap().unwrap())
    }

    fn error_message(flags: NlmF, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        Writer::new(&mut bytes).message(Nlmsg::Error.into(), flags, 7, |writer| {
            writer.raw(payload);
        });
        bytes
    }

    fn refusal(quoted: &[u8]) -> Vec<u8> {
        let mut payload = (-libc::EEXIST).to_ne_bytes().to_vec();
        payload.extend_from_slice(quoted);
        Writer::new(&mut payload).text(1, "no such luck");
        payload
    }

    #[track_caller]
    fn assert_words(bytes: &[u8], expected: Option<&str>) {
        match read(bytes) {
            Err(Failure::Kernel { errno, message }) => {
                assert_eq!((errno, message.as_deref()), (libc::EEXIST, expected));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn words_stand_behind_the_quoted_request() {
        let capped = NlmF::ACK_TLVS | NlmF::CAPPED;
        assert_words(
            &error_message(capped, &refusal(&[0; 16])),
            Some("no such luck"),
        );
        let mut quoted = [0; 28];
        quoted[0] = 28;
        assert_words(
            &error_message(NlmF::ACK_TLVS, &refusal(&quoted)),
            Some("no such luck"),
        );
        assert_words(&error_message(NlmF::empty(), &refusal(&quoted)), None);
    }

    #[test]
    fn wrong_lengths_in_errors_cost_the_words_only() {
        for length in [0_u32, 3, 29, 4096, u32::MAX] {
            let mut quoted = [0; 28];
            quoted[..4].copy_from_slice(&length.to_ne_bytes());
            let bytes = error_message(NlmF::ACK_TLVS, &refusal(&quoted));
            match read(&bytes) {
                Err(Failure::Kernel { errno, .. }) => assert_eq!(errno, libc::EEXIST),
                other => panic!("{other:?}"),
            }
        }
        assert!(matches!(
            read(&error_message(NlmF::empty(), &[1, 2])),
            Err(Failure::Parse(_))
        ));
        assert!(read(&error_message(NlmF::empty(), &[0; 20])).is_ok());
    }
}
