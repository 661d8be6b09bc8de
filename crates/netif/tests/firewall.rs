//! The packet filter in network namespaces, and keepalived's for the same.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::time::Duration;

use lvs_testkit::Process;
use lvs_testkit::netns::{self, Namespace};
use netif::firewall::{Blocked, Firewall, FirewallConfig, FirewallRules};
use netif::vmac::VmacConfig;
use netif::{Family, LinkIndex, MacAddress, Rtnetlink};

const LIMIT: Duration = Duration::from_secs(10);

fn open(host: &Namespace) -> Firewall {
    host.run(|| Firewall::open(FirewallConfig::default()).unwrap())
}

fn blocked(list: &[(&str, LinkIndex)]) -> FirewallRules {
    let entry = |(address, link): &(&str, LinkIndex)| Blocked {
        address: address.parse().unwrap(),
        link: *link,
    };
    FirewallRules {
        blocked: list.iter().map(entry).collect(),
        vmacs: BTreeMap::new(),
    }
}

/// Skips where the tool to look with is missing.
fn have_nft() -> bool {
    let have = lvs_testkit::program("nft").is_some();
    if !have {
        lvs_testkit::skip("nft is not installed");
    }
    have
}

/// The listing, one entry a line, without what depends on the order of making.
fn ruleset(host: &Namespace) -> Vec<String> {
    let listed = host.command("nft", "list ruleset");
    let mut lines = Vec::new();
    let mut path = Vec::new();
    for line in listed
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        if let Some(opened) = line.strip_suffix('{').filter(|line| !line.contains('=')) {
            path.push(opened.trim().to_owned());
        } else if line == "}" {
            path.pop();
        } else {
            lines.push(format!("{}: {line}", path.join(" ")));
        }
    }
    lines
}

