//! The kernel's IPVS as the dataplane: directors in a network namespace of their own.

use std::time::{Duration, Instant};

use director::status::DataplaneKind;
use ipvs_netlink::{
    Client, Command, DaemonRole, KernelTransport, ServiceKey, Timeouts, VirtualService,
};
use lvs_testkit::lab::{Host, LIMIT, Lab, enter};
use lvs_testkit::wait_until;
use nix::sys::signal::Signal;

use crate::director::{Director, is_gone};

/// The servers' addresses are those of the namespace itself, where nothing listens: the checked one
/// fails, and the others, without a check, count as up.
const WEB: &str = "\
virtual_server 10.0.0.1 80 {
  delay_loop 0.2
  warmup 0
  lb_algo wrr
  lb_kind NAT
  protocol TCP
  persistence_timeout 50
  real_server 10.0.1.1 80 {
    weight 3
    inhibit_on_failure
    TCP_CHECK {
      connect_timeout 1
    }
  }
  real_server 10.0.1.2 81 {
    weight 2
  }
}
";

const MARKED: &str = "\
virtual_server fwmark 7 {
  delay_loop 1
  lb_algo rr
  lb_kind DR
  real_server 10.0.1.3 0 {
    weight 1
  }
}
";

/// `WEB` in the kernel's table, once its check has failed.
const WEB_LINES: [&str; 3] = [
    "TCP 0A000001:0050 wrr persistent",
    "  -> 0A000101:0050 Masq 0",
    "  -> 0A000102:0051 Masq 2",
];
const MARKED_LINES: [&str; 2] = ["FWM 00000007 rr", "  -> 0A000103:0000 Route 1"];
const THEIR_LINES: [&str; 1] = ["TCP 0A000009:0009 rr"];

/// A service of somebody else.
fn theirs() -> VirtualService {
    let key = ServiceKey::tcp(([10, 0, 0, 9], 9).into());
    VirtualService::new(key, "rr".parse().unwrap())
}

/// A host for a director.
fn host(lab: &Lab) -> Host {
    let host = lab.host("director");
    // The kernel takes only destinations that it has a route to; a sync daemon wants an address.
    host.ip(
        "address add 10.0.1.254/24 dev lo\nlink add eth0 type dummy\n\
             address add 10.0.2.1/24 dev eth0\nlink set eth0 up",
    );
    host
}

/// A client of its table, as somebody else has it.
fn client_of(host: &Host) -> Client<KernelTransport> {
    let transport = host.enter(KernelTransport::open);
    Client::connect(transport.unwrap()).unwrap()
}

/// The table as the kernel prints it.
fn text(host: &Host) -> String {
    host.enter(|| std::fs::read_to_string("/proc/thread-self/net/ip_vs").unwrap())
}

/// The table without its heading and without what counts, sorted by service: the kernel's order is
/// that of its hashes.
fn table(host: &Host) -> Vec<String> {
    let text = text(host);
    let mut services: Vec<Vec<String>> = Vec::new();
    for line in text.lines().skip(3) {
        if line.starts_with("  ->") {
            let words: Vec<&str> = line.split_whitespace().take(4).collect();
            let line = format!("  {}", words.join(" "));
            services
                .last_mut()
                .expect("a service stands first")
                .push(line);
        } else {
            // The time after "persistent" is in the kernel's own unit.
            let words: Vec<&str> = line.split_whitespace().take(4).collect();
            services.push(vec![words.join(" ")]);
        }
    }
    for service in &mut services {
        service.get_mut(1..).unwrap_or_default().sort();
    }
    services.sort();
    services.concat()
}

#[track_caller]
fn wait_table(host: &Host, parts: &[&[&str]]) {
    let mut parts: Vec<&[&str]> = parts.to_vec();
    parts.sort();
    let wished = parts.concat();
    let mut last = Vec::new();
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        wait_until("the table", LIMIT, || {
            last = table(host);
            (last == wished).then_some(())
        });
    }));
    assert!(found.is_ok(), "{last:#?} is not {wished:#?}");
}

