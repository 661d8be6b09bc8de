//! lvsadm against recorded runs of ipvsadm 1.31.
//!
//! `cases/NAME.case` is what was run, `cases/NAME.out` what ipvsadm did under Linux 6.1: standard
//! output, exit status and standard error of every invocation, and at the end the table as it lists
//! it. Here lvsadm does the same on a table behind a Unix socket. Packets were sent in some of the
//! recordings; `cases/NAME.conns` has the connections that they made, as lines of
//! `/proc/net/ip_vs_conn`.

#[path = "support/plane.rs"]
mod plane;

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ipvs_netlink::{ConnectionEntry, Stats};
use plane::{Plane, Served};

#[test]
fn every_recorded_case_comes_out_the_same() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut names: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "case")
        })
        .collect();
    names.sort();
    assert!(names.len() >= 43, "only {} cases", names.len());
    let mut wrong = String::new();
    for case in &names {
        let expected = fs::read_to_string(case.with_extension("out")).unwrap();
        let actual = Case::new(case).run();
        if actual != expected {
            wrong += &format!("=== {}\n{}", case.display(), difference(&expected, &actual));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// A case while it runs.
struct Case {
    text: String,
    served: Served,
    /// Where the tool is, under its three names.
    tool: PathBuf,
    /// What was kept by `>name`.
    kept: HashMap<String, Vec<u8>>,
}

impl Case {
    fn new(path: &Path) -> Self {
        let connections = fs::read_to_string(path.with_extension("conns")).unwrap_or_default();
        let connections = connections
            .lines()
            .map(|line| ConnectionEntry::parse(line).unwrap())
            .collect();
        let served = Served::new(Plane {
            connections,
            ..Plane::default()
        });
        let tool = served.folder.path().join("tool");
        for name in ["tool", "tool-save", "tool-restore"] {
            symlink(
                env!("CARGO_BIN_EXE_lvsadm"),
                served.folder.path().join(name),
            )
            .unwrap();
        }
        let text = fs::read_to_string(path).unwrap();
        Self {
            text,
            served,
            tool,
            kept: HashMap::new(),
        }
    }

    fn run(mut self) -> String {
        let text = std::mem::take(&mut self.text);
        let mut out = String::new();
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            if line.starts_with('%') {
                out += &format!("{line}\n");
                self.direct(line);
            } else if line.starts_with('@') {
                let mut input = String::new();
                while let Some(text) = lines.next_if(|line| line.starts_with('<')) {
                    let text = text.strip_prefix("< ").unwrap_or_default();
                    input += &format!("{text}\n");
                }
                out += &self.invoke(line, &input);
            }
        }
        for state in ["-Sn", "-Ln --thresholds", "-Ln --timeout", "-L --daemon"] {
            let output = self.tool("", &split(state), b"");
            out += &format!("state {state}\n");
            out += &indent("  | ", &output.stdout);
        }
        out
    }

    fn direct(&self, line: &str) {
        let Some(values) = line.strip_prefix("%fake ") else {
            return;
        };
        let mut table = self.served.table.lock().unwrap();
        let stats = &mut table.dataplane_mut().stats;
        *stats = Stats::default();
        for value in values.split(' ') {
            let (name, number) = value.split_once('=').unwrap();
            let field = match name {
                "conns" => &mut stats.conns,
                "inpkts" => &mut stats.in_packets,
                "outpkts" => &mut stats.out_packets,
                "inbytes" => &mut stats.in_bytes,
                "outbytes" => &mut stats.out_bytes,
                "cps" => &mut stats.conns_per_second,
                "inpps" => &mut stats.in_packets_per_second,
                "outpps" => &mut stats.out_packets_per_second,
                "inbps" => &mut stats.in_bytes_per_second,
                "outbps" => &mut stats.out_bytes_per_second,
                other => panic!("no counter {other}"),
            };
            *field = number.parse().unwrap();
        }
    }

    fn invoke(&mut self, line: &str, input: &str) -> String {
        let mut words = split(line);
        let suffix = match words.remove(0).as_str() {
            "@" => "",
            "@save" => "-save",
            "@restore" => "-restore",
            other => panic!("no tool {other}"),
        };
        let mut stdin = input.as_bytes().to_vec();
        let mut keep = None;
        words.retain(|word| {
            if let Some(name) = word.strip_prefix('>') {
                keep = Some(name.to_owned());
            } else if let Some(name) = word.strip_prefix('<') {
                stdin.clone_from(&self.kept[name]);
            } else {
                return true;
            }
            false
        });
        let output = self.tool(suffix, &words, &stdin);
        let status = output.status.code().expect("an exit status");
        let mut text = format!("{line}\n");
        text += &indent("  stdin | ", input.as_bytes());
        text += &indent("  stdout| ", &output.stdout);
        text += &indent("  stderr| ", &output.stderr);
        text += &format!("  exit   {status}\n");
        if let Some(name) = keep {
            self.kept.insert(name, output.stdout);
        }
        // The tool's own name is not compared.
        let path = self.tool.display().to_string();
        text.replace(&path, "@")
            .replace("tool-save:", "@-save:")
            .replace("| tool v", "| @ v")
    }

    fn tool(&self, suffix: &str, arguments: &[String], stdin: &[u8]) -> std::process::Output {
        let mut tool = self.tool.clone().into_os_string();
        tool.push(suffix);
        let mut child = Command::new(tool)
            .args(arguments)
            .env("LVSD_SOCKET", &self.served.socket)
            .env_remove("POSIXLY_CORRECT")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A tool that reads nothing may be gone already.
        let _ = child.stdin.take().unwrap().write_all(stdin);
        child.wait_with_output().unwrap()
    }
}

/// Words as a shell splits them; of its quoting only apostrophes.
fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for letter in line.chars() {
        match letter {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

fn indent(prefix: &str, bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .lines()
        .map(|line| format!("{prefix}{line}\n"))
        .collect()
}

/// The lines that differ, and where.
fn difference(expected: &str, actual: &str) -> String {
    let (mut expected, mut actual) = (expected.lines(), actual.lines());
    let mut text = String::new();
    let mut last = "";
    loop {
        match (expected.next(), actual.next()) {
            (None, None) => return text,
            (a, b) if a == b => {
                if let Some(line) = a.filter(|line| line.starts_with('@')) {
                    last = line;
                }
            }
            (a, b) => text += &format!("{last}\n- {a:?}\n+ {b:?}\n"),
        }
    }
}
