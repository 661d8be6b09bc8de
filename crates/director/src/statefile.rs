//! A value in a file that outlives its process, and is void where it says nothing.
//!
//! # Design
//! What is in the kernel (tables, addresses, settings) stays when a process ends, so what is known of
//! it has to stay as well. The file names the boot and the network namespace that it tells of: after a
//! reboot, or in another namespace, nothing of it is true, and it reads as the default value. It is
//! written beside and renamed, so a reader finds the old value or the new one; a default value has no
//! file.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A value and its file.
#[derive(Debug)]
pub struct StateFile<T> {
    path: PathBuf,
    scope: Scope,
    value: T,
    is_written: bool,
}

/// A state file cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct StateFileError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// What a value tells of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Scope {
    boot: String,
    namespace: u64,
}

#[derive(Serialize, Deserialize)]
struct Contents<T> {
    scope: Scope,
    value: T,
}

impl<T: Clone + Default + PartialEq + Serialize + DeserializeOwned> StateFile<T> {
    /// Reads the value at `path`. No file, and one of another boot or network namespace, is the default.
    ///
    /// # Errors
    ///
    /// When there is one that cannot be read or understood.
    pub fn open(path: &Path) -> Result<Self, StateFileError> {
        Self::open_in(path, Scope::current())
    }

    fn open_in(path: &Path, scope: Scope) -> Result<Self, StateFileError> {
        let failed = |source| StateFileError {
            action: "read",
            path: path.to_path_buf(),
            source,
        };
        let value = match fs::read(path) {
            Ok(text) => {
                let contents: Contents<T> =
                    serde_json::from_slice(&text).map_err(|error| failed(error.into()))?;
                match contents.scope == scope {
                    true => contents.value,
                    false => T::default(),
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => T::default(),
            Err(error) => return Err(failed(error)),
        };
        Ok(Self {
            path: path.to_path_buf(),
            scope,
            value,
            is_written: true,
        })
    }

    /// The default value, to be written over whatever is at `path`.
    #[must_use]
    pub fn replacing(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            scope: Scope::current(),
            value: T::default(),
            is_written: false,
        }
    }

    /// The value as it is.
    #[must_use]
    pub const fn value(&self) -> &T {
        &self.value
    }

    /// Changes the value, and the file if that makes a difference or the last writing has failed.
    ///
    /// # Errors
    ///
    /// When the file cannot be written; the value is changed all the same.
    pub fn update(&mut self, change: impl FnOnce(&mut T)) -> Result<(), StateFileError> {
        let mut value = self.value.clone();
        change(&mut value);
        if value == self.value && self.is_written {
            return Ok(());
        }
        self.value = value;
        let result = self.write();
        self.is_written = result.is_ok();
        result.map_err(|source| StateFileError {
            action: "write",
            path: self.path.clone(),
            source,
        })
    }

    fn write(&self) -> io::Result<()> {
        if self.value == T::default() {
            return match fs::remove_file(&self.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        }
        let contents = Contents {
            scope: self.scope.clone(),
            value: self.value.clone(),
        };
        let text = serde_json::to_vec(&contents)?;
        let mut new = self.path.clone().into_os_string();
        new.push(".new");
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(&text)?;
        fs::rename(&new, &self.path)
    }
}

impl Scope {
    fn current() -> Self {
        // What cannot be found out is the same every time.
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self {
            boot: boot.trim_end().to_owned(),
            namespace: network_namespace(),
        }
    }
}

/// The number of this thread's network namespace; 0 where there is no `/proc`.
#[must_use]
pub fn network_namespace() -> u64 {
    fs::metadata("/proc/thread-self/ns/net").map_or(0, |metadata| metadata.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value() -> Vec<u16> {
        vec![80, 443]
    }

    #[test]
    fn the_next_process_finds_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let mut file = StateFile::open(&path).unwrap();
        assert_eq!(*file.value(), Vec::<u16>::new());
        file.update(|all| *all = value()).unwrap();
        assert_eq!(
            *StateFile::<Vec<u16>>::open(&path).unwrap().value(),
            value()
        );
        // A default leaves nothing behind.
        file.update(Vec::clear).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_value_of_another_boot_or_namespace_is_void() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let mut file = StateFile::open(&path).unwrap();
        file.update(|all| *all = value()).unwrap();
        let here = Scope::current();
        let others = [
            Scope {
                boot: "another".to_owned(),
                ..here.clone()
            },
            Scope {
                namespace: here.namespace + 1,
                ..here.clone()
            },
        ];
        for (scope, expected) in others
            .into_iter()
            .map(|other| (other, vec![]))
            .chain([(here, value())])
        {
            let file = StateFile::<Vec<u16>>::open_in(&path, scope).unwrap();
            assert_eq!(*file.value(), expected);
        }
    }

    #[test]
    fn a_damaged_file_is_an_error_and_can_be_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        for damaged in ["", "{", "{\"scope\":3}"] {
            fs::write(&path, damaged).unwrap();
            assert!(StateFile::<Vec<u16>>::open(&path).is_err(), "{damaged:?}");
            let mut file = StateFile::replacing(&path);
            file.update(|all| *all = value()).unwrap();
            assert_eq!(
                *StateFile::<Vec<u16>>::open(&path).unwrap().value(),
                value()
            );
        }
    }

    #[test]
    fn a_write_that_fails_is_tried_again_with_the_next_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing/state.json");
        let mut file = StateFile::open(&path).unwrap();
        assert!(file.update(|all| *all = value()).is_err());
        fs::create_dir(folder.path().join("missing")).unwrap();
        file.update(|_| {}).unwrap();
        assert_eq!(
            *StateFile::<Vec<u16>>::open(&path).unwrap().value(),
            value()
        );
    }
}
