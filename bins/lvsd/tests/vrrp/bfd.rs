//! BFD sessions, and instances that track them: with FRR's bfdd, with keepalived, and with each other.

use director::status::BfdState::{Down, Up};
use director::status::VrrpState::{Backup, Fault, Master};
use lvs_testkit::Process;
use nix::sys::signal::Signal;

use crate::frr::Zebra;
use crate::lan::Lan;
use crate::router::{FAST, Keepalived, LIMIT, Router, Story, instance, together};

/// Slow enough for a busy machine.
const PACE: &str = "min_tx 100\n min_rx 100";

/// A session of the host to the peer with these addresses.
fn session(name: &str, own: &str, peer: &str, extra: &str) -> String {
    format!(
        "bfd_instance {name} {{\n neighbor_ip {peer}\n source_ip {own}\n {PACE}\n {extra}\n}}\n"
    )
}

/// The instance `VI`, which tracks these.
fn tracking(priority: u8, sessions: &str) -> String {
    let track = format!("{FAST}\n track_bfd {{\n {sessions}\n }}");
    instance(priority, &track)
}

/// FRR comes up, is killed, and comes back.
fn with_frr(own: &str, theirs: &str, extra: &str, peer: &str) -> Option<()> {
    let lan = Lan::<3>::new()?;
    if extra.contains("multihop") {
        far_apart(&lan);
    }
    let text = session("frr", own, theirs, extra) + &tracking(150, "frr");
    let ours = Router::start(lan.host(1), &text);
    let fault = ours.wait_for(Fault);
    assert!(fault.reason.contains("bfd frr is Down"), "{}", fault.reason);
    let zebra = Zebra::start(lan.host(2), "bfdd")?;
    let profile = "receive-interval 100\n  transmit-interval 100\n  detect-multiplier 3";
    let text = format!("bfd\n peer {own} {peer}\n  {profile}\n !\n!\n");
    let start = || zebra.daemon("bfdd", &text);
    let mut bfdd = start();
    ours.wait_for(Master);
    ours.wait_for_line("(frr) Entering Up state");
    ours.wait_for_line("VRRP_Instance(VI) Tracked BFD instance frr is UP");
    // Both have agreed on it: 3 packets of 100 ms.
    ours.wait("the intervals", |it| {
        it.session("frr").is_some_and(|it| {
            it.transmit_interval_seconds == 0.1
                && it.detection_time_seconds == Some(0.3)
                && it.remote_state == Some(Up)
        })
    });
    end(&mut bfdd);
    let fault = ours.wait_for(Fault);
    let reason = "bfd frr is Down: nothing heard for 300ms";
    assert!(fault.reason.contains(reason), "{}", fault.reason);
    ours.wait_for_line("(frr) Expired after 300 ms");
    ours.wait_for_line(
        "(frr) Entering Down state (Local diagnostic - Control Detection Time Expired, Remote \
         diagnostic - No Diagnostic)",
    );
    ours.wait_for_line("VRRP_Instance(VI) Tracked BFD instance frr is DOWN");
    let _bfdd = start();
    ours.wait_for(Master);
    let session = ours.wait_for_session("frr", Up);
    assert_eq!((session.counters.ups, session.counters.downs), (2, 1));
    ours.stop();
    Some(())
}

fn end(process: &mut Process) {
    process.signal(Signal::SIGKILL);
    process.wait(LIMIT);
}

/// Hosts 1 and 2 reach each other's 10.1.0.1 and 10.2.0.2 by host 3 only.
fn far_apart(lan: &Lan<3>) {
    for (number, own, other) in [(1, "10.1.0.1", "10.2.0.2"), (2, "10.2.0.2", "10.1.0.1")] {
        let host = lan.host(number);
        host.ip(&format!("addr add {own}/32 dev lo"));
        host.ip(&format!("route add {other}/32 via 10.0.0.3 src {own}"));
        host.command("sysctl", "-q -w net.ipv4.conf.all.accept_redirects=0");
        lan.host(3)
            .ip(&format!("route add {own}/32 via 10.0.0.{number}"));
    }
    let forward = "-q -w net.ipv4.ip_forward=1 net.ipv4.conf.all.send_redirects=0";
    lan.host(3).command("sysctl", forward);
    let redirects = "-q -w net.ipv4.conf.eth0.send_redirects=0";
    lan.host(3).command("sysctl", redirects);
}

