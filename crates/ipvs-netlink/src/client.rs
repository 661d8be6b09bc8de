//! Typed calls to IPVS, whichever it is.

use std::io::BufRead;
use std::time::Duration;

use crate::calls;
use crate::command::Command;
use crate::connection::{ConnectionEntry, parse_lines};
use crate::conversation::{Call, Conversation};
use crate::daemon::SyncDaemon;
use crate::destination::{Destination, DestinationEntry, DestinationKey};
use crate::error::IpvsError;
use crate::exchange::Failure;
use crate::info::Info;
use crate::plan::ServiceRules;
use crate::service::{ServiceEntry, ServiceKey, VirtualService};
use crate::timeouts::{Timeouts, TimeoutsUpdate};
use crate::transport::Transport;

/// How many commands go out before an acknowledgement is waited for. From 100 on the kernel is no
/// faster, and 277 answers fill the receive buffer of a netlink socket.
pub(crate) const BATCH: usize = 128;

/// A client of IPVS over any [`Transport`].
///
/// Calls block until the answer is there. After an error the client can be used on, unless the
/// error is one of the transport. The client for tokio has the same calls.
#[derive(Debug)]
pub struct Client<T> {
    transport: T,
    conversation: Conversation,
}

impl<T: Transport> Client<T> {
    /// Looks for IPVS at the other end of `transport`.
    ///
    /// # Errors
    ///
    /// [`IpvsError::NoFamily`] if there is no IPVS, and what the transport says.
    pub fn connect(transport: T) -> Result<Self, IpvsError> {
        let mut client = Self {
            conversation: Conversation::new(BATCH.min(transport.capacity())),
            transport,
        };
        let family = calls::found_family(client.call(calls::family()))?;
        client.conversation.family = family;
        Ok(client)
    }

    /// Hands every connection entry to `each` as it comes; the list is never in memory whole.
    ///
    /// # Errors
    ///
    /// [`IpvsError::MalformedConnection`], and as for [`Self::info`].
    pub fn connections(&mut self, mut each: impl FnMut(ConnectionEntry)) -> Result<(), IpvsError> {
        let Some(list) = self.transport.connection_list() else {
            return self.call(calls::connections(each)).map(drop);
        };
        let mut list = list?;
        let mut line = Vec::new();
        while list.read_until(b'\n', &mut line)? > 0 {
            parse_lines(&line, &mut each)?;
            line.clear();
        }
        Ok(())
    }

    /// Drives a call: the only place that waits.
    fn call<C: Call>(&mut self, mut call: C) -> Result<C::Output, IpvsError> {
        while let Some(mut exchange) = self.conversation.begin(&mut call) {
            self.transport.send(self.conversation.output())?;
            while !self.conversation.read(&mut exchange, &mut call)? {
                let limit = self.conversation.limit();
                let input = &mut self.conversation.input;
                let received = self.transport.receive(input, limit);
                self.conversation.received(received)?;
            }
            self.conversation.end(exchange, &mut call)?;
        }
        call.output()
    }
}

