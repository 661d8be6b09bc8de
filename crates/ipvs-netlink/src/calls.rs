//! The typed calls, as machines that both clients drive.

mod apply;
mod query;
mod rules;

use apply::{Apply, One};
use query::{Ask, Dump};
use rules::Rules;

use neli::consts::genl::CtrlAttr;

use crate::codec::{AddressFamily, Attributes, Message, ParseError};
use crate::command::Command;
use crate::connection::{ConnectionEntry, parse_lines};
use crate::conversation::Call;
use crate::daemon::SyncDaemon;
use crate::destination::{Destination, DestinationEntry};
use crate::error::{IpvsError, Refused};
use crate::exchange::Query;
use crate::info::Info;
use crate::plan::ServiceRules;
use crate::service::{ServiceEntry, ServiceKey, VirtualService};
use crate::sockopt::QuickReader;
use crate::timeouts::Timeouts;
use crate::uapi::*;

/// The id of the IPVS family.
pub(crate) fn family() -> impl Call<Output = u16> {
    Ask::new(Query::Family, CtrlAttr::FamilyId.into(), |message| {
        let found = message.generic()?.1.find(CtrlAttr::FamilyId.into())?;
        Ok(found.map(|id| id.u16()).transpose()?)
    })
}

/// What the search for the family has found.
pub(crate) fn found_family(result: Result<u16, IpvsError>) -> Result<u16, IpvsError> {
    match result {
        Err(IpvsError::Refused(Refused {
            errno: libc::ENOENT,
            ..
        }))
        | Err(IpvsError::Malformed(ParseError::Missing { .. })) => Err(IpvsError::NoFamily),
        result => result,
    }
}

pub(crate) fn info() -> impl Call<Output = Info> {
    Ask::new(Query::Info, IPVS_INFO_ATTR_VERSION, |message| {
        Ok(Some(Info::unpack(&message.generic()?.1)?))
    })
}

pub(crate) fn timeouts() -> impl Call<Output = Timeouts> {
    Ask::new(Query::Timeouts, IPVS_CMD_ATTR_TIMEOUT_TCP, |message| {
        Ok(Some(Timeouts::unpack(&message.generic()?.1)?))
    })
}

pub(crate) fn service(key: &ServiceKey) -> impl Call<Output = ServiceEntry> + use<> {
    Ask::new(Query::Service(*key), IPVS_CMD_ATTR_SERVICE, |message| {
        let found = message.generic()?.1.find(IPVS_CMD_ATTR_SERVICE)?;
        Ok(found
            .map(|found| ServiceEntry::unpack(&found.nested()))
            .transpose()?)
    })
}

pub(crate) fn services() -> Dump<ServiceEntry> {
    Dump::new(Query::Services, read_service)
}

pub(crate) fn destinations(key: &ServiceKey) -> Dump<DestinationEntry> {
    Dump::new(Query::Destinations(*key), read_destination)
}

/// The same without counters, which take more room and time than the rest, and without destinations
/// yet.
fn plain_services() -> Dump<ServiceRules> {
    Dump::new(Query::Services, |_, message| {
        let attributes = nested(message, IPVS_CMD_ATTR_SERVICE)?;
        let service = balanced(VirtualService::unpack(&attributes))?;
        Ok(service.map(|service| ServiceRules {
            service,
            destinations: Vec::new(),
        }))
    })
}

/// The same without counters.
fn plain_destinations(key: &ServiceKey) -> Dump<Destination> {
    Dump::new(Query::Destinations(*key), |query, message| {
        let attributes = nested(message, IPVS_CMD_ATTR_DEST)?;
        Ok(Some(Destination::unpack(&attributes, family_of(query))?))
    })
}

pub(crate) fn daemons() -> Dump<SyncDaemon> {
    Dump::new(Query::Daemons, |_, message| {
        let attributes = nested(message, IPVS_CMD_ATTR_DAEMON)?;
        Ok(Some(SyncDaemon::unpack(&attributes)?))
    })
}

pub(crate) fn rules(reader: Option<QuickReader>) -> Rules {
    Rules::new(reader)
}

pub(crate) fn execute(command: &Command) -> One<'_> {
    One(Apply::new(std::slice::from_ref(command)))
}

pub(crate) fn apply(commands: &[Command]) -> Apply<'_> {
    Apply::new(commands)
}

/// The connection list, where it comes as messages.
pub(crate) fn connections(mut each: impl FnMut(ConnectionEntry)) -> impl Call<Output = Vec<()>> {
    Dump::once(Query::Connections, move |_, message| {
        parse_lines(message.payload, &mut each)?;
        Ok(None)
    })
}

fn read_service(_: &Query, message: &Message<'_>) -> Result<Option<ServiceEntry>, IpvsError> {
    balanced(ServiceEntry::unpack(&nested(
        message,
        IPVS_CMD_ATTR_SERVICE,
    )?))
}

/// A service of a dump; `None` if its protocol is none that IPVS balances.
fn balanced<S>(service: Result<S, ParseError>) -> Result<Option<S>, IpvsError> {
    match service {
        Err(ParseError::Value {
            kind: IPVS_SVC_ATTR_PROTOCOL,
            ..
        }) => Ok(None),
        service => Ok(Some(service?)),
    }
}

fn read_destination(
    query: &Query,
    message: &Message<'_>,
) -> Result<Option<DestinationEntry>, IpvsError> {
    let attributes = nested(message, IPVS_CMD_ATTR_DEST)?;
    let family = family_of(query);
    Ok(Some(DestinationEntry::unpack(&attributes, family)?))
}

/// The family of the service whose destinations are asked for.
fn family_of(query: &Query) -> AddressFamily {
    match query {
        Query::Destinations(service) => service.family(),
        _ => AddressFamily::Inet,
    }
}

/// The attributes within the one of this kind.
fn nested<'a>(message: &Message<'a>, kind: u16) -> Result<Attributes<'a>, ParseError> {
    let found = message.generic()?.1.find(kind)?;
    Ok(found.ok_or(ParseError::Missing { kind })?.nested())
}
