//! The IPVS codec and the table: what a listing and a reconcile cost without a kernel.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::hint::black_box;
use std::sync::{Arc, Mutex};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ipvs_netlink::{
    Client, Destination, ForwardMethod, InProcess, ServiceKey, ServiceRules, Table, VirtualService,
    plan,
};

const SERVICES: u16 = 20;
const DESTINATIONS: u16 = 100;

fn rules() -> Vec<ServiceRules> {
    let destination = |number: u16| {
        Destination::new(
            ([10, 1, (number >> 8) as u8, number as u8], 80).into(),
            ForwardMethod::Masq,
        )
    };
    let service = |number: u16| ServiceRules {
        service: VirtualService::new(
            ServiceKey::tcp(([10, 0, 0, 1], number).into()),
            "wlc".parse().expect("a short name"),
        ),
        destinations: (0..DESTINATIONS).map(destination).collect(),
    };
    (1..=SERVICES).map(service).collect()
}

fn client() -> Client<InProcess<()>> {
    let table = Arc::new(Mutex::new(Table::new(())));
    Client::connect(InProcess::new(table)).expect("the table is there")
}

fn bench(criterion: &mut Criterion) {
    let rules = rules();
    let commands = plan(&rules, &[]);
    let mut group = criterion.benchmark_group("ipvs_codec");
    group.throughput(Throughput::Elements(commands.len() as u64));

    group.bench_function("plan/from_nothing", |bencher| {
        bencher.iter(|| plan(&rules, &[]))
    });
    group.bench_function("plan/nothing_to_do", |bencher| {
        bencher.iter(|| plan(&rules, &rules))
    });
    group.bench_function("load", |bencher| {
        bencher.iter_batched(
            client,
            |mut client| client.apply(&commands).expect("the table answers"),
            criterion::BatchSize::LargeInput,
        );
    });
    let mut full = client();
    full.apply(&commands).expect("the table answers");
    group.bench_function("list", |bencher| {
        bencher.iter(|| black_box(full.rules().expect("the table answers")));
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
