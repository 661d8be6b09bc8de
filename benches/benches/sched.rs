//! What a choice costs: each scheduler with 10, 100 and 1000 destinations, of weights 1 to 7, some
//! of them loaded.

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use lvs_sched::{DestinationConfig, Flow, Pool, Protocol, SchedulerKind, Settings};

fn pool(kind: SchedulerKind, destinations: u32) -> Pool {
    let mut pool = Pool::new(kind, Settings::default(), Duration::ZERO);
    for number in 0..destinations {
        let address = Ipv4Addr::from(0xc0a8_0000 + number);
        let config = DestinationConfig::with_weight(number % 7 + 1);
        let id = pool
            .add(address.into(), 80, config)
            .expect("each address once");
        pool.restate(id, number % 5, number % 3);
    }
    pool
}

/// The n-th of many flows: clients and targets differ.
fn flow(n: u32) -> Flow {
    Flow {
        src: Ipv4Addr::from(0xcb00_7100 ^ n.wrapping_mul(0x9e37_79b9)).into(),
        src_port: n as u16,
        dst: Ipv4Addr::from(0x0ac8_0000 + n % 64).into(),
        dst_port: 80,
        protocol: Protocol::Tcp,
        now: Duration::from_secs(1),
    }
}

fn pick(c: &mut Criterion) {
    let mut group = c.benchmark_group("pick");
    group
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    for kind in SchedulerKind::ALL {
        for destinations in [10, 100, 1000] {
            let mut pool = pool(kind, destinations);
            let mut n = 0;
            group.bench_function(BenchmarkId::new(kind.name(), destinations), |b| {
                b.iter(|| {
                    n += 1;
                    pool.pick(black_box(&flow(n)))
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, pick);
criterion_main!(benches);
