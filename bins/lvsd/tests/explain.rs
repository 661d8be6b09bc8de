//! `lvsd explain`, `completions`, `config` and `diff`: output and exit status.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn lvsd(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lvsd"))
        .current_dir(folder)
        .args(args)
        .output()
        .expect("lvsd runs")
}

/// Exit status and standard output; nothing else may be said unless it fails.
fn said(folder: &Path, args: &[&str]) -> (i32, String) {
    let output = lvsd(folder, args);
    let code = output.status.code().expect("an exit status");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(code != 0 || error.is_empty(), "{args:?}: {error}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (code, text)
}

const OLD: &str = "\
$PORT=80
virtual_server 10.0.0.1 $PORT {
    protocol TCP
    lb_algo rr
    lb_kind NAT
    virtualhost \"www a\"
    ~SEQ(i,2,3) real_server 10.0.0.$i 80 { TCP_CHECK { } }
}
";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("a file");
    write("old.conf", OLD);
    write("same.conf", &OLD.replace("$PORT=80", "# moved\n$PORT= 80"));
    write(
        "new.conf",
        &OLD.replace("rr", "wlc").replace("i,2,3", "i,3,4"),
    );
    write("bad.conf", &OLD.replace("lb_algo", "lb_alog"));
    folder
}

#[test]
fn keywords_are_explained_from_the_table() {
    let here = Path::new(".");
    let (code, text) = said(here, &["explain", "real_server", "weight"]);
    assert_eq!(code, 0);
    assert!(
        text.starts_with("weight NUMBER\n  in        virtual_server > real_server\n"),
        "{text}"
    );
    assert!(text.contains("from 0 to 2147483647"), "{text}");
    let (_, text) = said(here, &["explain", "--json", "connect_timeout"]);
    let list: Value = serde_json::from_str(&text).expect("JSON");
    assert!(list.as_array().expect("a list").len() > 5);
    let (code, text) = said(here, &["explain", "kc17"]);
    assert_eq!(code, 0);
    assert!(
        text.starts_with("KC0017: A keyword that no block has.\n"),
        "{text}"
    );
    assert!(
        text.contains("ruoter_id") && text.contains("What to do: "),
        "{text}"
    );

    let output = lvsd(here, &["explain", "wieght"]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("did you mean `weight`?"), "{error}");
}

#[test]
fn the_manual_page_has_every_keyword_and_code() {
    let (code, page) = said(Path::new("."), &["explain", "--man"]);
    assert_eq!(code, 0);
    for name in kconf_parser::explain::names() {
        let item = format!(".It Li {name}");
        assert!(page.lines().any(|line| line.starts_with(&item)), "{name}");
    }
    for code in kconf_parser::Code::ALL {
        assert!(page.contains(&format!(".It {code}\n")), "{code}");
    }
}

#[test]
fn completions_know_keywords_and_codes() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, script) = said(Path::new("."), &["completions", shell]);
        assert_eq!(code, 0, "{shell}");
        assert!(script.contains("completions"), "{shell}");
        if ["bash", "zsh"].contains(&shell) {
            assert!(script.contains("virtual_router_id"), "{shell}");
            assert!(script.contains("KC0017"), "{shell}");
        }
    }
}

