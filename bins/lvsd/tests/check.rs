//! `lvsd check` and `lvsd -t`: output, exit status and streams.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const GOOD: &str = "virtual_server 127.0.0.1 8080 {\n    protocol TCP\n    lb_algo rr\n    \
                    lb_kind NAT\n    real_server 127.0.0.1 8081 {\n        \
                    TCP_CHECK {\n        }\n    }\n}\n";

fn lvsd(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lvsd"));
    command
        .current_dir(folder)
        .args(args)
        .output()
        .expect("lvsd runs")
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("a file");
    write("good.conf", GOOD);
    write("warned.conf", &GOOD.replace("lb_algo rr", "lb_algo rr wrr"));
    write("bad.conf", &GOOD.replace("lb_algo", "lb_alog"));
    folder
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn warnings_pass_and_errors_fail() {
    let folder = folder();
    for (files, code, summary) in [
        (&["good.conf"][..], 0, "0 errors, 0 warnings in 1 file\n"),
        (&["warned.conf"], 0, "0 errors, 1 warning in 1 file\n"),
        (&["bad.conf"], 1, "1 error, 0 warnings in 1 file\n"),
        (&["missing.conf"], 1, "1 error, 0 warnings in 1 file\n"),
        (
            &["good.conf", "warned.conf", "bad.conf"],
            1,
            "1 error, 1 warning in 3 files\n",
        ),
    ] {
        let args = [&["check"], files].concat();
        let output = lvsd(folder.path(), &args);
        assert_eq!(output.status.code(), Some(code), "{files:?}");
        assert_eq!(text(&output.stderr), summary, "{files:?}");
    }
}

#[test]
fn people_see_the_line_and_what_was_meant() {
    let folder = folder();
    let output = lvsd(folder.path(), &["check", "bad.conf"]);
    let found = text(&output.stdout);
    assert!(found.contains("error[KC0017]: unknown keyword `lb_alog` in `virtual_server`"));
    assert!(found.contains("--> bad.conf:3:5"), "{found}");
    assert!(found.contains("^^^^^^^ did you mean `lb_algo`?"), "{found}");
    assert!(!found.contains('\u{1b}'), "colours belong on terminals");
}

#[test]
fn programs_get_one_document() {
    let folder = folder();
    let output = lvsd(
        folder.path(),
        &["check", "--format", "json", "good.conf", "bad.conf"],
    );
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(document["errors"], 1);
    let found = document["diagnostics"].as_array().expect("a list");
    let typo = found
        .iter()
        .find(|found| found["code"] == "KC0017")
        .expect("the typo");
    assert_eq!(typo["file"], "bad.conf");
    assert_eq!((&typo["line"], &typo["column"]), (&3.into(), &5.into()));
    assert_eq!(
        (&typo["end_line"], &typo["end_column"]),
        (&3.into(), &12.into())
    );
    assert_eq!(typo["severity"], "error");
    assert_eq!(typo["suggestion"]["replacement"], "lb_algo");
}

#[test]
fn other_programs_get_their_own_formats() {
    let folder = folder();
    let run = |format| {
        let output = lvsd(folder.path(), &["check", "--format", format, "bad.conf"]);
        assert_eq!(output.status.code(), Some(1), "{format}");
        text(&output.stdout)
    };
    let log: serde_json::Value = serde_json::from_str(&run("sarif")).expect("JSON");
    assert_eq!(log["version"], "2.1.0");
    let result = &log["runs"][0]["results"][0];
    assert_eq!(result["ruleId"], "KC0017");
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "bad.conf");
    let command = "::error file=bad.conf,line=3,col=5,endColumn=12,title=KC0017::unknown keyword";
    assert!(run("github").starts_with(command));
    assert!(run("short").starts_with("bad.conf:3:5: error[KC0017]: "));
    assert_eq!(run("human"), run("text"));
}