/// The calls of a client, the same for the blocking and the asynchronous one. What stands before
/// the braces begins the `impl`; `$async` and `$await` are the keywords or nothing.
macro_rules! typed_calls {
    ({ $($head:tt)* }, [$($async:tt)?], [$($await:tt)*]) => {
        $($head)* {
            /// Sets how long silence is borne before [`IpvsError::TimedOut`]; 10 seconds by default.
            /// Zero counts as a millisecond.
            pub fn set_limit(&mut self, limit: Duration) {
                self.conversation.limit = limit.max(Duration::from_millis(1));
            }

            /// Sets how many commands may be under way at a time, 1 or more; by default 128, or fewer
            /// where the answers of 128 do not fit into the socket. Too many lose nothing: what is
            /// not answered is asked for once more.
            pub fn set_batch(&mut self, batch: usize) {
                self.conversation.batch = batch.max(1);
            }

            /// Version and size.
            ///
            /// # Errors
            ///
            /// As for all calls: what IPVS refuses, what the transport says, and an unreadable answer.
            pub $($async)? fn info(&mut self) -> Result<Info, IpvsError> {
                self.call(calls::info())$($await)*
            }

            /// All services, in the dataplane's order. No service is an empty list.
            ///
            /// Left out are services of protocols that IPVS does not balance. The kernel lets others
            /// than ipvsadm and this crate add them, and never looks at them again.
            ///
            /// # Errors
            ///
            /// [`IpvsError::Interrupted`] if the table would not hold still, and as for [`Self::info`].
            pub $($async)? fn services(&mut self) -> Result<Vec<ServiceEntry>, IpvsError> {
                self.call(calls::services())$($await)*
            }

            /// One service.
            ///
            /// # Errors
            ///
            /// [`Reason::NoSuchService`](crate::Reason::NoSuchService), and as for [`Self::info`].
            pub $($async)? fn service(&mut self, key: &ServiceKey) -> Result<ServiceEntry, IpvsError> {
                self.call(calls::service(key))$($await)*
            }

            /// The destinations of a service in its order, the one added last first. A service that
            /// does not exist has none: IPVS does not tell the difference here.
            ///
            /// # Errors
            ///
            /// As for [`Self::services`].
            pub $($async)? fn destinations(
                &mut self,
                key: &ServiceKey,
            ) -> Result<Vec<DestinationEntry>, IpvsError> {
                self.call(calls::destinations(key))$($await)*
            }

            /// All services with their destinations, as [`plan`](crate::plan()) takes them.
            ///
            /// # Errors
            ///
            /// As for [`Self::services`].
            pub $($async)? fn rules(&mut self) -> Result<Vec<ServiceRules>, IpvsError> {
                let reader = self.transport.quick_reader();
                self.call(calls::rules(reader))$($await)*
            }

            /// The timeouts of connections.
            ///
            /// # Errors
            ///
            /// As for [`Self::info`].
            pub $($async)? fn timeouts(&mut self) -> Result<Timeouts, IpvsError> {
                self.call(calls::timeouts())$($await)*
            }

            /// The sync daemons that run.
            ///
            /// # Errors
            ///
            /// As for [`Self::services`].
            pub $($async)? fn daemons(&mut self) -> Result<Vec<SyncDaemon>, IpvsError> {
                self.call(calls::daemons())$($await)*
            }

            /// Adds a service.
            ///
            /// # Errors
            ///
            /// What [`Reason`](crate::Reason) lists for it, and as for [`Self::info`]; likewise below.
            pub $($async)? fn add_service(
                &mut self,
                service: &VirtualService,
            ) -> Result<(), IpvsError> {
                self.execute(&Command::AddService(service.clone()))$($await)*
            }

            /// Replaces a service's settings; its destinations stay.
            #[allow(clippy::missing_errors_doc, reason = "as add_service")]
            pub $($async)? fn edit_service(
                &mut self,
                service: &VirtualService,
            ) -> Result<(), IpvsError> {
                self.execute(&Command::EditService(service.clone()))$($await)*
            }

            /// Deletes a service with its destinations.
            #[allow(clippy::missing_errors_doc, reason = "as add_service")]
            pub $($async)? fn delete_service(&mut self, service: &ServiceKey) -> Result<(), IpvsError> {
                self.execute(&Command::DeleteService(*service))$($await)*
            }

            /// Adds a destination to a service.
            #[allow(clippy::missing_errors_doc, reason = "as add_service")]
            pub $($async)? fn add_destination(
                &mut self,
                service: &ServiceKey,
                destination: &Destination,
            ) -> Result<(), IpvsError> {
                self.execute(&Command::AddDestination {
                    service: *service,
                    destination: *destination,
                })$($await)*
            }

            /// Replaces a destination's settings.
            #[allow(clippy::missing_errors_doc, reason = "as add_service")]
            pub $($async)? fn edit_destination(
                &mut self,
                service: &ServiceKey,
                destination: &Destination,
            ) -> Result<(), IpvsError> {
                self.execute(&Command::EditDestination {
                    service: *service,
                    destination: *destination,
                })$($await)*
            }

            /// Takes a destination out of a service.
            #[allow(clippy::missing_errors_doc, reason = "as add_service")]
            pub $($async)? fn delete_destination(
                &mut self,
                service: &ServiceKey,
                destination: &DestinationKey,
            ) -> Result<(), IpvsError> {
                self.execute(&Command::DeleteDestination {
                    service: *service,
                    destination: *destination,
                })$($await)*
            }

            /// Changes timeouts.
            #[allow(clippy::missing_errors_doc, reason = "as add_service")]
            pub $($async)? fn set_timeouts(
                &mut self,
                update: &TimeoutsUpdate,
            ) -> Result<(), IpvsError> {
                self.execute(&Command::SetTimeouts(*update))$($await)*
            }

            /// Does one command.
            #[allow(clippy::missing_errors_doc, reason = "as add_service")]
            pub $($async)? fn execute(&mut self, command: &Command) -> Result<(), IpvsError> {
                self.call(calls::execute(command))$($await)*
            }

            /// Does commands in order, many under way at a time. A refused one does not stop the
            /// others; what was refused is returned, in order.
            ///
            /// Should answers be lost because they do not fit into the socket, the commands that they
            /// were for are done once more, one at a time. Then what counts is whether the table is as
            /// the command wants it: an entry to add that is there gets its settings, and one to
            /// delete that is not there is no failure.
            ///
            /// # Errors
            ///
            /// Those of the transport: how many commands were done is then unknown, and the table must
            /// be read again.
            pub $($async)? fn apply(&mut self, commands: &[Command]) -> Result<Vec<Failure>, IpvsError> {
                self.call(calls::apply(commands))$($await)*
            }
        }
    };
}

typed_calls!({ impl<T: Transport> Client<T> }, [], []);

#[cfg(feature = "tokio")]
pub(crate) use typed_calls;
