//! What the fuzz targets call; the property tests call it, too.
//!
//! Each function takes anything at all and panics when a promise of this crate is broken.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::config::{Authentication, GroupConfig, NamedInstance, Preempt, RouterConfig};
use crate::input::{Input, InterfaceState, Trouble};
use crate::instance::{Output, State};
use crate::router::{Router, RouterOutput};
use crate::time::Time;
use crate::track::{TrackReport, TrackStatus, TrackerConfig};
use crate::types::{AdvertInterval, Family, HardwareAddress, Name, Priority, Version, Vrid};
use crate::wire::ip::{Datagram, Ipv4Repr};
use crate::wire::{AdvertisedPriority, ChecksumRule, ah, garp, v2, v3};
use crate::{Instance, InstanceConfig};

const OURS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const THEIRS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

/// No packet makes a view, a parser or an instance panic; what is understood is written again as it
/// was.
pub fn packets(data: &[u8]) {
    v2_packet(data);
    let ends4 = (IpAddr::V4(THEIRS), IpAddr::V4(GROUP));
    let ends6 = (
        IpAddr::V6(Ipv6Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    );
    v3_packet(data, Family::Ipv4, ends4);
    v3_packet(data, Family::Ipv6, ends6);
    let _ = garp::arp_claim(data);
    let _ = ah::Header::new_checked(data).map(|it| (it.spi(), it.sequence(), it.icv()));
    let _ = ah::verify(data, data.len() / 2, b"secret\0\0");
    let carried = carry(data);
    let v6 = Datagram::ipv6(Ipv6Addr::LOCALHOST, Ipv6Addr::UNSPECIFIED, 255, data);
    for mut instance in listeners() {
        for datagram in [Datagram::ipv4(data), Datagram::ipv4(&carried), v6.clone()] {
            instance.handle_datagram(Time::ZERO, &datagram);
        }
        while instance.poll_output().is_some() {}
        let counted = instance.statistics();
        assert_eq!(counted.received + counted.rejected.total(), 3);
    }
}

fn v2_packet(data: &[u8]) {
    let packet = v2::Packet::new_unchecked(data);
    let _ = (
        packet.auth_data(),
        packet.addresses().count(),
        packet.verify_checksum(),
    );
    let Ok(repr) = v2::Repr::parse(&packet) else {
        return;
    };
    let mut written = v2::Packet::new_unchecked(vec![0xa5; repr.buffer_len()]);
    repr.emit(&mut written);
    assert_eq!(
        Some(&written.into_inner()[..]),
        data.get(..repr.buffer_len())
    );
}

fn v3_packet(data: &[u8], family: Family, (source, destination): (IpAddr, IpAddr)) {
    let packet = v3::Packet::new_unchecked(family, data);
    let _ = (packet.reserved(), packet.addresses().count());
    let rule = packet.verify_checksum(ChecksumRule::Plain, source, destination);
    let Ok(repr) = v3::Repr::parse(&packet, source, destination) else {
        return;
    };
    let mut written = v3::Packet::new_unchecked(family, vec![0xa5; repr.buffer_len()]);
    repr.emit(&mut written, rule.unwrap_or_default(), source, destination);
    if packet.reserved() == 0 {
        assert_eq!(
            Some(&written.into_inner()[..]),
            data.get(..repr.buffer_len())
        );
    }
}

/// The data behind a good IPv4 header.
fn carry(data: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; 20];
    packet.extend(data.iter().take(1000));
    let header = Ipv4Repr {
        source: THEIRS,
        destination: GROUP,
        protocol: 112,
        ttl: 255,
        identification: 1,
    };
    header.emit(&mut packet);
    packet
}

fn config(version: Version, family: Family) -> Option<InstanceConfig> {
    let address = match family {
        Family::Ipv4 => IpAddr::V4(Ipv4Addr::new(10, 0, 0, 100)),
        Family::Ipv6 => IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x64)),
    };
    let vrid = Vrid::try_from(7).ok()?;
    Some(InstanceConfig::new(version, family, vrid, "eth0").with_address(address))
}

