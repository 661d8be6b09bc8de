//! A log that nobody reads.

use std::io::{PipeReader, PipeWriter, Write};
use std::process::{Child, Command};

use director::control::Client;
use lvs_testkit::{free_port, wait_until};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::backend::Backend;
use crate::lab::{LIMIT, get, real_server, virtual_server};

/// A pipe that takes no more, as a terminal after Ctrl-S.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let set = |flags| fcntl(&writer, FcntlArg::F_SETFL(flags)).expect("our own pipe");
    set(OFlag::O_NONBLOCK);
    while (&mut &writer).write(b"x").is_ok() {}
    set(OFlag::empty());
    writer.flush().expect("nothing to do");
    (reader, writer)
}

/// Ends the director, however the test ends.
struct Director(Child);

impl Drop for Director {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_director_whose_log_nobody_reads_serves_checks_reloads_and_stops() {
    let (a, mut b) = (Backend::start("a"), Backend::start("b"));
    let port = free_port();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("keepalived.conf");
    let configure = |weight| {
        let servers = real_server(&a, weight, "") + &real_server(&b, 1, "");
        std::fs::write(&path, virtual_server(port, &servers)).expect("writable");
    };
    configure(1);
    let (_reader, writer) = full_pipe();
    let run_dir = folder.path().join("run");
    let lvsd = Command::new(env!("CARGO_BIN_EXE_lvsd"))
        .args(["-n", "-l", "-D", "-G", "--dataplane", "userspace", "-f"])
        .arg(&path)
        .arg("--run-dir")
        .arg(&run_dir)
        .stderr(writer)
        .spawn()
        .expect("lvsd can be started");
    let mut lvsd = Director(lvsd);
    let pid = Pid::from_raw(i32::try_from(lvsd.0.id()).expect("a process id"));
    let weights = || -> Option<Vec<(bool, u32)>> {
        let mut client = Client::connect(&run_dir.join("control.sock")).ok()?;
        let servers = client.status().ok()?.services.into_iter().next()?.servers;
        Some(servers.iter().map(|s| (s.in_table, s.weight)).collect())
    };
    let see = |what: &str, wanted: fn(&[(bool, u32)]) -> bool| {
        wait_until(what, LIMIT, || wanted(&weights()?).then_some(()));
    };
    see("both servers", |servers| servers == [(true, 1), (true, 1)]);
    assert!(get(port).is_some());
    configure(7);
    kill(pid, Signal::SIGHUP).expect("our own child");
    see("the new weight", |servers| {
        servers.first() == Some(&(true, 7))
    });
    b.stop();
    see("the removal", |servers| {
        servers.get(1).is_some_and(|b| !b.0)
    });
    kill(pid, Signal::SIGTERM).expect("our own child");
    let status = wait_until("its end", LIMIT, || {
        lvsd.0.try_wait().expect("our own child")
    });
    assert_eq!(status.code(), Some(0));
}