#[test]
fn the_kernels_table_is_filled_taken_over_and_emptied() {
    let Some(lab) = enter() else { return };
    let host = host(&lab);
    let director = Director::start(&host, &[WEB, MARKED].concat(), &[]);
    director.wait_serving();
    wait_table(&host, &[&WEB_LINES, &MARKED_LINES]);
    let before = text(&host);
    director.kill_child("checker");
    assert_eq!(text(&host), before, "a killed checker changes nothing");
    let status = director.status();
    assert_eq!(status.dataplane.kind, DataplaneKind::Kernel);
    assert_eq!(status.processes.len(), 1, "no proxy");

    client_of(&host).add_service(&theirs()).unwrap();
    director.reload_completely(WEB);
    wait_table(&host, &[&WEB_LINES, &THEIR_LINES]);
    director.stop();
    assert_eq!(table(&host), THEIR_LINES);
    assert!(!director.run_dir().join("kernel-table.json").exists());
}

#[test]
fn after_a_crash_the_next_director_takes_over_what_it_wishes_and_removes_the_rest() {
    let Some(lab) = enter() else { return };
    let host = host(&lab);
    let mut director = Director::start(&host, &[WEB, MARKED].concat(), &[]);
    director.wait_serving();
    wait_table(&host, &[&WEB_LINES, &MARKED_LINES]);
    let mut client = client_of(&host);
    client.add_service(&theirs()).unwrap();
    let checker = director.child("checker");
    director.lvsd.signal(Signal::SIGKILL);
    director.lvsd.wait(LIMIT);
    director.wait("the checker's end", |_| is_gone(checker));
    wait_table(&host, &[&WEB_LINES, &MARKED_LINES, &THEIR_LINES]);

    // Counters are those of connections: a service that was made anew would have others.
    client.execute(&Command::Zero(None)).unwrap();
    let changed = client.services().unwrap();
    director.succeed(WEB, &[]);
    director.wait_serving();
    wait_table(&host, &[&WEB_LINES, &THEIR_LINES]);
    let kept: Vec<_> = changed
        .into_iter()
        .filter(|entry| matches!(entry.service.key, ServiceKey::Address { .. }))
        .collect();
    assert_eq!(client.services().unwrap(), kept);
    assert_eq!(
        director.count("somebody else"),
        0,
        "{}",
        director.lvsd.output()
    );

    // What is kept on purpose is known to the next one, too.
    director.stop();
    director.succeed(MARKED, &["-I"]);
    director.wait_serving();
    director.stop();
    wait_table(&host, &[&MARKED_LINES, &THEIR_LINES]);
    director.succeed("", &[]);
    wait_table(&host, &[&THEIR_LINES]);
}

#[test]
fn the_whole_table_is_emptied_where_that_is_asked_for() {
    let Some(lab) = enter() else { return };
    let host = host(&lab);
    let mut client = client_of(&host);
    client.add_service(&theirs()).unwrap();
    let text = ["global_defs {\n  lvs_flush\n}\n", MARKED].concat();
    let mut director = Director::start(&host, &text, &[]);
    wait_table(&host, &[&MARKED_LINES]);
    // Once: at the start.
    client.add_service(&theirs()).unwrap();
    director.kill_child("checker");
    director.reload_completely(&text);
    wait_table(&host, &[&MARKED_LINES, &THEIR_LINES]);

    for (keyword, left) in [
        ("lvs_flush_on_stop VS", &THEIR_LINES[..]),
        ("lvs_flush_on_stop", &[]),
    ] {
        let text = [&format!("global_defs {{\n  {keyword}\n}}\n"), MARKED].concat();
        director.reload_completely(&text);
        wait_table(&host, &[&MARKED_LINES, &THEIR_LINES]);
        director.stop();
        assert_eq!(table(&host), left, "{keyword}");
        director.succeed(&text, &[]);
        wait_table(&host, &[&MARKED_LINES, left]);
    }
}

