//! IPVS on a Unix stream socket: where it is, how to reach it, how to answer on it.
//!
//! Design: netlink messages carry their length, so a stream takes them as they are.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::session::Session;
use crate::table::{Dataplane, Table};
use crate::transport::Transport;

/// How long a peer may leave what we send unread.
const SEND_LIMIT: Duration = Duration::from_secs(10);

/// How many bytes are read at a time.
const CHUNK: usize = 64 * 1024;

/// The client's side of a Unix stream.
#[derive(Debug)]
pub struct UnixTransport {
    stream: UnixStream,
    chunk: Box<[u8]>,
}

impl UnixTransport {
    /// Connects to the socket at `path`.
    ///
    /// # Errors
    ///
    /// What the system says: not there, nobody listens, not permitted.
    pub fn connect(path: &Path) -> io::Result<Self> {
        Self::new(UnixStream::connect(path)?)
    }

    /// Uses a stream that is connected already.
    ///
    /// # Errors
    ///
    /// When the system refuses a time limit.
    pub fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        stream.set_write_timeout(Some(SEND_LIMIT))?;
        Ok(Self {
            stream,
            chunk: vec![0; CHUNK].into(),
        })
    }
}

impl Transport for UnixTransport {
    fn send(&mut self, messages: &[u8]) -> io::Result<()> {
        self.stream.write_all(messages)
    }

    fn receive(&mut self, buffer: &mut Vec<u8>, limit: Duration) -> io::Result<usize> {
        self.stream
            .set_read_timeout(Some(limit.max(Duration::from_millis(1))))?;
        loop {
            match self.stream.read(&mut self.chunk) {
                Ok(count) => {
                    buffer.extend_from_slice(self.chunk.get(..count).unwrap_or_default());
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Where a userspace dataplane may listen, in the order of search.
///
/// `explicit`, if given, is the only one; else `$LVSD_SOCKET`, if set, is the only one; else
/// `/run/lvsd/ipvs.sock`, `$XDG_RUNTIME_DIR/lvsd/ipvs.sock`, `/tmp/lvsd-UID/ipvs.sock`.
pub fn socket_candidates(explicit: Option<&Path>) -> Vec<PathBuf> {
    if let Some(path) = explicit {
        return vec![path.to_owned()];
    }
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(path) = variable("LVSD_SOCKET") {
        return vec![path.into()];
    }
    let mut candidates = vec![PathBuf::from("/run/lvsd/ipvs.sock")];
    if let Some(folder) = variable("XDG_RUNTIME_DIR") {
        candidates.push(Path::new(&folder).join("lvsd/ipvs.sock"));
    }
    candidates.push(PathBuf::from(format!("/tmp/lvsd-{}/ipvs.sock", user_id())));
    candidates
}

/// Connects to the first of [`socket_candidates`] that answers.
///
/// # Errors
///
/// Which were tried, and why each failed.
pub fn find(explicit: Option<&Path>) -> Result<(PathBuf, UnixTransport), NotFound> {
    let mut tried = Vec::new();
    for path in socket_candidates(explicit) {
        match UnixTransport::connect(&path) {
            Ok(transport) => return Ok((path, transport)),
            Err(error) => tried.push((path, error)),
        }
    }
    Err(NotFound { tried })
}

/// No socket answered.
#[derive(Debug, thiserror::Error)]
#[error("no userspace dataplane answers ({})", describe(.tried))]
pub struct NotFound {
    /// The paths in the order in which they were tried, and why each failed.
    pub tried: Vec<(PathBuf, io::Error)>,
}

/// Answers clients of `listener` from `table`, a thread for each, until the listener fails.
///
/// For tests and small tools; a dataplane with a runtime of its own drives [`Session`] itself.
///
/// # Errors
///
/// What the listener says.
pub fn serve<D: Dataplane + Send + 'static>(
    listener: &UnixListener,
    table: &Arc<Mutex<Table<D>>>,
) -> io::Result<()> {
    for stream in listener.incoming() {
        let stream = stream?;
        let table = Arc::clone(table);
        std::thread::spawn(move || serve_one(stream, &table));
    }
    Ok(())
}

/// Answers one client until it closes.
///
/// # Errors
///
/// What the stream says, and [`io::ErrorKind::InvalidData`] when the client does not speak netlink.
pub fn serve_one<D: Dataplane>(mut stream: UnixStream, table: &Mutex<Table<D>>) -> io::Result<()> {
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    let mut session = Session::new();
    let mut chunk = vec![0; CHUNK];
    let mut output = Vec::new();
    loop {
        let count = stream.read(&mut chunk)?;
        if count == 0 {
            return Ok(());
        }
        session
            .handle_input(chunk.get(..count).unwrap_or_default())
            .map_err(invalid)?;
        loop {
            // A panic of another thread leaves a whole table: changes are made at their end.
            let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
            let more = session
                .poll_output(&mut table, &mut output)
                .map_err(invalid)?;
            drop(table);
            stream.write_all(&output)?;
            output.clear();
            if !more {
                break;
            }
        }
    }
}

fn describe(tried: &[(PathBuf, io::Error)]) -> String {
    let one = |(path, error): &(PathBuf, io::Error)| format!("{}: {error}", path.display());
    tried.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// The effective user of this process, as the owner of its own entry in /proc; 0 without /proc.
fn user_id() -> u32 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").map_or(0, |metadata| metadata.uid())
}
