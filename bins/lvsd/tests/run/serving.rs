//! What reaches which server: the spread, ports that cannot be had, several services.

use std::net::{Ipv4Addr, TcpListener};

use director::status::AddressState;
use lvs_testkit::{Nginx, free_port};

use crate::backend::Backend;
use crate::lab::{LIMIT, Lab, get, get_many, real_server, virtual_server};

#[test]
fn requests_are_spread_in_the_kernels_wrr_sequence() {
    let (a, b, c) = (
        Backend::start("a"),
        Backend::start("b"),
        Backend::start("c"),
    );
    let port = free_port();
    let servers =
        [(&a, 5), (&b, 3), (&c, 1)].map(|(server, weight)| real_server(server, weight, ""));
    let lab = Lab::start(&virtual_server(port, &servers.concat()));
    lab.wait_serving();
    // The proxy names it as all others do.
    let line = format!("listening virtual_service=[127.0.0.1]:tcp:{port} ");
    assert_eq!(lab.count(&line), 1);
    // Recorded from Linux: servers added one by one in this order begin so, and go on in turns of
    // nine.
    let turn = "c b a a a b a b a";
    let answers = get_many(port, 27).join(" ");
    assert_eq!(answers, [turn; 3].join(" "));
    assert_eq!([a.requests(), b.requests(), c.requests()], [15, 9, 3]);
}

#[test]
fn a_server_of_weight_0_gets_nothing() {
    let (a, b) = (Backend::start("a"), Backend::start("b"));
    let port = free_port();
    let servers = [real_server(&a, 0, ""), real_server(&b, 1, "")].concat();
    let lab = Lab::start(&virtual_server(port, &servers));
    lab.wait_serving();
    assert_eq!(get_many(port, 4), ["b"; 4]);
    assert_eq!(lab.weights(), [(a.port(), 0), (b.port(), 1)]);
}

#[test]
fn nginx_servers_are_checked_by_status_and_digest() {
    let (good, bad, port) = (free_port(), free_port(), free_port());
    let http = format!(
        "server {{ listen 127.0.0.1:{good}; location / {{ return 200 hello; }} }}\n\
         server {{ listen 127.0.0.1:{bad}; location / {{ return 200 changed; }} }}"
    );
    let Some(_nginx) = Nginx::start(&http, &[good, bad]) else {
        return lvs_testkit::skip("nginx is not installed");
    };
    let server = |port: u16| {
        format!(
            "real_server 127.0.0.1 {port} {{\n weight 1\n HTTP_GET {{\n url {{\n path /\n \
             digest 5d41402abc4b2a76b9719d911017c592\n status_code 200\n }}\n connect_timeout 2\n }}\n}}\n"
        )
    };
    let lab = Lab::start(&virtual_server(port, &[server(good), server(bad)].concat()));
    lab.wait("the changed page to be noticed", |lab| {
        lab.weights() == [(good, 1)]
    });
    assert_eq!(get_many(port, 3), ["hello"; 3]);
    assert_eq!(lab.count("MD5 digest error to server"), 1);
}

#[test]
fn a_port_that_is_taken_is_explained_and_the_other_services_go_on() {
    let a = Backend::start("a");
    let (taken, port) = (free_port(), free_port());
    let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, taken)).unwrap();
    let servers = real_server(&a, 1, "");
    let both = [
        virtual_server(taken, &servers),
        virtual_server(port, &servers),
    ]
    .concat();
    let lab = Lab::start(&both);
    lab.wait("the second service", |_| get(port).is_some());
    lab.wait("the refusal in the status", |lab| {
        let addresses = lab.status().services[0].addresses.clone();
        matches!(&addresses[0].state, AddressState::Failed { reason }
            if reason.contains(&format!("127.0.0.1:{taken}")))
    });
    lab.wait("the line of the log", |lab| {
        lab.count("cannot be served") == 1
    });
    // It is tried again by itself.
    drop(holder);
    lab.wait("the first service", |_| get(taken).is_some());
    lab.wait("its line", |lab| lab.count("is served now") == 1);
    lab.wait("the line of the log", |lab| {
        lab.count("cannot be served") == 1
    });
}

