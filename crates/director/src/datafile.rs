//! The files that keepalived writes on signals: where they are, and what they have in common.
//!
//! # Design
//! Upstream promises no stability for their text but for statistics and JSON, so the `.data` files have
//! its sections and the names of its lines, for those who search in them, and no more of it than
//! is of use. Passwords are not shown.

mod globals;

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use kconf_parser::Config;
use kconf_parser::config::Globals;

/// Writes a `.data` file: settings of the whole daemon, then what a process adds.
///
/// # Errors
///
/// What the system says.
pub(crate) fn write_data(stem: &str, config: &Config, rest: &str) -> io::Result<()> {
    let text = globals::text(config) + rest;
    write(&data_name(stem, &config.globals), &text)
}

/// Writes a file in the folder for such files.
///
/// # Errors
///
/// What the system says.
pub(crate) fn write(name: &str, text: &str) -> io::Result<()> {
    replace(&folder().join(name), text)
}

/// `keepalived.data`, or `keepalived.INSTANCE.data` with `data_use_instance`.
fn data_name(stem: &str, globals: &Globals) -> String {
    match &globals.instance {
        Some(instance) if globals.data_use_instance => format!("{stem}.{instance}.data"),
        _ => format!("{stem}.data"),
    }
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
        let mut globals = Globals {
            instance: Some("blue".into()),
            ..Globals::default()
        };
        assert_eq!(data_name("keepalived", &globals), "keepalived.data");
        globals.data_use_instance = true;
        assert_eq!(
            data_name("keepalived_parent", &globals),
            "keepalived_parent.blue.data"
        );
    }
}
