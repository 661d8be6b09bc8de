//! Reading a configuration, and judging whether a reload may take it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kconf_parser::{Config, DiskLoader, FileLoader as _, Options, Severity};

use crate::not_yet;

/// Where the configuration comes from. The same for the start and for every reload.
#[derive(Debug, Clone)]
pub struct ConfigSource {
    /// The file (`--use-file`).
    pub path: PathBuf,
    /// What `@id` lines are compared with (`--config-id`), else the host name to its first dot.
    pub config_id: String,
    /// Every `include` must match (`--all-config`).
    pub check_includes: bool,
}

/// What one reading found.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// The configuration; without what is wrong, if something is.
    pub config: Config,
    /// Everything that was found, in the order of the text.
    pub problems: Vec<Problem>,
    /// Whether the file could be read at all.
    pub readable: bool,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Whether it is an error.
    pub severity: Severity,
    /// With keepalived's prefix, `(FILE: Line N) `, if it has a place.
    pub text: String,
}

impl Loaded {
    /// Whether anything is wrong enough to refuse a reload.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        !self.readable
            || self
                .problems
                .iter()
                .any(|problem| problem.severity == Severity::Error)
    }
}

impl ConfigSource {
    /// Reads and checks everything. Never fails: what is wrong is in the result.
    #[must_use]
    pub fn load(&self) -> Loaded {
        if let Err(error) = DiskLoader.read(&self.path) {
            return Loaded {
                problems: vec![Problem {
                    severity: Severity::Error,
                    text: format!(
                        "Unable to find configuration file {} - {error}",
                        self.path.display()
                    ),
                }],
                ..Loaded::default()
            };
        }
        let options = Options {
            config_id: self.config_id.clone(),
            check_includes: self.check_includes,
            environment: environment(),
            random_seed: u64::from(std::process::id()),
            ..Options::default()
        };
        let analysis = kconf_parser::analyze(&self.path, &options, &DiskLoader);
        let problems = analysis.diagnostics.iter().map(|diagnostic| {
            let location = analysis.sources.location(diagnostic.primary.place);
            let mut text = format!(
                "({}: Line {}) {}",
                location.path.display(),
                location.line,
                diagnostic.message
            );
            if let Some(help) = &diagnostic.help {
                text.push_str(" - ");
                text.push_str(help);
            }
            if let Some(suggestion) = &diagnostic.suggestion
                && !suggestion.replacement.trim().is_empty()
            {
                let replacement = suggestion.replacement.trim();
                text.push_str(&format!(" - suggestion: `{replacement}`"));
            }
            Problem {
                severity: diagnostic.severity,
                text,
            }
        });
        let notes = not_yet::notes(&analysis).into_iter().map(|text| Problem {
            severity: Severity::Warning,
            text,
        });
        Loaded {
            problems: problems.chain(notes).collect(),
            config: analysis.config,
            readable: true,
        }
    }
}

/// The default of [`ConfigSource::config_id`].
#[must_use]
pub fn host_config_id() -> String {
    let Ok(system) = nix::sys::utsname::uname() else {
        return String::new();
    };
    let name = system.nodename().to_string_lossy();
    name.split('.').next().unwrap_or_default().to_owned()
}

/// Settings that only a restart can change, by their keywords; a reload that changes one is refused.
#[must_use]
pub fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let mut changed = Vec::new();
    if old.vrrp.globals.disable_local_igmp != new.vrrp.globals.disable_local_igmp {
        changed.push("disable_local_igmp");
    }
    let (old, new) = (&old.globals, &new.globals);
    if old.net_namespace != new.net_namespace {
        changed.push("net_namespace");
    }
    if old.instance != new.instance {
        changed.push("instance");
    }
    changed
}

/// The variables whose names and values are text.
fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// The default configuration file.
#[must_use]
pub fn default_path() -> &'static Path {
    Path::new("/etc/keepalived/keepalived.conf")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_an_error_and_no_empty_configuration() {
        let source = ConfigSource {
            path: "/nonexistent/keepalived.conf".into(),
            config_id: String::new(),
            check_includes: false,
        };
        let loaded = source.load();
        assert!(!loaded.readable && loaded.has_errors());
        assert!(
            loaded.problems[0]
                .text
                .contains("/nonexistent/keepalived.conf")
        );
    }

    #[test]
    fn a_problem_comes_with_its_line_and_a_suggestion() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keepalived.conf");
        std::fs::write(&path, "global_defs {\n  lvs_flsh\n}\n").unwrap();
        let source = ConfigSource {
            path: path.clone(),
            config_id: String::new(),
            check_includes: false,
        };
        let text = &source.load().problems[0].text;
        let start = format!("({}: Line 2) ", path.display());
        assert!(text.starts_with(&start), "{text}");
        assert!(text.ends_with(" - suggestion: `lvs_flush`"), "{text}");
    }

    #[test]
    fn what_only_a_restart_can_change_is_named() {
        let old = Config::default();
        let mut new = old.clone();
        assert!(needs_restart(&old, &new).is_empty());
        new.globals.instance = Some("b".into());
        new.globals.net_namespace = Some("red".into());
        assert_eq!(needs_restart(&old, &new), ["net_namespace", "instance"]);
    }
}
