//! The trait every scheduler implements.

use std::fmt;
use std::time::Duration;

use crate::{DestinationId, Destinations, Flow, SchedulerKind, Settings};

/// What happened to the destination list, told to [`Scheduler::update`] after it happened.
///
/// Positions count from the head of the list, 0 first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The scheduler begins: on an empty list for a new service, on the present one when a service
    /// is switched to this scheduler. Always the first change, and only once.
    Started,
    /// A destination now stands at this position; those behind it moved one place back.
    Added {
        /// Where it stands; always 0, the head, in a [`Pool`](crate::Pool).
        position: usize,
    },
    /// Weight or thresholds of the destination at this position were written, changed or not.
    Edited {
        /// Where it stands.
        position: usize,
    },
    /// The destination that stood at this position is gone; those behind it moved one place up.
    Removed {
        /// Where it stood.
        position: usize,
    },
}

/// Gives each new flow a destination, exactly as the kernel's scheduler of that name does.
///
/// # Calls
///
/// * Once, first: [`configure`](Self::configure), then [`update`](Self::update) with
///   [`Change::Started`]. [`SchedulerKind::start`] does both.
/// * After each change of the list, before the next pick: [`update`](Self::update). Counts and
///   overloaded marks change without notice; they are read at each pick.
/// * For each new flow: [`pick`](Self::pick). It sees the counts without this flow; the caller
///   binds the flow to the choice afterwards.
/// * When the time of [`poll_timeout`](Self::poll_timeout) has come:
///   [`handle_timeout`](Self::handle_timeout). A spurious call is harmless, a late one too.
///   The deadline changes only in `handle_timeout`.
///
/// A scheduler is deterministic: the same calls give the same choices. It owns no clock; `now` is
/// the time since an origin of the caller's choice and never goes back.
pub trait Scheduler: fmt::Debug + Send {
    /// Which scheduler this is.
    fn kind(&self) -> SchedulerKind;

    /// The destination list has changed, as told; `destinations` is the list after it.
    ///
    /// Default: nothing, for schedulers that keep no state about the list.
    fn update(&mut self, destinations: &Destinations, change: Change) {
        let _ = (destinations, change);
    }

    /// The destination for a new flow, or `None` if none may take it.
    ///
    /// Does not allocate, except when lblc and lblcr remember an address or a server that they had
    /// not seen.
    fn pick(&mut self, destinations: &Destinations, flow: &Flow) -> Option<DestinationId>;

    /// The settings have changed; they count from the next call on.
    ///
    /// Default: nothing, for schedulers without settings.
    fn configure(&mut self, settings: &Settings) {
        let _ = settings;
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called next; `None` for
    /// schedulers without housekeeping.
    fn poll_timeout(&self) -> Option<Duration> {
        None
    }

    /// Does what is due at `now`. Before the deadline it does nothing; after it, one run.
    fn handle_timeout(&mut self, now: Duration) {
        let _ = now;
    }
}
