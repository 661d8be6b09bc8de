//! The exit status of `lvsd -t`, beside that of `keepalived -t` where it is installed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use lvs_testkit::{program, skip};

const GOOD: &str = "\
virtual_server 127.0.0.1 8080 {
    protocol TCP
    lb_algo rr
    lb_kind NAT
    real_server 127.0.0.1 8081 {
        TCP_CHECK {
            connect_timeout 3
        }
    }
}
";

/// A text, the status of `lvsd -t`, that of keepalived 2.2.7.
struct Case {
    name: &'static str,
    text: String,
    ours: i32,
    theirs: i32,
}

fn same(name: &'static str, text: impl Into<String>, status: i32) -> Case {
    other(name, text, status, status)
}

fn other(name: &'static str, text: impl Into<String>, ours: i32, theirs: i32) -> Case {
    let text = text.into();
    Case {
        name,
        text,
        ours,
        theirs,
    }
}

fn cases() -> Vec<Case> {
    let with = |old: &str, new: &str| {
        assert!(GOOD.contains(old));
        GOOD.replacen(old, new, 1)
    };
    let line = |line: &str| {
        with(
            "    protocol TCP\n",
            &format!("    protocol TCP\n    {line}\n"),
        )
    };
    vec![
        same("good", GOOD, 0),
        same("empty", "", 0),
        same("unknown", with("lb_algo", "lb_alog"), 5),
        same("unknown-block", format!("{GOOD}foo {{\n a 1\n}}\n"), 5),
        same("misplaced", format!("weight 5\n{GOOD}"), 5),
        same("range", line("quorum 0"), 5),
        same("number", with("timeout 3", "timeout 3x"), 5),
        same("unit", line("delay_loop 10s"), 5),
        same("choice", with("lb_algo rr", "lb_algo rrr"), 5),
        same(
            "address",
            with("real_server 127.0.0.1", "real_server 127.0.0.256"),
            5,
        ),
        same("missing-brace", GOOD.trim_end().trim_end_matches('}'), 5),
        same("extra-brace", format!("{GOOD}}}\n"), 5),
        same("stray-block", format!("{GOOD}{{\n}}\n"), 5),
        same("open-quote", line("quorum_up \"/bin/true"), 5),
        same("missing-value", with("timeout 3", "timeout"), 2),
        same(
            "missing-value-and-more",
            with("timeout 3", "timeout\n foo"),
            2,
        ),
        same("removed", line("nat_mask 255.255.255.0"), 5),
        same("repetition", format!("~SEQ(i) x\n{GOOD}"), 5),
        same(
            "undefined-in-braces",
            format!("{GOOD}global_defs {{\n router_id ${{X}}\n}}\n"),
            5,
        ),
        same(
            "undefined",
            format!("{GOOD}global_defs {{\n router_id $X\n}}\n"),
            0,
        ),
        same("no-protocol", with("    protocol TCP\n", ""), 5),
        same("no-scheduler", with("    lb_algo rr\n", ""), 5),
        same("no-method", with("    lb_kind NAT\n", ""), 5),
        same("quorum", line("quorum 5"), 5),
        same("hysteresis", line("quorum 1\n hysteresis 1"), 5),
        same("port-dr", with("NAT", "DR"), 5),
        same("include", format!("include nothing.conf\n{GOOD}"), 0),
        same("includem", format!("includem nothing.conf\n{GOOD}"), 6),
        same("trailing", with("rr", "rr wrr"), 0),
        same("flag", line("alpha off"), 0),
        same("same-service-twice", format!("{GOOD}{GOOD}"), 0),
        same(
            "thresholds",
            with("TCP_CHECK", "uthreshold 5\n lthreshold 9\n TCP_CHECK"),
            0,
        ),
        same("unknown-group", with("127.0.0.1 8080", "group web"), 0),
    ]
}

fn status(program: &str, folder: &Path, file: &str) -> i32 {
    let output = Command::new(program)
        .current_dir(folder)
        .args(["-t", "-f", file])
        .output()
        .expect("it runs");
    output.status.code().expect("an exit status")
}

#[test]
fn the_exit_status_is_that_of_keepalived() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("a file");
    write("executable", GOOD);
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(folder.path().join("executable"), mode).expect("a mode");
    fs::create_dir(folder.path().join("folder")).expect("a folder");
    let mut cases = cases();
    for case in &cases {
        write(case.name, &case.text);
    }
    // keepalived finds nothing wrong where there is nothing.
    for name in ["missing", "executable", "folder"] {
        cases.push(other(name, "", 4, 0));
    }
    let lvsd = env!("CARGO_BIN_EXE_lvsd");
    for case in &cases {
        assert_eq!(
            status(lvsd, folder.path(), case.name),
            case.ours,
            "{}",
            case.name
        );
    }
    let Some(keepalived) = program("keepalived") else {
        return skip("keepalived is not installed");
    };
    let version = Command::new(&keepalived)
        .arg("-v")
        .output()
        .expect("it runs");
    if !String::from_utf8_lossy(&version.stderr).contains("v2.2.7") {
        return skip("this keepalived is not 2.2.7");
    }
    let keepalived = keepalived.to_string_lossy();
    for case in &cases {
        let found = status(&keepalived, folder.path(), case.name);
        assert_eq!(found, case.theirs, "{} with keepalived", case.name);
    }
}
