//! Plans on the kernel: applied, they give what is wished, and nothing is left to do.

use std::collections::BTreeMap;
use std::time::Duration;

use ipvs_netlink::*;
use lvs_testkit::lab;
use proptest::collection::btree_map;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::with_client;

type Settings = (usize, bool, BTreeMap<u8, (u32, u32, usize)>);

/// Tables over few keys, so that two of them have much in common.
fn rules() -> impl Strategy<Value = Vec<ServiceRules>> {
    let destinations = btree_map(0_u8..6, (0_u32..3, 0_u32..2, 0_usize..3), 0..6);
    let settings = (0_usize..3, any::<bool>(), destinations);
    btree_map(0_u16..8, settings, 0..8).prop_map(|services| {
        let mut all: Vec<_> = services.into_iter().map(service_rules).collect();
        all.sort_by_key(|one| one.service.key);
        all
    })
}

/// Even numbers are IPv4 services, odd ones IPv6.
fn service_rules((number, settings): (u16, Settings)) -> ServiceRules {
    let (scheduler, persistent, destinations) = settings;
    let (vip, net) = [("10.0.0.1", "10.1.0."), ("[fd00::1]", "[fd00::1:")][usize::from(number % 2)];
    let close = ["", "]"][usize::from(number % 2)];
    let key = crate::tcp(&format!("{vip}:{}", 80 + number));
    let scheduler = ["rr", "wlc", "mh"][scheduler].parse().unwrap();
    let destination = |(host, (weight, threshold, method)): (u8, (u32, u32, usize))| {
        let forward = [
            ForwardMethod::Masq,
            ForwardMethod::DirectRoute,
            ForwardMethod::Tunnel(TunnelKind::Gre {
                checksum: TunnelChecksum::Full,
            }),
        ][method];
        let address = format!("{net}{}{close}:80", host + 1).parse().unwrap();
        Destination {
            weight,
            upper_threshold: threshold,
            ..Destination::new(address, forward)
        }
    };
    ServiceRules {
        service: VirtualService {
            persistence_timeout: persistent.then(|| Duration::from_secs(50)),
            ..VirtualService::new(key, scheduler)
        },
        destinations: destinations.into_iter().map(destination).collect(),
    }
}

/// In an order of its own: that of the kernel is that of a hash and of what was added when.
fn sorted(mut rules: Vec<ServiceRules>) -> Vec<ServiceRules> {
    rules.sort_by_key(|one| one.service.key);
    for one in &mut rules {
        one.destinations.sort_by_key(Destination::key);
    }
    rules
}

#[test]
fn a_plan_gives_the_kernel_what_is_wished() {
    let Some(lab) = lab::enter() else { return };
    with_client(&lab.host("director"), |mut client| {
        let client = std::cell::RefCell::new(&mut client);
        let mut runner = TestRunner::new(ProptestConfig::with_cases(60));
        // What the case before has left is what is there.
        runner
            .run(&rules(), |wished| {
                let mut client = client.borrow_mut();
                let commands = plan(&wished, &client.rules().unwrap());
                prop_assert_eq!(client.apply(&commands).unwrap(), []);
                let actual = client.rules().unwrap();
                prop_assert_eq!(plan(&wished, &actual), []);
                prop_assert_eq!(sorted(actual), sorted(wished));
                Ok(())
            })
            .unwrap();
    });
}
