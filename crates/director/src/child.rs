//! Starting a child, and being one.
//!
//! # Design
//! A child is this very binary, run again from `/proc/self/exe`: after an upgrade of the file on
//! disk, old parents still get old children. Its end of a Unix socket pair is its standard input,
//! which needs no unsafe code on either side. It ends with its parent in two ways: the socket
//! reports its end, and the kernel sends a signal (`PR_SET_PDEATHSIG`) should the child be too busy
//! to look.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getppid};
use tokio::net::UnixStream;

use crate::daemon;
use crate::role::Role;

/// The hidden subcommand of `lvsd` that makes it a child; the process's [`Role::name`] follows, then
/// the parent's process id.
pub const CHILD_SUBCOMMAND: &str = "__child";

/// Starts a child; returns it and our end of the socket pair.
///
/// # Errors
///
/// When the process or the socket pair cannot be made.
pub fn start(role: Role) -> io::Result<(tokio::process::Child, UnixStream)> {
    let (ours, theirs) = StdUnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("lvsd")
        .env_remove(daemon::MARK)
        .args([
            CHILD_SUBCOMMAND,
            role.name(),
            &std::process::id().to_string(),
        ])
        .stdin(Stdio::from(OwnedFd::from(theirs)));
    let child = tokio::process::Command::from(command).spawn()?;
    Ok((child, UnixStream::from_std(ours)?))
}

/// Makes this process a proper child of `parent`, and returns its end of the socket pair.
///
/// To be called once, first of all and inside a tokio runtime: it takes standard input away.
///
/// # Errors
///
/// When the parent is gone already or standard input is not a socket.
pub fn adopt(role: Role, parent: i32) -> io::Result<UnixStream> {
    // The proxy has nothing to tidy up; the checker may have to empty the kernel's table, the VRRP
    // process to remove its addresses.
    let signal = match role {
        Role::Proxy => Signal::SIGKILL,
        Role::Parent | Role::Checker | Role::Vrrp => Signal::SIGTERM,
    };
    prctl::set_pdeathsig(signal)?;
    // The parent may have died before the call above.
    if is_orphan(parent) {
        return Err(io::Error::other("the parent process is gone"));
    }
    let name = match role {
        Role::Parent => c"lvsd",
        Role::Checker => c"lvsd-checker",
        Role::Proxy => c"lvsd-proxy",
        Role::Vrrp => c"lvsd-vrrp",
    };
    prctl::set_name(name)?;
    let socket = StdUnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // Scripts that are started later must not inherit it.
    let null = std::fs::File::open("/dev/null")?;
    nix::unistd::dup2_stdin(null)?;
    socket.set_nonblocking(true)?;
    UnixStream::from_std(socket)
}

/// Gives the process another name, as ps(1) shows it. To be called on its first thread.
pub fn call_itself(name: Option<&str>) {
    let name = name.and_then(|name| CString::new(name).ok());
    if let Some(name) = name {
        // The kernel cuts what is too long; nothing else can be wrong.
        let _ = prctl::set_name(&name);
    }
}

/// Whether this process has outlived `parent`.
#[must_use]
pub fn is_orphan(parent: i32) -> bool {
    getppid() != Pid::from_raw(parent)
}

/// Keeps signals that are meant for the parent from ending a child: SIGINT and SIGHUP, which a
/// terminal sends to the whole process group, and SIGTERM, which a service manager sends to every
/// process of the service. What they mean is the parent's to decide, and a proxy that ended by itself
/// would cut the connections that are to be drained. Handled and not ignored, because scripts would
/// inherit that.
///
/// # Errors
///
/// When a handler cannot be set.
pub fn leave_signals_to_parent() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    for kind in [
        SignalKind::interrupt(),
        SignalKind::hangup(),
        SignalKind::terminate(),
    ] {
        // The handler stays for the life of the process.
        drop(signal(kind)?);
    }
    Ok(())
}
