//! The monitor against the kernel of this machine, in network namespaces.

use std::os::fd::AsFd;
use std::time::Duration;

use lvs_testkit::netns::{self, Namespace};
use netif::{Event, Monitor, PROTOCOL_KEEPALIVED, RouteFilter, Watch};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

const LIMIT: Duration = Duration::from_secs(5);

fn everything() -> Watch {
    Watch {
        routes: Some(RouteFilter {
            protocol: Some(PROTOCOL_KEEPALIVED),
            table: None,
        }),
        rules: Some(PROTOCOL_KEEPALIVED),
    }
}

fn pair() -> Option<([Namespace; 2], Monitor)> {
    let hosts = netns::hosts()?;
    let [host, far] = &hosts;
    // No IPv6: its addresses come and go at times of their own.
    host.command("sysctl", "-qw net.ipv6.conf.default.disable_ipv6=1");
    netns::cable(host, "eth0", far, "eth0");
    let monitor = host.run(|| Monitor::open(everything()).unwrap());
    Some((hosts, monitor))
}

/// Receives until an event is as `wanted` says, and gives all up to then.
#[track_caller]
fn until(monitor: &mut Monitor, wanted: impl Fn(&Event) -> bool) -> Vec<Event> {
    let mut all = Vec::new();
    loop {
        let events = monitor.receive().unwrap();
        let found = events.iter().any(&wanted);
        all.extend(events);
        if found {
            return all;
        }
        let timeout = PollTimeout::try_from(LIMIT).unwrap();
        let ready = poll(
            &mut [PollFd::new(monitor.as_fd(), PollFlags::POLLIN)],
            timeout,
        );
        assert_eq!(ready.unwrap(), 1, "only {all:?}");
    }
}

/// What the kernel has now must be what the monitor believes.
#[track_caller]
fn assert_true(monitor: &mut Monitor) {
    assert_eq!(monitor.resync().unwrap(), []);
}

#[test]
fn links_are_followed() {
    let Some(([host, far], mut monitor)) = pair() else {
        return;
    };
    assert!(monitor.snapshot().find_link("lo").is_some());
    lvs_testkit::wait_until("carrier", LIMIT, || {
        monitor.receive().unwrap();
        let link = monitor.snapshot().find_link("eth0").unwrap();
        link.is_usable().then_some(())
    });
    far.ip("link set eth0 down");
    let lost = |event: &Event| {
        matches!(event, Event::LinkChanged { before, after }
            if after.name == "eth0" && before.carrier && !after.carrier)
    };
    until(&mut monitor, lost);
    far.ip("link set eth0 up");
    until(
        &mut monitor,
        |event| matches!(event, Event::LinkChanged { after, .. } if after.name == "eth0" && after.is_usable()),
    );
    host.ip("link set eth0 mtu 1400");
    until(
        &mut monitor,
        |event| matches!(event, Event::LinkChanged { before, after } if (before.mtu, after.mtu) == (1500, 1400)),
    );
    host.ip("link set eth0 down");
    host.ip("link set eth0 name wan0");
    until(&mut monitor, |event| {
        matches!(event, Event::LinkChanged { before, after }
            if before.name == "eth0" && after.name == "wan0")
    });
    host.ip("link del wan0");
    until(
        &mut monitor,
        |event| matches!(event, Event::LinkRemoved(link) if link.name == "wan0"),
    );
    netns::cable(&host, "wan0", &far, "eth0");
    until(
        &mut monitor,
        |event| matches!(event, Event::LinkAdded(link) if link.name == "wan0"),
    );
    lvs_testkit::wait_until("carrier", LIMIT, || {
        monitor.receive().unwrap();
        let link = monitor.snapshot().find_link("wan0").unwrap();
        link.is_usable().then_some(())
    });
    assert_true(&mut monitor);
}

#[test]
fn leaving_a_bridge_is_not_the_end_of_an_interface() {
    let Some(([host, _far], mut monitor)) = pair() else {
        return;
    };
    host.ip("link add br0 type bridge");
    host.ip("link set eth0 master br0");
    until(
        &mut monitor,
        |event| matches!(event, Event::LinkChanged { after, .. } if after.master.is_some()),
    );
    host.ip("link set eth0 nomaster");
    let events = until(&mut monitor, |event| {
        matches!(event, Event::LinkChanged { before, after }
            if before.master.is_some() && after.master.is_none())
    });
    let removed = |event: &Event| matches!(event, Event::LinkRemoved(_));
    assert!(!events.iter().any(removed), "{events:?}");
    assert!(!monitor.receive().unwrap().iter().any(removed));
}

