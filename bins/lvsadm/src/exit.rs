//! How a command line ends: with which message, which status, and whether `-R` goes on after it.

use std::io;

use ipvs_netlink::{CommandKind, IpvsError, Reason, Refused};

/// Why a command line failed. Messages are bytes: they repeat arguments, which need not be UTF-8.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Whole lines for standard error.
    pub(crate) message: Vec<u8>,
    /// The exit status.
    pub(crate) status: u8,
    /// Whether it ends `-R` at once; otherwise the next line is done.
    pub(crate) ends_restore: bool,
    /// Which word of the command line is at fault, from 0.
    pub(crate) word: usize,
}

/// What a command line can end with.
pub(crate) type Outcome<T> = Result<T, Failure>;

impl Failure {
    /// The same, with the word at fault.
    pub(crate) fn at(self, word: usize) -> Self {
        Self { word, ..self }
    }

    /// The arguments are wrong.
    pub(crate) fn usage(message: impl Into<Vec<u8>>) -> Self {
        Self {
            message: line(message),
            status: 2,
            ends_restore: true,
            word: 0,
        }
    }

    /// The arguments are no command at all.
    pub(crate) fn no_command(program: &[u8]) -> Self {
        let message = [
            b"Try `".as_slice(),
            program,
            b" -h' or '",
            program,
            b" --help' for more information.",
        ]
        .concat();
        Self {
            message: line(message),
            status: 255,
            ends_restore: true,
            word: 0,
        }
    }

    /// The option parser did not understand a word.
    pub(crate) fn option(word: &[u8], what: &str) -> Self {
        let message = [word, b": ", what.as_bytes()].concat();
        Self {
            message: line(message),
            status: 255,
            ends_restore: false,
            word: 0,
        }
    }

    /// IPVS refused.
    pub(crate) fn ipvs(error: &IpvsError) -> Self {
        Self {
            message: describe(error),
            status: 255,
            ends_restore: false,
            word: 0,
        }
    }

    /// IPVS refused a command of a batch.
    pub(crate) fn refused(refused: &Refused) -> Self {
        Self {
            message: describe_refusal(refused),
            status: 255,
            ends_restore: false,
            word: 0,
        }
    }

    /// IPVS refused to list, which has a status of its own and ends `-R`.
    pub(crate) fn listing(error: &IpvsError) -> Self {
        let missing = error
            .refused()
            .is_some_and(|refused| refused.reason() == Reason::NoSuchService);
        Self {
            status: if missing { 1 } else { 255 },
            ends_restore: missing,
            ..Self::ipvs(error)
        }
    }
}

fn line(message: impl Into<Vec<u8>>) -> Vec<u8> {
    let mut message = message.into();
    message.push(b'\n');
    message
}

/// ipvsadm's words for an error, and behind them what the dataplane itself has to say.
fn describe(error: &IpvsError) -> Vec<u8> {
    match error.refused() {
        Some(refused) => describe_refusal(refused),
        None => line(error.to_string()),
    }
}

fn describe_refusal(refused: &Refused) -> Vec<u8> {
    use CommandKind as C;
    let of_server = matches!(
        refused.command,
        C::AddDestination | C::EditDestination | C::DeleteDestination
    );
    let words = match refused.reason() {
        Reason::ServiceExists => "Service already exists",
        Reason::NoSuchService if of_server => "Service not defined",
        Reason::NoSuchService => "No such service",
        Reason::NoSuchSchedulerOrEngine => "Scheduler or persistence engine not found",
        Reason::DestinationExists => "Destination already exists",
        Reason::NoSuchDestination => "No such destination",
        Reason::Invalid => {
            "Invalid operation.  Possibly wrong module version, address not unicast, ..."
        }
        Reason::DaemonRuns => "Daemon has already run",
        Reason::NoSuchDaemon => "No daemon is running",
        Reason::NotPermitted => "Permission denied (you must be root)",
        _ => &system_words(refused.errno),
    };
    let mut message = line(words);
    // The kernel's remarks are on attributes, which mean nothing to the caller; ours name a remedy.
    if let Some(remark) = &refused.message
        && !remark.is_empty()
        && is_own_remark(remark)
    {
        message.extend(line(remark.as_str()));
    }
    message
}

/// Whether a remark comes from a userspace dataplane: the kernel's are sentences with a capital.
fn is_own_remark(remark: &str) -> bool {
    !remark.starts_with(|letter: char| letter.is_ascii_uppercase())
}

/// What the C library calls an error.
fn system_words(errno: i32) -> String {
    let text = io::Error::from_raw_os_error(errno).to_string();
    match text.rsplit_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(command: CommandKind, errno: i32, remark: Option<&str>) -> String {
        let message = remark.map(str::to_owned);
        let error = IpvsError::from(Refused {
            command,
            errno,
            message,
        });
        String::from_utf8(Failure::ipvs(&error).message).unwrap()
    }

    #[test]
    fn one_errno_has_the_words_of_its_command() {
        assert_eq!(
            message(CommandKind::DeleteService, 3, None),
            "No such service\n"
        );
        assert_eq!(
            message(CommandKind::AddDestination, 3, None),
            "Service not defined\n"
        );
        assert_eq!(
            message(CommandKind::DeleteDestination, 2, None),
            "No such destination\n"
        );
        assert_eq!(
            message(CommandKind::AddDestination, 34, None),
            "Numerical result out of range\n"
        );
        assert_eq!(
            message(CommandKind::StartDaemon, 19, None),
            "No such device\n"
        );
    }

    #[test]
    fn only_our_own_remarks_are_shown() {
        let own = "cannot listen on 10.0.0.1:80: address not there";
        let shown = message(CommandKind::AddService, 99, Some(own));
        assert_eq!(shown, format!("Cannot assign requested address\n{own}\n"));
        let kernel = message(
            CommandKind::AddService,
            17,
            Some("Attribute failed validation"),
        );
        assert_eq!(kernel, "Service already exists\n");
    }
}
