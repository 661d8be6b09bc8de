//! The steps of the test command and their sum.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZero;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use lvs_testkit::SKIPPED_FILE;

use crate::{lab, layers, packages, step};

/// The reason of lab tests outside the lab; see `lvs_testkit::lab`.
const ELSEWHERE: &str = "runs in the lab only (cargo xtask lab)";

/// The environment variable of libtest: how many tests of a binary run at a time.
const TEST_THREADS: &str = "RUST_TEST_THREADS";

/// Flags of `cargo xtask test`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only these steps (default: all, in this order)
    #[arg(value_enum)]
    steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Step {
    /// Install the Debian packages that tests use, when root and missing
    Packages,
    /// cargo fmt --check
    Fmt,
    /// cargo clippy with warnings as errors
    Clippy,
    /// Which crate may depend on which
    Layers,
    /// cargo deny: licences, sources, bans (skipped where cargo-deny is not installed)
    Deny,
    /// cargo doc with warnings as errors
    Doc,
    /// Unit, property, integration and documentation tests
    Tests,
    /// The tests that need a kernel with IPVS, as `cargo xtask lab` (skipped where it cannot run)
    Lab,
}

/// What `cargo test` reported, over all its binaries.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Counts {
    /// Takes in a line such as `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; …`.
    fn see(&mut self, line: &str) {
        let Some(results) = line.strip_prefix("test result: ") else {
            return;
        };
        for part in results.split(['.', ';']) {
            let mut words = part.split_whitespace();
            let (Some(count), Some(what)) = (words.next(), words.next()) else {
                continue;
            };
            let Ok(count) = count.parse::<u64>() else {
                continue;
            };
            match what {
                "passed" => self.passed += count,
                "failed" => self.failed += count,
                "ignored" => self.ignored += count,
                _ => {}
            }
        }
    }
}

/// Runs the steps, all of them even when one fails; whether all succeeded.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let start = Instant::now();
    let wanted = |step: Step| options.steps.is_empty() || options.steps.contains(&step);
    let mut checks: Vec<(&str, bool)> = Vec::new();
    let mut skipped: Vec<String> = Vec::new();
    let mut counts = Counts::default();

    if wanted(Step::Packages) {
        packages::provide(packages::FOR_TESTS)?;
    }
    if wanted(Step::Fmt) {
        checks.push((
            "fmt",
            step::run("fmt", &mut step::cargo(&["fmt", "--all", "--check"]))?,
        ));
    }
    if wanted(Step::Clippy) {
        let mut args = vec!["clippy", "--locked", "--workspace", "--all-targets"];
        if !step::have("c++") {
            args.extend(["--exclude", "fuzz"]);
            skipped.push("clippy of fuzz: libFuzzer needs a C++ compiler".to_owned());
        }
        args.extend(["--", "-D", "warnings"]);
        checks.push(("clippy", step::run("clippy", &mut step::cargo(&args))?));
    }
    if wanted(Step::Layers) {
        checks.push(("layers", layers::check()?));
    }
    if wanted(Step::Deny) {
        if step::have("cargo-deny") {
            // The check itself needs no network, but every crate on disk; without one, it says so.
            let _ = step::cargo(&["fetch", "--quiet", "--locked"]).status();
            let args = ["deny", "--offline", "check", "bans", "licenses", "sources"];
            checks.push(("deny", step::run("deny", &mut step::cargo(&args))?));
        } else {
            skipped.push("deny: cargo-deny is not installed (cargo install cargo-deny)".to_owned());
        }
    }
    if wanted(Step::Doc) {
        let args = [
            "doc",
            "--locked",
            "--workspace",
            "--exclude",
            "fuzz",
            "--no-deps",
        ];
        let mut command = step::cargo(&args);
        checks.push((
            "doc",
            step::run("doc", command.env("RUSTDOCFLAGS", "-D warnings"))?,
        ));
    }
    let obstacle = lab::obstacle();
    if wanted(Step::Tests) {
        let args = [
            "test",
            "--locked",
            "--workspace",
            "--exclude",
            "fuzz",
            "--no-fail-fast",
        ];
        let file = SkippedFile::new()?;
        let mut command = step::cargo(&args);
        command.env(SKIPPED_FILE, &file.0);
        if std::env::var_os(TEST_THREADS).is_none() {
            command.env(TEST_THREADS, test_threads().to_string());
        }
        let success = step::run_seen("tests", &mut command, |line| counts.see(line))?;
        checks.push(("tests", success));
        let lines = file.take()?;
        // A test that skips itself ends well and was counted as passed.
        counts.passed = counts.passed.saturating_sub(lines.len() as u64);
        let in_lab = wanted(Step::Lab) && obstacle.is_none();
        let is_here = |line: &String| !(in_lab && line.ends_with(ELSEWHERE));
        skipped.extend(lines.into_iter().filter(is_here));
    }
    if wanted(Step::Lab) {
        match &obstacle {
            Some(obstacle) => skipped.push(format!("lab: cannot run here: {obstacle}")),
            None => {
                step::heading("lab");
                let sum = lab::run_all(&mut |line| counts.see(line))?;
                checks.push(("lab", sum.failed.is_empty()));
                counts.failed += sum.unreported;
                counts.passed = counts.passed.saturating_sub(sum.skipped.len() as u64);
                skipped.extend(sum.skipped);
            }
        }
    }

    step::heading("sum");
    for (reason, number) in by_reason(&skipped) {
        println!("skipped {number}: {reason}");
    }
    if counts.ignored > 0 {
        println!("ignored {}: marked #[ignore]", counts.ignored);
    }
    for (name, success) in &checks {
        println!("{name}: {}", if *success { "ok" } else { "FAILED" });
    }
    println!("after {:.0?}", start.elapsed());
    let skips = skipped.len() as u64 + counts.ignored;
    if wanted(Step::Tests) || wanted(Step::Lab) {
        println!(
            "{} passed, {} failed, {skips} skipped",
            counts.passed, counts.failed
        );
    }
    Ok(counts.failed == 0 && checks.iter().all(|(_, success)| *success))
}

