//! Shows and edits IPVS tables as ipvsadm does.
//!
//! The same flags, output, exit codes and words as ipvsadm 1.31, on the kernel's IPVS or on the
//! userspace dataplane of a running lvsd. Called by the names `ipvsadm`, `ipvsadm-save` or
//! `ipvsadm-restore` it is those tools. What is added: `--socket PATH`, `--json` on listings, and the
//! commands of `additions`.
//!
//! Design: `words` splits the command line as popt does, `options` reads values, `command` checks
//! them and makes a `Task`, `run` does it, `output` prints. `table_file` reads a whole table
//! with the same parser, `sync` compares and applies it. Only `dataplane`, `names`, `run`, `sync` and
//! `top` touch the system.

mod additions;
mod command;
mod completions;
mod dataplane;
mod exit;
mod flags;
#[doc(hidden)]
pub mod fuzzing;
mod help;
mod names;
mod options;
mod output;
mod run;
mod sort;
mod sync;
mod table_file;
mod top;
mod value;
mod words;

use std::ffi::OsString;
use std::io::{self, BufReader, BufWriter, IsTerminal, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use command::Dialect;
use dataplane::Wanted;
use exit::{Failure, Outcome};
use flags::Verb;
use run::Runner;

/// Runs the program: reads its command line, does it, and returns its exit status.
pub fn main() -> u8 {
    names::open_streams();
    let mut arguments = std::env::args_os().map(OsString::into_vec);
    let program = arguments.next().unwrap_or_else(|| b"lvsadm".to_vec());
    let status = match run(&program, arguments.collect()) {
        Ok(status) => status,
        Err(failure) => {
            let _ = io::stderr().write_all(&failure.message);
            failure.status
        }
    };
    let _ = io::stdout().flush();
    status
}

/// What we are, by the name that we were called by.
enum Role {
    Tool,
    Save,
    Restore,
}

fn run(program: &[u8], arguments: Vec<Vec<u8>>) -> Outcome<u8> {
    // System calls cost, above all in a virtual machine.
    let mut out = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    let (program, role) = match (
        program.strip_suffix(b"-save"),
        program.strip_suffix(b"-restore"),
    ) {
        (Some(program), _) => (program, Role::Save),
        (_, Some(program)) => (program, Role::Restore),
        _ => (program, Role::Tool),
    };
    let base = program
        .rsplit(|byte| *byte == b'/')
        .next()
        .unwrap_or_default();
    let as_ipvsadm = base == b"ipvsadm";
    // ipvsadm has no such option; $LVSD_SOCKET works by that name too.
    let (socket, arguments) = if as_ipvsadm {
        (None, arguments)
    } else {
        take_socket(arguments)?
    };
    let arguments = match role {
        Role::Tool => arguments,
        Role::Save => save_arguments(base, &arguments)?,
        Role::Restore => vec![b"-R".to_vec()],
    };
    let wanted = Wanted {
        socket: socket.as_deref(),
        as_ipvsadm,
    };
    if let (false, Role::Tool, Some(addition)) = (as_ipvsadm, &role, additions::find(&arguments)) {
        let status = additions::run(addition, &arguments, &wanted, program, &mut out);
        let _ = out.flush();
        return status;
    }
    // ipvsadm needs IPVS even for this. Whoever looks for help should get it; a script gets what it
    // knows.
    let for_eyes = !as_ipvsadm && io::stdout().is_terminal();
    if let (true, Some(verb)) = (for_eyes, help::only_help(&arguments)) {
        match verb {
            Verb::Help => help::usage(&mut out, program),
            _ => help::version(&mut out, program),
        }
        return Ok(0);
    }
    let (client, info) = dataplane::open(&wanted)?;
    let skip_comments = matches!(role, Role::Restore);
    let dialect = Dialect {
        posix: std::env::var_os("POSIXLY_CORRECT").is_some(),
        ipvsadm: as_ipvsadm,
        wide: false,
    };
    let program = program.to_vec();
    let mut runner = Runner {
        client,
        info,
        out,
        program,
        skip_comments,
        dialect,
    };
    // Standard input by itself holds less at a time than a batch of commands.
    let mut input = BufReader::with_capacity(256 * 1024, io::stdin().lock());
    if skip_comments {
        runner.run(&[b"-C"], &mut input);
    }
    let words: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
    let status = runner.run(&words, &mut input);
    let _ = runner.out.flush();
    Ok(status)
}

/// The arguments for which `ipvsadm-save` stands: words are ignored, and only `-n` is an option.
fn save_arguments(base: &[u8], arguments: &[Vec<u8>]) -> Outcome<Vec<Vec<u8>>> {
    let mut save = vec![b"-S".to_vec()];
    for option in arguments
        .iter()
        .filter(|argument| argument.starts_with(b"-"))
    {
        if option != b"-n" {
            let message = [
                base,
                b"-save: Script to save the IPVS table to stdout.\n   \
                  With the -n option, prints out the table in numeric format.",
            ];
            return Err(Failure {
                status: 1,
                ..Failure::usage(message.concat())
            });
        }
        if save.len() == 1 {
            save.push(option.clone());
        }
    }
    Ok(save)
}

/// Takes `--socket PATH` or `--socket=PATH` out of the arguments, wherever it stands: it is not one
/// of ipvsadm's, which must begin with a command.
fn take_socket(arguments: Vec<Vec<u8>>) -> Outcome<(Option<PathBuf>, Vec<Vec<u8>>)> {
    let mut socket = None;
    let mut rest = Vec::with_capacity(arguments.len());
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        if argument == b"--" {
            rest.push(argument);
            rest.extend(arguments.by_ref());
        } else if argument == b"--socket" {
            let path = arguments.next();
            socket = Some(path.ok_or_else(|| Failure::option(&argument, "missing argument"))?);
        } else if let Some(path) = argument.strip_prefix(b"--socket=") {
            socket = Some(path.to_vec());
        } else {
            rest.push(argument);
        }
    }
    let path = |bytes: Vec<u8>| PathBuf::from(std::ffi::OsStr::from_bytes(&bytes));
    Ok((socket.map(path), rest))
}
