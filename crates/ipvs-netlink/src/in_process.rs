//! A client and a table in one process, without a socket between them.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::session::Session;
use crate::table::{Dataplane, Table};
use crate::transport::Transport;

/// A [`Transport`] to a [`Table`] in the same process. The bytes are the same as on a socket.
#[derive(Debug)]
pub struct InProcess<D> {
    table: Arc<Mutex<Table<D>>>,
    session: Session,
}

impl<D: Dataplane> InProcess<D> {
    /// A transport to `table`, which others may use too.
    pub fn new(table: Arc<Mutex<Table<D>>>) -> Self {
        Self {
            table,
            session: Session::new(),
        }
    }
}

impl<D: Dataplane> Transport for InProcess<D> {
    fn send(&mut self, messages: &[u8]) -> io::Result<()> {
        self.session.handle_input(messages).map_err(invalid)
    }

    /// Never waits: everything sent is answered at once, and what is not there will not come.
    fn receive(&mut self, buffer: &mut Vec<u8>, _limit: Duration) -> io::Result<usize> {
        let start = buffer.len();
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        while buffer.len() == start {
            if !self
                .session
                .poll_output(&mut table, buffer)
                .map_err(invalid)?
            {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        Ok(buffer.len() - start)
    }
}

fn invalid(error: crate::ParseError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
