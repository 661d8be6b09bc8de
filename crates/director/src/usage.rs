//! How much processor time a process has used, in keepalived's words.

use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// The last line of a child.
pub(crate) fn stopped() -> String {
    let (user, system) = used(UsageWho::RUSAGE_SELF);
    let (user_children, system_children) = used(UsageWho::RUSAGE_CHILDREN);
    // Only a process that ran others tells of them.
    match user_children + system_children > 0.0 {
        true => format!(
            "Stopped - used (self/children) {user:.6}/{user_children:.6} user time, \
             {system:.6}/{system_children:.6} system time"
        ),
        false => format!("Stopped - used {user:.6} user time, {system:.6} system time"),
    }
}

/// The last line but one of the parent.
pub(crate) fn total() -> String {
    let (user, system) = used(UsageWho::RUSAGE_SELF);
    let (user_children, system_children) = used(UsageWho::RUSAGE_CHILDREN);
    format!(
        "CPU usage (self/children) user: {user:.6}/{user_children:.6} system: \
         {system:.6}/{system_children:.6}"
    )
}

/// User and system time in seconds.
fn used(by: UsageWho) -> (f64, f64) {
    #[expect(
        clippy::cast_precision_loss,
        reason = "microseconds of many years are exact"
    )]
    let seconds = |time: nix::sys::time::TimeVal| time.num_microseconds() as f64 / 1e6;
    let of = |usage: Usage| (seconds(usage.user_time()), seconds(usage.system_time()));
    getrusage(by).map(of).unwrap_or_default()
}
