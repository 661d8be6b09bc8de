//! With keepalived on the other side: what goes wrong between the two.

use director::status::VrrpState::{Backup, Fault, Master};
use nix::sys::signal::{Signal, kill};

use crate::lan::Lan;
use crate::router::{Keepalived, Router, Story, instance, together};

const FAST: &str = "version 3\n advert_int 0.2";

const VIP: &str = "10.0.0.100";

/// We are master, keepalived is backup.
fn ours_is_master(lan: &Lan<2>, extra: &str) -> Option<(Router, Keepalived)> {
    let ours = Router::start(lan.host(1), &instance(150, &format!("{FAST}\n {extra}")));
    ours.wait_for(Master);
    let theirs = Keepalived::start(lan.host(2), &instance(100, &format!("{FAST}\n {extra}")))?;
    theirs.wait_for("BACKUP");
    Some((ours, theirs))
}

/// keepalived is master, we are backup.
fn theirs_is_master(lan: &Lan<2>, extra: &str) -> Option<(Router, Keepalived)> {
    let theirs = Keepalived::start(lan.host(2), &instance(150, &format!("{FAST}\n {extra}")))?;
    theirs.wait_for("MASTER");
    let ours = Router::start(lan.host(1), &instance(100, &format!("{FAST}\n {extra}")));
    ours.wait_for(Backup);
    ours.wait("the master to be heard", |it| {
        it.instance("VI").is_some_and(|it| it.master.is_some())
    });
    Some((ours, theirs))
}

fn with_both_masters(test: impl Fn(Lan<2>, bool) -> Option<()> + Sync) {
    let tell = |ours_first| {
        let test = &test;
        move || {
            // Skipped where there is no keepalived.
            let _ = Lan::new().and_then(|lan| test(lan, ours_first));
        }
    };
    let stories: [Story<'_>; 2] = [
        ("ours is master", Box::new(tell(true))),
        ("theirs is master", Box::new(tell(false))),
    ];
    together(stories);
}

#[test]
fn a_link_goes_and_comes_back() {
    with_both_masters(|lan, ours_first| {
        if ours_first {
            let (ours, theirs) = ours_is_master(&lan, "")?;
            lan.host(1).ip("link set eth0 down");
            ours.wait_for(Fault);
            theirs.wait_for("MASTER");
            assert!(!lan.has(1, VIP));
            lan.host(1).ip("link set eth0 up");
            ours.wait_for(Master);
            theirs.wait_for("BACKUP");
            assert!(lan.has(1, VIP) && !lan.has(2, VIP));
        } else {
            let (ours, theirs) = theirs_is_master(&lan, "")?;
            lan.host(2).ip("link set eth0 down");
            theirs.wait_for("FAULT");
            ours.wait_for(Master);
            lan.host(2).ip("link set eth0 up");
            theirs.wait_for("MASTER");
            ours.wait_for(Backup);
            assert!(!lan.has(1, VIP) && lan.has(2, VIP));
        }
        Some(())
    });
}

#[test]
fn our_power_is_cut() {
    let Some(lan) = Lan::<2>::new() else { return };
    let Some((ours, theirs)) = ours_is_master(&lan, "") else {
        return;
    };
    ours.cut_power();
    theirs.wait_for("MASTER");
    // It gives the address back that the dead process has left, and preempts.
    let ours = Router::start(lan.host(1), &instance(150, FAST));
    ours.wait_for(Master);
    theirs.wait_for("BACKUP");
    assert!(lan.has(1, VIP) && !lan.has(2, VIP));
}

#[test]
fn a_partition_makes_two_masters_and_its_end_one() {
    with_both_masters(|lan, ours_first| {
        let (ours, theirs) = match ours_first {
            true => ours_is_master(&lan, "")?,
            false => theirs_is_master(&lan, "")?,
        };
        lan.deafen(1, "");
        lan.deafen(2, "");
        ours.wait_for(Master);
        theirs.wait_for("MASTER");
        assert!(lan.has(1, VIP) && lan.has(2, VIP));
        let announced = ours.wait_for(Master).counters.announced;
        lan.hear_again(1);
        lan.hear_again(2);
        if ours_first {
            theirs.wait_for("BACKUP");
            ours.wait("the addresses to be announced again", |it| {
                it.instance("VI")
                    .is_some_and(|it| it.counters.announced >= announced + 5)
            });
            assert_eq!(ours.wait_for(Master).counters.became_master, 1);
            assert!(lan.has(1, VIP) && !lan.has(2, VIP));
        } else {
            let reason = ours.wait_for(Backup).reason;
            assert_eq!(reason, "advert of 10.0.0.2 with priority 150, ours 100");
            theirs.wait_for("MASTER");
            assert!(!lan.has(1, VIP) && lan.has(2, VIP));
        }
        Some(())
    });
}

