//! Whole tables: saved, compared, applied; watched; and completions.

#[path = "support/plane.rs"]
mod plane;

use std::io::Write;
use std::process::{Command, Output, Stdio};

use plane::{Plane, Served};
use serde_json::Value;

const TABLE: &str = "\
--set 900 120 300
--start-daemon master --mcast-interface d0 --syncid 5 --sync-maxlen 1400 --mcast-group 224.0.0.81 --mcast-port 8848 --mcast-ttl 1
--stop-daemon backup
-A -t 10.0.0.1:80 -s sh -p 360 -M 255.255.255.0 --pe sip -b sh-port,flag-3
-a -t 10.0.0.1:80 -r 10.1.0.1:8080 -m -w 3 -x 1000 -y 800
-a -t 10.0.0.1:80 -r 10.1.0.2:81 -g -w 0
-A -u [2001:db8::1]:53 -s wlc -M 64 -o
-a -u [2001:db8::1]:53 -r [2001:db8:1::3]:53 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum
-A -f 5 -s rr
-A -f 4294967295 -6 -s mh -p 30
";

fn lvsadm(served: &Served, words: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lvsadm"))
        .env("LVSD_SOCKET", &served.socket)
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that reads nothing may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// Standard output and status, where nothing is to be said of errors.
fn quiet(served: &Served, words: &[&str], input: &str) -> (String, Option<i32>) {
    let output = lvsadm(served, words, input);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(errors, "", "{words:?}");
    (
        String::from_utf8(output.stdout).unwrap(),
        output.status.code(),
    )
}

#[test]
fn a_table_that_is_saved_is_applied_whole() {
    let served = Served::new(Plane::default());
    let (plan, status) = quiet(&served, &["apply", "-"], TABLE);
    assert_eq!(status, Some(0));
    // Timeouts and the daemon that does not run are as wished already.
    let made = TABLE.lines().filter(|line| !line.starts_with("--s"));
    let start = TABLE.lines().nth(1);
    assert_eq!(
        plan.lines().collect::<Vec<_>>(),
        made.chain(start).collect::<Vec<_>>()
    );
    assert_eq!(quiet(&served, &["save"], ""), (TABLE.to_owned(), Some(0)));
    assert_eq!(
        quiet(&served, &["apply", "-"], TABLE),
        (String::new(), Some(0))
    );
    assert_eq!(
        quiet(&served, &["diff", "-"], TABLE),
        (String::new(), Some(0))
    );
    // And it is what ipvsadm reads, but for comments.
    quiet(&served, &["-C"], "");
    let restored = lvsadm(&served, &["-R"], TABLE);
    // What runs, runs, and what does not, does not.
    let refused = "Daemon has already run\nNo daemon is running\n";
    assert_eq!(String::from_utf8_lossy(&restored.stderr), refused);
}

#[test]
fn only_what_differs_is_changed() {
    let served = Served::new(Plane::default());
    quiet(&served, &["apply", "-"], TABLE);
    let wished = TABLE
        .replace("--set 900", "--set 600")
        .replace("-w 3 -x 1000 -y 800", "-w 4")
        .replace("-a -t 10.0.0.1:80 -r 10.1.0.2:81 -g -w 0\n", "")
        .replace("-A -f 5 -s rr", "-A -f 6 -s rr")
        .replace("-s mh -p 30", "-s mh")
        .replace("--start-daemon master", "# --start-daemon master");
    let difference = "\
- --set 900 120 300
+ --set 600 120 300
- -A -f 5 -s rr
- -a -t 10.0.0.1:80 -r 10.1.0.1:8080 -m -w 3 -x 1000 -y 800
+ -a -t 10.0.0.1:80 -r 10.1.0.1:8080 -m -w 4
- -a -t 10.0.0.1:80 -r 10.1.0.2:81 -g -w 0
+ -A -f 6 -s rr
- -A -f 4294967295 -6 -s mh -p 30
+ -A -f 4294967295 -6 -s mh
";
    assert_eq!(
        quiet(&served, &["diff", "-"], &wished),
        (difference.to_owned(), Some(1))
    );
    let plan = "\
--set 600 120 300
-D -f 5
-e -t 10.0.0.1:80 -r 10.1.0.1:8080 -m -w 4
-d -t 10.0.0.1:80 -r 10.1.0.2:81
-A -f 6 -s rr
-E -f 4294967295 -6 -s mh
";
    let dry = quiet(&served, &["apply", "--dry-run", "-"], &wished);
    assert_eq!(dry, (plan.to_owned(), Some(0)));
    assert_eq!(quiet(&served, &["save"], "").0, TABLE);
    let (json, _) = quiet(&served, &["apply", "-", "--json", "--dry-run"], &wished);
    let first: Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!(first["line"], "--set 600 120 300");
    assert!(first["change"]["set_timeouts"].is_object(), "{first}");

    assert_eq!(
        quiet(&served, &["apply", "-"], &wished),
        (plan.to_owned(), Some(0))
    );
    assert_eq!(
        quiet(&served, &["diff", "-"], &wished),
        (String::new(), Some(0))
    );
    // Another id is another daemon; one that shall not run is stopped.
    let (plan, _) = quiet(
        &served,
        &["apply", "-"],
        &TABLE.replace("--syncid 5", "--syncid 6"),
    );
    assert!(plan.starts_with("--stop-daemon master\n"), "{plan}");
    assert!(
        plan.contains("\n--start-daemon master --mcast-interface d0 --syncid 6 "),
        "{plan}"
    );
    let (plan, _) = quiet(&served, &["apply", "-"], "--stop-daemon master\n");
    assert!(plan.starts_with("--stop-daemon master\n-D "), "{plan}");
}

#[test]
fn a_bad_file_changes_nothing_and_tells_all() {
    let served = Served::new(Plane::default());
    quiet(&served, &["apply", "-"], TABLE);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("table");
    std::fs::write(
        &file,
        "-A -t 10.0.0.9:80\n-A -t nonsense:x\n-a -t 10.0.0.9:80\n",
    )
    .unwrap();
    let name = file.to_str().unwrap();
    for words in [["apply", name], ["diff", name]] {
        let output = lvsadm(&served, &words, "");
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(
            String::from_utf8_lossy(&output.stderr),
            format!(
                "{name}:2:7: illegal virtual server address[:port] specified\n\
                 {name}:3:1: You need to supply the 'real-server' option for the 'add-server' \
                 command\n\
                 2 problems; nothing was changed\n"
            )
        );
    }
    assert_eq!(quiet(&served, &["save"], "").0, TABLE);
    let empty = lvsadm(&served, &["apply", "-"], "# nothing\n");
    assert_eq!(empty.status.code(), Some(2));
    let message = String::from_utf8_lossy(&empty.stderr);
    assert!(message.starts_with("-: the file is empty"), "{message}");
    assert_eq!(quiet(&served, &["save"], "").0, TABLE);
    let missing = lvsadm(&served, &["apply", "/nonexistent"], "");
    assert_eq!(missing.status.code(), Some(2));
    let message = String::from_utf8_lossy(&missing.stderr);
    assert!(
        message.starts_with("/nonexistent: No such file"),
        "{message}"
    );
}

#[test]
fn a_refused_change_is_named_and_the_others_are_done() {
    let served = Served::new(Plane::default());
    let wished = "-A -t 10.0.0.1:666\n-A -t 10.0.0.2:80 -s rr\n";
    let output = lvsadm(&served, &["apply", "-"], wished);
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8_lossy(&output.stderr);
    let expected = "-A -t 10.0.0.1:666 -s wlc: Cannot assign requested address\ncannot listen on";
    assert!(message.starts_with(expected), "{message}");
    assert!(
        quiet(&served, &["save"], "")
            .0
            .ends_with("-A -t 10.0.0.2:80 -s rr\n")
    );
}

#[test]
fn wrong_usage_is_told() {
    let served = Served::new(Plane::default());
    let cases: [(&[&str], &str); 7] = [
        (
            &["apply"],
            "lvsadm apply: FILE: missing argument; see lvsadm help\n",
        ),
        (
            &["diff", "a", "b"],
            "lvsadm diff: b: unexpected argument; see lvsadm help\n",
        ),
        (
            &["save", "-n"],
            "lvsadm save: -n: unknown option; see lvsadm help\n",
        ),
        (
            &["apply", "--json=1", "-"],
            "lvsadm apply: --json=1: option does not take an argument; see lvsadm help\n",
        ),
        (
            &["top", "-n"],
            "lvsadm top: -n: missing argument; see lvsadm help\n",
        ),
        (
            &["top", "--seconds=0"],
            "lvsadm top: 0: not a number from 1 to 4294967295; see lvsadm help\n",
        ),
        (
            &["completions", "csh"],
            "lvsadm completions: csh: not bash, zsh or fish\n",
        ),
    ];
    for (words, message) in cases {
        let output = lvsadm(&served, words, "");
        assert_eq!(String::from_utf8_lossy(&output.stderr), message);
        assert_eq!(output.status.code(), Some(2));
    }
}

#[test]
fn top_shows_the_busiest_first() {
    let served = Served::new(Plane::default());
    quiet(&served, &["apply", "-"], TABLE);
    let (text, _) = quiet(&served, &["top", "-n1"], "");
    assert!(
        text.starts_with("Prot LocalAddress:Port                 CPS "),
        "{text}"
    );
    assert!(text.contains("  -> 10.1.0.1:8080 "), "{text}");
    let (json, _) = quiet(
        &served,
        &["top", "--json", "--rounds=2", "--seconds", "1"],
        "",
    );
    let readings: Vec<Value> = json
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(readings.len(), 2);
    assert_eq!(readings[0]["services"].as_array().map(Vec::len), Some(4));
}

#[test]
fn restore_stops_where_ipvsadm_does() {
    let served = Served::new(Plane::default());
    let lines: String = (1..400)
        .map(|port| format!("-A -t 10.0.0.1:{port}\n"))
        .collect();
    // A refused line in the middle is forgotten, a wrong one ends it, what stands before is done.
    let input = format!("{lines}-A -t 10.0.0.1:7\n-A -t 10.0.0.2:1\n-A -w x\n-A -t 10.0.0.2:2\n");
    let output = lvsadm(&served, &["-R"], &input);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(errors, "Service already exists\nillegal weight specified\n");
    assert_eq!(output.status.code(), Some(2));
    let (saved, _) = quiet(&served, &["-Sn"], "");
    assert_eq!(saved.lines().count(), 400);
    // A last line without an end is one, unless two blanks end it: ipvsadm passes over that.
    let input = "-A -t 10.0.0.5:1\n-A -t 10.0.0.5:2 -s rr";
    for (end, count) in [
        ("", 2),
        (" ", 2),
        ("\r", 2),
        ("  ", 1),
        (" \t", 1),
        ("  \n", 2),
    ] {
        let output = lvsadm(&served, &["-R"], &format!("{input}{end}"));
        assert_eq!(output.status.code(), Some(0));
        let (saved, _) = quiet(&served, &["-Sn"], "");
        assert_eq!(
            saved.matches("10.0.0.5:").count(),
            count,
            "{end:?}: {saved}"
        );
        quiet(&served, &["-R"], "-D -t 10.0.0.5:1\n");
        lvsadm(&served, &["-D", "-t", "10.0.0.5:2"], "");
    }
    // The last line decides.
    let output = lvsadm(&served, &["-R"], "-A -t 10.0.0.3:1\n-A -t 10.0.0.3:1\n");
    assert_eq!(output.status.code(), Some(255));
    // A line is done before the next one is there.
    let mut child = Command::new(env!("CARGO_BIN_EXE_lvsadm"))
        .env("LVSD_SOCKET", &served.socket)
        .arg("-R")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"-A -t 10.0.0.4:1\n-A -t 10.0").unwrap();
    lvs_testkit::wait_until("the first line", std::time::Duration::from_secs(20), || {
        let (saved, _) = quiet(&served, &["-Sn"], "");
        saved.contains("10.0.0.4:1").then_some(())
    });
    drop(stdin);
    assert!(child.wait().unwrap().code().is_some());
}

