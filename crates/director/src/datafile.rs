//! The files that keepalived writes on signals: where they are, and what they have in common.
//!
//! # Design
//! Upstream promises no stability for their text but for statistics and JSON, so the `.data` files have
//! its sections and the names of its lines, for those who search in them, and no more of it than
//! is of use. Passwords are not shown.

mod globals;

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use kconf_parser::Config;
use kconf_parser::config::Globals;

use crate::role::Role;

/// Writes the `.data` file of a process: settings of the whole daemon, then what it adds.
///
/// # Errors
///
/// What the system says.
pub(crate) fn write_data(role: Role, config: &Config, rest: &str) -> io::Result<()> {
    let text = globals::text(config) + rest;
    replace(&data_path(role, &config.globals), &text)
}

/// Writes a file in the folder for such files.
///
/// # Errors
///
/// What the system says.
pub(crate) fn write(name: &str, text: &str) -> io::Result<()> {
    replace(&folder().join(name), text)
}

/// `keepalived.data` in the folder for such files, or where `state_dump_file` says; for other processes
/// than that of VRRP `keepalived_parent.data` and `keepalived_check.data`. With `data_use_instance` the
/// instance and the network namespace stand before the ending.
fn data_path(role: Role, globals: &Globals) -> PathBuf {
    let usual = Path::new("keepalived.data");
    let template = match &globals.state_dump_file {
        None => folder().join(usual),
        Some(path) if path.as_os_str().as_bytes().ends_with(b"/") => path.join(usual),
        Some(path) => folder().join(path),
    };
    let mut name = template.file_stem().unwrap_or_default().to_owned();
    name.push(match role {
        Role::Vrrp => "",
        Role::Checker => "_check",
        Role::Parent | Role::Proxy => "_parent",
    });
    if globals.data_use_instance {
        for part in [&globals.instance, &globals.net_namespace]
            .into_iter()
            .flatten()
        {
            name.push(".");
            name.push(part);
        }
    }
    if let Some(ending) = template.extension() {
        name.push(".");
        name.push(ending);
    }
    template.with_file_name(name)
}

/// `TMPDIR` if it names a folder from the root on, else `/tmp`.
fn folder() -> PathBuf {
    let wished = std::env::var_os("TMPDIR").map(PathBuf::from);
    let wished = wished.filter(|path| path.is_absolute() && path.is_dir());
    wished.unwrap_or_else(|| PathBuf::from("/tmp"))
}

/// A reader sees the old text or the new one. The folder may be everybody's, so the new file is one
/// that nobody else can have put there.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let new = PathBuf::from(name);
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    // The umask, by default 0177, takes its part.
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o666)
        .open(&new)?;
    file.write_all(text.as_bytes())?;
    std::fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_instance_stands_before_the_ending_where_that_is_wished() {
        let name = |role, globals: &Globals| {
            let path = data_path(role, globals);
            path.file_name().unwrap().to_str().unwrap().to_owned()
        };
        let mut globals = Globals {
            instance: Some("blue".into()),
            ..Globals::default()
        };
        assert_eq!(name(Role::Vrrp, &globals), "keepalived.data");
        assert_eq!(name(Role::Checker, &globals), "keepalived_check.data");
        globals.data_use_instance = true;
        assert_eq!(name(Role::Parent, &globals), "keepalived_parent.blue.data");
        globals.net_namespace = Some("red".into());
        assert_eq!(name(Role::Vrrp, &globals), "keepalived.blue.red.data");
    }

    #[test]
    fn another_file_or_folder_may_be_named() {
        let at = |role, path: &str| {
            let globals = Globals {
                state_dump_file: Some(path.into()),
                ..Globals::default()
            };
            data_path(role, &globals).display().to_string()
        };
        assert_eq!(at(Role::Vrrp, "/var/log/ka.txt"), "/var/log/ka.txt");
        assert_eq!(
            at(Role::Parent, "/var/log/ka.txt"),
            "/var/log/ka_parent.txt"
        );
        assert_eq!(at(Role::Checker, "/var/log/ka"), "/var/log/ka_check");
        assert_eq!(at(Role::Vrrp, "/var/log/"), "/var/log/keepalived.data");
    }
}
