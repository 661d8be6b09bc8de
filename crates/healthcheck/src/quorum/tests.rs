//! Tables: what comes in, and every line, pool change and notification that goes out, in order.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const VS: &str = "[10.0.0.1]:tcp:80";
const CHECK: CheckId = CheckId(7);

fn id(last: u8) -> ServerId {
    ServerId::new(([10, 0, 0, last], 80).into(), Protocol::Tcp)
}

fn server(last: u8, weight: u32) -> ServerConfig {
    server_from(last, weight, Verdict::Up)
}

fn server_from(last: u8, weight: u32, initial: Verdict) -> ServerConfig {
    ServerConfig {
        checks: vec![CheckConfig { id: CHECK, initial }],
        ..ServerConfig::new(id(last), weight)
    }
}

fn config(servers: Vec<ServerConfig>) -> VirtualServerConfig {
    VirtualServerConfig {
        servers,
        ..VirtualServerConfig::new(VS)
    }
}

fn with_sorry(config: VirtualServerConfig) -> VirtualServerConfig {
    VirtualServerConfig {
        sorry_server: Some(SorryConfig::new(id(99))),
        ..config
    }
}

/// All outputs as text, drained: pool changes as `+2=3 ~2=0 -2`, lines without the service,
/// notifications by name.
fn told(service: &mut VirtualServer) -> Vec<String> {
    std::iter::from_fn(|| service.poll_output())
        .map(|output| match output {
            Output::Log(line) => line
                .to_string()
                .replace(VS, "V")
                .replace("[10.0.0.", "")
                .replace("]:tcp:80", ""),
            Output::Pool(change) => match change {
                PoolChange::Add { server, weight, .. } => format!("+{}={weight}", short(server)),
                PoolChange::SetWeight { server, weight, .. } => {
                    format!("~{}={weight}", short(server))
                }
                PoolChange::Remove { server, .. } => format!("-{}", short(server)),
            },
            Output::Notify(event) => match event {
                Notify::ServerUp { server, reason } => format!("up {} {reason:?}", short(server)),
                Notify::ServerDown { server, reason } => {
                    format!("down {} {reason:?}", short(server))
                }
                Notify::QuorumUp { reason, .. } => format!("quorum up {reason:?}"),
                Notify::QuorumDown { reason, .. } => format!("quorum down {reason:?}"),
            },
        })
        .collect()
}

fn short(server: ServerId) -> String {
    server.address.ip().to_string().replace("10.0.0.", "")
}

fn pool(service: &VirtualServer) -> Vec<(u8, u32)> {
    service
        .pool()
        .map(|entry| (short(entry.server).parse().unwrap(), entry.weight))
        .collect()
}

/// A service whose first outputs are read already.
fn running(config: VirtualServerConfig) -> VirtualServer {
    let mut service = VirtualServer::new(config);
    told(&mut service);
    service
}

impl VirtualServer {
    fn up(&mut self, last: u8) -> Vec<String> {
        self.handle_verdict(id(last), CHECK, Verdict::Up);
        told(self)
    }

    fn down(&mut self, last: u8) -> Vec<String> {
        self.handle_verdict(id(last), CHECK, Verdict::Down);
        told(self)
    }
}

#[test]
fn servers_join_in_silence_at_the_start() {
    let mut service = VirtualServer::new(config(vec![server(2, 5), server(3, 3)]));
    assert_eq!(
        told(&mut service),
        [
            "+2=5",
            "+3=3",
            "Gained quorum 1+0=1 <= 8 for VS V",
            "quorum up Start"
        ]
    );
    assert_eq!(pool(&service), [(2, 5), (3, 3)]);
}

#[test]
fn rs_init_notifies_breaks_the_silence() {
    let config = VirtualServerConfig {
        notify_initial: true,
        ..config(vec![server(2, 1)])
    };
    let told = told(&mut VirtualServer::new(config));
    assert_eq!(
        told,
        [
            "+2=1",
            "up 2 Start",
            "Gained quorum 1+0=1 <= 1 for VS V",
            "quorum up Start"
        ]
    );
}

#[test]
fn alpha_without_a_sorry_server_starts_without_a_word() {
    let mut service = VirtualServer::new(config(vec![server_from(2, 1, Verdict::Down)]));
    assert_eq!(told(&mut service), [""; 0]);
    assert_eq!(pool(&service), []);
    assert_eq!(
        service.up(2),
        [
            "+2=1",
            "Adding service 2 to VS V",
            "up 2 Check",
            "Gained quorum 1+0=1 <= 1 for VS V",
            "quorum up Weight"
        ]
    );
}

