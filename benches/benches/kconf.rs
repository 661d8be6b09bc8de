//! Configurations of many services: what a check costs, and that it grows with the file only.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kconf_parser::{MemoryLoader, Options, analyze, render};

/// A configuration of at least this many lines: services with two checked servers each.
fn configuration(lines: usize, mistakes: bool) -> String {
    let mut text = String::from("global_defs {\n    router_id bench\n}\n");
    let (mut written, mut service) = (3, 0_u32);
    while written < lines {
        let (high, low) = (service >> 8 & 0xff, service & 0xff);
        let retry = if mistakes && service % 32 == 0 {
            "rety"
        } else {
            "retry"
        };
        let _ = write!(
            text,
            "# service {service}\nvirtual_server 10.{high}.{low}.1 {port} {{\n    \
             delay_loop 6\n    lb_algo wrr\n    lb_kind NAT\n    protocol TCP\n",
            port = 1 + (service >> 16),
        );
        for server in 2..4 {
            let _ = write!(
                text,
                "    real_server 10.{high}.{low}.{server} 80 {{\n        weight 5\n        \
                 HTTP_GET {{\n            url {{\n                path /health\n                \
                 status_code 200\n            }}\n            connect_timeout 3\n            \
                 {retry} 2\n        }}\n    }}\n"
            );
        }
        text.push_str("}\n");
        written += 29;
        service += 1;
    }
    text
}

fn bench(criterion: &mut Criterion) {
    let path = Path::new("/etc/keepalived/keepalived.conf");
    let mut group = criterion.benchmark_group("kconf");
    group.sample_size(10);
    for lines in [10_000, 100_000, 1_000_000] {
        let text = configuration(lines, false);
        group.throughput(Throughput::Bytes(text.len() as u64));
        let loader = MemoryLoader::default().with(path, text);
        group.bench_function(BenchmarkId::new("analyze", lines), |bencher| {
            bencher.iter(|| black_box(analyze(path, &Options::default(), &loader)));
        });
    }
    let text = configuration(100_000, true);
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
