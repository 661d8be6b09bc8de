//! Criterion benches and the comparisons with peers.

mod config;
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
    rounds: rules::Rounds,
    #[command(flatten)]
    extent: failover::Extent,
    #[command(flatten)]
    crowd: failover::crowd::Crowd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Name {
    /// The criterion benches of the hot paths
    Criterion,
    /// The userspace dataplane against HAProxy
    Proxy,
    /// Large tables of the kernel, against ipvsadm; in the lab
    Rules,
    /// Reading a large configuration against `keepalived -t`
    Config,
    /// Takeover after a master is lost, against keepalived
    Failover,
    /// Hundreds of virtual routers on one pair, against keepalived
    Crowd,
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
    if wanted(Name::Rules) {
        met &= rules::run(options.rounds)?;
    }
    if wanted(Name::Config) {
        met &= config::run()?;
    }
    if wanted(Name::Failover) {
        met &= failover::run(&options.extent)?;
    }
    if wanted(Name::Crowd) {
        met &= failover::crowd::run(&options.crowd)?;
    }
    Ok(met)
}
