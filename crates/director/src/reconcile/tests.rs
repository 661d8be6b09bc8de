use std::sync::{Arc, Mutex};

use ipvs_netlink::{
    Client, Dataplane, Destination, ForwardMethod, InProcess, IpvsError, Refusal, Table,
    VirtualService,
};
use proptest::prelude::*;

use super::*;

/// A dataplane that refuses what it is told to refuse.
struct Picky {
    errno: i32,
    services: BTreeSet<ServiceKey>,
    destinations: BTreeSet<DestinationKey>,
    /// Nothing may be deleted.
    clings: bool,
}

impl Default for Picky {
    fn default() -> Self {
        Self {
            errno: libc::EADDRINUSE,
            services: BTreeSet::new(),
            destinations: BTreeSet::new(),
            clings: false,
        }
    }
}

impl Dataplane for Picky {
    fn apply(&mut self, command: &Command) -> Result<(), Refusal> {
        let refused = match command {
            Command::AddService(service) => self.services.contains(&service.key),
            Command::AddDestination { destination, .. } => {
                self.destinations.contains(&destination.key())
            }
            Command::DeleteDestination { .. } => self.clings,
            _ => false,
        };
        if refused {
            return Err(Refusal::new(
                self.errno,
                "address in use; stop the other server",
            ));
        }
        Ok(())
    }
}

/// A reconciler, a table, and the driver between them.
struct Lab {
    reconciler: Reconciler,
    table: Arc<Mutex<Table<Picky>>>,
    client: Client<InProcess<Picky>>,
    now: Instant,
    start: Instant,
    applied: Vec<Vec<Command>>,
    reads: usize,
    audits: usize,
    /// How the dataplane shows its table otherwise than it is.
    distort: fn(&mut [ServiceRules]),
    /// What somebody else does whenever the table is about to be looked at.
    before_audit: Option<Command>,
    is_down: bool,
}

impl Lab {
    fn new() -> Self {
        let table = Arc::new(Mutex::new(Table::new(Picky::default())));
        let client = Client::connect(InProcess::new(Arc::clone(&table))).unwrap();
        let now = Instant::now();
        Self {
            reconciler: Reconciler::new([], Some(AUDIT_INTERVAL)),
            table,
            client,
            now,
            start: now,
            applied: Vec::new(),
            reads: 0,
            audits: 0,
            distort: |_| {},
            before_audit: None,
            is_down: false,
        }
    }

    fn refuse(&self, change: impl FnOnce(&mut Picky)) {
        change(self.table.lock().unwrap().dataplane_mut());
    }

    /// Does all that is due now.
    fn work(&mut self) {
        let mut steps = 0;
        while let Some(action) = self.reconciler.poll_action(self.now) {
            steps += 1;
            assert!(steps < 100, "it never comes to rest");
            match action {
                _ if self.is_down => self.reconciler.handle_lost(self.now, "down".into()),
                Action::Read => {
                    self.reads += 1;
                    let rules = self.client.rules().unwrap();
                    self.reconciler.handle_table(self.now, rules);
                }
                Action::Audit => {
                    self.audits += 1;
                    if let Some(command) = &self.before_audit {
                        let _ = self.client.execute(command);
                    }
                    let mut rules = self.client.rules().unwrap();
                    (self.distort)(&mut rules);
                    self.reconciler.handle_table(self.now, rules);
                }
                Action::Apply(commands) => {
                    let failures = self.client.apply(&commands).unwrap();
                    self.applied.push(commands);
                    self.reconciler.handle_applied(self.now, &failures);
                }
            }
        }
    }

    /// Lets time pass, doing what is due.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.reconciler.poll_timeout().filter(|at| *at <= end) {
            self.now = at;
            self.work();
        }
        self.now = end;
    }

    fn table(&mut self) -> Vec<ServiceRules> {
        let mut rules = self.client.rules().unwrap();
        rules.sort_by_key(|rules| rules.service.key);
        for rules in &mut rules {
            rules.destinations.sort_by_key(Destination::key);
        }
        rules
    }
}