#[test]
fn a_privileged_port_names_the_remedy() {
    if nix::unistd::geteuid().is_root() {
        return lvs_testkit::skip("root may listen on every port");
    }
    let a = Backend::start("a");
    let port = free_port();
    let servers = real_server(&a, 1, "");
    let both = [virtual_server(1, &servers), virtual_server(port, &servers)].concat();
    let lab = Lab::start(&both);
    lab.wait("the second service", |_| get(port).is_some());
    lab.wait("the error", |lab| lab.count("cannot be served") == 1);
    assert!(lab.lvsd.output().contains("ermission"));
}

#[test]
fn a_group_is_served_at_every_address() {
    let a = Backend::start("a");
    let ports = [free_port(), free_port()];
    let group = format!(
        "virtual_server_group web {{\n 127.0.0.1 {}\n 127.0.0.1 {}\n}}\nvirtual_server group web {{\n \
         delay_loop 1\n lb_algo rr\n lb_kind NAT\n protocol TCP\n{}}}\n",
        ports[0],
        ports[1],
        real_server(&a, 1, "")
    );
    let lab = Lab::start(&group);
    lab.wait_serving();
    for port in ports {
        assert_eq!(get(port).as_deref(), Some("a"));
    }
    assert_eq!(lab.status().services[0].addresses.len(), 2);
}

#[test]
fn a_firewall_mark_is_refused_in_words() {
    let a = Backend::start("a");
    let text = format!(
        "virtual_server fwmark 7 {{\n delay_loop 1\n lb_algo rr\n lb_kind NAT\n{}}}\n",
        real_server(&a, 1, "")
    );
    let lab = Lab::start(&text);
    lab.wait("the refusal", |lab| {
        lab.count("VS FWM 7 cannot be served") == 1
    });
}

#[test]
fn without_a_configuration_file_the_exit_status_is_6() {
    let folder = tempfile::tempdir().unwrap();
    let mut lvsd = lvs_testkit::Process::start(
        std::process::Command::new(env!("CARGO_BIN_EXE_lvsd"))
            .args([
                "-n",
                "-l",
                "-G",
                "-f",
                "/nonexistent/keepalived.conf",
                "--run-dir",
            ])
            .arg(folder.path()),
    );
    assert_eq!(lvsd.wait(LIMIT).code(), Some(6));
}

#[test]
fn a_second_director_in_the_same_folder_ends_quietly() {
    let lab = Lab::start("");
    let mut second = lvs_testkit::Process::start(
        std::process::Command::new(env!("CARGO_BIN_EXE_lvsd"))
            .args(["-n", "-l", "-G", "-f"])
            .arg(lab.path("keepalived.conf"))
            .arg("--run-dir")
            .arg(lab.run_dir()),
    );
    second.wait_for("daemon is already running", LIMIT);
    assert_eq!(second.wait(LIMIT).code(), Some(0));
    assert!(lab.try_status().is_some());
}

#[test]
fn the_kernel_dataplane_says_why_it_cannot_be_had() {
    if std::path::Path::new("/proc/net/ip_vs").exists() {
        return lvs_testkit::skip("this kernel has IPVS");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keepalived.conf");
    std::fs::write(&path, "").unwrap();
    let mut lvsd = lvs_testkit::Process::start(
        std::process::Command::new(env!("CARGO_BIN_EXE_lvsd"))
            .args(["-n", "-l", "-G", "--dataplane", "kernel", "-f"])
            .arg(&path)
            .arg("--run-dir")
            .arg(folder.path().join("run")),
    );
    lvsd.wait_for("the kernel dataplane cannot be used", LIMIT);
    assert_eq!(lvsd.wait(LIMIT).code(), Some(1));
}
