//! What lvsadm adds to ipvsadm, and how it meets the world: sockets, pipes, odd bytes.

#[path = "support/plane.rs"]
mod plane;

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Output, Stdio};

use ipvs_netlink::{
    ConnectionEntry, Destination, ForwardMethod, ServiceKey, Stats, VirtualService,
};
use plane::{Plane, Served};
use serde_json::Value;

const LINE: &str =
    "UDP C0A84D02 0000 0A000007 13C4 0A01001F 13C4 NONE             44 sip call-0001@lab";

fn lvsadm() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lvsadm"));
    command
        .env_remove("LVSD_SOCKET")
        .env_remove("XDG_RUNTIME_DIR")
        .stdin(Stdio::null());
    command
}

fn run(served: &Served, arguments: &[&str]) -> Output {
    lvsadm()
        .arg("--socket")
        .arg(&served.socket)
        .args(arguments)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A table with one service of one server.
fn served() -> Served {
    let served = Served::new(Plane {
        stats: Stats {
            conns: 5_000_000_000,
            ..Stats::default()
        },
        connections: vec![ConnectionEntry::parse(LINE).unwrap()],
    });
    let service = ServiceKey::tcp(([10, 0, 0, 7], 80).into());
    add_service(&served, service, "sh");
    let destination = Destination::new(([10, 1, 0, 31], 8080).into(), ForwardMethod::Masq);
    let command = ipvs_netlink::Command::AddDestination {
        service,
        destination,
    };
    served.table.lock().unwrap().execute(&command).unwrap();
    served
}

fn add_service(served: &Served, key: ServiceKey, scheduler: &str) {
    let service = VirtualService::new(key, scheduler.parse().unwrap());
    let command = ipvs_netlink::Command::AddService(service);
    served.table.lock().unwrap().execute(&command).unwrap();
}

#[test]
fn the_socket_may_be_named_in_three_ways() {
    let served = served();
    let by_option = run(&served, &["-L", "-n"]);
    assert_eq!(
        by_option.status.code(),
        Some(0),
        "{}",
        text(&by_option.stderr)
    );
    assert!(text(&by_option.stdout).contains("TCP  10.0.0.7:80 sh\n"));
    let mut equals = lvsadm();
    equals
        .args(["-L", "-n"])
        .arg(format!("--socket={}", served.socket.display()));
    assert_eq!(equals.output().unwrap().stdout, by_option.stdout);
    let by_variable = lvsadm()
        .env("LVSD_SOCKET", &served.socket)
        .args(["-L", "-n"])
        .output();
    assert_eq!(by_variable.unwrap().stdout, by_option.stdout);
    // In the place where lvsd listens for an ordinary user.
    if std::path::Path::new("/run/lvsd/ipvs.sock").exists() {
        return lvs_testkit::skip("an lvsd runs on this machine");
    }
    let folder = served.folder.path().join("runtime");
    std::fs::create_dir_all(folder.join("lvsd")).unwrap();
    std::os::unix::fs::symlink(&served.socket, folder.join("lvsd/ipvs.sock")).unwrap();
    let found = lvsadm()
        .env("XDG_RUNTIME_DIR", &folder)
        .args(["-L", "-n"])
        .output();
    assert_eq!(found.unwrap().stdout, by_option.stdout);
}

#[test]
fn without_a_dataplane_the_remedy_is_named() {
    let output = lvsadm()
        .args(["--socket", "/nonexistent/ipvs.sock", "-L", "-n"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(text(&output.stdout), "");
    assert_eq!(
        text(&output.stderr),
        "Can't initialize ipvs: no lvsd answers on /nonexistent/ipvs.sock (from --socket): \
         No such file or directory\n\
         Start lvsd, or name ipvs.sock in the run folder of a running one\n"
    );
    let output = lvsadm()
        .env("LVSD_SOCKET", "/dev/null")
        .args(["-L", "-n"])
        .output()
        .unwrap();
    let message = text(&output.stderr);
    assert!(
        message.contains("on /dev/null (from $LVSD_SOCKET): "),
        "{message}"
    );
    assert!(!message.contains("kernel"), "{message}");
    let output = lvsadm().args(["-L", "--socket"]).output().unwrap();
    assert_eq!(output.status.code(), Some(255));
    assert_eq!(text(&output.stderr), "--socket: missing argument\n");
}

#[test]
fn help_needs_no_dataplane_and_version_is_that_of_ipvsadm() {
    let help = lvsadm()
        .arg("help")
        .env("LVSD_SOCKET", "/nonexistent")
        .output()
        .unwrap();
    assert_eq!(help.status.code(), Some(0));
    for option in [
        "--add-service",
        "-L, --list",
        "--json",
        "--socket PATH",
        "-p, --persistent",
        "apply FILE",
        "--dry-run",
    ] {
        assert!(
            text(&help.stdout).contains(option),
            "{option} in {}",
            text(&help.stdout)
        );
    }
    let version = lvsadm().arg("version").output().unwrap();
    let ours = concat!("lvskit v", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(text(&version.stdout), ours);
    // As ipvsadm, to the byte, by every name.
    let served = served();
    for name in ["ipvsadm", "lvsadm"] {
        let version = lvsadm()
            .arg0(name)
            .arg("--version")
            .env("LVSD_SOCKET", &served.socket)
            .output()
            .unwrap();
        assert_eq!(
            text(&version.stdout),
            format!("{name} v1.31 2019/12/24 (compiled with popt and IPVS v1.2.1)\n")
        );
    }
}

#[test]
fn by_the_name_ipvsadm_nothing_is_added() {
    let served = served();
    let run = |words: &[&str]| {
        let mut command = lvsadm();
        command.arg0("ipvsadm").args(words);
        command.env("LVSD_SOCKET", &served.socket).output().unwrap()
    };
    let json = run(&["-L", "--json"]);
    assert_eq!(text(&json.stderr), "--json: unknown option\n");
    let socket = run(&["-L", "--socket", "/nonexistent"]);
    assert_eq!(text(&socket.stderr), "--socket: unknown option\n");
    let save = run(&["save"]);
    let message = "Try `ipvsadm -h' or 'ipvsadm --help' for more information.\n";
    assert_eq!(
        (save.status.code(), text(&save.stderr)),
        (Some(255), message)
    );
}

#[test]
fn json_has_everything_in_plain_numbers() {
    let served = served();
    let json = |arguments: &[&str]| -> Value {
        let output = run(&served, arguments);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let table = json(&["-L", "--json"]);
    assert_eq!(table["version"], "1.2.1");
    let service = &table["services"][0];
    assert_eq!(service["protocol"], "tcp");
    assert_eq!(service["address"], "10.0.0.7");
    assert_eq!(service["port"], 80);
    assert_eq!(service["persistence_timeout"], Value::Null);
    let server = &service["servers"][0];
    assert_eq!(server["forward"], "masquerading");
    assert_eq!(server["port"], 8080);
    // Beyond the 32 bits of the listing.
    assert_eq!(server["stats"]["conns"], 5_000_000_000_u64);
    let connection = json(&["-L", "-c", "--json"]);
    assert_eq!(connection["virtual"], "10.0.0.7:5060");
    assert_eq!(connection["engine_data"], "call-0001@lab");
    assert_eq!(connection["expires"], 44);
    assert_eq!(json(&["-L", "--timeout", "--json"])["tcp_fin"], 120);
    assert_eq!(
        json(&["-L", "--daemon", "--json"]),
        Value::Array(Vec::new())
    );
    let add = run(&served, &["-A", "-t", "10.0.0.8:80", "--json"]);
    assert_eq!(add.status.code(), Some(2));
    assert_eq!(
        text(&add.stderr),
        "Illegal 'json' option with the 'add-service' command\n"
    );
}

#[test]
fn counters_of_servers_have_32_bits_as_in_ipvsadm() {
    let output = run(&served(), &["-L", "-n", "--stats", "--exact"]);
    let lines: Vec<&str> = text(&output.stdout).lines().collect();
    assert!(lines[3].contains(" 5000000000 "), "{}", lines[3]);
    let wrapped = 5_000_000_000_u64 % (1 << 32);
    assert!(lines[4].contains(&format!(" {wrapped} ")), "{}", lines[4]);
}

#[test]
fn the_dataplane_may_say_why_it_refuses() {
    let output = run(&served(), &["-A", "-t", "10.0.0.9:666"]);
    assert_eq!(output.status.code(), Some(255));
    assert_eq!(
        text(&output.stderr),
        "Cannot assign requested address\ncannot listen on [10.0.0.9]:tcp:666: address not there\n"
    );
}

#[test]
fn arguments_need_not_be_text() {
    let served = served();
    let mut command = lvsadm();
    command.arg("--socket").arg(&served.socket);
    let output = command
        .arg("-L")
        .arg(OsStr::from_bytes(b"\xff\xfe"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(output.stderr, b"unexpected argument \xff\xfe\n");
}

#[test]
fn names_are_resolved_unless_numbers_are_asked_for() {
    let served = served();
    add_service(&served, ServiceKey::tcp(([127, 0, 0, 1], 80).into()), "rr");
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let services = std::fs::read_to_string("/etc/services").unwrap_or_default();
    if !hosts.contains("localhost") || !services.contains("80/tcp") {
        return lvs_testkit::skip("no names in /etc/hosts or /etc/services");
    }
    let named = run(&served, &["-L", "-t", "127.0.0.1:http"]);
    assert!(
        text(&named.stdout).contains("TCP  localhost:http rr\n"),
        "{}",
        text(&named.stdout)
    );
    let numeric = run(&served, &["-L", "-n", "-t", "localhost:80"]);
    assert!(text(&numeric.stdout).contains("TCP  127.0.0.1:80 rr\n"));
}

#[test]
fn a_closed_pipe_kills_and_a_full_device_does_not_matter() {
    let served = Served::new(Plane {
        connections: vec![ConnectionEntry::parse(LINE).unwrap(); 20_000],
        ..Plane::default()
    });
    let mut command = lvsadm();
    command
        .arg("--socket")
        .arg(&served.socket)
        .args(["-L", "-n", "-c"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 23];
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"IPVS connection entries");
    drop(out);
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGPIPE));

    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let status = command.stdout(full).status().unwrap();
    assert_eq!(status.code(), Some(0));
}