fn key(number: u8) -> ServiceKey {
    ServiceKey::tcp(([10, 0, 0, number], 80).into())
}

fn destination(number: u8, weight: u32) -> Destination {
    Destination {
        weight,
        ..Destination::new(([10, 0, 1, number], 80).into(), ForwardMethod::Masq)
    }
}

fn rules(number: u8, destinations: &[(u8, u32)]) -> ServiceRules {
    let destinations = destinations.iter();
    ServiceRules {
        service: VirtualService::new(key(number), "wrr".parse().unwrap()),
        destinations: destinations
            .map(|(number, weight)| destination(*number, *weight))
            .collect(),
    }
}

#[test]
fn nothing_is_done_before_the_dataplane_is_there() {
    let mut lab = Lab::new();
    lab.reconciler.wish(vec![rules(1, &[(1, 1)])]);
    assert_eq!(lab.reconciler.poll_action(lab.now), None);
    assert_eq!(lab.reconciler.poll_timeout(), None);
    lab.reconciler.handle_ready();
    lab.work();
    assert_eq!(lab.table(), [rules(1, &[(1, 1)])]);
    assert!(lab.reconciler.is_settled());
    assert_eq!(lab.reconciler.take_news(), []);
}

#[test]
fn servers_are_added_in_the_order_of_the_configuration() {
    let mut lab = Lab::new();
    lab.reconciler
        .wish(vec![rules(1, &[(3, 1), (1, 1), (2, 1)])]);
    lab.reconciler.handle_ready();
    lab.work();
    let added: Vec<_> = lab.applied[0]
        .iter()
        .filter_map(|command| match command {
            Command::AddDestination { destination, .. } => Some(destination.key()),
            _ => None,
        })
        .collect();
    assert_eq!(added, [3, 1, 2].map(|number| destination(number, 1).key()));
}

#[test]
fn a_table_that_is_as_wished_is_left_alone() {
    let mut lab = Lab::new();
    lab.reconciler.wish(vec![rules(1, &[(1, 5), (2, 0)])]);
    lab.reconciler.handle_ready();
    lab.work();
    // A successor, as after a SIGKILL.
    lab.reconciler = Reconciler::new([key(1)], Some(AUDIT_INTERVAL));
    lab.reconciler.wish(vec![rules(1, &[(1, 5), (2, 0)])]);
    lab.reconciler.handle_ready();
    lab.applied.clear();
    lab.work();
    assert_eq!(lab.applied, Vec::<Vec<Command>>::new());
    assert!(lab.reconciler.is_settled());
}

#[test]
fn services_of_others_are_never_touched_but_those_of_a_predecessor_are() {
    let mut lab = Lab::new();
    for number in [1, 2] {
        lab.client.add_service(&rules(number, &[]).service).unwrap();
    }
    lab.reconciler = Reconciler::new([key(2)], Some(AUDIT_INTERVAL));
    lab.reconciler.wish(vec![rules(3, &[(1, 1)])]);
    lab.reconciler.handle_ready();
    lab.work();
    assert_eq!(lab.table(), [rules(1, &[]), rules(3, &[(1, 1)])]);
    assert_eq!(lab.reconciler.owned().iter().collect::<Vec<_>>(), [&key(3)]);
}

#[test]
fn what_a_predecessor_put_there_and_somebody_took_away_is_ours_no_longer() {
    let mut lab = Lab::new();
    lab.reconciler = Reconciler::new([key(2)], Some(AUDIT_INTERVAL));
    lab.reconciler.handle_ready();
    lab.work();
    assert_eq!(lab.reconciler.owned().len(), 0);
    // So it stays when somebody else adds it.
    lab.client.add_service(&rules(2, &[]).service).unwrap();
    lab.run(AUDIT_INTERVAL);
    lab.reconciler.wish(vec![rules(3, &[])]);
    lab.work();
    assert_eq!(lab.table(), [rules(2, &[]), rules(3, &[])]);
}

