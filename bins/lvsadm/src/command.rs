//! From a command line to what shall be done.
//!
//! Design: pure but for names, which the system looks up. The checks stand in ipvsadm's order,
//! because the first error of several is the one that is reported.

use std::net::IpAddr;
use std::time::Duration;

use ipvs_netlink::{
    AddressFamily, Command, Destination, DestinationKey, ForwardMethod, Name, ServiceFlags,
    ServiceKey, SyncDaemon, TimeoutsUpdate, TunnelKind, VirtualService,
};

use crate::exit::{Failure, Outcome};
use crate::flags::{KEYS, Key, Meaning, Rule, Verb};
use crate::options::{Forwarding, LONGEST_TIMEOUT, Options, TunnelType, quoted, timeout};
use crate::words::Words;

/// What a command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    Help,
    Version,
    Restore,
    Save { numeric: bool },
    List(Listing),
    Change(Command),
}

/// A listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listing {
    pub(crate) subject: Subject,
    pub(crate) format: Format,
    pub(crate) numeric: bool,
    pub(crate) exact: bool,
    pub(crate) sorted: bool,
    pub(crate) json: bool,
}

/// What to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Table,
    Service(ServiceKey),
    Connections,
    Timeouts,
    Daemons,
}

/// How to list services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Plain,
    Stats,
    Rate,
    Thresholds,
    PersistentConn,
    TunInfo,
}

/// How command lines are read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Dialect {
    /// Whether the first word that is no option ends them (`POSIXLY_CORRECT`).
    pub(crate) posix: bool,
    /// Whether only ipvsadm's own options are known.
    pub(crate) ipvsadm: bool,
    /// Whether all is taken that IPVS takes, and kept as it is written: for files that shall lose
    /// nothing. ipvsadm has narrower limits.
    pub(crate) wide: bool,
}

/// Reads a command line without its name. `program` is that name, for messages.
pub(crate) fn parse(arguments: &[&[u8]], program: &[u8], dialect: Dialect) -> Outcome<Task> {
    let mut options = Options::new(dialect);
    if arguments.is_empty() {
        return task(Verb::List, &options, &[]);
    }
    let no_command = || Failure::no_command(program);
    let mut words = Words::new(arguments, dialect);
    let first = words
        .next()
        .map_err(|_| no_command())?
        .ok_or_else(no_command)?;
    let Meaning::Verb(verb) = first.flag.meaning else {
        return Err(no_command());
    };
    match verb {
        Verb::Help => return Ok(Task::Help),
        Verb::Version => return Ok(Task::Version),
        Verb::StartDaemon | Verb::StopDaemon => {
            let state = first.value.unwrap_or_default();
            options
                .take_state(verb, state)
                .map_err(|failure| failure.at(words.position()))?;
        }
        _ => {}
    }
    loop {
        let found = words.next();
        let position = words.position();
        let Some(found) = found.map_err(|failure| failure.at(position))? else {
            break;
        };
        options
            .take(&found)
            .map_err(|failure| failure.at(position))?;
    }

    let mut stray = words.stray.as_slice();
    let mut timeouts = [0; 3];
    if verb == Verb::Set {
        let Some((three, rest)) = stray.split_at_checked(3) else {
            return Err(Failure::usage("--set option requires 3 timeout values"));
        };
        for (seconds, (place, text)) in timeouts.iter_mut().zip(three) {
            *seconds = timeout(text, 0, LONGEST_TIMEOUT).map_err(|failure| failure.at(*place))?;
        }
        stray = rest;
    }
    if let Some((place, word)) = stray.first() {
        let message = [b"unexpected argument ".as_slice(), word].concat();
        return Err(Failure::usage(message).at(*place));
    }
    task(verb, &options, &timeouts)
}

