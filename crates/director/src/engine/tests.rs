use std::time::Duration;

use healthcheck::quorum::DownReason;
use healthcheck::schedule::Phase;
use healthcheck::{Failure, Verdict};
use kconf_parser::config::{self, SorryServer};
use proptest::prelude::*;

use super::*;
use crate::wiring;
use crate::wiring::tests::{http_check, real_server, service};

/// An engine with a virtual clock and servers that answer as they are told.
struct Lab {
    engine: Engine,
    config: Config,
    now: Instant,
    start: Instant,
    /// Addresses (last byte) of servers that refuse connections.
    dead: BTreeSet<u8>,
    lines: Vec<String>,
    events: Vec<(Notify, Option<Script>)>,
    mails: Vec<String>,
    /// Outputs other than lines and events, by name.
    order: Vec<&'static str>,
    probes: Vec<(CheckId, ProbeId)>,
}

fn config(services: Vec<config::VirtualServer>) -> Config {
    Config {
        services,
        ..Config::default()
    }
}

fn script(name: &str) -> Option<Script> {
    Some(Script {
        argv: vec![name.into()],
        user: None,
    })
}

impl Lab {
    fn new(config: Config) -> Self {
        Self::with_states(config, Vec::new())
    }

    fn with_states(config: Config, states: Vec<ServiceState>) -> Self {
        let now = Instant::now();
        let mut lab = Self {
            engine: Engine::new(&config, states, now, 7),
            config,
            now,
            start: now,
            dead: BTreeSet::new(),
            lines: Vec::new(),
            events: Vec::new(),
            mails: Vec::new(),
            order: Vec::new(),
            probes: Vec::new(),
        };
        lab.drain();
        lab
    }

    /// Takes the outputs; probes are answered at once unless they are to be held back.
    fn drain(&mut self) {
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Log(line) => self.lines.push(line),
                Output::Notify {
                    event,
                    script,
                    mail,
                    ..
                } => {
                    self.mails.extend(mail);
                    self.events.push((event, script));
                }
                Output::CheckNotify { mail, .. } => {
                    self.mails.push(format!("one of several: {mail}"));
                }
                Output::StartProbe { check, probe, .. } => self.probes.push((check, probe)),
                Output::AbortProbe { .. } => self.order.push("abort"),
                Output::StateChanged(_) => self.order.push("state"),
                Output::ProgressChanged(_) => self.order.push("progress"),
                Output::TableChanged => self.order.push("table"),
            }
        }
    }

    fn answer_all(&mut self) {
        for (check, probe) in std::mem::take(&mut self.probes) {
            let outcome = match self.engine.check(check) {
                Some((_, known)) if self.dead.contains(&last_byte(known.server)) => {
                    Outcome::Failure(Failure::Refused)
                }
                _ => Outcome::Success {
                    latency: Duration::from_millis(1),
                },
            };
            let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
            self.engine
                .handle_outcome(self.now, wall, check, probe, outcome);
            self.drain();
        }
    }

    /// Lets time pass up to `seconds` after the start.
    fn run_to(&mut self, seconds: u64) {
        let end = self.start + Duration::from_secs(seconds);
        while let Some(deadline) = self.engine.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(deadline);
            self.engine.handle_timeout(self.now);
            self.drain();
            self.answer_all();
        }
        self.now = end;
    }

    fn reload(&mut self, config: Config) {
        self.engine.reconfigure(&config, self.now);
        self.config = config;
        self.drain();
    }

    fn restart(&self) -> Self {
        let states = self.states();
        // What travels between processes is JSON.
        let states = serde_json::from_str(&serde_json::to_string(&states).unwrap()).unwrap();
        Self::with_states(self.config.clone(), states)
    }

    fn states(&self) -> Vec<ServiceState> {
        let services = self.engine.services().iter();
        services.map(|service| service.state(self.now)).collect()
    }

    /// The wished destinations of each service: last byte and weight.
    fn table(&self) -> Vec<Vec<(u8, u32)>> {
        let services = self.engine.services().iter();
        let rules = services.flat_map(|service| {
            let pool: Vec<_> = service.machine().pool().collect();
            wiring::rules(service.config(), &pool)
        });
        rules
            .map(|rules| {
                let destinations = rules.destinations.iter();
                destinations
                    .map(|destination| match destination.address {
                        IpAddr::V4(address) => (address.octets()[3], destination.weight),
                        IpAddr::V6(_) => unreachable!("the lab has no IPv6"),
                    })
                    .collect()
            })
            .collect()
    }

    fn take_lines(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }
}

