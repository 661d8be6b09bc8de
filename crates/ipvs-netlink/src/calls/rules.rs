//! The whole table: services, then the destinations of each.

use super::{plain_destinations, plain_services};
use crate::calls::query::Dump;
use crate::codec::Message;
use crate::conversation::{Call, Numbers};
use crate::destination::Destination;
use crate::error::IpvsError;
use crate::exchange::Exchange;
use crate::plan::ServiceRules;
use crate::sockopt::QuickReader;

/// A dump of dumps. Only one of them runs at a time: a netlink socket takes no more.
pub(crate) struct Rules {
    services: Option<Dump<ServiceRules>>,
    /// The services, of which so many have their destinations.
    rules: Vec<ServiceRules>,
    filled: usize,
    /// The destinations of the next one.
    current: Option<Dump<Destination>>,
    reader: Option<QuickReader>,
}

impl Rules {
    pub(super) fn new(reader: Option<QuickReader>) -> Self {
        Self {
            services: Some(plain_services()),
            rules: Vec::new(),
            filled: 0,
            current: None,
            reader,
        }
    }

    /// Turns to the next service that must be asked for.
    fn advance(&mut self) -> Result<(), IpvsError> {
        let mut found = self.current.take().map(Call::output).transpose()?;
        while let Some(rules) = self.rules.get_mut(self.filled) {
            let key = &rules.service.key;
            let reader = self.reader.as_mut();
            let Some(mut destinations) = found
                .take()
                .or_else(|| reader.and_then(|reader| reader.destinations(key)))
            else {
                self.current = Some(plain_destinations(key));
                break;
            };
            // The table puts a new one at the head, so the list is backwards.
            destinations.reverse();
            rules.destinations = destinations;
            self.filled += 1;
        }
        Ok(())
    }
}

impl Call for Rules {
    type Output = Vec<ServiceRules>;

    fn ask(&mut self, next: Numbers, bytes: &mut Vec<u8>) -> Option<Exchange> {
        if let Some(services) = &mut self.services {
            return services.ask(next, bytes);
        }
        self.current.as_mut()?.ask(next, bytes)
    }

    fn take(&mut self, answer: &Message<'_>) -> Result<(), IpvsError> {
        match (&mut self.services, &mut self.current) {
            (Some(services), _) => services.take(answer),
            (None, Some(dump)) => dump.take(answer),
            (None, None) => Ok(()),
        }
    }

    fn end(&mut self, exchange: Exchange, lost: bool) -> Result<(), IpvsError> {
        let is_over = match (&mut self.services, &mut self.current) {
            (Some(services), _) => services.end(exchange, lost).map(|()| services.is_over())?,
            (None, Some(dump)) => dump.end(exchange, lost).map(|()| dump.is_over())?,
            (None, None) => false,
        };
        if is_over {
            if let Some(services) = self.services.take() {
                self.rules = services.output()?;
                if let Some(reader) = &mut self.reader {
                    reader.count(self.rules.len());
                }
            }
            self.advance()?;
        }
        Ok(())
    }

    fn output(self) -> Result<Vec<ServiceRules>, IpvsError> {
        Ok(self.rules)
    }
}