/// Checks the options against the command and makes a task of both.
fn task(verb: Verb, options: &Options<'_>, timeouts: &[u64]) -> Outcome<Task> {
    let flags =
        scheduler_flags(options).map_err(|failure| failure.at(options.place(Key::SchedFlags)))?;
    check_combination(verb, options)?;
    match verb {
        Verb::Help => Ok(Task::Help),
        Verb::Version => Ok(Task::Version),
        Verb::Restore => Ok(Task::Restore),
        Verb::Save => Ok(Task::Save {
            numeric: options.has(Key::Numeric),
        }),
        Verb::List => listing(options).map(Task::List),
        Verb::Flush => Ok(Task::Change(Command::Flush)),
        Verb::Zero => Ok(Task::Change(Command::Zero(options.service))),
        Verb::Set => Ok(Task::Change(set_timeouts(timeouts))),
        Verb::StartDaemon => {
            daemon(options).map(|daemon| Task::Change(Command::StartDaemon(daemon)))
        }
        Verb::StopDaemon => {
            let role = options.daemon_role.ok_or_else(internal)?;
            Ok(Task::Change(Command::StopDaemon(role)))
        }
        Verb::AddService => Ok(Task::Change(Command::AddService(service(options, flags)?))),
        Verb::EditService => Ok(Task::Change(Command::EditService(service(options, flags)?))),
        Verb::DeleteService => Ok(Task::Change(Command::DeleteService(
            options.service.ok_or_else(internal)?,
        ))),
        Verb::AddServer => {
            let (service, destination) = server(options)?;
            Ok(Task::Change(Command::AddDestination {
                service,
                destination,
            }))
        }
        Verb::EditServer => {
            let (service, destination) = server(options)?;
            Ok(Task::Change(Command::EditDestination {
                service,
                destination,
            }))
        }
        Verb::DeleteServer => {
            let (service, key) = server_key(options)?;
            Ok(Task::Change(Command::DeleteDestination {
                service,
                destination: key,
            }))
        }
    }
}

/// The required options are there: `check_combination` has seen to it. Should it ever not, this is
/// what the user gets in place of a panic.
fn internal() -> Failure {
    Failure::usage("an option is missing")
}

/// Names of scheduler flags: the name, which scheduler it belongs to (empty: any), the flag.
const SCHEDULER_FLAGS: [(&str, &str, ServiceFlags); 7] = [
    ("sh-fallback", "sh", ServiceFlags::SCHED_1),
    ("sh-port", "sh", ServiceFlags::SCHED_2),
    ("mh-fallback", "mh", ServiceFlags::SCHED_1),
    ("mh-port", "mh", ServiceFlags::SCHED_2),
    ("flag-1", "", ServiceFlags::SCHED_1),
    ("flag-2", "", ServiceFlags::SCHED_2),
    ("flag-3", "", ServiceFlags::SCHED_3),
];

fn scheduler_flags(options: &Options<'_>) -> Outcome<ServiceFlags> {
    let mut flags = ServiceFlags::NONE;
    let Some(list) = options.scheduler_flags else {
        return Ok(flags);
    };
    for name in list
        .split(|byte| *byte == b',')
        .filter(|name| !name.is_empty())
    {
        let known = SCHEDULER_FLAGS
            .iter()
            .find(|(known, ..)| known.as_bytes() == name);
        let Some((_, scheduler, flag)) = known else {
            return Err(Failure::usage(quoted("invalid scheduler flag", name, "")));
        };
        let given = options.scheduler.unwrap_or_default();
        if !scheduler.is_empty() && scheduler.as_bytes() != given {
            return Err(Failure::usage(quoted(
                "incompatible scheduler flag",
                name,
                "",
            )));
        }
        flags = flags | *flag;
    }
    Ok(flags)
}

/// Options of a listing that exclude an earlier one.
const CONFLICTS: [(Key, Key); 6] = [
    (Key::Service, Key::Connection),
    (Key::Timeout, Key::Connection),
    (Key::Timeout, Key::Service),
    (Key::Daemon, Key::Connection),
    (Key::Daemon, Key::Service),
    (Key::Daemon, Key::Timeout),
];

