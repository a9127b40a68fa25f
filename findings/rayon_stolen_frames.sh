#!/usr/bin/env bash
# rayon 1.12.0: the stack of a closure that runs while another one waits for its half of a `join`.
#
# Guess: the frames below a closure are rayon's worker loop and the code that handed the closure in, or its part of the tree of a `par_iter`;
# what called it is a cause of it.
# Reality: a worker that waits for the other half of its `join` runs whatever there is to run, on top of the stack of what waits. Two requests
# share a pool of two threads: `report`, whose second half is taken by the other thread, and `image`, spawned from elsewhere:
#
#     `report` began            backtrace of `image`, functions of the program     thread-local set by `report`, seen in `image`
#     not at all                image                                              none
#     before `image`            image, report                                      report
#
# Why it matters: a CPU profile charges the image to the report, in every caller of it up to the worker's loop, and `report`, which waits,
# has the most time of all. Whatever is kept for the thread (a span that was entered, a label of a profile, a request's number) is that
# of the report in the lines and samples of the image. It happens only if requests overlap, so a profile of one request at a time is
# right. `-focus` on the callee is right, on the caller it is not.
set -euo pipefail
command -v cargo > /dev/null || { echo "rayon_stolen_frames.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p stolen/src
cat > stolen/Cargo.toml <<'TOML'
[package]
name = "stolen"
version = "0.0.0"
edition = "2024"
[dependencies]
rayon = "=1.12.0"
[workspace]
TOML
cat > stolen/src/main.rs <<'RS'
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::sync::mpsc::{Sender, channel};
use std::thread::{scope, sleep};
use std::time::Duration;

thread_local! { static REQUEST: Cell<&'static str> = const { Cell::new("none") } }

#[inline(never)]
fn report() {
    REQUEST.set("report");
    rayon::join(|| sleep(Duration::from_millis(100)), || sleep(Duration::from_millis(600)));
    REQUEST.set("none");
}

#[inline(never)]
fn image(out: &Sender<String>) {
    let stack = Backtrace::force_capture().to_string();
    let functions: Vec<_> = stack.lines().filter_map(|line| line.trim().split_once(": stolen::")).map(|(_, name)| name)
        .filter(|name| !name.contains("closure") && *name != "main").collect();
    out.send(format!("{} request {}", functions.join(" "), REQUEST.get())).unwrap();
}

fn main() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    for with_report in [false, true] {
        let (out, shown) = channel();
        scope(|scope| {
            if with_report {
                scope.spawn(|| pool.install(report));
                sleep(Duration::from_millis(50));
            }
            pool.spawn(move || image(&out));
            println!("report {with_report}: {}", shown.recv().unwrap());
        });
    }
}
RS
cargo run --quiet --manifest-path stolen/Cargo.toml --target-dir target > seen
cat seen
diff seen - <<'TXT' || { echo "changed: a worker that waits runs nothing else" >&2; exit 1; }
report false: image request none
report true: image report request report
TXT