#[test]
fn without_an_interval_the_table_is_looked_at_when_asked_for() {
    let mut lab = Lab::new();
    lab.reconciler = Reconciler::new([], None);
    lab.reconciler.wish(vec![rules(1, &[(1, 1)])]);
    lab.reconciler.handle_ready();
    lab.work();
    assert_eq!(lab.reconciler.poll_timeout(), None);
    lab.client.execute(&Command::Flush).unwrap();
    lab.run(AUDIT_INTERVAL * 100);
    assert_eq!(lab.table(), []);
    lab.reconciler.recheck(lab.now);
    lab.work();
    assert_eq!(lab.table(), [rules(1, &[(1, 1)])]);
}

#[test]
fn one_refused_service_does_not_keep_the_others_from_being() {
    let mut lab = Lab::new();
    lab.refuse(|picky| {
        picky.services.insert(key(1));
    });
    lab.reconciler
        .wish(vec![rules(1, &[(1, 1)]), rules(2, &[(1, 1)])]);
    lab.reconciler.handle_ready();
    lab.work();
    assert_eq!(lab.table(), [rules(2, &[(1, 1)])]);
    assert_eq!(
        lab.reconciler.take_news(),
        [News::Refused {
            subject: Subject::Service(key(1)),
            reason: "address in use; stop the other server".into(),
        }]
    );
    assert!(lab.reconciler.refusal(&key(1)).is_some());

    // Tried again within a few seconds, without a word.
    assert_eq!(tries(&mut lab, 5), [1, 3, 5, 7, 9]);
    assert_eq!(lab.reconciler.take_news(), []);
    assert_eq!(lab.reads, 1, "no surprise, nothing to read");

    lab.refuse(|picky| picky.services.clear());
    lab.run(Duration::from_secs(60));
    assert_eq!(lab.table(), [rules(1, &[(1, 1)]), rules(2, &[(1, 1)])]);
    assert_eq!(
        lab.reconciler.take_news(),
        [News::Accepted {
            subject: Subject::Service(key(1))
        }]
    );
    lab.applied.clear();
    lab.run(Duration::from_secs(60));
    assert!(lab.applied.is_empty());
}

/// When what is refused is tried the next times, in seconds since the start.
fn tries(lab: &mut Lab, count: usize) -> Vec<u64> {
    lab.applied.clear();
    let mut tries = Vec::new();
    while tries.len() < count {
        lab.now = lab.reconciler.poll_timeout().unwrap();
        let before = lab.applied.len();
        lab.work();
        if lab.applied.len() > before {
            tries.push((lab.now - lab.start).as_secs());
        }
    }
    tries
}

#[test]
fn what_costs_more_than_listening_is_tried_more_and_more_rarely() {
    let mut lab = Lab::new();
    lab.refuse(|picky| {
        picky.errno = libc::EOPNOTSUPP;
        picky.services.insert(key(1));
    });
    lab.reconciler.wish(vec![rules(1, &[(1, 1)])]);
    lab.reconciler.handle_ready();
    lab.work();
    assert_eq!(tries(&mut lab, 8), [1, 3, 7, 15, 31, 63, 123, 183]);
    // But at once when the operator has reloaded.
    lab.reconciler.recheck(lab.now);
    assert_eq!(tries(&mut lab, 1), [183]);
}

#[test]
fn another_reason_is_told_anew() {
    let mut lab = Lab::new();
    lab.refuse(|picky| {
        picky.services.insert(key(1));
    });
    lab.reconciler.wish(vec![rules(1, &[])]);
    lab.reconciler.handle_ready();
    lab.work();
    let _ = lab.reconciler.take_news();
    let failure = |message: &str| Failure {
        index: 0,
        refused: Refused {
            command: ipvs_netlink::CommandKind::AddService,
            errno: libc::EADDRNOTAVAIL,
            message: Some(message.to_owned()),
        },
    };
    let mut told = Vec::new();
    for message in ["no such address", "no such address", "address in use"] {
        lab.reconciler.recheck(lab.now);
        assert_eq!(lab.reconciler.poll_action(lab.now), Some(Action::Audit));
        lab.reconciler.handle_table(lab.now, Vec::new());
        lab.reconciler.poll_action(lab.now).unwrap();
        lab.reconciler.handle_applied(lab.now, &[failure(message)]);
        told.push(lab.reconciler.take_news().len());
    }
    assert_eq!(told, [1, 0, 1]);
}

