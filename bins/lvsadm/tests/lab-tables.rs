//! Whole tables on a real kernel: what is saved comes back, and a plan is taken as it is made.

use std::io::{Seek, Write};
use std::process::Command;

use lvs_testkit::lab::{self, Host};

/// Something of everything that the kernel keeps.
const TABLE: &str = "\
--set 600 60 30
--start-daemon master --mcast-interface d0 --syncid 5 --sync-maxlen 1400 --mcast-group 224.0.0.81 --mcast-port 8848 --mcast-ttl 1
--stop-daemon backup
-A -t 10.0.0.1:80 -s sh -p 360 -M 255.255.255.0 -b sh-port,flag-3
-a -t 10.0.0.1:80 -r 10.1.0.2:81 -g -w 0
-a -t 10.0.0.1:80 -r 10.1.0.1:8080 -m -w 3 -x 1000 -y 800
-A -u 10.0.0.2:53 -s rr -M 255.255.0.0 -o
-A -u [2001:db8::1]:53 -s wlc -p 30 -M 64
-a -u [2001:db8::1]:53 -r [2001:db8:1::1]:53 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum
-a -u [2001:db8::1]:53 -r [2001:db8:1::2]:53 -i -w 1 -x 9 --tun-type gre --tun-csum
-A --sctp-service 10.0.0.1:2905 -s nq
-A -f 5 -s rr
-a -f 5 -r 10.1.0.9:99 -g -w 2147483647
-A -f 4294967295 -6 -s mh -b mh-fallback
";

fn lvsadm(host: &Host, words: &[&str], input: &str) -> (String, String, Option<i32>) {
    // A file, because a pipe could fill up on both sides.
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(input.as_bytes()).unwrap();
    file.rewind().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_lvsadm"));
    let output = host.output(command.args(words).stdin(file));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        text(output.stdout),
        text(output.stderr),
        output.status.code(),
    )
}

fn director(lab: &lab::Lab) -> Host {
    let host = lab.host("director");
    host.ip("link add d0 type dummy\nlink set d0 up\naddress add 192.168.77.1/24 dev d0\n");
    host
}

fn done(output: &str) -> (String, String, Option<i32>) {
    (output.to_owned(), String::new(), Some(0))
}

#[test]
fn the_kernel_gives_back_what_was_applied() {
    let Some(lab) = lab::enter() else { return };
    let host = director(&lab);
    let (plan, errors, status) = lvsadm(&host, &["apply", "-"], TABLE);
    assert_eq!((errors.as_str(), status), ("", Some(0)));
    assert_eq!(plan.lines().count(), TABLE.lines().count() - 1, "{plan}");
    assert_eq!(lvsadm(&host, &["save"], ""), done(TABLE));
    assert_eq!(lvsadm(&host, &["apply", "-"], TABLE), done(""));
    let (difference, _, status) = lvsadm(&host, &["diff", "-"], &TABLE.replace("-w 3", "-w 4"));
    assert_eq!(difference.lines().count(), 2, "{difference}");
    assert_eq!(status, Some(1));
    let (json, _, _) = lvsadm(&host, &["-L", "--json"], "");
    let table: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(table["services"].as_array().map(Vec::len), Some(6));
    // Without services it is an empty table; what it does not say of daemons stays.
    let (plan, errors, status) = lvsadm(&host, &["apply", "-"], "--set 600 60 30\n");
    assert_eq!(
        (plan.lines().count(), errors.as_str(), status),
        (6, "", Some(0))
    );
    let rest: String = TABLE
        .lines()
        .take(3)
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(lvsadm(&host, &["save"], ""), done(&rest));
}

#[test]
fn thousands_of_lines_are_loaded_and_saved() {
    let Some(lab) = lab::enter() else { return };
    let host = director(&lab);
    let servers = (0..5000).map(|number| {
        let (high, low) = (number / 250, number % 250 + 1);
        format!("-a -t 10.0.0.1:80 -r 10.1.{high}.{low}:80 -m -w 1\n")
    });
    let table = format!("-A -t 10.0.0.1:80 -s wlc\n{}", servers.collect::<String>());
    assert_eq!(lvsadm(&host, &["-R"], &table), done(""));
    let (saved, _, _) = lvsadm(&host, &["-Sn"], "");
    assert!(saved == table, "{} lines", saved.lines().count());
    assert_eq!(saved, host.run(&["ipvsadm", "-Sn"]));
    // All are there already, and each is told once.
    let (_, errors, status) = lvsadm(&host, &["-R"], &table);
    assert_eq!(errors.matches("Destination already exists\n").count(), 5000);
    assert_eq!(status, Some(255));
    let wished = table.replace("10.1.3.7:80 -m -w 1", "10.1.3.7:80 -m -w 2");
    let change = "-e -t 10.0.0.1:80 -r 10.1.3.7:80 -m -w 2\n";
    assert_eq!(lvsadm(&host, &["apply", "-"], &wished), done(change));
}
