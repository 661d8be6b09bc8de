//! `lvsd realserver`: the command line, and what it prints.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use director::exit::Exit;
use director::realserver::{Action, Mode, Plan, Server, Setup};
use director::rundir::RunDir;
use netif::LinkName;
use serde::Serialize;

/// What follows the options of `lvsd realserver`.
pub(crate) const AFTER_HELP: &str = "\
With DR and TUN, packets reach a real server with the virtual address as their destination. So it has
to have that address, and must not answer for it on the network: that is for the director to do.

  dr   puts the address on lo
  tun  puts it on tunl0 (IPv6: ip6tnl0), which takes the director's packets out of their tunnel; sets
       that interface up, and has rp_filter let in packets of clients that are reached elsewhere

For IPv4 both set arp_ignore=1 and arp_announce=2, so that ARP does not speak of the address. IPv6
needs no such word. The kernel makes the local route that belongs to an address.

Examples:
  lvsd realserver up --vip 192.0.2.10 --mode dr --dry-run   what would be done, as commands
  lvsd realserver up --vip 192.0.2.10 --mode dr             do it; again does nothing
  lvsd realserver up --vip 192.0.2.10 2001:db8::10 --mode tun
  lvsd realserver status
  lvsd realserver down                                      all as it was before

Settings that were changed are remembered in the run folder until down puts them back. After a
reboot nothing of it is left: call up at boot, for example by a unit of systemd with RemainAfterExit.

Exit status:
  0  done, or nothing to do; status: all is as it was set up
  1  not possible, and why; status: nothing is set up, or something has been changed since";

/// What to do with this host.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Take packets for virtual addresses, beside those that are set up already.
    Up(Up),
    /// Undo it: these addresses, or all.
    Down(Down),
    /// Show what is set up, and what has been changed since.
    Status(Status),
}

/// Flags of `lvsd realserver up`.
#[derive(Debug, Args)]
pub(crate) struct Up {
    /// Virtual addresses.
    #[arg(long, value_name = "ADDR", num_args = 1.., required = true)]
    vip: Vec<IpAddr>,
    /// How packets come from the director: lb_kind in its configuration.
    #[arg(long, value_enum)]
    mode: ModeArg,
    /// Interface for the addresses instead of lo, tunl0 or ip6tnl0.
    #[arg(long, value_name = "IF")]
    dev: Option<LinkName>,
    #[command(flatten)]
    common: Common,
}

/// Flags of `lvsd realserver down`.
#[derive(Debug, Args)]
pub(crate) struct Down {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    common: Common,
}

/// A choice of what is set up.
#[derive(Debug, Args)]
struct Which {
    /// Only these virtual addresses (default: all that are set up).
    #[arg(long, value_name = "ADDR", num_args = 1..)]
    vip: Vec<IpAddr>,
    /// Only those of this mode.
    #[arg(long, value_enum)]
    mode: Option<ModeArg>,
    /// Only those on this interface.
    #[arg(long, value_name = "IF")]
    dev: Option<LinkName>,
}

impl Which {
    fn includes(&self, setup: &Setup) -> bool {
        (self.vip.is_empty() || self.vip.contains(&setup.vip))
            && self.mode.is_none_or(|mode| setup.mode == mode.into())
            && self.dev.as_ref().is_none_or(|dev| setup.dev == *dev)
    }
}

/// Flags of both.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Print the commands that would do it, and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// Folder where it is remembered what to undo.
    #[arg(long, value_name = "DIR")]
    run_dir: Option<PathBuf>,
}

/// Flags of `lvsd realserver status`.
#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    which: Which,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Folder where it is remembered what to undo.
    #[arg(long, value_name = "DIR")]
    run_dir: Option<PathBuf>,
}

/// How packets come.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum ModeArg {
    /// Direct routing.
    Dr,
    /// Tunnel.
    Tun,
}

impl From<ModeArg> for Mode {
    fn from(mode: ModeArg) -> Self {
        match mode {
            ModeArg::Dr => Self::Dr,
            ModeArg::Tun => Self::Tun,
        }
    }
}

/// Runs the command.
pub(crate) fn run(command: &Command) -> ExitCode {
    let result = match command {
        Command::Up(options) => up(options),
        Command::Down(options) => down(options),
        Command::Status(options) => status(options),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("lvsd realserver: {error:#}");
            Exit::Fatal.into()
        }
    }
}

fn up(options: &Up) -> Result<Exit> {
    let run_dir = RunDir::find(options.common.run_dir.as_deref());
    let mut server = Server::open(&run_dir)?;
    let mut wished = setups(&server);
    for vip in &options.vip {
        wished.retain(|setup| setup.vip != *vip);
        wished.push(Setup::new(*vip, options.mode.into(), options.dev.clone()));
    }
    make(&mut server, &run_dir, &wished, options.common.dry_run)
}