fn listeners() -> impl Iterator<Item = Instance> {
    let secret = *b"secret\0\0";
    let v2 = [
        Authentication::None,
        Authentication::Pass(secret),
        Authentication::Ah(secret),
    ];
    let v2 = v2.into_iter().filter_map(|authentication| {
        let config = config(Version::V2, Family::Ipv4)?;
        Some(InstanceConfig {
            authentication,
            ..config
        })
    });
    let v3 = [Family::Ipv4, Family::Ipv6];
    let v3 = v3
        .into_iter()
        .filter_map(|family| config(Version::V3, family));
    v2.chain(v3).filter_map(|config| {
        let mut instance = Instance::new("vr".into(), config, Time::ZERO).ok()?;
        let local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
        let state = InterfaceState::up([OURS.into(), local.into()]);
        instance.handle_interface(Time::ZERO, &state);
        while instance.poll_output().is_some() {}
        Some(instance)
    })
}

/// One thing that happens to a router of two instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What, and to which instance.
    pub kind: u8,
    /// How much of it.
    pub amount: u8,
    /// How many milliseconds later than the one before, squared.
    pub later: u8,
}

impl Operation {
    /// One operation for every three bytes.
    pub fn all_of(data: &[u8]) -> Vec<Self> {
        let (chunks, _) = data.as_chunks::<3>();
        let operations = chunks.iter().map(|&[kind, amount, later]| Self {
            kind,
            amount,
            later,
        });
        operations.collect()
    }

    fn input(self) -> Input<'static> {
        let second = self.kind >= 128;
        let amount = self.amount;
        let interface = Name::from(if second { "eth1" } else { "eth0" });
        let instance = Name::from(if second { "b" } else { "a" });
        let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 100));
        match self.kind % 13 {
            0..=3 => Input::Datagram {
                interface,
                datagram: Datagram::Ipv4 {
                    packet: advertisement(amount, self.kind).into(),
                },
            },
            4 => Input::Interface {
                interface,
                state: if amount < 128 {
                    InterfaceState::up([IpAddr::V4(OURS)])
                } else {
                    InterfaceState::down()
                },
            },
            5 => Input::Track(TrackReport {
                tracker: if second { "must" } else { "may" }.into(),
                status: match amount {
                    0..=99 => TrackStatus::Good,
                    100..=199 => TrackStatus::Bad,
                    200..=220 => TrackStatus::Unknown,
                    _ => TrackStatus::Value(i32::from(amount) - 240),
                },
                detail: String::new(),
            }),
            6 => Input::Trouble {
                instance,
                trouble: Trouble::AddressLost { address, interface },
            },
            7 => Input::Trouble {
                instance,
                trouble: Trouble::AddressNotInstalled {
                    address,
                    interface,
                    detail: String::new(),
                },
            },
            8 => Input::Trouble {
                instance,
                trouble: Trouble::AddressClaimed {
                    address,
                    hardware: HardwareAddress::BROADCAST,
                },
            },
            9 => Input::Announce { instance },
            10 => Input::Configure(routers(amount)),
            11 if amount == 0 => Input::Stop,
            _ => Input::Timeout,
        }
    }
}

fn advertisement(priority: u8, kind: u8) -> Vec<u8> {
    let Some(config) = config(Version::V3, Family::Ipv4) else {
        return Vec::new();
    };
    let repr = v3::Repr {
        family: Family::Ipv4,
        vrid: config.vrid,
        priority: AdvertisedPriority::from(priority),
        interval: AdvertInterval::from_centis(u16::from(kind / 13) * 20 + 1).unwrap_or_default(),
        addresses: config.advertised().collect(),
    };
    let mut packet = v3::Packet::new_unchecked(Family::Ipv4, vec![0; repr.buffer_len()]);
    let source = if kind.is_multiple_of(2) {
        THEIRS
    } else {
        Ipv4Addr::UNSPECIFIED
    };
    repr.emit(
        &mut packet,
        ChecksumRule::Plain,
        source.into(),
        GROUP.into(),
    );
    let mut carried = carry(&packet.into_inner());
    let header = Ipv4Repr {
        source,
        destination: GROUP,
        protocol: 112,
        ttl: 255,
        identification: 1,
    };
    header.emit(&mut carried);
    carried
}

