//! Criterion benches and the comparisons with peers.

mod failover;
mod proxy;

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::{packages, step};

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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Name {
    /// The criterion benches of the hot paths
    Criterion,
    /// The userspace dataplane against HAProxy
    Proxy,
    /// Takeover after a master is lost, against keepalived
    Failover,
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
    Ok(met)
}
