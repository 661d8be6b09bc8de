//! `lvsd demo`: three real web servers, a real director, and a server that fails and comes back.
//!
//! # Design
//! The demo is an outsider to the director. It writes a keepalived.conf, starts `lvsd run` on it as
//! a user would, and knows what happens only from the control socket and from the answers that its
//! own load gets through the balancer. So it shows the real thing, and doubles as a smoke test:
//! what it promises and does not see makes it exit with 1.
//!
//! [`story`] decides what happens when, [`servers`], [`load`] and [`process`] make it happen,
//! [`watch`] sees it, [`narrate`] tells it, [`summary`] judges it.

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use self::load::Load;
use self::narrate::Narrator;
use self::process::Director;
use self::servers::{Farm, ServicePort};
use self::story::{Act, Event, Plan, Story};
use self::summary::Summary;
use self::watch::Watch;

mod config;
mod load;
mod narrate;
mod process;
mod servers;
mod story;
mod summary;
mod watch;

/// The exit code after Ctrl-C before the whole story was told, as shells have it for SIGINT.
const INTERRUPTED: u8 = 130;

/// Shows a director at work on this machine: no root, no kernel IPVS, nothing but loopback.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  lvsd demo                        until Ctrl-C; send requests yourself with curl
  lvsd demo --load --seconds 30    requests spread by weight, a failure, a recovery, a summary

Exit status:
  0    everything went as promised
  1    something did not, or the demo could not be started
  130  interrupted before the whole story was told")]
pub(crate) struct DemoArgs {
    /// Send requests through the balancer and compare how they spread with the weights
    #[arg(long)]
    load: bool,

    /// Requests a second of the load
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,

    /// End after this many seconds; without it the demo goes on until Ctrl-C
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(8..=86_400))]
    seconds: Option<u64>,

    /// Print the summary as JSON on standard output, and the story on standard error
    #[arg(long)]
    json: bool,
}

/// Runs the demo. The exit code is 0 when all went as promised, 1 when not, 130 when it was
/// interrupted too early to tell.
///
/// # Errors
///
/// When the servers or the director cannot be started, or the director ends by itself.
pub(crate) fn run(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let summary = runtime.block_on(demonstrate(args));
    // Nothing that is still going on needs to be waited for.
    runtime.shutdown_background();
    let summary = summary?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&summary)?);
    }
    Ok(if !summary.problems.is_empty() {
        ExitCode::FAILURE
    } else if summary.interrupted {
        ExitCode::from(INTERRUPTED)
    } else {
        ExitCode::SUCCESS
    })
}

async fn demonstrate(args: &DemoArgs) -> anyhow::Result<Summary> {
    let folder = tempfile::Builder::new()
        .prefix("lvsd-demo-")
        .tempdir()
        .context("cannot make a temporary folder")?;
    let mut farm = Farm::start().await?;
    let service = ServicePort::reserve()?;
    let text = config::keepalived_conf(service.address(), &farm.addresses());
    let file = folder.path().join("keepalived.conf");
    std::fs::write(&file, &text).with_context(|| format!("cannot write {}", file.display()))?;

    let live = std::io::stdout().is_terminal() && !args.json;
    let mut narrator = Narrator::new(live, args.json);
    narrator.introduce(&file, &text, service.address());

    let mut director = Director::start(folder.path(), &file)?;
    let told = tell(args, &mut farm, &service, &mut director, &mut narrator).await;
    narrator.finish_table();
    // Whatever happened: the director ends before its files go.
    let ended = director.stop().await;
    let mut summary = told.map_err(|error| with_log(&error, &director))?;
    if let Err(error) = ended {
        summary.problems.push(format!("{error:#}"));
    }
    narrator.summarise(&summary);
    folder
        .close()
        .context("cannot remove the temporary folder")?;
    Ok(summary)
}

/// The story itself, until its end, an interruption, or the end of the director.
async fn tell(
    args: &DemoArgs,
    farm: &mut Farm,
    service: &ServicePort,
    director: &mut Director,
    narrator: &mut Narrator,
) -> anyhow::Result<Summary> {
    let mut watch = Watch::start(director.run_dir());
    let mut story = Story::new(Plan::new(args.seconds.map(Duration::from_secs)));
    let mut load: Option<Load> = None;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let start = Instant::now();
    let mut interrupted = false;

    while !story.has_ended() && !interrupted {
        let seen = tokio::select! {
            seen = watch.next() => Some(seen),
            () = tokio::time::sleep(watch::PERIOD) => None,
            ended = director.ended() => anyhow::bail!("the director ended by itself: {ended}"),
            _ = interrupt.recv() => { interrupted = true; None }
            _ = terminate.recv() => { interrupted = true; None }
        };
        let now = start.elapsed();
        if let Some(seen) = &seen {
            narrator.show(now, seen, load.as_ref().map(Load::totals));
        }
        for act in story.handle(now, seen.as_ref())? {
            match act {
                Act::Say(event) => {
                    if event == Event::Ready && args.load {
                        load = Some(Load::start(service.address(), args.rate));
                    }
                    narrator.tell(now, &event);
                }
                Act::Stop(server) => farm.stop(server),
                Act::Restart(server) => farm.restart(server).await?,
                Act::Measure(phase) => {
                    if let Some(load) = &load {
                        load.enter(phase);
                    }
                }
            }
        }
    }
    let tally = match load {
        Some(load) => Some(load.stop().await),
        None => None,
    };
    // Without an end of its own, an interruption is how it ends.
    let too_early = interrupted && args.seconds.is_some();
    Ok(Summary::new(service.address(), &story, tally, too_early))
}

/// What went wrong, and what the director said last.
fn with_log(error: &anyhow::Error, director: &Director) -> anyhow::Error {
    let tail = director.log_tail();
    let tail = if tail.is_empty() {
        String::new()
    } else {
        format!("; its log ends so:\n{tail}")
    };
    anyhow::anyhow!("{error:#}{tail}")
}
