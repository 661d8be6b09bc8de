//! From the bytes of a request to a command or a question, with the kernel's errno for bad ones.

use std::net::{IpAddr, Ipv4Addr};

use crate::codec::{AddressFamily, Attribute, Attributes, Message, ParseError};
use crate::command::Command;
use crate::daemon::{SyncDaemon, unpack_role};
use crate::destination::{DestinationFields, DestinationKey};
use crate::exchange::Query;
use crate::service::{ServiceFlags, ServiceKey, VirtualService, flag_word};
use crate::timeouts::TimeoutsUpdate;
use crate::uapi::*;

/// The group of sync daemons that name none.
const DEFAULT_GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 81);

/// What a request asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Request {
    Change(Command),
    Query(Query),
}

/// Reads the request that a message of the IPVS family holds. `find` knows the services of the
/// table: the kernel looks for the service before it looks at the rest of a request.
///
/// # Errors
///
/// The errno that the kernel gives.
pub(crate) fn parse<'t>(
    message: &Message<'_>,
    dump: bool,
    find: impl Fn(&ServiceKey) -> Option<&'t VirtualService>,
) -> Result<Request, i32> {
    let (command, attributes) = message.generic().map_err(|_| libc::EINVAL)?;
    let top = |kind: u16| attributes.find(kind).map_err(invalid);
    let change = |command: Command| Ok(Request::Change(command));
    let query = |query: Query| Ok(Request::Query(query));
    match (command, dump) {
        (IPVS_CMD_GET_SERVICE, true) => return query(Query::Services),
        (IPVS_CMD_GET_DEST, true) => {
            // A dump of nothing is empty; the kernel does not say why.
            let key = top(IPVS_CMD_ATTR_SERVICE)
                .ok()
                .flatten()
                .and_then(|service| service_key(&service).ok());
            return key.map_or(Err(0), |key| query(Query::Destinations(key)));
        }
        (IPVS_CMD_GET_DAEMON, true) => return query(Query::Daemons),
        (IPVS_CMD_GET_INFO, false) => return query(Query::Info),
        (IPVS_CMD_GET_CONFIG, false) => return query(Query::Timeouts),
        (IPVS_CMD_GET_SERVICE, false) => {
            let key = service_key(&top(IPVS_CMD_ATTR_SERVICE)?.ok_or(libc::EINVAL)?)?;
            return query(Query::Service(key));
        }
        (IPVS_CMD_FLUSH, false) => return change(Command::Flush),
        (IPVS_CMD_SET_CONFIG, false) => {
            return change(Command::SetTimeouts(timeouts(&attributes)?));
        }
        (IPVS_CMD_NEW_DAEMON, false) => {
            let attribute = top(IPVS_CMD_ATTR_DAEMON)?.ok_or(libc::EINVAL)?;
            return change(Command::StartDaemon(daemon(&attribute)?));
        }
        (IPVS_CMD_DEL_DAEMON, false) => {
            let attribute = top(IPVS_CMD_ATTR_DAEMON)?.ok_or(libc::EINVAL)?;
            let role = unpack_role(&attribute.nested()).map_err(invalid)?;
            return change(Command::StopDaemon(role));
        }
        (IPVS_CMD_ZERO, false) if top(IPVS_CMD_ATTR_SERVICE)?.is_none() => {
            return change(Command::Zero(None));
        }
        (
            IPVS_CMD_NEW_SERVICE | IPVS_CMD_SET_SERVICE | IPVS_CMD_DEL_SERVICE | IPVS_CMD_NEW_DEST
            | IPVS_CMD_SET_DEST | IPVS_CMD_DEL_DEST | IPVS_CMD_ZERO,
            false,
        ) => {}
        _ => return Err(libc::EOPNOTSUPP),
    }

    let attribute = top(IPVS_CMD_ATTR_SERVICE)?.ok_or(libc::EINVAL)?;
    let key = match service_key(&attribute) {
        // What cannot be there is not found; only who adds it hears why it cannot be.
        Err(libc::EPROTONOSUPPORT) if command != IPVS_CMD_NEW_SERVICE => return Err(libc::ESRCH),
        key => key?,
    };
    let old = find(&key);
    if matches!(command, IPVS_CMD_NEW_SERVICE | IPVS_CMD_SET_SERVICE) {
        let service = full_service(&attribute, old)?;
        return match (command, old) {
            (IPVS_CMD_NEW_SERVICE, _) => change(Command::AddService(service)),
            (_, Some(_)) => change(Command::EditService(service)),
            (_, None) => Err(libc::ESRCH),
        };
    }
    if old.is_none() {
        return Err(libc::ESRCH);
    }
    match command {
        IPVS_CMD_DEL_SERVICE => return change(Command::DeleteService(key)),
        IPVS_CMD_ZERO => return change(Command::Zero(Some(key))),
        _ => {}
    }
    let attribute = top(IPVS_CMD_ATTR_DEST)?.ok_or(libc::EINVAL)?;
    let fields = DestinationFields::read(&attribute.nested()).map_err(invalid)?;
    let destination = fields.key(key.family()).map_err(invalid)?;
    if command == IPVS_CMD_DEL_DEST {
        return change(Command::DeleteDestination {
            service: key,
            destination,
        });
    }
    let destination = full_destination(&fields, destination)?;
    change(match command {
        IPVS_CMD_NEW_DEST => Command::AddDestination {
            service: key,
            destination,
        },
        _ => Command::EditDestination {
            service: key,
            destination,
        },
    })
}

