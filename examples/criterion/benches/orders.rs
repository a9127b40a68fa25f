//! `cargo bench -- --profile-time 5` writes `target/criterion/{total,bargains}/profile/cpu.pb.gz`.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use criterion_example::{bargains, total};
use tokio::pprof::criterion::profiler;

fn orders(criterion: &mut Criterion) {
    let prices: Vec<u64> = (0..10_000u64).map(|number| number * number % 997).collect();
    criterion.bench_function("total", |bench| bench.iter(|| total(black_box(&prices))));
    criterion.bench_function("bargains", |bench| {
        bench.iter(|| bargains(black_box(&prices)))
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_profiler(profiler!());
    targets = orders
}
criterion_main!(benches);
