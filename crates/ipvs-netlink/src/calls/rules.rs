//! The whole table: services, then the destinations of each.

use super::{plain_destinations, services};
use crate::calls::query::Dump;
use crate::codec::Message;
use crate::conversation::{Call, Numbers};
use crate::destination::Destination;
use crate::error::IpvsError;
use crate::exchange::Exchange;
use crate::plan::ServiceRules;
use crate::service::{ServiceEntry, VirtualService};
use crate::sockopt::QuickReader;

/// A dump of dumps. Only one of them runs at a time: a netlink socket takes no more.
pub(crate) struct Rules {
    services: Option<Dump<ServiceEntry>>,
    /// The service whose destinations are being read.
    current: Option<(VirtualService, Dump<Destination>)>,
    left: std::vec::IntoIter<ServiceEntry>,
    rules: Vec<ServiceRules>,
    reader: Option<QuickReader>,
}

impl Rules {
    pub(super) fn new(reader: Option<QuickReader>) -> Self {
        Self {
            services: Some(services()),
            current: None,
            left: Vec::new().into_iter(),
            rules: Vec::new(),
            reader,
        }
    }

    /// Puts what has been read into the table and turns to the next service that must be asked for.
    fn advance(&mut self) -> Result<(), IpvsError> {
        if let Some((service, dump)) = self.current.take() {
            self.push(service, dump.output()?);
        }
        while let Some(ServiceEntry { service, .. }) = self.left.next() {
            let reader = self.reader.as_mut();
            match reader.and_then(|reader| reader.destinations(&service.key)) {
                Some(destinations) => self.push(service, destinations),
                None => {
                    let dump = plain_destinations(&service.key);
                    self.current = Some((service, dump));
                    break;
                }
            }
        }
        Ok(())
    }

    fn push(&mut self, service: VirtualService, mut destinations: Vec<Destination>) {
        // The table puts a new one at the head, so the list is backwards.
        destinations.reverse();
        self.rules.push(ServiceRules {
            service,
            destinations,
        });
    }
}

impl Call for Rules {
    type Output = Vec<ServiceRules>;

    fn ask(&mut self, next: Numbers, bytes: &mut Vec<u8>) -> Option<Exchange> {
        if let Some(services) = &mut self.services {
            return services.ask(next, bytes);
        }
        self.current.as_mut()?.1.ask(next, bytes)
    }

    fn take(&mut self, answer: &Message<'_>) -> Result<(), IpvsError> {
        match (&mut self.services, &mut self.current) {
            (Some(services), _) => services.take(answer),
            (None, Some((_, dump))) => dump.take(answer),
            (None, None) => Ok(()),
        }
    }

    fn end(&mut self, exchange: Exchange, lost: bool) -> Result<(), IpvsError> {
        let is_over = match (&mut self.services, &mut self.current) {
            (Some(services), _) => services.end(exchange, lost).map(|()| services.is_over())?,
            (None, Some((_, dump))) => dump.end(exchange, lost).map(|()| dump.is_over())?,
            (None, None) => false,
        };
        if is_over {
            if let Some(services) = self.services.take() {
                let services = services.output()?;
                self.rules.reserve(services.len());
                if let Some(reader) = &mut self.reader {
                    reader.count(services.len());
                }
                self.left = services.into_iter();
            }
            self.advance()?;
        }
        Ok(())
    }

    fn output(self) -> Result<Vec<ServiceRules>, IpvsError> {
        Ok(self.rules)
    }
}