#[test]
fn alpha_with_a_sorry_server_starts_with_that() {
    let mut service = VirtualServer::new(with_sorry(config(vec![
        server_from(2, 1, Verdict::Down),
        server_from(3, 1, Verdict::Down),
    ])));
    assert_eq!(
        told(&mut service),
        [
            "+99=1",
            "Starting with quorum down 1-0=1 > 0 for VS V",
            "quorum down Start",
            "Adding sorry server 99 to VS V"
        ]
    );
    assert_eq!(
        service.up(3),
        [
            "+3=1",
            "-99",
            "up 3 Check",
            "Gained quorum 1+0=1 <= 1 for VS V",
            "quorum up Weight",
            "Removing sorry server 99 from VS V",
            "Adding alive servers to the pool for VS V"
        ]
    );
    assert_eq!(
        service.up(2),
        ["+2=1", "Adding service 2 to VS V", "up 2 Check"]
    );
}

#[test]
fn a_server_leaves_and_comes_back() {
    let mut service = running(config(vec![server(2, 5), server(3, 3)]));
    assert_eq!(
        service.down(2),
        ["-2", "Removing service 2 from VS V", "down 2 Check"]
    );
    assert_eq!(pool(&service), [(3, 3)]);
    assert_eq!(service.down(2), [""; 0], "not news");
    assert_eq!(
        service.up(2),
        ["+2=5", "Adding service 2 to VS V", "up 2 Check"]
    );
}

#[test]
fn without_a_sorry_server_the_rest_stays_when_the_quorum_is_lost() {
    let config = VirtualServerConfig {
        quorum: 2,
        ..config(vec![server(2, 1), server(3, 1)])
    };
    let mut service = running(config);
    assert_eq!(
        service.down(2),
        [
            "-2",
            "Removing service 2 from VS V",
            "down 2 Check",
            "Lost quorum 2-0=2 > 1 for VS V",
            "quorum down Weight"
        ]
    );
    assert_eq!(pool(&service), [(3, 1)]);
}

#[test]
fn the_sorry_server_takes_over_from_all() {
    let config = VirtualServerConfig {
        quorum: 2,
        ..config(vec![server(2, 1), server(3, 1)])
    };
    let mut service = running(with_sorry(config));
    assert_eq!(
        service.down(2),
        [
            "+99=1",
            "-2",
            "-3",
            "Removing service 2 from VS V",
            "down 2 Check",
            "Lost quorum 2-0=2 > 1 for VS V",
            "quorum down Weight",
            "Adding sorry server 99 to VS V",
            "Removing alive servers from the pool for VS V"
        ]
    );
    // While it is in charge, servers come and go without touching the pool.
    assert_eq!(service.down(3), ["down 3 Check"]);
    assert_eq!(service.up(3), ["up 3 Check"]);
    assert_eq!(pool(&service), [(99, 1)]);
    assert_eq!(
        service.up(2),
        [
            "+2=1",
            "+3=1",
            "-99",
            "up 2 Check",
            "Gained quorum 2+0=2 <= 2 for VS V",
            "quorum up Weight",
            "Removing sorry server 99 from VS V",
            "Adding alive servers to the pool for VS V"
        ]
    );
}

#[test]
fn inhibited_servers_stay_with_weight_zero() {
    let inhibited = ServerConfig {
        inhibit_on_failure: true,
        ..server(2, 5)
    };
    let mut service = running(with_sorry(config(vec![inhibited, server(3, 3)])));
    assert_eq!(
        service.down(2),
        ["~2=0", "Disabling service 2 of VS V", "down 2 Check"]
    );
    assert_eq!(pool(&service), [(2, 0), (3, 3)]);
    assert_eq!(service.alive_weight(), 3, "weight 0 counts 0");
    assert_eq!(
        service.up(2),
        ["~2=5", "Enabling service 2 of VS V", "up 2 Check"]
    );
    service.down(3);
    service.down(2);
    assert_eq!(pool(&service), [(2, 0), (99, 1)]);
}