#[test]
fn addresses_routes_and_rules_are_followed() {
    let Some(([host, _far], mut monitor)) = pair() else {
        return;
    };
    let is = |net: &str| {
        let net = net.to_owned();
        move |event: &Event| match event {
            Event::AddressAdded(entry) | Event::AddressRemoved(entry) => {
                entry.address.net.to_string() == net
            }
            Event::RouteAdded(route) | Event::RouteRemoved(route) => {
                route.destination.to_string() == net
            }
            Event::RuleAdded(rule) | Event::RuleRemoved(rule) => {
                rule.from.is_some_and(|from| from.to_string() == net)
            }
            _ => false,
        }
    };
    host.ip("addr add 10.0.0.1/24 dev eth0");
    until(&mut monitor, is("10.0.0.1/24"));
    host.ip("addr del 10.0.0.1/24 dev eth0");
    let events = until(&mut monitor, is("10.0.0.1/24"));
    assert!(
        matches!(events[..], [Event::AddressRemoved(_)]),
        "{events:?}"
    );

    host.ip("addr add 10.0.0.1/24 dev eth0");
    host.ip("route add 10.9.0.0/16 via 10.0.0.2 proto 18");
    host.ip("route add 10.8.0.0/16 via 10.0.0.2");
    let events = until(&mut monitor, is("10.9.0.0/16"));
    let routes = |event: &&Event| matches!(event, Event::RouteAdded(_));
    assert_eq!(events.iter().filter(routes).count(), 1, "{events:?}");
    host.ip("rule add from 10.9.0.0/16 lookup 7 protocol 18");
    host.ip("rule add from 10.8.0.0/16 lookup 7");
    let events = until(&mut monitor, is("10.9.0.0/16"));
    assert!(matches!(events[..], [Event::RuleAdded(_)]), "{events:?}");
    host.ip("rule del from 10.9.0.0/16 lookup 7 protocol 18");
    let events = until(&mut monitor, is("10.9.0.0/16"));
    assert!(matches!(events[..], [Event::RuleRemoved(_)]), "{events:?}");
    host.ip("route del 10.9.0.0/16 via 10.0.0.2 proto 18");
    let events = until(&mut monitor, is("10.9.0.0/16"));
    assert!(matches!(events[..], [Event::RouteRemoved(_)]), "{events:?}");

    // The kernel says nothing of a route that goes with its interface or its address.
    for (lose, restore) in [
        ("link set eth0 down", "link set eth0 up"),
        (
            "addr del 10.0.0.1/24 dev eth0",
            "addr add 10.0.0.1/24 dev eth0",
        ),
    ] {
        host.ip("route add 10.9.0.0/16 dev eth0 src 10.0.0.1 proto 18");
        until(&mut monitor, is("10.9.0.0/16"));
        host.ip(lose);
        until(
            &mut monitor,
            |event| matches!(event, Event::RouteRemoved(route) if route.destination.to_string() == "10.9.0.0/16"),
        );
        host.ip(restore);
        monitor.receive().unwrap();
    }
    assert_true(&mut monitor);
}

#[test]
fn duplicate_address_detection_is_seen() {
    let Some([host, far]) = netns::hosts() else {
        return;
    };
    netns::cable(&host, "eth0", &far, "eth0");
    let mut monitor = host.run(|| Monitor::open(Watch::default()).unwrap());
    far.ip("addr add 2001:db8::1/64 dev eth0 nodad");
    host.ip("addr add 2001:db8::1/64 dev eth0");
    let ours = |entry: &netif::AddressEntry| entry.address.net.to_string() == "2001:db8::1/64";
    until(
        &mut monitor,
        |event| matches!(event, Event::AddressAdded(entry) if ours(entry) && !entry.is_usable()),
    );
    until(
        &mut monitor,
        |event| matches!(event, Event::AddressChanged { after, .. } if ours(after) && after.state.duplicate),
    );
}

#[test]
fn after_lost_messages_the_picture_is_whole_again() {
    let Some(([host, _far], mut monitor)) = pair() else {
        return;
    };
    host.ip("addr add 10.0.0.1/24 dev eth0");
    monitor.receive().unwrap();
    let full = 4000;
    // More than a receive buffer of 1 MiB holds.
    let batch = |words: &str| {
        let lines: String = (0..full)
            .map(|n| {
                format!(
                    "addr {words} 10.{}.{}.{}/32 dev lo\n",
                    100 + n / 60_000,
                    n / 250,
                    n % 250
                )
            })
            .collect();
        let path = std::env::temp_dir().join(format!("lvskit-batch-{}", std::process::id()));
        std::fs::write(&path, lines).unwrap();
        host.ip(&format!("-batch {}", path.display()));
        std::fs::remove_file(&path).unwrap();
    };
    batch("add");
    host.ip("addr del 10.0.0.1/24 dev eth0");
    host.ip("link add late type veth peer name later");
    let mut events = Vec::new();
    lvs_testkit::wait_until("an overrun", LIMIT, || {
        events.extend(monitor.receive().unwrap());
        (monitor.overruns() > 0).then_some(())
    });
    loop {
        let more = monitor.receive().unwrap();
        if more.is_empty() {
            break;
        }
        events.extend(more);
    }
    let added = events
        .iter()
        .filter(|event| matches!(event, Event::AddressAdded(_)))
        .count();
    assert_eq!(added, full);
    assert!(
        events
            .iter()
            .any(|event| matches!(event, Event::AddressRemoved(entry)
        if entry.address.net.to_string() == "10.0.0.1/24"))
    );
    assert!(monitor.snapshot().find_link("late").is_some());
    assert_eq!(monitor.unreadable(), 0);
    assert_true(&mut monitor);
}

#[test]
fn tokio_can_wait_for_it() {
    let Some(([host, _far], monitor)) = pair() else {
        return;
    };
    host.ip("addr add 10.0.0.1/24 dev eth0");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(async {
        #[allow(unsafe_code)]
        // SAFETY: a monitor has one and the same descriptor as long as it lives.
        let monitor = unsafe { tokio::io::unix::AsyncFd::register(monitor) };
        let mut monitor = monitor.unwrap();
        let found = async {
            loop {
                let mut ready = monitor.readable_mut().await.unwrap();
                let events = ready.get_inner_mut().receive().unwrap();
                if events
                    .iter()
                    .any(|event| matches!(event, Event::AddressAdded(_)))
                {
                    return;
                }
                ready.clear_ready();
            }
        };
        tokio::time::timeout(LIMIT, found).await.unwrap();
    });
}
