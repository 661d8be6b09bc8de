//! Servers that die and come back: removal, inhibit, sorry server, quorum, scripts.

use std::time::Instant;

use lvs_testkit::free_port;

use crate::backend::Backend;
use crate::lab::{Lab, get, get_many, real_server, virtual_server};

#[test]
fn a_dead_server_is_removed_within_its_retries_and_comes_back() {
    let (mut a, b) = (Backend::start("a"), Backend::start("b"));
    let port = free_port();
    let servers = [real_server(&a, 1, ""), real_server(&b, 1, "")].concat();
    let lab = Lab::start(&virtual_server(port, &servers));
    lab.wait_serving();
    lab.wait("a check", |lab| {
        lab.server(a.port())
            .is_some_and(|server| server.checks[0].last.is_some())
    });
    let died = Instant::now();
    a.stop();
    lab.wait("its removal", |lab| lab.weights() == [(b.port(), 1)]);
    // One loop, one retry, and what the probes take: far below this.
    assert!(died.elapsed().as_secs() < 10, "{:?}", died.elapsed());
    assert_eq!(get_many(port, 6), ["b"; 6]);
    let down = lab.server(a.port()).unwrap();
    assert!(!down.up && !down.in_table);
    assert_eq!(
        down.checks[0].last.as_ref().unwrap().reason,
        "connection refused"
    );
    let name = format!("[127.0.0.1]:tcp:{}", a.port());
    assert_eq!(
        lab.count(&format!(
            "HTTP_CHECK on service {name} failed after 1 retries."
        )),
        1
    );
    assert_eq!(
        lab.count(&format!(
            "Removing service {name} from VS [127.0.0.1]:tcp:{port}"
        )),
        1
    );
    a.resume();
    lab.wait("its return", |lab| lab.weights().len() == 2);
    assert_eq!(
        lab.count(&format!(
            "Adding service {name} to VS [127.0.0.1]:tcp:{port}"
        )),
        1
    );
    let mut answers = get_many(port, 2);
    answers.sort();
    assert_eq!(answers, ["a", "b"]);
}

#[test]
fn a_refused_server_costs_no_request_before_the_check_notices() {
    let (mut a, b) = (Backend::start("a"), Backend::start("b"));
    let port = free_port();
    // A check that comes in an hour: the dataplane alone has to cope.
    let rare = |server: &Backend| {
        format!(
            "real_server 127.0.0.1 {} {{\n weight 1\n TCP_CHECK {{\n delay_loop 3600\n warmup 3600\n }}\n}}\n",
            server.port()
        )
    };
    let lab = Lab::start(&virtual_server(port, &[rare(&a), rare(&b)].concat()));
    lab.wait_serving();
    a.stop();
    assert_eq!(get_many(port, 6), ["b"; 6]);
    assert_eq!(lab.weights().len(), 2);
}

#[test]
fn the_sorry_server_serves_while_all_are_down() {
    let (mut a, sorry) = (Backend::start("a"), Backend::start("sorry"));
    let port = free_port();
    let inner = format!(
        "  sorry_server 127.0.0.1 {}\n{}",
        sorry.port(),
        real_server(&a, 1, "")
    );
    let lab = Lab::start(&virtual_server(port, &inner));
    lab.wait_serving();
    assert_eq!(get(port).as_deref(), Some("a"));
    a.stop();
    lab.wait("the sorry server", |lab| {
        lab.weights() == [(sorry.port(), 1)]
    });
    assert_eq!(get(port).as_deref(), Some("sorry"));
    assert_eq!(lab.count("Adding sorry server"), 1);
    assert!(!lab.status().services[0].up);
    a.resume();
    lab.wait("the real server", |lab| lab.weights() == [(a.port(), 1)]);
    assert_eq!(get(port).as_deref(), Some("a"));
}

#[test]
fn an_inhibited_server_stays_with_weight_0() {
    let (a, b) = (Backend::start("a"), Backend::start("b"));
    let port = free_port();
    let servers = [
        real_server(&a, 3, "inhibit_on_failure"),
        real_server(&b, 1, ""),
    ];
    let lab = Lab::start(&virtual_server(port, &servers.concat()));
    lab.wait_serving();
    a.set_status(503);
    lab.wait("weight 0", |lab| {
        lab.weights() == [(a.port(), 0), (b.port(), 1)]
    });
    assert_eq!(lab.count("Disabling service"), 1);
    assert_eq!(get_many(port, 4), ["b"; 4]);
    a.set_status(200);
    lab.wait("its weight", |lab| {
        lab.weights() == [(a.port(), 3), (b.port(), 1)]
    });
    assert_eq!(lab.count("Enabling service"), 1);
}

#[test]
fn alpha_keeps_a_server_out_until_it_has_passed() {
    let a = Backend::start("a");
    a.set_status(500);
    let port = free_port();
    let inner = format!("  alpha\n{}", real_server(&a, 1, ""));
    let lab = Lab::start(&virtual_server(port, &inner));
    lab.wait("a failed check", |lab| {
        lab.server(a.port())
            .is_some_and(|server| server.checks[0].last.is_some())
    });
    assert_eq!(lab.weights(), []);
    a.set_status(200);
    lab.wait("the server", |lab| lab.weights() == [(a.port(), 1)]);
}

#[test]
fn quorum_and_scripts_follow_the_weight() {
    let (a, mut b) = (Backend::start("a"), Backend::start("b"));
    let port = free_port();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let script = |word: &str| format!("\"/bin/sh -c 'echo {word} >> {}'\"", out.display());
    // As root, keepalived's default user may exist and not be allowed to write here.
    let globals = "global_defs {\n script_user root\n}\n";
    let inner = format!(
        "  quorum 3\n  hysteresis 1\n  quorum_up {}\n  quorum_down {}\n{}{}",
        script("quorum-up"),
        script("quorum-down"),
        real_server(&a, 2, ""),
        real_server(
            &b,
            2,
            &format!(
                "notify_down {}\n    notify_up {}",
                script("down"),
                script("up")
            )
        )
    );
    let lab = Lab::start(&format!("{globals}{}", virtual_server(port, &inner)));
    let read = || std::fs::read_to_string(&out).unwrap_or_default();
    lab.wait("quorum_up", |_| read() == "quorum-up\n");
    // 2 is not below 3 - 1: the quorum holds.
    b.stop();
    lab.wait("notify_down", |_| read() == "quorum-up\ndown\n");
    a.set_status(500);
    lab.wait("quorum_down", |_| {
        read() == "quorum-up\ndown\nquorum-down\n"
    });
    assert!(!lab.status().services[0].up);
    // 2 is not 3 + 1 yet, 4 is.
    a.set_status(200);
    lab.wait("the first server", |lab| {
        lab.status().services[0].alive_weight == 2
    });
    assert!(!lab.status().services[0].up);
    b.resume();
    lab.wait("quorum_up", |_| {
        read() == "quorum-up\ndown\nquorum-down\nup\nquorum-up\n"
    });
}
