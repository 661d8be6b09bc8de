//! The state machines of RFC 3768 and RFC 9568, section 6.4, clause by clause.
//!
//! Each folder of `tests/conformance` is one clause: `description.txt` quotes no RFC but says what
//! it demands, `config.json` is the instance, `input.jsonl` what happens and when. The harness fires
//! the deadlines that it is given, exactly, and compares everything that comes out, and every
//! deadline that follows, with `output.jsonl`. `docs/vrrp-conformance.md` lists clause and folder.
//!
//!     VRRP_CONFORMANCE_REWRITE=1 cargo test -p vrrp-proto --test conformance
//!
//! writes the outputs anew; a person reads the difference.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::{env, fs};

use serde::{Deserialize, Serialize};
use vrrp_proto::wire::ip::Ipv4Repr;
use vrrp_proto::wire::v2::AuthType;
use vrrp_proto::wire::{AdvertisedPriority, ChecksumRule, v2, v3};
use vrrp_proto::{
    AdvertInterval, Datagram, Event, Family, Instance, InstanceConfig, InterfaceState, Name,
    Output, Reason, State, Time, Version,
};

/// One line of `input.jsonl`.
#[derive(Deserialize)]
struct Line {
    at: Time,
    #[serde(flatten)]
    input: Given,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Given {
    /// The interface is up with this address.
    Startup(IpAddr),
    /// Stop.
    Shutdown,
    /// An advertisement for this instance.
    Advertisement {
        from: IpAddr,
        priority: AdvertisedPriority,
        /// In centiseconds; the instance's own if left out.
        interval: Option<u16>,
    },
    /// Nothing; the harness fires deadlines up to here.
    Until,
}

/// One line of `output.jsonl`.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Seen {
    Send {
        priority: AdvertisedPriority,
        interval: AdvertInterval,
        to: IpAddr,
        addresses: usize,
    },
    Install(Vec<IpAddr>),
    Remove(Vec<IpAddr>),
    Announce(IpAddr),
    State {
        from: State,
        to: State,
        reason: Reason,
    },
    Event(Event),
    /// What is armed after all of the above: the deadline of `poll_timeout`, and the protocol's own
    /// timers of which it is the first, or a look at whether the instance is awake.
    Armed(Armed),
}

#[derive(Serialize)]
struct Armed {
    deadline: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    master_down: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    advertisement: Option<Time>,
}

#[derive(Serialize)]
struct Timed {
    at: Time,
    #[serde(flatten)]
    seen: Seen,
}

/// An instance and all that came out of it.
struct Harness {
    instance: Instance,
    seen: Vec<Timed>,
}

impl Harness {
    fn run(config: &InstanceConfig, input: &str) -> Vec<Timed> {
        let instance = Instance::new(Name::from("rfc"), config.clone(), Time::ZERO).unwrap();
        let mut harness = Self {
            instance,
            seen: Vec::new(),
        };
        for line in input.lines() {
            let line: Line = serde_json::from_str(line).expect(line);
            harness.fire_until(line.at);
            harness.give(line.at, &line.input, config);
            harness.drain(line.at);
        }
        harness.seen
    }

    fn fire_until(&mut self, until: Time) {
        while let Some(at) = self.instance.poll_timeout().filter(|at| *at < until) {
            self.instance.handle_timeout(at);
            self.drain(at);
        }
    }

    fn give(&mut self, at: Time, input: &Given, config: &InstanceConfig) {
        match input {
            Given::Startup(address) => {
                let state = InterfaceState::up([*address]);
                self.instance.handle_interface(at, &state);
            }
            Given::Shutdown => self.instance.stop(at, Reason::Stopped),
            Given::Advertisement {
                from,
                priority,
                interval,
            } => {
                let interval = interval.map(|it| AdvertInterval::try_from(it).unwrap());
                let interval = interval.unwrap_or(config.advert_interval);
                let datagram = advertisement(config, *from, *priority, interval);
                self.instance.handle_datagram(at, &datagram);
            }
            Given::Until => self.instance.handle_timeout(at),
        }
    }

    fn drain(&mut self, at: Time) {
        while let Some(output) = self.instance.poll_output() {
            let seen = seen(self.instance.config(), output);
            self.seen.push(Timed { at, seen });
        }
        let timers = self.instance.status().timers;
        let seen = Seen::Armed(Armed {
            deadline: self.instance.poll_timeout(),
            master_down: timers.master_down,
            advertisement: timers.advertisement,
        });
        self.seen.push(Timed { at, seen });
    }
}

fn seen(config: &InstanceConfig, output: Output) -> Seen {
    let list = |addresses: Vec<vrrp_proto::VirtualAddress>| {
        addresses.into_iter().map(|it| it.address).collect()
    };
    match output {
        Output::SendAdvertisement(transmit) => {
            let (priority, interval, addresses) = match config.version {
                Version::V2 => {
                    let packet = v2::Packet::new_checked(transmit.payload()).unwrap();
                    let repr = v2::Repr::parse(&packet).unwrap();
                    (repr.priority, repr.interval, repr.addresses.len())
                }
                Version::V3 => {
                    let packet = v3::Packet::new_checked(config.family, transmit.payload());
                    let (source, to) = (transmit.source, transmit.destination);
                    let repr = v3::Repr::parse(&packet.unwrap(), source, to).unwrap();
                    (repr.priority, repr.interval, repr.addresses.len())
                }
            };
            assert_eq!(transmit.hop_limit, 255);
            Seen::Send {
                priority,
                interval,
                to: transmit.destination,
                addresses,
            }
        }
        Output::InstallAddresses { addresses, .. } => Seen::Install(list(addresses)),
        Output::RemoveAddresses { addresses } => Seen::Remove(list(addresses)),
        Output::Announce { address, .. } => Seen::Announce(address),
        Output::StateChanged(it) => Seen::State {
            from: it.from,
            to: it.to,
            reason: it.reason,
        },
        Output::Event(event) => Seen::Event(event),
    }
}