#[test]
fn a_refused_destination_leaves_its_service_to_the_others() {
    let mut lab = Lab::new();
    lab.refuse(|picky| {
        picky.destinations.insert(destination(1, 1).key());
    });
    lab.reconciler.wish(vec![rules(1, &[(1, 1), (2, 1)])]);
    lab.reconciler.handle_ready();
    lab.work();
    assert_eq!(lab.table(), [rules(1, &[(2, 1)])]);
    // Changes of the others are not held up.
    lab.reconciler.wish(vec![rules(1, &[(1, 1), (2, 7)])]);
    lab.work();
    assert_eq!(lab.table(), [rules(1, &[(2, 7)])]);
}

#[test]
fn a_destination_does_not_work_because_its_service_is_refused() {
    let mut lab = Lab::new();
    lab.refuse(|picky| {
        picky.destinations.insert(destination(1, 1).key());
    });
    lab.reconciler.wish(vec![rules(1, &[(1, 1)])]);
    lab.reconciler.handle_ready();
    lab.work();
    // The dataplane begins anew, and now refuses the service itself.
    lab.refuse(|picky| {
        picky.services.insert(key(1));
    });
    lab.client.execute(&Command::Flush).unwrap();
    lab.reconciler.handle_ready();
    lab.work();
    let _ = lab.reconciler.take_news();
    lab.run(Duration::from_secs(600));
    assert_eq!(lab.reconciler.take_news(), []);
    // The service works again, the destination still does not.
    lab.refuse(|picky| picky.services.clear());
    lab.run(Duration::from_secs(60));
    assert_eq!(
        lab.reconciler.take_news(),
        [News::Accepted {
            subject: Subject::Service(key(1))
        }]
    );
    assert_eq!(lab.table(), [rules(1, &[])]);
}

#[test]
fn what_was_refused_and_came_about_otherwise_is_accepted() {
    let mut lab = Lab::new();
    lab.refuse(|picky| {
        picky.services.insert(key(1));
    });
    lab.reconciler.wish(vec![rules(1, &[])]);
    lab.reconciler.handle_ready();
    lab.work();
    lab.refuse(|picky| picky.services.clear());
    // By hand.
    lab.client.add_service(&rules(1, &[]).service).unwrap();
    lab.run(Duration::from_secs(1));
    assert_eq!(lab.reconciler.refusal(&key(1)), None);
    assert_eq!(
        lab.reconciler.take_news().pop(),
        Some(News::Accepted {
            subject: Subject::Service(key(1))
        })
    );
}

#[test]
fn a_deletion_that_is_refused_is_told_once_and_tried_without_haste() {
    let mut lab = Lab::new();
    lab.reconciler.wish(vec![rules(1, &[(1, 1), (2, 1)])]);
    lab.reconciler.handle_ready();
    lab.work();
    let _ = lab.reconciler.take_news();
    lab.refuse(|picky| picky.clings = true);
    lab.reconciler.wish(vec![rules(1, &[(2, 1)])]);
    lab.work();
    lab.applied.clear();
    lab.run(Duration::from_secs(10));
    assert_eq!(lab.applied.len(), 20);
    assert_eq!(
        lab.reconciler.take_news(),
        [News::NotRemoved {
            subject: Subject::Destination(key(1), destination(1, 1).key()),
            reason: "address in use; stop the other server".into(),
        }]
    );
    lab.refuse(|picky| picky.clings = false);
    lab.run(Duration::from_secs(1));
    assert_eq!(lab.table(), [rules(1, &[(2, 1)])]);
    assert!(lab.reconciler.is_settled());
}

