use proptest::prelude::*;

use super::*;

fn link(name: &str) -> LinkName {
    name.parse().unwrap()
}

fn setup(vip: &str, mode: Mode) -> Setup {
    Setup::new(vip.parse().unwrap(), mode, None)
}

/// A host with an Ethernet interface, where everything has the kernel's defaults.
fn host() -> Observed {
    let mut host = Observed {
        links: [("lo", true), ("eth0", true), ("tunl0", false)]
            .map(|(name, is_up)| (name.to_owned(), is_up))
            .into(),
        addresses: vec![("eth0".to_owned(), [10, 0, 0, 11].into())],
        sysctls: BTreeMap::new(),
    };
    let everywhere = [
        Place::All,
        Place::Link(link("lo")),
        Place::Link(link("tunl0")),
    ];
    for place in everywhere {
        for knob in [Knob::ArpIgnore, Knob::ArpAnnounce, Knob::RpFilter] {
            let sysctl = Sysctl {
                place: place.clone(),
                knob,
            };
            host.sysctls.insert(sysctl, 0);
        }
    }
    host
}

/// Does the actions, as the kernel would.
fn done(host: &Observed, actions: &[Action]) -> Observed {
    let mut host = host.clone();
    for action in actions {
        match action {
            Action::MakeTunnel(tunnel) => {
                host.links.insert(tunnel.link_name().to_owned(), false);
                for knob in [Knob::ArpIgnore, Knob::ArpAnnounce, Knob::RpFilter] {
                    let sysctl = Sysctl::of(&link(tunnel.link_name()), knob);
                    host.sysctls.insert(sysctl, 0);
                }
            }
            Action::Set { sysctl, to, .. } | Action::Restore { sysctl, to, .. } => {
                host.sysctls.insert(sysctl.clone(), *to);
            }
            Action::Raise(dev) => {
                host.links.insert(dev.to_string(), true);
            }
            Action::Lower(dev) => {
                host.links.insert(dev.to_string(), false);
            }
            Action::Add(setup) => host.addresses.push((setup.dev.to_string(), setup.vip)),
            Action::Delete(setup) => host
                .addresses
                .retain(|(dev, ip)| (dev.as_str(), *ip) != (setup.dev.as_str(), setup.vip)),
            Action::Leave { .. } => {}
        }
    }
    host
}

fn shown(actions: &[Action]) -> Vec<String> {
    actions.iter().map(Action::to_string).collect()
}

#[test]
fn dr_keeps_quiet_before_it_has_the_address_and_until_it_has_lost_it() {
    let wished = [setup("10.0.0.100", Mode::Dr)];
    let up = plan(&wished, &State::default(), &host()).unwrap();
    assert_eq!(
        shown(&up.actions),
        [
            "sysctl -w net.ipv4.conf.lo.arp_ignore=1  # was 0",
            "sysctl -w net.ipv4.conf.all.arp_ignore=1  # was 0",
            "sysctl -w net.ipv4.conf.lo.arp_announce=2  # was 0",
            "sysctl -w net.ipv4.conf.all.arp_announce=2  # was 0",
            "ip addr add 10.0.0.100/32 dev lo",
        ]
    );
    let there = done(&host(), &up.actions);
    assert_eq!(plan(&wished, &up.after, &there).unwrap().actions, []);
    let down = plan(&[], &up.after, &there).unwrap();
    assert_eq!(
        shown(&down.actions),
        [
            "ip addr del 10.0.0.100/32 dev lo",
            "sysctl -w net.ipv4.conf.all.arp_announce=0  # was 2",
            "sysctl -w net.ipv4.conf.lo.arp_announce=0  # was 2",
            "sysctl -w net.ipv4.conf.all.arp_ignore=0  # was 1",
            "sysctl -w net.ipv4.conf.lo.arp_ignore=0  # was 1",
        ]
    );
    assert_eq!(down.after, State::default());
    assert_eq!(done(&there, &down.actions), host());
}

#[test]
fn tun_opens_the_tunnel_and_lets_strangers_out_of_it() {
    let wished = [setup("10.0.0.100", Mode::Tun)];
    let mut host = host();
    host.sysctls.insert(Sysctl::of_all(Knob::RpFilter), 1);
    let up = plan(&wished, &State::default(), &host).unwrap();
    let lines = shown(&up.actions);
    assert_eq!(
        lines[4..],
        [
            "sysctl -w net.ipv4.conf.tunl0.rp_filter=2  # was 0",
            "ip link set tunl0 up",
            "ip addr add 10.0.0.100/32 dev tunl0",
        ]
    );
    assert_eq!(up.after.raised, [link("tunl0")]);
    let there = done(&host, &up.actions);
    assert_eq!(plan(&wished, &up.after, &there).unwrap().actions, []);
    let down = plan(&[], &up.after, &there).unwrap();
    assert_eq!(done(&there, &down.actions), host);
}

#[test]
fn a_tunnel_that_is_not_there_is_made_and_what_it_brings_is_seen_afterwards() {
    let mut host = host();
    host.links.remove("tunl0");
    host.sysctls
        .retain(|sysctl, _| sysctl.place != Place::Link(link("tunl0")));
    let wished = [setup("10.0.0.100", Mode::Tun)];
    let first = plan(&wished, &State::default(), &host).unwrap();
    assert_eq!(first.actions[0].to_string(), "modprobe ipip");
    let host = done(&host, &first.actions[..1]);
    let second = plan(&wished, &State::default(), &host).unwrap();
    assert_eq!(second.actions.len(), first.actions.len() - 2);
    assert_eq!(second.after.sysctls.len(), 4);
}