#[test]
fn tables_are_those_of_keepalived() {
    let Some(program) = lvs_testkit::program("keepalived") else {
        return lvs_testkit::skip("keepalived is not installed");
    };
    let Some([host, far]) = netns::hosts() else {
        return;
    };
    if !have_nft() {
        return;
    }
    netns::cable(&host, "eth0", &far, "eth0");
    for (host, n) in [(&host, 1), (&far, 2)] {
        host.ip(&format!("addr add 10.9.9.{n}/24 dev eth0"));
        host.ip(&format!("addr add fe80::{n}/64 dev eth0 nodad"));
    }
    let folder = std::env::temp_dir().join(format!("lvskit-nft-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("keepalived.conf");
    std::fs::write(
        &path,
        "global_defs {\n nftables\n}\n\
         vrrp_instance A {\n interface eth0\n virtual_router_id 5\n version 3\n advert_int 0.1\n \
         use_vmac\n no_accept\n virtual_ipaddress {\n 10.9.9.9/24\n 10.9.9.10/24\n }\n}\n\
         vrrp_instance B {\n interface eth0\n virtual_router_id 6\n version 3\n advert_int 0.1\n \
         use_vmac\n no_accept\n virtual_ipaddress {\n fe80::99/64\n 2001:db8::99/64\n }\n}\n",
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
    keepalived.wait_for("(A) Entering MASTER STATE", LIMIT);
    keepalived.wait_for("(B) Entering MASTER STATE", LIMIT);

    let mut rtnetlink = host.run(|| Rtnetlink::open().unwrap());
    let base = rtnetlink.expect_link("eth0").unwrap().index;
    let mut rules = FirewallRules::default();
    let addresses = [
        (Family::Inet, 5, ["10.9.9.9", "10.9.9.10"]),
        (Family::Inet6, 6, ["fe80::99", "2001:db8::99"]),
    ];
    for (family, vrid, addresses) in addresses {
        let config = VmacConfig {
            name: format!("vrrp.{vrid}").parse().unwrap(),
            base,
            mac: MacAddress::of_virtual_router(family, vrid),
            family,
        };
        let link = host
            .run(|| rtnetlink.ensure_vmac(&config).unwrap())
            .link
            .index;
        rules.vmacs.insert(link, base);
        for address in addresses {
            let address = address.parse().unwrap();
            rules.blocked.insert(Blocked { address, link });
        }
    }
    let mut firewall = open(&host);
    firewall.apply(&rules).unwrap();
    // It speaks of a state before its tables are whole.
    let mut before = Vec::new();
    let theirs = lvs_testkit::wait_until("keepalived's tables", LIMIT, || {
        let lines = ruleset(&far);
        let last = lines.iter().any(|line| line.contains("2001:db8::99"));
        let settled = last && lines == before;
        before.clone_from(&lines);
        settled.then_some(lines)
    });
    let ours = ruleset(&host);
    // Ours maps every virtual MAC in both families, theirs those of the family.
    let comparable = |lines: &[String]| {
        let mut lines: Vec<_> = lines
            .iter()
            .filter(|line| !(line.contains("vmac_") && line.contains("elements")))
            .cloned()
            .collect();
        lines.sort();
        lines
    };
    assert_eq!(comparable(&ours), comparable(&theirs));
    let order = |lines: &[String], chain: &str| -> Vec<String> {
        let of_chain = lines.iter().filter(|line| line.contains(chain));
        of_chain.cloned().collect()
    };
    for chain in ["chain in:", "chain out:"] {
        for family in ["table ip keepalived", "table ip6 keepalived"] {
            let place = format!("{family} {chain}");
            assert_eq!(order(&ours, &place).len(), order(&theirs, &place).len());
        }
    }
    let map = ours
        .iter()
        .filter(|line| line.contains("map vmac_map: elements"));
    assert_eq!(
        map.filter(|line| line.contains("\"vrrp.5\" : \"eth0\""))
            .count(),
        2,
        "{ours:#?}"
    );
    firewall.remove().unwrap();
    assert_eq!(ruleset(&host), Vec::<String>::new());
    drop(keepalived);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn changes_are_elements_and_lost_tables_come_back() {
    let Some(host) = Namespace::new() else {
        return;
    };
    if !have_nft() {
        return;
    }
    let lo = LinkIndex::LOOPBACK;
    let mut firewall = open(&host);
    firewall.apply(&FirewallRules::default()).unwrap();
    assert_eq!(ruleset(&host), Vec::<String>::new());
    firewall.apply(&blocked(&[("10.0.0.1", lo)])).unwrap();
    let handles = host.command("nft", "-a list table ip keepalived");
    // IPv6 has nothing to do, so it has no table.
    assert!(!host.command("nft", "list tables").contains("ip6"));
    let two = blocked(&[("10.0.0.2", lo), ("10.0.0.3", lo), ("2001:db8::1", lo)]);
    firewall.apply(&two).unwrap();
    let after = host.command("nft", "-a list table ip keepalived");
    assert!(
        after.contains("elements = { 10.0.0.2, 10.0.0.3 }"),
        "{after}"
    );
    let without = |text: &str| {
        let lines = text.lines().filter(|line| !line.contains("elements"));
        lines.collect::<Vec<_>>().join("\n")
    };
    assert_eq!(
        without(&after),
        without(&handles),
        "only the elements change"
    );
    assert!(host.command("nft", "list tables").contains("ip6"));

    host.command("nft", "flush ruleset");
    let three = blocked(&[("10.0.0.4", lo)]);
    firewall.apply(&three).unwrap();
    let listed = host.command("nft", "list ruleset");
    assert!(listed.contains("elements = { 10.0.0.4 }"), "{listed}");
    assert!(!listed.contains("ip6"), "{listed}");
    assert_eq!(firewall.applied(), Some(&three));

    // What a crash has left is replaced.
    drop(firewall);
    let mut firewall = open(&host);
    firewall.apply(&blocked(&[("10.0.0.5", lo)])).unwrap();
    let listed = host.command("nft", "list ruleset");
    assert!(listed.contains("elements = { 10.0.0.5 }"), "{listed}");
    firewall.remove().unwrap();
    assert_eq!(ruleset(&host), Vec::<String>::new());
}

#[test]
fn many_addresses_fit() {
    let Some(host) = Namespace::new() else {
        return;
    };
    let mut firewall = open(&host);
    let mut rules = FirewallRules::default();
    for n in 0..20_000_u32 {
        let address = std::net::Ipv4Addr::from_bits(0x0a00_0000 + n).into();
        let link = LinkIndex::LOOPBACK;
        rules.blocked.insert(Blocked { address, link });
    }
    firewall.apply(&rules).unwrap();
    firewall.apply(&FirewallRules::default()).unwrap();
}

#[test]
fn what_is_blocked_gets_no_packets() {
    let Some([host, far]) = netns::hosts() else {
        return;
    };
    netns::cable(&host, "eth0", &far, "eth0");
    for (host, n) in [(&host, 1), (&far, 2)] {
        host.ip(&format!("addr add 10.9.9.{n}/24 dev eth0"));
        host.ip(&format!("addr add 2001:db8::{n}/64 dev eth0 nodad"));
    }
    host.ip("addr add 10.9.9.9/32 dev eth0");
    host.ip("addr add 2001:db8::9/128 dev eth0 nodad");
    host.ip("addr add fe80::9/64 dev eth0 nodad");
    far.ip("addr add fe80::2/64 dev eth0 nodad");
    let mut rtnetlink = host.run(|| Rtnetlink::open().unwrap());
    let link = rtnetlink.expect_link("eth0").unwrap().index;
    let far_link = far.run(|| {
        Rtnetlink::open()
            .unwrap()
            .expect_link("eth0")
            .unwrap()
            .index
    });
    let scoped = format!("[fe80::9%{far_link}]");
    let targets = ["10.9.9.9", "[2001:db8::9]", scoped.as_str()];
    let servers = ["10.9.9.9", "[2001:db8::9]", "[::]"].map(|address| {
        host.run(|| {
            UdpSocket::bind(format!("{address}:7777"))
                .unwrap_or_else(|_| UdpSocket::bind(format!("{address}:7778")).unwrap())
        })
    });
    let ports = [7777, 7777, servers[2].local_addr().unwrap().port()];
    let mut firewall = open(&host);
    let reaches = |n: usize, limit: Duration| {
        let server = &servers[n];
        let client = far.run(|| UdpSocket::bind("[::]:0").unwrap());
        let v4 = far.run(|| UdpSocket::bind("0.0.0.0:0").unwrap());
        let client = if n == 0 { v4 } else { client };
        let target = format!("{}:{}", targets[n], ports[n]);
        client.send_to(b"hello", target.as_str()).unwrap();
        server.set_read_timeout(Some(limit)).unwrap();
        server.recv(&mut [0; 16]).is_ok()
    };
    for (n, target) in targets.iter().enumerate() {
        assert!(reaches(n, LIMIT), "{target}");
    }
    let rules = blocked(&[("10.9.9.9", link), ("2001:db8::9", link), ("fe80::9", link)]);
    firewall.apply(&rules).unwrap();
    // Neighbours are still told where it is.
    far.ip("neigh flush dev eth0");
    for (n, target) in targets.iter().enumerate() {
        assert!(!reaches(n, Duration::from_millis(50)), "{target}");
    }
    for address in ["10.9.9.9", "2001:db8::9", "fe80::9"] {
        lvs_testkit::wait_until("a neighbour", LIMIT, || {
            let known = far.ip(&format!("neigh show {address} dev eth0"));
            known.contains("lladdr").then_some(())
        });
    }
    // A link-local address of the same kind elsewhere is not meant.
    let elsewhere = LinkIndex::new(4000).unwrap();
    firewall.apply(&blocked(&[("fe80::9", elsewhere)])).unwrap();
    for (n, target) in targets.iter().enumerate() {
        assert!(reaches(n, LIMIT), "{target}");
    }
}
