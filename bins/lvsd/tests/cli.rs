//! Where help goes, and when there are colours.

use std::path::Path;
use std::process::{Command, Output};

const LVSD: &str = env!("CARGO_BIN_EXE_lvsd");

fn lvsd(args: &[&str]) -> Output {
    Command::new(LVSD).args(args).output().expect("lvsd runs")
}

#[test]
fn help_of_commands_is_output_and_that_of_keepalived_is_not() {
    for args in [
        &["check", "--help"][..],
        &["demo", "--help"],
        &["status", "-h"],
        &["run", "--help"],
        &["help", "check"],
        &["help"],
    ] {
        let output = lvsd(args);
        assert!(output.status.success(), "{args:?}");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("Usage: lvsd"), "{args:?}: {text}");
        assert!(output.stderr.is_empty(), "{args:?}");
    }
    for args in [&["-h"], &["--help"], &["-v"], &["--version"]] {
        let output = lvsd(args);
        assert!(output.status.success(), "{args:?}");
        assert!(output.stdout.is_empty(), "{args:?}");
        assert!(!output.stderr.is_empty(), "{args:?}");
    }
    // What is wrong is an error, whatever it is about.
    let output = lvsd(&["check", "--wrong"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty() && !output.stderr.is_empty());
}

/// What `lvsd check` prints on a terminal.
fn on_a_terminal(file: &Path, no_color: &str) -> String {
    let command = format!("'{LVSD}' check '{}'", file.display());
    let output = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .env("NO_COLOR", no_color)
        .output()
        .expect("script runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn nobody_gets_colours_against_their_will() {
    if lvs_testkit::program("script").is_none() {
        return lvs_testkit::skip("script is not installed");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.conf");
    std::fs::write(&file, "virtual_server 127.0.0.1 80 {\n lb_alog rr\n}\n").unwrap();
    let coloured = on_a_terminal(&file, "");
    assert!(coloured.contains('\u{1b}'), "{coloured}");
    let plain = on_a_terminal(&file, "1");
    assert!(plain.contains("lb_alog"), "{plain}");
    assert!(!plain.contains('\u{1b}'), "{plain:?}");
}