#[test]
fn every_third_packet_is_lost() {
    with_both_masters(|lan, ours_first| {
        let (ours, theirs) = match ours_first {
            true => ours_is_master(&lan, "")?,
            false => theirs_is_master(&lan, "")?,
        };
        lan.deafen(1, "numgen inc mod 3 == 0");
        lan.deafen(2, "numgen inc mod 3 == 0");
        ours.wait_for_more(20);
        let times = u64::from(ours_first);
        let instance = ours.instance("VI").unwrap();
        assert_eq!(instance.counters.became_master, times);
        theirs.wait_for(if ours_first { "BACKUP" } else { "MASTER" });
        assert_eq!(
            (lan.has(1, VIP), lan.has(2, VIP)),
            (ours_first, !ours_first)
        );
        Some(())
    });
}

#[test]
fn nobody_preempts_who_is_told_not_to() {
    let meek = format!("{FAST}\n nopreempt");
    with_both_masters(|lan, ours_first| {
        // The master has the lower priority.
        if ours_first {
            let ours = Router::start(lan.host(1), &instance(100, &meek));
            ours.wait_for(Master);
            let theirs = Keepalived::start(lan.host(2), &instance(150, &meek))?;
            theirs.wait_for("BACKUP");
            ours.wait_for_more(10);
            theirs.wait_for("BACKUP");
            assert_eq!(ours.wait_for(Master).counters.became_master, 1);
            ours.stop();
            theirs.wait_for("MASTER");
        } else {
            let theirs = Keepalived::start(lan.host(2), &instance(100, &meek))?;
            theirs.wait_for("MASTER");
            let ours = Router::start(lan.host(1), &instance(150, &meek));
            ours.wait_for(Backup);
            ours.wait_for_more(10);
            assert_eq!(ours.wait_for(Backup).counters.became_master, 0);
            theirs.stop();
            ours.wait_for(Master);
        }
        Some(())
    });
}

#[test]
fn a_sync_group_follows_a_member_on_either_side() {
    let group = |priority: u8| {
        let other = instance(priority, FAST).replace("VI ", "VJ ");
        let other = other
            .replace("eth0", "eth1")
            .replace("10.0.0.100", "10.1.0.100");
        format!(
            "vrrp_sync_group G {{\n group {{\n VI\n VJ\n }}\n}}\n{}{other}",
            instance(priority, FAST)
        )
    };
    with_both_masters(|lan, ours_first| {
        let [one, two] = &lan.hosts;
        lvs_testkit::netns::cable(one, "eth1", two, "eth1");
        one.ip("addr add 10.1.0.1/24 dev eth1");
        two.ip("addr add 10.1.0.2/24 dev eth1");
        let (mine, yours) = if ours_first { (150, 100) } else { (100, 150) };
        let theirs = Keepalived::start(two, &group(yours))?;
        let ours = Router::start(one, &group(mine));
        let both = |host| lan.has(host, VIP) && lan.has(host, "10.1.0.100");
        let none = |host| !lan.has(host, VIP) && !lan.has(host, "10.1.0.100");
        let (higher, lower) = if ours_first { (1, 2) } else { (2, 1) };
        ours.wait("the addresses", |_| both(higher) && none(lower));
        // One of two segments is enough.
        lan.switch.ip(&format!("link set port{higher} down"));
        ours.wait("the other to take over all", |_| {
            both(lower) && none(higher)
        });
        lan.switch.ip(&format!("link set port{higher} up"));
        ours.wait("the first to take it back", |_| both(higher) && none(lower));
        theirs.stop();
        ours.wait_for(Master);
        assert!(both(1));
        Some(())
    });
}