#[test]
fn an_inhibited_sorry_server_stays_with_weight_zero() {
    let sorry = SorryConfig {
        inhibit: true,
        ..SorryConfig::new(id(99))
    };
    let config = VirtualServerConfig {
        sorry_server: Some(sorry),
        ..config(vec![server(2, 1)])
    };
    let mut service = running(config);
    assert_eq!(pool(&service), [(2, 1), (99, 0)]);
    assert_eq!(
        service.down(2),
        [
            "~99=1",
            "-2",
            "Removing service 2 from VS V",
            "down 2 Check",
            "Lost quorum 1-0=1 > 0 for VS V",
            "quorum down Weight",
            "Enabling sorry server 99 to VS V",
            "Removing alive servers from the pool for VS V"
        ]
    );
    let told = service.up(2);
    assert_eq!(told[..2], ["+2=1", "~99=0"]);
    assert!(told.contains(&"Disabling sorry server 99 from VS V".to_owned()));
}

/// Five servers of weight 1, quorum 3, hysteresis 1: gained at 4, lost below 2.
#[test]
fn hysteresis_keeps_the_two_thresholds_apart() {
    let servers = (2..7)
        .map(|last| server_from(last, 1, Verdict::Down))
        .collect();
    let mut service = running(VirtualServerConfig {
        quorum: 3,
        hysteresis: 1,
        ..config(servers)
    });
    let mut seen = Vec::new();
    for last in 2..7 {
        service.up(last);
        seen.push((service.alive_weight(), service.has_quorum()));
    }
    for last in 2..7 {
        service.down(last);
        seen.push((service.alive_weight(), service.has_quorum()));
    }
    assert_eq!(
        seen,
        [
            (1, false),
            (2, false),
            (3, false),
            (4, true),
            (5, true),
            (4, true),
            (3, true),
            (2, true),
            (1, false),
            (0, false)
        ]
    );
}

#[test]
fn thresholds_show_in_the_lines() {
    let servers = vec![server(2, 4), server(3, 4)];
    let config = VirtualServerConfig {
        quorum: 6,
        hysteresis: 1,
        ..config(servers)
    };
    let mut service = VirtualServer::new(config);
    assert!(told(&mut service).contains(&"Gained quorum 6+1=7 <= 8 for VS V".to_owned()));
    assert!(
        service
            .down(2)
            .contains(&"Lost quorum 6-1=5 > 4 for VS V".to_owned())
    );
}

#[test]
fn weight_zero_is_in_the_pool_but_no_quorum() {
    let mut service = VirtualServer::new(config(vec![server(2, 0)]));
    assert_eq!(told(&mut service), ["+2=0"]);
    assert!(!service.has_quorum());
}

#[test]
fn a_server_is_up_when_all_of_its_checks_are() {
    let checks = [1, 2].map(|n| CheckConfig {
        id: CheckId(n),
        initial: Verdict::Up,
    });
    let two = ServerConfig {
        checks: checks.to_vec(),
        ..ServerConfig::new(id(2), 1)
    };
    let mut service = running(config(vec![two, server(3, 1)]));
    service.handle_verdict(id(2), CheckId(1), Verdict::Down);
    assert_eq!(told(&mut service).len(), 3);
    service.handle_verdict(id(2), CheckId(2), Verdict::Down);
    service.handle_verdict(id(2), CheckId(1), Verdict::Up);
    assert_eq!(told(&mut service), [""; 0]);
    assert_eq!(service.verdict(id(2)), Some(Verdict::Down));
    service.handle_verdict(id(2), CheckId(2), Verdict::Up);
    assert_eq!(told(&mut service).len(), 3);
}

#[test]
fn strangers_are_ignored() {
    let mut service = running(config(vec![server(2, 1)]));
    service.handle_verdict(id(3), CHECK, Verdict::Down);
    service.handle_verdict(id(2), CheckId(8), Verdict::Down);
    service.set_weight(id(3), 5);
    assert_eq!(told(&mut service), [""; 0]);
    assert_eq!(service.verdict(id(3)), None);
}

#[test]
fn a_weight_can_change_up_or_down() {
    let mut service = running(config(vec![server(2, 5), server(3, 3)]));
    service.set_weight(id(2), 9);
    assert_eq!(
        told(&mut service),
        [
            "~2=9",
            "Changing weight from 5 to 9 for active service 2 of VS V"
        ]
    );
    service.set_weight(id(2), 9);
    assert_eq!(told(&mut service), [""; 0]);
    service.down(2);
    service.set_weight(id(2), 4);
    assert_eq!(
        told(&mut service),
        ["Changing weight from 9 to 4 for inactive service 2 of VS V"]
    );
    assert_eq!(service.up(2)[0], "+2=4");
    service.set_weight(id(2), 0);
    service.set_weight(id(3), 0);
    assert!(told(&mut service).contains(&"Lost quorum 1-0=1 > 0 for VS V".to_owned()));
}

