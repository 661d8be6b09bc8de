//! Who is master.

use director::status::VrrpState::{Backup, Master};

use crate::lan::Lan;
use crate::router::{FAST, Router, instance};

#[test]
fn the_higher_priority_is_master_and_preempts_when_it_returns() {
    let Some(lan) = Lan::<2>::new() else { return };
    let first = Router::start(lan.host(1), &instance(150, FAST));
    // Before there is another one, which could be quicker: what follows is about its first election.
    first.wait_for(Master);
    let second = Router::start(lan.host(2), &instance(100, FAST));
    let backup = second.wait_for(Backup);
    assert!(lan.has(1, "10.0.0.100") && !lan.has(2, "10.0.0.100"));
    second.wait("the master to be heard", |it| {
        it.instance("VI").is_some_and(|it| it.master.is_some())
    });
    let master = second.instance("VI").and_then(|it| it.master).unwrap();
    assert_eq!(master.address.to_string(), "10.0.0.1");
    assert_eq!((master.priority, backup.virtual_router_id), (150, 51));

    let log = first.stop();
    assert!(log.contains("(VI) Entering BACKUP STATE (init)"), "{log}");
    assert!(
        log.contains("(VI) Entering MASTER STATE (no advert of anybody for 0."),
        "{log}"
    );
    assert!(log.contains("(VI) removing VIPs."), "{log}");
    assert!(!lan.has(1, "10.0.0.100"));
    assert_eq!(second.wait_for(Master).reason, "10.0.0.1 resigned");
    assert!(lan.has(2, "10.0.0.100"));

    let first = Router::start(lan.host(1), &instance(150, FAST));
    first.wait_for(Master);
    let backup = second.wait_for(Backup);
    assert_eq!(
        backup.reason,
        "advert of 10.0.0.1 with priority 150, ours 100"
    );
    first.wait_for_line("(VI) received lower priority (100) advert from 10.0.0.2 - discarding");
    second.wait_for_line(
        "(VI) Master received advert from 10.0.0.1 with higher priority 150, ours 100",
    );
    assert!(lan.has(1, "10.0.0.100") && !lan.has(2, "10.0.0.100"));
}

#[test]
fn ipv6_routers_elect_by_their_link_local_addresses() {
    let Some(lan) = Lan::<2>::new() else { return };
    let text = |priority| {
        format!(
            "vrrp_instance VI {{\n interface eth0\n virtual_router_id 6\n priority {priority}\n \
             version 3\n advert_int 0.1\n virtual_ipaddress {{\n  fe80::99/64\n  fd00::99/64\n }}\n}}\n"
        )
    };
    let first = Router::start(lan.host(1), &text(150));
    let master = first.wait_for(Master);
    assert!(
        master
            .source
            .is_some_and(|it| it.to_string().starts_with("fe80::"))
    );
    let second = Router::start(lan.host(2), &text(100));
    second.wait_for(Backup);
    second.wait("the master to be heard", |it| {
        it.instance("VI").is_some_and(|it| it.master.is_some())
    });
    assert!(lan.has(1, "fd00::99") && lan.has(1, "fe80::99"));
    first.cut_power();
    let reason = second.wait_for(Master).reason;
    assert!(reason.starts_with("no advert of fe80::"), "{reason}");
    assert!(lan.has(2, "fd00::99"));
}

#[test]
fn unicast_peers_elect_and_strangers_are_not_heard() {
    let Some(lan) = Lan::<3>::new() else { return };
    let text = |priority, me: u8, peer: u8| {
        let extra = format!(
            "{FAST}\n  unicast_src_ip 10.0.0.{me}\n  unicast_peer {{\n    10.0.0.{peer}\n  }}"
        );
        instance(priority, &extra)
    };
    let first = Router::start(lan.host(1), &text(150, 1, 2));
    first.wait_for(Master);
    let second = Router::start(lan.host(2), &text(100, 2, 1));
    second.wait_for(Backup);
    // Higher than both, but no peer of theirs.
    let stranger = Router::start(lan.host(3), &text(200, 3, 1));
    stranger.wait_for(Master);
    first.wait("the stranger's packets to be counted", |it| {
        it.instance("VI")
            .is_some_and(|it| !it.counters.rejected.is_empty())
    });
    assert_eq!(first.wait_for(Master).counters.became_master, 1);
    first.cut_power();
    second.wait_for(Master);
}

#[test]
fn members_of_a_group_share_their_state() {
    let Some(lan) = Lan::<2>::new() else { return };
    for host in [1, 2] {
        lan.host(host).ip("link add eth1 type veth peer name far1");
        lan.host(host).ip("link set far1 up");
        lan.host(host).ip("link set eth1 up");
        lan.host(host)
            .ip(&format!("addr add 10.1.0.{host}/24 dev eth1"));
    }
    let text = |priority: u8| {
        let other = instance(priority, FAST)
            .replace("VI ", "VJ ")
            .replace("eth0", "eth1")
            .replace("10.0.0.100", "10.1.0.100");
        format!(
            "vrrp_sync_group G {{\n  group {{\n    VI\n    VJ\n  }}\n}}\n{}{other}",
            instance(priority, FAST)
        )
    };
    let first = Router::start(lan.host(1), &text(150));
    first.wait_for(Master);
    first.wait_for_line("VRRP_Group(G) Syncing instances to MASTER state");
    assert!(lan.has(1, "10.0.0.100") && lan.has(1, "10.1.0.100"));
    let second = Router::start(lan.host(2), &text(100));
    second.wait_for(Backup);
    // One of them loses its link, and both let go.
    lan.host(1).ip("link set eth1 down");
    first.wait_for_line("VRRP_Group(G) Syncing instances to FAULT state");
    assert!(!lan.has(1, "10.0.0.100"));
    let groups = first.status().unwrap().vrrp.groups;
    assert_eq!(groups[0].state, director::status::VrrpState::Fault);
    lan.host(1).ip("link set eth1 up");
    first.wait_for(Master);
    assert!(lan.has(1, "10.1.0.100"));
}
