//! The first process inside a kernel of the lab: mounts, modules, one job after the other, off.
//!
//! Design: the kernel shares the file system of the machine, so the same binary that booted it is
//! its first process, and what it runs are the files that were just built. Nothing on the machine
//! is changed but what a job changes: `/run`, `/tmp` as `TMPDIR`, `/dev`, `/proc` and `/sys` are its
//! own. What programs print goes through a pipe to the serial line, so that they do not see a
//! terminal; notices go to the console.

use std::convert::Infallible;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};

use anyhow::{Context, Result, bail};
use lvs_testkit::SKIPPED_FILE;
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios;
use nix::sys::wait::{WaitStatus, wait};
use nix::unistd::Pid;

use super::job::{self, End, Job, Notice};
use super::kernel::FOLDER;

/// The line that carries what the jobs print, or the shell of `--keep`.
const SERIAL: &str = "/dev/ttyS0";

/// Where modules are looked for; below it, `lib/modules`.
const MODULES: &str = "/run/lab";

/// Loaded before the jobs: what tests take for granted. Anything else the kernel asks for itself.
const PRELOADED: &[&str] = &[
    "ip_vs",
    "ip_vs_rr",
    "ip_vs_wrr",
    "ip_vs_lc",
    "ip_vs_wlc",
    "ip_vs_lblc",
    "ip_vs_lblcr",
    "ip_vs_dh",
    "ip_vs_sh",
    "ip_vs_sed",
    "ip_vs_nq",
    "ip_vs_fo",
    "ip_vs_ovf",
    "ip_vs_mh",
    "ip_vs_pe_sip",
    "veth",
    "bridge",
];

/// Does the jobs of this boot and switches the kernel off. Returns only if even that fails.
pub(crate) fn run() -> Result<Infallible> {
    if std::process::id() != 1 {
        bail!("only for the first process of the lab's kernel");
    }
    let folder = std::env::var_os(FOLDER).context("the kernel was not booted by us")?;
    let folder = Path::new(&folder);
    let outcome = prepare().and_then(|()| do_jobs(folder));
    // To the console, which the outside reads; there is nobody else.
    match outcome {
        Ok(()) => notify(Notice::Off)?,
        Err(error) => console()?.write_all(format!("lab: {error:#}\n").as_bytes())?,
    }
    nix::unistd::sync();
    Ok(reboot(RebootMode::RB_POWER_OFF)?)
}

fn prepare() -> Result<()> {
    mount_at("proc", "/proc", "")?;
    mount_at("sysfs", "/sys", "")?;
    mount_at("tmpfs", "/run", "mode=755")?;
    mount_at("devtmpfs", "/dev", "")?;
    for inner in [
        "/dev/pts",
        "/dev/shm",
        "/run/lock",
        "/run/netns",
        "/run/tmp",
    ] {
        fs::create_dir_all(inner)?;
    }
    mount_at("devpts", "/dev/pts", "")?;
    mount_at("tmpfs", "/dev/shm", "mode=1777")?;
    mount_at("tmpfs", "/run/tmp", "mode=1777")?;
    for (name, target) in [
        ("fd", ""),
        ("stdin", "/0"),
        ("stdout", "/1"),
        ("stderr", "/2"),
    ] {
        let _ = symlink(format!("/proc/self/fd{target}"), format!("/dev/{name}"));
    }
    fs::write("/proc/sys/kernel/hostname", "lab")?;
    load_modules()?;
    let status = Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .status();
    status.context("cannot run ip")?;
    Ok(())
}

fn mount_at(kind: &str, target: &str, options: &str) -> Result<()> {
    let flags = MsFlags::empty();
    match mount(Some(kind), target, Some(kind), flags, Some(options)) {
        // The kernel itself has mounted `/dev`.
        Err(Errno::EBUSY) => Ok(()),
        result => result.with_context(|| format!("cannot mount {target}")),
    }
}

/// Debian keeps the modules where modprobe does not look, so the kernel gets a modprobe of its own.
fn load_modules() -> Result<()> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let release = release.trim();
    let place = Path::new(MODULES).join("lib/modules");
    fs::create_dir_all(&place)?;
    symlink(
        Path::new("/usr/lib/uml/modules").join(release),
        place.join(release),
    )?;
    let script = Path::new(MODULES).join("modprobe");
    fs::write(
        &script,
        format!("#!/bin/sh\nexec /sbin/modprobe -d {MODULES} \"$@\"\n"),
    )?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    fs::write(
        "/proc/sys/kernel/modprobe",
        script.as_os_str().as_encoded_bytes(),
    )?;
    let loaded = Command::new(&script).arg("-a").args(PRELOADED).output();
    let loaded = loaded.context("cannot run modprobe")?;
    // Not fatal: tests that need one say so.
    console()?.write_all(&loaded.stderr)?;
    Ok(())
}

