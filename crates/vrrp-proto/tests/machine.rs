//! Every event in every state: what comes out, in order, and what is armed afterwards.
//!
//! The table is `tests/machine/table.txt`, "nothing happens" included.
//! `VRRP_CONFORMANCE_REWRITE=1` writes it anew; a person reads the difference.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use vrrp_proto::wire::{AdvertisedPriority, v3};
use vrrp_proto::{
    AdvertInterval, Datagram, Family, HardwareAddress, Instance, InstanceConfig, InterfaceState,
    Output, Priority, Reason, State, Time, TrackReport, TrackStatus, TrackerConfig, Trouble,
    Version, Vrid,
};

const OURS: [u8; 4] = [10, 0, 0, 5];
const VIRTUAL: [u8; 4] = [10, 0, 0, 100];

/// When each event happens; every state was entered before.
const NOW: Time = Time::from_millis(10_200);

fn config() -> InstanceConfig {
    let vrid = Vrid::try_from(7).unwrap();
    let mut config = InstanceConfig::new(Version::V3, Family::Ipv4, vrid, "eth0")
        .with_address(VIRTUAL.into())
        .with_priority(Priority::try_from(100).unwrap());
    config.announce.repeat = 1;
    config.announce.lower_repeat = 1;
    config.startup_delay = Duration::from_secs(60);
    let tracker = |name: &str, weight: Option<i16>| TrackerConfig {
        name: name.into(),
        weight: weight.map(|it| it.try_into().unwrap()),
        reverse: false,
    };
    config.trackers = vec![
        tracker("script must", None),
        tracker("script may", Some(-30)),
    ];
    config
}

fn up() -> InterfaceState {
    InterfaceState::up([OURS.into()])
}

fn report(tracker: &str, status: TrackStatus) -> TrackReport {
    TrackReport {
        tracker: tracker.into(),
        status,
        detail: "said so".to_owned(),
    }
}

/// An instance that has just come into this state; what led there is drained.
fn instance_in(state: State) -> Instance {
    let mut config = config();
    if state != State::Initialize {
        config.startup_delay = Duration::ZERO;
    }
    let begin = Time::from_millis(match state {
        State::Master => 6_390, // master at 9.999375 s
        _ => 10_000,
    });
    let mut instance = Instance::new("vr".into(), config, begin).unwrap();
    instance.handle_track(begin, &report("script must", TrackStatus::Good));
    let link = if state == State::Fault {
        InterfaceState::down()
    } else {
        up()
    };
    instance.handle_interface(begin, &link);
    while state == State::Master && instance.state() != State::Master {
        let at = instance.poll_timeout().unwrap();
        instance.handle_timeout(at);
    }
    assert_eq!(instance.state(), state);
    while instance.poll_output().is_some() {}
    instance
}

fn advertisement(from: u8, priority: u8, centis: u16) -> Datagram<'static> {
    let config = config();
    let (source, group) = (
        IpAddr::from([10, 0, 0, from]),
        IpAddr::from([224, 0, 0, 18]),
    );
    let repr = v3::Repr {
        family: Family::Ipv4,
        vrid: config.vrid,
        priority: AdvertisedPriority::from(priority),
        interval: AdvertInterval::from_centis(centis).unwrap(),
        addresses: config.advertised().collect(),
    };
    let mut packet = v3::Packet::new_unchecked(Family::Ipv4, vec![0; repr.buffer_len()]);
    repr.emit(&mut packet, config.checksum, source, group);
    let mut bytes = vec![0; 20];
    bytes.extend(packet.into_inner());
    let (IpAddr::V4(source), IpAddr::V4(destination)) = (source, group) else {
        unreachable!("both are IPv4");
    };
    let header = vrrp_proto::wire::ip::Ipv4Repr {
        source,
        destination,
        protocol: 112,
        ttl: 255,
        identification: 1,
    };
    header.emit(&mut bytes);
    Datagram::Ipv4 {
        packet: bytes.into(),
    }
}

type Act = fn(&mut Instance);