fn last_byte(server: ServerId) -> u8 {
    match server.address.ip() {
        IpAddr::V4(address) => address.octets()[3],
        IpAddr::V6(_) => 0,
    }
}

#[test]
fn a_start_adds_all_servers_and_tells_so_in_keepalived_words() {
    let lab = Lab::new(config(vec![service(
        1,
        vec![real_server(1, 5), real_server(2, 3)],
    )]));
    assert_eq!(lab.table(), [[(1, 5), (2, 3)]]);
    assert_eq!(
        lab.lines,
        [
            "Activating healthchecker for service [10.0.1.1]:tcp:80 for VS [10.0.0.1]:tcp:80",
            "Activating healthchecker for service [10.0.1.2]:tcp:80 for VS [10.0.0.1]:tcp:80",
            "Gained quorum 1+0=1 <= 8 for VS [10.0.0.1]:tcp:80",
        ]
    );
    assert_eq!(
        lab.engine
            .poll_timeout()
            .map(|at| at >= lab.now + Duration::from_secs(1)),
        Some(true)
    );
}

#[test]
fn a_server_that_fails_leaves_after_its_retries_and_comes_back() {
    let mut lab = Lab::new(config(vec![service(
        1,
        vec![real_server(1, 5), real_server(2, 3)],
    )]));
    lab.run_to(62);
    lab.take_lines();
    lab.order.clear();
    lab.dead.insert(1);
    // Proven: one retry a second after the first failure, within one delay_loop.
    lab.run_to(62 + 62);
    assert_eq!(lab.table(), [[(2, 3)]]);
    assert_eq!(
        lab.take_lines(),
        [
            "Error connecting server [10.0.1.1]:tcp:80. (connection refused)",
            "TCP_CHECK on service [10.0.1.1]:tcp:80 failed after 1 retries.",
            "Removing service [10.0.1.1]:tcp:80 from VS [10.0.0.1]:tcp:80",
        ]
    );
    let state = lab.order.iter().position(|name| *name == "state").unwrap();
    let table = lab.order.iter().position(|name| *name == "table").unwrap();
    assert!(state < table, "the parent must know first: {:?}", lab.order);
    lab.dead.clear();
    lab.run_to(62 + 62 + 61);
    assert_eq!(lab.table(), [[(1, 5), (2, 3)]]);
    assert_eq!(
        lab.take_lines(),
        [
            "TCP connection to [10.0.1.1]:tcp:80 success.",
            "Adding service [10.0.1.1]:tcp:80 to VS [10.0.0.1]:tcp:80",
        ]
    );
}

#[test]
fn the_sorry_server_serves_while_the_quorum_is_lost() {
    let mut vs = service(1, vec![real_server(1, 1), real_server(2, 1)]);
    vs.sorry_server = Some(SorryServer {
        address: "10.0.1.9:80".parse().unwrap(),
        inhibit: false,
        method: config::ForwardMethod::Masq,
    });
    vs.quorum = 2;
    vs.quorum_down = script("down");
    vs.quorum_up = script("up");
    let mut lab = Lab::new(config(vec![vs]));
    lab.dead.insert(2);
    lab.run_to(62);
    assert_eq!(lab.table(), [[(9, 1)]]);
    lab.dead.clear();
    lab.run_to(62 + 61);
    assert_eq!(lab.table(), [[(1, 1), (2, 1)]]);
    let scripts: Vec<_> = lab
        .events
        .iter()
        .filter_map(|(_, script)| script.clone())
        .collect();
    assert_eq!(
        scripts,
        [script("up"), script("down"), script("up")].map(Option::unwrap)
    );
}

