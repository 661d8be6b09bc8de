//! SIGHUP: good and bad configurations, under load.

use std::os::unix::fs::PermissionsExt;

use lvs_testkit::free_port;

use crate::backend::Backend;
use crate::lab::{Lab, get, real_server, virtual_server};
use crate::load::Load;

#[test]
fn servers_come_go_and_change_weight_under_load_without_a_lost_request() {
    let (a, b, c) = (
        Backend::start("a"),
        Backend::start("b"),
        Backend::start("c"),
    );
    let port = free_port();
    let text = |servers: &[String]| virtual_server(port, &servers.concat());
    let lab = Lab::start(&text(&[real_server(&a, 1, ""), real_server(&b, 1, "")]));
    lab.wait_serving();
    let load = Load::start(port);
    load.wait_for_more(100);
    for round in 0..3 {
        // Added.
        lab.reload_completely(&text(&[
            real_server(&a, 1, ""),
            real_server(&b, 1, ""),
            real_server(&c, 2, ""),
        ]));
        lab.wait("the third server", |lab| lab.weights().len() == 3);
        load.wait_for_more(100);
        // Reweighted.
        lab.reload_completely(&text(&[
            real_server(&a, 5 + round, ""),
            real_server(&b, 0, ""),
            real_server(&c, 1, ""),
        ]));
        let weights = [(a.port(), 5 + round), (b.port(), 0), (c.port(), 1)];
        lab.wait("the weights", |lab| lab.weights() == weights);
        load.wait_for_more(100);
        // Removed.
        lab.reload_completely(&text(&[real_server(&a, 1, ""), real_server(&b, 1, "")]));
        lab.wait("two servers", |lab| lab.weights().len() == 2);
        load.wait_for_more(100);
    }
    assert_eq!(load.stop(), Vec::<String>::new());
    assert!(c.requests() > 0);
}

#[test]
fn an_unchanged_service_keeps_counters_and_progress() {
    let a = Backend::start("a");
    let (port, other) = (free_port(), free_port());
    let first = virtual_server(port, &real_server(&a, 1, ""));
    let lab = Lab::start(&first);
    lab.wait_serving();
    for _ in 0..5 {
        get(port).unwrap();
    }
    lab.wait("a check and the counters", |lab| {
        let server = lab.server(a.port()).unwrap();
        server.counters.conns == 5 && server.checks[0].last.is_some()
    });
    let second = virtual_server(other, &real_server(&a, 1, ""));
    lab.reload_completely(&[first, second].concat());
    lab.wait("the new service", |_| get(other).is_some());
    let server = lab.server(a.port()).unwrap();
    assert_eq!(server.counters.conns, 5);
    assert!(server.checks[0].last.is_some());
    let name = format!("[127.0.0.1]:tcp:{}", a.port());
    let line = format!("Activating healthchecker for service {name} for VS [127.0.0.1]:tcp:{port}");
    assert_eq!(lab.count(&line), 1);
}

#[test]
fn a_broken_configuration_changes_nothing_and_is_explained() {
    let (a, b) = (Backend::start("a"), Backend::start("b"));
    let port = free_port();
    let good = virtual_server(port, &real_server(&a, 1, ""));
    let lab = Lab::start(&good);
    lab.wait_serving();
    let load = Load::start(port);
    // Another server, and a misspelt word: nothing of it counts.
    let bad = virtual_server(port, &real_server(&b, 1, "inhibit_on_faliure"));
    lab.reload(&bad);
    lab.wait("the refusal", |lab| {
        lab.count("New config failed validation, the old configuration goes on") == 1
    });
    assert!(
        lab.lvsd.output().contains("inhibit_on_faliure"),
        "{}",
        lab.lvsd.output()
    );
    assert!(
        lab.lvsd.output().contains(": Line "),
        "{}",
        lab.lvsd.output()
    );
    assert_eq!(lab.weights(), [(a.port(), 1)]);
    let reload = lab.status().last_reload.unwrap();
    assert!(!reload.applied && !reload.problems.is_empty());
    // A missing file likewise.
    std::fs::remove_file(lab.path("keepalived.conf")).unwrap();
    lab.lvsd.signal(nix::sys::signal::Signal::SIGHUP);
    lab.wait("the second refusal", |lab| {
        lab.count("New config failed validation, the old configuration goes on") == 2
    });
    load.wait_for_more(100);
    // And a good one is taken again.
    lab.reload_completely(&virtual_server(port, &real_server(&b, 1, "")));
    lab.wait("the other server", |lab| lab.weights() == [(b.port(), 1)]);
    load.wait_for_more(100);
    assert_eq!(load.stop(), Vec::<String>::new());
    assert!(lab.status().last_reload.unwrap().applied);
}

