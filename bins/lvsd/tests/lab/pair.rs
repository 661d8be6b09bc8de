//! Two directors that share a virtual address, and a client that does not stop asking.
//!
//! ```text
//!   client ---- outside ---- router ---- inside ------ first .1, second .2, one of them .10
//!   .2      198.51.100.0/24  .1 | .254  192.0.2.0/24   (DR: web1 .11, web2 .12, both with .10 on lo)
//!                              |
//!                              '------- there -------- (TUN: web1 .11, web2 .12, both with .10 on tunl0)
//!                                .254   203.0.113.0/24
//! ```

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use director::status::VrrpState::{self, Backup, Master};
use lvs_testkit::lab::{Host, Lab, Switch, enter};
use nix::sys::signal::{Signal, kill};

use crate::deployment::Web;
use crate::director::Director;
use crate::realserver::RealServer;

/// A request that takes longer is lost. The second attempt of a connection comes after a second.
const PATIENCE: Duration = Duration::from_secs(4);

/// Two directors, and what is around them.
struct Pair {
    client: Host,
    inside: Switch,
    hosts: [Host; 2],
    directors: [Director; 2],
    configuration: &'static str,
    _webs: [(RealServer, Web); 2],
}

impl Pair {
    fn start(lab: &Lab, mode: &'static str, configuration: &'static str) -> Self {
        let [outside, inside, there] = ["outside", "inside", "there"].map(|name| lab.switch(name));
        let router = lab.host("router");
        router.plug(&outside, "eth0", &["198.51.100.1/24"]);
        router.plug(&inside, "eth1", &["192.0.2.254/24"]);
        router.plug(&there, "eth2", &["203.0.113.254/24"]);
        router.forward_packets();
        let client = lab.host("client");
        client.plug(&outside, "eth0", &["198.51.100.2/24"]);
        client.route("default via 198.51.100.1");
        let webs = [("web1", "11"), ("web2", "12")].map(|(name, number)| {
            let web = lab.host(name);
            let (switch, net) = match mode {
                "dr" => (&inside, "192.0.2"),
                _ => (&there, "203.0.113"),
            };
            web.plug(switch, "eth0", &[&format!("{net}.{number}/24")]);
            web.route(&format!("default via {net}.254"));
            (RealServer::up(&web, mode), Web::start(web, &[]))
        });
        let hosts = [("first", "1"), ("second", "2")].map(|(name, number)| {
            let host = lab.host(name);
            host.plug(&inside, "eth0", &[&format!("192.0.2.{number}/24")]);
            host.route("default via 192.0.2.254");
            host
        });
        let directors = [0, 1].map(|number| {
            let text = text(configuration, number);
            Director::start(&hosts[number], &text, &[])
        });
        let pair = Self {
            client,
            inside,
            hosts,
            directors,
            configuration,
            _webs: webs,
        };
        for director in &pair.directors {
            director.wait_serving();
        }
        pair.wait_for([Master, Backup]);
        pair
    }

    #[track_caller]
    fn wait_for(&self, states: [VrrpState; 2]) {
        for (director, state) in self.directors.iter().zip(states) {
            director.wait(&format!("state {state:?}"), |it| it.has_state(state));
        }
    }

    /// Starts the first director, which has ended, again.
    fn start_first_again(&mut self) {
        let text = text(self.configuration, 0);
        self.directors[0].succeed(&text, &[]);
        self.directors[0].wait_serving();
    }

    /// Stops the first director in good order, and not in the middle of a request: what a request
    /// has told a director, the other one does not know.
    fn stop_first(&mut self, traffic: &Traffic) {
        let [first, second] = &self.directors;
        let held = || self.hosts[0].run(&["ip", "address"]).contains("192.0.2.10");
        {
            let _turn = traffic.turn.lock();
            first.lvsd.signal(Signal::SIGTERM);
            first.wait("the address to be gone", |_| !held());
        }
        second.wait("taking over", |it| it.has_state(Master));
        let status = first.lvsd.wait(lvs_testkit::lab::LIMIT);
        assert_eq!(status.code(), Some(0), "{}", first.lvsd.output());
    }

    /// Runs `event` while the client asks; which of its requests were lost.
    #[track_caller]
    fn lost_during(&mut self, event: impl FnOnce(&mut Self, &Traffic)) -> Vec<String> {
        let client = self.client.clone();
        let traffic = Traffic::default();
        std::thread::scope(|scope| {
            scope.spawn(|| client.enter(|| traffic.ask_until_told()));
            traffic.wait_for_more();
            event(self, &traffic);
            traffic.wait_for_more();
            traffic.is_over.store(true, Ordering::Relaxed);
        });
        traffic.lost.into_inner().unwrap()
    }
}