#[test]
fn frr_is_followed() {
    let by = |name: &'static str, own, theirs, extra, peer| -> Story<'static> {
        let tell = move || {
            // Skipped where there is no FRR.
            let _ = with_frr(own, theirs, extra, peer);
        };
        (name, Box::new(tell))
    };
    together([
        by("IPv4", "10.0.0.1", "10.0.0.2", "", ""),
        // Whatever keepalived's default is, FRR takes nothing but 255.
        by("IPv6", "fd00::1", "fd00::2", "", "local-address fd00::2"),
        by("passive", "10.0.0.1", "10.0.0.2", "passive", ""),
        by(
            "multihop",
            "10.1.0.1",
            "10.2.0.2",
            "multihop\n max_hops 1",
            "multihop local-address 10.2.0.2",
        ),
    ]);
}

/// Sessions of host 3 with the others, over both families.
fn upstream() -> String {
    [1, 2]
        .map(|host| {
            let v4 = session(
                &format!("v4-{host}"),
                "10.0.0.3",
                &format!("10.0.0.{host}"),
                "",
            );
            v4 + &session(
                &format!("v6-{host}"),
                "fd00::3",
                &format!("fd00::{host}"),
                "",
            )
        })
        .concat()
}

/// The director on host 1 or 2, which follows host 3.
fn director(host: u8, priority: u8, sessions: &str) -> String {
    let own = (format!("10.0.0.{host}"), format!("fd00::{host}"));
    session("v4", &own.0, "10.0.0.3", "weight -30")
        + &session("v6", &own.1, "fd00::3", "weight 20 reverse")
        + &tracking(priority, sessions)
}

/// Has a host lose BFD packets of a family.
fn cut(lan: &Lan<3>, number: usize, family: &str) {
    let host = lan.host(number);
    let chain = format!("add chain {family} cut input {{ type filter hook input priority raw ; }}");
    let rule = format!("add rule {family} cut input udp dport 3784 drop");
    for command in [&format!("add table {family} cut"), &chain, &rule] {
        host.command("nft", command);
    }
}

fn mend(lan: &Lan<3>, number: usize, family: &str) {
    lan.host(number)
        .command("nft", &format!("delete table {family} cut"));
}

#[test]
fn who_loses_the_neighbor_yields_and_comes_back() {
    let Some(lan) = Lan::<3>::new() else { return };
    // A director of sessions alone.
    let upstream = Router::start(lan.host(3), &upstream());
    let one = Router::start(lan.host(1), &director(1, 150, "v4\n v6"));
    let two = Router::start(lan.host(2), &director(2, 125, "v4\n v6"));
    let priority = |router: &Router, expected: u8| {
        router.wait(&format!("priority {expected}"), |it| {
            let instance = it.instance("VI");
            instance.is_some_and(|it| it.effective_priority == expected)
        });
    };
    // Reversed, 20 are subtracted while the session is up.
    priority(&one, 130);
    priority(&two, 105);
    one.wait_for(Master);
    two.wait_for(Backup);
    cut(&lan, 1, "ip");
    priority(&one, 100);
    two.wait_for(Master);
    one.wait_for(Backup);
    // The other end was told.
    let told = upstream.wait_for_session("v4-1", Down);
    assert_eq!(
        told.reason,
        "neighbor is Down: Control Detection Time Expired"
    );
    // A session of its own for each family.
    assert_eq!(one.session("v6").unwrap().state, Up);
    mend(&lan, 1, "ip");
    priority(&one, 130);
    one.wait_for(Master);
    cut(&lan, 2, "ip6");
    priority(&two, 125);
    mend(&lan, 2, "ip6");
    priority(&two, 105);
    one.wait_for(Master);
    one.stop();
    let told = upstream.wait_for_session("v4-1", Down);
    assert_eq!(told.reason, "neighbor is AdminDown");
    // Which is no failure.
    upstream.stop();
    two.wait_for_session("v4", Down);
    assert_eq!(two.wait_for(Master).effective_priority, 105);
    assert_eq!(two.count("Tracked BFD instance v4 is DOWN"), 0);
}

#[test]
fn keepalived_and_we_elect_the_same() {
    let Some(lan) = Lan::<3>::new() else { return };
    let upstream = Router::start(lan.host(3), &upstream());
    let ours = Router::start(lan.host(1), &director(1, 140, "v4\n v6"));
    let Some(theirs) = Keepalived::start(lan.host(2), &director(2, 150, "v4\n v6")) else {
        return;
    };
    // 130 against 120.
    ours.wait_for_session("v4", Up);
    ours.wait_for_session("v6", Up);
    upstream.wait_for_session("v4-2", Up);
    // keepalived sends over IPv6 with a hop limit of 64, and takes ours of 255.
    upstream.wait_for_session("v6-2", Up);
    theirs.wait_for("MASTER");
    ours.wait_for(Backup);
    // 120 against 100, then the other way round.
    cut(&lan, 2, "ip");
    ours.wait_for(Master);
    theirs.wait_for("BACKUP");
    mend(&lan, 2, "ip");
    theirs.wait_for("MASTER");
    ours.wait_for(Backup);
    // 140 against 130: what is reversed takes nothing while it is down.
    cut(&lan, 1, "ip6");
    ours.wait_for(Master);
    theirs.wait_for("BACKUP");
    mend(&lan, 1, "ip6");
    theirs.wait_for("MASTER");
    // Its process for sessions dies, and is replaced.
    theirs.kill_bfd();
    let lost = upstream.wait_for_session("v4-2", Down);
    assert_eq!(lost.reason, "nothing heard for 500ms");
    theirs.go_on();
    upstream.wait_for_session("v4-2", Up);
    theirs.wait_for("MASTER");
    theirs.stop();
}

