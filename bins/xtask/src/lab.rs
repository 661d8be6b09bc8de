//! The lab: tests that run as root under a kernel of their own, which has IPVS.
//!
//! Lab tests are the tests of targets whose name begins with `lab`. They are built like all others
//! and started inside a user-mode kernel (Debian's package `user-mode-linux`), a process that boots
//! in a few seconds and shares the files of this machine. One boot serves all; after a crash the
//! next one goes on with what is left.
//!
//! - `job`: what is to be run inside, and what the inside tells.
//! - `kernel`: the kernel as a child process.
//! - `inside`: the first process in it.

mod inside;
mod job;
mod kernel;
mod run;

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Deserialize;

use crate::{packages, step};

pub(crate) use inside::run as run_inside;
pub(crate) use job::{Deal, End, Job};
pub(crate) use kernel::{Boot, Told, memory_folder, obstacle};
pub(crate) use run::Sum;

/// Says to tests that they are inside; see `lvs_testkit::lab`.
const INSIDE: &str = "LVSKIT_LAB";

/// Asks a test for a shell before it takes its network down; see `lvs_testkit::lab`.
const KEEP: &str = "LVSKIT_LAB_KEEP";

/// How long a test may take.
const LIMIT: Duration = Duration::from_secs(300);

/// How many kernels there are at a time at most.
const KERNELS: usize = 4;

/// How long a shell may be used.
const KEEP_LIMIT: Duration = Duration::from_secs(24 * 3600);

/// Flags of `cargo xtask lab`.
#[derive(Debug, Default, Args)]
pub(crate) struct Options {
    /// Only tests whose name, or module, is this; if there is none, whose name contains it (default: all)
    filter: Option<String>,
    /// List the tests and run none
    #[arg(long, conflicts_with = "keep")]
    list: bool,
    /// Run the one test that FILTER names, and give a shell in its network before that goes
    ///
    /// The shell is inside the kernel, as root. `ip netns` lists the hosts of the scenario,
    /// `ip netns exec HOST COMMAND` runs a command in one. Leave it with `exit`.
    #[arg(long, requires = "filter")]
    keep: bool,
    /// How many kernels run side by side (default: one for each core, at most 4, if memory allows)
    #[arg(long, value_name = "NUMBER", conflicts_with = "keep", value_parser = clap::value_parser!(u64).range(1..))]
    kernels: Option<u64>,
}

/// The tests of a target, built.
struct Target {
    name: String,
    program: PathBuf,
    folder: PathBuf,
    tests: Vec<String>,
}

/// Runs `cargo xtask lab`; whether all tests passed.
pub(crate) fn run(options: &Options) -> Result<bool> {
    packages::provide(packages::FOR_TESTS)?;
    let targets = targets(options.filter.as_deref())?;
    if options.list {
        for target in &targets {
            for test in &target.tests {
                println!("{}: {test}", target.name);
            }
        }
        return Ok(true);
    }
    let count: usize = targets.iter().map(|target| target.tests.len()).sum();
    match (&options.filter, count) {
        (Some(filter), 0) => bail!("no lab test's name contains {filter:?}; see --list"),
        (Some(filter), 2..) if options.keep => {
            bail!("{count} lab tests' names contain {filter:?}; --keep needs one; see --list")
        }
        _ => {}
    }
    if let Some(obstacle) = obstacle() {
        bail!("the lab cannot run here: {obstacle}");
    }
    let sum = run_targets(&targets, options, &mut |_| {})?;
    for line in &sum.skipped {
        println!("skipped {line}");
    }
    Ok(sum.failed.is_empty())
}

/// Runs all lab tests, as a step of `cargo xtask test`: each line goes to `see` too.
pub(crate) fn run_all(see: &mut dyn FnMut(&str)) -> Result<Sum> {
    run_targets(&targets(None)?, &Options::default(), see)
}

fn run_targets(targets: &[Target], options: &Options, see: &mut dyn FnMut(&str)) -> Result<Sum> {
    let jobs: Vec<Job> = targets
        .iter()
        .flat_map(|target| target.jobs(options.keep))
        .collect();
    let (kernels, memory) = match options.kernels {
        Some(kernels) => (kernels, memory_folder(kernels)?),
        None if options.keep => (1, memory_folder(1)?),
        None => as_many_as_fit(jobs.len())?,
    };
    let library = library()?;
    let boot = Boot {
        library: &library,
        memory: &memory,
        core: None,
        interactive: options.keep,
    };
    let sum = run::run(&Deal::new(jobs)?, &boot, kernels, see);
    for name in &sum.failed {
        println!("FAILED in the lab: {name}");
    }
    Ok(sum)
}

/// How many kernels are to run side by side, and where they keep their memory.
fn as_many_as_fit(jobs: usize) -> Result<(u64, PathBuf)> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let wanted = cores.min(KERNELS).min(jobs).max(1) as u64;
    let roomy = (2..=wanted)
        .rev()
        .find_map(|kernels| Some((kernels, memory_folder(kernels).ok()?)));
    match roomy {
        Some(found) => Ok(found),
        None => Ok((1, memory_folder(1)?)),
    }
}

