//! Links and addresses against the kernel of this machine, in network namespaces.

use lvs_testkit::netns::{self, Namespace};
use netif::{
    Address, Ensured, Lifetime, LinkChange, LinkIndex, NetifError, NewLink, Rtnetlink, Scope,
};

fn host() -> Option<(Namespace, Rtnetlink, LinkIndex)> {
    let host = Namespace::new()?;
    let mut rtnetlink = host.run(|| Rtnetlink::open().unwrap());
    let kind = NewLink::Veth {
        peer: "other".parse().unwrap(),
    };
    let link = rtnetlink.create_link(&"eth0".parse().unwrap(), &kind);
    let index = link.unwrap().index;
    Some((host, rtnetlink, index))
}

fn address(net: &str) -> Address {
    Address::new(net.parse().unwrap())
}

#[test]
fn links_are_listed_and_found() {
    let Some((_host, mut rtnetlink, index)) = host() else {
        return;
    };
    let links = rtnetlink.links().unwrap();
    // Some drivers put a link of their own into every namespace (tunl0, ip6tnl0, sit0).
    let names: Vec<_> = links.iter().map(|link| link.name.as_str()).collect();
    for name in ["lo", "eth0", "other"] {
        let times = names.iter().filter(|it| **it == name).count();
        assert_eq!(times, 1, "{name} in {names:?}");
    }
    let loopback = &links[0];
    assert_eq!(
        (loopback.name.as_str(), loopback.index),
        ("lo", LinkIndex::LOOPBACK)
    );
    assert!(loopback.flags.is_loopback() && !loopback.needs_neighbours());
    let eth0 = rtnetlink.find_link("eth0").unwrap().unwrap();
    assert_eq!(eth0.index, index);
    assert_eq!(eth0.kind.as_deref(), Some("veth"));
    assert_eq!(eth0.lower, None, "a peer is not below");
    assert!(eth0.mac.is_some() && eth0.needs_neighbours());
    assert_eq!(rtnetlink.link(index).unwrap(), Some(eth0));
    assert_eq!(rtnetlink.find_link("eth1").unwrap(), None);
    assert_eq!(rtnetlink.find_link("a name that cannot be").unwrap(), None);
    assert_eq!(rtnetlink.link(LinkIndex::new(4000).unwrap()).unwrap(), None);
    let missing = rtnetlink.expect_link("eth1").unwrap_err();
    assert!(matches!(missing, NetifError::NoLink { .. }), "{missing}");
}

#[test]
fn carrier_follows_the_other_end() {
    let Some((_host, mut rtnetlink, index)) = host() else {
        return;
    };
    let state = |rtnetlink: &mut Rtnetlink| {
        let link = rtnetlink.link(index).unwrap().unwrap();
        (link.flags.is_up(), link.carrier, link.is_usable())
    };
    assert_eq!(state(&mut rtnetlink), (false, false, false));
    rtnetlink.set_up(index).unwrap();
    assert_eq!(state(&mut rtnetlink), (true, false, false));
    let other = rtnetlink.expect_link("other").unwrap().index;
    rtnetlink.set_up(other).unwrap();
    let usable = || state(&mut rtnetlink).2.then_some(());
    lvs_testkit::wait_until("carrier", std::time::Duration::from_secs(5), usable);
    rtnetlink.set_down(other).unwrap();
    assert_eq!(state(&mut rtnetlink), (true, false, false));
}

#[test]
fn links_are_changed_and_removed() {
    let Some((_host, mut rtnetlink, index)) = host() else {
        return;
    };
    let change = LinkChange {
        mtu: Some(1400),
        mac: Some("02:00:00:00:00:07".parse().unwrap()),
        name: Some("wan".parse().unwrap()),
        ..LinkChange::default()
    };
    rtnetlink.change_link(index, &change).unwrap();
    let link = rtnetlink.find_link("wan").unwrap().unwrap();
    assert_eq!((link.index, link.mtu, link.mac), (index, 1400, change.mac));

    let taken = rtnetlink
        .create_link(
            &"wan".parse().unwrap(),
            &NewLink::Plain {
                kind: "bridge".into(),
            },
        )
        .unwrap_err();
    assert_eq!(taken.errno(), Some(libc::EEXIST), "{taken}");
    let nonsense = NewLink::Plain {
        kind: "nonsense".into(),
    };
    let unknown = rtnetlink
        .create_link(&"x".parse().unwrap(), &nonsense)
        .unwrap_err();
    assert_eq!(unknown.errno(), Some(libc::EOPNOTSUPP), "{unknown}");
    assert!(
        unknown
            .to_string()
            .contains("create interface x of kind nonsense"),
        "{unknown}"
    );

    assert_eq!(rtnetlink.ensure_no_link(index).unwrap(), Ensured::Done);
    assert_eq!(rtnetlink.ensure_no_link(index).unwrap(), Ensured::Already);
}

