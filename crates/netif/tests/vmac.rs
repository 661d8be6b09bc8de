//! Virtual MACs in network namespaces, and what keepalived makes of the same.

use std::net::UdpSocket;
use std::time::Duration;

use lvs_testkit::Process;
use lvs_testkit::netns::{self, Namespace};
use netif::sysctl::{Knob, Place, Sysctl, Sysctls};
use netif::vmac::{VmacConfig, VmacError, base_settings, spread_reverse_path_filter};
use netif::{Address, Family, LinkName, MacAddress, Rtnetlink};

const LIMIT: Duration = Duration::from_secs(10);

fn pair() -> Option<([Namespace; 2], Rtnetlink)> {
    let hosts = netns::hosts()?;
    let [host, far] = &hosts;
    netns::cable(host, "eth0", far, "eth0");
    for (host, n) in [(host, 1), (far, 2)] {
        host.ip(&format!("addr add 10.9.9.{n}/24 dev eth0"));
        host.ip(&format!("addr add fe80::{n}/64 dev eth0 nodad"));
    }
    let rtnetlink = host.run(|| Rtnetlink::open().unwrap());
    Some((hosts, rtnetlink))
}

fn config(rtnetlink: &mut Rtnetlink, family: Family, vrid: u8) -> VmacConfig {
    VmacConfig {
        name: format!("vrrp.{vrid}").parse().unwrap(),
        base: rtnetlink.expect_link("eth0").unwrap().index,
        mac: MacAddress::of_virtual_router(family, vrid),
        family,
    }
}

/// All settings of an interface that are not about itself alone.
fn settings(host: &Namespace, name: &LinkName) -> Vec<String> {
    let read = |family: &str| {
        let folder = format!("/proc/sys/net/{family}/conf/{name}");
        let mut lines = Vec::new();
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            let value = std::fs::read_to_string(&path).unwrap_or_default();
            let key = path.file_name().unwrap().to_string_lossy().into_owned();
            if key != "stable_secret" {
                lines.push(format!("{family} {key} = {}", value.trim()));
            }
        }
        lines
    };
    let mut all = host.run(|| [read("ipv4"), read("ipv6")].concat());
    all.sort();
    all
}

#[test]
fn vmacs_are_made_found_again_and_removed() {
    let Some(([host, _far], mut rtnetlink)) = pair() else {
        return;
    };
    for (family, vrid, mac) in [
        (Family::Inet, 5, "00:00:5e:00:01:05"),
        (Family::Inet6, 200, "00:00:5e:00:02:c8"),
    ] {
        let config = config(&mut rtnetlink, family, vrid);
        let made = host.run(|| rtnetlink.ensure_vmac(&config).unwrap());
        assert!(!made.adopted && made.link.flags.is_up());
        assert_eq!(made.link.mac.unwrap().to_string(), mac);
        let again = host.run(|| rtnetlink.ensure_vmac(&config).unwrap());
        assert!(again.adopted);
        assert_eq!(again.link.index, made.link.index);

        let other = VmacConfig {
            mac: MacAddress::of_virtual_router(family, 77),
            ..config.clone()
        };
        let taken = host.run(|| rtnetlink.ensure_vmac(&other).unwrap_err());
        assert!(matches!(taken, VmacError::NameTaken { .. }), "{taken}");
        assert!(taken.to_string().contains(mac), "{taken}");
        rtnetlink.ensure_no_link(made.link.index).unwrap();
        assert_eq!(rtnetlink.find_link(config.name.as_str()).unwrap(), None);
    }
    let nowhere = VmacConfig {
        base: netif::LinkIndex::new(4000).unwrap(),
        ..config(&mut rtnetlink, Family::Inet, 9)
    };
    let failed = host.run(|| rtnetlink.ensure_vmac(&nowhere).unwrap_err());
    assert!(failed.to_string().contains("vrrp.9"), "{failed}");
}

#[test]
fn neighbours_see_the_virtual_mac_and_no_other() {
    let Some(([host, far], mut rtnetlink)) = pair() else {
        return;
    };
    let config = config(&mut rtnetlink, Family::Inet, 5);
    let mut sysctls = Sysctls::new();
    host.run(|| {
        for (sysctl, value) in base_settings(&"eth0".parse().unwrap()) {
            sysctls.set(sysctl, value).unwrap();
        }
    });
    let vmac = host.run(|| rtnetlink.ensure_vmac(&config).unwrap());
    let address = Address::new("10.9.9.9/24".parse().unwrap());
    rtnetlink.ensure_address(vmac.link.index, &address).unwrap();
    let known = |host: &Namespace, addresses: &[&str]| {
        lvs_testkit::wait_until("neighbours", LIMIT, || {
            let neighbours = host.ip("neigh show dev eth0");
            let has = |address: &&str| neighbours.contains(&format!("{address} lladdr"));
            addresses.iter().all(has).then_some(neighbours.clone())
        })
    };
    // Something to resolve them for, and somebody to take it without an answer.
    let _taker = host.run(|| UdpSocket::bind("0.0.0.0:9").unwrap());
    let sender = far.run(|| UdpSocket::bind("10.9.9.2:9").unwrap());
    for target in ["10.9.9.9:9", "10.9.9.1:9"] {
        sender.send_to(b"x", target).unwrap();
    }
    known(&far, &["10.9.9.9", "10.9.9.1"]);
    // A packet from the virtual address leaves by the base, which has to ask where to.
    host.ip("neigh flush dev eth0");
    let answer = host.run(|| UdpSocket::bind("10.9.9.9:0").unwrap());
    answer.send_to(b"x", "10.9.9.2:9").unwrap();
    known(&host, &["10.9.9.2"]);
    let neighbours = known(&far, &["10.9.9.9", "10.9.9.1"]);
    assert!(
        neighbours.contains("10.9.9.9 lladdr 00:00:5e:00:01:05"),
        "{neighbours}"
    );
    let real = rtnetlink.expect_link("eth0").unwrap().mac.unwrap();
    assert!(
        neighbours.contains(&format!("10.9.9.1 lladdr {real}")),
        "{neighbours}"
    );
}

