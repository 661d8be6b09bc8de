//! Being on time: scheduling, memory, timers.

use std::time::Duration;

use kconf_parser::config::VrrpGlobals;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;

/// The real-time priority that is taken when the configuration says nothing: the lowest, which is
/// above everything that is not real-time.
const AUTOMATIC: u8 = 1;

/// How long it may run without a pause unless the configuration says so.
const LONGEST_RUN: Duration = Duration::from_secs(1);

/// Makes the calling thread one that runs as soon as it can, as far as it may; the others of the
/// process stay as they are. What was asked for and is not possible is told.
///
/// Without any keyword a real-time priority is taken where it is permitted: a backup that is not
/// scheduled takes the master for dead.
pub(super) fn apply(globals: &VrrpGlobals) -> Vec<String> {
    let mut problems = Vec::new();
    // An ordinary thread's timers may be 50 us late otherwise.
    if let Err(error) = nix::sys::prctl::set_timerslack(1) {
        problems.push(format!("Unable to set the timer slack - {error}"));
    }
    if globals.no_swap
        && let Err(error) = mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE)
    {
        problems.push(format!(
            "Unable to lock the memory of the VRRP process - {error}"
        ));
    }
    if !globals.cpu_affinity.is_empty() {
        let mut cpus = CpuSet::new();
        for cpu in &globals.cpu_affinity {
            let number = usize::try_from(*cpu).unwrap_or(usize::MAX);
            if cpus.set(number).is_err() {
                problems.push(format!("vrrp_cpu_affinity: there is no processor {cpu}"));
            }
        }
        if let Err(error) = sched_setaffinity(Pid::from_raw(0), &cpus) {
            problems.push(format!(
                "Unable to set the processors of the VRRP process - {error}"
            ));
        }
    }
    if globals.priority != 0 && globals.rt_priority.is_none() {
        if let Err(error) = set_nice(globals.priority) {
            problems.push(format!(
                "Unable to set the priority of the VRRP process - {error}"
            ));
        }
        return problems;
    }
    match set_real_time(globals.rt_priority.unwrap_or(AUTOMATIC)) {
        Ok(()) => limit_run(globals.rlimit_rttime),
        // Nobody has asked for it; most unprivileged processes may not.
        Err(_) if globals.rt_priority.is_none() => {}
        Err(error) => problems.push(format!(
            "Unable to set the real-time priority of the VRRP process - {error}"
        )),
    }
    problems
}

/// Makes the thread an ordinary one again.
#[allow(unsafe_code)]
pub(super) fn give_up(thread: i32) {
    // SAFETY: as in `set_real_time`. Where it fails the kernel goes on warning.
    unsafe {
        let parameters: libc::sched_param = std::mem::zeroed();
        libc::sched_setscheduler(thread, libc::SCHED_OTHER, &raw const parameters);
    }
}

/// The kernel sends SIGXCPU when we run so long without a pause, which must not be for ever on a
/// machine of one processor.
fn limit_run(limit: Duration) {
    // keepalived's default is short for a failover of hundreds of instances at one stroke.
    let limit = if limit == Duration::from_millis(10) {
        LONGEST_RUN
    } else {
        limit
    };
    let micros = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX);
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_RTTIME) {
        let _ = setrlimit(Resource::RLIMIT_RTTIME, micros.min(hard), hard);
    }
}

#[allow(unsafe_code)]
fn set_real_time(priority: u8) -> std::io::Result<()> {
    // SAFETY: all zeros is a valid sched_param; the pointer is to a local that outlives the call.
    let result = unsafe {
        let mut parameters: libc::sched_param = std::mem::zeroed();
        parameters.sched_priority = priority.into();
        libc::sched_setscheduler(
            0,
            libc::SCHED_RR | libc::SCHED_RESET_ON_FORK,
            &raw const parameters,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

#[allow(unsafe_code)]
fn set_nice(value: i32) -> std::io::Result<()> {
    // SAFETY: plain values.
    match unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, value) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}
