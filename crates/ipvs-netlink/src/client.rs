//! Typed calls to IPVS, whichever it is.

use std::io;
use std::io::BufRead;
use std::time::Duration;

use neli::consts::genl::CtrlAttr;

use crate::codec::{Message, Messages, ParseError, framed_length};
use crate::command::Command;
use crate::connection::{ConnectionEntry, parse_lines};
use crate::daemon::SyncDaemon;
use crate::destination::{Destination, DestinationEntry, DestinationKey};
use crate::error::{IpvsError, Refused};
use crate::exchange::{Exchange, Failure, Query};
use crate::info::Info;
use crate::plan::ServiceRules;
use crate::service::{ServiceEntry, ServiceKey, VirtualService};
use crate::timeouts::{Timeouts, TimeoutsUpdate};
use crate::transport::Transport;
use crate::uapi::*;

/// How many commands go out before an acknowledgement is waited for. From 100 on the kernel is no
/// faster, and 277 answers fill the receive buffer of a netlink socket.
const BATCH: usize = 100;

/// How often an interrupted dump is begun again.
const ATTEMPTS: usize = 5;

/// A client of IPVS over any [`Transport`].
///
/// Calls block until the answer is there. After an error the client can be used on, unless the
/// error is one of the transport.
#[derive(Debug)]
pub struct Client<T> {
    transport: T,
    family: u16,
    sequence: u32,
    limit: Duration,
    /// What has been received and not been read.
    input: Vec<u8>,
    output: Vec<u8>,
}

impl<T: Transport> Client<T> {
    /// Looks for IPVS at the other end of `transport`.
    ///
    /// # Errors
    ///
    /// [`IpvsError::NoFamily`] if there is no IPVS, and what the transport says.
    pub fn connect(transport: T) -> Result<Self, IpvsError> {
        let mut client = Self {
            transport,
            family: 0,
            sequence: 1,
            limit: Duration::from_secs(10),
            input: Vec::new(),
            output: Vec::new(),
        };
        let mut family = None;
        let result = client.ask(&Query::Family, |message| {
            let (_, attributes) = message.generic()?;
            if let Some(id) = attributes.find(CtrlAttr::FamilyId.into())? {
                family = Some(id.u16()?);
            }
            Ok(())
        });
        match result {
            Err(IpvsError::Refused(Refused {
                errno: libc::ENOENT,
                ..
            })) => Err(IpvsError::NoFamily),
            Err(error) => Err(error),
            Ok(()) => {
                client.family = family.ok_or(IpvsError::NoFamily)?;
                Ok(client)
            }
        }
    }

    /// Sets how long silence is borne before [`IpvsError::TimedOut`]; 10 seconds by default. Zero
    /// counts as a millisecond.
    pub fn set_limit(&mut self, limit: Duration) {
        self.limit = limit.max(Duration::from_millis(1));
    }

    /// Version and size.
    ///
    /// # Errors
    ///
    /// As for all calls: what IPVS refuses, what the transport says, and an unreadable answer.
    pub fn info(&mut self) -> Result<Info, IpvsError> {
        let mut info = None;
        self.ask(&Query::Info, |message| {
            info = Some(Info::unpack(&message.generic()?.1)?);
            Ok(())
        })?;
        info.ok_or_else(|| IpvsError::Malformed(missing(IPVS_INFO_ATTR_VERSION)))
    }

    /// All services, in the dataplane's order. No service is an empty list.
    ///
    /// Left out are services of protocols that IPVS does not balance. The kernel lets others than
    /// ipvsadm and this crate add them, and never looks at them again.
    ///
    /// # Errors
    ///
    /// [`IpvsError::Interrupted`] if the table would not hold still, and as for [`Self::info`].
    pub fn services(&mut self) -> Result<Vec<ServiceEntry>, IpvsError> {
        self.dump(&Query::Services, |message| {
            let attributes = message.generic()?.1;
            let attribute = attributes.find(IPVS_CMD_ATTR_SERVICE)?;
            let attribute = attribute.ok_or_else(|| missing(IPVS_CMD_ATTR_SERVICE))?;
            match ServiceEntry::unpack(&attribute.nested()) {
                Err(ParseError::Value {
                    kind: IPVS_SVC_ATTR_PROTOCOL,
                    ..
                }) => Ok(None),
                entry => Ok(Some(entry?)),
            }
        })
        .map(|entries| entries.into_iter().flatten().collect())
    }

    /// One service.
    ///
    /// # Errors
    ///
    /// [`Reason::NoSuchService`](crate::Reason::NoSuchService), and as for [`Self::info`].
    pub fn service(&mut self, key: &ServiceKey) -> Result<ServiceEntry, IpvsError> {
        let mut entry = None;
        self.ask(&Query::Service(*key), |message| {
            if let Some(attribute) = message.generic()?.1.find(IPVS_CMD_ATTR_SERVICE)? {
                entry = Some(ServiceEntry::unpack(&attribute.nested())?);
            }
            Ok(())
        })?;
        entry.ok_or_else(|| IpvsError::Malformed(missing(IPVS_CMD_ATTR_SERVICE)))
    }