#[test]
fn what_is_read_from_a_dataplane_that_is_gone_is_read_again() {
    let mut lab = Lab::new();
    lab.reconciler.wish(vec![rules(1, &[(1, 1)])]);
    lab.reconciler.handle_ready();
    lab.work();
    lab.reconciler.handle_ready();
    assert_eq!(lab.reconciler.poll_action(lab.now), Some(Action::Read));
    let old = lab.client.rules().unwrap();
    // It dies after it has answered, and the next one is ready before the answer is looked at.
    lab.client.execute(&Command::Flush).unwrap();
    lab.reconciler.handle_ready();
    lab.reconciler.handle_table(lab.now, old);
    lab.work();
    assert_eq!(lab.table(), [rules(1, &[(1, 1)])]);
    assert!(lab.reconciler.is_settled());
}

#[test]
fn a_lost_dataplane_is_filled_again_when_it_is_back() {
    let mut lab = Lab::new();
    lab.reconciler.wish(vec![rules(1, &[(1, 1)])]);
    lab.reconciler.handle_ready();
    lab.work();
    // It dies with its table; the next command finds out.
    lab.is_down = true;
    lab.reconciler.wish(vec![rules(1, &[(1, 2)])]);
    lab.work();
    lab.run(Duration::from_secs(3));
    assert_eq!(
        lab.reconciler.take_news(),
        [News::Lost {
            reason: "down".into()
        }]
    );
    assert!(!lab.reconciler.is_connected());
    lab.client.execute(&Command::Flush).unwrap();
    lab.is_down = false;
    lab.reconciler.handle_ready();
    lab.work();
    assert_eq!(lab.table(), [rules(1, &[(1, 2)])]);
    assert_eq!(lab.reconciler.take_news(), [News::Found]);
}

/// A table with two services of ours, one of others, and nothing left to tell.
fn settled() -> Lab {
    let mut lab = Lab::new();
    lab.client.add_service(&rules(9, &[]).service).unwrap();
    lab.client
        .add_destination(&key(9), &destination(9, 9))
        .unwrap();
    lab.reconciler
        .wish(vec![rules(1, &[(1, 1), (2, 2)]), rules(2, &[(1, 1)])]);
    lab.reconciler.handle_ready();
    lab.work();
    lab.applied.clear();
    lab
}

fn server(service: u8, number: u8) -> Subject {
    Subject::Destination(key(service), destination(number, 1).key())
}

#[test]
fn what_others_do_to_the_table_is_put_right_within_an_interval() -> Result<(), IpvsError> {
    let mut lab = settled();
    let whole = lab.table();
    type Meddle = fn(&mut Lab) -> Result<(), IpvsError>;
    let cases: [(Meddle, Vec<(Subject, Drift)>); 5] = [
        (
            |lab| lab.client.delete_service(&key(1)),
            vec![(Subject::Service(key(1)), Drift::Missing)],
        ),
        (
            |lab| {
                let server = destination(1, 1).key();
                lab.client.delete_destination(&key(1), &server)
            },
            vec![(server(1, 1), Drift::Missing)],
        ),
        (
            |lab| lab.client.edit_destination(&key(1), &destination(2, 0)),
            vec![(
                server(1, 2),
                Drift::Changed(vec![Difference {
                    what: "weight",
                    found: "0".into(),
                    left: "2".into(),
                }]),
            )],
        ),
        (
            |lab| lab.client.add_destination(&key(2), &destination(7, 1)),
            vec![(server(2, 7), Drift::Foreign)],
        ),
        (
            |lab| {
                let other = VirtualService::new(key(2), "rr".parse().unwrap());
                lab.client.edit_service(&other)
            },
            vec![(
                Subject::Service(key(2)),
                Drift::Changed(vec![Difference {
                    what: "scheduler",
                    found: "rr".into(),
                    left: "wrr".into(),
                }]),
            )],
        ),
    ];
    for (meddle, drifts) in cases {
        meddle(&mut lab)?;
        assert_ne!(lab.table(), whole);
        lab.run(AUDIT_INTERVAL);
        assert_eq!(lab.table(), whole, "after {drifts:?}");
        let news: Vec<News> = drifts
            .into_iter()
            .map(|(subject, drift)| News::Drifted { subject, drift })
            .collect();
        assert_eq!(lab.reconciler.take_news(), news);
    }
    // All at once: those of others are gone for good, which is their affair.
    lab.client.execute(&Command::Flush)?;
    lab.run(AUDIT_INTERVAL);
    assert_eq!(lab.table(), whole[..2]);
    assert_eq!(lab.reads, 1);
    Ok(())
}