#[test]
fn a_configuration_is_printed_expanded_and_as_meant() {
    let folder = folder();
    let (code, text) = said(folder.path(), &["config", "old.conf"]);
    assert_eq!(code, 0);
    assert!(
        text.starts_with("virtual_server 10.0.0.1 80 {\n    protocol TCP\n"),
        "{text}"
    );
    assert!(
        text.contains("    real_server 10.0.0.3 80 {\n        TCP_CHECK {\n"),
        "{text}"
    );
    // It is a configuration with the same meaning.
    fs::write(folder.path().join("flat.conf"), &text).expect("a file");
    assert_eq!(
        said(folder.path(), &["diff", "old.conf", "flat.conf"]),
        (0, String::new())
    );

    let (_, text) = said(folder.path(), &["config", "--json", "old.conf"]);
    let json: Value = serde_json::from_str(&text).expect("JSON");
    let server = &json["services"][0]["real_servers"][1];
    assert_eq!(
        (&server["address"], &server["weight"]),
        (&"10.0.0.3:80".into(), &1.into())
    );
    let (_, text) = said(folder.path(), &["config", "--toml", "old.conf"]);
    let toml: toml::Table = text.parse().expect("TOML");
    assert_eq!(toml["services"][0]["scheduler"].as_str(), Some("rr"));
    let (_, text) = said(folder.path(), &["config", "--resolved", "old.conf"]);
    assert!(
        text.contains("\n  scheduler: rr\n") && text.contains("\n    weight: 1\n"),
        "{text}"
    );
    assert_eq!(
        lvsd(folder.path(), &["config", "bad.conf"]).status.code(),
        Some(1)
    );
}

#[test]
fn passwords_are_covered_unless_they_are_asked_for() {
    let folder = folder();
    let text = |password: &str| {
        format!(
            "vrrp_instance A {{\n    interface eth0\n    virtual_router_id 1\n    \
             authentication {{\n        auth_type PASS\n        auth_pass {password}\n    }}\n    \
             virtual_ipaddress {{\n        10.1.0.1\n    }}\n}}\n"
        )
    };
    for (name, password) in [("one.conf", "s3cret"), ("two.conf", "hidden")] {
        fs::write(folder.path().join(name), text(password)).expect("a file");
    }
    let bytes = format!("{:?}", b"s3cret").replace(['[', ']'], "");
    let forms: [(&[&str], &str); 6] = [
        (&["config", "one.conf"], "auth_pass s3cret\n"),
        (&["config", "--resolved", "one.conf"], "Password(s3cret)"),
        (&["config", "--json", "one.conf"], &bytes),
        (&["config", "--toml", "one.conf"], &bytes),
        (
            &["diff", "one.conf", "two.conf"],
            "Password(s3cret) -> Password(hidden)",
        ),
        (&["diff", "--json", "one.conf", "two.conf"], &bytes),
    ];
    for (words, secret) in forms {
        let flat = |text: String| match secret == bytes {
            true => text.split_whitespace().collect::<Vec<_>>().join(" "),
            false => text,
        };
        let covered = flat(said(folder.path(), words).1);
        assert!(covered.contains("********"), "{covered}");
        assert!(!covered.contains(secret), "{covered}");
        let shown = said(folder.path(), &[words, &["--show-secrets"]].concat()).1;
        let shown = flat(shown);
        assert!(shown.contains(secret), "{shown}");
        assert!(!shown.contains("********"), "{shown}");
    }
}

#[test]
fn a_difference_is_what_a_reload_would_do() {
    let folder = folder();
    let (code, text) = said(folder.path(), &["diff", "old.conf", "new.conf"]);
    let expected = "\
- service [10.0.0.1]:tcp:80, server 10.0.0.2:80
+ service [10.0.0.1]:tcp:80, server 10.0.0.4:80
~ service [10.0.0.1]:tcp:80: scheduler rr -> wlc
";
    assert_eq!((code, text.as_str()), (1, expected));
    assert_eq!(
        said(folder.path(), &["diff", "old.conf", "same.conf"]),
        (0, String::new())
    );
    assert_eq!(said(folder.path(), &["diff", "old.conf", "bad.conf"]).0, 2);
    for wrong in [
        &["diff", "missing.conf", "old.conf"][..],
        &["diff", "old.conf"],
    ] {
        assert_eq!(said(folder.path(), wrong).0, 2, "{wrong:?}");
    }
    let (code, text) = said(folder.path(), &["diff", "--json", "old.conf", "new.conf"]);
    let list: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((code, &list[2]["new"]), (1, &"wlc".into()));
}