#[test]
fn timeouts_and_sync_daemons_come_go_and_are_put_right() {
    let Some(lab) = enter() else { return };
    let host = host(&lab);
    let mut client = client_of(&host);
    let before = Timeouts {
        tcp: Duration::from_secs(800),
        ..Timeouts::default()
    };
    assert_ne!(client.timeouts().unwrap(), before);
    let set = |timeouts: Timeouts| {
        Command::SetTimeouts(ipvs_netlink::TimeoutsUpdate {
            tcp: Some(timeouts.tcp),
            ..Default::default()
        })
    };
    client.execute(&set(before)).unwrap();
    let text = "global_defs {\n  lvs_timeouts tcp 100 udp 33\n  \
                lvs_sync_daemon eth0 id 7 maxlen 1000 port 9000 ttl 3 group 224.0.0.99\n}\n";
    let mut director = Director::start(&host, text, &[]);
    let wished = Timeouts {
        tcp: Duration::from_secs(100),
        tcp_fin: before.tcp_fin,
        udp: Duration::from_secs(33),
    };
    let is_set = |director: &Director| {
        director.wait("the settings", |_| {
            let mut client = client_of(&host);
            let daemons = client.daemons().unwrap();
            client.timeouts().unwrap() == wished
                && daemons.len() == 2
                && daemons.iter().all(|daemon| {
                    daemon.interface.as_str() == "eth0"
                        && (daemon.sync_id, daemon.port) == (7, Some(9000))
                        && daemon.group == Some([224, 0, 0, 99].into())
                })
        });
    };
    is_set(&director);
    // A crash of all of it, and what the next one has to put back is still known.
    let checker = director.child("checker");
    director.lvsd.signal(Signal::SIGKILL);
    director.lvsd.wait(LIMIT);
    director.wait("the checker's end", |_| is_gone(checker));
    director.succeed(text, &[]);
    is_set(&director);
    director.wait("the table to be read", |director| {
        director
            .try_status()
            .is_some_and(|status| status.dataplane.connected)
    });

    for command in [set(before), Command::StopDaemon(DaemonRole::Backup)] {
        client.execute(&command).unwrap();
        is_set(&director);
    }
    director.wait("two lines", |director| {
        director.count("by somebody else") == 2
    });
    director.reload_completely("global_defs {\n  lvs_timeouts udp 33\n}\n");
    director.wait("the reload's settings", |_| {
        let mut client = client_of(&host);
        client.daemons().unwrap().is_empty() && client.timeouts().unwrap().tcp == before.tcp
    });
    assert_eq!(client.timeouts().unwrap().udp, wished.udp);
    director.stop();
    assert_eq!(client.timeouts().unwrap(), before);
}

