//! Becoming a daemon without `fork`.
//!
//! # Design
//! The process that the shell started runs the binary again with the same arguments and waits until
//! that one says that it is up, or ends. The second process makes itself the leader of a session of
//! its own. So nothing has to be safe across a `fork`, and the exit status that the shell sees is the
//! truth: 0 when the director runs, its own code when it could not start.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::exit::Exit;

/// Set in the environment of the second process, and kept from all that it starts.
pub(crate) const MARK: &str = "LVSD_DAEMON";

/// Which of the two processes this is.
#[derive(Debug)]
pub enum Daemon {
    /// The first: the second has started, or ended with this code. To be returned from `main`.
    First(u8),
    /// The second: call [`Started::tell`] when the director runs.
    Second(Started),
}

/// The way to tell the first process.
#[derive(Debug)]
pub struct Started(UnixStream);

impl Started {
    /// The director runs: lets the first process end with status 0.
    pub fn tell(mut self) {
        // The first process may have been killed; the director runs all the same.
        let _ = self.0.write_all(b"1");
    }
}

/// Splits into two processes. To be called before there are threads.
///
/// `keep_stderr` leaves standard error to the daemon, for `--log-console`.
///
/// # Errors
///
/// When the second process cannot be started.
pub fn split(keep_stderr: bool) -> io::Result<Daemon> {
    if std::env::var_os(MARK).is_some() {
        nix::unistd::setsid()?;
        let told = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        nix::unistd::dup2_stdin(std::fs::File::open("/dev/null")?)?;
        return Ok(Daemon::Second(Started(told)));
    }
    let (mut ours, theirs) = UnixStream::pair()?;
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_else(|| "lvsd".into());
    let stderr = if keep_stderr {
        Stdio::inherit()
    } else {
        Stdio::null()
    };
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0(name)
        .args(arguments)
        .env(MARK, "1")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(stderr);
    let mut child = command.spawn()?;
    // The command still holds the other end, and would keep the end of the stream from being seen.
    drop(command);
    let mut told = [0];
    if ours.read(&mut told)? == 1 {
        return Ok(Daemon::First(Exit::Ok.code()));
    }
    let code = child.wait()?.code();
    Ok(Daemon::First(
        code.and_then(|code| u8::try_from(code).ok())
            .unwrap_or(Exit::Software.code()),
    ))
}
