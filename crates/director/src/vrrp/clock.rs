//! The clock of the virtual routers.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use vrrp_proto::Time;

/// The time since the machine was started, its sleep included, so that a router that was asleep
/// knows it. Nobody sets this clock; all processes of a machine have the same.
///
/// Reading it costs some 30 ns and no system call.
#[must_use]
pub fn now() -> Time {
    // This clock is in every kernel since 2.6.39.
    let read = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from);
    Time::after_epoch(read.unwrap_or_default())
}
