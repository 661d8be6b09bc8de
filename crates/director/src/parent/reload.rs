//! SIGHUP: everything is read and checked before anything changes.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use kconf_parser::Config;
use kconf_parser::Severity;
use tracing::{error, info, warn};

use super::Parent;
use crate::config::{Loaded, needs_restart};
use crate::message::{ToChecker, ToVrrp};
use crate::role::Role;
use crate::status::{BfdStatus, ReloadStatus, VrrpStatus, unix_ms};
use crate::wiring;

/// How many problems of one configuration are logged, and kept for status.
const MAX_LOGGED: usize = 200;

impl Parent {
    /// Reads the configuration again and puts it in force if it has no error.
    pub(super) fn reload(&mut self) -> ReloadStatus {
        let applied = |applied, problems: Vec<String>| ReloadStatus {
            at_unix_ms: unix_ms(SystemTime::now()),
            applied,
            problems,
        };
        if self.stopping.is_some() {
            return applied(false, vec!["the director is stopping".to_owned()]);
        }
        info!("Reloading ...");
        let loaded = self.source.load();
        log_problems(&loaded);
        let mut problems: Vec<String> = loaded
            .problems
            .iter()
            .take(MAX_LOGGED)
            .map(|problem| format!("{}: {}", problem.severity, problem.text))
            .collect();
        // What the machine of the virtual routers would refuse is refused before anything changes.
        let (_, unsound) = wiring::vrrp::vrrp(&loaded.config.vrrp, Duration::ZERO);
        for problem in &unsound {
            error!("{problem}");
        }
        let is_unsound = !unsound.is_empty();
        problems.extend(
            unsound
                .into_iter()
                .map(|problem| format!("error: {problem}")),
        );
        let refused = needs_restart(&self.config, &loaded.config);
        let fails = loaded.has_errors() || is_unsound;
        let log = self.config.globals.reload_check_config.as_deref();
        let log = log.filter(|path| !path.as_os_str().is_empty());
        if let Some(path) = log
            && let Err(error) = write_problems(path, fails, &problems)
        {
            error!("Unable to write {} - {error}", path.display());
        }
        let status = if fails {
            match log {
                Some(path) => error!(
                    "New config failed validation, see {} for details - the old configuration goes on",
                    path.display()
                ),
                None => error!("New config failed validation, the old configuration goes on"),
            }
            applied(false, problems)
        } else if !refused.is_empty() {
            for keyword in refused {
                let line =
                    format!("Cannot change {keyword} at a reload - please restart keepalived");
                error!("{line}");
                problems.push(line);
            }
            applied(false, problems)
        } else {
            info!("Configuration file {}", self.source.path.display());
            warn_of_emptiness(&loaded.config);
            self.put_in_force(loaded);
            applied(true, problems)
        };
        self.last_reload = Some(status.clone());
        status
    }

    fn put_in_force(&mut self, loaded: Loaded) {
        self.config = loaded.config;
        // First, so that what follows from the reload is told to those who are named now.
        self.configure_telling();
        let config = &self.config;
        self.states.retain(|id, _| config.service(id).is_some());
        // Without a process the next one starts with it.
        let reloading = &mut self.reloading;
        reloading.checker = self
            .checker
            .send(ToChecker::Reload(Box::new(config.clone())));
        self.reload_vrrp();
    }

    /// The VRRP process goes by the new configuration, which may be that there is none.
    fn reload_vrrp(&mut self) {
        let running = self.vrrp.is_running();
        match (self.wants_vrrp(), running) {
            (true, true) => {
                let config = Box::new(self.config.clone());
                self.reloading.vrrp = self.vrrp.send(ToVrrp::Reload(config));
            }
            (true, false) => self.start_child(Role::Vrrp),
            (false, true) => self.reloading.vrrp = self.vrrp.send(ToVrrp::Stop),
            (false, false) => {}
        }
    }

    /// The VRRP process has ended as a reload wanted it to.
    pub(super) fn reloaded_without_vrrp(&mut self) {
        self.vrrp_status = VrrpStatus::default();
        self.bfd_status = BfdStatus::default();
        self.reloading.vrrp = false;
        self.tell_reload_complete();
    }

    /// Says that a reload is complete when every process goes by the new text.
    pub(super) fn tell_reload_complete(&mut self) {
        if !self.reloading.checker && !self.reloading.vrrp {
            info!("Reload complete");
        }
    }
}

/// Which processes have still to put a new configuration in force.
#[derive(Debug, Default)]
pub(super) struct Reloading {
    pub(super) checker: bool,
    pub(super) vrrp: bool,
}

/// Leaves what is wrong with a configuration in the file of `reload_check_config`; of one that is in
/// force, nothing.
fn write_problems(path: &Path, fails: bool, problems: &[String]) -> io::Result<()> {
    let lines = problems.iter().filter(|_| fails);
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    std::fs::write(path, text)
}

pub(super) fn warn_of_emptiness(config: &Config) {
    if config.services.is_empty() && config.vrrp.is_empty() {
        warn!("Warning - keepalived has no configuration to run");
    }
}

/// Logs what was found in a configuration: all that an operator will read, not all that a wrong file can hold.
pub(super) fn log_problems(loaded: &Loaded) {
    let mut problems = loaded.problems.iter();
    for problem in problems.by_ref().take(MAX_LOGGED) {
        match problem.severity {
            Severity::Error => error!("{}", problem.text),
            Severity::Warning => warn!("{}", problem.text),
        }
    }
    if problems.len() > 0 {
        let more = problems.len();
        error!("... and {more} more - see all of them with: lvsd check FILE");
    }
}
