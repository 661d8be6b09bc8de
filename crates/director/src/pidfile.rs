//! Pid files that are locked while their process lives.
//!
//! # Design
//! The file is opened, locked with an open-file-description lock (keepalived's kind, so each sees
//! the other's), and only then emptied and written. A lock that somebody else holds means that the
//! daemon already runs; a file without one is left over from a crash and taken over. The file is
//! removed when the value is dropped, while it is still locked; who opened it before that holds a
//! file that nobody else can find, and tries again.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

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
