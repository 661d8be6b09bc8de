//! Follows tracked files and reports their numbers.
//!
//! # Design
//! One task with one inotify instance for all files; a reload begins it anew, which reads every file
//! once more and changes nothing where nothing has changed. A file counts when it has been written
//! completely: when its writer closes it, or when another takes its name. So nobody sees the moment
//! in which a shell has emptied it. The name may be a symbolic link; what it leads to is watched, too.
//! A folder that is not there is looked for every second.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kconf_parser::config::{TrackFile, Vrrp};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use tokio::io::AsyncReadExt;
use tokio::io::unix::AsyncFd;
use tokio::task::JoinHandle;
use tracing::{info, warn};
use vrrp_proto::TrackStatus;

use super::seam::{Reports, tracker};
use super::track_scripts::trackings;

/// How much of a file is read: more than any number has.
const LONGEST: u64 = 256;

/// How many symbolic links are followed.
const LINKS: usize = 16;

/// How often a folder that is not there is looked for.
const RETRY: Duration = Duration::from_secs(1);

/// The files that are followed.
#[derive(Debug)]
pub(super) struct TrackFiles {
    reports: Reports,
    /// Whether the next configuration is the first one of a director that starts.
    starts: bool,
    followed: BTreeMap<String, TrackFile>,
    task: Option<JoinHandle<()>>,
}

impl Drop for TrackFiles {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl TrackFiles {
    /// `starts`: whether files that are to be overwritten at the start are.
    pub(super) const fn new(reports: Reports, starts: bool) -> Self {
        Self {
            reports,
            starts,
            followed: BTreeMap::new(),
            task: None,
        }
    }

    /// Follows exactly those that instances or groups track from now on.
    pub(super) async fn configure(&mut self, vrrp: &Vrrp) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
        let used: BTreeSet<&str> = trackings(vrrp)
            .flat_map(|tracking| &tracking.files)
            .map(|tracked| tracked.name.as_str())
            .collect();
        let files = vrrp.track_files.iter();
        let files = files.filter(|it| used.contains(it.name.as_str()));
        let wished: BTreeMap<String, TrackFile> =
            files.map(|it| (it.name.clone(), it.clone())).collect();
        for file in wished.values() {
            initialize(file, self.starts).await;
        }
        self.starts = false;
        let before = std::mem::replace(&mut self.followed, wished);
        for name in before.keys().filter(|it| !self.followed.contains_key(*it)) {
            let status = TrackStatus::Unknown;
            self.reports.report(tracker::file(name), status, "");
        }
        if self.followed.is_empty() {
            return;
        }
        match Follower::new(self.followed.values().cloned(), self.reports.clone()) {
            Ok(follower) => self.task = Some(tokio::spawn(follower.work())),
            Err(error) => warn!("Unable to follow track files - {error}"),
        }
    }
}

/// Writes what `init_file` asks for. What is there stays, unless it is to be overwritten at the start.
async fn initialize(file: &TrackFile, starts: bool) {
    let Some(init) = file.init else {
        return;
    };
    let overwrites = starts && init.overwrite;
    let mut options = tokio::fs::OpenOptions::new();
    options.write(true).custom_flags(libc::O_NONBLOCK);
    match overwrites {
        true => options.create(true).truncate(true),
        false => options.create_new(true),
    };
    let written = async {
        let mut opened = options.open(&file.path).await?;
        let text = format!("{}\n", init.value);
        tokio::io::AsyncWriteExt::write_all(&mut opened, text.as_bytes()).await?;
        tokio::io::AsyncWriteExt::flush(&mut opened).await
    };
    match written.await {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => warn!(
            "Unable to initialise track file {} - {}: {error}",
            file.name,
            file.path.display()
        ),
        _ => {}
    }
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    Number(i32),
    Missing,
    /// Something that does not begin with a number, which counts as 0.
    NoNumber,
    /// A number that nothing can hold; what was read before stays.
    TooLarge,
    Unreadable(String),
}

