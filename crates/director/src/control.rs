//! The control socket: how `lvsd status` and other programs ask a running director.
//!
//! # Design
//! A Unix stream socket, `RUNDIR/control.sock`, that only its owner may open. A request is one line
//! of JSON, an answer is one line of JSON, and a connection may carry any number of them in turn:
//! a shell script can talk to it, and nothing needs a library. [`Client`] is blocking, for programs
//! that ask and print; the answering end is part of the parent process.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::status::{ReloadStatus, Status};

/// The longest request that is read, in bytes; a longer one ends its connection.
pub const MAX_REQUEST: usize = 4096;

/// How long [`Client`] waits for an answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// What can be asked: `{"command": "status"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "lowercase")]
pub enum Request {
    /// The state of everything.
    Status,
    /// Read the configuration again, as SIGHUP does, and tell how that ended.
    Reload,
}

/// What is answered: `{"answer": "status", ...}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "lowercase")]
pub enum Response {
    /// To [`Request::Status`].
    Status(Box<Status>),
    /// To [`Request::Reload`].
    Reload(ReloadStatus),
    /// The request was not understood or could not be carried out.
    Error {
        /// Why.
        reason: String,
    },
}

/// Why a director could not be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// Nothing listens there, or it may not be opened.
    #[error("cannot connect to {}", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The conversation broke.
    #[error("the director does not answer")]
    Io(#[from] io::Error),
    /// The answer is not what this version expects.
    #[error("the director's answer is not understood")]
    Answer(#[from] serde_json::Error),
    /// The director says that it cannot.
    #[error("the director refuses: {reason}")]
    Refused {
        /// Its reason.
        reason: String,
    },
    /// The answer belongs to another request.
    #[error("the director's answer belongs to another request")]
    OtherAnswer,
}

/// A connection to a running director.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
}

impl Client {
    /// Connects to the control socket at `path`.
    ///
    /// # Errors
    ///
    /// [`ControlError::Connect`] when no director listens there or the caller may not ask it.
    pub fn connect(path: &Path) -> Result<Self, ControlError> {
        let connect = || {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(ANSWER_LIMIT))?;
            stream.set_write_timeout(Some(ANSWER_LIMIT))?;
            Ok(stream)
        };
        let stream = connect().map_err(|source| ControlError::Connect {
            path: path.to_path_buf(),
            source,
        })?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// Asks for the state of everything.
    ///
    /// # Errors
    ///
    /// When the director goes away, does not answer for ten seconds, or answers something else.
    pub fn status(&mut self) -> Result<Status, ControlError> {
        match self.ask(&Request::Status)? {
            Response::Status(status) => Ok(*status),
            other => Err(unexpected(other)),
        }
    }

    /// Has the configuration read again.
    ///
    /// # Errors
    ///
    /// As [`Client::status`]. A configuration with errors is not one: see [`ReloadStatus::applied`].
    pub fn reload(&mut self) -> Result<ReloadStatus, ControlError> {
        match self.ask(&Request::Reload)? {
            Response::Reload(status) => Ok(status),
            other => Err(unexpected(other)),
        }
    }

    fn ask(&mut self, request: &Request) -> Result<Response, ControlError> {
        let mut line = serde_json::to_string(request)?;
        line.push('\n');
        self.stream.get_mut().write_all(line.as_bytes())?;
        line.clear();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(serde_json::from_str(&line)?)
    }
}

fn unexpected(response: Response) -> ControlError {
    match response {
        Response::Error { reason } => ControlError::Refused { reason },
        Response::Status(_) | Response::Reload(_) => ControlError::OtherAnswer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_what_a_shell_would_write() {
        let request: Request = serde_json::from_str(r#"{"command": "status"}"#).unwrap();
        assert_eq!(request, Request::Status);
        assert!(serde_json::from_str::<Request>(r#"{"command": "explode"}"#).is_err());
    }

    #[test]
    fn a_missing_director_is_named_by_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let error = Client::connect(&path).unwrap_err();
        assert!(error.to_string().contains("control.sock"), "{error}");
    }
}
