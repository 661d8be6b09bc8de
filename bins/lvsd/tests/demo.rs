//! `lvsd demo` as a user runs it.

use std::io::Read as _;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::Duration;

use lvs_testkit::{Process, wait_until};
use nix::sys::signal::Signal;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(120);

fn demo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lvsd"));
    command.arg("demo").args(arguments);
    command
}

/// Runs a demo to its end with its files in `folder`; returns standard output, standard error, and
/// the exit code.
fn told(folder: &std::path::Path, arguments: &[&str]) -> (String, String, Option<i32>) {
    let output = demo(arguments)
        .env("TMPDIR", folder)
        .output()
        .expect("lvsd can be started");
    (
        String::from_utf8(output.stdout).expect("text"),
        String::from_utf8(output.stderr).expect("text"),
        output.status.code(),
    )
}

fn is_empty(folder: &std::path::Path) -> bool {
    std::fs::read_dir(folder)
        .expect("the folder is there")
        .next()
        .is_none()
}

#[test]
fn it_shows_the_spread_the_failure_and_the_recovery() {
    let folder = tempfile::tempdir().unwrap();
    let (json, story, code) = told(folder.path(), &["--load", "--seconds", "14", "--json"]);
    assert_eq!(code, Some(0), "{json}\n{story}");
    let summary: Value = serde_json::from_str(&json).expect("one JSON value");
    assert_eq!(summary["ok"], true);
    assert_eq!(summary["failed_requests"], 0);
    assert_eq!(
        summary["removed_after_seconds"].as_array().map(Vec::len),
        Some(1)
    );
    assert_eq!(
        summary["returned_after_seconds"].as_array().map(Vec::len),
        Some(1)
    );

    let phases = summary["phases"].as_array().expect("phases");
    let names: Vec<&str> = phases
        .iter()
        .filter_map(|phase| phase["phase"].as_str())
        .collect();
    assert_eq!(names, ["all", "without b"]);
    let weights = |phase: &Value| -> Vec<u64> {
        let servers = phase["servers"].as_array().into_iter().flatten();
        servers
            .filter_map(|server| server["weight"].as_u64())
            .collect()
    };
    assert_eq!(
        [weights(&phases[0]), weights(&phases[1])],
        [vec![5, 3, 1], vec![5, 0, 1]]
    );
    assert!(
        phases
            .iter()
            .all(|phase| phase["requests"].as_u64() > Some(20)),
        "{json}"
    );

    for line in [
        "server b dies",
        "has removed server b",
        "server b is back",
        "has added server b",
    ] {
        assert!(story.contains(line), "no '{line}' in {story}");
    }
    assert!(is_empty(folder.path()), "files are left");
}

#[test]
fn busy_ports_are_left_alone() {
    // The first ports that it would take; whoever has them, they are busy now.
    let held = [8080, 9101, 9102].map(|port| TcpListener::bind(("127.0.0.1", port)));
    let folder = tempfile::tempdir().unwrap();
    let (story, errors, code) = told(folder.path(), &["--seconds", "8"]);
    assert_eq!(code, Some(0), "{story}\n{errors}");
    for busy in ["127.0.0.1 8080 ", "127.0.0.1 9101 ", "127.0.0.1 9102 "] {
        assert!(!story.contains(busy), "{busy} in {story}");
    }
    drop(held);
}

#[test]
fn ctrl_c_ends_everything() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = demo(&[]);
    let mut process = Process::start(command.env("TMPDIR", folder.path()));
    process.wait_for("the director serves", LIMIT);
    let url = url(&process.output());
    process.signal(Signal::SIGINT);
    assert!(process.wait(LIMIT).success(), "{}", process.output());
    assert!(is_empty(folder.path()), "files are left");
    std::net::TcpStream::connect(url).expect_err("the service is gone");
}

#[test]
fn a_demo_that_is_killed_takes_its_director_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = demo(&[]);
    let mut process = Process::start(command.env("TMPDIR", folder.path()));
    process.wait_for("the director serves", LIMIT);
    let url = url(&process.output());
    std::net::TcpStream::connect(&url).expect("the service is there");
    process.signal(Signal::SIGKILL);
    process.wait(LIMIT);
    wait_until("the service to go", LIMIT, || {
        std::net::TcpStream::connect(&url).err()
    });
}

/// `127.0.0.1:8080` of `curl http://127.0.0.1:8080/`.
fn url(output: &str) -> String {
    let (_, rest) = output.split_once("curl http://").expect("the url is shown");
    let (address, _) = rest.split_once('/').expect("the url ends with a slash");
    address.to_owned()
}

#[test]
fn a_reader_that_leaves_does_not_matter() {
    let mut child = demo(&["--seconds", "8"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("lvsd can be started");
    let mut first = [0; 10];
    let mut stdout = child.stdout.take().expect("it is piped");
    stdout.read_exact(&mut first).expect("it says something");
    drop(stdout);
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn lengths_that_are_too_short_are_refused() {
    let output = demo(&["--seconds", "3"])
        .output()
        .expect("lvsd can be started");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("8..=86400"));
}