#[test]
fn completions_know_what_the_help_knows() {
    let served = Served::new(Plane::default());
    let (help, _) = quiet(&served, &["help"], "");
    let options: Vec<&str> = help
        .split([' ', ',', '\n'])
        .filter_map(|word| word.strip_prefix("--"))
        .map(|word| word.trim_end_matches(':'))
        .filter(|word| !word.is_empty())
        .collect();
    assert!(options.len() > 40);
    for shell in ["bash", "zsh", "fish"] {
        let (script, _) = quiet(&served, &["completions", shell], "");
        for option in &options {
            let (long, fish) = (format!("--{option}"), format!("-l {option}"));
            assert!(
                script.contains(&long) || script.contains(&fish),
                "{option} in {script}"
            );
        }
        // Where the shell is, it understands its script.
        if lvs_testkit::program(shell).is_some() || shell == "bash" {
            let mut check = Command::new(shell)
                .arg("-n")
                .stdin(Stdio::piped())
                .spawn()
                .unwrap();
            check
                .stdin
                .take()
                .unwrap()
                .write_all(script.as_bytes())
                .unwrap();
            assert!(check.wait().unwrap().success(), "{shell}: {script}");
        }
    }
    let (script, _) = quiet(&served, &["completions", "bash"], "");
    let complete = |line: &str| {
        let try_it = format!(
            "{script}\nCOMP_WORDS=({line}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n\
             _lvsadm; echo \"${{COMPREPLY[@]}}\""
        );
        let output = Command::new("bash").args(["-c", &try_it]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(complete("lvsadm ap"), "apply\n");
    assert_eq!(
        complete("lvsadm --add-serv"),
        "--add-service --add-server\n"
    );
    assert_eq!(complete("lvsadm -A -t x -s lbl"), "lblc lblcr\n");
    assert_eq!(complete("lvsadm completions z"), "zsh\n");
    assert_eq!(complete("lvsadm diff --js"), "--json\n");
}

#[test]
fn other_shells_take_their_completions() {
    if ["zsh", "fish"].map(lvs_testkit::program).contains(&None) {
        return lvs_testkit::skip("no zsh and fish here");
    }
    let served = Served::new(Plane::default());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("_lvsadm");
    let run = |shell: &str, flag: &str, commands: &str| {
        let (script, _) = quiet(&served, &["completions", shell], "");
        std::fs::write(&file, script).unwrap();
        let commands = commands.replace("FILE", &file.display().to_string());
        let output = Command::new(shell)
            .args([flag, "-c", &commands])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{shell}");
        String::from_utf8(output.stdout).unwrap()
    };
    let sourced = "autoload -Uz compinit; compinit -D -u; source FILE; print $_comps[lvsadm]";
    assert_eq!(run("zsh", "-f", sourced), "_lvsadm\n");
    let on_the_path =
        "fpath=(FILE:h $fpath); autoload -Uz compinit; compinit -D -u; print $_comps[lvsadm]"
            .replace("FILE:h", &folder.path().display().to_string());
    assert_eq!(run("zsh", "-f", &on_the_path), "_lvsadm\n");
    let asked = "source FILE; complete -C 'lvsadm -A -t 10.0.0.1:80 -s ww'";
    assert_eq!(run("fish", "--no-config", asked), "");
    let asked = "source FILE; complete -C 'lvsadm -A -t 10.0.0.1:80 -s wl'";
    assert!(run("fish", "--no-config", asked).starts_with("wlc\t"));
}
