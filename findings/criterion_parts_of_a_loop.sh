#!/usr/bin/env bash
# criterion 0.5.1, quanta 0.12.6, rustc 1.95.0, x86_64: a clock and a counter measured alone, and in a loop that does something else, too.
#
# Guess: prices add up. If criterion says 9 ns for a reading of the CPU's counter (`quanta::Clock::raw`) and 5 ns for `fetch_add`, a loop that
# takes 20 ns takes 29 ns with the one and 25 ns with the other. So the clock is the first thing to save in a hot path.
# Reality: alone, each reading waits for the one before, as nothing else is there to do. Beside other work the CPU does both at the same time.
# A loop of dependent shifts hides either whole. A loop of stores hides the clock in part, and `fetch_add` not at all: a locked instruction
# waits until each store before it is done. Nanoseconds, what is added to the loop, of the
# best samples:
#
#     what                          alone     beside shifts (19 ns)     beside stores
#     quanta's raw clock            9.0       0.1                       6
#     AtomicU64::fetch_add          4.7       0.0                       5
#
# Why it matters: an instrumented poll has twenty stores, a clock and some reference counts. By the prices alone the clock is most of it, and two
# counts 4 ns; measured in the polls of a program, the clock is 1 ns and the two counts 10 ns. Take a part out of the whole and measure the
# whole. A budget that is a sum of micro-benchmarks is wrong in both directions.
set -euo pipefail
command -v cargo > /dev/null || { echo "criterion_parts_of_a_loop.sh: needs cargo" >&2; exit 2; }
[ "$(uname -m)" = x86_64 ] || { echo "criterion_parts_of_a_loop.sh: needs x86_64" >&2; exit 2; }
grep -q nonstop_tsc /proc/cpuinfo || { echo "criterion_parts_of_a_loop.sh: needs a counter that quanta uses" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset RUSTFLAGS

mkdir -p parts/src parts/benches
cat > parts/Cargo.toml <<'TOML'
[package]
name = "parts"
version = "0.0.0"
edition = "2024"
[dependencies]
[dev-dependencies]
criterion = { version = "=0.5.1", default-features = false }
quanta = "=0.12.6"
[[bench]]
name = "parts"
harness = false
[workspace]
TOML
: > parts/src/lib.rs
cat > parts/benches/parts.rs <<'RS'
use criterion::{Criterion, black_box, criterion_group, criterion_main};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

#[inline(always)]
fn shifts(x: &mut u64) {
    for _ in 0..20 {
        *x ^= *x << 13;
        *x ^= *x >> 7;
    }
}

#[inline(always)]
fn stores(words: &[AtomicU64; 24], n: u64) {
    for word in black_box(words) {
        word.store(n, Relaxed);
    }
}

fn parts(c: &mut Criterion) {
    let clock = quanta::Clock::new();
    let (count, last, words) = (AtomicU64::new(0), AtomicU64::new(0), std::array::from_fn(|_| AtomicU64::new(0)));
    let add = || count.fetch_add(1, Relaxed);
    let read = || last.store(clock.raw(), Relaxed);
    let (mut x, mut n) = (88_172_645_463_325_252, 0);

    c.bench_function("nothing_clock", |b| b.iter(read));
    c.bench_function("nothing_add", |b| b.iter(add));
    c.bench_function("shifts", |b| b.iter(|| shifts(&mut x)));
    c.bench_function("shifts_clock", |b| b.iter(|| (shifts(&mut x), read())));
    c.bench_function("shifts_add", |b| b.iter(|| (shifts(&mut x), add())));
    c.bench_function("stores", |b| b.iter(|| { n += 1; stores(&words, n) }));
    c.bench_function("stores_clock", |b| b.iter(|| { n += 1; (stores(&words, n), read()) }));
    c.bench_function("stores_add", |b| b.iter(|| { n += 1; (stores(&words, n), add()) }));
    black_box(x);
}

criterion_group! { name = all; config = Criterion::default().sample_size(60).warm_up_time(std::time::Duration::from_millis(500)).measurement_time(std::time::Duration::from_secs(2)).without_plots(); targets = parts }
criterion_main!(all);
RS
export CRITERION_HOME=$work/measured
cargo bench --quiet --manifest-path parts/Cargo.toml --target-dir target > log 2>&1 || { cat log >&2; exit 2; }
python3 - measured <<'PY'
import json, sys
# The best sample of each: other programs run, too.
def best(name):
    sample = json.load(open(f"{sys.argv[1]}/{name}/new/sample.json"))
    return min(time / count for time, count in zip(sample["times"], sample["iters"]))
alone = {part: best(f"nothing_{part}") for part in ("clock", "add")}
added = {(work, part): best(f"{work}_{part}") - best(work) for work in ("shifts", "stores") for part in alone}
for part, price in alone.items():
    print(f"{part}: alone {price:.1f} ns, beside shifts {added['shifts', part]:+.1f} ns, beside stores {added['stores', part]:+.1f} ns")
# Wide bounds: CPUs differ, and other programs run.
if not all(added["shifts", part] < 0.5 * price for part, price in alone.items()):
    sys.exit("changed: the price alone is the price in a loop")
if not added["stores", "add"] > 0.6 * alone["add"]:
    sys.exit("changed: a locked instruction does not wait for stores")
PY