#[test]
fn a_reload_that_comes_during_the_start_is_done_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("hurry");
    std::fs::write(&script, "#!/bin/sh\nkill -HUP $PPID\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let lab = Lab::start(&format!(
        "global_defs {{\n script_user root\n startup_script {}\n}}\n",
        script.display()
    ));
    lab.wait("the reload", |lab| lab.count("Reload complete") == 1);
}

#[test]
fn scripts_that_cannot_run_are_named_at_the_start_and_at_each_reload() {
    let a = Backend::start("a");
    let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
    let plain = folder.path().join("plain.sh");
    std::fs::write(&plain, "#!/bin/sh\n").unwrap();
    let text = |script: &str| {
        let down = format!("notify_down {}", plain.display());
        let servers = real_server(&a, 1, &down);
        // Root asks for a user who may not be there.
        let globals = "global_defs {\n script_user root\n}\n";
        let quorum = format!("  quorum_down {script}\n{servers}");
        format!("{globals}{}", virtual_server(port, &quorum))
    };
    let lab = Lab::start(&text("/nonexistent/first.sh"));
    let missing = |name: &str| {
        format!("Script /nonexistent/{name} cannot be accessed - No such file or directory")
    };
    lab.wait("both warnings", |lab| {
        lab.count(&missing("first.sh")) == 1 && lab.count("plain.sh' is not executable for") == 1
    });
    lab.reload_completely(&text("/nonexistent/second.sh"));
    lab.wait("both warnings again", |lab| {
        lab.count(&missing("second.sh")) == 1 && lab.count("plain.sh' is not executable for") == 2
    });
    assert_eq!(lab.count(&missing("first.sh")), 1);
}

#[test]
fn a_service_that_is_gone_refuses_and_one_that_moved_serves() {
    let a = Backend::start("a");
    let (old, new) = (free_port(), free_port());
    let lab = Lab::start(&virtual_server(old, &real_server(&a, 1, "")));
    lab.wait_serving();
    lab.reload_completely(&virtual_server(new, &real_server(&a, 1, "")));
    lab.wait("the new port", |_| get(new).is_some());
    lab.wait("the old port to close", |_| get(old).is_none());
    assert_eq!(
        lab.count(&format!("Removing Virtual Server [127.0.0.1]:tcp:{old}")),
        1
    );
}

#[test]
fn a_failed_server_stays_down_over_a_reload() {
    let (mut a, b) = (Backend::start("a"), Backend::start("b"));
    let port = free_port();
    let text = |weight| {
        let servers = [real_server(&a, weight, ""), real_server(&b, 1, "")].concat();
        virtual_server(port, &servers)
    };
    let (first, second) = (text(1), text(2));
    let lab = Lab::start(&first);
    lab.wait_serving();
    a.stop();
    lab.wait("its removal", |lab| lab.weights() == [(b.port(), 1)]);
    lab.reload_completely(&second);
    assert_eq!(lab.weights(), [(b.port(), 1)]);
    a.resume();
    lab.wait("its return with the new weight", |lab| {
        lab.weights() == [(a.port(), 2), (b.port(), 1)]
    });
}

#[test]
fn a_file_of_nothing_but_mistakes_does_not_flood_the_log() {
    let a = Backend::start("a");
    let good = virtual_server(free_port(), &real_server(&a, 1, ""));
    let lab = Lab::start(&good);
    lab.reload(&"bogus\n".repeat(5_000));
    lab.wait("the refusal", |lab| {
        lab.count("New config failed validation") > 0
    });
    assert_eq!(lab.count("bogus"), 200);
    assert_eq!(lab.count("... and 4800 more"), 1);
}
