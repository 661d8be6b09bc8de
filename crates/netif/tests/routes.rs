//! Routes and rules against the kernel of this machine, in a network namespace.

use lvs_testkit::netns::{self, Namespace};
use netif::{
    Ensured, Family, LinkIndex, NextHop, Placement, Route, RouteFilter, RouteKind, RouteMetric,
    RouterPreference, Rtnetlink, Rule, RuleAction, Scope,
};

/// A host with two interfaces, its peer at .2 and ::2.
fn host() -> Option<([Namespace; 2], Rtnetlink, [LinkIndex; 2])> {
    let hosts = netns::hosts()?;
    let [host, far] = &hosts;
    for (name, n) in [("eth0", 0), ("eth1", 1)] {
        netns::cable(host, name, far, name);
        host.ip(&format!("addr add 10.0.{n}.1/24 dev {name}"));
        host.ip(&format!("addr add 2001:db8:{n}::1/64 dev {name} nodad"));
    }
    let mut rtnetlink = host.run(|| Rtnetlink::open().unwrap());
    let links = ["eth0", "eth1"].map(|name| rtnetlink.expect_link(name).unwrap().index);
    Some((hosts, rtnetlink, links))
}

fn ours(rtnetlink: &mut Rtnetlink, family: Family) -> Vec<Route> {
    let filter = RouteFilter {
        protocol: Some(netif::PROTOCOL_KEEPALIVED),
        table: None,
    };
    rtnetlink.routes(family, filter).unwrap()
}

fn via(router: &str, link: LinkIndex) -> NextHop {
    NextHop::new(Some(router.parse().unwrap()), Some(link))
}

#[track_caller]
fn assert_shown(host: &Namespace, command: &str, words: &[&str]) {
    let shown = host.ip(command);
    let line = shown
        .lines()
        .find(|line| words.iter().all(|word| line.contains(word)));
    assert!(
        line.is_some(),
        "{words:?} in no line of {command}:\n{shown}"
    );
}

#[test]
fn routes_come_and_go() {
    let Some(([host, _far], mut rtnetlink, [eth0, eth1])) = host() else {
        return;
    };
    let net = |net: &str| net.parse().unwrap();

    let mut plain = Route::new(net("10.9.0.0/16"), via("10.0.0.2", eth0));
    plain.preferred_source = Some("10.0.1.1".parse().unwrap());
    plain.metric = Some(7);
    plain.metrics.set(RouteMetric::Mtu, 1400);
    plain.metrics.lock(RouteMetric::Mtu);
    plain.metrics.set(RouteMetric::AdvertisedMss, 1300);
    plain.metrics.set_congestion_control("reno", false);

    let mut several = Route::new(net("10.8.0.0/16"), via("10.0.0.2", eth0));
    several.hops.push(NextHop {
        weight: 3,
        on_link: true,
        ..via("192.0.2.1", eth1)
    });
    several.table = 1000;

    let direct = Route::new(net("10.7.0.0/24"), NextHop::new(None, Some(eth0)));
    let mut other_family = Route::new(net("10.6.0.0/24"), via("2001:db8::2", eth0));
    other_family.scope = Some(Scope::SITE);
    other_family.tos = 0x10;
    let hole = Route::without_hop(net("10.5.0.0/24"), RouteKind::Blackhole);
    let default = Route::new(netif::default_net(Family::Inet), via("10.0.0.2", eth0));

    let mut sixth = Route::new(net("2001:db8:9::/48"), via("2001:db8::2", eth0));
    sixth.preference = Some(RouterPreference::High);
    sixth.metric = Some(50);
    let mut sixth_several = Route::new(net("2001:db8:8::/48"), via("2001:db8::2", eth0));
    sixth_several.hops.push(via("2001:db8:1::2", eth1));
    let sixth_hole = Route::without_hop(net("2001:db8:7::/48"), RouteKind::Unreachable);

    let all = [
        plain,
        several,
        direct,
        other_family,
        hole,
        default,
        sixth,
        sixth_several,
        sixth_hole,
    ];
    for route in &all {
        let done = rtnetlink.ensure_route(route, Placement::Prepend).unwrap();
        assert_eq!(done, Ensured::Done, "{route}");
        let again = rtnetlink.ensure_route(route, Placement::Prepend).unwrap();
        assert_eq!(again, Ensured::Already, "{route}");
    }
    for words in [
        &[
            "10.9.0.0/16 via 10.0.0.2",
            "src 10.0.1.1",
            "metric 7",
            "mtu lock 1400",
            "advmss 1300",
            "congctl reno",
        ][..],
        &["10.7.0.0/24 dev eth0", "scope link"],
        &["10.6.0.0/24", "via inet6 2001:db8::2", "scope site"],
        &["blackhole 10.5.0.0/24"],
        &["default via 10.0.0.2 dev eth0"],
    ] {
        assert_shown(&host, "route show", words);
    }
    assert_shown(
        &host,
        "route show table 1000",
        &["nexthop via 192.0.2.1 dev eth1 weight 3 onlink"],
    );
    assert_shown(
        &host,
        "-6 route show",
        &["2001:db8:9::/48 via 2001:db8::2", "metric 50", "pref high"],
    );

    let found: Vec<_> = Family::ALL
        .into_iter()
        .flat_map(|family| ours(&mut rtnetlink, family))
        .collect();
    assert_eq!(found.len(), all.len(), "{found:?}");
    for route in &all {
        let matching: Vec<_> = found.iter().filter(|other| route.matches(other)).collect();
        assert_eq!(matching.len(), 1, "{route}: {matching:?}");
        assert_eq!(matching[0].metrics, route.metrics);
    }
    for route in &all {
        assert_eq!(
            rtnetlink.ensure_no_route(route).unwrap(),
            Ensured::Done,
            "{route}"
        );
        assert_eq!(
            rtnetlink.ensure_no_route(route).unwrap(),
            Ensured::Already,
            "{route}"
        );
    }
    for family in Family::ALL {
        assert_eq!(ours(&mut rtnetlink, family), []);
    }
}