#[test]
fn ipv6_needs_the_address_alone() {
    let wished = [setup("fd00::100", Mode::Dr)];
    let up = plan(&wished, &State::default(), &host()).unwrap();
    assert_eq!(
        shown(&up.actions),
        ["ip addr add fd00::100/128 dev lo nodad"]
    );
    let wished = [setup("fd00::100", Mode::Tun)];
    let up = plan(&wished, &State::default(), &host()).unwrap();
    assert_eq!(
        shown(&up.actions),
        [
            "modprobe ip6_tunnel",
            "ip link set ip6tnl0 up",
            "ip addr add fd00::100/128 dev ip6tnl0 nodad",
        ]
    );
}

#[test]
fn the_last_address_takes_the_settings_along_and_no_other() {
    let (a, b) = (setup("10.0.0.100", Mode::Dr), setup("10.0.0.101", Mode::Dr));
    let first = plan(std::slice::from_ref(&a), &State::default(), &host()).unwrap();
    let one = done(&host(), &first.actions);
    let both = [a, b.clone()];
    let second = plan(&both, &first.after, &one).unwrap();
    assert_eq!(shown(&second.actions), ["ip addr add 10.0.0.101/32 dev lo"]);
    let two = done(&one, &second.actions);
    let less = plan(std::slice::from_ref(&b), &second.after, &two).unwrap();
    assert_eq!(shown(&less.actions), ["ip addr del 10.0.0.100/32 dev lo"]);
    let last = plan(&[], &less.after, &done(&two, &less.actions)).unwrap();
    assert_eq!(last.actions.len(), 5);
    assert_eq!(done(&done(&two, &less.actions), &last.actions), host());
}

#[test]
fn what_was_there_before_stays_and_what_others_changed_since_too() {
    let wished = [setup("10.0.0.100", Mode::Dr)];
    let mut host = host();
    host.addresses
        .push(("lo".to_owned(), [10, 0, 0, 100].into()));
    host.sysctls.insert(Sysctl::of_all(Knob::ArpIgnore), 2);
    let up = plan(&wished, &State::default(), &host).unwrap();
    assert_eq!(up.actions.len(), 3, "{:?}", shown(&up.actions));
    let mut there = done(&host, &up.actions);
    let theirs = Sysctl::of_all(Knob::ArpAnnounce);
    there.sysctls.insert(theirs.clone(), 1);
    let down = plan(&[], &up.after, &there).unwrap();
    assert!(down.actions.contains(&Action::Leave {
        sysctl: theirs.clone(),
        found: 1
    }));
    host.sysctls.insert(theirs, 1);
    assert_eq!(done(&there, &down.actions), host);
}

#[test]
fn an_address_that_this_host_answers_for_is_refused() {
    let state = State::default();
    let refused = |vip, dev: Option<&str>| {
        let wished = Setup::new(vip, Mode::Dr, dev.map(link));
        plan(&[wished], &state, &host()).unwrap_err()
    };
    let vip = IpAddr::from([10, 0, 0, 11]);
    let dev = "eth0".to_owned();
    assert_eq!(refused(vip, None), Conflict::Elsewhere { vip, dev });
    let dev = link("eth7");
    assert_eq!(
        refused([10, 0, 0, 100].into(), Some("eth7")),
        Conflict::NoLink { dev }
    );
    for vip in [
        "0.0.0.0",
        "127.0.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "fe80::1",
    ] {
        let vip = vip.parse().unwrap();
        assert_eq!(refused(vip, None), Conflict::NotAnAddress(vip));
    }
    // One that we have put on another interface moves.
    let dr = [setup("10.0.0.100", Mode::Dr)];
    let tun = [setup("10.0.0.100", Mode::Tun)];
    let up = plan(&dr, &state, &host()).unwrap();
    let there = done(&host(), &up.actions);
    let moved = plan(&tun, &up.after, &there).unwrap();
    let there = done(&there, &moved.actions);
    let down = plan(&[], &moved.after, &there).unwrap();
    assert_eq!(done(&there, &down.actions), host());
}

proptest! {
    /// Whatever is set up in whatever order, on whatever host: again is nothing, and all of it undone is
    /// as before, also when it broke off in between.
    #[test]
    fn everything_can_be_undone(
        values in prop::collection::vec(0_i32..3, 9),
        steps in prop::collection::vec(prop::collection::btree_map(0_u8..4, any::<bool>(), 0..4), 1..5),
        cut in 0_usize..12,
    ) {
        let mut host = host();
        for (value, known) in values.iter().zip(host.sysctls.values_mut()) {
            *known = *value;
        }
        let start = host.clone();
        let mut state = State::default();
        let last = steps.len() - 1;
        for (number, step) in steps.into_iter().enumerate() {
            let wished: Vec<Setup> = step
                .into_iter()
                .map(|(number, is_tunnel)| {
                    let mode = if is_tunnel { Mode::Tun } else { Mode::Dr };
                    Setup::new([10, 0, 0, 100 + number].into(), mode, None)
                })
                .collect();
            let planned = plan(&wished, &state, &host).unwrap();
            if number == last {
                let cut = cut.min(planned.actions.len());
                host = done(&host, &planned.actions[..cut]);
                state = planned.before;
            } else {
                host = done(&host, &planned.actions);
                state = planned.after;
                prop_assert_eq!(plan(&wished, &state, &host).unwrap().actions, vec![]);
            }
        }
        let down = plan(&[], &state, &host).unwrap();
        prop_assert_eq!(down.after, State::default());
        prop_assert_eq!(done(&host, &down.actions), start);
    }
}
