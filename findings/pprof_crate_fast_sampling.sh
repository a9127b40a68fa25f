#!/usr/bin/env bash
# pprof 0.15.0 (the crate) on Linux 6.18 (seen), `ProfilerGuard::new(frequency)`: the CPU time in a profile, at higher frequencies.
#
# Guess: the same at each frequency, only finer. The crate counts samples, and a sample is 1/frequency of a second; a frequency that the system
# cannot do is an error, or the profile has the one that was reached.
# Reality: the kernel's timer fires once a tick at most, 100 to 1000 times a second, and the profile is made with the frequency that was asked
# for. A process that computes for 1 s of CPU time, on a kernel with 250 ticks a second; what the profile in protobuf has, for `go tool pprof`:
#
#     frequency    samples    period    CPU time in the profile
#     100          101        10 ms     1.01 s
#     1,000        252        1 ms      0.25 s
#     10,000       252        0.1 ms    0.025 s
#
# Why it matters: "a higher frequency for a short profile" is the usual advice. Flame graphs look right, as all stacks shrink alike. The CPU time
# does not: a service that is at its limit seems to be idle, a comparison of two profiles with different frequencies shows an improvement, and a
# fleet's profiles of machines with other kernels do not add up. Check the sum against the process's CPU time (`/proc/PID/stat`).
set -euo pipefail
command -v cargo > /dev/null || { echo "pprof_crate_fast_sampling.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
uname -sr

mkdir -p fast/src
cat > fast/Cargo.toml <<'TOML'
[package]
name = "fast"
version = "0.0.0"
edition = "2024"
[dependencies]
libc = "=0.2.191"
pprof = { version = "=0.15.0", features = ["prost-codec"] }
[workspace]
TOML
cat > fast/src/main.rs <<'RS'
use pprof::protos::Message;
use std::hint::black_box;
use std::time::Duration;

fn cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes `time`.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn compute() {
    let begin = cpu();
    while cpu() - begin < Duration::from_secs(1) {
        for number in 0..10_000 {
            black_box(number);
        }
    }
}

fn main() {
    for frequency in [100, 1_000, 10_000] {
        let guard = pprof::ProfilerGuard::new(frequency).unwrap();
        compute();
        let profile = guard.report().build().unwrap().pprof().unwrap();
        // As a reader of the file has it.
        let profile = pprof::protos::Profile::decode(&profile.encode_to_vec()[..]).unwrap();
        let text = |index: i64| &profile.string_table[index as usize];
        let at = profile.sample_type.iter().position(|kind| text(kind.ty) == "cpu" && text(kind.unit) == "nanoseconds").unwrap();
        let (samples, time) = profile.sample.iter().fold((0, 0), |sum, sample| (sum.0 + sample.value[1 - at], sum.1 + sample.value[at]));
        println!("frequency {frequency} samples {samples} period_us {} cpu_ms {}", profile.period / 1000, time / 1_000_000);
    }
}
RS
cargo run --quiet --manifest-path fast/Cargo.toml --target-dir target > seen
cat seen
awk '
    # The slowest usual tick is 10 ms, the fastest 1 ms.
    $2 == 100 { good += $8 > 800 && $8 < 1200 }
    $2 == 10000 { good += $6 == 100 && $8 < 150 }
    END { exit good != 2 }
' seen || { echo "changed: the CPU time of a profile at a high frequency" >&2; exit 1; }
