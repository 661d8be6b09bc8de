//! What the command line says, without its spelling.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::logging::LogOptions;
use crate::reconcile::AUDIT_INTERVAL;

/// How long connections may go on after a stop is asked for, unless said otherwise.
pub const DEFAULT_DRAIN: Duration = Duration::from_secs(10);

/// How to run a director.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The configuration file. Default [`crate::config::default_path`].
    pub config_file: PathBuf,
    /// What `@id` lines are compared with. Default the host name to its first dot.
    pub config_id: Option<String>,
    /// Every `include` must match. Default off.
    pub check_includes: bool,
    /// Do not become a daemon. Default off.
    pub foreground: bool,
    /// Where to log.
    pub log: LogOptions,
    /// The network namespace to run in; wins over the configuration's `net_namespace`. Default: that,
    /// or where it was started.
    pub namespace: Option<String>,
    /// Log the configuration at the start. Default off.
    pub dump_config: bool,
    /// Default [`crate::rundir::RunDir::pid_file`].
    pub pid_file: Option<PathBuf>,
    /// Default [`crate::rundir::RunDir::checkers_pid_file`].
    pub checkers_pid_file: Option<PathBuf>,
    /// Default [`crate::rundir::RunDir::vrrp_pid_file`].
    pub vrrp_pid_file: Option<PathBuf>,
    /// Which of the two halves to run. Default both.
    pub parts: Parts,
    /// Run no BFD session. Default off.
    pub no_bfd: bool,
    /// Leave addresses, routes and rules of VRRP as they are when stopping. Default off.
    pub keep_vrrp: bool,
    /// Record what the virtual routers see. Default off.
    pub record: Option<PathBuf>,
    /// Leave the IPVS table as it is when stopping. Default off; without meaning for the userspace
    /// dataplane, whose table ends with it.
    pub keep_ipvs: bool,
    /// Start children that died again. Default on.
    pub respawn: bool,
    /// Wins over the configuration's `umask`, whose default is 0177.
    pub umask: Option<u32>,
    /// Default: see [`crate::rundir`].
    pub run_dir: Option<PathBuf>,
    /// Which dataplane. Default [`DataplaneChoice::Auto`].
    pub dataplane: DataplaneChoice,
    /// How often the table is looked at for what somebody else changed there; `None` looks only at
    /// reloads. Default [`AUDIT_INTERVAL`].
    pub audit_interval: Option<Duration>,
    /// How long connections may go on after a stop is asked for. Default [`DEFAULT_DRAIN`]; zero cuts
    /// them at once.
    pub drain: Duration,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            config_file: crate::config::default_path().to_path_buf(),
            config_id: None,
            check_includes: false,
            foreground: false,
            log: LogOptions::default(),
            namespace: None,
            dump_config: false,
            pid_file: None,
            checkers_pid_file: None,
            vrrp_pid_file: None,
            parts: Parts::Both,
            no_bfd: false,
            keep_vrrp: false,
            record: None,
            keep_ipvs: false,
            respawn: true,
            umask: None,
            run_dir: None,
            dataplane: DataplaneChoice::Auto,
            audit_interval: Some(AUDIT_INTERVAL),
            drain: DEFAULT_DRAIN,
        }
    }
}

/// Which halves of a director run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Parts {
    /// Both, as far as they are configured.
    #[default]
    Both,
    /// Only VRRP (`--vrrp`).
    Vrrp,
    /// Only health checks and balancing (`--check`).
    Checks,
}

/// Which dataplane is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DataplaneChoice {
    /// The kernel's if it is there and permitted, else the userspace one.
    #[default]
    Auto,
    /// The kernel's, or none.
    Kernel,
    /// The userspace one.
    Userspace,
}

/// The word is not a dataplane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not one of auto, kernel, userspace")]
pub struct UnknownDataplane;

impl FromStr for DataplaneChoice {
    type Err = UnknownDataplane;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "kernel" => Ok(Self::Kernel),
            "userspace" => Ok(Self::Userspace),
            _ => Err(UnknownDataplane),
        }
    }
}