fn text(configuration: &str, number: usize) -> String {
    let values = [("MASTER", "100"), ("BACKUP", "90")][number];
    configuration
        .replace("state STATE", &format!("state {}", values.0))
        .replace("priority PRIORITY", &format!("priority {}", values.1))
}

/// One request after the other.
#[derive(Default)]
struct Traffic {
    /// Held during a request.
    turn: Mutex<()>,
    is_over: AtomicBool,
    answers: Mutex<usize>,
    lost: Mutex<Vec<String>>,
}

impl Traffic {
    fn ask_until_told(&self) {
        while !self.is_over.load(Ordering::Relaxed) {
            let turn = self.turn.lock();
            match ask() {
                Ok(()) => *self.answers.lock().unwrap() += 1,
                Err(error) => self.lost.lock().unwrap().push(error.to_string()),
            }
            drop(turn);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for ten more answers.
    #[track_caller]
    fn wait_for_more(&self) {
        let before = *self.answers.lock().unwrap();
        lvs_testkit::wait_until("answers", lvs_testkit::lab::LIMIT, || {
            (*self.answers.lock().unwrap() >= before + 10).then_some(())
        });
    }
}

fn ask() -> std::io::Result<()> {
    let address = SocketAddr::from(([192, 0, 2, 10], 80));
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.ends_with("web1") || answer.ends_with("web2") {
        true => Ok(()),
        false => Err(std::io::Error::other(answer)),
    }
}

impl Director {
    fn has_state(&self, state: VrrpState) -> bool {
        let status = self.try_status();
        status.is_some_and(|it| it.vrrp.instances.iter().all(|it| it.state == state))
    }

    /// Ends all its processes at one stroke.
    fn cut_power(&self) {
        let children = ["vrrp", "checker"].map(|name| self.child(name));
        // A parent that stands still neither warns nor replaces its children.
        self.lvsd.signal(Signal::SIGSTOP);
        for child in children {
            kill(child, Signal::SIGKILL).expect("our own child");
        }
        self.lvsd.signal(Signal::SIGKILL);
        self.lvsd.wait(lvs_testkit::lab::LIMIT);
    }
}

#[test]
fn a_pair_of_direct_routing_fails_over_under_load() {
    let Some(lab) = enter() else { return };
    let mut pair = Pair::start(&lab, "dr", include_str!("pair/dr.conf"));
    let lost = pair.lost_during(|pair, _| {
        pair.directors[0].cut_power();
        let second = &pair.directors[1];
        second.wait("taking over", |it| it.has_state(Master));
    });
    assert!(lost.len() <= 1, "{lost:?}");
    let lost = pair.lost_during(|pair, _| {
        pair.start_first_again();
        pair.wait_for([Master, Backup]);
    });
    assert!(lost.len() <= 1, "{lost:?}");
    let lost = pair.lost_during(Pair::stop_first);
    assert_eq!(lost, [""; 0]);
    assert!(!pair.hosts[0].run(&["ip", "address"]).contains("192.0.2.10"));
}

#[test]
fn a_pair_of_tunnels_fails_over_under_load() {
    let Some(lab) = enter() else { return };
    let mut pair = Pair::start(&lab, "tun", include_str!("pair/tun.conf"));
    let lost = pair.lost_during(|pair, _| {
        pair.hosts[0].set_cable(&pair.inside, "eth0", false);
        let second = &pair.directors[1];
        second.wait("taking over", |it| it.has_state(Master));
    });
    assert!(lost.len() <= 1, "{lost:?}");
    let lost = pair.lost_during(|pair, _| {
        pair.hosts[0].set_cable(&pair.inside, "eth0", true);
        pair.wait_for([Master, Backup]);
    });
    assert!(lost.len() <= 1, "{lost:?}");
    // Nobody goes by the time of day.
    let clock = |offset: &str| {
        let host = &pair.hosts[0];
        host.run(&["date", "--set", offset]);
        let sent = |director: &Director| {
            let instances = director.status().vrrp.instances;
            instances.iter().map(|it| it.counters.sent).sum::<u64>()
        };
        let before = sent(&pair.directors[0]);
        pair.directors[0].wait("advertisements", |it| sent(it) >= before + 3);
        assert!(pair.directors[1].has_state(Backup) && pair.directors[0].has_state(Master));
    };
    clock("1 hour ago");
    clock("2 hours");
    clock("1 hour ago");
    let counters = |director: &Director| director.status().vrrp.instances[0].counters.clone();
    let became = pair
        .directors
        .each_ref()
        .map(|it| counters(it).became_master);
    assert_eq!(became, [2, 1]);
    assert_eq!(counters(&pair.directors[1]).stalls, 0);
    let lost = pair.lost_during(Pair::stop_first);
    assert_eq!(lost, [""; 0]);
}
