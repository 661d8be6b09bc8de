//! Does what a command line asks for.

use std::io::{BufRead, BufReader, Read, Write};

use ipvs_netlink::{Command, Info, IpvsError, ServiceEntry};

use crate::command::{Dialect, Listing, Subject, Task, parse};
use crate::dataplane::AnyClient;
use crate::exit::{Failure, Outcome};
use crate::help;
use crate::output::address::Addresses;
use crate::output::{self, json, save};
use crate::sort;
use crate::table_file;

/// What command lines share.
pub(crate) struct Runner<O> {
    pub(crate) client: AnyClient,
    pub(crate) info: Info,
    pub(crate) out: O,
    /// The name that we were called by, for messages.
    pub(crate) program: Vec<u8>,
    /// Whether `-R` skips lines that begin with `#`, as `ipvsadm-restore` does.
    pub(crate) skip_comments: bool,
    pub(crate) dialect: Dialect,
}

/// How many commands of `-R` are collected at most before they go out.
const BATCH: usize = 1000;

impl<O: Write> Runner<O> {
    /// Does a command line. Returns the exit status, its messages being out.
    pub(crate) fn run(&mut self, arguments: &[&[u8]], input: &mut BufReader<impl Read>) -> u8 {
        let result = parse(arguments, &self.program, self.dialect).and_then(|task| match task {
            Task::Restore => Ok(self.restore(input)),
            task => self.perform(&task).map(|()| 0),
        });
        match result {
            Ok(status) => status,
            Err(failure) => self.report(&failure),
        }
    }

    fn report(&mut self, failure: &Failure) -> u8 {
        let _ = self.out.flush();
        let _ = std::io::stderr().write_all(&failure.message);
        failure.status
    }

    fn perform(&mut self, task: &Task) -> Outcome<()> {
        match task {
            Task::Help => help::usage(&mut self.out, &self.program),
            Task::Version => help::version(&mut self.out, &self.program),
            Task::Save { numeric } => self.save(*numeric).map_err(|error| Failure::ipvs(&error))?,
            Task::List(listing) => {
                self.list(listing)
                    .map_err(|error| Failure::listing(&error))?;
            }
            Task::Change(command) => {
                self.client
                    .execute(command)
                    .map_err(|error| Failure::ipvs(&error))?;
            }
            // Handled by `run`, and refused inside a restore.
            Task::Restore => return Err(Failure::no_command(&self.program)),
        }
        Ok(())
    }

