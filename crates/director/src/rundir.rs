//! The folder of a running director: where its sockets and pid files are.
//!
//! # Design
//! `--run-dir`, else `/run/lvsd` for root, else `$XDG_RUNTIME_DIR/lvsd`, else `/tmp/lvsd-UID`; in the
//! latter three a folder of its own for each network namespace and `instance`, so that directors which
//! are told apart by these can run side by side, as they can with keepalived. What lies below decides
//! nothing by itself, so that `lvsd status` and `lvsadm` find it by the same rule. A folder that was
//! not chosen could have been made by somebody else first, in `/tmp` above all: it
//! must belong to us and be closed to others, or it is refused.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::statefile::network_namespace;
use crate::status::DataplaneKind;

/// The paths in a run folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDir {
    path: PathBuf,
    chosen: bool,
    /// Whether the last part of the path is that of a director with a name.
    named: bool,
}

/// Why a run folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunDirError {
    /// It cannot be made or looked at.
    #[error("cannot use the run folder {}", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// It is not a folder, or a symbolic link to one.
    #[error("the run folder {} is not a folder", path.display())]
    NotAFolder {
        /// The path.
        path: PathBuf,
    },
    /// Somebody else could put sockets there.
    #[error(
        "the run folder {} belongs to user {owner} with mode {mode:o}: it must be ours and writable by nobody else",
        path.display()
    )]
    NotOurs {
        /// The folder.
        path: PathBuf,
        /// The user id of its owner.
        owner: u32,
        /// Its permission bits.
        mode: u32,
    },
}

impl RunDir {
    /// The folder by the rule above; `chosen` is `--run-dir`.
    #[must_use]
    pub fn find(chosen: Option<&Path>) -> Self {
        Self::choose(
            chosen,
            nix::unistd::geteuid().as_raw(),
            std::env::var_os("XDG_RUNTIME_DIR"),
        )
    }

    fn choose(chosen: Option<&Path>, uid: u32, xdg_runtime_dir: Option<OsString>) -> Self {
        let is_chosen = chosen.is_some();
        let path = match (chosen, uid, xdg_runtime_dir.map(PathBuf::from)) {
            (Some(path), ..) => path.to_path_buf(),
            (None, 0, _) => PathBuf::from("/run/lvsd"),
            (None, _, Some(xdg)) if xdg.is_absolute() => xdg.join("lvsd"),
            (None, uid, _) => PathBuf::from(format!("/tmp/lvsd-{uid}")),
        };
        Self {
            path,
            chosen: is_chosen,
            named: false,
        }
    }

    /// The folder in it for a director with this name; one that was chosen is for one director
    /// anyway.
    #[must_use]
    pub fn of_director(mut self, name: &str) -> Self {
        if !self.chosen && !name.is_empty() && !name.contains('/') && !name.starts_with('.') {
            self.path.push(name);
            self.named = true;
        }
        self
    }

    /// Makes the folder if it is missing, closed to everybody else.
    ///
    /// # Errors
    ///
    /// When it cannot be made; and, unless it was chosen, when it belongs to somebody else or others
    /// may write into it.
    pub fn create(&self) -> Result<(), RunDirError> {
        if let (true, Some(outer)) = (self.named, self.path.parent()) {
            self.create_folder(outer)?;
        }
        self.create_folder(&self.path)
    }

