//! Being on time: scheduling, memory, timers.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use kconf_parser::config::{Globals, VrrpGlobals};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::mman::{MlockAllFlags, mlockall, munlockall};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;

/// The real-time priority that is taken when the configuration says nothing: the lowest, which is
/// above everything that is not real-time.
const AUTOMATIC: u8 = 1;

/// How long it may run without a pause unless the configuration says so.
const LONGEST_RUN: Duration = Duration::from_secs(1);

/// What the configuration says about a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wishes<'a> {
    /// The process, for messages.
    process: &'static str,
    /// Whether its memory is locked.
    no_swap: bool,
    /// Processors that it may run on; empty: all.
    cpus: &'a [u32],
    /// Its nice value.
    nice: i32,
    /// Its real-time priority.
    real_time: Option<u8>,
    /// Whether the lowest real-time priority is taken where nothing is said about priorities: a backup
    /// that is not scheduled takes the master for dead.
    is_timekeeper: bool,
    /// The longest run without a pause at real-time priority; `None` is [`LONGEST_RUN`].
    longest_run: Option<Duration>,
}

impl<'a> Wishes<'a> {
    /// Those for the checker.
    pub(crate) fn of_checker(globals: &'a Globals) -> Self {
        Self {
            process: "checker",
            no_swap: globals.checker_no_swap,
            cpus: &globals.checker_cpu_affinity,
            nice: globals.checker_priority,
            real_time: globals.checker_rt_priority,
            is_timekeeper: false,
            longest_run: globals.checker_rlimit_rttime,
        }
    }

    /// Those for the VRRP process.
    pub(crate) fn of_vrrp(globals: &'a VrrpGlobals) -> Self {
        Self {
            process: "VRRP",
            no_swap: globals.no_swap,
            cpus: &globals.cpu_affinity,
            nice: globals.priority,
            real_time: globals.rt_priority,
            is_timekeeper: true,
            longest_run: globals.rlimit_rttime,
        }
    }

    /// Those for the BFD sessions, which have a thread of the VRRP process. The limit is that of the
    /// process.
    pub(crate) fn of_sessions(globals: &'a VrrpGlobals) -> Self {
        Self {
            process: "BFD",
            no_swap: globals.bfd.no_swap,
            cpus: &globals.bfd.cpu_affinity,
            nice: globals.bfd.priority,
            real_time: globals.bfd.rt_priority,
            is_timekeeper: true,
            longest_run: globals.rlimit_rttime,
        }
    }

    /// Makes the process what is wished, with all threads that it has by now and that these start;
    /// a real-time priority is for one thread alone. What is not possible is told.
    pub(crate) fn apply(&self, thread: i32) -> Vec<String> {
        self.apply_to(&threads(), thread)
    }

    /// Makes one thread of a process what is wished, whatever it was; 0 is the calling thread. Memory is
    /// that of the process.
    pub(crate) fn apply_to_one(&self, thread: i32) -> Vec<String> {
        if self.real_time.is_none() {
            give_up(thread);
        }
        self.apply_to(&[thread], thread)
    }

    fn apply_to(&self, threads: &[i32], thread: i32) -> Vec<String> {
        let mut problems = Vec::new();
        let mut tell = |what: &str, error: &dyn std::fmt::Display| {
            let process = self.process;
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
            if let Err(error) = set_cpus(threads, &cpus) {
                tell("set the processors", &error);
            }
        }
        if self.nice != 0
            && let Err(error) = set_nice_of(threads, self.nice)
        {
            tell("set the priority", &error);
        }
        match self.real_time {
            Some(priority) => match set_real_time_of(thread, priority) {
                Ok(()) => limit_run(self.longest_run),
                Err(error) => tell("set the real-time priority", &error),
            },
            None => {
                let is_wanted = self.is_timekeeper && self.nice == 0;
                // Nobody has asked for it; most unprivileged processes may not.
                if is_wanted && set_real_time_of(thread, AUTOMATIC).is_ok() {
                    limit_run(self.longest_run);
                }
            }
        }
        problems
    }

    /// The same after a reload: what was wished before and is not any more ends.
    pub(crate) fn replace(&self, before: &Self, thread: i32) -> Vec<String> {
        if self == before {
            return Vec::new();
        }
        // Nothing is lost when one of these fails: what was, goes on.
        if !self.no_swap {
            let _ = munlockall();
        }
        if self.cpus.is_empty() && !before.cpus.is_empty() {
            let mut all = CpuSet::new();
            for number in 0..CpuSet::count() {
                let _ = all.set(number);
            }
            let _ = set_cpus(&threads(), &all);
        }
        if self.nice == 0 && before.nice != 0 {
            let _ = set_nice_of(&threads(), 0);
        }
        if self.real_time.is_none() {
            give_up(thread);
        }
        self.apply(thread)
    }
}

/// Has the timers of the calling thread be as exact as they can: those of an ordinary one may be 50 us
/// late. Gives what is not possible.
pub(crate) fn be_exact() -> Option<String> {
    let done = nix::sys::prctl::set_timerslack(1);
    done.err()
        .map(|error| format!("Unable to set the timer slack - {error}"))
}

/// The real-time priority of the calling thread; 0 for none.
#[allow(unsafe_code)]
pub(crate) fn real_time() -> u8 {
    // SAFETY: all zeros is a valid sched_param; the pointer is to a local that outlives the call.
    let priority = unsafe {
        let mut parameters: libc::sched_param = std::mem::zeroed();
        libc::sched_getparam(0, &raw mut parameters);
        parameters.sched_priority
    };
    u8::try_from(priority).unwrap_or(0)
}

/// Makes the thread an ordinary one again.
#[allow(unsafe_code)]
pub(crate) fn give_up(thread: i32) {
    // SAFETY: as in `set_real_time_of`. Where it fails the kernel goes on warning.
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
pub(crate) fn set_real_time(priority: u8) -> io::Result<()> {
    set_real_time_of(0, priority)
}

#[allow(unsafe_code)]
fn set_real_time_of(thread: i32, priority: u8) -> io::Result<()> {
    // SAFETY: all zeros is a valid sched_param; the pointer is to a local that outlives the call.
    let result = unsafe {
        let mut parameters: libc::sched_param = std::mem::zeroed();
        parameters.sched_priority = priority.into();
        libc::sched_setscheduler(
            thread,
            libc::SCHED_RR | libc::SCHED_RESET_ON_FORK,
            &raw const parameters,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn set_nice_of(threads: &[i32], value: i32) -> io::Result<()> {
    for_all(threads, |thread| set_nice(thread, value))
}

fn set_cpus(threads: &[i32], cpus: &CpuSet) -> io::Result<()> {
    for_all(threads, |thread| {
        Ok(sched_setaffinity(Pid::from_raw(thread), cpus)?)
    })
}

/// Does something to threads, until it fails; those that have ended meanwhile need nothing.
fn for_all(threads: &[i32], each: impl Fn(i32) -> io::Result<()>) -> io::Result<()> {
    let results = threads.iter().map(|thread| each(*thread));
    let mut errors = results
        .filter_map(Result::err)
        .filter(|error| error.raw_os_error() != Some(libc::ESRCH));
    errors.next().map_or(Ok(()), Err)
}

/// Gives a thread a nice value; 0 is the calling thread.
#[allow(unsafe_code)]
fn set_nice(thread: i32, value: i32) -> io::Result<()> {
    // SAFETY: plain values.
    match unsafe { libc::setpriority(libc::PRIO_PROCESS, thread.cast_unsigned(), value) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
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