#[test]
fn a_reload_of_the_same_text_changes_nothing() {
    let text = config(vec![service(1, vec![real_server(1, 5), real_server(2, 3)])]);
    let mut lab = Lab::new(text.clone());
    lab.dead.insert(2);
    lab.run_to(62);
    // A probe is under way while the configuration is read again.
    let deadline = lab.engine.poll_timeout().unwrap();
    lab.now = deadline;
    lab.engine.handle_timeout(deadline);
    lab.drain();
    assert_eq!(lab.probes.len(), 1);
    let before = (lab.table(), lab.states());
    lab.take_lines();
    lab.events.clear();
    lab.order.clear();
    lab.reload(text);
    assert_eq!((lab.table(), lab.states()), before);
    assert_eq!(lab.take_lines(), Vec::<String>::new());
    assert_eq!(lab.events, []);
    assert!(!lab.order.contains(&"abort"));
    let counted = lab.engine.services()[0]
        .checks()
        .iter()
        .filter(|check| check.last_at.is_some())
        .count();
    lab.answer_all();
    assert!(
        lab.order.contains(&"progress"),
        "the probe that was under way counts"
    );
    assert_eq!(counted, 2);
}

#[test]
fn a_reload_adds_removes_and_reweights_servers() {
    let mut gone = real_server(1, 5);
    gone.notify_down = script("gone");
    let mut lab = Lab::new(config(vec![service(1, vec![gone, real_server(2, 3)])]));
    lab.dead.insert(2);
    lab.run_to(62);
    lab.take_lines();
    lab.events.clear();
    lab.reload(config(vec![service(
        1,
        vec![real_server(2, 4), real_server(3, 1)],
    )]));
    // 2 is down still, whatever its weight; 3 is new and trusted.
    assert_eq!(lab.table(), [[(3, 1)]]);
    assert_eq!(
        lab.take_lines(),
        [
            "Activating healthchecker for service [10.0.1.3]:tcp:80 for VS [10.0.0.1]:tcp:80",
            "Removing service [10.0.1.1]:tcp:80 from VS [10.0.0.1]:tcp:80",
            "Changing weight from 3 to 4 for inactive service [10.0.1.2]:tcp:80 of VS [10.0.0.1]:tcp:80",
        ]
    );
    let removed = lab.events.iter().find(|(event, _)| {
        matches!(
            event,
            Notify::ServerDown {
                reason: DownReason::Removed,
                ..
            }
        )
    });
    assert_eq!(
        removed.and_then(|(_, script)| script.clone()),
        script("gone")
    );
}

#[test]
fn a_service_that_is_gone_is_announced_and_leaves_the_table() {
    let mut first = service(1, vec![real_server(1, 1)]);
    first.quorum_down = script("down");
    let mut lab = Lab::new(config(vec![first, service(2, vec![real_server(1, 1)])]));
    lab.take_lines();
    lab.reload(config(vec![service(2, vec![real_server(1, 1)])]));
    assert_eq!(lab.table(), [[(1, 1)]]);
    assert!(
        lab.lines
            .contains(&"Removing Virtual Server [10.0.0.1]:tcp:80".to_owned())
    );
    assert!(lab.events.iter().any(|(_, found)| *found == script("down")));
}

#[test]
fn a_check_with_other_values_goes_on_from_its_verdict() {
    let slow = |retry| {
        let mut server = real_server(1, 1);
        server.checks[0].retry = retry;
        config(vec![service(1, vec![server, real_server(2, 1)])])
    };
    let mut lab = Lab::new(slow(1));
    lab.dead.insert(1);
    lab.run_to(62);
    lab.reload(slow(5));
    assert_eq!(lab.table(), [[(2, 1)]]);
    let check = &lab.engine.services()[0].checks()[0];
    assert_eq!(check.schedule.phase(), Phase::Down);
    assert_eq!(check.schedule.config().retry, 5);
}