/// Every event, by its name in the table.
fn events() -> Vec<(&'static str, Act)> {
    let address = IpAddr::from(VIRTUAL);
    assert_eq!(address.to_string(), "10.0.0.100");
    vec![
        ("advertisement of priority 0", |it| {
            it.handle_datagram(NOW, &advertisement(9, 0, 100));
        }),
        ("advertisement of lower priority", |it| {
            it.handle_datagram(NOW, &advertisement(9, 99, 50));
        }),
        ("advertisement of equal priority, lower address", |it| {
            it.handle_datagram(NOW, &advertisement(4, 100, 50));
        }),
        ("advertisement of equal priority, higher address", |it| {
            it.handle_datagram(NOW, &advertisement(9, 100, 50));
        }),
        ("advertisement of equal priority, our address", |it| {
            it.handle_datagram(NOW, &advertisement(5, 100, 100));
        }),
        ("advertisement of higher priority", |it| {
            it.handle_datagram(NOW, &advertisement(9, 101, 50));
        }),
        ("advertisement of the owner", |it| {
            it.handle_datagram(NOW, &advertisement(9, 255, 100));
        }),
        ("garbage", |it| {
            it.handle_datagram(NOW, &Datagram::ipv4(&[0x45; 9]))
        }),
        ("timer, early", |it| it.handle_timeout(NOW)),
        ("timer, in time", |it| {
            while let Some(at) = it.poll_timeout() {
                let before = it.state();
                it.handle_timeout(at);
                if it.state() != before || before == State::Master {
                    break;
                }
            }
        }),
        ("timer, 5 s late", |it| {
            let at = it.poll_timeout().unwrap_or(NOW);
            it.handle_timeout(at + Duration::from_secs(5));
        }),
        ("interface down", |it| {
            it.handle_interface(NOW, &InterfaceState::down())
        }),
        ("interface up", |it| it.handle_interface(NOW, &up())),
        ("interface without address", |it| {
            it.handle_interface(NOW, &InterfaceState::up(["fe80::5".parse().unwrap()]));
        }),
        ("only virtual addresses left", |it| {
            it.handle_interface(NOW, &InterfaceState::up([VIRTUAL.into()]));
        }),
        ("object without weight bad", |it| {
            it.handle_track(NOW, &report("script must", TrackStatus::Bad));
        }),
        ("object without weight unknown", |it| {
            it.handle_track(NOW, &report("script must", TrackStatus::Unknown));
        }),
        ("object with weight bad", |it| {
            it.handle_track(NOW, &report("script may", TrackStatus::Bad));
        }),
        ("object that is not tracked", |it| {
            it.handle_track(NOW, &report("script other", TrackStatus::Bad));
        }),
        ("address lost", |it| {
            let (address, interface) = (VIRTUAL.into(), "eth0".into());
            it.handle_trouble(NOW, &Trouble::AddressLost { address, interface });
        }),
        ("foreign address lost", |it| {
            let (address, interface) = ([10, 9, 9, 9].into(), "eth0".into());
            it.handle_trouble(NOW, &Trouble::AddressLost { address, interface });
        }),
        ("address not added", |it| {
            it.handle_trouble(NOW, &not_installed());
        }),
        ("address not added three times", |it| {
            for seconds in 0..3 {
                let at = NOW + Duration::from_secs(seconds);
                it.handle_trouble(at, &not_installed());
            }
        }),
        ("address claimed", |it| {
            let trouble = Trouble::AddressClaimed {
                address: VIRTUAL.into(),
                hardware: HardwareAddress([2, 0, 0, 0, 0, 9]),
            };
            it.handle_trouble(NOW, &trouble);
            it.handle_trouble(NOW, &trouble);
        }),
        ("sending failed", |it| {
            let detail = "no buffer".to_owned();
            it.handle_trouble(NOW, &Trouble::SendFailed { detail });
        }),
        ("announce", |it| it.announce(NOW)),
        ("new priority", |it| {
            let config = InstanceConfig {
                priority: Priority::try_from(120).unwrap(),
                ..it.config().clone()
            };
            it.reconfigure(NOW, config).unwrap();
        }),
        ("new interval", |it| {
            let config = InstanceConfig {
                advert_interval: AdvertInterval::from_centis(10).unwrap(),
                ..it.config().clone()
            };
            it.reconfigure(NOW, config).unwrap();
        }),
        ("another address", |it| {
            let mut config = it.config().clone();
            config.addresses.clear();
            it.reconfigure(NOW, config.with_address([10, 0, 0, 101].into()))
                .unwrap();
        }),
        ("another virtual router", |it| {
            let config = InstanceConfig {
                vrid: Vrid::try_from(8).unwrap(),
                ..it.config().clone()
            };
            it.reconfigure(NOW, config).unwrap();
        }),
        ("wrong configuration", |it| {
            let config = InstanceConfig {
                down_adverts: 0,
                ..it.config().clone()
            };
            it.reconfigure(NOW, config).unwrap_err();
        }),
        ("resume", |it| it.resume(NOW, Duration::from_millis(100))),
        ("stop", |it| it.stop(NOW, Reason::Stopped)),
    ]
}

fn not_installed() -> Trouble {
    Trouble::AddressNotInstalled {
        address: VIRTUAL.into(),
        interface: "eth0".into(),
        detail: "permission denied".to_owned(),
    }
}

fn show(output: &Output) -> String {
    match output {
        Output::SendAdvertisement(transmit) => {
            format!("send priority {}", transmit.payload()[2])
        }
        Output::InstallAddresses { addresses, .. } => format!("install {}", list(addresses)),
        Output::RemoveAddresses { addresses } => format!("remove {}", list(addresses)),
        Output::Announce { address, .. } => format!("announce {address}"),
        Output::StateChanged(it) => format!("{} -> {}: {}", it.from, it.to, it.reason),
        Output::Event(event) => serde_json::to_string(event).unwrap(),
    }
}

fn list(addresses: &[vrrp_proto::VirtualAddress]) -> String {
    let addresses = addresses.iter().map(|it| it.address.to_string());
    addresses.collect::<Vec<_>>().join(" ")
}

fn table() -> String {
    let mut table = String::new();
    for state in [
        State::Initialize,
        State::Backup,
        State::Master,
        State::Fault,
    ] {
        for (name, act) in events() {
            let mut instance = instance_in(state);
            act(&mut instance);
            writeln!(table, "{state}, {name}").unwrap();
            while let Some(output) = instance.poll_output() {
                writeln!(table, "    {}", show(&output)).unwrap();
            }
            let timers = instance.status().timers;
            let timers = serde_json::to_value(timers).unwrap();
            let armed = timers.as_object().unwrap().iter();
            let armed = armed.filter(|(_, at)| !at.is_null());
            let mut armed: Vec<String> = armed
                .map(|(name, at)| format!("{name} {}", at.as_str().unwrap()))
                .collect();
            if armed.is_empty() {
                armed.push("nothing armed".to_owned());
            }
            writeln!(table, "    = {}, {}", instance.state(), armed.join(", ")).unwrap();
        }
    }
    table
}

#[test]
fn every_event_in_every_state() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/machine/table.txt");
    let table = table();
    if std::env::var_os("VRRP_CONFORMANCE_REWRITE").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    for (number, (expected, got)) in expected.lines().zip(table.lines()).enumerate() {
        assert_eq!(expected, got, "line {} of {}", number + 1, path.display());
    }
    assert_eq!(expected.lines().count(), table.lines().count());
}
