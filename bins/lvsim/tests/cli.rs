//! The command as a user runs it: what it prints, and its exit status.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const GOOD: &str = r#"{"ev":"trace","format":1,"name":"good","group":"rr","kernel":"6.1.176"}
{"ev":"svc-add","svc":"web","proto":"tcp","addr":"10.200.0.1","port":80,"sched":"rr"}
{"ev":"dest-add","svc":"web","dest":"192.168.0.1:8080","weight":1}
{"ev":"dest-add","svc":"web","dest":"192.168.0.2:8080","weight":3,"upper":9,"dests":{"web":[["192.168.0.2:8080",3,0,0],["192.168.0.1:8080",1,0,0]]}}
{"ev":"open","id":1,"svc":"web","src":"203.0.113.1","sport":1000,"got":"192.168.0.2:8080","chg":[["web","192.168.0.2:8080",1,0]]}
{"ev":"open","id":2,"svc":"web","src":"203.0.113.1","sport":1001,"got":"192.168.0.1:8080","chg":[["web","192.168.0.1:8080",1,0]]}
"#;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }
}

fn lvsim() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lvsim"));
    command.env_remove("NO_COLOR");
    command
}

fn replay(arguments: &[&Path]) -> Output {
    lvsim().arg("replay").args(arguments).output().unwrap()
}

#[track_caller]
fn assert_output(output: &Output, status: i32, stdout: &str) {
    assert_eq!(String::from_utf8_lossy(&output.stdout), stdout);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(status));
}

#[test]
fn equal_traces_exit_0() {
    let folder = Folder::new();
    folder.write("b/deep/good.jsonl", GOOD);
    folder.write("b/notes.txt", "not a trace");
    let a = folder.write("a.trace", GOOD);
    let output = replay(&[&a, &folder.0.path().join("b")]);
    let expected = "\
trace       decisions  tables  skipped  result
a.trace             2       1        0  equal
good.jsonl          2       1        0  equal

2 files, 4 decisions compared: all equal
";
    assert_output(&output, 0, expected);
    let output = lvsim().args(["replay", "-q"]).arg(&a).output().unwrap();
    assert_output(&output, 0, "1 file, 2 decisions compared: all equal\n");
}