#[test]
fn a_new_kind_of_check_looks_before_it_changes_the_traffic() {
    let with = |alpha| {
        let mut server = real_server(1, 1);
        let mut check = http_check();
        check.alpha = alpha;
        server.checks = vec![check];
        config(vec![service(1, vec![server])])
    };
    for alpha in [false, true] {
        let mut lab = Lab::new(config(vec![service(1, vec![real_server(1, 1)])]));
        lab.run_to(62);
        lab.reload(with(alpha));
        assert_eq!(
            lab.table(),
            [[(1, 1)]],
            "up before, up until it fails (alpha {alpha})"
        );
        let mut lab = Lab::new(config(vec![service(1, vec![real_server(1, 1)])]));
        lab.dead.insert(1);
        lab.run_to(62);
        lab.reload(with(alpha));
        assert_eq!(
            lab.table(),
            [Vec::new()],
            "down before, down until it passes"
        );
        assert!(lab.engine.poll_timeout().unwrap() <= lab.now + Duration::from_secs(1));
    }
}

#[test]
fn a_restarted_checker_says_nothing_and_changes_nothing() {
    let mut vs = service(1, vec![real_server(1, 5), real_server(2, 3)]);
    vs.real_servers[0].notify_down = script("down");
    let mut lab = Lab::new(config(vec![vs]));
    lab.dead.insert(1);
    lab.run_to(62);
    let again = lab.restart();
    assert_eq!(again.table(), lab.table());
    assert_eq!(again.events, []);
    assert!(
        again
            .lines
            .iter()
            .all(|line| line.starts_with("Activating ")),
        "{:?}",
        again.lines
    );
    let last = again.engine.services()[0].checks()[0]
        .schedule
        .last()
        .cloned();
    assert_eq!(
        last.and_then(|evidence| evidence.outcome.failure().cloned()),
        Some(Failure::Refused)
    );
}

#[test]
fn numbers_of_checks_are_never_used_again() {
    let lab = Lab::new(config(vec![service(
        1,
        vec![real_server(1, 1), real_server(2, 1)],
    )]));
    let mut again = lab.restart();
    again.reload(config(vec![service(
        1,
        vec![real_server(2, 1), real_server(3, 1)],
    )]));
    let ids: Vec<u64> = again.engine.services()[0]
        .checks()
        .iter()
        .map(|check| check.id.0)
        .collect();
    assert_eq!(ids, [1, 2]);
}

#[test]
fn a_stop_announces_with_omega_only() {
    for omega in [false, true] {
        let mut vs = service(1, vec![real_server(1, 1)]);
        vs.omega = omega;
        vs.real_servers[0].notify_down = script("down");
        vs.quorum_down = script("lost");
        let mut lab = Lab::new(config(vec![vs]));
        lab.events.clear();
        lab.engine.shutdown();
        lab.drain();
        assert_eq!(lab.table(), [Vec::new()]);
        let scripts: Vec<_> = lab
            .events
            .iter()
            .filter_map(|(_, script)| script.clone())
            .collect();
        let expected = [script("down"), script("lost")].map(Option::unwrap);
        assert_eq!(scripts, if omega { expected.to_vec() } else { Vec::new() });
        assert_eq!(lab.engine.poll_timeout(), None);
    }
}

/// Which of four servers are configured, with which weight and inhibit.
fn servers() -> impl Strategy<Value = Vec<config::RealServer>> {
    prop::collection::btree_map(1u8..5, (0u32..4, any::<bool>(), any::<bool>()), 1..4).prop_map(
        |map| {
            map.into_iter()
                .map(|(number, (weight, inhibit, alpha))| {
                    let mut server = real_server(number, weight);
                    server.inhibit_on_failure = inhibit;
                    server.checks[0].alpha = alpha;
                    server
                })
                .collect()
        },
    )
}

