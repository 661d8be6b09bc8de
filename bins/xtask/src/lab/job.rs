//! What is to be run inside the lab's kernels, as values that both sides understand.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

/// A program to run inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Job {
    /// What it is called when it fails.
    pub(crate) name: String,
    /// The program, as a path that is the same inside and outside.
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// Where it runs.
    pub(crate) folder: PathBuf,
    /// Gives a shell on the serial line, which then is the user's terminal.
    pub(crate) shell: bool,
    /// Beside the environment of whoever booted the lab.
    pub(crate) environment: Vec<(String, String)>,
    /// Past this it is killed, with all it has started.
    pub(crate) limit: Duration,
}

/// Jobs in a folder that kernels share: each takes the next one that nobody has taken.
pub(crate) struct Deal {
    folder: TempDir,
    jobs: Vec<Job>,
}

impl Deal {
    /// Writes the jobs where [`read`] finds them.
    pub(crate) fn new(jobs: Vec<Job>) -> Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a folder for the lab")?;
        let path = list(folder.path());
        let text = serde_json::to_vec(&jobs)?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { folder, jobs })
    }

    /// Where they are.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// All of them, taken or not.
    pub(crate) fn jobs(&self) -> &[Job] {
        &self.jobs
    }

    /// The tests that a job has skipped, a line each.
    pub(crate) fn skipped(&self, number: usize) -> Vec<String> {
        let text = fs::read_to_string(skipped_file(self.folder(), number)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// By itself, with this status.
    Status(i32),
    /// By a signal.
    Signal(i32),
    /// It was killed at its limit.
    TimedOut,
}

/// Reads the jobs of a folder.
pub(crate) fn read(folder: &Path) -> Result<Vec<Job>> {
    let path = list(folder);
    let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(serde_json::from_slice(&text)?)
}

/// Takes the job of this number, unless somebody has it.
///
/// Of the ways to make a file only that of a folder is one step on the machine below: the kernel
/// looks by itself whether a file is there before it creates one.
pub(crate) fn take(folder: &Path, number: usize) -> Result<bool> {
    let path = folder.join(number.to_string());
    match fs::create_dir(&path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot make {}", path.display())),
    }
}

/// Where a job notes the tests that it skips; each its own, because two kernels that append to one
/// file do not see each other's lines.
pub(crate) fn skipped_file(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("skipped.{number}"))
}

fn list(folder: &Path) -> PathBuf {
    folder.join("jobs.json")
}

/// What the inside tells the outside between the kernel's own lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// The kernel is up and looks for jobs.
    Ready,
    /// The job of this number begins.
    Began(usize),
    /// The job of this number has ended.
    Ended(usize, End),
    /// All has been done; the kernel goes off.
    Off,
}

/// Begins every notice; neither the kernel nor a program prints it.
const MARK: &str = "\x1elab";

impl Notice {
    /// The notice that a line of the console is, if it is one.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut words = line.trim_end().strip_prefix(MARK)?.split_whitespace();
        match words.next()? {
            "ready" => Some(Self::Ready),
            "off" => Some(Self::Off),
            "began" => Some(Self::Began(words.next()?.parse().ok()?)),
            "ended" => {
                let number = words.next()?.parse().ok()?;
                let end = match (words.next()?, words.next()) {
                    ("status", Some(code)) => End::Status(code.parse().ok()?),
                    ("signal", Some(signal)) => End::Signal(signal.parse().ok()?),
                    ("limit", None) => End::TimedOut,
                    _ => return None,
                };
                Some(Self::Ended(number, end))
            }
            _ => None,
        }
    }
}

impl std::fmt::Display for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ready => write!(f, "{MARK} ready"),
            Self::Off => write!(f, "{MARK} off"),
            Self::Began(number) => write!(f, "{MARK} began {number}"),
            Self::Ended(number, End::Status(code)) => {
                write!(f, "{MARK} ended {number} status {code}")
            }
            Self::Ended(number, End::Signal(signal)) => {
                write!(f, "{MARK} ended {number} signal {signal}")
            }
            Self::Ended(number, End::TimedOut) => write!(f, "{MARK} ended {number} limit"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_arrive_as_they_were_sent() {
        let ends = [End::Status(101), End::Signal(6), End::TimedOut];
        let ended = ends.map(|end| Notice::Ended(7, end));
        let others = [Notice::Ready, Notice::Began(7), Notice::Off];
        for notice in others.into_iter().chain(ended) {
            assert_eq!(Notice::parse(&format!("{notice}\r\n")), Some(notice));
        }
    }

    #[test]
    fn a_job_is_taken_once() {
        let deal = Deal::new(Vec::new()).unwrap();
        assert!(take(deal.folder(), 3).unwrap());
        assert!(!take(deal.folder(), 3).unwrap());
        assert!(take(deal.folder(), 4).unwrap());
        assert!(take(&deal.folder().join("gone"), 5).is_err());
    }

    #[test]
    fn other_lines_are_no_notices() {
        for line in [
            "",
            "lab ready",
            "\x1elab",
            "\x1elab ended 1",
            "Kernel panic",
        ] {
            assert_eq!(Notice::parse(line), None, "{line:?}");
        }
    }
}
