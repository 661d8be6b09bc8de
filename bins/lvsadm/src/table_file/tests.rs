use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use ipvs_netlink::{
    AddressFamily, ForwardMethod, Granularity, Name, Protocol, ServiceFlags, TunnelChecksum,
    TunnelKind, VirtualService, plan,
};
use proptest::prelude::*;

use super::*;
use crate::output::rules::{is_faithful, line};

fn problems(text: &str) -> Vec<String> {
    let problems = read(text.as_bytes())
        .unwrap()
        .expect_err("something is wrong");
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn all_problems_are_told_with_their_place() {
    let text = "# a table\n\
                -D -t 10.0.0.1:80 -w 5\n\
                -A -t 10.0.0.2:80\n\
                -A -t 10.0.0.2:80 -s wlc\n\
                \n\
                -a -t 10.0.0.2:80 -r 10.1.0.1:80 -m -w many\n\
                -a -t 10.0.0.2:80 -r 10.1.0.1 -m --bogus\n\
                -a -t 10.0.0.3:80 -r 10.1.0.1 -m\n\
                -a -t 10.0.0.2:80 -r 10.1.0.9 -m\n\
                -a -t 10.0.0.2:80 -w 2 -r 10.1.0.9:80 -m\n\
                -Ln\n\
                --set 1 2\n\
                --set 1 2 3x\n\
                öh -A stray -t 10.0.0.4:80\n\
                --start-daemon master --mcast-interface d0\n\
                --stop-daemon master\n\
                -A -f 5 -b flag-9\n";

    assert_eq!(
        problems(text),
        [
            "2:19: Illegal 'weight' option with the 'delete-service' command",
            "4:1: [10.0.0.2]:tcp:80 is in line 3 already",
            "6:40: illegal weight specified",
            "7:34: --bogus: unknown option",
            "8:1: no line above adds the service [10.0.0.3]:tcp:80 of this server",
            "10:1: the server 10.1.0.9:80 of [10.0.0.2]:tcp:80 is in line 9 already",
            "11:1: a table consists of -A, -a, --set, --start-daemon and --stop-daemon lines; \
             this is none",
            "12:1: --set option requires 3 timeout values",
            "13:11: invalid timeout value `3x' specified",
            "14:1: unexpected argument öh",
            "16:1: this sync daemon is in line 15 already",
            "17:9: invalid scheduler flag `flag-9'",
        ]
    );
    assert_eq!(problems("\n-A \0"), ["2:4: a NUL byte: this is no text"]);
    // A server of a service that could not be read is no second problem.
    let text = "-A -t 10.0.0.1:80 -w 5\n-a -t 10.0.0.1:80 -r 10.1.0.1 -m\n";
    let only = "1:19: Illegal 'weight' option with the 'add-service' command";
    assert_eq!(problems(text), [only]);
    assert_eq!(
        problems("-A é -t 10.0.0.1:80 x"),
        ["1:4: unexpected argument é"]
    );
    assert_eq!(
        problems("\u{e9}\u{e9} -A -t 10.0.0.1:80 -p -s\n"),
        ["1:25: -s: missing argument"]
    );
}

#[test]
fn what_ipvsadm_saves_is_read() {
    let text = b"-A -t 10.0.0.1:80 -s wrr\r\n\
                 ipvsadm -a -t 10.0.0.1:80 -r 10.1.0.1:80 -m -w 3\n\
                 -a -t 10.0.0.1:80 -r 10.1.0.2:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum\n";
    let wished = read(text.as_slice()).unwrap().unwrap();
    assert_eq!(wished.rules.len(), 1);
    assert_eq!(wished.rules[0].destinations.len(), 2);
    assert_eq!(
        (wished.timeouts, &wished.master),
        (None, &DaemonWish::AsItIs)
    );
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|bits| Ipv4Addr::from(bits).into()),
        any::<u128>().prop_map(|bits| Ipv6Addr::from(bits).into()),
    ]
}

fn key() -> impl Strategy<Value = ServiceKey> {
    let protocols = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];
    let families = [AddressFamily::Inet, AddressFamily::Inet6];
    prop_oneof![
        (
            prop::sample::select(protocols.to_vec()),
            address(),
            any::<u16>()
        )
            .prop_map(|(protocol, address, port)| ServiceKey::Address {
                protocol,
                address,
                port
            }),
        (1..=u32::MAX, prop::sample::select(families.to_vec())).prop_map(|(mark, family)| {
            let mark = NonZeroU32::new(mark).unwrap();
            ServiceKey::Mark { mark, family }
        }),
    ]
}

