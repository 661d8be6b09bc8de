//! A whole table at once: saved without loss, compared with a file, made what the file says.
//!
//! Design: [`changes`] is a pure function of what is wished and what there is; services and servers
//! are left to [`ipvs_netlink::plan`], which touches only what differs.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, Write};
use std::os::unix::ffi::OsStrExt;

use ipvs_netlink::{
    Command, DaemonRole, IpvsError, ServiceKey, ServiceRules, SyncDaemon, Timeouts, TimeoutsUpdate,
    plan,
};
use serde_json::json;

use crate::dataplane::AnyClient;
use crate::exit::{Failure, Outcome};
use crate::output::rules::{is_faithful, line};
use crate::table_file::{self, DaemonWish, Wished};

/// A sync message is never shorter, whatever is asked for.
const SHORTEST_MESSAGE: u16 = 1024;

/// How much of a file is in memory at a time.
const PIECE: usize = 32 * 1024;

/// What there is, as far as it matters.
struct Actual {
    rules: Vec<ServiceRules>,
    timeouts: Option<Timeouts>,
    daemons: Vec<SyncDaemon>,
}

impl Actual {
    /// Reads everything; for a file, what that says something of.
    fn read(client: &mut AnyClient, wished: Option<&Wished>) -> Outcome<Self> {
        let timeouts = wished.is_none_or(|wished| wished.timeouts.is_some());
        let daemons = wished.is_none_or(|wished| {
            [&wished.master, &wished.backup] != [&DaemonWish::AsItIs, &DaemonWish::AsItIs]
        });
        let read = |client: &mut AnyClient| -> Result<Self, IpvsError> {
            Ok(Self {
                rules: client.rules()?,
                timeouts: timeouts.then(|| client.timeouts()).transpose()?,
                daemons: if daemons {
                    client.daemons()?
                } else {
                    Vec::new()
                },
            })
        };
        read(client).map_err(|error| trouble(&Failure::ipvs(&error)))
    }

    fn daemon(&self, role: DaemonRole) -> Option<&SyncDaemon> {
        self.daemons.iter().find(|daemon| daemon.role == role)
    }
}

/// Reads a file, `-` for standard input.
pub(crate) fn wished(name: &[u8]) -> Outcome<Wished> {
    let shown = String::from_utf8_lossy(name);
    let read = if name == b"-" {
        table_file::read(io::stdin().lock())
    } else {
        let file = File::open(OsStr::from_bytes(name));
        file.and_then(|file| table_file::read(BufReader::with_capacity(PIECE, file)))
    };
    let read = read.map_err(|error| Failure::usage(format!("{shown}: {error}")))?;
    let wished = read.map_err(|problems| {
        let count = problems.len();
        let lines: String = problems
            .iter()
            .map(|problem| format!("{shown}:{problem}\n"))
            .collect();
        let problems = if count == 1 { "problem" } else { "problems" };
        Failure::usage(format!("{lines}{count} {problems}; nothing was changed"))
    })?;
    if wished == Wished::default() {
        // More likely a pipe whose other end failed than a table that shall be empty.
        let message = "the file is empty; lvsadm -C empties the table; nothing was changed";
        return Err(Failure::usage(format!("{shown}: {message}")));
    }
    Ok(wished)
}

/// Prints everything as lines that [`wished`] reads. Status 1 if something of the table cannot be
/// said in such lines, which is then told.
pub(crate) fn save(client: &mut AnyClient, out: &mut impl Write) -> Outcome<u8> {
    let mut actual = Actual::read(client, None)?;
    actual.rules.sort_by_key(|rules| rules.service.key);
    let mut lost = 0;
    for command in commands(&actual) {
        let text = line(&command);
        let _ = writeln!(out, "{text}");
        if !is_faithful(&command, &text) {
            lost += 1;
            let _ = writeln!(
                io::stderr(),
                "not all of this fits such a line: {text}: {}",
                json!(command)
            );
        }
    }
    Ok(u8::from(lost > 0))
}

/// The commands that make a table from nothing.
fn commands(actual: &Actual) -> Vec<Command> {
    let mut commands = Vec::new();
    commands.extend(actual.timeouts.map(set_timeouts));
    for role in [DaemonRole::Master, DaemonRole::Backup] {
        commands.push(match actual.daemon(role) {
            Some(daemon) => Command::StartDaemon(daemon.clone()),
            None => Command::StopDaemon(role),
        });
    }
    commands.extend(plan(&actual.rules, &[]));
    commands
}

fn set_timeouts(Timeouts { tcp, tcp_fin, udp }: Timeouts) -> Command {
    Command::SetTimeouts(TimeoutsUpdate {
        tcp: Some(tcp),
        tcp_fin: Some(tcp_fin),
        udp: Some(udp),
    })
}

