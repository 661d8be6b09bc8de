//! Strangers on the segment, and what they send.

use std::net::{IpAddr, Ipv4Addr};

use director::status::VrrpState::{Backup, Master};
use lvs_testkit::netns::Namespace;
use netif::{Family, Outgoing, Payload, VrrpSocket, VrrpSocketConfig};
use nix::net::if_::if_nametoindex;
use vrrp_proto::config::MULTICAST_V4;
use vrrp_proto::wire::{ChecksumRule, v2, v3};
use vrrp_proto::{AdvertInterval, Vrid};

use crate::lan::Lan;
use crate::router::{FAST, Keepalived, LIMIT, Router, Story, instance, together};

/// The stranger's own address.
const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 3);

/// Somebody who sends packets by hand.
struct Stranger {
    socket: VrrpSocket,
}

impl Stranger {
    fn on(host: &Namespace) -> Self {
        let open = || {
            let link = if_nametoindex("eth0").expect("it has one");
            VrrpSocket::open(VrrpSocketConfig {
                family: Family::Inet,
                link: netif::LinkIndex::new(link),
                group: None,
                payload: Payload::Vrrp,
                receive_buffer: None,
            })
        };
        let socket = host.run(open).expect("a raw socket");
        Self { socket }
    }

    /// Sends to the group, `count` times.
    fn send(&self, source: Ipv4Addr, ttl: u8, payload: &[u8], count: usize) {
        for _ in 0..count {
            let packet = Outgoing {
                source: source.into(),
                destination: MULTICAST_V4.into(),
                ttl,
                identification: 7,
                payload,
            };
            self.socket.send(&packet).expect("the segment takes it");
        }
    }
}

/// A good advertisement of version 3 for 10.0.0.100.
fn advert(source: Ipv4Addr, vrid: u8, priority: u8) -> Vec<u8> {
    let advert = v3::Repr {
        family: vrrp_proto::Family::Ipv4,
        vrid: Vrid::try_from(vrid).unwrap(),
        priority: priority.into(),
        interval: AdvertInterval::from_centis(10).unwrap(),
        addresses: vec![IpAddr::from([10, 0, 0, 100])],
    };
    let mut packet = v3::Packet::new_unchecked(advert.family, vec![0; advert.buffer_len()]);
    let (source, group) = (source.into(), MULTICAST_V4.into());
    advert.emit(&mut packet, ChecksumRule::default(), source, group);
    packet.into_inner()
}

fn pair(lan: &Lan<3>) -> [Router; 2] {
    let first = Router::start(lan.host(1), &instance(150, FAST));
    first.wait_for(Master);
    let second = Router::start(lan.host(2), &instance(100, FAST));
    second.wait_for(Backup);
    second.wait("the master to be heard", |it| {
        it.instance("VI").is_some_and(|it| it.master.is_some())
    });
    [first, second]
}

fn rejected(router: &Router, reason: &str) -> u64 {
    let counters = router.instance("VI").map(|it| it.counters);
    let rejected = counters.and_then(|it| it.rejected.get(reason).copied());
    rejected.unwrap_or_default()
}

/// Nobody has become master since the first did.
fn nothing_has_happened([first, second]: &[Router; 2]) {
    assert_eq!(first.wait_for(Master).counters.became_master, 1);
    assert_eq!(second.wait_for(Backup).counters.became_master, 0);
}

#[test]
fn what_breaks_a_rule_is_counted_and_changes_nothing() {
    let Some(lan) = Lan::<3>::new() else { return };
    let routers = pair(&lan);
    let stranger = Stranger::on(lan.host(3));
    let better = advert(STRANGER, 51, 250);
    stranger.send(STRANGER, 64, &better, 50);
    // As if the master resigned, from far away. Its own host takes nothing from its own address.
    let mut resigns = better.clone();
    resigns[2] = 0;
    stranger.send([10, 0, 0, 1].into(), 254, &resigns, 50);
    stranger.send(STRANGER, 255, &advert(STRANGER, 52, 250), 30);
    // The checksum is another source's.
    stranger.send([10, 0, 0, 4].into(), 255, &better, 40);
    stranger.send(STRANGER, 255, &better[..11], 20);
    let mut other_version = better;
    other_version[0] = 0x21;
    stranger.send(STRANGER, 255, &other_version, 10);
    for (router, from_far) in routers.iter().zip([50, 100]) {
        let expected = [
            ("TTL or hop limit is not 255", from_far),
            ("wrong checksum", 40),
            ("wrong length", 20),
            ("wrong version", 10),
        ];
        for (reason, count) in expected {
            router.wait(reason, |it| rejected(it, reason) == count);
            let line = format!("ignored: {reason}");
            router.wait_for_line(&line);
            assert_eq!(router.count(&line), 1, "{}", router.log());
        }
        let unclaimed = router.status().unwrap().vrrp.unclaimed;
        assert_eq!(unclaimed["unknown virtual router identifier"], 30);
    }
    routers[0].wait_for_line("(VI) 10.0.0.3 acts as master, too: it speaks the other version");
    nothing_has_happened(&routers);
}

