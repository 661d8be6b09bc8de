//! Being on time: scheduling, memory, timers.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;

/// The real-time priority that is taken when the configuration says nothing: the lowest, which is
/// above everything that is not real-time.
const AUTOMATIC: u8 = 1;

/// How long it may run without a pause unless the configuration says so.
const LONGEST_RUN: Duration = Duration::from_secs(1);

/// What the configuration says about a process.
#[derive(Debug)]
pub(crate) struct Wishes<'a> {
    /// The process, for messages.
    pub(crate) process: &'static str,
    /// Whether its memory is locked.
    pub(crate) no_swap: bool,
    /// Processors that it may run on; empty: all.
    pub(crate) cpus: &'a [u32],
    /// Its nice value.
    pub(crate) nice: i32,
    /// Its real-time priority.
    pub(crate) real_time: Option<u8>,
    /// The longest run without a pause at real-time priority; `None` is [`LONGEST_RUN`].
    pub(crate) longest_run: Option<Duration>,
}

impl Wishes<'_> {
    /// Makes the process what is wished, with all threads that it has by now and that these start;
    /// a real-time priority is for the calling thread alone. What is not possible is told.
    pub(crate) fn apply(&self) -> Vec<String> {
        let process = self.process;
        let mut problems = Vec::new();
        let mut tell = |what: &str, error: &dyn std::fmt::Display| {
            problems.push(format!(
                "Unable to {what} of the {process} process - {error}"
            ));
        };
        if self.no_swap
            && let Err(error) = mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE)
        {
            tell("lock the memory", &error);
        }
        if !self.cpus.is_empty() {
            let mut cpus = CpuSet::new();
            for cpu in self.cpus {
                let number = usize::try_from(*cpu).unwrap_or(usize::MAX);
                if let Err(error) = cpus.set(number) {
                    tell(&format!("use processor {cpu}"), &error);
                }
            }
            let all = |thread| sched_setaffinity(Pid::from_raw(thread), &cpus);
            if let Err(error) = threads().into_iter().try_for_each(all) {
                tell("set the processors", &error);
            }
        }
        match self.real_time {
            Some(priority) => match set_real_time(priority) {
                Ok(()) => limit_run(self.longest_run),
                Err(error) => tell("set the real-time priority", &error),
            },
            None if self.nice != 0 => {
                let all = |thread| set_nice(thread, self.nice);
                if let Err(error) = threads().into_iter().try_for_each(all) {
                    tell("set the priority", &error);
                }
            }
            None => {}
        }
        problems
    }

    /// The same for the thread that keeps the time of virtual routers, which runs as soon as it can.
    ///
    /// Without any keyword a real-time priority is taken where it is permitted: a backup that is not
    /// scheduled takes the master for dead.
    /// Gives the real-time priority, 0 for none, and what is not possible.
    pub(crate) fn apply_to_timekeeper(&self) -> (u8, Vec<String>) {
        let mut problems = self.apply();
        // An ordinary thread's timers may be 50 us late otherwise.
        if let Err(error) = nix::sys::prctl::set_timerslack(1) {
            problems.push(format!("Unable to set the timer slack - {error}"));
        }
        let mut real_time = self.real_time.unwrap_or(0);
        // Nobody has asked for it; most unprivileged processes may not.
        if self.nice == 0 && real_time == 0 && set_real_time(AUTOMATIC).is_ok() {
            limit_run(self.longest_run);
            real_time = AUTOMATIC;
        }
        (real_time, problems)
    }
}

/// Makes the thread an ordinary one again.
#[allow(unsafe_code)]
pub(crate) fn give_up(thread: i32) {
    // SAFETY: as in `set_real_time`. Where it fails the kernel goes on warning.
    unsafe {
        let parameters: libc::sched_param = std::mem::zeroed();
        libc::sched_setscheduler(thread, libc::SCHED_OTHER, &raw const parameters);
    }
}

/// The kernel sends SIGXCPU when we run so long without a pause, which must not be for ever on a
/// machine of one processor.
fn limit_run(limit: Option<Duration>) {
    // keepalived's default of 10 ms is short for a failover of hundreds of instances at one stroke.
    let limit = limit.unwrap_or(LONGEST_RUN);
    let micros = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX);
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_RTTIME) {
        let _ = setrlimit(Resource::RLIMIT_RTTIME, micros.min(hard), hard);
    }
}

/// Gives the calling thread a real-time priority, 1 to 99; what it starts has an ordinary one.
#[allow(unsafe_code)]
pub(crate) fn set_real_time(priority: u8) -> std::io::Result<()> {
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

/// Gives a thread a nice value; 0 is the calling thread.
#[allow(unsafe_code)]
fn set_nice(thread: i32, value: i32) -> std::io::Result<()> {
    // SAFETY: plain values.
    match unsafe { libc::setpriority(libc::PRIO_PROCESS, thread.cast_unsigned(), value) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// Has a script run as any other program does, whatever the nice value of the process that starts it.
/// Real-time priorities are not inherited; processors are, as with keepalived.
#[allow(unsafe_code)]
pub(crate) fn make_ordinary(script: &mut Command) {
    // SAFETY: plain values.
    let nice = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
    if nice != 0 {
        let reset = || {
            // Who may not be quicker stays slow.
            let _ = set_nice(0, 0);
            Ok(())
        };
        // SAFETY: what runs between fork and exec is one system call and allocates nothing.
        unsafe { script.pre_exec(reset) };
    }
}

/// The threads of this process; the calling one, if they cannot be told.
fn threads() -> Vec<i32> {
    let entries = std::fs::read_dir("/proc/self/task").into_iter().flatten();
    let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let ids: Vec<i32> = ids.collect();
    if ids.is_empty() { vec![0] } else { ids }
}