fn check_combination(verb: Verb, options: &Options<'_>) -> Outcome<()> {
    if verb != Verb::List && verb.takes(options.given) {
        return Ok(());
    }
    let command = verb.name();
    for (key, name) in KEYS {
        let message = match (verb.rule(key), options.has(key)) {
            (Rule::Required, false) => {
                format!("You need to supply the '{name}' option for the '{command}' command")
            }
            (Rule::Illegal, true) => {
                format!("Illegal '{name}' option with the '{command}' command")
            }
            (_, true) if verb == Verb::List => {
                let earlier = CONFLICTS
                    .iter()
                    .find(|(this, earlier)| *this == key && options.has(*earlier));
                let Some((_, earlier)) = earlier else {
                    continue;
                };
                let earlier = earlier.name();
                format!(
                    "The option '{name}' conflicts with the '{earlier}' option in the \
                     '{command}' command"
                )
            }
            _ => continue,
        };
        return Err(Failure::usage(message).at(options.place(key)));
    }
    Ok(())
}

fn listing(options: &Options<'_>) -> Outcome<Listing> {
    let has = |key| options.has(key);
    let counters = has(Key::Stats) || has(Key::Rate) || has(Key::Thresholds);
    if (has(Key::Connection) && counters)
        || ((has(Key::Timeout) || has(Key::Daemon)) && (counters || has(Key::PersistentConn)))
    {
        return Err(Failure::usage("options conflicts in the list command"));
    }
    let subject = match options.service {
        _ if has(Key::Connection) => Subject::Connections,
        _ if has(Key::Timeout) => Subject::Timeouts,
        _ if has(Key::Daemon) => Subject::Daemons,
        Some(service) => Subject::Service(service),
        None => Subject::Table,
    };
    let formats = [
        (Key::Stats, Format::Stats),
        (Key::Rate, Format::Rate),
        (Key::Thresholds, Format::Thresholds),
        (Key::PersistentConn, Format::PersistentConn),
        (Key::TunInfo, Format::TunInfo),
    ];
    let format = formats
        .iter()
        .find(|(key, _)| has(*key))
        .map_or(Format::Plain, |(_, f)| *f);
    Ok(Listing {
        subject,
        format,
        numeric: has(Key::Numeric),
        exact: has(Key::Exact),
        sorted: !has(Key::NoSort),
        json: has(Key::Json),
    })
}

fn set_timeouts(timeouts: &[u64]) -> Command {
    let timeout = |index: usize| {
        timeouts
            .get(index)
            .filter(|value| **value > 0)
            .map(|value| Duration::from_secs(*value))
    };
    Command::SetTimeouts(TimeoutsUpdate {
        tcp: timeout(0),
        tcp_fin: timeout(1),
        udp: timeout(2),
    })
}

fn daemon(options: &Options<'_>) -> Outcome<SyncDaemon> {
    Ok(SyncDaemon {
        role: options.daemon_role.ok_or_else(internal)?,
        interface: Name::lossy(options.interface),
        sync_id: options.sync_id,
        max_length: options.sync_maxlen,
        group: options.group,
        port: options.group_port,
        ttl: options.ttl,
    })
}

fn service(options: &Options<'_>, flags: ServiceFlags) -> Outcome<VirtualService> {
    let key = options.service.ok_or_else(internal)?;
    let is_udp_or_mark = !matches!(
        key,
        ServiceKey::Address {
            protocol: ipvs_netlink::Protocol::Tcp | ipvs_netlink::Protocol::Sctp,
            ..
        }
    );
    if let ServiceKey::Address { port: 0, .. } = key
        && options.persistence.is_none()
    {
        return Err(Failure::usage(
            "Zero port specified for non-persistent service",
        ));
    }
    if options.has(Key::Ops) && !is_udp_or_mark && !options.wide() {
        return Err(Failure::usage(
            "One-Packet Scheduling is only for UDP virtual services",
        ));
    }
    let scheduler = options.scheduler.filter(|name| !name.is_empty());
    let engine = options.engine.filter(|name| !name.is_empty());
    let one_packet = if options.has(Key::Ops) {
        ServiceFlags::ONE_PACKET
    } else {
        ServiceFlags::NONE
    };
    Ok(VirtualService {
        key,
        scheduler: Name::lossy(scheduler.unwrap_or(b"wlc")),
        flags: flags | one_packet,
        persistence_timeout: options.persistence,
        persistence_granularity: options.granularity,
        persistence_engine: engine.map(Name::lossy),
    })
}