#[test]
fn virtual_routers_that_are_not_ours_are_logged_where_that_is_asked_for() {
    let Some(lan) = Lan::<3>::new() else { return };
    let text = |priority, with| {
        let keyword = if with { "log_unknown_vrids" } else { "" };
        let instance = instance(priority, FAST);
        format!("global_defs {{\n {keyword}\n}}\n{instance}")
    };
    let theirs = Keepalived::start(lan.host(2), &text(100, true));
    let router = Router::start(lan.host(1), &text(150, true));
    router.wait_for(Master);
    let stranger = Stranger::on(lan.host(3));
    let send = || {
        for vrid in [52, 53] {
            stranger.send(STRANGER, 255, &advert(STRANGER, vrid, 250), 10);
        }
    };
    send();
    for vrid in [52, 53] {
        let line = format!("Unknown VRID({vrid}) received on interface(eth0). ignoring...");
        router.wait_for_line(&line);
        if let Some(theirs) = &theirs {
            lvs_testkit::wait_until("keepalived's line", LIMIT, || {
                theirs.process.output().contains(&line).then_some(())
            });
        }
    }
    let unclaimed = |it: &Router, count| {
        let unclaimed = it.status().map(|it| it.vrrp.unclaimed);
        unclaimed.is_some_and(|it| it.get("unknown virtual router identifier") == Some(&count))
    };
    router.wait("all to be counted", |it| unclaimed(it, 20));
    assert_eq!(router.count("Unknown VRID"), 2, "{}", router.log());
    router.reload_completely(&text(150, false));
    stranger.send(STRANGER, 255, &advert(STRANGER, 54, 250), 1);
    router.wait("it to be counted", |it| unclaimed(it, 21));
    assert_eq!(router.count("Unknown VRID"), 2);
}

#[test]
fn a_flood_of_garbage_delays_nothing() {
    let Some(lan) = Lan::<3>::new() else { return };
    let routers = pair(&lan);
    let stranger = Stranger::on(lan.host(3));
    let sent = routers[0].wait_for(Master).counters.sent;
    let mut garbage: Vec<u8> = advert(STRANGER, 51, 250);
    for number in 0..5000_u32 {
        // Some are for 51, all have a wrong checksum, length, type or version.
        let noise = number.wrapping_mul(2_654_435_761).to_be_bytes();
        garbage[0] = noise[0];
        garbage[4..8].copy_from_slice(&noise);
        let length = 12 - usize::from(noise[1] % 12);
        let ttl = if noise[2] < 128 { 255 } else { noise[2] };
        stranger.send(STRANGER, ttl, &garbage[..length], 1);
    }
    for router in &routers {
        router.wait("the garbage to be counted", |it| {
            let counters = it.instance("VI").map(|it| it.counters);
            let of_instance = counters.map_or(0, |it| it.rejected.values().sum());
            let others: u64 = it.status().map_or(0, |it| it.vrrp.unclaimed.values().sum());
            of_instance + others == 5000
        });
        assert!(router.count("ignored: ") <= 10, "{}", router.log());
    }
    routers[0].wait("more advertisements", |it| {
        it.instance("VI")
            .is_some_and(|it| it.counters.sent >= sent + 10)
    });
    nothing_has_happened(&routers);
}

#[test]
fn many_lesser_masters_do_not_fill_the_log() {
    let Some(lan) = Lan::<3>::new() else { return };
    let routers = pair(&lan);
    let stranger = Stranger::on(lan.host(3));
    // For several intervals: the master writes, and announces its addresses, once in each.
    let sent = routers[0].wait_for(Master).counters.sent;
    let rounds = std::cell::Cell::new(0);
    routers[0].wait("some intervals", |it| {
        for number in 10..60 {
            let source = Ipv4Addr::new(10, 0, 0, number);
            stranger.send(source, 255, &advert(source, 51, 50), 1);
        }
        rounds.set(rounds.get() + 1);
        let counters = it.instance("VI").map(|it| it.counters);
        // An answer to each, and those of ten intervals.
        counters.is_some_and(|it| it.sent >= sent + 50 * rounds.get() + 10)
    });
    let lines = [
        "lower priority 50, ours 150, forcing",
        "lower priority (50) advert",
    ];
    for (router, line) in routers.iter().zip(lines) {
        router.wait(line, |it| it.count(line) >= 5);
        assert_eq!(router.count(line), 5, "{}", router.log());
    }
    nothing_has_happened(&routers);
}

