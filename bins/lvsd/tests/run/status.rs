//! `lvsd status`, as a table and as JSON, and the control socket under it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::Command;

use lvs_testkit::free_port;
use serde_json::json;

use crate::backend::Backend;
use crate::lab::{Lab, get, real_server, virtual_server};

fn lvsd_status(lab: &Lab, flags: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_lvsd"))
        .args(["status", "--run-dir"])
        .arg(lab.run_dir())
        .args(flags)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_json_names_everything() {
    let (a, sorry) = (Backend::start("a"), Backend::start("sorry"));
    let port = free_port();
    let inner = format!(
        "  sorry_server 127.0.0.1 {}\n{}",
        sorry.port(),
        real_server(&a, 3, "")
    );
    let lab = Lab::start(&virtual_server(port, &inner));
    lab.wait_serving();
    get(port).unwrap();
    lab.wait("a check and the connection", |lab| {
        let server = lab.server(a.port()).unwrap();
        server.checks[0].last.is_some() && server.counters.conns == 1
    });
    let json: serde_json::Value = serde_json::from_str(&lvsd_status(&lab, &["--json"])).unwrap();
    assert_eq!(json["pid"], lab.lvsd.id());
    assert_eq!(json["dataplane"]["kind"], "userspace");
    assert_eq!(json["dataplane"]["connected"], true);
    let names: Vec<_> = json["processes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|process| &process["name"])
        .collect();
    assert_eq!(names, ["checker", "proxy"]);
    let service = &json["services"][0];
    assert_eq!(service["name"], format!("[127.0.0.1]:tcp:{port}"));
    assert_eq!(service["scheduler"], "wrr");
    assert_eq!(service["up"], true);
    assert_eq!(service["addresses"][0]["state"], json!({"is": "serving"}));
    let server = &service["servers"][0];
    assert_eq!(server["role"], "real");
    assert_eq!(server["weight"], 3);
    assert_eq!(server["checks"][0]["kind"], "HTTP_GET");
    assert_eq!(server["checks"][0]["last"]["success"], true);
    assert!(server["checks"][0]["last"]["at_unix_ms"].as_u64().unwrap() > 0);
    assert_eq!(server["counters"]["conns"], 1);
    assert_eq!(service["servers"][1]["role"], "sorry");
    assert_eq!(service["servers"][1]["in_table"], false);
}

#[test]
fn the_table_is_aligned_and_plain_in_a_pipe() {
    let mut a = Backend::start("a");
    let port = free_port();
    let lab = Lab::start(&virtual_server(port, &real_server(&a, 3, "")));
    a.stop();
    lab.wait("the removal", |lab| {
        lab.server(a.port())
            .is_some_and(|server| !server.up && !server.in_table)
    });
    let text = lvsd_status(&lab, &[]);
    assert!(!text.contains('\x1b'), "{text:?}");
    assert!(
        text.contains(&format!(
            "[127.0.0.1]:tcp:{port} wrr DOWN, alive weight 0, quorum 1"
        )),
        "{text}"
    );
    let head = text
        .lines()
        .find(|line| line.contains("last check"))
        .unwrap();
    let row = text
        .lines()
        .find(|line| line.contains(&a.port().to_string()))
        .unwrap();
    let column = head.find("last check").unwrap();
    assert!(
        row[column..].starts_with("HTTP_GET: connection refused"),
        "{text}"
    );
    let column = head.find("state").unwrap();
    assert!(row[column..].starts_with("down"), "{text}");
}

#[test]
fn what_is_not_served_says_so_first_and_columns_stand_below_each_other() {
    let a = Backend::start("a");
    let (port, taken, other) = (free_port(), free_port(), free_port());
    let _holder = std::net::TcpListener::bind(("127.0.0.1", taken)).unwrap();
    let server = real_server(&a, 100, "");
    let text = [
        virtual_server(port, &server),
        virtual_server(taken, &server),
        format!("virtual_server fwmark 7 {{\n lb_algo rr\n lb_kind NAT\n{server}}}\n"),
        format!("virtual_server_group g {{\n 127.0.0.1 {taken}\n 127.0.0.1 {other}\n}}\n"),
        virtual_server(port, &server).replace(
            &format!("virtual_server 127.0.0.1 {port}"),
            "virtual_server group g",
        ),
    ]
    .concat();
    let lab = Lab::start(&text);
    lab.wait("the refusals and the servers", |lab| {
        lab.count("cannot be served") == 2 && lvsd_status(lab, &[]).matches(" 100 ").count() >= 2
    });
    let text = lvsd_status(&lab, &[]);
    let line = |start: String| {
        let mut lines = text.lines();
        let found = lines.find(|line| line.starts_with(&start));
        found.unwrap_or_else(|| panic!("no {start:?} in {text}"))
    };
    let dark = line(format!("[127.0.0.1]:tcp:{taken} wrr NOT SERVED, "));
    assert!(dark.contains("the address is in use"), "{dark}");
    let marked = line("FWM 7 rr NOT SERVED, alive weight ".to_owned());
    assert!(marked.contains("firewall marks need"), "{marked}");
    line(format!("  [127.0.0.1]:none:{} ", a.port()));
    line("[g]:0 wrr up, NOT SERVED at 1 of 2 addresses, alive weight ".to_owned());
    let heads: Vec<&str> = text
        .lines()
        .filter(|line| line.ends_with("last check"))
        .collect();
    assert_eq!(heads, [heads[0]; 4], "{text}");
    // Numbers end where their headings end.
    let head = heads[0];
    assert!(head.starts_with("  server "), "{text}");
    let row = line(format!("  [127.0.0.1]:tcp:{} ", a.port()));
    let end = head.find("weight").unwrap() + "weight".len();
    assert!(row[..end].ends_with(" 100"), "{text}");
}

#[test]
fn without_a_director_the_socket_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_lvsd"))
        .args(["status", "--run-dir"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("control.sock"), "{text}");
}

#[test]
fn the_control_socket_is_ours_alone_and_survives_nonsense() {
    let lab = Lab::start("");
    let path = lab.run_dir().join("control.sock");
    lab.wait("the proxy", |lab| lab.run_dir().join("ipvs.sock").exists());
    for name in ["control.sock", "ipvs.sock"] {
        let metadata = std::fs::metadata(lab.run_dir().join(name)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{name}");
    }
    let ask = |line: &str| {
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.write_all(line.as_bytes()).unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        serde_json::from_str::<serde_json::Value>(&answer).unwrap()["answer"].clone()
    };
    assert_eq!(ask("{\"command\":\"explode\"}\n"), "error");
    assert_eq!(ask("\0\n"), "error");
    assert_eq!(ask(&"x".repeat(10_000)), "error");
    assert_eq!(ask("{\"command\":\"reload\"}\n"), "reload");
    assert_eq!(ask("{\"command\":\"status\"}\n"), "status");
}
