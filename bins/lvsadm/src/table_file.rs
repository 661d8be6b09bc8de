//! A file that says what a table shall be: ipvsadm's save format and what `lvsadm save` writes.
//!
//! A line is a command line of ipvsadm: `-A` a service, `-a` a server of a service above it, `--set`
//! the timeouts, `--start-daemon` a sync daemon that shall run and `--stop-daemon` one that shall not.
//! Blank lines and lines that begin with `#` mean nothing. What is said neither of timeouts nor of
//! daemons stays as it is.
//!
//! Design: bytes in, values or all problems out; unlike `-R` nothing is done on the way. Numbers may
//! be all that IPVS takes, and a server keeps the port that is written, whatever its method. A table
//! may have many thousands of lines, and memory that is touched for the first time costs more than
//! reading a line: so the text is never in memory whole, and what a key stands for is found without
//! a map of its own as long as keys come in order, as in what is saved.

mod index;

use std::collections::HashMap;
use std::fmt;
use std::io::{self, BufRead};

use ipvs_netlink::{
    Command, DaemonRole, Destination, DestinationKey, ServiceKey, ServiceRules, SyncDaemon,
    TimeoutsUpdate, VirtualService,
};

use crate::command::{Dialect, Task, parse};
use crate::exit::Failure;
use index::Index;

/// A list of so many entries may well have many more.
const LONG: usize = 64;

/// So many more.
const MANY: usize = 8192;

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

/// Reads a file whole: what it wishes, or all that is wrong with it, in the order of the lines.
///
/// # Errors
///
/// What the input says.
pub(crate) fn read(mut input: impl BufRead) -> io::Result<Result<Wished, Vec<Problem>>> {
    let mut reader = Reader::default();
    let mut problems = Vec::new();
    let mut text = Vec::new();
    let mut line = 0;
    while input.read_until(b'\n', &mut text)? > 0 {
        line += 1;
        problems.extend(read_line(&text, line, &mut reader));
        text.clear();
    }
    Ok(if problems.is_empty() {
        Ok(reader.wished)
    } else {
        Err(problems)
    })
}

/// What is wrong with a line.
fn read_line(text: &[u8], line: usize, reader: &mut Reader) -> Option<Problem> {
    let mut arguments = Vec::with_capacity(16);
    arguments.extend(words(text).map(|(_, word)| word));
    if text.starts_with(b"#") || arguments.is_empty() {
        return None;
    }
    let problem = |at: usize, message: String| Problem {
        line,
        column: column(text, at),
        message,
    };
    if text.contains(&0) {
        let at = text.iter().position(|byte| *byte == 0).unwrap_or_default();
        return Some(problem(at, "a NUL byte: this is no text".to_owned()));
    }
    let failure = reader.take(&arguments, line).err()?;
    let start = words(text).nth(failure.word).map_or(0, |(start, _)| start);
    let message = String::from_utf8_lossy(&failure.message);
    Some(problem(start, message.trim_end().to_owned()))
}

/// The column of a byte.
fn column(line: &[u8], byte: usize) -> usize {
    let before = line.get(..byte).unwrap_or_default();
    String::from_utf8_lossy(before).chars().count() + 1
}

/// The words of a line, and where they begin. `ipvsadm` is none, as for `-R`.
pub(crate) fn words(line: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    // The first comparison is enough for nearly all bytes.
    let is_blank = |byte: &u8| *byte <= b' ' && b" \t\r\n".contains(byte);
    let mut end = 0;
    std::iter::from_fn(move || {
        let before = line.get(end..)?;
        let start = end + before.iter().position(|byte| !is_blank(byte))?;
        let word = line.get(start..)?;
        let length = word.iter().position(is_blank).unwrap_or(word.len());
        end = start + length;
        Some((start, word.get(..length)?))
    })
    .filter(|(_, word)| *word != b"ipvsadm")
}

/// What has been read, and in which line.
#[derive(Default)]
struct Reader {
    wished: Wished,
    services: Index<ServiceKey>,
    /// For each service of the table.
    places: Vec<Place>,
    /// The servers that were read.
    runs: Vec<Run>,
    /// Whether a line that adds a service could not be read.
    unread: bool,
    timeouts: Option<usize>,
    daemons: HashMap<DaemonRole, usize>,
}

/// Servers of a service, in lines that follow each other.
struct Run {
    service: usize,
    first_line: usize,
    count: usize,
}

/// Where a service was read.
struct Place {
    line: usize,
    servers: Index<DestinationKey>,
}

impl Reader {
    fn take(&mut self, arguments: &[&[u8]], line: usize) -> Result<(), Failure> {
        let dialect = Dialect {
            wide: true,
            ..Dialect::default()
        };
        let task = parse(arguments, b"lvsadm", dialect);
        let adds = [b"-A".as_slice(), b"--add-service"];
        self.unread |= task.is_err() && arguments.first().is_some_and(|word| adds.contains(word));
        let Task::Change(command) = task? else {
            return Err(misplaced());
        };
        match command {
            Command::AddService(service) => self.add_service(service, line),
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

    fn add_service(&mut self, service: VirtualService, line: usize) -> Result<(), Failure> {
        let key = service.key;
        if let Err(place) = self.services.add(key, &self.wished.rules, service_key) {
            let first = self.places.get(place).map_or(0, |place| place.line);
            return Err(again(&key, first));
        }
        self.places.push(Place {
            line,
            servers: Index::default(),
        });
        self.wished.rules.push(ServiceRules {
            service,
            destinations: Vec::new(),
        });
        Ok(())
    }

    fn add_server(
        &mut self,
        service: ServiceKey,
        destination: Destination,
        line: usize,
    ) -> Result<(), Failure> {
        let rules = &mut self.wished.rules;
        // Mostly it is the one above.
        let place = match rules.last() {
            Some(last) if last.service.key == service => Some(rules.len() - 1),
            _ => self.services.find(&service, rules, service_key),
        };
        let found = place
            .and_then(|place| Some((place, rules.get_mut(place)?, self.places.get_mut(place)?)));
        let Some((place, rules, Place { servers, .. })) = found else {
            if self.unread {
                // It may be the one that could not be read.
                return Ok(());
            }
            let message = format!("no line above adds the service {service} of this server");
            return Err(Failure::usage(message));
        };
        let key = destination.key();
        if let Err(number) = servers.add(key, &rules.destinations, Destination::key) {
            let lines = self.runs.iter().filter(|run| run.service == place);
            let mut lines = lines.flat_map(|run| (run.first_line..).take(run.count));
            let first = lines.nth(number).unwrap_or_default();
            return Err(again(&format_args!("the server {key} of {service}"), first));
        }
        match self.runs.last_mut() {
            Some(run) if run.service == place && run.first_line + run.count == line => {
                run.count += 1;
            }
            _ => self.runs.push(Run {
                service: place,
                first_line: line,
                count: 1,
            }),
        }
        push(&mut rules.destinations, destination);
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

/// Appends. A list that is long already gets room for many more: what is not used yet costs nothing,
/// what is moved costs much.
fn push<T>(list: &mut Vec<T>, entry: T) {
    if list.len() == list.capacity() && list.len() >= LONG {
        list.reserve(MANY.max(list.len()));
    }
    list.push(entry);
}

fn service_key(rules: &ServiceRules) -> ServiceKey {
    rules.service.key
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