fn do_jobs(folder: &Path) -> Result<()> {
    let jobs = job::read(folder)?;
    // What is typed before a shell reads it is kept only while the line is open.
    let _open = open(SERIAL)?;
    notify(Notice::Ready)?;
    for (number, job) in jobs.iter().enumerate() {
        if !job::take(folder, number)? {
            continue;
        }
        // Behind what the job prints, on the same line, so that the outside knows whose it is.
        let mut line = if job.shell { console()? } else { open(SERIAL)? };
        let mut notify = |notice: Notice| line.write_all(format!("{notice}\n").as_bytes());
        notify(Notice::Began(number))?;
        let end = run_job(job, &job::skipped_file(folder, number))
            .with_context(|| format!("cannot run {}", job.name))?;
        clean_up();
        notify(Notice::Ended(number, end))?;
    }
    // What is in the line has to leave before the kernel does.
    termios::tcdrain(open(SERIAL)?)?;
    Ok(())
}

/// Runs a job to its end, copying what it prints to the serial line.
fn run_job(job: &Job, skipped: &Path) -> Result<End> {
    let (reader, writer) = std::io::pipe()?;
    let child = Command::new(&job.program)
        .args(&job.arguments)
        .current_dir(&job.folder)
        .envs(job.environment.iter().map(|(name, value)| (name, value)))
        .env(SKIPPED_FILE, skipped)
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn()?;
    let pid = Pid::from_raw(child.id().cast_signed());
    let (ended, has_ended) = channel::<()>();
    let limit = job.limit;
    std::thread::scope(|scope| {
        let copier = scope.spawn(move || copy(reader));
        let guard = scope.spawn(move || {
            let timed_out = has_ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
            if timed_out {
                let _ = kill(pid, Signal::SIGKILL);
            }
            timed_out
        });
        let status = wait_for(pid)?;
        drop(ended);
        let timed_out = guard.join().unwrap_or(false);
        // Whoever still holds the pipe has been left behind.
        let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
        let _ = copier.join();
        Ok(match status {
            _ if timed_out => End::TimedOut,
            WaitStatus::Exited(_, code) => End::Status(code),
            WaitStatus::Signaled(_, signal, _) => End::Signal(signal as i32),
            other => bail!("unexpected end: {other:?}"),
        })
    })
}

/// Waits for a child; others that end meanwhile have lost their parents to us.
fn wait_for(pid: Pid) -> Result<WaitStatus> {
    loop {
        let status = wait()?;
        if status.pid() == Some(pid) {
            return Ok(status);
        }
    }
}

/// Takes away what a job has left, so that the next one finds a fresh machine.
fn clean_up() {
    while wait().is_ok() {}
    let Ok(namespaces) = fs::read_dir("/run/netns") else {
        return;
    };
    for entry in namespaces.flatten() {
        let name = entry.file_name();
        let _ = ip(&[OsStr::new("netns"), OsStr::new("delete"), &name]);
    }
}

fn ip(arguments: &[&OsStr]) -> std::io::Result<std::process::ExitStatus> {
    Command::new("ip")
        .args(arguments)
        .stderr(Stdio::null())
        .status()
}

/// Copies whole lines to the serial line, so that those of a dying kernel stand apart.
fn copy(from: impl std::io::Read) -> Result<()> {
    let mut serial = open(SERIAL)?;
    let mut reader = BufReader::new(from);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        // Whoever died in the middle of one; what comes next has to begin a line.
        if !line.ends_with(b"\n") {
            line.push(b'\n');
        }
        if serial.write_all(&line).is_err() {
            // The end of a shell on that line has hung it up.
            serial = open(SERIAL)?;
            serial.write_all(&line)?;
        }
        line.clear();
    }
    Ok(())
}

fn notify(notice: Notice) -> Result<()> {
    Ok(console()?.write_all(format!("{notice}\n").as_bytes())?)
}

fn console() -> Result<File> {
    open("/dev/console")
}

fn open(path: &str) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(nix::fcntl::OFlag::O_NOCTTY.bits())
        .open(path)
        .with_context(|| format!("cannot open {path}"))
}
