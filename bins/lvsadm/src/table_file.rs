//! A file that says what a table shall be: ipvsadm's save format and what `lvsadm save` writes.
//!
//! A line is a command line of ipvsadm: `-A` a service, `-a` a server of a service above it, `--set`
//! the timeouts, `--start-daemon` a sync daemon that shall run and `--stop-daemon` one that shall not.
//! Blank lines and lines that begin with `#` mean nothing. What is said neither of timeouts nor of
//! daemons stays as it is.
//!
//! Design: bytes in, values or all problems out; unlike `-R` nothing is done on the way. Numbers may
//! be all that IPVS takes, and a server keeps the port that is written, whatever its method.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

use ipvs_netlink::{
    Command, DaemonRole, Destination, DestinationKey, ServiceKey, ServiceRules, SyncDaemon,
    TimeoutsUpdate,
};

use crate::command::{Dialect, Task, parse};
use crate::exit::Failure;

/// What a file wishes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wished {
    pub(crate) rules: Vec<ServiceRules>,
    pub(crate) timeouts: Option<TimeoutsUpdate>,
    pub(crate) master: DaemonWish,
    pub(crate) backup: DaemonWish,
}

/// What is wished of a sync daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum DaemonWish {
    #[default]
    AsItIs,
    Stopped,
    Running(SyncDaemon),
}

/// What is wrong with a file, and where; both counted from 1, columns in characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) message: String,
}

/// `LINE:COLUMN: message`
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

/// Reads a file whole.
///
/// # Errors
///
/// All problems, in the order of the lines.
pub(crate) fn read(text: &[u8]) -> Result<Wished, Vec<Problem>> {
    let mut reader = Reader::default();
    let mut problems = Vec::new();
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let words = words(line);
        if line.starts_with(b"#") || words.is_empty() {
            continue;
        }
        if let Some(at) = line.iter().position(|byte| *byte == 0) {
            problems.push(Problem {
                line: index + 1,
                column: column(line, at),
                message: "a NUL byte: this is no text".to_owned(),
            });
            continue;
        }
        let arguments: Vec<Vec<u8>> = words.iter().map(|(_, word)| word.to_vec()).collect();
        if let Err(failure) = reader.take(&arguments, index + 1) {
            let start = words.get(failure.word).map_or(0, |(start, _)| *start);
            let message = String::from_utf8_lossy(&failure.message);
            problems.push(Problem {
                line: index + 1,
                column: column(line, start),
                message: message.trim_end().to_owned(),
            });
        }
    }
    if problems.is_empty() {
        Ok(reader.wished)
    } else {
        Err(problems)
    }
}

/// The column of a byte.
fn column(line: &[u8], byte: usize) -> usize {
    let before = line.get(..byte).unwrap_or_default();
    String::from_utf8_lossy(before).chars().count() + 1
}

/// The words of a line, and where they begin. `ipvsadm` is none, as for `-R`.
pub(crate) fn words(line: &[u8]) -> Vec<(usize, &[u8])> {
    let mut start = 0;
    let mut words = Vec::new();
    for word in line.split(|byte| b" \t\r".contains(byte)) {
        if !word.is_empty() && word != b"ipvsadm" {
            words.push((start, word));
        }
        start += word.len() + 1;
    }
    words
}

/// What has been read, and in which line.
#[derive(Default)]
struct Reader {
    wished: Wished,
    services: HashMap<ServiceKey, (usize, usize)>,
    servers: HashMap<(ServiceKey, DestinationKey), usize>,
    /// Whether a line that adds a service could not be read.
    unread: bool,
    timeouts: Option<usize>,
    daemons: HashMap<DaemonRole, usize>,
}

impl Reader {
    fn take(&mut self, arguments: &[Vec<u8>], line: usize) -> Result<(), Failure> {
        let dialect = Dialect {
            wide: true,
            ..Dialect::default()
        };
        let task = parse(arguments, b"lvsadm", dialect);
        let adds = [b"-A".as_slice(), b"--add-service"];
        self.unread |= task.is_err()
            && arguments
                .first()
                .is_some_and(|word| adds.contains(&word.as_slice()));
        let Task::Change(command) = task? else {
            return Err(misplaced());
        };
        match command {
            Command::AddService(service) => {
                let place = self.wished.rules.len();
                match self.services.entry(service.key) {
                    Entry::Occupied(entry) => return Err(again(&service.key, entry.get().0)),
                    Entry::Vacant(entry) => drop(entry.insert((line, place))),
                }
                self.wished.rules.push(ServiceRules {
                    service,
                    destinations: Vec::new(),
                });
                Ok(())
            }
            Command::AddDestination {
                service,
                destination,
            } => self.add_server(service, destination, line),
            Command::SetTimeouts(update) => {
                if let Some(first) = self.timeouts.replace(line) {
                    return Err(again(&"the timeouts", first));
                }
                self.wished.timeouts = Some(update);
                Ok(())
            }
            Command::StartDaemon(daemon) => {
                self.daemon(daemon.role, DaemonWish::Running(daemon), line)
            }
            Command::StopDaemon(role) => self.daemon(role, DaemonWish::Stopped, line),
            _ => Err(misplaced()),
        }
    }

    fn add_server(
        &mut self,
        service: ServiceKey,
        destination: Destination,
        line: usize,
    ) -> Result<(), Failure> {
        let place = self.services.get(&service).map(|(_, place)| *place);
        let rules = place.and_then(|place| self.wished.rules.get_mut(place));
        let Some(rules) = rules else {
            if self.unread {
                // It may be the one that could not be read.
                return Ok(());
            }
            let message = format!("no line above adds the service {service} of this server");
            return Err(Failure::usage(message));
        };
        let key = destination.key();
        if let Some(first) = self.servers.insert((service, key), line) {
            return Err(again(&format_args!("the server {key} of {service}"), first));
        }
        rules.destinations.push(destination);
        Ok(())
    }

    fn daemon(&mut self, role: DaemonRole, wish: DaemonWish, line: usize) -> Result<(), Failure> {
        if let Some(first) = self.daemons.insert(role, line) {
            return Err(again(&"this sync daemon", first));
        }
        match role {
            DaemonRole::Master => self.wished.master = wish,
            DaemonRole::Backup => self.wished.backup = wish,
        }
        Ok(())
    }
}

fn again(what: &dyn fmt::Display, line: usize) -> Failure {
    Failure::usage(format!("{what} is in line {line} already"))
}

fn misplaced() -> Failure {
    Failure::usage(
        "a table consists of -A, -a, --set, --start-daemon and --stop-daemon lines; this is none",
    )
}

#[cfg(test)]
mod tests;