#[test]
fn a_reload_looks_at_the_table_at_once_and_puts_right_what_is_wished_now() -> Result<(), IpvsError>
{
    let mut lab = settled();
    lab.client.delete_service(&key(1))?;
    lab.client.delete_service(&key(2))?;
    lab.reconciler.wish(vec![rules(1, &[(1, 7)])]);
    lab.reconciler.recheck(lab.now);
    lab.work();
    assert_eq!(lab.table(), [rules(1, &[(1, 7)]), rules(9, &[(9, 9)])]);
    Ok(())
}

#[test]
fn a_table_that_nobody_touched_costs_no_command_and_no_word() {
    let mut lab = settled();
    lab.run(AUDIT_INTERVAL * 10);
    assert_eq!(lab.audits, 10);
    assert_eq!(lab.applied, Vec::<Vec<Command>>::new());
    assert_eq!(lab.reconciler.take_news(), []);
    assert_eq!(lab.reads, 1);
}

#[test]
fn a_value_that_the_dataplane_shows_otherwise_is_set_once_more_and_then_left() {
    let mut lab = settled();
    lab.distort = |rules| {
        for rules in rules {
            for destination in &mut rules.destinations {
                destination.forward = ForwardMethod::Local;
            }
        }
    };
    lab.run(Duration::from_secs(30));
    assert_eq!(lab.applied.len(), 1);
    let news = lab.reconciler.take_news();
    let told = |wanted: fn(&News) -> bool| news.iter().filter(|news| wanted(news)).count();
    assert_eq!(told(|news| matches!(news, News::Drifted { .. })), 3);
    assert_eq!(told(|news| matches!(news, News::ShownOtherwise { .. })), 3);
    assert_eq!(news.len(), 6);
    // What somebody changes for real is still noticed.
    lab.client
        .edit_destination(&key(1), &destination(1, 5))
        .unwrap();
    lab.run(AUDIT_INTERVAL);
    assert_eq!(lab.table()[0], rules(1, &[(1, 1), (2, 2)]));
}

#[test]
fn whoever_works_against_us_is_answered_once_an_interval() {
    let mut lab = settled();
    lab.before_audit = Some(Command::DeleteService(key(1)));
    lab.run(AUDIT_INTERVAL * 10);
    assert_eq!(lab.applied.len(), 10);
    assert_eq!(lab.audits, 20);
    let news = lab.reconciler.take_news();
    assert_eq!(news.len(), 10);
    lab.before_audit = None;
    lab.run(AUDIT_INTERVAL);
    assert_eq!(lab.table()[0], rules(1, &[(1, 1), (2, 2)]));
}

#[test]
fn a_command_that_finds_something_gone_says_so_and_puts_it_right() -> Result<(), IpvsError> {
    let mut lab = Lab::new();
    lab.reconciler.wish(vec![rules(1, &[(1, 1)])]);
    lab.reconciler.handle_ready();
    lab.work();
    lab.client
        .delete_destination(&key(1), &destination(1, 1).key())?;
    lab.client.add_destination(&key(1), &destination(2, 9))?;
    // The change fails for the first and for the second: the table is read.
    lab.reconciler.wish(vec![rules(1, &[(1, 5), (2, 1)])]);
    lab.work();
    assert_eq!(lab.table(), [rules(1, &[(1, 5), (2, 1)])]);
    assert_eq!(
        lab.reconciler.take_news(),
        [News::Drifted {
            subject: server(1, 1),
            drift: Drift::Missing,
        }]
    );
    Ok(())
}