#[test]
fn a_difference_is_explained_and_exits_1() {
    let folder = Folder::new();
    let told = r#""got":"192.168.0.1:8080","chg":[["web","192.168.0.1:8080",1,0]]"#;
    let path = folder.write("bad.jsonl", &GOOD.replace(told, r#""got":null"#));
    let bad = path.display();
    let expected = format!(
        r#"trace      decisions  tables  skipped  result
bad.jsonl          2       1        0  DIFFERENT

{bad}:6: another decision in service web (rr) after 0 s
  the kernel chose no server
  the replay chose 192.168.0.1:8080
  destinations, head of the list first:
    192.168.0.2:8080  weight 3  active 1  inactive 0  upper 9
    192.168.0.1:8080  weight 1  active 0  inactive 0
  events:
        2  {{"ev":"svc-add","svc":"web","proto":"tcp","addr":"10.200.0.1","port":80,"sched":"rr"}}
        3  {{"ev":"dest-add","svc":"web","dest":"192.168.0.1:8080","weight":1}}
        4  {{"ev":"dest-add","svc":"web","dest":"192.168.0.2:8080","weight":3,"upper":9,"dests":{{"web":[["192.168.0.2:8080",3,0,0],["192.168.0.1:8080",1,0,0]]}}}}
        5  {{"ev":"open","id":1,"svc":"web","src":"203.0.113.1","sport":1000,"got":"192.168.0.2:8080","chg":[["web","192.168.0.2:8080",1,0]]}}
  >     6  {{"ev":"open","id":2,"svc":"web","src":"203.0.113.1","sport":1001,"got":null}}

1 file, 2 decisions compared: 1 different
"#
    );
    assert_output(&replay(&[&path]), 1, &expected);
}

#[test]
fn another_destination_list_exits_1() {
    let folder = Folder::new();
    let text = GOOD.replace(
        r#"["192.168.0.2:8080",3,0,0]"#,
        r#"["192.168.0.2:8080",4,0,0]"#,
    );
    let output = replay(&[&folder.write("bad.jsonl", &text)]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("another destination list in service web"),
        "{text}"
    );
    assert!(
        text.contains("the kernel had 192.168.0.2:8080 weight 4, 192.168.0.1:8080 weight 1"),
        "{text}"
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn malformed_and_missing_files_exit_2_and_the_others_are_replayed() {
    let folder = Folder::new();
    let good = folder.write("good.jsonl", GOOD);
    let broken = folder.write("broken.jsonl", &format!("{GOOD}{{\"ev\":\"dance\"}}\n"));
    let missing = folder.0.path().join("missing.jsonl");
    let output = replay(&[&good, &broken, &missing]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("good.jsonl             2       1        0  equal"),
        "{text}"
    );
    assert!(
        text.contains("broken.jsonl           -       -        -  UNREADABLE"),
        "{text}"
    );
    assert!(
        text.contains(&format!("{}:7: unknown variant `dance`", broken.display())),
        "{text}"
    );
    assert!(
        text.contains(&format!("{}: No such file", missing.display())),
        "{text}"
    );
    assert!(
        text.ends_with("3 files, 2 decisions compared: 2 unreadable\n"),
        "{text}"
    );
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_difference_weighs_more_than_an_unreadable_file() {
    let folder = Folder::new();
    let bad = folder.write(
        "bad.jsonl",
        &GOOD.replace("192.168.0.2:8080\",\"chg", "192.168.0.9:1\",\"chg"),
    );
    let broken = folder.write("broken.jsonl", "");
    assert_eq!(replay(&[&bad, &broken]).status.code(), Some(1));
    assert_eq!(replay(&[&broken]).status.code(), Some(2));
}

#[test]
fn what_cannot_be_decided_is_told_and_exits_3() {
    let folder = Folder::new();
    let path = folder.write("random.jsonl", &GOOD.replace("\"rr\"}\n", "\"twos\"}\n"));
    let expected = format!(
        "\
trace         decisions  tables  skipped  result
random.jsonl          0       1        2  incomplete

{}:5: not replayed: the kernel's random numbers are not in the trace (2 decisions)

1 file, 0 decisions compared: 2 decisions not replayed
",
        path.display()
    );
    assert_output(&replay(&[&path]), 3, &expected);
}

#[test]
fn an_empty_folder_and_a_wrong_command_line_exit_2() {
    let folder = Folder::new();
    let output = replay(&[folder.0.path()]);
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        error,
        format!(
            "lvsim: {}: no *.jsonl file in this directory\n",
            folder.0.path().display()
        )
    );
    for arguments in [&["replay"][..], &["replay", "--jason", "x"], &["play"], &[]] {
        let output = lvsim().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn json_is_one_object_with_everything() {
    let folder = Folder::new();
    let good = folder.write("good.jsonl", GOOD);
    let bad = folder.write(
        "bad.jsonl",
        &GOOD.replace("192.168.0.2:8080\",\"chg", "192.168.0.9:1\",\"chg"),
    );
    let broken = folder.write("broken.jsonl", "[]");
    let output = lvsim()
        .args(["replay", "--json"])
        .args([&good, &bad, &broken])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["compared"], 3);
    assert_eq!(json["files"][0]["path"], good.to_str().unwrap());
    assert_eq!(json["files"][0]["outcome"], "equal");
    assert_eq!(json["files"][0]["report"]["compared"], 2);
    assert_eq!(json["files"][1]["outcome"], "different");
    let difference = &json["files"][1]["report"]["difference"];
    assert_eq!(difference["line"], 5);
    assert_eq!(difference["what"]["kernel"], "192.168.0.9:1");
    assert_eq!(difference["what"]["replay"], "192.168.0.2:8080");
    assert_eq!(json["files"][2]["outcome"], "unreadable");
    assert!(
        json["files"][2]["error"]
            .as_str()
            .unwrap()
            .contains("broken.jsonl:1: ")
    );
}

#[test]
fn colours_only_when_asked_for_off_a_terminal() {
    let folder = Folder::new();
    let path = folder.write("good.jsonl", GOOD);
    assert!(!replay(&[&path]).stdout.contains(&0x1b));
    let output = lvsim()
        .args(["replay", "--color", "always"])
        .arg(&path)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("\x1b[32mequal\x1b[0m"), "{text}");
}

#[test]
fn control_characters_of_a_trace_do_not_reach_the_terminal() {
    let folder = Folder::new();
    let evil = GOOD
        .replace("\"web\"", "\"\\u001b[2Jweb\"")
        .replace("192.168.0.2:8080\",\"chg", "192.168.0.9:1\",\"chg");
    let output = replay(&[&folder.write("evil.jsonl", &evil)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        !output.stdout.contains(&0x1b),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let folder = Folder::new();
    for number in 0..2000 {
        folder.write(&format!("{number}.jsonl"), "");
    }
    let mut child = lvsim()
        .arg("replay")
        .arg(folder.0.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn help_teaches() {
    let output = lvsim().args(["replay", "--help"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for word in [
        "Exit status:",
        "Examples:",
        "--json",
        "first difference",
        "skipped",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert_eq!(output.status.code(), Some(0));
}