#[test]
fn a_wrong_password_keeps_nobody_from_being_master() {
    let Some(lan) = Lan::<3>::new() else { return };
    let authentication = "authentication {\n auth_type PASS\n auth_pass s3cret\n }";
    let router = Router::start(lan.host(1), &instance(254, authentication));
    let stranger = Stranger::on(lan.host(3));
    let advert = v2::Repr {
        vrid: Vrid::try_from(51).unwrap(),
        priority: 255.into(),
        interval: AdvertInterval::from_secs(1).unwrap(),
        auth_type: v2::AuthType::Pass,
        auth_data: *b"secret\0\0",
        addresses: vec![[10, 0, 0, 100].into()],
    };
    let send = |auth_type| {
        let advert = v2::Repr {
            auth_type,
            ..advert.clone()
        };
        let mut packet = v2::Packet::new_unchecked(vec![0; advert.buffer_len()]);
        advert.emit(&mut packet);
        stranger.send(STRANGER, 255, &packet.into_inner(), 1);
    };
    router.wait("being master", |it| {
        send(v2::AuthType::Pass);
        send(v2::AuthType::None);
        it.instance("VI").is_some_and(|it| it.state == Master)
    });
    assert!(rejected(&router, "wrong password or digest") > 10);
    assert!(rejected(&router, "other authentication type") > 10);
    assert_eq!(router.count("ignored: wrong password or digest"), 1);
    assert_eq!(router.wait_for(Master).counters.received, 0);
    router.wait("the other master to be reported", |it| {
        send(v2::AuthType::Pass);
        let other = it.instance("VI").and_then(|it| it.second_master);
        other.is_some_and(|it| it.suspicion.as_deref() == Some("its authentication differs"))
    });
}

#[test]
fn a_pair_with_keepalived_minds_no_stranger() {
    let authentication = "authentication {\n auth_type PASS\n auth_pass s3cret\n }";
    let tell = |ours_first: bool| -> Option<()> {
        let lan = Lan::<3>::new()?;
        let (mine, yours) = if ours_first { (150, 100) } else { (100, 150) };
        let text = |priority| instance(priority, authentication);
        let theirs = Keepalived::start(lan.host(2), &text(yours))?;
        if !ours_first {
            theirs.wait_for("MASTER");
        }
        let ours = Router::start(lan.host(1), &text(mine));
        let state = if ours_first { Master } else { Backup };
        ours.wait_for(state);
        theirs.wait_for(if ours_first { "BACKUP" } else { "MASTER" });
        let stranger = Stranger::on(lan.host(3));
        let master = Ipv4Addr::new(10, 0, 0, if ours_first { 1 } else { 2 });
        let v2 = |priority: u8, password: &[u8; 8]| {
            let advert = v2::Repr {
                vrid: Vrid::try_from(51).unwrap(),
                priority: priority.into(),
                interval: AdvertInterval::from_secs(1).unwrap(),
                auth_type: v2::AuthType::Pass,
                auth_data: *password,
                addresses: vec![[10, 0, 0, 100].into()],
            };
            let mut packet = v2::Packet::new_unchecked(vec![0; advert.buffer_len()]);
            advert.emit(&mut packet);
            packet.into_inner()
        };
        // For more than the time after which a backup takes a silent master for dead.
        let sent = || {
            let counters = ours.instance("VI").map(|it| it.counters);
            counters.map_or(0, |it| it.sent + it.received)
        };
        let before = sent();
        let mut rounds = 0;
        while sent() < before + 5 {
            for number in 0..100_u32 {
                let mut noise = number.wrapping_mul(2_654_435_761).to_be_bytes();
                noise[1] = if ours_first { 51 } else { 52 };
                stranger.send(STRANGER, 255, &[&noise[..], &noise[..]].concat(), 1);
            }
            stranger.send(STRANGER, 64, &v2(254, b"s3cret\0\0"), 1);
            stranger.send(STRANGER, 255, &v2(254, b"secret\0\0"), 1);
            // As if the master resigned.
            stranger.send(master, 64, &v2(0, b"s3cret\0\0"), 1);
            stranger.send(master, 255, &v2(0, b"secret\0\0"), 1);
            rounds += 1;
            ours.wait("the last to be counted", |it| {
                rejected(it, "wrong password or digest") >= rounds
            });
            match ours_first {
                // Thousands a second.
                true => std::thread::sleep(std::time::Duration::from_millis(20)),
                // keepalived begins to wait for its next advertisement anew with each packet that it
                // rejects, so that a hundred a second silence it.
                false => ours.wait_for_more(1),
            }
        }
        assert!(rounds >= 5, "{rounds}");
        let counters = ours.wait_for(state).counters;
        assert_eq!(
            counters.became_master,
            u64::from(ours_first),
            "{}",
            ours.log()
        );
        theirs.wait_for(if ours_first { "BACKUP" } else { "MASTER" });
        for line in ["TTL or hop limit is not 255", "wrong password or digest"] {
            assert_eq!(ours.count(&format!("ignored: {line}")), 1, "{}", ours.log());
        }
        assert!(ours.count("") < 100, "{}", ours.log());
        Some(())
    };
    let story = |name, ours_first| -> Story<'_> {
        let tell = &tell;
        let tell = move || {
            // Skipped where there is no keepalived.
            let _ = tell(ours_first);
        };
        (name, Box::new(tell))
    };
    together([
        story("ours is master", true),
        story("theirs is master", false),
    ]);
}