#[test]
fn placements_and_refusals() {
    let Some(([host, _far], mut rtnetlink, [eth0, eth1])) = host() else {
        return;
    };
    let net = "10.9.0.0/16".parse().unwrap();
    let first = Route::new(net, via("10.0.0.2", eth0));
    let second = Route::new(net, via("10.0.1.2", eth1));
    rtnetlink.add_route(&first, Placement::Add).unwrap();
    let similar = rtnetlink.add_route(&second, Placement::Add).unwrap_err();
    assert_eq!(similar.errno(), Some(libc::EEXIST), "{similar}");
    assert!(
        similar
            .to_string()
            .contains("add route 10.9.0.0/16 via 10.0.1.2"),
        "{similar}"
    );
    let order = |rtnetlink: &mut Rtnetlink| -> Vec<_> {
        let routes = ours(rtnetlink, Family::Inet);
        routes
            .iter()
            .map(|route| route.hops[0].link.unwrap())
            .collect()
    };
    rtnetlink.add_route(&second, Placement::Append).unwrap();
    assert_eq!(order(&mut rtnetlink), [eth0, eth1]);
    rtnetlink.delete_route(&second).unwrap();
    rtnetlink.add_route(&second, Placement::Prepend).unwrap();
    assert_eq!(order(&mut rtnetlink), [eth1, eth0]);
    let mut elsewhere = first.clone();
    elsewhere.metric = Some(1);
    rtnetlink.add_route(&elsewhere, Placement::Replace).unwrap();
    assert_eq!(order(&mut rtnetlink).len(), 3);

    let unreachable = Route::new("10.10.0.0/16".parse().unwrap(), via("172.16.0.1", eth0));
    let error = rtnetlink
        .add_route(&unreachable, Placement::Prepend)
        .unwrap_err();
    assert_eq!(error.errno(), Some(libc::ENETUNREACH), "{error}");
    // The kernel's own words are passed on.
    assert!(error.to_string().contains("invalid gateway"), "{error}");
    host.ip("link del eth0");
    assert_eq!(rtnetlink.ensure_no_route(&first).unwrap(), Ensured::Already);
}

#[test]
fn rules_come_and_go() {
    let Some(([host, _far], mut rtnetlink, _)) = host() else {
        return;
    };
    let before = rtnetlink.rules(Family::Inet).unwrap();
    assert_eq!(before.len(), 3, "{before:?}");
    assert_eq!(before[0].priority, Some(0));

    let mut full = Rule::new(Family::Inet, RuleAction::Table(1000));
    full.priority = Some(100);
    full.invert = true;
    full.from = Some("10.9.0.0/16".parse().unwrap());
    full.to = Some("10.8.0.0/24".parse().unwrap());
    full.mark = Some((0x10, 0xff));
    full.incoming = Some("eth0".parse().unwrap());
    full.ip_protocol = Some(6);
    full.source_ports = Some((1024, 2048));
    full.destination_ports = Some((80, 80));
    full.users = Some((0, 1000));
    full.suppress_prefix_length = Some(0);
    full.tos = 0x10;
    let placed_by_kernel = Rule {
        from: Some("10.7.0.0/16".parse().unwrap()),
        ..Rule::new(Family::Inet, RuleAction::Table(254))
    };
    let mut jump = Rule::new(Family::Inet, RuleAction::Goto(32766));
    jump.priority = Some(101);
    let mut refuse = Rule::new(Family::Inet6, RuleAction::Prohibit);
    refuse.priority = Some(102);
    refuse.outgoing = Some("eth1".parse().unwrap());
    let rules = [full, placed_by_kernel, jump, refuse];
    for rule in &rules {
        assert_eq!(
            rtnetlink.ensure_rule(rule).unwrap(),
            Ensured::Done,
            "{rule}"
        );
        assert_eq!(
            rtnetlink.ensure_rule(rule).unwrap(),
            Ensured::Already,
            "{rule}"
        );
    }
    assert_shown(
        &host,
        "rule show",
        &[
            "100:\tnot from 10.9.0.0/16 to 10.8.0.0/24",
            "fwmark 0x10/0xff iif eth0",
            "ipproto tcp sport 1024-2048 dport 80",
            "lookup 1000 suppress_prefixlength 0",
        ],
    );
    assert_shown(&host, "rule show", &["from 10.7.0.0/16 lookup main"]);
    assert_shown(&host, "rule show", &["101:", "goto 32766"]);
    assert_shown(&host, "-6 rule show", &["102:", "oif eth1", "prohibit"]);
    for rule in &rules {
        assert_eq!(
            rtnetlink.ensure_no_rule(rule).unwrap(),
            Ensured::Done,
            "{rule}"
        );
        assert_eq!(
            rtnetlink.ensure_no_rule(rule).unwrap(),
            Ensured::Already,
            "{rule}"
        );
    }
    assert_eq!(rtnetlink.rules(Family::Inet).unwrap(), before);
}