#[test]
fn the_sync_daemon_sends_while_its_virtual_router_is_master() {
    let Some(lab) = enter() else { return };
    let host = host(&lab);
    let number = std::env::temp_dir().join("sync-daemon-number");
    std::fs::write(&number, "1").unwrap();
    let text = |settings: &str, instance: &str| {
        format!(
            "{settings}track_file f {{\n file {}\n weight 0\n}}\n\
             vrrp_instance VI {{\n interface eth0\n virtual_router_id 51\n version 3\n \
             advert_int 0.1\n priority 150\n {instance}\n track_file {{\n f\n }}\n \
             virtual_ipaddress {{\n 10.0.2.100/24\n }}\n}}\n",
            number.display()
        )
    };
    let of_globals = text("global_defs {\n lvs_sync_daemon eth0 VI\n}\n", "");
    let director = Director::start(&host, &of_globals, &[]);
    let daemons = || {
        let daemons = client_of(&host).daemons().unwrap().into_iter();
        let kinds = daemons.map(|it| (it.role, it.sync_id, it.interface.to_string()));
        kinds.collect::<Vec<_>>()
    };
    let only = |role, id| vec![(role, id, "eth0".to_owned())];
    director.wait("the receiver", |_| {
        daemons() == only(DaemonRole::Backup, 51)
    });
    std::fs::write(&number, "0").unwrap();
    director.wait("the sender", |_| daemons() == only(DaemonRole::Master, 51));
    // A new checker is told; a new VRRP process goes on.
    for child in ["checker", "vrrp"] {
        let pid = director.child(child);
        nix::sys::signal::kill(pid, Signal::SIGKILL).unwrap();
        director.wait("another process", |_| is_gone(pid));
        director.wait("its successor", |it| {
            let processes = it.try_status().map(|it| it.processes).unwrap_or_default();
            let mut processes = processes.iter().filter(|it| it.name == child);
            processes.any(|it| it.pid.is_some_and(|it| it.cast_signed() != pid.as_raw()))
        });
        director.wait("the sender", |_| daemons() == only(DaemonRole::Master, 51));
    }
    // The old way to say so.
    let old = "lvs_sync_daemon_interface eth0";
    director.reload_completely(&text("", old));
    std::fs::write(&number, "1").unwrap();
    director.wait("the receiver again", |_| {
        daemons() == only(DaemonRole::Backup, 51)
    });
    director.reload_completely(&text("", ""));
    director.wait("no daemon", |_| daemons().is_empty());
    director.stop();
}

#[test]
fn what_somebody_else_changes_is_put_right_within_two_seconds_unless_that_is_off() {
    let Some(lab) = enter() else { return };
    let host = host(&lab);
    let mut client = client_of(&host);
    let mut director = Director::start(&host, MARKED, &[]);
    wait_table(&host, &[&MARKED_LINES]);
    // A machine that is busy elsewhere may be late once, not every time.
    let mut taken = Vec::new();
    while taken
        .last()
        .is_none_or(|time| *time > Duration::from_secs(2))
    {
        assert!(taken.len() < 5, "it took {taken:?}");
        client.execute(&Command::Flush).unwrap();
        let flushed = Instant::now();
        wait_table(&host, &[&MARKED_LINES]);
        taken.push(flushed.elapsed());
    }
    let line = "VS FWM 7 was removed from the table by somebody else - adding it again";
    director.wait("the line", |director| director.count(line) == taken.len());
    director.stop();

    director.succeed(MARKED, &["--audit-interval", "0"]);
    wait_table(&host, &[&MARKED_LINES]);
    client.execute(&Command::Flush).unwrap();
    // Nothing looks by itself: the status says what was put there, and only a reload puts it back.
    director.wait_serving();
    assert_eq!(table(&host), Vec::<String>::new());
    director.reload_completely(MARKED);
    wait_table(&host, &[&MARKED_LINES]);
}

#[test]
fn without_permission_it_says_so_or_takes_the_other_dataplane() {
    let Some(lab) = enter() else { return };
    let host = host(&lab);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("k.conf"), "").unwrap();
    let run = |dataplane: &str| {
        let mut command = std::process::Command::new("setpriv");
        command
            .args(["--bounding-set=-net_admin", "--inh-caps=-all"])
            .arg(env!("CARGO_BIN_EXE_lvsd"))
            .args(["-n", "-l", "-G", "--dataplane", dataplane, "-f"])
            .arg(folder.path().join("k.conf"))
            .arg("--run-dir")
            .arg(folder.path().join("run"));
        host.start(&mut command)
    };
    let refused = run("kernel");
    assert_eq!(refused.wait(LIMIT).code(), Some(1));
    refused.wait_for("not permitted to use the kernel's IPVS", LIMIT);
    let other = run("auto");
    other.wait_for("Dataplane: userspace - not permitted", LIMIT);
    other.wait_for("Startup complete", LIMIT);
}