/// Reads a number as C does: blanks, a sign, `0x` or `0` before another base, then whatever follows.
fn content(text: &[u8]) -> Content {
    let text = text.trim_ascii_start();
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let (base, text) = match text {
        [b'0', b'x' | b'X', rest @ ..] if rest.first().is_some_and(u8::is_ascii_hexdigit) => {
            (16, rest)
        }
        [b'0', ..] => (8, text),
        rest => (10, rest),
    };
    let digits = text.iter().map_while(|it| char::from(*it).to_digit(base));
    let mut number: Option<i64> = None;
    for digit in digits {
        let so_far = number.unwrap_or(0).checked_mul(base.into());
        let Some(next) = so_far.and_then(|it| it.checked_add(digit.into())) else {
            return Content::TooLarge;
        };
        number = Some(next);
    }
    match number {
        Some(number) => {
            let number = if negative { -number } else { number };
            // Products with a weight are cut far below.
            let number = number.clamp(i32::MIN.into(), i32::MAX.into());
            Content::Number(i32::try_from(number).unwrap_or_default())
        }
        None if text.is_empty() && !negative => Content::Number(0),
        None => Content::NoNumber,
    }
}

async fn read(path: &Path) -> Content {
    let read = async {
        let mut options = tokio::fs::OpenOptions::new();
        // A pipe must not hold us up.
        options.read(true).custom_flags(libc::O_NONBLOCK);
        let file = options.open(path).await?;
        if !file.metadata().await?.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        let mut text = Vec::new();
        file.take(LONGEST).read_to_end(&mut text).await?;
        Ok(text)
    };
    match read.await {
        Ok(text) => content(&text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Content::Missing,
        Err(error) => Content::Unreadable(error.to_string()),
    }
}

/// An entry of a folder.
type Entry = (PathBuf, OsString);

/// The entries that decide what a path means: itself, and what it leads to if it is a link.
fn entries(path: &Path) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut path = path.to_owned();
    while entries.len() < LINKS
        && let (Some(folder), Some(name)) = (path.parent(), path.file_name())
    {
        let here = match folder.as_os_str().is_empty() {
            true => Path::new("."),
            false => folder,
        };
        entries.push((here.to_owned(), name.to_owned()));
        match std::fs::read_link(&path) {
            Ok(target) => path = folder.join(target),
            Err(_) => break,
        }
    }
    entries
}

/// inotify as tokio takes it.
#[derive(Debug)]
struct Descriptor(Inotify);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// What the task has.
struct Follower {
    inotify: AsyncFd<Descriptor>,
    files: Vec<Followed>,
    reports: Reports,
}

struct Followed {
    config: TrackFile,
    /// Where something may happen to it.
    watches: HashMap<WatchDescriptor, BTreeSet<OsString>>,
    /// Whether a folder is not there, or cannot be watched.
    is_lost: bool,
    last: Option<Content>,
}

impl Follower {
    #[allow(unsafe_code)]
    fn new(files: impl Iterator<Item = TrackFile>, reports: Reports) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        // SAFETY: the descriptor is inotify's own, open and the same for as long as that lives.
        let inotify = unsafe { AsyncFd::register(Descriptor(inotify)) }?;
        let files = files.map(|config| Followed {
            config,
            watches: HashMap::new(),
            is_lost: false,
            last: None,
        });
        Ok(Self {
            inotify,
            files: files.collect(),
            reports,
        })
    }

    async fn work(mut self) {
        for number in 0..self.files.len() {
            self.look(number).await;
        }
        loop {
            let is_lost = self.files.iter().any(|it| it.is_lost);
            tokio::select! {
                ready = self.inotify.readable() => {
                    let Ok(mut ready) = ready else { return };
                    let events = ready.get_inner().0.read_events();
                    if events.is_err() {
                        ready.clear_ready();
                    }
                    drop(ready);
                    self.handle(&events.unwrap_or_default()).await;
                }
                () = tokio::time::sleep(RETRY), if is_lost => {
                    for number in 0..self.files.len() {
                        if self.files.get(number).is_some_and(|it| it.is_lost) {
                            self.look(number).await;
                        }
                    }
                }
            }
        }
    }

    async fn handle(&mut self, events: &[InotifyEvent]) {
        for number in 0..self.files.len() {
            let concerned = |file: &Followed| events.iter().any(|event| file.is_concerned(event));
            if self.files.get(number).is_some_and(concerned) {
                self.look(number).await;
            }
        }
    }

    /// Watches where the file is now, and then reads it.
    async fn look(&mut self, number: usize) {
        let Some(file) = self.files.get_mut(number) else {
            return;
        };
        let before = file.watch(&self.inotify.get_ref().0);
        for watch in before {
            if !self.files.iter().any(|it| it.watches.contains_key(&watch)) {
                // It may have gone with its folder.
                let _ = self.inotify.get_ref().0.rm_watch(watch);
            }
        }
        let Some(file) = self.files.get_mut(number) else {
            return;
        };
        let content = read(&file.config.path).await;
        if file.last.as_ref() != Some(&content) {
            file.tell(&content, &self.reports);
            file.last = Some(content);
        }
    }
}