    fn create_folder(&self, path: &Path) -> Result<(), RunDirError> {
        let io = |source| RunDirError::Io {
            path: path.to_path_buf(),
            source,
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(io)?;
        let metadata = fs::symlink_metadata(path).map_err(io)?;
        if !metadata.is_dir() {
            return Err(RunDirError::NotAFolder {
                path: path.to_path_buf(),
            });
        }
        let mode = metadata.permissions().mode() & 0o7777;
        if self.chosen {
            return Ok(());
        }
        if metadata.uid() != nix::unistd::geteuid().as_raw() || mode & 0o022 != 0 {
            return Err(RunDirError::NotOurs {
                path: path.to_path_buf(),
                owner: metadata.uid(),
                mode,
            });
        }
        Ok(())
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the parent answers [`crate::control`] requests.
    #[must_use]
    pub fn control_socket(&self) -> PathBuf {
        self.path.join("control.sock")
    }

    /// Where the userspace dataplane answers the IPVS protocol.
    #[must_use]
    pub fn ipvs_socket(&self) -> PathBuf {
        self.path.join("ipvs.sock")
    }

    /// Where a director keeps the [record](crate::record) of what it has put into this table.
    #[must_use]
    pub fn table_record(&self, kind: DataplaneKind) -> PathBuf {
        self.path.join(match kind {
            DataplaneKind::Kernel => "kernel-table.json",
            DataplaneKind::Userspace => "userspace-table.json",
        })
    }

    /// Where [`crate::realserver`] keeps what it has done to the network namespace of this thread.
    #[must_use]
    pub fn realserver_state(&self) -> PathBuf {
        let namespace = network_namespace();
        self.path.join(format!("realserver-{namespace}.json"))
    }

    /// Held by the director that uses the folder.
    #[must_use]
    pub fn lock_file(&self) -> PathBuf {
        self.path.join("lock")
    }

    /// The parent's pid file unless another is asked for.
    #[must_use]
    pub fn pid_file(&self) -> PathBuf {
        self.path.join("lvsd.pid")
    }

    /// The checker's pid file unless another is asked for.
    #[must_use]
    pub fn checkers_pid_file(&self) -> PathBuf {
        self.path.join("checkers.pid")
    }

    /// The VRRP process's pid file unless another is asked for.
    #[must_use]
    pub fn vrrp_pid_file(&self) -> PathBuf {
        self.path.join("vrrp.pid")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_follows_the_user_and_the_environment() {
        let choose = |chosen: Option<&str>, uid, xdg: Option<&str>| {
            RunDir::choose(chosen.map(Path::new), uid, xdg.map(OsString::from))
                .path()
                .display()
                .to_string()
        };
        assert_eq!(choose(Some("/x"), 0, Some("/run/user/0")), "/x");
        assert_eq!(choose(None, 0, Some("/run/user/0")), "/run/lvsd");
        assert_eq!(choose(None, 7, Some("/run/user/7")), "/run/user/7/lvsd");
        assert_eq!(choose(None, 7, Some("relative")), "/tmp/lvsd-7");
        assert_eq!(choose(None, 7, None), "/tmp/lvsd-7");
    }

    #[test]
    fn directors_with_names_have_folders_of_their_own() {
        let of = |chosen: Option<&str>, name| {
            let run_dir = RunDir::choose(chosen.map(Path::new), 0, None).of_director(name);
            run_dir.path().display().to_string()
        };
        assert_eq!(of(None, "red_blue"), "/run/lvsd/red_blue");
        assert_eq!(of(Some("/x"), "red_blue"), "/x");
        for no_name in ["", "..", "../x", "a/b"] {
            assert_eq!(of(None, no_name), "/run/lvsd", "{no_name}");
        }
    }

    #[test]
    fn a_folder_that_others_may_write_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let xdg = folder.path().join("a").into_os_string();
        let run_dir = RunDir::choose(None, 7, Some(xdg));
        run_dir.create().unwrap();
        run_dir.create().unwrap();
        fs::set_permissions(run_dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(
            run_dir.create(),
            Err(RunDirError::NotOurs { mode: 0o777, .. })
        ));
        // Nor is one in it.
        assert!(matches!(
            run_dir.of_director("blue").create(),
            Err(RunDirError::NotOurs { mode: 0o777, .. })
        ));
    }

    #[test]
    fn a_symbolic_link_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("lvsd")).unwrap();
        let xdg = folder.path().as_os_str().to_os_string();
        assert!(matches!(
            RunDir::choose(None, 7, Some(xdg)).create(),
            Err(RunDirError::NotAFolder { .. })
        ));
    }
}
