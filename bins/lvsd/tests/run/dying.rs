//! Processes that die, and the end in good order.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use lvs_testkit::free_port;
use nix::sys::signal::{Signal, kill};

use crate::backend::Backend;
use crate::lab::{LIMIT, Lab, get, is_gone, real_server, virtual_server};
use crate::load::Load;

#[test]
fn a_killed_checker_loses_no_request_and_changes_no_weight() {
    let (a, b, mut dead) = (
        Backend::start("a"),
        Backend::start("b"),
        Backend::start("dead"),
    );
    let port = free_port();
    let servers =
        [(&a, 2), (&b, 1), (&dead, 4)].map(|(server, weight)| real_server(server, weight, ""));
    let lab = Lab::start(&virtual_server(port, &servers.concat()));
    lab.wait_serving();
    dead.stop();
    let weights = [(a.port(), 2), (b.port(), 1)];
    lab.wait("the dead server's removal", |lab| lab.weights() == weights);
    let load = Load::start(port);
    load.wait_for_more(100);
    for _ in 0..2 {
        lab.kill_child("checker");
        assert_eq!(
            lab.weights(),
            weights,
            "what the dead checker knew is known"
        );
        load.wait_for_more(100);
    }
    assert_eq!(load.stop(), Vec::<String>::new());
    assert_eq!(lab.count("Healthcheck child process("), 2);
    assert_eq!(
        lab.count("Restart of Healthcheck process delayed 0 seconds to limit respawn rate"),
        1
    );
    assert_eq!(
        lab.count("Restart of Healthcheck process delayed 1 seconds to limit respawn rate"),
        1
    );
    // Nothing was announced twice.
    assert_eq!(lab.count("Gained quorum"), 1);
    assert_eq!(lab.count("Removing service"), 1);
    // And it still checks.
    dead.resume();
    lab.wait("the server's return", |lab| lab.weights().len() == 3);
}

#[test]
fn a_killed_proxy_is_replaced_and_gets_the_whole_table_again() {
    let (a, mut dead) = (Backend::start("a"), Backend::start("dead"));
    let port = free_port();
    let servers = [real_server(&a, 2, ""), real_server(&dead, 1, "")].concat();
    let lab = Lab::start(&virtual_server(port, &servers));
    lab.wait_serving();
    dead.stop();
    lab.wait("the removal", |lab| lab.weights() == [(a.port(), 2)]);
    lab.kill_child("proxy");
    lab.wait("service", |_| get(port).as_deref() == Some("a"));
    assert_eq!(lab.weights(), [(a.port(), 2)]);
}

#[test]
fn all_children_of_a_killed_parent_end_within_a_second() {
    let a = Backend::start("a");
    let port = free_port();
    // A machine that is busy elsewhere may be late once, not every time.
    let mut taken = Vec::new();
    while taken
        .last()
        .is_none_or(|time| *time >= Duration::from_secs(1))
    {
        assert!(taken.len() < 5, "the children took {taken:?}");
        let lab = Lab::start(&virtual_server(port, &real_server(&a, 1, "")));
        lab.wait_serving();
        let children = [lab.child("checker"), lab.child("proxy")];
        assert!(!children.iter().any(|child| is_gone(*child)));
        lab.lvsd.signal(Signal::SIGKILL);
        let killed = Instant::now();
        lab.wait("the children's end", |_| {
            children.iter().all(|child| is_gone(*child))
        });
        taken.push(killed.elapsed());
    }
    // The next one finds everything free, whatever was left behind.
    let next = Lab::start(&virtual_server(port, &real_server(&a, 1, "")));
    next.wait_serving();
    assert!(get(port).is_some());
}

