//! The command line: keepalived's flags with keepalived's meaning, and ours.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand};
use director::logging::{Facility, LogOptions};
use director::options::{DataplaneChoice, Parts, RunOptions};

use crate::check::Check;
use crate::config::Config;
use crate::diff::Diff;
use crate::explain::Explain;
use crate::fmt::Fmt;
use crate::realserver;
use crate::replay::Replay;

/// What follows the options of `lvsd` and `lvsd run`.
const AFTER_HELP: &str = "\
Examples:
  lvsd demo --load                       see it work: needs no root and no configuration
  lvsd check keepalived.conf             every problem of a file in one run
  lvsd -n -l -f keepalived.conf          run in the foreground, log to the terminal
  lvsd status                            services, servers, what the checks said last
  kill -HUP $(cat /run/lvsd/lvsd.pid)    a new configuration, refused if it has an error

The run folder, with sockets and pid files, is --run-dir, else /run/lvsd for root, else
$XDG_RUNTIME_DIR/lvsd, else /tmp/lvsd-UID.

Exit status:
  0   was asked to stop, runs in the background now, or runs already
  1   cannot run here, or the command line is wrong
  4   the run folder or a pid file cannot be written
  6   the configuration file cannot be read
  70  a fault in the program
  With -t, as keepalived: 0 good, 2 a value is missing, 4 no file, 5 another problem, 6 an include fails";

/// What follows the options of `lvsd status`.
const AFTER_STATUS: &str = "\
Examples:
  lvsd status
  lvsd status --json | jq '.services[].servers[] | select(.up | not) | .name'

Exit status:
  0  the director has answered, whatever it said about its services
  1  no director answers in the run folder, or the command line is wrong";

/// What follows the options of `lvsd lsp`.
const AFTER_LSP: &str = "\
A language server for keepalived.conf, started by the editor. docs/editors.md tells how to set it
up in VS Code, Neovim and Helix.

Exit status:
  0  the editor said goodbye
  1  the editor is gone without a word, or does not keep to the protocol";

/// What follows the options of `lvsd completions`.
const AFTER_COMPLETIONS: &str = "\
Examples:
  lvsd completions bash > /etc/bash_completion.d/lvsd
  lvsd completions zsh > ~/.zfunc/_lvsd
  lvsd completions fish > ~/.config/fish/completions/lvsd.fish";

/// Load-balancing director: reads keepalived.conf, checks servers, balances traffic.
#[derive(Debug, Parser)]
#[command(
    name = "lvsd",
    disable_version_flag = true,
    disable_help_flag = true,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = AFTER_HELP
)]
pub(crate) struct Cli {
    /// What to do; without a command, run.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) run: Run,
    /// Print the version and exit.
    #[arg(short = 'v', long, action = ArgAction::SetTrue)]
    pub(crate) version: bool,
    /// Print help and exit.
    #[arg(short = 'h', long, global = true, action = ArgAction::HelpLong)]
    help: Option<bool>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the director (the default).
    #[command(after_help = AFTER_HELP)]
    Run(Box<Run>),
    /// Show services, servers and checks of a running director.
    #[command(after_help = AFTER_STATUS)]
    Status(Status),
    /// Show what the virtual routers of a recording did.
    Replay(Replay),
    /// Say what is wrong with configuration files.
    Check(Check),
    /// Bring configuration files into one style.
    Fmt(Fmt),
    /// Say what a keyword or a code of a finding means.
    Explain(Explain),
    /// Print a configuration expanded, or as it is meant.
    Config(Config),
    /// Say what a reload would change.
    Diff(Diff),
    /// Serve an editor: findings while typing, help, completion, definitions, formatting, fixes.
    #[command(after_help = AFTER_LSP)]
    Lsp {
        /// Speak over standard input and output; the only way there is, named for editors that
        /// say so.
        #[arg(long)]
        stdio: bool,
    },
    /// Print completions of commands, options and keywords for a shell.
    #[command(after_help = AFTER_COMPLETIONS)]
    Completions {
        /// The shell.
        #[arg(value_enum, value_name = "SHELL")]
        shell: clap_complete::Shell,
    },
    /// Make this host a real server of LVS-DR or LVS-TUN, or undo that.
    #[command(name = "realserver", subcommand_required = true, after_help = realserver::AFTER_HELP)]
    RealServer {
        /// What to do.
        #[command(subcommand)]
        command: realserver::Command,
    },
    /// Show a director at work on this machine: three web servers, one of which fails and comes back.
    Demo(crate::demo::DemoArgs),
    /// Part of a running director.
    #[command(name = director::child::CHILD_SUBCOMMAND, hide = true)]
    Child {
        /// Which process.
        role: String,
        /// The parent's process id.
        parent: i32,
    },
}

