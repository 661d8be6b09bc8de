use std::time::Duration;

use healthcheck::quorum::Role;
use healthcheck::{CheckId, PoolEntry, Verdict};
use kconf_parser::config::{
    BindTo, HttpCheck, Persistence, RealServer, Scheduler, SchedulerFlags, SorryServer,
    StatusRange, Url, VirtualServer,
};

use super::*;

/// A `TCP_CHECK` of 10.0.0.1:80 with every default.
pub(crate) fn tcp_check() -> Check {
    Check {
        kind: CheckKind::Tcp,
        target: "10.0.0.1:80".parse().unwrap(),
        bind: BindTo::default(),
        fwmark: 0,
        connect_timeout: Duration::from_secs(5),
        delay_loop: Duration::from_secs(60),
        retry: 1,
        delay_before_retry: Duration::from_secs(1),
        warmup: Duration::from_secs(60),
        alpha: false,
        log_all_failures: false,
    }
}

/// An `HTTP_GET` of `/` at 10.0.0.1:80 with every default.
pub(crate) fn http_check() -> Check {
    Check {
        kind: CheckKind::Http(HttpCheck {
            tls: false,
            version: config::HttpVersion::Http10,
            urls: vec![Url {
                path: "/".into(),
                virtualhost: None,
                sni: None,
                digest: None,
                status: vec![StatusRange {
                    first: 200,
                    last: 299,
                }],
                regex: None,
                tls_compliant: false,
            }],
            fast_recovery: false,
            tls_compliant: false,
        }),
        delay_before_retry: Duration::from_secs(3),
        ..tcp_check()
    }
}

/// A real server 10.0.1.`number`:80 with one TCP check.
pub(crate) fn real_server(number: u8, weight: u32) -> RealServer {
    let address = SocketAddr::from(([10, 0, 1, number], 80));
    RealServer {
        address,
        weight,
        method: ForwardMethod::Masq,
        upper_threshold: 0,
        lower_threshold: 0,
        inhibit_on_failure: false,
        notify_up: None,
        notify_down: None,
        smtp_alert: true,
        snmp_name: None,
        checks: vec![Check {
            target: address,
            ..tcp_check()
        }],
    }
}

/// A TCP service 10.0.0.`number`:80, wrr.
pub(crate) fn service(number: u8, real_servers: Vec<RealServer>) -> VirtualServer {
    let address = SocketAddr::from(([10, 0, 0, number], 80));
    let protocol = config::Protocol::Tcp;
    VirtualServer {
        id: VirtualServerId::Address { protocol, address },
        endpoints: vec![Endpoint::Address(address)],
        protocol,
        scheduler: Scheduler::Wrr,
        scheduler_flags: SchedulerFlags::default(),
        method: ForwardMethod::Masq,
        persistence: None,
        one_packet: false,
        ha_suspend: false,
        omega: false,
        quorum: 1,
        hysteresis: 0,
        quorum_up: None,
        quorum_down: None,
        smtp_alert: false,
        sorry_server: None,
        snmp_name: None,
        real_servers,
    }
}

fn entry(number: u8, role: Role, weight: u32) -> PoolEntry {
    let address = SocketAddr::from(([10, 0, 1, number], 80));
    PoolEntry {
        server: ServerId::new(address, Protocol::Tcp),
        role,
        weight,
    }
}

#[test]
fn a_group_becomes_a_service_for_each_entry_with_the_same_servers() {
    let mut group = service(1, vec![real_server(1, 3)]);
    group.endpoints = vec![
        Endpoint::Address("10.0.0.1:80".parse().unwrap()),
        Endpoint::Address("[2001:db8::1]:80".parse().unwrap()),
        Endpoint::FirewallMark {
            mark: 7,
            family: Family::Inet6,
        },
    ];
    let rules = rules(&group, &[entry(1, Role::Real, 3)]);
    let names: Vec<String> = rules
        .iter()
        .map(|rules| service_name(&rules.service.key))
        .collect();
    assert_eq!(
        names,
        ["[10.0.0.1]:tcp:80", "[2001:db8::1]:tcp:80", "FWM 7"]
    );
    assert!(rules.iter().all(|rules| rules.destinations.len() == 1));
}

#[test]
fn the_weight_comes_from_the_pool_and_the_rest_from_the_configuration() {
    let mut server = real_server(1, 3);
    server.upper_threshold = 10;
    server.lower_threshold = 5;
    server.method = ForwardMethod::Tunnel;
    let rules = rules(&service(1, vec![server]), &[entry(1, Role::Real, 0)]);
    let destination = rules[0].destinations[0];
    assert_eq!(destination.weight, 0);
    assert_eq!(
        (destination.upper_threshold, destination.lower_threshold),
        (10, 5)
    );
    assert_eq!(
        destination.forward,
        ipvs_netlink::ForwardMethod::Tunnel(TunnelKind::Ipip)
    );
}