#[test]
fn a_reverse_path_filter_for_all_becomes_one_for_each() {
    let Some(([host, _far], _)) = pair() else {
        return;
    };
    let links: Vec<LinkName> = ["lo", "eth0"].map(|name| name.parse().unwrap()).into();
    host.run(|| {
        let read = |place: Place| {
            let knob = Knob::RpFilter;
            Sysctl { place, knob }.read().unwrap()
        };
        let values = || {
            let [lo, eth0] = [0, 1].map(|n: usize| read(Place::Link(links[n].clone())));
            [read(Place::All), read(Place::Default), lo, eth0]
        };
        let mut sysctls = Sysctls::new();
        Sysctl::of_all(Knob::RpFilter).write(0).unwrap();
        spread_reverse_path_filter(&links, &mut sysctls).unwrap();
        assert_eq!(sysctls.changed(), []);

        Sysctl::of_all(Knob::RpFilter).write(1).unwrap();
        Sysctl::of(&links[1], Knob::RpFilter).write(2).unwrap();
        let before = values();
        spread_reverse_path_filter(&links, &mut sysctls).unwrap();
        assert_eq!(values(), [0, 1, 1, 2]);
        sysctls.undo();
        assert_eq!(values(), before);
    });
}

#[test]
fn keepalived_settles_a_vmac_likewise() {
    let Some(program) = lvs_testkit::program("keepalived") else {
        return lvs_testkit::skip("keepalived is not installed");
    };
    let Some(([host, far], mut rtnetlink)) = pair() else {
        return;
    };
    let folder = std::env::temp_dir().join(format!("lvskit-vmac-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("keepalived.conf");
    std::fs::write(
        &path,
        "vrrp_instance A {\n interface eth0\n virtual_router_id 5\n use_vmac\n \
         virtual_ipaddress {\n 10.9.9.9/24\n }\n}\n\
         vrrp_instance B {\n interface eth0\n virtual_router_id 6\n version 3\n use_vmac\n \
         virtual_ipaddress {\n fe80::99/64\n }\n}\n",
    )
    .unwrap();
    let mut keepalived = far.run(|| {
        let mut command = std::process::Command::new(&program);
        command
            .args(["--vrrp", "-n", "-l", "-D", "-G", "-f"])
            .arg(&path);
        for (option, name) in [("-p", "a.pid"), ("-r", "b.pid")] {
            command.arg(option).arg(folder.join(name));
        }
        Process::start(&mut command)
    });
    keepalived.wait_for("(B) Entering BACKUP STATE", LIMIT);
    let mut sysctls = Sysctls::new();
    host.run(|| {
        for (sysctl, value) in base_settings(&"eth0".parse().unwrap()) {
            sysctls.set(sysctl, value).unwrap();
        }
    });
    for (family, vrid) in [(Family::Inet, 5), (Family::Inet6, 6)] {
        let config = config(&mut rtnetlink, family, vrid);
        host.run(|| rtnetlink.ensure_vmac(&config).unwrap());
        // Where IPv6 is off, whether addresses would be generated does not matter.
        let relevant = |host: &Namespace| {
            let mut settings = settings(host, &config.name);
            settings.retain(|line| family == Family::Inet6 || !line.contains("addr_gen_mode"));
            settings
        };
        assert_eq!(relevant(&host), relevant(&far), "{}", config.name);
        let theirs = far.ip(&format!("-d link show {}", config.name));
        assert!(theirs.contains("macvlan mode private"));
        assert!(theirs.contains(&config.mac.to_string()));
    }
    let of_base = |host: &Namespace| {
        let mut settings = settings(host, &"eth0".parse().unwrap());
        // Where we go further.
        settings.retain(|line| !line.contains("arp_announce"));
        settings
    };
    assert_eq!(of_base(&host), of_base(&far));
    // As theirs, the link-local address of the base is on the virtual router's interface.
    for host in [&host, &far] {
        let shown = host.ip("addr show dev vrrp.6");
        assert!(shown.contains("/64 scope link nodad deprecated"), "{shown}");
    }
    drop(keepalived);
    std::fs::remove_dir_all(&folder).unwrap();
}
