//! The VRRP process: virtual routers that share addresses with those of other machines.
//!
//! # Design
//! Two threads, and one more where there are BFD sessions. The driver keeps the time, with a
//! real-time priority where that is permitted; it never waits for anything but the kernel. The aide
//! does everything that may take its time, on a tokio runtime of its own: it talks to the parent,
//! logs, and tells scripts. What decides is the machine of the crate `vrrp-proto`; what the kernel is
//! told goes through the crate `netif`.
//!
//! | module | what is in it |
//! |---|---|
//! | `driver` | the loop: sockets, deadlines, the machine, what it asks for |
//! | `kernel` | addresses, routes, rules, announcements: set, removed, missed, put back |
//! | `sockets`, `interfaces` | which sockets are open; which interfaces are looked at |
//! | `aide`, `narrate`, `report` | the other thread: parent, log lines, status |
//! | [`dump`] | files that keepalived writes on signals |
//! | [`replay`](mod@replay) | what a recording makes of the machine |
//! | `notify` | scripts, pipes and mails that tell of changes |
//! | `bfd` | sessions with neighbors, in a thread of their own |
//! | `track_scripts`, `track_files`, `track_processes` | what is tracked: looked at, judged, reported |
//! | [`seam`] | where scripts, pipes, mail and tracked objects join |
//! | [`holding`] | what a master holds |
//! | [`clock`] | time |
//! | `order`, `news`, [`mailbox`] | what the two threads tell each other |

mod aide;
mod bfd;
pub mod clock;
mod driver;
pub mod dump;
pub mod holding;
mod interfaces;
mod kernel;
pub mod mailbox;
mod narrate;
mod news;
mod notify;
pub mod order;
pub mod replay;
mod report;
pub mod seam;
mod sockets;
mod track_files;
mod track_processes;
mod track_scripts;

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use self::aide::Aide;
use self::bfd::Bfd;
use self::driver::Driver;
use self::mailbox::Mailbox;
use self::narrate::Narrator;
use self::news::Desk;
use self::notify::Teller;
use self::seam::Reports;
use self::track_files::TrackFiles;
use self::track_processes::TrackProcesses;
use self::track_scripts::TrackScripts;
use crate::exit::Exit;
use crate::message::{ToVrrp, VrrpStart};
use crate::parent::with_sources;
use crate::pidfile::PidFile;
use crate::role::Role;
use crate::scheduling::Wishes;
use crate::status::BfdStatus;
use crate::{child, ipc, logging, scheduling, usage, wiring};

/// Runs as the VRRP process of the parent with this process id. Returns the exit status.
#[must_use]
pub fn run(parent: i32) -> u8 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let Ok(runtime) = runtime else {
        return Exit::Software.code();
    };
    let started = runtime.block_on(async {
        let socket = child::adopt(Role::Vrrp, parent).ok()?;
        let (mut reader, writer) = socket.into_split();
        match ipc::receive(&mut reader).await {
            Ok(Some(ToVrrp::Start(start))) => Some((*start, reader, writer)),
            _ => None,
        }
    });
    match started {
        Some((start, reader, writer)) => serve(runtime, start, parent, reader, writer).code(),
        None => Exit::Ok.code(),
    }
}

fn serve(
    runtime: Runtime,
    start: VrrpStart,
    parent: i32,
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
) -> Exit {
    let _logging = logging::start(&start.log, Role::Vrrp);
    if let Err(error) = runtime.block_on(async { child::leave_signals_to_parent() }) {
        error!("Unable to set signal handlers - {error}");
        return Exit::Software;
    }
    let _pid_file = PidFile::create(&start.pid_file)
        .inspect_err(|error| warn!("{}", with_sources(error)))
        .ok();
    if child::is_orphan(parent) {
        return Exit::Ok;
    }
    let orders = match Mailbox::new() {
        Ok(orders) => orders,
        Err(error) => {
            error!("Unable to start the event loop - {error}");
            return Exit::Software;
        }
    };
    let recording = start.record.as_deref();
    let recording = recording.and_then(|path| runtime.block_on(aide::open_recording(path)));
    let (news, queue) = mpsc::unbounded_channel();
    let desk = Desk::new(news, start.log.detail > 0, recording.is_some());
    let bfd_desk = desk.clone();
    let mut driver = match Driver::new(orders.clone(), desk, start.resume, start.keep_vrrp) {
        Ok(driver) => driver,
        Err(error) => {
            error!("Unable to reach the kernel's network - {error}");
            return Exit::Permission;
        }
    };
    let uptime = clock::now().since_epoch();
    child::call_itself(start.config.globals.process_names.vrrp.as_deref());
    let globals = start.config.vrrp.globals.clone();
    let reports = Reports::new(orders.clone());
    let aide = Aide {
        parent: writer,
        scripts: TrackScripts::new(reports.clone()),
        files: TrackFiles::new(reports.clone(), !start.is_restart),
        processes: TrackProcesses::new(reports.clone()),
        bfd: Bfd::new(orders.clone(), reports, bfd_desk, start.no_bfd),
        sessions: BfdStatus::default(),
        orders,
        news: queue,
        startup_delay: match start.is_restart {
            true => std::time::Duration::ZERO,
            false => wiring::vrrp::startup_delay(&start.config.vrrp, uptime),
        },
        config: Arc::new(start.config),
        teller: Teller::default(),
        narrator: Narrator::default(),
        driver: nix::unistd::gettid().as_raw(),
        masters: BTreeSet::new(),
        cleared: dump::Cleared::new(),
        recording,
    };
    let (scheduled, is_scheduled) = std::sync::mpsc::channel::<()>();
    let aide = std::thread::Builder::new()
        .name("aide".to_owned())
        .spawn(move || {
            // Threads that it starts may have wishes of their own.
            let _ = is_scheduled.recv();
            runtime.block_on(aide.run(reader));
            // What still runs does not hold up the end.
            runtime.shutdown_background();
        });
    let aide = match aide {
        Ok(aide) => aide,
        Err(error) => {
            error!("Unable to start a thread - {error}");
            return Exit::Software;
        }
    };
    // After the other thread was started, which is an ordinary one.
    let mut problems = Wishes::of_vrrp(&globals).apply(0);
    problems.extend(scheduling::be_exact());
    drop(scheduled);
    for problem in problems {
        warn!("{problem}");
    }
    driver.run(scheduling::real_time());
    let _ = aide.join();
    info!("{}", usage::stopped());
    Exit::Ok
}