impl Target {
    /// A job for each test.
    fn jobs(&self, keep: bool) -> impl Iterator<Item = Job> {
        let mut environment = inherited();
        environment.push((INSIDE.to_owned(), "inside".to_owned()));
        environment.push(("PATH".to_owned(), self.path()));
        environment.push(("TMPDIR".to_owned(), "/run/tmp".to_owned()));
        if keep {
            environment.push((KEEP.to_owned(), terminal_size()));
        }
        self.tests.iter().map(move |test| Job {
            name: format!("{}: {test}", self.name),
            program: self.program.clone(),
            arguments: ["--test-threads=1", "--exact", test]
                .map(str::to_owned)
                .into(),
            folder: self.folder.clone(),
            environment: environment.clone(),
            shell: keep,
            limit: if keep { KEEP_LIMIT } else { LIMIT },
        })
    }

    /// Where programs are looked for: first among our own, which are built beside the tests.
    fn path(&self) -> String {
        let ours = self.program.ancestors().nth(2).unwrap_or(&self.folder);
        let path = std::env::var("PATH").unwrap_or_default();
        format!("{}:{path}", ours.display())
    }
}

/// Rows and columns of our terminal, for that inside; 24 and 80 where there is none.
fn terminal_size() -> String {
    let asked = Command::new("stty")
        .arg("size")
        .stdin(Stdio::inherit())
        .output();
    let answer = asked.map_or_else(|_| Vec::new(), |output| output.stdout);
    let words = String::from_utf8_lossy(&answer).trim().to_owned();
    if words.is_empty() {
        "24 80".to_owned()
    } else {
        words
    }
}

/// Our environment, but for what tells programs how to be built and loaded.
pub(crate) fn inherited() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| !name.starts_with("CARGO") && !name.starts_with("LD_"))
        .collect()
}

/// Builds the lab's targets and asks each for its tests that match. Targets without are left out.
fn targets(filter: Option<&str>) -> Result<Vec<Target>> {
    let mut targets = Vec::new();
    for artifact in build(&[
        "test",
        "--no-run",
        "--workspace",
        "--exclude",
        "fuzz",
        "--test",
        "lab*",
    ])? {
        let Some(program) = artifact.executable else {
            continue;
        };
        if artifact.target.kind != ["test"] {
            continue;
        }
        let folder = artifact
            .manifest_path
            .parent()
            .unwrap_or_else(|| Path::new("/"))
            .to_owned();
        let package = folder.file_name().unwrap_or_default().to_string_lossy();
        let listed = Command::new(&program)
            .args(["--list", "--format=terse"])
            .output()
            .with_context(|| format!("cannot run {}", program.display()))?;
        let listed = String::from_utf8_lossy(&listed.stdout);
        let tests = listed
            .lines()
            .filter_map(|line| line.strip_suffix(": test"));
        let target = Target {
            name: format!("{package}/{}", artifact.target.name),
            tests: tests.map(str::to_owned).collect(),
            program,
            folder,
        };
        targets.push(target);
    }
    if let Some(filter) = filter {
        choose(&mut targets, filter);
    }
    targets.retain(|target| !target.tests.is_empty());
    targets.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(targets)
}

/// Leaves the tests that `filter` means: a whole word of a path (`nat` is not in `destination`) goes
/// before a part of one.
fn choose(targets: &mut [Target], filter: &str) {
    let is_named = |test: &str| test == filter || test.split("::").any(|word| word == filter);
    let mut tests = targets.iter().flat_map(|target| &target.tests);
    let has_named = tests.any(|test| is_named(test));
    for target in targets {
        target.tests.retain(|test| match has_named {
            true => is_named(test),
            false => test.contains(filter),
        });
    }
}

/// Builds the library that the kernel needs on large processors.
pub(crate) fn library() -> Result<PathBuf> {
    let built = build(&["build", "-p", "uml-xstate"])?;
    let mut files = built.into_iter().flat_map(|artifact| artifact.filenames);
    files
        .find(|file| file.extension().is_some_and(|extension| extension == "so"))
        .context("cargo built no library uml-xstate")
}

/// A line of cargo's messages, if it is about something built.
#[derive(Deserialize)]
struct Artifact {
    target: ArtifactTarget,
    manifest_path: PathBuf,
    executable: Option<PathBuf>,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct ArtifactTarget {
    name: String,
    kind: Vec<String>,
}

/// Runs cargo and reads what it has built, fresh or anew.
fn build(arguments: &[&str]) -> Result<Vec<Artifact>> {
    let output = step::cargo(arguments)
        .args(["--locked", "--message-format=json-render-diagnostics"])
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    if !output.status.success() {
        bail!("cargo {} failed", arguments.join(" "));
    }
    let lines = String::from_utf8(output.stdout).context("cargo speaks UTF-8")?;
    let artifacts = lines
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    Ok(artifacts.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_word_goes_before_a_part_of_one() {
        let chosen = |filter| {
            let mut targets = [Target {
                name: "a/lab".to_owned(),
                program: "/target/debug/deps/lab-1".into(),
                folder: "/a".into(),
                tests: ["nat::works", "destination", "nat_too"]
                    .map(str::to_owned)
                    .into(),
            }];
            choose(&mut targets, filter);
            let [target] = targets;
            assert!(target.path().starts_with("/target/debug:"));
            target.tests
        };
        assert_eq!(chosen("nat"), ["nat::works"]);
        assert_eq!(chosen("nat_"), ["nat_too"]);
        assert_eq!(chosen("ation"), ["destination"]);
        assert_eq!(chosen("nat::works"), ["nat::works"]);
        assert!(chosen("x").is_empty());
    }
}
