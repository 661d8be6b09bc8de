//! Where text comes from: a trait, the disk behind it, and files in memory for tests and tools.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What keeps a file from being read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// There is no such file.
    #[error("no such file")]
    Missing,
    /// It is a directory, a device, or otherwise not a plain file.
    #[error("not a regular file")]
    NotRegular,
    /// It has an execute bit. keepalived takes such a file for a script and skips it.
    #[error("the file is executable")]
    Executable,
    /// It is larger than [`MAX_FILE`].
    #[error("larger than {MAX_FILE} bytes")]
    TooLarge,
    /// The system says no.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Largest file that is read, in bytes. A million lines are some 20 MB.
pub const MAX_FILE: u64 = 256 << 20;

/// Gives the parser its text. The only way out of this crate.
pub trait FileLoader {
    /// The bytes of a file.
    ///
    /// # Errors
    ///
    /// A [`LoadError`] that says why not; a file that is not plain or has an execute bit must
    /// be refused, as keepalived does.
    fn read(&self, path: &Path) -> Result<Vec<u8>, LoadError>;

    /// The paths that a shell pattern without braces matches, sorted by name.
    ///
    /// The pattern is absolute, or relative to the current directory.
    fn matches(&self, pattern: &str) -> Vec<PathBuf>;

    /// Whether there is a folder at this path.
    fn has_folder(&self, path: &Path) -> bool;
}

/// Reads from the file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct DiskLoader;

impl FileLoader for DiskLoader {
    fn read(&self, path: &Path) -> Result<Vec<u8>, LoadError> {
        let about = fs::metadata(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => LoadError::Missing,
            _ => LoadError::Io(error),
        })?;
        if !about.is_file() {
            return Err(LoadError::NotRegular);
        }
        if about.permissions().mode() & 0o111 != 0 {
            return Err(LoadError::Executable);
        }
        if about.len() > MAX_FILE {
            return Err(LoadError::TooLarge);
        }
        Ok(fs::read(path)?)
    }

    fn matches(&self, pattern: &str) -> Vec<PathBuf> {
        // As in the shell: a wildcard does not match a leading dot.
        let options = glob::MatchOptions {
            require_literal_leading_dot: true,
            ..Default::default()
        };
        let Ok(paths) = glob::glob_with(pattern, options) else {
            return Vec::new();
        };
        let mut paths: Vec<PathBuf> = paths.filter_map(Result::ok).collect();
        paths.sort();
        paths
    }

    fn has_folder(&self, path: &Path) -> bool {
        path.is_dir()
    }
}

/// Files in memory, for text that is on no disk.
#[derive(Debug, Clone, Default)]
pub struct MemoryLoader {
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl MemoryLoader {
    /// Adds or replaces a file.
    #[must_use]
    pub fn with(mut self, path: impl Into<PathBuf>, text: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.into(), text.into());
        self
    }
}

impl FileLoader for MemoryLoader {
    fn read(&self, path: &Path) -> Result<Vec<u8>, LoadError> {
        self.files.get(path).cloned().ok_or(LoadError::Missing)
    }

    fn matches(&self, pattern: &str) -> Vec<PathBuf> {
        let Ok(pattern) = glob::Pattern::new(pattern) else {
            return Vec::new();
        };
        let options = glob::MatchOptions {
            require_literal_separator: true,
            require_literal_leading_dot: true,
            ..Default::default()
        };
        let fits = |path: &&PathBuf| pattern.matches_path_with(path, options);
        self.files.keys().filter(fits).cloned().collect()
    }

    fn has_folder(&self, path: &Path) -> bool {
        let mut files = self.files.keys();
        files.any(|file| file != path && file.starts_with(path))
    }
}
