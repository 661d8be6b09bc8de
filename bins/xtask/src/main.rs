//! What people and CI run: `cargo xtask test`, `cargo xtask lab`, `cargo xtask bench`.
//!
//! # Modules
//!
//! - `test`: the steps of the test command and their sum.
//! - `lab`: tests under a kernel of their own.
//! - `packages`: the Debian packages that tests use, and their installation.
//! - `layers`: which crate may depend on which.
//! - `bench`: criterion benches and the comparisons with peers.
//! - `step`: a command with its heading, its time and its end.

mod bench;
mod lab;
mod layers;
mod packages;
mod step;
mod test;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tests and measures lvskit.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run every check and test, and say how many passed, failed and were skipped
    ///
    /// As root on Debian it first installs the packages that tests use. Without them the tests
    /// that need them are skipped; each skip is listed with its reason.
    Test(test::Options),
    /// Run the tests that need a kernel with IPVS, in one that is booted for them
    ///
    /// The kernel is a process (Debian's user-mode-linux); needs root. Part of `test`.
    Lab(lab::Options),
    /// Run the criterion benches and the comparisons with peers
    ///
    /// A comparison runs ours and the peer in turn for several rounds and prints the ratio of
    /// medians. Close other programs first; on a busy machine only the ratios mean something.
    Bench(bench::Options),
    /// The first process inside the lab's kernel
    #[command(hide = true)]
    LabInside,
    /// The measuring side of `bench rules`
    #[command(hide = true)]
    BenchInside {
        /// Ours
        lvsadm: PathBuf,
        /// Where the results go
        folder: PathBuf,
        /// How often
        rounds: usize,
    },
}

fn main() -> ExitCode {
    let outcome = match Args::parse().command {
        Command::Test(options) => test::run(&options),
        Command::Lab(options) => lab::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::BenchInside {
            lvsadm,
            folder,
            rounds,
        } => bench::measure_rules(&lvsadm, &folder, rounds).map(|()| true),
        Command::LabInside => lab::run_inside().map(|never| match never {}),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