    /// The destinations of a service in its order, the one added last first. A service that does
    /// not exist has none: IPVS does not tell the difference here.
    ///
    /// # Errors
    ///
    /// As for [`Self::services`].
    pub fn destinations(&mut self, key: &ServiceKey) -> Result<Vec<DestinationEntry>, IpvsError> {
        self.dump(&Query::Destinations(*key), |message| {
            let attributes = message.generic()?.1;
            let attribute = attributes.find(IPVS_CMD_ATTR_DEST)?;
            let attribute = attribute.ok_or_else(|| missing(IPVS_CMD_ATTR_DEST))?;
            Ok(DestinationEntry::unpack(&attribute.nested(), key.family())?)
        })
    }

    /// All services with their destinations, as [`plan`](crate::plan()) takes them.
    ///
    /// # Errors
    ///
    /// As for [`Self::services`].
    pub fn rules(&mut self) -> Result<Vec<ServiceRules>, IpvsError> {
        let mut rules = Vec::new();
        for entry in self.services()? {
            let destinations = self.destinations(&entry.service.key)?;
            rules.push(ServiceRules {
                service: entry.service,
                // The table puts a new one at the head, so the list is backwards.
                destinations: destinations
                    .iter()
                    .rev()
                    .map(|entry| entry.destination)
                    .collect(),
            });
        }
        Ok(rules)
    }

    /// The timeouts of connections.
    ///
    /// # Errors
    ///
    /// As for [`Self::info`].
    pub fn timeouts(&mut self) -> Result<Timeouts, IpvsError> {
        let mut timeouts = None;
        self.ask(&Query::Timeouts, |message| {
            timeouts = Some(Timeouts::unpack(&message.generic()?.1)?);
            Ok(())
        })?;
        timeouts.ok_or_else(|| IpvsError::Malformed(missing(IPVS_CMD_ATTR_TIMEOUT_TCP)))
    }

    /// The sync daemons that run.
    ///
    /// # Errors
    ///
    /// As for [`Self::services`].
    pub fn daemons(&mut self) -> Result<Vec<SyncDaemon>, IpvsError> {
        self.dump(&Query::Daemons, |message| {
            let attributes = message.generic()?.1;
            let attribute = attributes.find(IPVS_CMD_ATTR_DAEMON)?;
            let attribute = attribute.ok_or_else(|| missing(IPVS_CMD_ATTR_DAEMON))?;
            Ok(SyncDaemon::unpack(&attribute.nested())?)
        })
    }

    /// Hands every connection entry to `each` as it comes; the list is never in memory whole.
    ///
    /// # Errors
    ///
    /// [`IpvsError::MalformedConnection`], and as for [`Self::info`].
    pub fn connections(&mut self, mut each: impl FnMut(ConnectionEntry)) -> Result<(), IpvsError> {
        let Some(list) = self.transport.connection_list() else {
            return self.ask(&Query::Connections, |message| {
                parse_lines(message.payload, &mut each)
            });
        };
        let mut list = list?;
        let mut line = Vec::new();
        while list.read_until(b'\n', &mut line)? > 0 {
            parse_lines(&line, &mut each)?;
            line.clear();
        }
        Ok(())
    }

    /// Adds a service.
    ///
    /// # Errors
    ///
    /// What [`Reason`](crate::Reason) lists for it, and as for [`Self::info`]; likewise below.
    pub fn add_service(&mut self, service: &VirtualService) -> Result<(), IpvsError> {
        self.execute(&Command::AddService(service.clone()))
    }

    /// Replaces a service's settings; its destinations stay.
    #[allow(clippy::missing_errors_doc, reason = "as add_service")]
    pub fn edit_service(&mut self, service: &VirtualService) -> Result<(), IpvsError> {
        self.execute(&Command::EditService(service.clone()))
    }

    /// Deletes a service with its destinations.
    #[allow(clippy::missing_errors_doc, reason = "as add_service")]
    pub fn delete_service(&mut self, service: &ServiceKey) -> Result<(), IpvsError> {
        self.execute(&Command::DeleteService(*service))
    }

    /// Adds a destination to a service.
    #[allow(clippy::missing_errors_doc, reason = "as add_service")]
    pub fn add_destination(
        &mut self,
        service: &ServiceKey,
        destination: &Destination,
    ) -> Result<(), IpvsError> {
        self.execute(&Command::AddDestination {
            service: *service,
            destination: *destination,
        })
    }

