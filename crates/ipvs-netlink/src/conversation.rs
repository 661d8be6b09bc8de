//! Calls without socket and clock: what blocking and asynchronous clients share.
//!
//! Design: a [`Call`] is a machine that says what to ask next and takes the answers; a
//! [`Conversation`] holds what outlives calls (family, sequence number, bytes not yet read). A client
//! is a loop of a dozen lines over the two: send, receive, until the exchange is over, until the call
//! is. So there are two clients and everything but waiting is written once.

use std::io;
use std::time::Duration;

use crate::codec::{Message, Messages, framed_length};
use crate::error::IpvsError;
use crate::exchange::Exchange;

/// After lost answers only what is in the socket already is read.
const DRAIN: Duration = Duration::from_millis(1);

/// One typed call: requests out, answers in, a value at the end.
pub(crate) trait Call {
    /// What the caller gets.
    type Output;

    /// The next request, which is appended to `bytes`; `None` when there is nothing more to ask.
    fn ask(&mut self, next: Numbers, bytes: &mut Vec<u8>) -> Option<Exchange>;

    /// Takes a piece of the answer.
    fn take(&mut self, answer: &Message<'_>) -> Result<(), IpvsError>;

    /// Takes the end of an exchange. With `lost`, answers have not fitted into the socket.
    fn end(&mut self, exchange: Exchange, lost: bool) -> Result<(), IpvsError>;

    /// The value, once there is nothing more to ask.
    fn output(self) -> Result<Self::Output, IpvsError>;
}

/// The numbers of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbers {
    pub(crate) family: u16,
    pub(crate) sequence: u32,
    /// How many requests may be under way.
    pub(crate) batch: usize,
}

/// What outlives calls.
#[derive(Debug)]
pub(crate) struct Conversation {
    /// The id of the IPVS family, 0 until it is known.
    pub(crate) family: u16,
    pub(crate) limit: Duration,
    pub(crate) batch: usize,
    sequence: u32,
    /// What has been received, and how much of it has been read.
    pub(crate) input: Vec<u8>,
    read: usize,
    output: Vec<u8>,
    lost: bool,
    drained: bool,
}

impl Conversation {
    pub(crate) fn new(batch: usize) -> Self {
        Self {
            family: 0,
            limit: Duration::from_secs(10),
            batch,
            sequence: 1,
            input: Vec::new(),
            read: 0,
            output: Vec::new(),
            lost: false,
            drained: false,
        }
    }

    /// Begins the next exchange of a call; [`output`](Self::output) is then to be sent.
    pub(crate) fn begin(&mut self, call: &mut impl Call) -> Option<Exchange> {
        self.output.clear();
        (self.lost, self.drained) = (false, false);
        let numbers = Numbers {
            family: self.family,
            sequence: self.sequence,
            batch: self.batch,
        };
        let exchange = call.ask(numbers, &mut self.output)?;
        self.sequence = self.sequence.wrapping_add(exchange.len());
        Some(exchange)
    }

    /// The bytes to send.
    pub(crate) fn output(&self) -> &[u8] {
        &self.output
    }

    /// Reads what has come. Whether the exchange is over; else [`receive`](Self::limit) more.
    pub(crate) fn read(
        &mut self,
        exchange: &mut Exchange,
        call: &mut impl Call,
    ) -> Result<bool, IpvsError> {
        let mut result = Ok(());
        while !exchange.is_finished() && result.is_ok() {
            let rest = self.input.get(self.read..).unwrap_or_default();
            let Some(bytes) = framed_length(rest)?.and_then(|length| rest.get(..length)) else {
                break;
            };
            self.read += bytes.len();
            result = Messages::new(bytes).try_for_each(|message| {
                match exchange.handle_message(&message?)? {
                    Some(answer) => call.take(&answer),
                    None => Ok(()),
                }
            });
        }
        if self.read == self.input.len() {
            self.input.clear();
            self.read = 0;
        }
        result?;
        Ok(exchange.is_finished() || self.drained)
    }

    /// How long to wait for bytes.
    pub(crate) fn limit(&self) -> Duration {
        if self.lost { DRAIN } else { self.limit }
    }

    /// Takes how receiving into `input` went.
    pub(crate) fn received(&mut self, result: io::Result<usize>) -> Result<(), IpvsError> {
        match result {
            Ok(0) => Err(IpvsError::Closed),
            Ok(_) => Ok(()),
            // Answers were dropped; those that fitted are still there.
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                self.lost = true;
                Ok(())
            }
            Err(error) if is_timeout(&error) && self.lost => {
                self.drained = true;
                Ok(())
            }
            Err(error) if is_timeout(&error) => Err(IpvsError::TimedOut { limit: self.limit }),
            Err(error) => Err(error.into()),
        }
    }

    /// Hands the end of an exchange to its call.
    pub(crate) fn end(&self, exchange: Exchange, call: &mut impl Call) -> Result<(), IpvsError> {
        call.end(exchange, self.lost)
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}