/// Makes the table what is wished. Status 1 if something was refused.
pub(crate) fn apply(
    wished: &Wished,
    client: &mut AnyClient,
    json: bool,
    dry_run: bool,
    out: &mut impl Write,
) -> Outcome<u8> {
    let actual = Actual::read(client, Some(wished))?;
    let changes = changes(wished, &actual);
    // Done before it is printed: whoever reads may go away, and that must not leave half of it.
    let result = if dry_run {
        Ok(Vec::new())
    } else {
        client.apply(&changes)
    };
    for change in &changes {
        let _ = if json {
            writeln!(out, "{}", described(change))
        } else {
            writeln!(out, "{}", line(change))
        };
    }
    let _ = out.flush();
    let failures = result.map_err(|error| trouble(&Failure::ipvs(&error)))?;
    for failure in &failures {
        let text = changes.get(failure.index).map(line).unwrap_or_default();
        let message = Failure::refused(&failure.refused).message;
        let _ = io::stderr().write_all(&[text.as_bytes(), b": ", &message].concat());
    }
    Ok(u8::from(!failures.is_empty()))
}

/// Shows what differs: lines of the table after `-`, lines of the file after `+`. Status 1 if
/// something does.
pub(crate) fn diff(
    wished: &Wished,
    client: &mut AnyClient,
    json: bool,
    out: &mut impl Write,
) -> Outcome<u8> {
    let actual = Actual::read(client, Some(wished))?;
    let changes = changes(wished, &actual);
    for change in &changes {
        let _ = if json {
            writeln!(out, "{}", described(change))
        } else {
            out.write_all(difference(change, &actual).as_bytes())
        };
    }
    Ok(u8::from(!changes.is_empty()))
}

fn described(change: &Command) -> serde_json::Value {
    json!({ "line": line(change), "change": change })
}

/// What is to be done, in order.
fn changes(wished: &Wished, actual: &Actual) -> Vec<Command> {
    let mut stops = Vec::new();
    let mut starts = Vec::new();
    let daemons = [
        (DaemonRole::Master, &wished.master),
        (DaemonRole::Backup, &wished.backup),
    ];
    for (role, wish) in daemons {
        let running = actual.daemon(role);
        let (stop, start) = match wish {
            DaemonWish::AsItIs => (false, None),
            DaemonWish::Stopped => (running.is_some(), None),
            DaemonWish::Running(wished) => match running {
                Some(running) if is_as_wished(running, wished) => (false, None),
                running => (running.is_some(), Some(wished)),
            },
        };
        stops.extend(stop.then_some(Command::StopDaemon(role)));
        starts.extend(start.cloned().map(Command::StartDaemon));
    }
    let mut changes = stops;
    changes.extend(
        wished
            .timeouts
            .filter(|update| {
                let timeouts = actual.timeouts.as_ref();
                timeouts.is_none_or(|timeouts| timeouts.updated(update) != *timeouts)
            })
            .map(Command::SetTimeouts),
    );
    changes.extend(plan(&wished.rules, &actual.rules));
    changes.extend(starts);
    changes
}

/// Whether a daemon runs as wished; what is not said does not matter.
fn is_as_wished(running: &SyncDaemon, wished: &SyncDaemon) -> bool {
    let length = wished.max_length.map(|length| length.max(SHORTEST_MESSAGE));
    running.interface == wished.interface
        && running.sync_id == wished.sync_id
        && (length.is_none() || length == running.max_length)
        && (wished.group.is_none() || wished.group == running.group)
        && (wished.port.is_none() || wished.port == running.port)
        && (wished.ttl.is_none() || wished.ttl == running.ttl)
}

/// A change as what there is and what shall be.
fn difference(change: &Command, actual: &Actual) -> String {
    // A few changes search the list; a table that is new has nothing to be searched for.
    let find = |key: &ServiceKey| {
        let found = actual.rules.iter().find(|rules| rules.service.key == *key);
        found.into_iter()
    };
    let mut old: Vec<Command> = Vec::new();
    let mut new = None;
    match change {
        Command::EditService(service) => {
            old.extend(find(&service.key).map(|rules| Command::AddService(rules.service.clone())));
            new = Some(Command::AddService(service.clone()));
        }
        Command::DeleteService(key) => {
            old.extend(find(key).flat_map(|rules| plan(std::slice::from_ref(rules), &[])));
        }
        Command::EditDestination {
            service,
            destination,
        } => {
            old.extend(server(find(service), destination.key()));
            new = Some(Command::AddDestination {
                service: *service,
                destination: *destination,
            });
        }
        Command::DeleteDestination {
            service,
            destination,
        } => old.extend(server(find(service), *destination)),
        Command::StopDaemon(role) => {
            old.extend(actual.daemon(*role).cloned().map(Command::StartDaemon));
        }
        Command::SetTimeouts(_) => {
            old.extend(actual.timeouts.map(set_timeouts));
            new = Some(change.clone());
        }
        change => new = Some(change.clone()),
    }
    let old = old.iter().map(|command| format!("- {}\n", line(command)));
    let new = new.iter().map(|command| format!("+ {}\n", line(command)));
    old.chain(new).collect()
}

fn server<'a>(
    rules: impl Iterator<Item = &'a ServiceRules>,
    key: ipvs_netlink::DestinationKey,
) -> impl Iterator<Item = Command> {
    rules.flat_map(move |rules| {
        let found = rules.destinations.iter().find(move |one| one.key() == key);
        found.map(|destination| Command::AddDestination {
            service: rules.service.key,
            destination: *destination,
        })
    })
}

/// Trouble has one status in these commands.
fn trouble(failure: &Failure) -> Failure {
    Failure {
        message: failure.message.clone(),
        status: 2,
        ..*failure
    }
}