#[test]
fn a_sorry_server_that_is_a_real_server_too_wins_while_it_is_in_charge() {
    let mut both = service(1, vec![real_server(1, 3)]);
    both.sorry_server = Some(SorryServer {
        address: "10.0.1.1:80".parse().unwrap(),
        inhibit: false,
        method: ForwardMethod::DirectRoute,
    });
    let pool = |sorry| [entry(1, Role::Real, 0), entry(1, Role::Sorry, sorry)];
    let destinations = |sorry| rules(&both, &pool(sorry)).remove(0).destinations;
    assert_eq!(destinations(1).len(), 1);
    assert_eq!(destinations(1)[0].weight, 1);
    assert_eq!(
        destinations(1)[0].forward,
        ipvs_netlink::ForwardMethod::DirectRoute
    );
    assert_eq!(
        destinations(0)[0].forward,
        ipvs_netlink::ForwardMethod::Masq
    );
}

#[test]
fn service_options_reach_ipvs() {
    let mut config = service(1, vec![real_server(1, 1)]);
    config.one_packet = true;
    config.scheduler_flags.flag2 = true;
    config.persistence = Some(Persistence {
        timeout: Duration::from_secs(50),
        granularity: Some(config::Granularity::Mask(Ipv4Addr::new(255, 255, 255, 0))),
        engine: None,
    });
    let service = rules(&config, &[]).remove(0).service;
    assert_eq!(service.scheduler, "wrr");
    assert_eq!(
        service.flags,
        ServiceFlags::ONE_PACKET | ServiceFlags::SCHED_2
    );
    assert_eq!(service.persistence_timeout, Some(Duration::from_secs(50)));
    assert_eq!(
        service.persistence_granularity,
        Granularity::Mask(Ipv4Addr::new(255, 255, 255, 0))
    );
}

#[test]
fn a_check_keeps_its_values_and_its_source() {
    let mut check = http_check();
    check.bind.port = Some(4000);
    check.fwmark = 9;
    check.target = "[2001:db8::2]:81".parse().unwrap();
    let Some(Probe::Http(probe)) = probe(&check, &TlsClient::accept_any()) else {
        panic!("no HTTP probe");
    };
    assert_eq!(probe.connect.address, check.target);
    assert_eq!(probe.connect.source, Some("[::]:4000".parse().unwrap()));
    assert_eq!(probe.connect.mark, Some(9));
    assert!(probe.tls.is_none());
    assert!(probe.urls[0].expect.status.contains(299));
    assert!(!probe.urls[0].expect.status.contains(301));
    let schedule = schedule(&check);
    assert_eq!(schedule.delay_before_retry, Duration::from_secs(3));
    assert_eq!(schedule.steps.get(), 1);
}

#[test]
fn checks_without_a_probe_are_left_out() {
    let mut config = service(1, vec![real_server(1, 1)]);
    config.real_servers[0].checks.push(Check {
        kind: CheckKind::Ping,
        ..tcp_check()
    });
    assert_eq!(checks(&config).count(), 1);
    let machine = virtual_server(&config, &Globals::default(), |_| {
        vec![CheckConfig {
            id: CheckId(7),
            initial: Verdict::Up,
        }]
    });
    assert_eq!(&*machine.name, "[10.0.0.1]:tcp:80");
    assert_eq!(machine.servers[0].checks[0].id, CheckId(7));
}

#[test]
fn only_interfaces_without_advertisements_are_reminded_of() {
    let reminders = |settings: &str| {
        let text = format!(
            "vrrp_instance v {{\ninterface eth0\nvirtual_router_id 7\n{settings}\n\
             virtual_ipaddress {{\n192.0.2.1\n192.0.2.2 dev eth1\n192.0.2.3 dev eth1\n}}\n}}\n"
        );
        let files = kconf_parser::loader::MemoryLoader::default().with("/k.conf", text);
        let analysis = kconf_parser::analyze("/k.conf".as_ref(), &Default::default(), &files);
        let (plan, problems) = vrrp::vrrp(&analysis.config.vrrp, Duration::ZERO);
        assert_eq!(problems, Vec::<String>::new());
        let reminders = plan.router.instances[0].config.reminders.clone();
        let names = reminders.interfaces.iter().map(|it| it.as_str().to_owned());
        (reminders.interval.as_secs(), names.collect::<Vec<_>>())
    };
    assert_eq!(reminders("garp_extra_if 60"), (0, vec![]));
    assert_eq!(reminders("garp_extra_if all 60"), (60, vec!["eth1".into()]));
    assert_eq!(reminders("use_vmac\ngarp_extra_if 60"), (0, vec![]));
    let on_base = "use_vmac\nvmac_xmit_base\ngarp_extra_if 60";
    assert_eq!(reminders(on_base), (60, vec!["vrrp.7".into()]));
    let both = format!("{on_base}\n").replace("extra_if", "extra_if all");
    assert_eq!(reminders(&both), (60, vec!["eth1".into(), "vrrp.7".into()]));
}
