#!/usr/bin/env bash
# rustc 1.95.0 with tokio 1.54.1 and rayon 1.12.0 on Linux: the name of a thread that was given none.
#
# Guess: a thread without a name has the program's, as the first one has, or none.
# Reality: the kernel gives a new thread the name of the thread that created it. std sets a name only if one was given, so a thread that a
# worker of tokio creates is a worker of tokio by its name, and so are rayon's threads, which have no names and are created by the first
# thread that uses them. A runtime with two workers, the program is called `shop`:
#
#     threads                                                     /proc/PID/task/TID/comm    thread::current().name()
#     two workers                                                 2 x tokio-rt-worker        tokio-rt-worker
#     std::thread::spawn in a task                                1 x tokio-rt-worker        None
#     rayon's 4 threads, first used in a task                     4 x tokio-rt-worker        None
#     rayon's 4 threads, first used in `main`                     4 x shop                   None
#
# Why it matters: top, gdb, perf, and CPU time by thread name in monitoring have seven workers where there are two, and the time that
# rayon, a database driver or a C library computes is the runtime's. It depends on which request came first after the start, so the
# figures of two equal replicas differ. A tool that finds workers by their names takes all of them. Give names: `thread::Builder::name`,
# `ThreadPoolBuilder::thread_name`.
set -euo pipefail
command -v cargo > /dev/null || { echo "linux_inherited_thread_name.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p shop/src
cat > shop/Cargo.toml <<'TOML'
[package]
name = "shop"
version = "0.0.0"
edition = "2024"
[dependencies]
rayon = "=1.12.0"
tokio = { version = "=1.54.1", features = ["rt-multi-thread"] }
[workspace]
TOML
cat > shop/src/main.rs <<'RS'
use std::fs::{read_dir, read_to_string};
use std::thread;
use std::time::Duration;

/// How many threads of the process have the name by which the kernel knows this one, and what std says.
fn named(what: &str) {
    let own = read_to_string("/proc/thread-self/comm").unwrap();
    let same = read_dir("/proc/self/task").unwrap().filter(|task| {
        read_to_string(task.as_ref().unwrap().path().join("comm")).is_ok_and(|name| name == own)
    });
    println!("{what}: {} x {}, {:?}", same.count(), own.trim(), thread::current().name());
}

fn main() {
    unsafe { std::env::set_var("RAYON_NUM_THREADS", "4") };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let first_in_main = std::env::args().nth(1).is_some();
    if first_in_main {
        rayon::spawn_broadcast(|_| thread::sleep(Duration::from_millis(1)));
        rayon::join(|| (), || named("rayon_of_main"));
        return;
    }
    runtime.block_on(async {
        tokio::spawn(async {
            // The other worker gives itself its name.
            thread::sleep(Duration::from_millis(100));
            named("worker");
            thread::spawn(|| named("spawned")).join().unwrap();
            rayon::scope(|scope| scope.spawn(|_| named("rayon")));
        }).await.unwrap()
    });
}
RS
cargo build --quiet --manifest-path shop/Cargo.toml --target-dir target
{ target/debug/shop; target/debug/shop main; } > seen
cat seen
diff seen - <<'TXT' || { echo "changed: a thread without a name has not its creator's" >&2; exit 1; }
worker: 2 x tokio-rt-worker, Some("tokio-rt-worker")
spawned: 3 x tokio-rt-worker, None
rayon: 6 x tokio-rt-worker, None
rayon_of_main: 5 x shop, None
TXT