#[test]
fn a_table_that_is_new_while_the_old_one_is_looked_at_is_read() {
    let mut lab = settled();
    lab.reconciler.recheck(lab.now);
    assert_eq!(lab.reconciler.poll_action(lab.now), Some(Action::Audit));
    lab.reconciler.handle_ready();
    lab.reconciler
        .handle_table(lab.now, lab.client.rules().unwrap());
    assert_eq!(lab.reconciler.poll_action(lab.now), Some(Action::Read));
}

#[derive(Debug, Clone)]
enum Step {
    Wish(Vec<(u8, Vec<(u8, u32)>)>),
    Refuse(u8),
    Allow,
    Down(bool),
    Ready,
    Wait(u64),
    /// Somebody else's command; those that are refused do nothing.
    Meddle(Command),
}

/// What others do to services of ours.
fn meddle() -> impl Strategy<Value = Command> {
    prop_oneof![
        (1u8..4).prop_map(|number| Command::DeleteService(key(number))),
        (1u8..4, 1u8..6, 0u32..3).prop_map(|(number, server, weight)| Command::AddDestination {
            service: key(number),
            destination: destination(server, weight),
        }),
        (1u8..4, 1u8..4, 0u32..3).prop_map(|(number, server, weight)| Command::EditDestination {
            service: key(number),
            destination: destination(server, weight),
        }),
        (1u8..4, 1u8..4).prop_map(|(number, server)| Command::DeleteDestination {
            service: key(number),
            destination: destination(server, 0).key(),
        }),
    ]
}

fn wish() -> impl Strategy<Value = Vec<(u8, Vec<(u8, u32)>)>> {
    let destinations = prop::collection::btree_map(1u8..4, 0u32..3, 0..3);
    prop::collection::btree_map(1u8..4, destinations, 0..4).prop_map(|services| {
        let services = services.into_iter();
        services
            .map(|(key, map)| (key, map.into_iter().collect()))
            .collect()
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => wish().prop_map(Step::Wish),
        1 => (1u8..4).prop_map(Step::Refuse),
        1 => Just(Step::Allow),
        1 => any::<bool>().prop_map(Step::Down),
        1 => Just(Step::Ready),
        2 => (0u64..10).prop_map(Step::Wait),
        2 => meddle().prop_map(Step::Meddle),
    ]
}

proptest! {
    /// Whatever happened on the way, the table ends as it is wished, and what others put there stays.
    #[test]
    fn the_table_becomes_as_wished(steps in prop::collection::vec(step(), 1..30)) {
        let mut lab = Lab::new();
        let foreign = rules(9, &[(9, 9)]);
        lab.client.add_service(&foreign.service).unwrap();
        lab.client.add_destination(&key(9), &foreign.destinations[0]).unwrap();
        let mut wished = Vec::new();
        let is_ready = steps.iter().any(|step| matches!(step, Step::Ready));
        for step in steps {
            match step {
                Step::Wish(services) => {
                    wished = services.iter().map(|(key, map)| rules(*key, map)).collect();
                    lab.reconciler.wish(wished.clone());
                }
                Step::Refuse(number) => lab.refuse(|picky| {
                    picky.services.insert(key(number));
                    picky.destinations.insert(destination(number, 1).key());
                }),
                Step::Allow => lab.refuse(|picky| *picky = Picky::default()),
                Step::Down(down) => lab.is_down = down,
                Step::Ready => lab.reconciler.handle_ready(),
                Step::Meddle(command) => {
                    let _ = lab.client.execute(&command);
                }
                Step::Wait(seconds) => lab.run(Duration::from_secs(seconds)),
            }
            lab.work();
        }
        lab.refuse(|picky| *picky = Picky::default());
        lab.is_down = false;
        // Otherwise it has to find out by itself what has happened.
        if !is_ready {
            lab.reconciler.handle_ready();
            lab.work();
        }
        lab.run(Duration::from_secs(300));
        wished.push(foreign);
        prop_assert_eq!(lab.table(), wished);
        prop_assert!(lab.reconciler.is_settled());
        let next = lab.reconciler.poll_timeout().unwrap();
        prop_assert!(next > lab.now && next <= lab.now + AUDIT_INTERVAL);
    }
}