fn down(options: &Down) -> Result<Exit> {
    let run_dir = RunDir::find(options.common.run_dir.as_deref());
    let mut server = Server::open(&run_dir)?;
    let mut wished = setups(&server);
    wished.retain(|setup| !options.which.includes(setup));
    make(&mut server, &run_dir, &wished, options.common.dry_run)
}

fn setups(server: &Server) -> Vec<Setup> {
    let held = server.state().addresses.iter();
    held.map(|held| held.setup.clone()).collect()
}

fn make(server: &mut Server, run_dir: &RunDir, wished: &[Setup], dry_run: bool) -> Result<Exit> {
    if dry_run {
        for action in server.plan(wished)?.actions {
            println!("{action}");
        }
        return Ok(Exit::Ok);
    }
    if !nix::unistd::geteuid().is_root() {
        bail!(
            "only root can change addresses and kernel settings; --dry-run shows what would be done"
        );
    }
    run_dir.create()?;
    server.make(wished, |action| println!("{action}"))?;
    Ok(Exit::Ok)
}

/// What `lvsd realserver status` tells.
#[derive(Serialize)]
struct Report {
    /// Whether all is as it was set up.
    complete: bool,
    addresses: Vec<AddressReport>,
    /// Settings that were changed.
    sysctls: Vec<SysctlReport>,
    /// Commands that would put right what has been changed since.
    missing: Vec<String>,
}

#[derive(Serialize)]
struct AddressReport {
    vip: IpAddr,
    /// Where it is set up; nothing for an address that was asked for and is not set up.
    #[serde(flatten)]
    place: Option<Place>,
    /// Whether it is set up, and the interface has the address and is up.
    up: bool,
}

#[derive(Serialize)]
struct Place {
    mode: Mode,
    dev: LinkName,
}

#[derive(Serialize)]
struct SysctlReport {
    name: String,
    before: i32,
    set: i32,
    now: Option<i32>,
}

impl Report {
    fn new(server: &mut Server, which: &Which) -> Result<Self> {
        let held = setups(server);
        let Plan { actions, .. } = server.plan(&held)?;
        let lacks = |setup: &Setup| {
            actions.contains(&Action::Add(setup.clone()))
                || actions.contains(&Action::Raise(setup.dev.clone()))
        };
        let mut addresses: Vec<AddressReport> = held
            .iter()
            .filter(|setup| which.includes(setup))
            .map(|setup| AddressReport {
                vip: setup.vip,
                up: !lacks(setup),
                place: Some(Place {
                    mode: setup.mode,
                    dev: setup.dev.clone(),
                }),
            })
            .collect();
        for vip in &which.vip {
            if addresses.iter().all(|address| address.vip != *vip) {
                addresses.push(AddressReport {
                    vip: *vip,
                    up: false,
                    place: None,
                });
            }
        }
        let changed = server.state().sysctls.iter();
        Ok(Self {
            complete: !addresses.is_empty()
                && addresses.iter().all(|address| address.up)
                && actions.is_empty(),
            addresses,
            sysctls: changed
                .map(|changed| SysctlReport {
                    name: changed.sysctl.to_string(),
                    before: changed.before,
                    set: changed.after,
                    now: changed.sysctl.read().ok(),
                })
                .collect(),
            missing: actions.iter().map(Action::to_string).collect(),
        })
    }
}

fn status(options: &Status) -> Result<Exit> {
    let mut server = Server::open(&RunDir::find(options.run_dir.as_deref()))?;
    let report = Report::new(&mut server, &options.which)?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print(&report);
    }
    Ok(match report.complete {
        true => Exit::Ok,
        false => Exit::Fatal,
    })
}

fn print(report: &Report) {
    if report.addresses.is_empty() {
        println!("no virtual address is set up on this host");
    }
    for address in &report.addresses {
        let vip = address.vip;
        let state = if address.up { "up" } else { "MISSING" };
        match &address.place {
            Some(Place { mode, dev }) => println!("{vip} {} on {dev}: {state}", mode.name()),
            None => println!("{vip}: not set up"),
        }
    }
    for sysctl in &report.sysctls {
        let SysctlReport {
            name, before, set, ..
        } = sysctl;
        match sysctl.now {
            Some(now) if now == *set => println!("{name} {set} (was {before})"),
            Some(now) => println!("{name} {now} INSTEAD OF {set} (was {before})"),
            None => println!("{name} GONE"),
        }
    }
    if !report.missing.is_empty() {
        println!("\nto put it right, call lvsd realserver up again, or:");
        for line in &report.missing {
            println!("  {line}");
        }
    }
}
