//! The director daemon: reads keepalived.conf, checks servers, balances traffic.
//!
//! Flags and `main`; everything that decides is in the crate `director`.

mod args;
mod check;
mod colour;
mod config;
mod demo;
mod diff;
mod explain;
mod files;
mod fmt;
mod lsp;
mod realserver;
mod replay;
mod rules;
mod status;
mod test;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use director::exit::Exit;

use crate::args::{Cli, Command, Run};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse_from(args::normalised(std::env::args_os())) {
        Ok(cli) => cli,
        Err(error) => return help_or_complain(&error),
    };
    if cli.version {
        eprintln!("lvsd v{} (lvskit)", env!("CARGO_PKG_VERSION"));
        return Exit::Ok.into();
    }
    match cli.command {
        None => run(&cli.run),
        Some(Command::Run(options)) => run(&options),
        Some(Command::Status(options)) => status::print(&options),
        Some(Command::Replay(options)) => replay::run(&options),
        Some(Command::Check(options)) => check::run(&options),
        Some(Command::Fmt(options)) => fmt::run(&options),
        Some(Command::Explain(options)) => explain::run(&options),
        Some(Command::Config(options)) => config::run(&options),
        Some(Command::Diff(options)) => diff::run(&options),
        Some(Command::Lsp { stdio: _ }) => lsp::run(),
        Some(Command::Completions { shell }) => completions(shell),
        Some(Command::RealServer { command }) => realserver::run(&command),
        Some(Command::Demo(options)) => match demo::run(&options) {
            Ok(code) => code,
            Err(error) => {
                eprintln!("lvsd demo: {error:#}");
                Exit::Fatal.into()
            }
        },
        Some(Command::Child { role, parent }) => match role.as_str() {
            "checker" => director::checker::run(parent).into(),
            "proxy" => director::proxy::run(parent).into(),
            "vrrp" => director::vrrp::run(parent).into(),
            _ => Exit::Fatal.into(),
        },
    }
}

/// Prints the completions of a shell.
fn completions(shell: clap_complete::Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "lvsd", &mut script);
    files::print(&String::from_utf8_lossy(&script));
    Exit::Ok.into()
}

/// Prints what clap has to say instead of a command line: help, or what is wrong with it.
fn help_or_complain(error: &clap::Error) -> ExitCode {
    let text = error.render().to_string();
    // Help for the flags alone goes to standard error, as keepalived's; commands are ours.
    let first = std::env::args_os().nth(1).unwrap_or_default();
    let of_flags = first.as_encoded_bytes().starts_with(b"-");
    // A reader that has seen enough, such as `head`, is no error.
    let _ = match error.use_stderr() || of_flags {
        true => std::io::stderr().write_all(text.as_bytes()),
        false => std::io::stdout().write_all(text.as_bytes()),
    };
    match error.use_stderr() {
        // There, 1 says that there is a difference.
        true if first == "diff" => ExitCode::from(2),
        true => Exit::Fatal.into(),
        false => Exit::Ok.into(),
    }
}

fn run(run: &Run) -> ExitCode {
    if let Some(name) = &run.signum {
        return signum(name);
    }
    if let Some(log) = &run.config_test {
        let options = run.options();
        let id = options.config_id.as_deref();
        return test::run(
            &options.config_file,
            id,
            options.check_includes,
            log.as_deref(),
        );
    }
    director::parent::run(run.options()).into()
}

/// Prints the number of the signal to send for an action.
fn signum(name: &str) -> ExitCode {
    let number = match name {
        "STOP" => libc::SIGTERM,
        "RELOAD" => libc::SIGHUP,
        "DATA" => libc::SIGUSR1,
        "STATS" => libc::SIGUSR2,
        "JSON" => libc::SIGRTMIN() + 2,
        "STATS_CLEAR" => libc::SIGRTMAX() - 1,
        "TDUMP" => libc::SIGRTMAX(),
        _ => {
            eprintln!("Unknown signal {name}");
            return Exit::Fatal.into();
        }
    };
    println!("{number}");
    Exit::Ok.into()
}