#[test]
fn addresses_come_and_go() {
    let Some((host, mut rtnetlink, index)) = host() else {
        return;
    };
    rtnetlink.set_up(index).unwrap();
    let mut first = address("10.0.0.1/24");
    first.label = Some("eth0:vip".into());
    first.broadcast = Some([10, 0, 0, 255].into());
    first.scope = Scope::SITE;
    first.options.no_prefix_route = true;
    let mut peer = address("10.1.0.1/32");
    peer.peer = Some("10.1.0.2/30".parse().unwrap());
    let mut sixth = address("2001:db8::1/64");
    sixth.options.no_duplicate_detection = true;
    sixth.options.home = true;
    let mut deprecated = address("2001:db8::99/128");
    deprecated.preferred = Lifetime::For(std::time::Duration::ZERO);
    for address in [&first, &peer, &sixth, &deprecated] {
        rtnetlink.add_address(index, address).unwrap();
        let again = rtnetlink.add_address(index, address).unwrap_err();
        assert_eq!(again.errno(), Some(libc::EEXIST), "{again}");
        assert!(
            again.to_string().contains(&address.ip().to_string()),
            "{again}"
        );
    }
    let found = rtnetlink.addresses_of(index).unwrap();
    let get = |wished: &Address| {
        let entry = found.iter().find(|entry| entry.address.same_as(wished));
        entry
            .unwrap_or_else(|| panic!("{wished} not among {found:?}"))
            .clone()
    };
    assert_eq!(get(&first).address, first);
    let entry = get(&peer).address;
    assert_eq!((entry.ip(), entry.peer), (peer.ip(), peer.peer));
    let entry = get(&sixth);
    assert_eq!(entry.address, sixth);
    assert!(entry.is_usable());
    assert!(get(&deprecated).state.deprecated);
    let shown = host.ip("addr show dev eth0");
    for words in [
        "inet 10.0.0.1/24 brd 10.0.0.255 scope site noprefixroute eth0:vip",
        "inet 10.1.0.1 peer 10.1.0.2/30",
        "inet6 2001:db8::1/64 scope global nodad home",
        "preferred_lft 0sec",
    ] {
        assert!(shown.contains(words), "{words} not in {shown}");
    }
    for address in [&first, &peer, &sixth, &deprecated] {
        rtnetlink.delete_address(index, address).unwrap();
        let again = rtnetlink.delete_address(index, address).unwrap_err();
        assert_eq!(again.errno(), Some(libc::EADDRNOTAVAIL), "{again}");
    }
}

#[test]
fn ensuring_adds_corrects_and_is_idempotent() {
    let Some((_host, mut rtnetlink, index)) = host() else {
        return;
    };
    rtnetlink.set_up(index).unwrap();
    for net in ["10.0.0.1/24", "2001:db8::1/64"] {
        let wished = address(net);
        let mut ensure = |address: &Address| rtnetlink.ensure_address(index, address).unwrap();
        assert_eq!(ensure(&wished), Ensured::Done);
        assert_eq!(ensure(&wished), Ensured::Already);
        let mut route_less = wished.clone();
        route_less.options.no_prefix_route = true;
        assert_eq!(ensure(&route_less), Ensured::Corrected);
        assert_eq!(ensure(&route_less), Ensured::Already);
        assert_eq!(ensure(&wished), Ensured::Corrected);
    }
    let mut labelled = address("10.0.0.1/24");
    labelled.label = Some("eth0:1".into());
    let outcome = rtnetlink.ensure_address(index, &labelled).unwrap();
    assert_eq!(outcome, Ensured::Corrected);
    let longer = address("2001:db8::1/128");
    let outcome = rtnetlink.ensure_address(index, &longer).unwrap();
    assert_eq!(outcome, Ensured::Corrected);
    let labels = rtnetlink.addresses_of(index).unwrap();
    assert!(
        labels
            .iter()
            .any(|entry| entry.address.label == labelled.label)
    );
    assert!(labels.iter().any(|entry| entry.address.net == longer.net));

    for outcome in [Ensured::Done, Ensured::Already] {
        let done = rtnetlink.ensure_no_address(index, &labelled).unwrap();
        assert_eq!(done, outcome);
    }
    let nowhere = LinkIndex::new(4000).unwrap();
    assert_eq!(
        rtnetlink.ensure_no_address(nowhere, &labelled).unwrap(),
        Ensured::Already
    );
    let error = rtnetlink.ensure_address(nowhere, &labelled).unwrap_err();
    assert_eq!(error.errno(), Some(libc::ENODEV), "{error}");
}

#[test]
fn many_addresses_go_in_few_writes() {
    let Some((_host, mut rtnetlink, index)) = host() else {
        return;
    };
    rtnetlink.set_up(index).unwrap();
    let addresses: Vec<_> = (0..250_u8)
        .map(|n| address(&format!("10.3.0.{n}/32")))
        .collect();
    rtnetlink.add_address(index, &addresses[120]).unwrap();
    let outcomes = rtnetlink.ensure_addresses(index, &addresses);
    for (n, outcome) in outcomes.into_iter().enumerate() {
        let expected = if n == 120 {
            Ensured::Already
        } else {
            Ensured::Done
        };
        assert_eq!(outcome.unwrap(), expected, "{n}");
    }
    assert_eq!(rtnetlink.addresses_of(index).unwrap().len(), 250);
    for outcome in rtnetlink.ensure_no_addresses(index, &addresses) {
        assert_eq!(outcome.unwrap(), Ensured::Done);
    }
    assert!(rtnetlink.addresses_of(index).unwrap().is_empty());
}

#[test]
fn macvlans_are_private() {
    let Some([host, far]) = netns::hosts() else {
        return;
    };
    netns::cable(&host, "eth0", &far, "eth0");
    let mut rtnetlink = host.run(|| Rtnetlink::open().unwrap());
    let lower = rtnetlink.expect_link("eth0").unwrap();
    assert_eq!(lower.lower, None, "the peer is in another namespace");
    let mac = "00:00:5e:00:01:05".parse().unwrap();
    let new = NewLink::Macvlan {
        lower: lower.index,
        mac,
    };
    let link = rtnetlink
        .create_link(&"vrrp.5".parse().unwrap(), &new)
        .unwrap();
    assert_eq!((link.lower, link.mac), (Some(lower.index), Some(mac)));
    assert_eq!(link.macvlan_mode, Some(netif::MacvlanMode::Private));
    assert!(
        host.ip("-d link show vrrp.5")
            .contains("macvlan mode private")
    );
}
