//! `lvsd fmt`: what is written, printed and returned.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const UGLY: &str = "a  1\n{\n b { c }  # d\n}\n";
const NEAT: &str = "a 1 {\n    b {\n        c\n    } # d\n}\n";

fn lvsd(folder: &Path, args: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lvsd"))
        .current_dir(folder)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("lvsd runs");
    // A command that does not read it has closed the pipe.
    let _ = child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(UGLY.as_bytes());
    child.wait_with_output().expect("lvsd ends")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn files_are_written_only_when_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("k.conf");
    fs::write(&file, UGLY).expect("a file");
    let unchanged = |args: &[&str], code: i32, wanted: &str| {
        let output = lvsd(folder.path(), args);
        assert_eq!(output.status.code(), Some(code), "{args:?}");
        assert_eq!(text(&output.stdout), wanted, "{args:?}");
        assert_eq!(fs::read_to_string(&file).expect("the file"), UGLY);
    };
    unchanged(&["fmt", "--check", "k.conf"], 1, "k.conf\n");
    unchanged(&["fmt", "--stdout", "k.conf"], 0, NEAT);
    unchanged(&["fmt", "-"], 0, NEAT);
    let diff = lvsd(folder.path(), &["fmt", "--diff", "k.conf"]);
    assert_eq!(diff.status.code(), Some(1));
    assert!(text(&diff.stdout).contains("-a  1\n-{\n- b { c }  # d\n+a 1 {\n+    b {\n"));

    let output = lvsd(folder.path(), &["fmt", "k.conf"]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 0));
    assert_eq!(fs::read_to_string(&file).expect("the file"), NEAT);
    assert_eq!(
        lvsd(folder.path(), &["fmt", "--check", "k.conf"])
            .status
            .code(),
        Some(0)
    );
}

#[test]
fn what_cannot_be_formatted_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    for (bad, reason) in [
        (&b"a {\n"[..], "line 1: the braces do not match"),
        (b"# caf\xe9\na  b\n", "not UTF-8"),
    ] {
        let file = folder.path().join("bad.conf");
        fs::write(&file, bad).expect("a file");
        let output = lvsd(folder.path(), &["fmt", "bad.conf"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(
            text(&output.stderr).contains(reason),
            "{}",
            text(&output.stderr)
        );
        assert_eq!(fs::read(&file).expect("the file"), bad);
    }
}
