//! Configurations of many services: what a check costs, and that it grows with the file only.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::hint::black_box;
use std::path::Path;

use benches::configurations::{services, virtual_routers};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kconf_parser::{MemoryLoader, Options, analyze, render};

fn bench(criterion: &mut Criterion) {
    let path = Path::new("/etc/keepalived/keepalived.conf");
    let mut group = criterion.benchmark_group("kconf");
    group.sample_size(10);
    type Make = fn(usize) -> String;
    let makers: [(&str, Make); 2] = [("services", services), ("virtual_routers", virtual_routers)];
    for (name, make) in makers {
        for lines in [10_000, 100_000, 1_000_000] {
            let text = make(lines);
            group.throughput(Throughput::Bytes(text.len() as u64));
            let loader = MemoryLoader::default().with(path, text);
            group.bench_function(BenchmarkId::new(name, lines), |bencher| {
                bencher.iter(|| black_box(analyze(path, &Options::default(), &loader)));
            });
        }
    }
    // Some words are misspelt.
    let mut text = services(100_000);
    for at in (0..text.len()).step_by(20_000) {
        if let Some(found) = text.get(at..).and_then(|rest| rest.find("retry")) {
            text.replace_range(at + found..at + found + 5, "rety");
        }
    }
    let loader = MemoryLoader::default().with(path, text);
    let analysis = analyze(path, &Options::default(), &loader);
    group.throughput(Throughput::Elements(analysis.diagnostics.len() as u64));
    group.bench_function("render", |bencher| {
        bencher.iter(|| black_box(render::human(&analysis, false)));
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
