//! What becomes of the machine's processes, as the kernel tells.
//!
//! # Design
//! The kernel's process connector speaks in the first network namespace only, so the socket is made
//! there, by a thread that goes there for it. Where that is not possible (no privilege, a container)
//! there are no events, and whoever wants to know has to look around again and again.

use std::io::{self, Cursor};
use std::os::fd::{AsRawFd, BorrowedFd};

use neli::connector::{CnMsg, CnMsgBuilder, ProcEvent, ProcEventHeader};
use neli::consts::connector::{CnMsgIdx, CnMsgVal, ProcCnMcastOp};
use neli::consts::nl::{NlmF, Nlmsg};
use neli::consts::socket::{Msg, NlFamily};
use neli::nl::{NlPayload, Nlmsghdr, NlmsghdrBuilder};
use neli::socket::NlSocket;
use neli::utils::Groups;
use neli::{FromBytes, ToBytes};
use nix::sched::{CloneFlags, setns};
use tokio::io::unix::AsyncFd;

use super::census::{Pid, Process};

/// The connector's group of process events: `CN_IDX_PROC`.
const GROUP: u32 = 1;

/// How many bytes of events may wait.
const RECEIVE_BUFFER: usize = 4 << 20;

/// Larger than any message of the connector.
const CHUNK: usize = 16 * 1024;

/// Something that happened to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// It has a child.
    Forked { parent: Pid, child: Pid },
    /// It runs another program, or has another name.
    Changed(Pid),
    /// It has ended.
    Ended(Pid),
    /// Events were lost.
    Lost,
}

/// Events as they come.
pub(super) struct Events {
    socket: AsyncFd<NlSocket>,
    chunk: Vec<u8>,
}

impl Events {
    /// Begins to listen.
    ///
    /// # Errors
    ///
    /// When the kernel does not tell us.
    #[allow(unsafe_code)]
    pub(super) fn open() -> io::Result<Self> {
        let socket = match listen() {
            Ok(socket) => socket,
            // Not this namespace.
            Err(_) => std::thread::spawn(|| {
                // A thread of the kernel, which never leaves it.
                let first = std::fs::File::open("/proc/2/ns/net")?;
                setns(first, CloneFlags::CLONE_NEWNET)?;
                listen()
            })
            .join()
            .map_err(|_| io::Error::other("the thread has failed"))??,
        };
        socket.nonblock()?;
        // SAFETY: the descriptor is the socket's own, open and the same for as long as that lives.
        let socket = unsafe { AsyncFd::register(socket) }?;
        Ok(Self {
            socket,
            chunk: vec![0; CHUNK],
        })
    }

    /// The next events, at least one. Can be dropped without losing any.
    pub(super) async fn next(&mut self) -> io::Result<Vec<Event>> {
        loop {
            let mut ready = self.socket.readable().await?;
            let mut events = Vec::new();
            loop {
                match ready.get_inner().recv(&mut self.chunk, Msg::empty()) {
                    Ok((length, _)) => {
                        let message = self.chunk.get(..length).unwrap_or_default();
                        events.extend(parse(message).and_then(|it| event(it.1)));
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        ready.clear_ready();
                        break;
                    }
                    Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                        events.push(Event::Lost);
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            if !events.is_empty() {
                return Ok(events);
            }
        }
    }
}

/// Asks for events in the network namespace of the calling thread.
fn listen() -> io::Result<NlSocket> {
    let socket = NlSocket::connect(NlFamily::Connector, None, Groups::new_groups(&[GROUP]))?;
    let buffer = nix::sys::socket::sockopt::RcvBufForce;
    let _ = nix::sys::socket::setsockopt(&borrow(&socket), buffer, &RECEIVE_BUFFER);
    socket.send(request()?, Msg::empty())?;
    // The answer has come within the call that sent; others may have asked, too.
    let mut chunk = vec![0; CHUNK];
    loop {
        let (length, _) = socket.recv(&mut chunk, Msg::DONTWAIT)?;
        let message = parse(chunk.get(..length).unwrap_or_default());
        if let Some((number, ProcEvent::Ack { err })) = message
            && number == std::process::id().wrapping_add(1)
        {
            return match i32::try_from(err) {
                Ok(0) => Ok(socket),
                Ok(error) => Err(io::Error::from_raw_os_error(error)),
                Err(error) => Err(io::Error::other(error)),
            };
        }
    }
}

#[allow(unsafe_code)]
fn borrow(socket: &NlSocket) -> BorrowedFd<'_> {
    // SAFETY: the descriptor belongs to `socket`, which lives as long as the borrow.
    unsafe { BorrowedFd::borrow_raw(socket.as_raw_fd()) }
}

fn request() -> io::Result<Vec<u8>> {
    let connector = CnMsgBuilder::default()
        .idx(CnMsgIdx::Proc)
        .val(CnMsgVal::Proc)
        // The answer has the next number.
        .ack(std::process::id())
        .payload(ProcCnMcastOp::Listen)
        .build()
        .map_err(io::Error::other)?;
    let message = NlmsghdrBuilder::default()
        .nl_type(Nlmsg::Done)
        .nl_flags(NlmF::empty())
        .nl_payload(NlPayload::Payload(connector))
        .build()
        .map_err(io::Error::other)?;
    let mut bytes = Cursor::new(Vec::new());
    message.to_bytes(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes.into_inner())
}

/// The number that is answered and the event; `None` for what is no process event that we know.
fn parse(bytes: &[u8]) -> Option<(u32, ProcEvent)> {
    let mut bytes = Cursor::new(bytes);
    let message = Nlmsghdr::<Nlmsg, CnMsg<ProcEventHeader>>::from_bytes(&mut bytes).ok()?;
    let connector = message.get_payload()?;
    Some((*connector.ack(), connector.payload().event))
}

/// What matters of an event: threads do not.
fn event(event: ProcEvent) -> Option<Event> {
    match event {
        ProcEvent::Fork {
            parent_tgid,
            child_pid,
            child_tgid,
            ..
        } => (child_pid == child_tgid).then_some(Event::Forked {
            parent: parent_tgid,
            child: child_tgid,
        }),
        ProcEvent::Exec { process_tgid, .. } => Some(Event::Changed(process_tgid)),
        ProcEvent::Comm {
            process_pid,
            process_tgid,
            ..
        } => (process_pid == process_tgid).then_some(Event::Changed(process_tgid)),
        ProcEvent::Exit {
            process_pid,
            process_tgid,
            ..
        } => (process_pid == process_tgid).then_some(Event::Ended(process_tgid)),
        _ => None,
    }
}

/// All processes that run; those that only wait to be buried do not.
pub(super) fn all(with_commands: bool) -> Vec<Process> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| process(pid, with_commands)).collect()
}