/// Longer attributes than these the kernel refuses; numbers may be longer.
const LIMITS: [(u16, usize); 2] = [(IPVS_SVC_ATTR_ADDR, 16), (IPVS_SVC_ATTR_FLAGS, 8)];

/// Attributes that hold a name with its closing NUL.
const NAMES: [u16; 2] = [IPVS_SVC_ATTR_SCHED_NAME, IPVS_SVC_ATTR_PE_NAME];

fn service_key(attribute: &Attribute<'_>) -> Result<ServiceKey, i32> {
    for attribute in attribute.nested() {
        let Attribute { kind, payload } = attribute.map_err(invalid)?;
        let limit = LIMITS.iter().find(|(limited, _)| *limited == kind);
        if limit.is_some_and(|(_, limit)| payload.len() > *limit)
            || (NAMES.contains(&kind) && !is_name(payload))
        {
            return Err(libc::EINVAL);
        }
    }
    ServiceKey::unpack(&attribute.nested()).map_err(|error| match error {
        ParseError::Value {
            kind: IPVS_SVC_ATTR_AF,
            ..
        } => libc::EAFNOSUPPORT,
        ParseError::Value {
            kind: IPVS_SVC_ATTR_PROTOCOL | IPVS_SVC_ATTR_FWMARK,
            ..
        } => libc::EPROTONOSUPPORT,
        _ => libc::EINVAL,
    })
}

/// A service with all that adding and editing need. Flags that the request does not mean keep their
/// old values.
fn full_service(
    attribute: &Attribute<'_>,
    old: Option<&VirtualService>,
) -> Result<VirtualService, i32> {
    let attributes = attribute.nested();
    let find = |kind: u16| attributes.find(kind).map_err(invalid)?.ok_or(libc::EINVAL);
    find(IPVS_SVC_ATTR_SCHED_NAME)?;
    find(IPVS_SVC_ATTR_NETMASK)?;
    let timeout = find(IPVS_SVC_ATTR_TIMEOUT)?.u32().map_err(invalid)?;
    let (flags, mask) = flag_word(&find(IPVS_SVC_ATTR_FLAGS)?).map_err(invalid)?;
    let flags = (old.map_or(0, VirtualService::flag_bits) & !mask) | (flags & mask);
    let mut service = VirtualService::unpack(&attributes).map_err(invalid)?;
    service.flags = ServiceFlags::from_bits(flags);
    service.persistence_timeout = (flags & IP_VS_SVC_F_PERSISTENT != 0)
        .then(|| std::time::Duration::from_secs(timeout.into()));
    Ok(service)
}

fn full_destination(
    fields: &DestinationFields<'_>,
    key: DestinationKey,
) -> Result<crate::Destination, i32> {
    let complete = [
        fields.forward,
        fields.weight,
        fields.upper_threshold,
        fields.lower_threshold,
    ];
    if complete.iter().any(Option::is_none) {
        return Err(libc::EINVAL);
    }
    Ok(fields.destination(key))
}

fn timeouts(attributes: &Attributes<'_>) -> Result<TimeoutsUpdate, i32> {
    let update = TimeoutsUpdate::unpack(attributes).map_err(invalid)?;
    // The kernel counts in hundredths of a second and more in a signed number.
    let limit = std::time::Duration::from_secs(i32::MAX as u64 / 100);
    let given = [update.tcp, update.tcp_fin, update.udp];
    if given.iter().flatten().any(|timeout| *timeout > limit) {
        return Err(libc::EINVAL);
    }
    Ok(update)
}

/// A daemon with the values that the kernel chooses where none are given.
fn daemon(attribute: &Attribute<'_>) -> Result<SyncDaemon, i32> {
    let attributes = attribute.nested();
    for kind in [IPVS_DAEMON_ATTR_MCAST_IFN, IPVS_DAEMON_ATTR_SYNC_ID] {
        attributes
            .find(kind)
            .map_err(invalid)?
            .ok_or(libc::EINVAL)?;
    }
    let mut daemon = SyncDaemon::unpack(&attributes).map_err(invalid)?;
    let group = *daemon.group.get_or_insert(IpAddr::V4(DEFAULT_GROUP));
    let headers = match AddressFamily::of(group) {
        AddressFamily::Inet => 28,
        AddressFamily::Inet6 => 48,
    };
    // As for an interface with an MTU of 1500.
    let length = daemon.max_length.unwrap_or(1500 - headers);
    daemon.max_length = Some(length.max(1024));
    daemon.port.get_or_insert(8848);
    daemon.ttl.get_or_insert(1);
    Ok(daemon)
}

fn is_name(payload: &[u8]) -> bool {
    payload
        .iter()
        .take(IP_VS_SCHEDNAME_MAXLEN)
        .any(|byte| *byte == 0)
}

fn invalid(_: ParseError) -> i32 {
    libc::EINVAL
}