impl Followed {
    /// Watches the folders of what it is now; gives those that were watched before.
    fn watch(&mut self, inotify: &Inotify) -> Vec<WatchDescriptor> {
        let flags = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVE
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_ONLYDIR;
        let mut watches: HashMap<WatchDescriptor, BTreeSet<OsString>> = HashMap::new();
        let mut failure = None;
        for (folder, name) in entries(&self.config.path) {
            match inotify.add_watch(&folder, flags) {
                Ok(watch) => {
                    watches.entry(watch).or_default().insert(name);
                }
                Err(error) => failure = Some((folder, error)),
            }
        }
        if let (Some((folder, error)), false) = (&failure, self.is_lost) {
            warn!(
                "Track file {}: {} cannot be watched - {error}, trying again",
                self.config.name,
                folder.display()
            );
        }
        self.is_lost = failure.is_some();
        let before = std::mem::replace(&mut self.watches, watches);
        before.into_keys().collect()
    }

    fn is_concerned(&self, event: &InotifyEvent) -> bool {
        if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
            return true;
        }
        let names = self.watches.get(&event.wd);
        let is_ours = names.is_some_and(|names| match &event.name {
            Some(name) => names.contains::<OsStr>(name),
            // Of the folder itself.
            None => true,
        });
        is_ours && !(event.mask.contains(AddWatchFlags::IN_CREATE) && self.is_being_written())
    }

    /// Whether the file was made by somebody who has yet to write and close it, and so not by
    /// linking one that is complete.
    fn is_being_written(&self) -> bool {
        let metadata = std::fs::symlink_metadata(&self.config.path);
        metadata.is_ok_and(|it| it.is_file() && it.nlink() == 1)
    }

    fn tell(&self, content: &Content, reports: &Reports) {
        let (name, path) = (&self.config.name, self.config.path.display());
        let (number, detail) = match content {
            Content::Number(number) => (*number, format!("holds {number}")),
            Content::Missing => (0, "not there".to_owned()),
            Content::NoNumber => {
                info!("Track file {name}: {path} holds no number, taken as 0");
                (0, "holds no number".to_owned())
            }
            Content::TooLarge => {
                warn!("Invalid number read from {path} - ignoring");
                if self.last.is_some() {
                    return;
                }
                (0, "too large a number".to_owned())
            }
            Content::Unreadable(error) => {
                warn!("Track file {name}: {path} cannot be read, taken as 0 - {error}");
                (0, error.clone())
            }
        };
        reports.report(tracker::file(name), TrackStatus::Value(number), detail);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_c_reads_them() {
        for (text, expected) in [
            ("10", Content::Number(10)),
            ("10 abc\n", Content::Number(10)),
            ("12xyz", Content::Number(12)),
            (" \n-5", Content::Number(-5)),
            ("+5", Content::Number(5)),
            ("0x1F", Content::Number(31)),
            ("0xg", Content::Number(0)),
            ("010", Content::Number(8)),
            ("09", Content::Number(0)),
            ("0", Content::Number(0)),
            ("", Content::Number(0)),
            (" \n", Content::Number(0)),
            ("abc", Content::NoNumber),
            ("-", Content::NoNumber),
            ("2147483648", Content::Number(i32::MAX)),
            ("-9223372036854775807", Content::Number(i32::MIN)),
            ("9223372036854775808", Content::TooLarge),
            ("99999999999999999999999", Content::TooLarge),
        ] {
            assert_eq!(content(text.as_bytes()), expected, "{text:?}");
        }
        assert_eq!(content(&[0xff, 0]), Content::NoNumber);
    }

    #[test]
    fn a_link_is_followed_and_a_circle_ends() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::os::unix::fs::symlink("b", at("a")).unwrap();
        let names: Vec<_> = entries(&at("a")).into_iter().map(|it| it.1).collect();
        assert_eq!(names, ["a", "b"]);
        std::os::unix::fs::symlink("a", at("b")).unwrap();
        assert_eq!(entries(&at("a")).len(), LINKS);
    }
}