/// Flags of a director.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Configuration file.
    #[arg(short = 'f', long = "use-file", value_name = "FILE", default_value = director::config::default_path().as_os_str())]
    file: PathBuf,
    /// Stay in the foreground.
    #[arg(short = 'n', long)]
    dont_fork: bool,
    /// Log to the terminal.
    #[arg(short = 'l', long)]
    log_console: bool,
    /// Log more; twice for everything.
    #[arg(short = 'D', long, action = ArgAction::Count)]
    log_detail: u8,
    /// Facility of the system log: 0-7, local0-local7, user, daemon.
    #[arg(short = 'S', long, value_name = "FACILITY", default_value = "daemon")]
    log_facility: Facility,
    /// Log to a file too, with a suffix for each process.
    #[arg(short = 'g', long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "/tmp/keepalived.log")]
    log_file: Option<PathBuf>,
    /// Accepted for compatibility: every line of a log file is written at once.
    #[arg(long)]
    flush_log_file: bool,
    /// Do not log to the system log.
    #[arg(short = 'G', long)]
    no_syslog: bool,
    /// Network namespace to run in; wins over the configuration.
    #[arg(short = 's', long, value_name = "NAME")]
    namespace: Option<String>,
    /// Log the configuration at the start.
    #[arg(short = 'd', long)]
    dump_conf: bool,
    /// Umask of created files, octal; wins over the configuration.
    #[arg(short = 'u', long, value_name = "MASK", value_parser = umask)]
    umask: Option<u32>,
    /// Pid file of the parent.
    #[arg(short = 'p', long, value_name = "FILE")]
    pid: Option<PathBuf>,
    /// Pid file of the checker.
    #[arg(short = 'c', long = "checkers_pid", value_name = "FILE")]
    checkers_pid: Option<PathBuf>,
    /// Pid file of the VRRP process.
    #[arg(short = 'r', long = "vrrp_pid", value_name = "FILE")]
    vrrp_pid: Option<PathBuf>,
    /// Leave virtual addresses, routes and rules as they are when stopping.
    #[arg(short = 'V', long)]
    dont_release_vrrp: bool,
    /// Accepted for compatibility: virtual addresses are given back first of all when stopping.
    #[arg(short = 'X', long)]
    release_vips: bool,
    /// Record what the virtual routers see, for lvsd replay; holds passwords.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Leave the kernel's IPVS table as it is when stopping.
    #[arg(short = 'I', long)]
    dont_release_ipvs: bool,
    /// End when a child dies.
    #[arg(short = 'R', long)]
    dont_respawn: bool,
    /// Only VRRP.
    #[arg(short = 'P', long = "vrrp", conflicts_with = "checks_only")]
    vrrp_only: bool,
    /// Only health checks and balancing.
    #[arg(short = 'C', long = "check")]
    checks_only: bool,
    /// Run no BFD session; whoever tracks one takes it for down.
    #[arg(short = 'B', long = "no_bfd")]
    no_bfd: bool,
    /// Accepted for compatibility: the processes are always started.
    #[arg(long)]
    all: bool,
    /// Id that lines beginning with @id are compared with.
    #[arg(short = 'i', long, value_name = "ID")]
    config_id: Option<String>,
    /// Every include must match and be readable.
    #[arg(short = 'e', long)]
    all_config: bool,
    /// Test the configuration, print what is wrong (to FILE), and exit.
    #[arg(short = 't', long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    pub(crate) config_test: Option<Option<PathBuf>>,
    /// Print the number of a signal and exit: STOP, RELOAD, DATA, STATS, STATS_CLEAR, JSON, TDUMP.
    #[arg(long, value_name = "NAME")]
    pub(crate) signum: Option<String>,
    /// Folder of the sockets and pid files; made if it is missing.
    #[arg(long, value_name = "DIR")]
    run_dir: Option<PathBuf>,
    /// Who carries the traffic: auto, kernel, userspace.
    #[arg(long, value_name = "WHICH", default_value = "auto")]
    dataplane: DataplaneChoice,
    /// How often to put right what somebody else changed in the table, in seconds; 0 only at reloads.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "1")]
    audit_interval: Duration,
    /// How long connections may go on after a stop, in seconds; 0 cuts them.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "10")]
    drain_timeout: Duration,
}

