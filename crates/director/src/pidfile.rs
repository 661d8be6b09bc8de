//! Pid files that are locked while their process lives.
//!
//! # Design
//! The file is opened, locked with an open-file-description lock (keepalived's kind, so each sees
//! the other's), and only then emptied and written. A lock that somebody else holds means that the
//! daemon already runs; a file without one is left over from a crash and taken over. The file is
//! removed when the value is dropped, while it is still locked; who opened it before that holds a
//! file that nobody else can find, and tries again.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use kconf_parser::config::Globals;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

use crate::options::RunOptions;
use crate::rundir::RunDir;

/// Where keepalived has its pid files with `use_pid_dir`.
const KEEPALIVED_FOLDER: &str = "/run/keepalived";

/// A locked pid file.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    // Holds the lock.
    _file: File,
}

/// Why a pid file cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PidFileError {
    /// Another process holds its lock.
    #[error("daemon is already running")]
    AlreadyRunning,
    /// It cannot be written.
    #[error("cannot write the pid file {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

/// Where the processes of a director have their pid files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PidPaths {
    /// The parent's.
    pub parent: PathBuf,
    /// The checker's.
    pub checkers: PathBuf,
    /// That of the VRRP process.
    pub vrrp: PathBuf,
    /// The folder that is ours to make; `None` for those that are there.
    folder: Option<PathBuf>,
}

impl PidPaths {
    /// Those of the command line; else, with `use_pid_dir`, keepalived's in its folder; else in the
    /// run folder.
    ///
    /// Source: keepalived.conf(5) `use_pid_dir`, `instance`, `net_namespace`.
    #[must_use]
    pub fn find(options: &RunOptions, run_dir: &RunDir, globals: &Globals) -> Self {
        Self::choose(options, run_dir, globals, Path::new(KEEPALIVED_FOLDER))
    }

    fn choose(options: &RunOptions, run_dir: &RunDir, globals: &Globals, folder: &Path) -> Self {
        let namespace = options.namespace.as_ref();
        let folder = match namespace.or(globals.net_namespace.as_ref()) {
            Some(namespace) => folder.join(namespace),
            None => folder.to_path_buf(),
        };
        let path = |chosen: &Option<PathBuf>, name: &str, usual: PathBuf| match chosen {
            Some(path) => path.clone(),
            None if globals.use_pid_dir => folder.join(match &globals.instance {
                Some(instance) => format!("{name}_{instance}.pid"),
                None => format!("{name}.pid"),
            }),
            None => usual,
        };
        Self {
            parent: path(&options.pid_file, "keepalived", run_dir.pid_file()),
            checkers: path(
                &options.checkers_pid_file,
                "checkers",
                run_dir.checkers_pid_file(),
            ),
            vrrp: path(&options.vrrp_pid_file, "vrrp", run_dir.vrrp_pid_file()),
            folder: globals.use_pid_dir.then_some(folder),
        }
    }

    /// Makes the folder of `use_pid_dir`, if it is missing.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn create_folder(&self) -> io::Result<()> {
        match &self.folder {
            Some(folder) => DirBuilder::new().recursive(true).mode(0o755).create(folder),
            None => Ok(()),
        }
    }
}

impl PidFile {
    /// Locks `path` and writes the caller's process id into it, mode 0644.
    ///
    /// # Errors
    ///
    /// [`PidFileError::AlreadyRunning`] when another process holds it.
    pub fn create(path: &Path) -> Result<Self, PidFileError> {
        let io = |source| PidFileError::Io {
            path: path.to_path_buf(),
            source,
        };
        let mut file = loop {
            let file = open(path).map_err(io)?;
            match lock(&file) {
                Ok(()) => {}
                Err(Errno::EAGAIN | Errno::EACCES) => return Err(PidFileError::AlreadyRunning),
                Err(errno) => return Err(io(errno.into())),
            }
            if is_at(&file, path).map_err(io)? {
                break file;
            }
        };
        let write = |file: &mut File| {
            file.set_len(0)?;
            // The umask does not apply: other users' tools read this file.
            file.set_permissions(Permissions::from_mode(0o644))?;
            writeln!(file, "{}", std::process::id())
        };
        write(&mut file).map_err(io)?;
        Ok(Self {
            path: path.to_path_buf(),
            _file: file,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .open(path)
}

fn lock(file: &File) -> Result<(), Errno> {
    let lock = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(file, FcntlArg::F_OFD_SETLK(&lock)).map(drop)
}

/// Whether `path` still leads to this file: its last owner may have removed it just now.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Somebody may have removed it already; there is nobody left to tell.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keepalived_folder_is_used_where_that_is_asked_for() {
        let run_dir = RunDir::find(Some(Path::new("/run/x")));
        let folder = Path::new("/run/keepalived");
        let mut options = RunOptions::default();
        let mut globals = Globals::default();
        let paths = |options: &RunOptions, globals: &Globals| {
            let paths = PidPaths::choose(options, &run_dir, globals, folder);
            [paths.parent, paths.checkers, paths.vrrp].map(|path| path.display().to_string())
        };
        let usual = ["/run/x/lvsd.pid", "/run/x/checkers.pid", "/run/x/vrrp.pid"];
        assert_eq!(paths(&options, &globals), usual);
        globals.use_pid_dir = true;
        let ours = ["keepalived", "checkers", "vrrp"];
        let expected = ours.map(|name| format!("/run/keepalived/{name}.pid"));
        assert_eq!(paths(&options, &globals), expected);
        globals.instance = Some("blue".into());
        options.namespace = Some("red".into());
        let expected = ours.map(|name| format!("/run/keepalived/red/{name}_blue.pid"));
        assert_eq!(paths(&options, &globals), expected);
        options.pid_file = Some("/a".into());
        assert_eq!(paths(&options, &globals)[0], "/a");
    }

    #[test]
    fn the_second_daemon_is_refused_until_the_first_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lvsd.pid");
        std::fs::write(&path, "99999999\nleft over from a crash\n").unwrap();
        let first = PidFile::create(&path).unwrap();
        let text = std::fs::read_to_string(first.path()).unwrap();
        assert_eq!(text, format!("{}\n", std::process::id()));
        assert!(matches!(
            PidFile::create(&path),
            Err(PidFileError::AlreadyRunning)
        ));
        drop(first);
        assert!(!path.exists());
        PidFile::create(&path).unwrap();
    }

    #[test]
    fn a_file_that_was_removed_between_opening_and_locking_is_worth_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lvsd.pid");
        let first = PidFile::create(&path).unwrap();
        let late = open(&path).unwrap();
        assert!(is_at(&late, &path).unwrap());
        drop(first);
        lock(&late).unwrap();
        assert!(!is_at(&late, &path).unwrap());
        // The lock on it keeps nobody away.
        let _second = PidFile::create(&path).unwrap();
        assert!(!is_at(&late, &path).unwrap());
    }

    #[test]
    fn a_path_that_cannot_be_written_is_named() {
        let error = PidFile::create(Path::new("/nonexistent/lvsd.pid")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/lvsd.pid"));
    }
}