#[test]
fn a_process_that_stood_still_is_not_needed_and_comes_back() {
    with_both_masters(|lan, ours_first| {
        if ours_first {
            let (ours, theirs) = ours_is_master(&lan, "")?;
            let process = ours.vrrp_process();
            kill(process, Signal::SIGSTOP).ok()?;
            theirs.wait_for("MASTER");
            kill(process, Signal::SIGCONT).ok()?;
            theirs.wait_for("BACKUP");
            ours.wait_for_line("(VI) this process was not scheduled for");
            let announced = ours.wait_for(Master).counters.announced;
            ours.wait("the addresses to be announced again", |it| {
                it.wait_for(Master).counters.announced > announced
            });
            assert_eq!(ours.wait_for(Master).counters.became_master, 1);
        } else {
            let (ours, theirs) = theirs_is_master(&lan, "")?;
            // Who slept knows nothing of the master, and asks before it takes over.
            let process = ours.vrrp_process();
            kill(process, Signal::SIGSTOP).ok()?;
            let other = Router::start(lan.host(1), &instance(50, FAST).replace("51", "77"));
            other.wait_for_more(10);
            other.stop();
            kill(process, Signal::SIGCONT).ok()?;
            ours.wait_for_more(5);
            assert_eq!(ours.wait_for(Backup).counters.became_master, 0);
            kill(theirs.vrrp_process(), Signal::SIGSTOP).ok()?;
            ours.wait_for(Master);
            kill(theirs.vrrp_process(), Signal::SIGCONT).ok()?;
            ours.wait_for(Backup);
        }
        Some(())
    });
}

#[test]
fn a_flushed_interface_gives_the_other_one_the_address() {
    with_both_masters(|lan, ours_first| {
        let flush = |host: usize| lan.host(host).ip("addr flush dev eth0");
        let again = |host: usize| {
            let address = format!("addr add 10.0.0.{host}/24 dev eth0");
            lan.host(host).ip(&address);
        };
        if ours_first {
            let (ours, theirs) = ours_is_master(&lan, "")?;
            flush(1);
            assert_eq!(ours.wait_for(Fault).reason, "no usable address on eth0");
            theirs.wait_for("MASTER");
            again(1);
            ours.wait_for(Master);
            theirs.wait_for("BACKUP");
            assert!(lan.has(1, VIP) && !lan.has(2, VIP));
        } else {
            let (ours, theirs) = theirs_is_master(&lan, "")?;
            flush(2);
            ours.wait_for(Master);
            again(2);
            theirs.wait_for("MASTER");
            ours.wait_for(Backup);
            assert!(!lan.has(1, VIP));
            // As a backup it has nothing to flush but what it sends from.
            flush(1);
            ours.wait_for(Fault);
            again(1);
            ours.wait_for(Backup);
            assert_eq!(ours.wait_for(Backup).counters.became_master, 1);
        }
        Some(())
    });
}

#[test]
fn an_interface_is_deleted_and_made_again() {
    with_both_masters(|lan, ours_first| {
        let (ours, theirs) = match ours_first {
            true => ours_is_master(&lan, "")?,
            false => theirs_is_master(&lan, "")?,
        };
        lan.host(1).ip("link del eth0");
        assert_eq!(ours.wait_for(Fault).reason, "interface eth0 down");
        theirs.wait_for("MASTER");
        lan.plug_in(1);
        if ours_first {
            ours.wait_for(Master);
            theirs.wait_for("BACKUP");
            assert!(lan.has(1, VIP) && !lan.has(2, VIP));
        } else {
            ours.wait_for(Backup);
            let received = ours.wait_for(Backup).counters.received;
            ours.wait("the master to be heard", |it| {
                it.wait_for(Backup).counters.received > received
            });
            theirs.wait_for("MASTER");
        }
        Some(())
    });
}

#[test]
fn whatever_is_lost_there_is_one_master_in_the_end() {
    with_both_masters(|lan, ours_first| {
        let (ours, theirs) = match ours_first {
            true => ours_is_master(&lan, "")?,
            false => theirs_is_master(&lan, "")?,
        };
        lan.deafen(1, "numgen random mod 10 < 3");
        lan.deafen(2, "numgen random mod 10 < 3");
        ours.wait_for_more(40);
        // Three in a row may have been lost, but nobody is lost for good.
        lan.hear_again(1);
        lan.hear_again(2);
        match ours_first {
            true => drop(ours.wait_for(Master)),
            false => drop(ours.wait_for(Backup)),
        }
        theirs.wait_for(if ours_first { "BACKUP" } else { "MASTER" });
        ours.wait("the addresses", |_| {
            (lan.has(1, VIP), lan.has(2, VIP)) == (ours_first, !ours_first)
        });
        Some(())
    });
}