#[test]
fn a_stop_lets_a_request_end_and_takes_no_new_one() {
    let a = Backend::start("a");
    let port = free_port();
    let mut lab = Lab::start(&virtual_server(port, &real_server(&a, 1, "")));
    lab.wait_serving();
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n").unwrap();
    lab.wait("the connection to be counted", |lab| {
        lab.server(a.port())
            .is_some_and(|server| server.counters.active_conns == 1)
    });
    lab.lvsd.signal(Signal::SIGTERM);
    lab.lvsd.wait_for("Draining 1 connections", LIMIT);
    lab.wait("new connections to be refused", |_| {
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err()
    });
    stream.write_all(b"\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("\r\n\r\na"), "{answer}");
    drop(stream);
    assert_eq!(lab.lvsd.wait(LIMIT).code(), Some(0));
    lab.lvsd.wait_for("Stopped Keepalived v", LIMIT);
    assert_eq!(
        lab.count(&format!(
            "Shutting down service [127.0.0.1]:tcp:{}",
            a.port()
        )),
        1
    );
    assert_eq!(
        std::fs::read_dir(lab.run_dir()).unwrap().count(),
        0,
        "sockets and pid files are gone"
    );
}

#[test]
fn a_signal_to_every_process_is_a_stop_in_good_order_too() {
    let a = Backend::start("a");
    let port = free_port();
    let mut lab = Lab::start(&virtual_server(port, &real_server(&a, 1, "")));
    lab.wait_serving();
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n").unwrap();
    lab.wait("the connection to be counted", |lab| {
        lab.server(a.port())
            .is_some_and(|server| server.counters.active_conns == 1)
    });
    // As systemd does; the parent last, so that the others have had their chance to go wrong.
    let children = [lab.child("checker"), lab.child("proxy")];
    for child in children {
        kill(child, Signal::SIGTERM).unwrap();
    }
    lab.lvsd.signal(Signal::SIGTERM);
    lab.lvsd.wait_for("Draining 1 connections", LIMIT);
    stream.write_all(b"\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("\r\n\r\na"), "{answer}");
    assert_eq!(lab.lvsd.wait(LIMIT).code(), Some(0));
    assert_eq!(lab.count("died"), 0);
}

#[test]
fn connections_that_do_not_end_are_cut_at_the_limit() {
    let a = Backend::start("a");
    let port = free_port();
    let text = virtual_server(port, &real_server(&a, 1, ""));
    let mut lab = Lab::start_with(&text, &["--drain-timeout", "0.3"]);
    lab.wait_serving();
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    lab.wait("the connection to be counted", |lab| {
        lab.server(a.port())
            .is_some_and(|server| server.counters.active_conns == 1)
    });
    lab.lvsd.signal(Signal::SIGTERM);
    lab.lvsd
        .wait_for("1 connections were still open and have been cut", LIMIT);
    assert_eq!(lab.lvsd.wait(LIMIT).code(), Some(0));
    assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
}

#[test]
fn a_second_signal_ends_at_once() {
    let a = Backend::start("a");
    let port = free_port();
    let text = virtual_server(port, &real_server(&a, 1, ""));
    let mut lab = Lab::start_with(&text, &["--drain-timeout", "3600"]);
    lab.wait_serving();
    let _stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    lab.wait("the connection to be counted", |lab| {
        lab.server(a.port())
            .is_some_and(|server| server.counters.active_conns == 1)
    });
    lab.lvsd.signal(Signal::SIGINT);
    lab.lvsd.wait_for("Draining", LIMIT);
    lab.lvsd.signal(Signal::SIGINT);
    assert_eq!(lab.lvsd.wait(LIMIT).code(), Some(0));
}

#[test]
fn without_respawn_the_end_of_a_child_is_the_end_of_all() {
    let mut lab = Lab::start_with("", &["-R"]);
    let (checker, proxy) = (lab.child("checker"), lab.child("proxy"));
    kill(checker, Signal::SIGKILL).unwrap();
    assert_eq!(lab.lvsd.wait(LIMIT).code(), Some(1));
    assert!(is_gone(proxy));
    assert_eq!(lab.count("died: Exiting"), 1);
}

#[test]
fn a_daemon_returns_to_the_shell_when_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keepalived.conf");
    let environment = folder.path().join("environment");
    let text = format!(
        "global_defs {{\n script_user root\n startup_script \"/bin/sh -c 'env > {}'\"\n}}\n",
        environment.display()
    );
    std::fs::write(&path, text).unwrap();
    let pid_file = folder.path().join("daemon.pid");
    let start = || {
        let mut shell = lvs_testkit::Process::start(
            std::process::Command::new(env!("CARGO_BIN_EXE_lvsd"))
                .args(["-G", "--dataplane", "userspace", "-f"])
                .arg(&path)
                .arg("-p")
                .arg(&pid_file)
                .arg("--run-dir")
                .arg(folder.path().join("run")),
        );
        shell.wait(LIMIT).code()
    };
    assert_eq!(start(), Some(0));
    let text = std::fs::read_to_string(&pid_file).unwrap();
    let pid = nix::unistd::Pid::from_raw(text.trim().parse().unwrap());
    assert!(!is_gone(pid));
    assert_eq!(
        nix::unistd::getsid(Some(pid)),
        Ok(pid),
        "it leads a session of its own"
    );
    let environment = std::fs::read_to_string(environment).unwrap();
    assert!(
        environment.contains("PATH=") && !environment.contains("LVSD_DAEMON"),
        "what scripts start is no daemon's second process: {environment}"
    );
    assert_eq!(start(), Some(0), "a second one finds it running");
    kill(pid, Signal::SIGTERM).unwrap();
    lvs_testkit::wait_until("the daemon's end", LIMIT, || is_gone(pid).then_some(()));
    assert!(!pid_file.exists());
    std::fs::remove_file(&path).unwrap();
    assert_eq!(
        start(),
        Some(6),
        "the daemon's own exit status reaches the shell"
    );
}

#[test]
fn signals_write_files_or_are_ignored_and_harm_nobody() {
    let server = Backend::start("a");
    let lab = Lab::start(&virtual_server(free_port(), &real_server(&server, 3, "")));
    lab.wait_serving();
    let pid = lab.status().pid;
    for (name, line) in [
        ("DATA", "Printing checker data for process("),
        ("STATS", "SIGUSR2 ignored: there is no virtual router"),
        (
            "STATS_CLEAR",
            "SIGRTMAX-1 ignored: there is no virtual router",
        ),
        ("JSON", "SIGRTMIN+2 ignored: there is no virtual router"),
        ("TDUMP", "SIGRTMAX ignored"),
    ] {
        let number = std::process::Command::new(env!("CARGO_BIN_EXE_lvsd"))
            .args(["--signum", name])
            .output()
            .unwrap();
        let number = String::from_utf8(number.stdout).unwrap();
        let kill = format!("kill -{} {pid}", number.trim());
        assert!(
            std::process::Command::new("sh")
                .args(["-c", &kill])
                .status()
                .unwrap()
                .success()
        );
        lab.wait(name, |lab| lab.count(line) == 1);
    }
    assert_eq!(lab.count("Printing parent data for process("), 1);
    let file = lab.path("keepalived_check.data");
    lab.wait("the file", |_| file.exists());
    let text = std::fs::read_to_string(file).unwrap();
    let port = server.port();
    for line in [
        "------< Global definitions >------\n".to_owned(),
        "------< LVS Topology >------\n".to_owned(),
        format!("   RIP = 127.0.0.1, RPORT = {port}, WEIGHT = 3 EFF WEIGHT = 3\n"),
        format!(" -> [127.0.0.1]:tcp:{port}\n   Up = yes\n"),
        "   Keepalive method = HTTP_GET\n".to_owned(),
    ] {
        assert!(text.contains(&line), "{line} is not in {text}");
    }
    assert!(lab.path("keepalived_parent.data").exists());
    assert_eq!(lab.status().pid, pid);
}