/// Which server of which service, as written; without a port it has the service's.
fn server_key(options: &Options<'_>) -> Outcome<(ServiceKey, DestinationKey)> {
    let service = options.service.ok_or_else(internal)?;
    let (address, port) = options.server.ok_or_else(internal)?;
    let port = port.unwrap_or_else(|| service.port());
    Ok((service, DestinationKey { address, port }))
}

fn server(options: &Options<'_>) -> Outcome<(ServiceKey, Destination)> {
    let (service, mut key) = server_key(options)?;
    check_tunnel(options, &service, key.address)?;
    // Where packets are not translated the server must listen on the service's port, so any other
    // is replaced without a word; deleting takes the port as it is written.
    let replaces = options.forwarding != Forwarding::Masquerading && !options.wide();
    if replaces && service.protocol().is_some() {
        key.port = service.port();
    }
    let tunnel = match options.tunnel_type {
        TunnelType::Ipip => TunnelKind::Ipip,
        TunnelType::Gue => TunnelKind::Gue {
            port: options.tunnel_port,
            checksum: options.tunnel_checksum,
        },
        TunnelType::Gre => TunnelKind::Gre {
            checksum: options.tunnel_checksum,
        },
    };
    let destination = Destination {
        address: key.address,
        port: key.port,
        forward: match options.forwarding {
            Forwarding::Gatewaying => ForwardMethod::DirectRoute,
            Forwarding::Ipip => ForwardMethod::Tunnel(tunnel),
            Forwarding::Masquerading => ForwardMethod::Masq,
        },
        weight: options.weight.unwrap_or(1),
        upper_threshold: options.upper_threshold,
        lower_threshold: options.lower_threshold,
    };
    Ok((service, destination))
}

fn check_tunnel(options: &Options<'_>, service: &ServiceKey, address: IpAddr) -> Outcome<()> {
    let has = |key| options.has(key);
    let fail = |message: String| Err(Failure::usage(message));
    let keys = [Key::TunPort, Key::TunNocsum, Key::TunCsum, Key::TunRemcsum];
    if options.forwarding != Forwarding::Ipip {
        if AddressFamily::of(address) != service.family() {
            return fail("Different address family is allowed only for tunneling servers".into());
        }
        if has(Key::TunType) || keys.iter().any(|key| has(*key)) {
            return fail("Tunnel options conflict with forward method".into());
        }
        return Ok(());
    }
    let kind = options.tunnel_type;
    let tunnel = kind.name();
    for key in keys {
        let name = key.name();
        let allowed = match key {
            Key::TunPort | Key::TunRemcsum => kind == TunnelType::Gue,
            _ => kind != TunnelType::Ipip,
        };
        if !has(key) {
            if key == Key::TunPort && kind == TunnelType::Gue {
                return fail(format!(
                    "You need to supply the '{name}' option for the '{tunnel}' tunnel type"
                ));
            }
            continue;
        }
        if !allowed {
            return fail(format!(
                "Illegal '{name}' option with the '{tunnel}' tunnel type"
            ));
        }
        let earlier: &[Key] = match key {
            Key::TunCsum => &[Key::TunNocsum],
            Key::TunRemcsum => &[Key::TunNocsum, Key::TunCsum],
            _ => &[],
        };
        if let Some(earlier) = earlier.iter().find(|earlier| has(**earlier)) {
            let earlier = earlier.name();
            return fail(format!(
                "The option '{name}' conflicts with the '{earlier}' option in the '{tunnel}' \
                 tunnel type"
            ));
        }
    }
    Ok(())
}