fn service() -> impl Strategy<Value = VirtualService> {
    let schedulers = ["rr", "sh", "mh", "wlc", "twos"];
    let flags = [
        ServiceFlags::ONE_PACKET,
        ServiceFlags::SCHED_1,
        ServiceFlags::SCHED_2,
        ServiceFlags::SCHED_3,
    ];
    let flags = prop::sample::subsequence(flags.to_vec(), 0..=4);
    (
        key(),
        prop::sample::select(schedulers.to_vec()),
        flags,
        prop::option::of(any::<u32>()),
        (any::<u32>(), 1_u8..128, any::<bool>()),
        prop::option::of(Just("sip")),
    )
        .prop_map(
            |(key, scheduler, flags, timeout, (mask, prefix, whole), engine)| {
                // A service for all ports must be persistent.
                let is_for_all = key.port() == 0 && key.protocol().is_some();
                let timeout = timeout.or_else(|| is_for_all.then_some(1));
                VirtualService {
                    key,
                    scheduler: scheduler.parse().unwrap(),
                    flags: flags
                        .into_iter()
                        .fold(ServiceFlags::NONE, |all, flag| all | flag),
                    persistence_timeout: timeout.map(|seconds| Duration::from_secs(seconds.into())),
                    persistence_granularity: match key.family() {
                        _ if whole || mask == u32::MAX => Granularity::Host,
                        AddressFamily::Inet => Granularity::Mask(mask.into()),
                        AddressFamily::Inet6 => Granularity::Prefix(prefix),
                    },
                    persistence_engine: engine.map(|name| Name::lossy(name.as_bytes())),
                }
            },
        )
}

fn forward() -> impl Strategy<Value = ForwardMethod> {
    let sums = [
        TunnelChecksum::None,
        TunnelChecksum::Full,
        TunnelChecksum::Remote,
    ];
    prop_oneof![
        Just(ForwardMethod::Masq),
        Just(ForwardMethod::DirectRoute),
        Just(ForwardMethod::Tunnel(TunnelKind::Ipip)),
        (any::<u16>(), prop::sample::select(sums.to_vec()))
            .prop_map(|(port, checksum)| ForwardMethod::Tunnel(TunnelKind::Gue { port, checksum })),
        prop::sample::select(sums[..2].to_vec())
            .prop_map(|checksum| ForwardMethod::Tunnel(TunnelKind::Gre { checksum })),
    ]
}

fn rules() -> impl Strategy<Value = ServiceRules> {
    let numbers = (any::<u16>(), any::<u32>(), any::<u32>(), any::<u32>());
    let servers = prop::collection::vec((address(), forward(), numbers), 0..4);
    (service(), servers).prop_map(|(service, servers)| {
        let mut destinations: Vec<Destination> = Vec::new();
        for (address, forward, (port, weight, upper, lower)) in servers {
            // Only a tunnel leads to another family.
            let other_family = AddressFamily::of(address) != service.key.family();
            let destination = Destination {
                address,
                port,
                forward: match forward {
                    ForwardMethod::Tunnel(_) => forward,
                    _ if other_family => ForwardMethod::Tunnel(TunnelKind::Ipip),
                    forward => forward,
                },
                weight,
                upper_threshold: upper,
                lower_threshold: lower,
            };
            if destinations
                .iter()
                .all(|one| one.key() != destination.key())
            {
                destinations.push(destination);
            }
        }
        ServiceRules {
            service,
            destinations,
        }
    })
}

proptest! {
    #[test]
    fn what_is_saved_comes_back(all in prop::collection::vec(rules(), 0..5)) {
        let mut rules: Vec<ServiceRules> = Vec::new();
        for one in all {
            if rules.iter().all(|other| other.service.key != one.service.key) {
                rules.push(one);
            }
        }
        let commands = plan(&rules, &[]);
        let mut text = String::new();
        for command in &commands {
            let line = line(command);
            prop_assert!(is_faithful(command, &line), "{line}: {command:?}");
            text += &line;
            text.push('\n');
        }
        let wished = read(text.as_bytes()).unwrap();
        prop_assert_eq!(wished.map(|wished| wished.rules), Ok(rules), "{}", text);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        let _ = read(bytes.as_slice());
    }
}