#[test]
fn a_reload_changes_what_changed_and_nothing_else() {
    let mut service = running(config(vec![server(2, 5), server(3, 3), server(4, 1)]));
    service.down(4);
    service.reconfigure(config(vec![server(2, 5), server(3, 3), server(4, 1)]));
    assert_eq!(told(&mut service), [""; 0], "the same again");

    service.reconfigure(config(vec![server(5, 1), server(2, 7), server(4, 1)]));
    assert_eq!(
        told(&mut service),
        [
            "+5=1",
            "~2=7",
            "-3",
            "Removing service 3 from VS V",
            "Changing weight from 5 to 7 for active service 2 of VS V",
            "down 3 Removed"
        ]
    );
    assert_eq!(pool(&service), [(5, 1), (2, 7)]);
}

#[test]
fn a_reload_keeps_measured_weights_unless_the_written_one_changes() {
    let mut service = running(config(vec![server(2, 5)]));
    service.set_weight(id(2), 9);
    told(&mut service);
    service.reconfigure(config(vec![server(2, 5)]));
    assert_eq!(pool(&service), [(2, 9)]);
    service.reconfigure(config(vec![server(2, 6)]));
    assert_eq!(pool(&service), [(2, 6)]);
}

#[test]
fn a_reload_replaces_checks() {
    let other = CheckConfig {
        id: CheckId(8),
        initial: Verdict::Up,
    };
    let replaced = ServerConfig {
        checks: vec![other],
        ..server(2, 5)
    };
    let mut service = running(config(vec![server(2, 5)]));
    service.down(2);
    service.reconfigure(config(vec![replaced]));
    assert_eq!(
        told(&mut service),
        [
            "+2=5",
            "up 2 Reload",
            "Gained quorum 1+0=1 <= 5 for VS V",
            "quorum up Weight"
        ]
    );
    service.reconfigure(config(vec![server_from(2, 5, Verdict::Down)]));
    assert_eq!(told(&mut service)[..2], ["-2", "down 2 Reload"]);
}

#[test]
fn a_reload_can_add_and_remove_the_sorry_server() {
    let dead = || config(vec![server(2, 1)]);
    let mut service = running(dead());
    service.down(2);
    service.reconfigure(with_sorry(dead()));
    assert_eq!(
        told(&mut service),
        ["+99=1", "Adding sorry server 99 to VS V"]
    );
    service.reconfigure(dead());
    assert_eq!(
        told(&mut service),
        ["-99", "Removing sorry server 99 from VS V"]
    );
}

#[test]
fn a_higher_quorum_can_be_lost_by_a_reload() {
    let mut service = running(config(vec![server(2, 1)]));
    service.reconfigure(VirtualServerConfig {
        quorum: 2,
        ..config(vec![server(2, 1)])
    });
    assert_eq!(
        told(&mut service),
        ["Lost quorum 2-0=2 > 1 for VS V", "quorum down Weight"]
    );
}

#[test]
fn shutdown_is_silent_without_omega() {
    let mut service = running(config(vec![server(2, 1)]));
    service.shutdown();
    assert_eq!(
        told(&mut service),
        [
            "-2",
            "Shutting down service 2 from VS V",
            "Removing Virtual Server V"
        ]
    );
    service.shutdown();
    service.reconfigure(config(vec![server(3, 1)]));
    assert_eq!((service.up(2), pool(&service)), (vec![], vec![]));
}

#[test]
fn shutdown_tells_all_with_omega() {
    let servers = vec![server(2, 1), server_from(3, 1, Verdict::Down)];
    let mut service = running(VirtualServerConfig {
        omega: true,
        ..config(servers)
    });
    service.shutdown();
    assert_eq!(
        told(&mut service),
        [
            "-2",
            "Shutting down service 2 from VS V",
            "Shutting down service 3 from VS V",
            "Removing Virtual Server V",
            "down 2 Shutdown",
            "quorum down Shutdown"
        ]
    );
}

#[test]
fn a_restart_is_silent_and_wishes_the_same_pool() {
    let config = with_sorry(config(vec![server(2, 5), server(3, 3)]));
    let mut old = running(config.clone());
    old.down(2);
    old.set_weight(id(3), 4);
    let json = serde_json::to_string(&old.snapshot()).unwrap();
    let mut new = VirtualServer::restored(config, &serde_json::from_str(&json).unwrap());
    assert_eq!(told(&mut new), ["+3=4"]);
    assert_eq!(new.snapshot(), old.snapshot());

    old.down(3);
    let mut new = VirtualServer::restored(old.config().clone(), &old.snapshot());
    assert_eq!(told(&mut new), ["+99=1"]);
}

