//! The director daemon: reads keepalived.conf, checks servers, balances traffic.
//!
//! Flags and `main`; everything that decides is in the crate `director`.

mod args;
mod check;
mod demo;
mod status;

use std::process::ExitCode;

use clap::Parser as _;
use director::exit::Exit;

use crate::args::{Cli, Command, Run};

fn main() -> ExitCode {
    let cli = match Cli::try_parse_from(args::normalised(std::env::args_os())) {
        Ok(cli) => cli,
        Err(error) => {
            // Help, too, goes to standard error, as keepalived's.
            eprint!("{}", error.render());
            return match error.use_stderr() {
                true => Exit::Fatal.into(),
                false => Exit::Ok.into(),
            };
        }
    };
    if cli.version {
        eprintln!("lvsd v{} (lvskit)", env!("CARGO_PKG_VERSION"));
        return Exit::Ok.into();
    }
    match cli.command {
        None => run(&cli.run),
        Some(Command::Run(options)) => run(&options),
        Some(Command::Status(options)) => status::print(&options),
        Some(Command::Check(options)) => check::run(&options),
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
            _ => Exit::Fatal.into(),
        },
    }
}

fn run(run: &Run) -> ExitCode {
    if let Some(name) = &run.signum {
        return signum(name);
    }
    if let Some(log) = &run.config_test {
        let options = run.options();
        let id = options.config_id.as_deref();
        return check::test(
            &options.config_file,
            id,
            options.check_includes,
            log.as_deref(),
        );
    }
    if run.vrrp_only {
        eprintln!("lvsd: this version has no VRRP process yet, so -P leaves nothing to run");
        return Exit::Fatal.into();
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