/// Two instances, perhaps in a group, as the bits of `choice` say.
fn routers(choice: u8) -> RouterConfig {
    let bit = |place: u8| choice >> place & 1 == 1;
    let instance = |name: &str, interface: &str| {
        let mut config = config(Version::V3, Family::Ipv4)?;
        config.interface = Some(interface.into());
        for entry in &mut config.addresses {
            entry.interface = interface.into();
        }
        config.preempt = match (bit(1), bit(2)) {
            (true, _) => Preempt::AtOnce,
            (_, true) => Preempt::After(Duration::from_secs(2)),
            _ => Preempt::Never,
        };
        config.priority = Priority::try_from(if bit(3) { 200 } else { 100 }).ok()?;
        if bit(4) {
            config.advert_interval = AdvertInterval::from_centis(30).ok()?;
        }
        if bit(5) && name == "a" {
            config.vrid = Vrid::try_from(8).ok()?;
        }
        if bit(6) {
            config.addresses.clear();
        }
        let tracker = |name: &str, weight: Option<i16>| TrackerConfig {
            name: name.into(),
            weight: weight.and_then(|it| it.try_into().ok()),
            reverse: false,
        };
        if bit(7) {
            config.trackers = vec![tracker("must", None), tracker("may", Some(-70))];
        }
        Some(NamedInstance {
            name: name.into(),
            config,
        })
    };
    let members = [("a", "eth0"), ("b", "eth1")];
    let instances = members
        .iter()
        .filter_map(|(name, interface)| instance(name, interface));
    let group = GroupConfig {
        name: "g".into(),
        members: vec!["a".into(), "b".into()],
    };
    RouterConfig {
        instances: instances.collect(),
        groups: if bit(0) { vec![group] } else { Vec::new() },
        pacing: Vec::new(),
    }
}

/// Whatever happens in whatever order: addresses are held when they are announced and by a Master
/// only, changes of state are told in a row, members of a group agree, and there is always an end
/// of outputs and of deadlines.
pub fn operations(operations: &[Operation]) {
    let mut router = Router::new();
    let mut driver = Driver::default();
    let mut now = Time::from_secs(10);
    if router.configure(now, &routers(0b1000_0011)).is_err() {
        return;
    }
    for operation in operations {
        let until = now + Duration::from_millis(u64::from(operation.later).pow(2));
        let mut fired = 0;
        while let Some(at) = router.poll_timeout().filter(|at| *at <= until) {
            now = now.max(at);
            router.handle_timeout(now);
            driver.perform(&mut router);
            fired += 1;
            assert!(fired < 20_000, "deadlines without end");
        }
        now = until;
        let input = operation.input();
        let refused = router.handle(now, &input).is_err();
        assert!(!refused, "every choice is a right configuration");
        driver.perform(&mut router);
    }
}

/// Does what a router says, and looks whether it makes sense.
#[derive(Default)]
struct Driver {
    held: HashSet<(Name, Name, IpAddr)>,
    states: HashMap<Name, State>,
}

impl Driver {
    fn perform(&mut self, router: &mut Router) {
        let mut count = 0;
        while let Some(output) = router.poll_output() {
            if let RouterOutput::Instance { instance, output } = output {
                self.one(&instance, output);
            }
            count += 1;
            assert!(count < 1000, "outputs without end");
        }
        for instance in router.instances() {
            let known = self.states.get(instance.name());
            let known = known.copied().unwrap_or(State::Initialize);
            assert_eq!(known, instance.state(), "a change of state was not told");
        }
        let states: Vec<State> = router.instances().iter().map(Instance::state).collect();
        let started = !states.contains(&State::Initialize);
        if router.groups().count() > 0 && started {
            assert!(
                states.iter().all(|it| Some(it) == states.first()),
                "{states:?}"
            );
        }
    }

    fn one(&mut self, instance: &Name, output: Output) {
        let key = |interface: Name, address: IpAddr| (instance.clone(), interface, address);
        match output {
            Output::InstallAddresses { addresses, .. } => {
                let keys = addresses
                    .into_iter()
                    .map(|it| key(it.interface, it.address));
                self.held.extend(keys);
            }
            Output::RemoveAddresses { addresses } => {
                for it in addresses {
                    self.held.remove(&key(it.interface, it.address));
                }
            }
            Output::Announce { interface, address } => {
                assert!(
                    self.held.contains(&key(interface, address)),
                    "announced, not held"
                );
            }
            Output::StateChanged(transition) => {
                let before = self.states.insert(instance.clone(), transition.to);
                assert_eq!(before.unwrap_or(State::Initialize), transition.from);
                let holds = self.held.iter().any(|(it, ..)| it == instance);
                assert!(
                    !holds || transition.to == State::Master,
                    "held in {}",
                    transition.to
                );
            }
            Output::SendAdvertisement(_) | Output::Event(_) => {}
        }
    }
}
