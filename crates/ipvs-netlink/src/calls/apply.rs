//! Changes in order, many under way at a time.
//!
//! Design: the kernel works through a batch within the call that sends it, so every request of it has
//! been done when the first answer is read, whether its own answer fitted into the socket or not.
//! Batches are made small enough for all to fit. Should they not, those up to the last failure that
//! arrived are known; the others are asked for once more, each by itself, and then what counts is
//! whether the table is as the request wants it: an entry to add that is there gets its settings, one
//! to delete that is not there is done.

use std::ops::Range;

use crate::codec::Message;
use crate::command::Command;
use crate::conversation::{Call, Numbers};
use crate::error::{IpvsError, Reason, Refused};
use crate::exchange::{Exchange, Failure};

/// Commands in order. A refused one does not stop the others.
#[derive(Debug)]
pub(crate) struct Apply<'a> {
    commands: &'a [Command],
    /// Which are under way.
    current: Range<usize>,
    /// Up to here each goes by itself, because what came of it is not known.
    unsure: usize,
    /// The edit that stands for the addition under way.
    edit: Option<Command>,
    failures: Vec<Failure>,
}

impl<'a> Apply<'a> {
    pub(super) fn new(commands: &'a [Command]) -> Self {
        Self {
            commands,
            current: 0..0,
            unsure: 0,
            edit: None,
            failures: Vec::new(),
        }
    }

    /// Takes the answer to a command that was sent a second time.
    fn settle(&mut self, refused: Refused) {
        let index = self.current.start;
        let command = self.commands.get(index);
        match (command, refused.reason()) {
            (Some(Command::AddService(service)), Reason::ServiceExists) => {
                self.edit = Some(Command::EditService(service.clone()));
            }
            (
                Some(Command::AddDestination {
                    service,
                    destination,
                }),
                Reason::DestinationExists,
            ) => {
                self.edit = Some(Command::EditDestination {
                    service: *service,
                    destination: *destination,
                });
            }
            (Some(Command::DeleteService(_)), Reason::NoSuchService)
            | (
                Some(Command::DeleteDestination { .. }),
                Reason::NoSuchService | Reason::NoSuchDestination,
            )
            | (Some(Command::StartDaemon(_)), Reason::DaemonRuns)
            | (Some(Command::StopDaemon(_)), Reason::NoSuchDaemon) => {}
            _ => self.failures.push(Failure { index, refused }),
        }
    }
}

impl Call for Apply<'_> {
    type Output = Vec<Failure>;

    fn ask(&mut self, next: Numbers, bytes: &mut Vec<u8>) -> Option<Exchange> {
        let (family, sequence) = (next.family, next.sequence);
        if let Some(edit) = &self.edit {
            return Some(Exchange::commands([edit], family, sequence, bytes));
        }
        let start = self.current.end;
        let end = if start < self.unsure {
            start + 1
        } else {
            self.commands.len().min(start + next.batch.max(1))
        };
        self.current = start..end;
        let batch = self
            .commands
            .get(start..end)
            .filter(|batch| !batch.is_empty())?;
        Some(Exchange::commands(batch, family, sequence, bytes))
    }

    fn take(&mut self, _: &Message<'_>) -> Result<(), IpvsError> {
        Ok(())
    }

    fn end(&mut self, exchange: Exchange, lost: bool) -> Result<(), IpvsError> {
        let start = self.current.start;
        let failures = exchange.into_failures();
        let is_second = self.current.end <= self.unsure;
        if is_second && lost {
            // One answer fits into any socket; something else is wrong.
            return Err(IpvsError::Interrupted);
        }
        if is_second {
            let was_edit = self.edit.take().is_some();
            for failure in failures {
                match was_edit {
                    true => self.failures.push(Failure {
                        index: start,
                        refused: failure.refused,
                    }),
                    false => self.settle(failure.refused),
                }
            }
            return Ok(());
        }
        let known = failures.last().map_or(0, |last| last.index + 1);
        self.failures
            .extend(failures.into_iter().map(|failure| Failure {
                index: start + failure.index,
                ..failure
            }));
        if lost {
            self.unsure = self.current.end;
            self.current = start..start + known;
        }
        Ok(())
    }

    fn output(self) -> Result<Vec<Failure>, IpvsError> {
        Ok(self.failures)
    }
}

/// One command, whose refusal is an error.
#[derive(Debug)]
pub(crate) struct One<'a>(pub(super) Apply<'a>);

impl Call for One<'_> {
    type Output = ();

    fn ask(&mut self, next: Numbers, bytes: &mut Vec<u8>) -> Option<Exchange> {
        self.0.ask(next, bytes)
    }

    fn take(&mut self, answer: &Message<'_>) -> Result<(), IpvsError> {
        self.0.take(answer)
    }

    fn end(&mut self, exchange: Exchange, lost: bool) -> Result<(), IpvsError> {
        self.0.end(exchange, lost)
    }

    fn output(self) -> Result<(), IpvsError> {
        match self.0.output()?.pop() {
            Some(failure) => Err(failure.refused.into()),
            None => Ok(()),
        }
    }
}
