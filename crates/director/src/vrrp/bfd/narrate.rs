//! Log lines of the sessions, keepalived's where it has one.

use bfd_proto::{Diagnostic, Reason, State, Transition};
use kconf_parser::config::Vrrp;
use tracing::{debug, info, warn};

use super::BfdNews;

/// Logs what the thread has told.
pub(in super::super) fn news(news: &BfdNews, config: &Vrrp) {
    match news {
        BfdNews::Changed(session, change) => changed(session, change, config),
        BfdNews::Unsent(session, error) => warn!("({session}) Unable to send - {error}"),
        BfdNews::Sent(session) => info!("({session}) Able to send again"),
        BfdNews::Survey(_) => {}
    }
}

fn changed(session: &str, change: &Transition, config: &Vrrp) {
    let (local, remote) = match change.reason {
        Reason::Silence(time) => {
            info!("({session}) Expired after {} ms", time.as_millis());
            (Diagnostic::TIME_EXPIRED, Diagnostic::NONE)
        }
        Reason::NeighborDown(remote) | Reason::NeighborAdminDown(remote) => {
            (Diagnostic::NEIGHBOR_DOWN, remote)
        }
        Reason::Disabled => (Diagnostic::ADMIN_DOWN, Diagnostic::NONE),
        Reason::Heard(_) => (Diagnostic::NONE, Diagnostic::NONE),
    };
    match change.to {
        // On its way up; or gone, which who asked for it knows.
        State::Init | State::AdminDown => debug!("({session}) Entering {} state", change.to),
        State::Up => info!("({session}) Entering Up state"),
        State::Down => info!(
            "({session}) Entering Down state (Local diagnostic - {local}, Remote diagnostic - {remote})"
        ),
    }
    let word = match (change.from, change.to) {
        (_, State::Up) => "UP",
        (State::Up, _) if !matches!(change.reason, Reason::NeighborAdminDown(_)) => "DOWN",
        _ => return,
    };
    for instance in config.instances.iter() {
        let group = config.group_of(&instance.name);
        let groups = group.into_iter().flat_map(|it| &it.tracking.bfd);
        let mut tracked = instance.tracking.bfd.iter().chain(groups);
        if tracked.any(|it| it.name == session) {
            let name = &instance.name;
            info!("VRRP_Instance({name}) Tracked BFD instance {session} is {word}");
        }
    }
}
