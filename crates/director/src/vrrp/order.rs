//! What the driver of the virtual routers is told by the other thread.

use super::dump::Dump;
use vrrp_proto::{Name, Time, TrackReport};

use crate::wiring::vrrp::VrrpPlan;

/// Something to do, or to know.
#[derive(Debug)]
pub(super) enum Order {
    /// Go by this from now on.
    Configure(Box<VrrpPlan>),
    /// A tracked object is like this.
    Track(TrackReport),
    /// Tell how everything is, under this number.
    Status(u64),
    /// Tell it for a file.
    Dump(Dump),
    /// Give everything back and end.
    Stop,
}

/// What an instance was when the process before this one died.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct WasMaster {
    /// Its name.
    pub instance: Name,
    /// The last moment at which it may have sent nothing any more, on the clock of
    /// [`clock`](super::clock).
    pub silent_since: Time,
}
