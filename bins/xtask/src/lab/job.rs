//! What is to be run inside the lab's kernel, as a value that both sides understand.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// A program to run inside, after those before it have ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Job {
    /// What it is called when it fails.
    pub(crate) name: String,
    /// The program, as a path that is the same inside and outside.
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// Where it runs.
    pub(crate) folder: PathBuf,
    /// Beside the environment of whoever booted the lab.
    pub(crate) environment: Vec<(String, String)>,
    /// Past this it is killed, with all it has started.
    pub(crate) limit: Duration,
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

/// Writes the jobs where [`read`] finds them.
pub(crate) fn write(folder: &Path, jobs: &[Job]) -> Result<()> {
    let path = path(folder);
    let text = serde_json::to_vec(jobs)?;
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Reads the jobs of this boot.
pub(crate) fn read(folder: &Path) -> Result<Vec<Job>> {
    let path = path(folder);
    let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(serde_json::from_slice(&text)?)
}

fn path(folder: &Path) -> PathBuf {
    folder.join("jobs.json")
}

/// What the inside tells the outside between the kernel's own lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// The jobs begin: the kernel is up.
    Ready,
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
        for notice in [Notice::Ready, Notice::Off].into_iter().chain(ended) {
            assert_eq!(Notice::parse(&format!("{notice}\r\n")), Some(notice));
        }
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