#[test]
fn keepalived_follows_us_as_we_follow_it() {
    let Some(lan) = Lan::<2>::new() else { return };
    let text = |own: u8, peer: u8, priority: u8| {
        session(
            "other",
            &format!("10.0.0.{own}"),
            &format!("10.0.0.{peer}"),
            "",
        ) + &tracking(priority, "other")
    };
    let ours = Router::start(lan.host(1), &text(1, 2, 150));
    ours.wait_for(Fault);
    let Some(theirs) = Keepalived::start(lan.host(2), &text(2, 1, 100)) else {
        return;
    };
    ours.wait_for(Master);
    theirs.wait_for("BACKUP");
    // Being taken out of service is no failure, to neither.
    ours.stop();
    theirs.wait_for("MASTER");
    let log = theirs.process.output();
    assert!(
        log.contains("Remote diagnostic - Administratively Down"),
        "{log}"
    );
    let ours = Router::start(lan.host(1), &text(1, 2, 150));
    ours.wait_for(Master);
    theirs.wait_for("BACKUP");
    // keepalived does not say that it goes, which takes us along, as its manual warns.
    theirs.stop();
    ours.wait_for(Fault);
}

#[test]
fn a_reload_leaves_sessions_alone_that_are_as_before() {
    let Some(lan) = Lan::<2>::new() else { return };
    let first = session("first", "10.0.0.1", "10.0.0.2", "");
    let second = session("second", "fd00::1", "fd00::2", "");
    let instance = tracking(150, "first");
    let ours = Router::start(lan.host(1), &(first.clone() + &second + &instance));
    let theirs = session("a", "10.0.0.2", "10.0.0.1", "") + &session("b", "fd00::2", "fd00::1", "");
    let neighbor = Router::start(lan.host(2), &theirs);
    ours.wait_for(Master);
    neighbor.wait_for_session("b", Up);
    ours.reload_completely(&(first.clone() + &instance));
    let told = neighbor.wait_for_session("b", Down);
    assert_eq!(told.reason, "neighbor is AdminDown");
    assert!(ours.session("second").is_none());
    // Slower, by consent of the neighbor; and one that was not there before.
    let slower = first.replace("min_tx 100", "min_tx 200");
    ours.reload_completely(&(second + &slower + &tracking(150, "first\n second")));
    ours.wait_for_session("second", Up);
    neighbor.wait("the other interval", |it| {
        let session = it.session("a");
        session.is_some_and(|it| it.detection_time_seconds == Some(1.0))
    });
    for (router, name) in [(&ours, "first"), (&neighbor, "a")] {
        let session = router.session(name).unwrap();
        assert_eq!((session.counters.ups, session.counters.downs), (1, 0));
    }
    ours.wait_for(Master);
    // Another process begins anew.
    let before = ours.vrrp_process();
    nix::sys::signal::kill(before, Signal::SIGKILL).unwrap();
    ours.wait("another process", |it| it.vrrp_process() != before);
    ours.wait_for(Master);
    ours.wait_for_session("second", Up);
    ours.stop();
}

#[test]
fn sessions_are_not_run_where_that_is_asked_for_and_too_far_away_is_told() {
    let Some(lan) = Lan::<3>::new() else { return };
    let text = session("s", "10.0.0.1", "10.0.0.2", "") + &tracking(150, "s");
    let off = Router::start_with(lan.host(1), &text, &["--no_bfd"]);
    let reason = off.wait_for(Fault).reason;
    assert!(reason.contains("bfd s is not run (--no_bfd)"), "{reason}");
    assert!(off.status().unwrap().bfd.sessions.is_empty());
    off.stop();

    far_apart(&lan);
    let [near, far] = [(1, "10.1.0.1", "10.2.0.2"), (2, "10.2.0.2", "10.1.0.1")]
        .map(|(host, own, peer)| Router::start(lan.host(host), &session("s", own, peer, "")));
    near.wait("packets that come by a router", |it| {
        let rejected = it.session("s").map(|it| it.counters.rejected);
        rejected.is_some_and(|it| it.contains_key("TTL or hop limit is too low"))
    });
    let session = far.wait_for_session("s", Down);
    assert_eq!(session.counters.received, 0);
}
