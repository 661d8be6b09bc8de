//! Configuration files on disk: how they are read, compared and replaced.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::Path;

use anyhow::{Context as _, bail};
use clap::Args;
use director::config::host_config_id;
use kconf_parser::{Options, Secrets};
use similar::TextDiff;

/// How configurations are read.
#[derive(Debug, Args)]
pub(crate) struct Reading {
    /// Id that lines beginning with @id are compared with; the host name if not given.
    #[arg(short = 'i', long, value_name = "ID")]
    config_id: Option<String>,
    /// Every include must match and be readable.
    #[arg(short = 'e', long)]
    all_config: bool,
}

impl Reading {
    pub(crate) fn options(&self) -> Options {
        options(self.config_id.as_deref(), self.all_config)
    }
}

/// What the parser is told besides the files.
pub(crate) fn options(config_id: Option<&str>, check_includes: bool) -> Options {
    Options {
        config_id: config_id.map_or_else(host_config_id, str::to_owned),
        check_includes,
        environment: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
        ..Options::default()
    }
}

/// What `--show-secrets` says.
pub(crate) const fn secrets(are_shown: bool) -> Secrets {
    match are_shown {
        true => Secrets::Shown,
        false => Secrets::Covered,
    }
}

/// Writes to standard output, and does not mind a reader that has gone, such as `head`.
pub(crate) fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes to standard error.
pub(crate) fn say(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// The difference between two texts of a file, as patch(1) reads it; empty when there is none.
pub(crate) fn diff(path: &Path, before: &str, after: &str) -> String {
    if before == after {
        return String::new();
    }
    let name = path.display();
    TextDiff::from_lines(before, after)
        .unified_diff()
        .header(&name.to_string(), &name.to_string())
        .to_string()
}

/// Replaces the text of a file: at every moment the path leads to the old text or to the new one.
///
/// Links are followed, mode and owner stay.
///
/// # Errors
///
/// When the file is not what it was when it was read, or the folder cannot be written to; then the
/// file is untouched.
pub(crate) fn replace(path: &Path, before: &str, after: &str) -> anyhow::Result<()> {
    let name = || format!("cannot write {}", path.display());
    let target = fs::canonicalize(path).with_context(name)?;
    let about = fs::metadata(&target).with_context(name)?;
    let folder = target.parent().unwrap_or_else(|| Path::new("/"));
    let mut new = tempfile::Builder::new()
        .prefix(".lvsd-")
        .permissions(about.permissions())
        .tempfile_in(folder)
        .with_context(name)?;
    new.write_all(after.as_bytes()).with_context(name)?;
    // The umask may have taken bits away.
    new.as_file()
        .set_permissions(about.permissions())
        .with_context(name)?;
    let made = new.as_file().metadata().with_context(name)?;
    if (made.uid(), made.gid()) != (about.uid(), about.gid()) {
        fchown(new.as_file(), Some(about.uid()), Some(about.gid())).with_context(name)?;
    }
    new.as_file().sync_all().with_context(name)?;
    if fs::read(&target).with_context(name)? != before.as_bytes() {
        bail!("{} was changed meanwhile and is left alone", path.display());
    }
    new.persist(&target).with_context(name)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_replaced_file_keeps_its_mode_and_its_links() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o642)).unwrap();
        symlink("a", &link).unwrap();
        replace(&link, "old", "new").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o642);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_somebody_else_wrote_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        fs::write(&file, "theirs").unwrap();
        assert!(replace(&file, "old", "new").is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), "theirs");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_difference_is_a_patch() {
        let text = diff(Path::new("k.conf"), "a\nb\n", "a\nc\n");
        assert_eq!(
            text,
            "--- k.conf\n+++ k.conf\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"
        );
        assert_eq!(diff(Path::new("k.conf"), "a\n", "a\n"), "");
    }
}