proptest! {
    /// Whatever happened: a restart wishes the very same table, and a reload keeps what was known of
    /// the servers that stay.
    #[test]
    fn restarts_and_reloads_keep_what_is_known(
        first in servers(),
        second in servers(),
        dead in prop::collection::btree_set(1u8..5, 0..4),
        seconds in 1u64..200,
    ) {
        let mut lab = Lab::new(config(vec![service(1, first)]));
        lab.dead = dead;
        lab.run_to(seconds);
        prop_assert_eq!(lab.restart().table(), lab.table());
        let known: Vec<(ServerId, Verdict)> = lab.states()[0].snapshot.servers.iter()
            .map(|state| (state.server, state.verdict)).collect();
        let mut restarted = lab.restart();
        restarted.reload(config(vec![service(1, second.clone())]));
        lab.reload(config(vec![service(1, second)]));
        // Through a restart or not, the reload comes to the same.
        prop_assert_eq!(restarted.table(), lab.table());
        for state in &lab.states()[0].snapshot.servers {
            if let Some((_, verdict)) = known.iter().find(|(server, _)| *server == state.server) {
                prop_assert_eq!(state.verdict, *verdict);
            }
        }
    }
}

#[test]
fn checks_with_ha_suspend_run_while_the_address_is_here() {
    let mut suspended = service(1, vec![real_server(1, 5)]);
    suspended.ha_suspend = true;
    let both = config(vec![suspended, service(2, vec![real_server(2, 5)])]);
    let mut lab = Lab::new(both.clone());
    lab.take_lines();
    let here = |lab: &mut Lab, addresses: &[[u8; 4]]| {
        let addresses = addresses.iter().map(|it| IpAddr::from(*it)).collect();
        lab.engine.handle_addresses(lab.now, addresses);
        lab.drain();
    };
    here(&mut lab, &[[127, 0, 0, 1]]);
    let line = |verb| {
        format!("{verb} healthchecker for service [10.0.1.1]:tcp:80 for VS [10.0.0.1]:tcp:80")
    };
    assert_eq!(lab.take_lines(), [line("Suspending")]);
    lab.dead.extend([1, 2]);
    lab.run_to(200);
    // What is not looked at stays as it was.
    assert_eq!(lab.table(), [vec![(1, 5)], vec![]]);
    lab.take_lines();
    here(&mut lab, &[[10, 0, 0, 1], [10, 0, 0, 9]]);
    assert_eq!(lab.take_lines(), [line("Activating")]);
    lab.run_to(400);
    assert_eq!(lab.table(), [Vec::<(u8, u32)>::new(), vec![]]);
    // The address goes while a probe is under way; a reload changes nothing about it.
    here(&mut lab, &[[10, 0, 0, 2]]);
    lab.dead.clear();
    lab.reload(both);
    lab.run_to(600);
    assert_eq!(lab.table(), [vec![], vec![(2, 5)]]);
    here(&mut lab, &[[10, 0, 0, 1]]);
    lab.run_to(700);
    assert_eq!(lab.table(), [vec![(1, 5)], vec![(2, 5)]]);
}

#[test]
fn mails_are_those_of_the_check_that_decides_and_of_those_that_do_not() {
    let mut mailed = service(1, vec![real_server(1, 5)]);
    mailed.smtp_alert = true;
    let server = &mut mailed.real_servers[0];
    server.smtp_alert = true;
    let mut second = server.checks[0].clone();
    second.retry += 1;
    server.checks.push(second);
    let mut quiet = mailed.clone();
    quiet.smtp_alert = false;
    quiet.real_servers[0].smtp_alert = false;
    let mut lab = Lab::new(config(vec![mailed]));
    lab.dead.insert(1);
    lab.run_to(600);
    lab.dead.clear();
    lab.run_to(1200);
    let (failed, succeeded) = (
        "=> TCP CHECK failed on service <=",
        "=> TCP CHECK succeed on service <=",
    );
    assert_eq!(
        lab.mails,
        [
            "=> Starting with quorum up 1+0=1 <= 5 <=".to_owned(),
            failed.to_owned(),
            "=> Lost quorum 1+0=1 <= 0 <=".to_owned(),
            format!("one of several: {failed}"),
            format!("one of several: {succeeded}"),
            succeeded.to_owned(),
            "=> Gained quorum 1+0=1 <= 5 <=".to_owned(),
        ]
    );
    lab.mails.clear();
    lab.reload(config(vec![quiet]));
    lab.dead.insert(1);
    lab.run_to(2000);
    assert!(lab.mails.is_empty(), "{:?}", lab.mails);
}