fn advertisement(
    config: &InstanceConfig,
    from: IpAddr,
    priority: AdvertisedPriority,
    interval: AdvertInterval,
) -> Datagram<'static> {
    let vrid = config.vrid;
    let addresses = || config.advertised();
    let (IpAddr::V4(source), Version::V2) = (from, config.version) else {
        let repr = v3::Repr {
            family: config.family,
            vrid,
            priority,
            interval,
            addresses: addresses().collect(),
        };
        let to = match config.family {
            Family::Ipv4 => "224.0.0.18".parse().unwrap(),
            Family::Ipv6 => "ff02::12".parse().unwrap(),
        };
        let mut packet = v3::Packet::new_unchecked(config.family, vec![0; repr.buffer_len()]);
        repr.emit(&mut packet, ChecksumRule::PseudoHeader, from, to);
        return carry(from, to, packet.into_inner());
    };
    let repr = v2::Repr {
        vrid,
        priority,
        interval,
        auth_type: AuthType::None,
        auth_data: [0; 8],
        addresses: addresses()
            .map(|it| match it {
                IpAddr::V4(address) => address,
                IpAddr::V6(_) => unreachable!("version 2"),
            })
            .collect(),
    };
    let mut packet = v2::Packet::new_unchecked(vec![0; repr.buffer_len()]);
    repr.emit(&mut packet);
    carry(
        source.into(),
        "224.0.0.18".parse().unwrap(),
        packet.into_inner(),
    )
}

fn carry(from: IpAddr, to: IpAddr, payload: Vec<u8>) -> Datagram<'static> {
    match (from, to) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let mut packet = vec![0; 20];
            packet.extend(payload);
            let header = Ipv4Repr {
                source,
                destination,
                protocol: 112,
                ttl: 255,
                identification: 1,
            };
            header.emit(&mut packet);
            Datagram::Ipv4 {
                packet: packet.into(),
            }
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => Datagram::Ipv6 {
            source,
            destination,
            hop_limit: 255,
            payload: payload.into(),
        },
        _ => unreachable!("one family"),
    }
}

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let entries = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    assert!(folders.len() > 20, "the folders are missing");
    folders
}

fn config_of(folder: &Path) -> InstanceConfig {
    let text = fs::read_to_string(folder.join("config.json")).unwrap();
    serde_json::from_str(&text).expect("config.json")
}

#[test]
fn every_clause_holds() {
    let rewrite = env::var_os("VRRP_CONFORMANCE_REWRITE").is_some();
    let mut wrong = String::new();
    for folder in folders() {
        let config = config_of(&folder);
        let input = fs::read_to_string(folder.join("input.jsonl")).unwrap();
        let mut text = String::new();
        for line in Harness::run(&config, &input) {
            writeln!(text, "{}", serde_json::to_string(&line).unwrap()).unwrap();
        }
        let path = folder.join("output.jsonl");
        if rewrite {
            fs::write(&path, &text).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap();
        if expected != text {
            let name = folder.file_name().unwrap().display();
            writeln!(wrong, "{name}:\n--- expected\n{expected}--- got\n{text}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// What must hold over all folders, whatever their expected outputs say.
#[test]
fn addresses_and_announcements_are_in_order_in_every_folder() {
    for folder in folders() {
        let config = config_of(&folder);
        let input = fs::read_to_string(folder.join("input.jsonl")).unwrap();
        let mut held = false;
        let mut state = State::Initialize;
        for line in Harness::run(&config, &input) {
            match line.seen {
                Seen::Install(_) => held = true,
                Seen::Remove(_) => held = false,
                Seen::Announce(address) => {
                    assert!(held, "{}: announced, not held", folder.display());
                    assert_eq!(Family::of(address), config.family);
                }
                Seen::Send { to, .. } => assert_eq!(Family::of(to), config.family),
                Seen::State { from, to, .. } => {
                    assert_eq!(from, state);
                    assert_eq!(held, to == State::Master, "{}", folder.display());
                    state = to;
                }
                Seen::Event(_) | Seen::Armed(_) => {}
            }
        }
    }
}

/// The list in the documentation names every folder, and no other.
#[test]
fn the_documentation_lists_every_folder() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/vrrp-conformance.md");
    let text = fs::read_to_string(path).unwrap();
    let names: Vec<String> = folders()
        .iter()
        .map(|it| it.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    for name in &names {
        assert!(text.contains(&format!("`{name}`")), "{name} is not listed");
    }
    for word in text
        .split('`')
        .filter(|it| it.starts_with("v2-") || it.starts_with("v3-"))
    {
        assert!(names.iter().any(|it| it == word), "{word} does not exist");
    }
}