#[test]
fn a_restart_with_another_configuration_tells_the_difference() {
    let old = running(config(vec![server(2, 5), server(3, 3)]));
    let mut new =
        VirtualServer::restored(config(vec![server(3, 6), server(4, 1)]), &old.snapshot());
    assert_eq!(
        told(&mut new),
        [
            "+3=6",
            "+4=1",
            "Removing service 2 from VS V",
            "Changing weight from 3 to 6 for active service 3 of VS V",
            "down 2 Removed"
        ]
    );
}

#[test]
fn lines_are_keepaliveds() {
    let server = ServerId::new("[2001:db8::2]:53".parse().unwrap(), Protocol::Udp);
    let said = |said| {
        Line {
            virtual_server: "FWM 5".into(),
            said,
        }
        .to_string()
    };
    let table = [
        (
            Said::ActivatingChecker { server },
            "Activating healthchecker for service [2001:db8::2]:udp:53 for VS FWM 5",
        ),
        (
            Said::SuspendingChecker { server },
            "Suspending healthchecker for service [2001:db8::2]:udp:53 for VS FWM 5",
        ),
        (
            Said::Adding { server },
            "Adding service [2001:db8::2]:udp:53 to VS FWM 5",
        ),
        (
            Said::Removing { server },
            "Removing service [2001:db8::2]:udp:53 from VS FWM 5",
        ),
        (
            Said::Enabling { server },
            "Enabling service [2001:db8::2]:udp:53 of VS FWM 5",
        ),
        (
            Said::Disabling { server },
            "Disabling service [2001:db8::2]:udp:53 of VS FWM 5",
        ),
        (
            Said::ShuttingDown { server },
            "Shutting down service [2001:db8::2]:udp:53 from VS FWM 5",
        ),
        (Said::RemovingVirtualServer, "Removing Virtual Server FWM 5"),
    ];
    for (what, text) in table {
        assert_eq!(said(what), text);
    }
}

#[test]
fn bodies_are_keepaliveds() {
    let (quorum, hysteresis, weight) = (2, 1, 5);
    let up = |reason| {
        Notify::QuorumUp {
            reason,
            quorum,
            hysteresis,
            weight,
        }
        .body()
    };
    let down = |reason| {
        Notify::QuorumDown {
            reason,
            quorum,
            hysteresis,
            weight: 0,
        }
        .body()
    };
    let gone = |reason| {
        Notify::ServerDown {
            server: id(2),
            reason,
        }
        .body()
    };
    let table = [
        (
            up(QuorumReason::Start),
            Some("=> Starting with quorum up 2+1=3 <= 5 <="),
        ),
        (
            up(QuorumReason::Weight),
            Some("=> Gained quorum 2+1=3 <= 5 <="),
        ),
        (
            down(QuorumReason::Start),
            Some("=> Starting with quorum down 2-1=1 > 0 <="),
        ),
        (
            down(QuorumReason::Weight),
            Some("=> Lost quorum 2+1=1 <= 0 <="),
        ),
        (down(QuorumReason::Shutdown), Some("=> Shutting down <=")),
        (gone(DownReason::Shutdown), Some("=> Shutting down <=")),
        (gone(DownReason::Removed), Some("=> Removing <=")),
        (gone(DownReason::Check), None),
    ];
    for (body, expected) in table {
        assert_eq!(body.as_deref(), expected);
    }
}

#[derive(Clone, Debug)]
enum Operation {
    Verdict(u8, u64, bool),
    Weight(u8, u32),
    Reload(Shape),
    Restart,
    Shutdown,
}

/// A configuration with few servers, so that operations meet.
#[derive(Clone, Debug)]
struct Shape {
    servers: Vec<(u8, u32, bool, u64, bool)>,
    sorry: Option<bool>,
    quorum: u32,
    hysteresis: u32,
}

fn shape() -> impl Strategy<Value = Shape> {
    let servers = prop::collection::vec(
        (0..4_u8, 0..4_u32, any::<bool>(), 0..3_u64, any::<bool>()),
        0..5,
    );
    (servers, any::<Option<bool>>(), 0..6_u32, 0..3_u32).prop_map(
        |(servers, sorry, quorum, hysteresis)| Shape {
            servers,
            sorry,
            quorum,
            hysteresis,
        },
    )
}