/// A process, if it runs.
pub(super) fn process(pid: Pid, with_command: bool) -> Option<Process> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let name = name(&stat)?;
    let command = match with_command {
        true => std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default(),
        false => Vec::new(),
    };
    let command = match command.strip_suffix(b"\0").unwrap_or(&command) {
        [] => Vec::new(),
        command => command.split(|it| *it == 0).map(<[u8]>::to_vec).collect(),
    };
    Some(Process { pid, name, command })
}

/// The name in `/proc/PID/stat`, unless the process has ended. The name may hold anything.
fn name(stat: &[u8]) -> Option<Vec<u8>> {
    let start = stat.iter().position(|it| *it == b'(')?;
    let end = stat.iter().rposition(|it| *it == b')')?;
    let state = *stat.get(end + 2)?;
    let runs = !matches!(state, b'Z' | b'X' | b'x');
    runs.then_some(stat.get(start + 1..end)?.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_whatever_it_holds() {
        assert_eq!(name(b"7 (a) b) (c) S 1 2").unwrap(), b"a) b) (c");
        assert_eq!(name(b"7 (dead) Z 1 2"), None);
        for broken in [&b""[..], b"7", b"7 (x", b"7 (x)", b"7 )x( S"] {
            assert_eq!(name(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn this_process_is_among_all() {
        let own = i32::try_from(std::process::id()).unwrap();
        let all = all(true);
        let found = all.iter().find(|it| it.pid == own).unwrap();
        let arguments: Vec<_> = std::env::args().map(String::into_bytes).collect();
        assert_eq!(found.command, arguments);
        assert!(!found.name.is_empty());
        assert_eq!(process(i32::MAX, true), None);
    }

    #[tokio::test]
    async fn a_process_is_told_of_from_its_birth_to_its_end() {
        let Ok(mut events) = Events::open() else {
            lvs_testkit::skip("the kernel does not tell us of processes");
            return;
        };
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let child_pid = i32::try_from(child.id()).unwrap();
        child.wait().unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        let mut wished = vec![
            Event::Ended(child_pid),
            Event::Changed(child_pid),
            Event::Forked {
                parent: own,
                child: child_pid,
            },
        ];
        while let Some(next) = wished.pop() {
            let mut rest = Vec::new();
            while !rest.contains(&next) {
                rest.extend(events.next().await.unwrap());
            }
            wished.retain(|it| !rest.contains(it));
        }
    }

    #[test]
    fn garbage_is_no_event() {
        assert!(parse(&[]).is_none());
        assert!(parse(&[0xff; 40]).is_none());
        let mut short = request().unwrap();
        short.truncate(30);
        assert!(parse(&short).is_none());
    }
}
