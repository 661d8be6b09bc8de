//! VRRP: what an advertisement costs on both ends, and a deadline among 500 instances.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::hint::black_box;
use std::net::IpAddr;
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use vrrp_proto::config::{Authentication, NamedInstance};
use vrrp_proto::wire::v2;
use vrrp_proto::{
    Datagram, Family, Instance, InstanceConfig, InterfaceState, Output, Priority, Router,
    RouterConfig, RouterOutput, Time, Version, Vrid,
};

const INSTANCES: u16 = 500;

fn config(number: u16) -> InstanceConfig {
    let [high, low] = number.to_be_bytes();
    let vrid = Vrid::try_from(low.max(1)).expect("not zero");
    let interface = format!("eth{high}");
    InstanceConfig::new(Version::V2, Family::Ipv4, vrid, interface.as_str())
        .with_address(IpAddr::from([10, 1, high, low]))
}

fn started(config: InstanceConfig, address: [u8; 4]) -> Instance {
    let mut instance = Instance::new("vr".into(), config, Time::ZERO).expect("it is right");
    instance.handle_interface(Time::ZERO, &InterfaceState::up([address.into()]));
    instance
}

/// An advertisement of a Master with priority 200.
fn packet(mut config: InstanceConfig) -> Vec<u8> {
    config.priority = Priority::try_from(200).expect("in range");
    let mut master = started(config, [10, 0, 0, 2]);
    loop {
        let now = master.poll_timeout().expect("a started instance waits");
        master.handle_timeout(now);
        while let Some(output) = master.poll_output() {
            if let Output::SendAdvertisement(transmit) = output {
                return transmit.packet;
            }
        }
    }
}

fn router() -> Router {
    let instances = (1..=INSTANCES).map(|number| NamedInstance {
        name: format!("vr{number}").into(),
        config: config(number),
    });
    let config = RouterConfig {
        instances: instances.collect(),
        ..RouterConfig::default()
    };
    let mut router = Router::new();
    router.configure(Time::ZERO, &config).expect("it is right");
    for interface in ["eth0", "eth1"] {
        let state = InterfaceState::up([[10, 0, 0, 1].into()]);
        router.handle_interface(Time::ZERO, &interface.into(), &state);
    }
    router
}

fn bench(criterion: &mut Criterion) {
    let plain = packet(config(1));
    criterion.bench_function("vrrp/parse", |bencher| {
        bencher.iter(|| {
            let packet = v2::Packet::new_unchecked(black_box(&plain[20..]));
            v2::Repr::parse(&packet).expect("a packet of ours")
        });
    });
    let repr = v2::Repr::parse(&v2::Packet::new_unchecked(&plain[20..])).expect("a packet of ours");
    criterion.bench_function("vrrp/emit", |bencher| {
        let mut buffer = vec![0; repr.buffer_len()];
        bencher.iter(|| repr.emit(&mut v2::Packet::new_unchecked(black_box(&mut buffer[..]))));
    });
    for (name, authentication) in [
        ("none", Authentication::None),
        ("pass", Authentication::Pass(*b"s3cret\0\0")),
    ] {
        let config = InstanceConfig {
            authentication,
            ..config(1)
        };
        let packet = packet(config.clone());
        let mut backup = started(config, [10, 0, 0, 1]);
        while backup.poll_output().is_some() {}
        let mut now = Time::ZERO;
        criterion.bench_function(&format!("vrrp/handle_datagram/{name}"), |bencher| {
            bencher.iter(|| {
                now = now + Duration::from_micros(1);
                backup.handle_datagram(now, &Datagram::ipv4(black_box(&packet)));
                backup.poll_output()
            });
        });
    }
    criterion.bench_function(
        "vrrp/router/500 backups hear one advertisement each",
        |bencher| {
            let packets: Vec<(String, Vec<u8>)> = (1..=INSTANCES)
                .map(|number| (format!("eth{}", number >> 8), packet(config(number))))
                .collect();
            let mut router = router();
            let mut now = Time::ZERO;
            bencher.iter(|| {
                now = now + Duration::from_millis(1);
                for (interface, packet) in &packets {
                    router.handle_datagram(now, interface, &Datagram::ipv4(packet));
                }
                while let Some(output) = router.poll_output() {
                    black_box(output);
                }
            });
        },
    );
    criterion.bench_function("vrrp/router/500 masters advertise once", |bencher| {
        bencher.iter_batched_ref(
            || {
                let mut router = router();
                for step in 1..=6 {
                    router.handle_timeout(Time::from_millis(step * 750));
                    while router.poll_output().is_some() {}
                }
                router
            },
            |router| {
                router.handle_timeout(Time::from_secs(6));
                let mut sent = 0;
                while let Some(output) = router.poll_output() {
                    let sends = matches!(
                        output,
                        RouterOutput::Instance {
                            output: Output::SendAdvertisement(_),
                            ..
                        }
                    );
                    sent += usize::from(sends);
                }
                assert_eq!(sent, usize::from(INSTANCES));
            },
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(benches, bench);
criterion_main!(benches);