/// Two for each core: those of the daemon wait most of their time.
fn test_threads() -> usize {
    2 * std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// The file in which tests note that they were skipped, a line each.
struct SkippedFile(PathBuf);

impl SkippedFile {
    fn new() -> Result<Self> {
        let folder = step::root().join("target");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self(
            folder.join(format!("skipped-tests.{}", std::process::id())),
        ))
    }

    /// What they have noted; the file goes.
    fn take(self) -> Result<Vec<String>> {
        if !self.0.exists() {
            return Ok(Vec::new());
        }
        let lines = fs::read_to_string(&self.0)?;
        fs::remove_file(&self.0)?;
        Ok(lines.lines().map(str::to_owned).collect())
    }
}

/// The skips of one reason together, with the tests' names.
fn by_reason(skipped: &[String]) -> Vec<(String, usize)> {
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in skipped {
        let (test, reason) = line.split_once(": ").unwrap_or(("", line));
        reasons.entry(reason).or_default().push(test);
    }
    reasons
        .into_iter()
        .map(|(reason, tests)| (format!("{reason} ({})", tests.join(", ")), tests.len()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_several_binaries_add_up() {
        let mut counts = Counts::default();
        counts.see("running 3 tests");
        counts.see("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.02s");
        counts.see("test result: FAILED. 2 passed; 5 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.5s");
        assert_eq!(
            counts,
            Counts {
                passed: 5,
                failed: 5,
                ignored: 1
            }
        );
    }

    #[test]
    fn skips_of_one_reason_stand_together() {
        let skipped = ["a: no nginx", "b: no nginx", "deny: not installed"].map(str::to_owned);
        assert_eq!(
            by_reason(&skipped),
            [
                ("no nginx (a, b)".to_owned(), 2),
                ("not installed (deny)".to_owned(), 1)
            ]
        );
    }
}