/// Flags of `lvsd status`.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Print JSON, as documented in director::status.
    #[arg(long)]
    pub(crate) json: bool,
    /// Folder of the director's sockets.
    #[arg(long, value_name = "DIR")]
    pub(crate) run_dir: Option<PathBuf>,
}

impl Run {
    /// What the flags mean.
    pub(crate) fn options(&self) -> RunOptions {
        RunOptions {
            config_file: self.file.clone(),
            config_id: self.config_id.clone(),
            check_includes: self.all_config,
            foreground: self.dont_fork,
            log: LogOptions {
                console: self.log_console,
                syslog: !self.no_syslog,
                facility: self.log_facility,
                file: self.log_file.clone(),
                detail: self.log_detail,
                ..LogOptions::default()
            },
            namespace: self.namespace.clone(),
            dump_config: self.dump_conf,
            pid_file: self.pid.clone(),
            checkers_pid_file: self.checkers_pid.clone(),
            vrrp_pid_file: self.vrrp_pid.clone(),
            parts: match (self.vrrp_only, self.checks_only) {
                (true, _) => Parts::Vrrp,
                (false, true) => Parts::Checks,
                (false, false) => Parts::Both,
            },
            no_bfd: self.no_bfd,
            keep_vrrp: self.dont_release_vrrp,
            record: self.record.clone(),
            keep_ipvs: self.dont_release_ipvs,
            respawn: !self.dont_respawn,
            umask: self.umask,
            run_dir: self.run_dir.clone(),
            dataplane: self.dataplane,
            audit_interval: Some(self.audit_interval).filter(|interval| !interval.is_zero()),
            drain: self.drain_timeout,
        }
    }
}

/// Rewrites keepalived's optional values, `-tFILE` and `-gFILE`, into the form that the parser knows,
/// `-t=FILE`: it would otherwise take FILE for more flags.
pub(crate) fn normalised(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    arguments
        .map(|argument| match argument.to_str() {
            Some(text) => match text.get(..2) {
                Some(flag @ ("-t" | "-g"))
                    if text.len() > 2 && !text.starts_with("-t=") && !text.starts_with("-g=") =>
                {
                    format!("{flag}={}", &text[2..]).into()
                }
                _ => argument,
            },
            None => argument,
        })
        .collect()
}

fn umask(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mask) if mask <= 0o777 => Ok(mask),
        _ => Err("not an octal number up to 777".to_owned()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    Duration::try_from_secs_f64(number).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Cli, clap::Error> {
        let words = words.iter().map(OsString::from);
        Cli::try_parse_from(normalised(std::iter::once("lvsd".into()).chain(words)))
    }

    #[test]
    fn the_table_of_flags_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn keepalived_command_lines_are_understood() {
        let cli = parse(&[
            "-f", "k.conf", "-nlDD", "-p", "a.pid", "-c", "b.pid", "-I", "-R", "-C",
        ]);
        let options = cli.unwrap().run.options();
        assert_eq!(options.config_file, PathBuf::from("k.conf"));
        assert!(options.foreground && options.log.console && options.keep_ipvs);
        assert!(!options.respawn);
        assert_eq!(options.log.detail, 2);
        assert_eq!(options.pid_file, Some("a.pid".into()));
        assert_eq!(options.checkers_pid_file, Some("b.pid".into()));
    }

    #[test]
    fn run_is_the_default_command() {
        let Some(Command::Run(run)) = parse(&["run", "-f", "x", "-n"]).unwrap().command else {
            panic!("no run");
        };
        assert_eq!(run.options().config_file, PathBuf::from("x"));
        assert!(parse(&[]).unwrap().command.is_none());
    }

    #[test]
    fn a_test_may_name_the_file_for_its_messages() {
        let test = |words: &[&str]| parse(words).unwrap().run.config_test;
        assert_eq!(test(&["-t", "-f", "x"]), Some(None));
        assert_eq!(
            test(&["-t/tmp/out", "-f", "x"]),
            Some(Some("/tmp/out".into()))
        );
        assert_eq!(test(&["--config-test=out"]), Some(Some("out".into())));
        assert_eq!(test(&["-f", "x"]), None);
    }

    #[test]
    fn values_out_of_range_are_refused() {
        for words in [
            ["-S", "8"],
            ["-u", "9"],
            ["-u", "1000"],
            ["--dataplane", "magic"],
            ["--drain-timeout", "-1"],
            ["--audit-interval", "x"],
        ] {
            assert!(parse(&words).is_err(), "{words:?}");
        }
        assert_eq!(
            parse(&["-u", "022"]).unwrap().run.options().umask,
            Some(0o022)
        );
    }
}
