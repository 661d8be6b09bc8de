//! Criterion benches and the comparisons with peers.

mod failover;
mod proxy;
mod rules;

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::{packages, step};

pub(crate) use rules::measure as measure_rules;

/// Flags of `cargo xtask bench`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only these (default: all)
    #[arg(value_enum)]
    names: Vec<Name>,
    #[command(flatten)]
    length: proxy::Length,
    #[command(flatten)]
    extent: failover::Extent,
    #[command(flatten)]
    rounds: rules::Rounds,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Name {
    /// The criterion benches of the hot paths
    Criterion,
    /// The userspace dataplane against HAProxy
    Proxy,
    /// Takeover after a master is lost, against keepalived
    Failover,
    /// Large tables of the kernel, against ipvsadm; in the lab
    Rules,
}

/// Runs the benches; whether all ran and every comparison met its bound.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let wanted = |name: Name| options.names.is_empty() || options.names.contains(&name);
    packages::provide(packages::FOR_BENCHES)?;
    let mut met = true;
    if wanted(Name::Criterion) {
        met &= step::run(
            "criterion",
            &mut step::cargo(&["bench", "--locked", "-p", "benches"]),
        )?;
    }
    if wanted(Name::Proxy) {
        met &= proxy::run(options.length)?;
    }
    if wanted(Name::Failover) {
        met &= failover::run(&options.extent)?;
    }
    if wanted(Name::Rules) {
        met &= rules::run(options.rounds)?;
    }
    Ok(met)
}
