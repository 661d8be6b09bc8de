//! Questions with one answer, and dumps.

use crate::codec::{Message, ParseError};
use crate::conversation::{Call, Numbers};
use crate::error::IpvsError;
use crate::exchange::{Exchange, Query};

/// How often a dump that was interrupted is begun again.
const ATTEMPTS: usize = 5;

/// A question with one answer.
#[derive(Debug)]
pub(crate) struct Ask<T, F> {
    query: Option<Query>,
    /// Without this attribute there is no answer.
    needed: u16,
    read: F,
    found: Option<T>,
}

impl<T, F: Fn(&Message<'_>) -> Result<Option<T>, IpvsError>> Ask<T, F> {
    pub(super) fn new(query: Query, needed: u16, read: F) -> Self {
        Self {
            query: Some(query),
            needed,
            read,
            found: None,
        }
    }
}

impl<T, F: Fn(&Message<'_>) -> Result<Option<T>, IpvsError>> Call for Ask<T, F> {
    type Output = T;

    fn ask(&mut self, next: Numbers, bytes: &mut Vec<u8>) -> Option<Exchange> {
        let query = self.query.take()?;
        Some(Exchange::query(&query, next.family, next.sequence, bytes))
    }

    fn take(&mut self, answer: &Message<'_>) -> Result<(), IpvsError> {
        if let Some(found) = (self.read)(answer)? {
            self.found = Some(found);
        }
        Ok(())
    }

    fn end(&mut self, exchange: Exchange, lost: bool) -> Result<(), IpvsError> {
        match exchange.into_failures().pop() {
            Some(failure) => Err(failure.refused.into()),
            None if lost => Err(IpvsError::Interrupted),
            None => Ok(()),
        }
    }

    fn output(self) -> Result<T, IpvsError> {
        let kind = self.needed;
        self.found
            .ok_or(IpvsError::Malformed(ParseError::Missing { kind }))
    }
}

/// Reads an entry of the answer to a query; `None` leaves it out.
pub(crate) type Read<E> = fn(&Query, &Message<'_>) -> Result<Option<E>, IpvsError>;

/// A list, asked for again if the table changed under it.
#[derive(Debug)]
pub(crate) struct Dump<E, F = Read<E>> {
    query: Query,
    read: F,
    entries: Vec<E>,
    /// How often it may still be asked for.
    attempts: usize,
}

impl<E, F: FnMut(&Query, &Message<'_>) -> Result<Option<E>, IpvsError>> Dump<E, F> {
    pub(super) fn new(query: Query, read: F) -> Self {
        Self {
            query,
            read,
            entries: Vec::new(),
            attempts: ATTEMPTS,
        }
    }

    /// Whether the list is whole, and there is nothing more to ask.
    pub(super) fn is_over(&self) -> bool {
        self.attempts == 0
    }

    /// A list that cannot be begun again, because its entries have been handed on.
    pub(super) fn once(query: Query, read: F) -> Self {
        Self {
            attempts: 1,
            ..Self::new(query, read)
        }
    }
}

impl<E, F: FnMut(&Query, &Message<'_>) -> Result<Option<E>, IpvsError>> Call for Dump<E, F> {
    type Output = Vec<E>;

    fn ask(&mut self, next: Numbers, bytes: &mut Vec<u8>) -> Option<Exchange> {
        self.attempts = self.attempts.checked_sub(1)?;
        self.entries.clear();
        let (family, sequence) = (next.family, next.sequence);
        Some(Exchange::query(&self.query, family, sequence, bytes))
    }

    fn take(&mut self, answer: &Message<'_>) -> Result<(), IpvsError> {
        self.entries.extend((self.read)(&self.query, answer)?);
        Ok(())
    }

    fn end(&mut self, exchange: Exchange, lost: bool) -> Result<(), IpvsError> {
        let interrupted = exchange.is_interrupted() || lost;
        match exchange.into_failures().pop() {
            Some(failure) => Err(failure.refused.into()),
            None if interrupted && self.attempts == 0 => Err(IpvsError::Interrupted),
            None if interrupted => Ok(()),
            None => {
                self.attempts = 0;
                Ok(())
            }
        }
    }

    fn output(self) -> Result<Vec<E>, IpvsError> {
        Ok(self.entries)
    }
}