impl Shape {
    fn config(&self) -> VirtualServerConfig {
        let servers = self
            .servers
            .iter()
            .map(
                |&(last, weight, inhibit_on_failure, checks, up)| ServerConfig {
                    inhibit_on_failure,
                    checks: (0..checks)
                        .map(|check| CheckConfig {
                            id: CheckId(check),
                            initial: if up { Verdict::Up } else { Verdict::Down },
                        })
                        .collect(),
                    ..ServerConfig::new(id(last), weight)
                },
            )
            .collect();
        // The sorry server may be one of the real servers, too.
        let sorry = self.sorry.map(|inhibit| SorryConfig {
            inhibit,
            ..SorryConfig::new(id(1))
        });
        VirtualServerConfig {
            sorry_server: sorry,
            quorum: self.quorum,
            hysteresis: self.hysteresis,
            ..config(servers)
        }
    }
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        12 => (0..4_u8, 0..3_u64, any::<bool>()).prop_map(|(s, c, up)| Operation::Verdict(s, c, up)),
        3 => (0..4_u8, 0..4_u32).prop_map(|(s, w)| Operation::Weight(s, w)),
        2 => shape().prop_map(Operation::Reload),
        1 => Just(Operation::Restart),
        1 => Just(Operation::Shutdown),
    ]
}

type Table = BTreeMap<(Role, ServerId), u32>;

/// Performs the pool changes one by one, as a driver would, and insists that each makes sense.
/// Returns the smallest number of members on the way.
fn perform(table: &mut Table, service: &mut VirtualServer) -> Result<usize, TestCaseError> {
    let mut smallest = table.len();
    while let Some(output) = service.poll_output() {
        let Output::Pool(change) = output else {
            continue;
        };
        let done = match change {
            PoolChange::Add {
                server,
                role,
                weight,
            } => table.insert((role, server), weight).is_none(),
            PoolChange::SetWeight {
                server,
                role,
                weight,
            } => table
                .insert((role, server), weight)
                .is_some_and(|old| old != weight),
            PoolChange::Remove { server, role } => table.remove(&(role, server)).is_some(),
        };
        prop_assert!(done, "{change:?} does not fit");
        smallest = smallest.min(table.len());
    }
    Ok(smallest)
}

proptest! {
    #[test]
    fn outputs_add_up_to_the_wished_pool(
        shape in shape(),
        operations in prop::collection::vec(operation(), 0..60),
    ) {
        let mut service = VirtualServer::new(shape.config());
        let mut table = Table::new();
        perform(&mut table, &mut service)?;
        for operation in operations {
            let before = table.len();
            match operation {
                Operation::Verdict(server, check, up) => {
                    let verdict = if up { Verdict::Up } else { Verdict::Down };
                    service.handle_verdict(id(server), CheckId(check), verdict);
                }
                Operation::Weight(server, weight) => service.set_weight(id(server), weight),
                Operation::Reload(shape) => service.reconfigure(shape.config()),
                Operation::Restart => {
                    if service.shut_down {
                        continue;
                    }
                    let old = service.snapshot();
                    service = VirtualServer::restored(service.config().clone(), &old);
                    table.clear();
                    perform(&mut table, &mut service)?;
                    prop_assert_eq!(service.snapshot(), old);
                    continue;
                }
                Operation::Shutdown => service.shutdown(),
            }
            let smallest = perform(&mut table, &mut service)?;
            let wished: Table =
                service.pool().map(|entry| ((entry.role, entry.server), entry.weight)).collect();
            prop_assert_eq!(&table, &wished);
            if before > 0 && !table.is_empty() {
                prop_assert!(smallest > 0, "empty on the way");
            }
            // The thresholds, from the outside.
            let (weight, config) = (service.alive_weight(), service.config());
            let (quorum, hysteresis) = (u64::from(config.quorum), u64::from(config.hysteresis));
            if !service.shut_down {
                if weight > 0 && weight >= quorum + hysteresis {
                    prop_assert!(service.has_quorum());
                }
                if weight == 0 || weight < quorum.saturating_sub(hysteresis) {
                    prop_assert!(!service.has_quorum());
                }
            }
            if service.sorry_is_on() {
                let serving = service.pool().filter(|entry| entry.weight > 0);
                prop_assert!(serving.into_iter().all(|entry| entry.role == Role::Sorry));
            }
        }
    }
}