#[test]
fn fix_writes_what_was_meant_and_says_so() {
    let folder = folder();
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).expect("the file");
    let dry = lvsd(folder.path(), &["check", "--fix", "--dry-run", "bad.conf"]);
    let patch = text(&dry.stdout);
    assert!(
        patch.contains("\n-    lb_alog rr\n+    lb_algo rr\n"),
        "{patch}"
    );
    assert!(text(&dry.stderr).starts_with("would fix bad.conf:3: [KC0017] "));
    assert_ne!(read("bad.conf"), GOOD);

    let output = lvsd(folder.path(), &["check", "--fix", "bad.conf", "good.conf"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stderr).starts_with("fixed bad.conf:3: [KC0017] "));
    assert!(text(&output.stderr).ends_with("0 errors, 0 warnings in 2 files\n"));
    assert_eq!(
        (read("bad.conf"), read("good.conf")),
        (GOOD.into(), GOOD.into())
    );

    fs::write(folder.path().join("hopeless.conf"), "frobnicate\n").expect("a file");
    let output = lvsd(folder.path(), &["check", "--fix", "hopeless.conf"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("frobnicate"));
    assert_eq!(read("hopeless.conf"), "frobnicate\n");
}

#[test]
fn a_test_prints_to_standard_error_or_to_a_file() {
    let folder = folder();
    let output = lvsd(folder.path(), &["-t", "-f", "bad.conf"]);
    assert_eq!(output.status.code(), Some(5));
    assert!(text(&output.stdout).is_empty());
    assert!(text(&output.stderr).contains("lb_alog"));

    let output = lvsd(folder.path(), &["-tlog.txt", "-f", "bad.conf"]);
    assert_eq!(output.status.code(), Some(5));
    assert!(text(&output.stderr).is_empty());
    let log = fs::read_to_string(folder.path().join("log.txt")).expect("the log");
    assert!(log.contains("lb_alog"));

    assert_eq!(
        lvsd(folder.path(), &["-t", "-f", "warned.conf"])
            .status
            .code(),
        Some(0)
    );
    assert_eq!(
        lvsd(folder.path(), &["-t", "-f", "missing.conf"])
            .status
            .code(),
        Some(4)
    );
}

#[test]
fn rules_are_switched_by_code() {
    let folder = folder();
    let unchecked = GOOD.replace("TCP_CHECK {\n        }\n", "");
    fs::write(folder.path().join("unchecked.conf"), unchecked).expect("a file");
    let found = |args: &[&str]| text(&lvsd(folder.path(), args).stdout);
    assert!(found(&["check", "unchecked.conf"]).contains("KC0107"));
    assert_eq!(found(&["check", "--off", "kc0107", "unchecked.conf"]), "");
    assert_eq!(found(&["check", "good.conf"]), "");
    assert!(found(&["check", "--on", "all", "good.conf"]).contains("KC0119"));
    let output = lvsd(folder.path(), &["check", "--off", "KC9999", "good.conf"]);
    assert!(text(&output.stderr).contains("KC9999"));
    assert!(!output.status.success());
}

#[test]
fn a_pair_and_this_machine_are_looked_at() {
    let folder = folder();
    let instance = "vrrp_instance v {\n    interface lo\n    virtual_router_id 1\n    \
                    priority 9\n    virtual_ipaddress {\n        192.0.2.1\n    }\n}\n";
    let write =
        |name: &str, text: String| fs::write(folder.path().join(name), text).expect("a file");
    write("one.conf", instance.to_owned());
    write("other.conf", instance.replace("192.0.2.1", "192.0.2.2"));
    let pair = lvsd(
        folder.path(),
        &["check", "--pair", "one.conf", "other.conf"],
    );
    assert_eq!(pair.status.code(), Some(1));
    let found = text(&pair.stdout);
    assert!(
        found.contains("KC0134") && found.contains("other.conf:5"),
        "{found}"
    );
    assert!(found.contains("KC0136"), "{found}");
    let alone = lvsd(folder.path(), &["check", "--pair", "one.conf"]);
    assert_eq!(alone.status.code(), Some(1));
    write("elsewhere.conf", instance.replace("lo", "nowhere9"));
    let usual = lvsd(folder.path(), &["check", "elsewhere.conf"]);
    assert_eq!(text(&usual.stdout), "");
    let system = lvsd(folder.path(), &["check", "--system", "elsewhere.conf"]);
    assert!(text(&system.stdout).contains("KC0150"));
    let system = lvsd(folder.path(), &["check", "--system", "one.conf"]);
    assert_eq!(text(&system.stdout), "");
}