    /// Replaces a destination's settings.
    #[allow(clippy::missing_errors_doc, reason = "as add_service")]
    pub fn edit_destination(
        &mut self,
        service: &ServiceKey,
        destination: &Destination,
    ) -> Result<(), IpvsError> {
        self.execute(&Command::EditDestination {
            service: *service,
            destination: *destination,
        })
    }

    /// Takes a destination out of a service.
    #[allow(clippy::missing_errors_doc, reason = "as add_service")]
    pub fn delete_destination(
        &mut self,
        service: &ServiceKey,
        destination: &DestinationKey,
    ) -> Result<(), IpvsError> {
        self.execute(&Command::DeleteDestination {
            service: *service,
            destination: *destination,
        })
    }

    /// Changes timeouts.
    #[allow(clippy::missing_errors_doc, reason = "as add_service")]
    pub fn set_timeouts(&mut self, update: &TimeoutsUpdate) -> Result<(), IpvsError> {
        self.execute(&Command::SetTimeouts(*update))
    }

    /// Does one command.
    #[allow(clippy::missing_errors_doc, reason = "as add_service")]
    pub fn execute(&mut self, command: &Command) -> Result<(), IpvsError> {
        match self.apply(std::slice::from_ref(command))?.pop() {
            Some(failure) => Err(failure.refused.into()),
            None => Ok(()),
        }
    }

    /// Does commands in order, many under way at a time. A refused one does not stop the others;
    /// what was refused is returned, in order.
    ///
    /// # Errors
    ///
    /// Those of the transport: how many commands were done is then unknown, and the table must be
    /// read again.
    pub fn apply(&mut self, commands: &[Command]) -> Result<Vec<Failure>, IpvsError> {
        let mut failures = Vec::new();
        for (number, batch) in commands.chunks(BATCH).enumerate() {
            let mut exchange =
                Exchange::commands(batch, self.family, self.sequence, cleared(&mut self.output));
            // At most BATCH.
            self.sequence = self.sequence.wrapping_add(batch.len() as u32);
            self.converse(&mut exchange, |_| Ok(()))?;
            failures.extend(exchange.into_failures().into_iter().map(|mut failure| {
                failure.index += number * BATCH;
                failure
            }));
        }
        Ok(failures)
    }

    /// Asks and collects the entries of a dump, again if it was interrupted.
    fn dump<E>(
        &mut self,
        query: &Query,
        mut read: impl FnMut(&Message<'_>) -> Result<E, IpvsError>,
    ) -> Result<Vec<E>, IpvsError> {
        for _ in 0..ATTEMPTS {
            let mut entries = Vec::new();
            let result = self.ask(query, |message| {
                entries.push(read(message)?);
                Ok(())
            });
            match result {
                Ok(()) => return Ok(entries),
                Err(IpvsError::Interrupted) => {}
                Err(error) => return Err(error),
            }
        }
        Err(IpvsError::Interrupted)
    }

    fn ask(
        &mut self,
        query: &Query,
        each: impl FnMut(&Message<'_>) -> Result<(), IpvsError>,
    ) -> Result<(), IpvsError> {
        let output = cleared(&mut self.output);
        let mut exchange = Exchange::query(query, self.family, self.sequence, output);
        self.sequence = self.sequence.wrapping_add(1);
        self.converse(&mut exchange, each)?;
        if exchange.is_interrupted() {
            return Err(IpvsError::Interrupted);
        }
        match exchange.into_failures().pop() {
            Some(failure) => Err(failure.refused.into()),
            None => Ok(()),
        }
    }

    /// Sends what is in `output` and reads until the exchange is finished.
    fn converse(
        &mut self,
        exchange: &mut Exchange,
        mut each: impl FnMut(&Message<'_>) -> Result<(), IpvsError>,
    ) -> Result<(), IpvsError> {
        if exchange.is_finished() {
            return Ok(());
        }
        self.transport.send(&self.output)?;
        loop {
            let mut read = 0;
            let mut result = Ok(());
            while !exchange.is_finished() && result.is_ok() {
                let rest = self.input.get(read..).unwrap_or_default();
                let Some(length) = framed_length(rest)? else {
                    break;
                };
                let Some(bytes) = rest.get(..length) else {
                    break;
                };
                read += length;
                result = Messages::new(bytes).try_for_each(|message| {
                    match exchange.handle_message(&message?)? {
                        Some(answer) => each(&answer),
                        None => Ok(()),
                    }
                });
            }
            self.input.drain(..read);
            result?;
            if exchange.is_finished() {
                return Ok(());
            }
            match self.transport.receive(&mut self.input, self.limit) {
                Ok(0) => return Err(IpvsError::Closed),
                Ok(_) => {}
                Err(error) if is_timeout(&error) => {
                    return Err(IpvsError::TimedOut { limit: self.limit });
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

fn cleared(buffer: &mut Vec<u8>) -> &mut Vec<u8> {
    buffer.clear();
    buffer
}

fn missing(kind: u16) -> ParseError {
    ParseError::Missing { kind }
}
