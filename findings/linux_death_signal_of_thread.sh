#!/usr/bin/env bash
# tokio 1.54.1 on Linux 6.18 (seen): a child with PR_SET_PDEATHSIG, which is to end with the service, started in `spawn_blocking`.
#
# Guess: the child gets its signal when the process that started it ends, as the name says: the signal for the death of the parent.
# Reality: the parent is the thread that started it. A thread of the blocking pool ends after 10 s without work, and the child is killed
# then, in the middle of its work, while the service runs on and waits for it. Three children that would sleep for 14 s:
#
#     started in                          ended after    status
#     spawn_blocking                      10 s           signal: 9 (SIGKILL)
#     a std::thread that ends at once     0 s            signal: 9 (SIGKILL)
#     a task (thread of a worker)         14 s           exit status: 0
#
# Why it matters: a service that has helpers (a converter, a shell command, a test's server) sets the signal so that none is left when it is
# killed. Its tests are shorter than 10 s, and under load the thread gets other work within 10 s and lives on; the children die in
# quiet hours, as if the memory killer had done it, but the kernel's log has nothing. Start them from a task or the first thread; a
# worker that hands its core over in `block_in_place` becomes a thread of the blocking pool, too.
set -euo pipefail
command -v cargo > /dev/null || { echo "linux_death_signal_of_thread.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
uname -sr

mkdir -p helper/src
cat > helper/Cargo.toml <<'TOML'
[package]
name = "helper"
version = "0.0.0"
edition = "2024"
[dependencies]
libc = "=0.2.191"
tokio = { version = "=1.54.1", features = ["rt-multi-thread"] }
[workspace]
TOML
cat > helper/src/main.rs <<'RS'
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

fn start() -> Child {
    let mut helper = Command::new("sleep");
    helper.arg("14");
    unsafe {
        helper.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        });
    }
    helper.spawn().unwrap()
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let begin = Instant::now();
    let mut children = runtime.block_on(async {
        [
            ("spawn_blocking", tokio::task::spawn_blocking(start).await.unwrap()),
            ("thread", thread::spawn(start).join().unwrap()),
            ("task", tokio::spawn(async { start() }).await.unwrap()),
        ]
    });
    let mut left = children.len();
    while left > 0 {
        thread::sleep(Duration::from_millis(50));
        for (name, child) in &mut children {
            if !name.is_empty() && let Some(status) = child.try_wait().unwrap() {
                println!("{name} {:.0} s {status}", begin.elapsed().as_secs_f64());
                *name = "";
                left -= 1;
            }
        }
    }
}
RS
cargo run --quiet --manifest-path helper/Cargo.toml --target-dir target > seen
cat seen
sed -E 's/ 1[01] s / 10 s /; s/ 1[45] s / 14 s /; s/ [01] s / 0 s /' seen | diff - <(cat <<'TXT'
thread 0 s signal: 9 (SIGKILL)
spawn_blocking 10 s signal: 9 (SIGKILL)
task 14 s exit status: 0
TXT
) || { echo "changed: the signal comes at another time" >&2; exit 1; }