    /// Does the lines of `input`. What IPVS or the option parser refuse does not stop it; what is
    /// wrong usage does.
    ///
    /// Changes are collected as long as further lines are there already, and go out together: that
    /// is many times as fast, and nobody can tell, because they are done before the next line is
    /// waited for and before anything else is printed.
    fn restore(&mut self, input: &mut BufReader<impl Read>) -> u8 {
        let mut status = 0;
        let mut line = Vec::new();
        let mut changes = Vec::new();
        loop {
            if changes.len() >= BATCH || !input.buffer().contains(&b'\n') {
                self.change(&mut changes, &mut status);
            }
            line.clear();
            match input.read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => break,
                Ok(_) if self.skip_comments && line.starts_with(b"#") => continue,
                // Lost by ipvsadm, too; its ipvsadm-restore adds the line end that is missing.
                Ok(_) if !self.skip_comments && fades_out(&line) => continue,
                Ok(_) => {}
            }
            let arguments: Vec<&[u8]> = table_file::words(&line).map(|(_, word)| word).collect();
            if arguments.is_empty() {
                continue;
            }
            let task = match parse(&arguments, &self.program, self.dialect) {
                Ok(Task::Change(change)) => {
                    changes.push(change);
                    continue;
                }
                task => task,
            };
            self.change(&mut changes, &mut status);
            let ends = matches!(task, Ok(Task::Help | Task::Version));
            match task.and_then(|task| self.perform(&task)) {
                Ok(()) if ends => return 0,
                Ok(()) => status = 0,
                Err(failure) => {
                    status = self.report(&failure);
                    if failure.ends_restore {
                        return status;
                    }
                }
            }
        }
        self.change(&mut changes, &mut status);
        status
    }

    /// Does collected changes and reports what was refused; `status` is then that of the last.
    fn change(&mut self, changes: &mut Vec<Command>, status: &mut u8) {
        if changes.is_empty() {
            return;
        }
        match self.client.apply(changes) {
            Ok(failures) => {
                *status = 0;
                for failure in failures {
                    let last = failure.index + 1 == changes.len();
                    let shown = self.report(&Failure::refused(&failure.refused));
                    if last {
                        *status = shown;
                    }
                }
            }
            Err(error) => *status = self.report(&Failure::ipvs(&error)),
        }
        changes.clear();
    }

    fn save(&mut self, numeric: bool) -> Result<(), IpvsError> {
        let addresses = Addresses { numeric };
        let mut table = self.client.rules()?;
        sort::rules(&mut table);
        for rules in table {
            save::service(&mut self.out, &rules.service, &addresses);
            let key = rules.service.key;
            for server in &rules.destinations {
                save::server(&mut self.out, &key, server, &addresses);
            }
        }
        Ok(())
    }

    fn list(&mut self, listing: &Listing) -> Result<(), IpvsError> {
        match listing.subject {
            Subject::Connections => self.list_connections(listing),
            Subject::Timeouts => {
                let timeouts = self.client.timeouts()?;
                if listing.json {
                    let _ = writeln!(self.out, "{:#}", json::timeouts(&timeouts));
                } else {
                    output::timeouts(&mut self.out, &timeouts);
                }
                Ok(())
            }
            Subject::Daemons => {
                let daemons = self.client.daemons()?;
                if listing.json {
                    let daemons: serde_json::Value = daemons.iter().map(json::daemon).collect();
                    let _ = writeln!(self.out, "{daemons:#}");
                } else {
                    daemons
                        .iter()
                        .for_each(|daemon| output::daemon(&mut self.out, daemon));
                }
                Ok(())
            }
            Subject::Table => {
                let mut entries = self.client.services()?;
                if listing.sorted {
                    sort::services(&mut entries);
                }
                self.list_services(listing, &entries)
            }
            Subject::Service(key) => {
                let entry = self.client.service(&key)?;
                self.list_services(listing, &[entry])
            }
        }
    }

    fn list_services(
        &mut self,
        listing: &Listing,
        entries: &[ServiceEntry],
    ) -> Result<(), IpvsError> {
        let addresses = Addresses {
            numeric: listing.numeric,
        };
        let (format, exact) = (listing.format, listing.exact);
        let mut objects = Vec::new();
        if !listing.json {
            if listing.subject == Subject::Table {
                output::title(&mut self.out, &self.info);
            }
            output::header(&mut self.out, format);
        }
        for entry in entries {
            let key = entry.service.key;
            let mut servers = self.client.destinations(&key)?;
            if listing.sorted {
                sort::servers(&mut servers);
            }
            if listing.json {
                objects.push(json::service(entry, &servers));
                continue;
            }
            output::service(&mut self.out, entry, format, exact, &addresses);
            for server in &servers {
                output::server(&mut self.out, server, &key, format, exact, &addresses);
            }
        }
        if listing.json {
            let _ = writeln!(self.out, "{:#}", json::table(&self.info, objects));
        }
        Ok(())
    }

    fn list_connections(&mut self, listing: &Listing) -> Result<(), IpvsError> {
        let addresses = Addresses {
            numeric: listing.numeric,
        };
        let with_engine = listing.format == crate::command::Format::PersistentConn;
        if !listing.json {
            output::connection_header(&mut self.out, with_engine);
        }
        let out = &mut self.out;
        self.client.connections(|entry| {
            if listing.json {
                let _ = writeln!(out, "{}", json::connection(&entry));
            } else {
                output::connection(out, &entry, with_engine, &addresses);
            }
        })
    }
}

/// Whether a line ends in two blanks where its line end should be.
fn fades_out(line: &[u8]) -> bool {
    let is_blank = |byte: &u8| b" \t\r".contains(byte);
    line.len() >= 2 && line.iter().rev().take(2).all(is_blank)
}
