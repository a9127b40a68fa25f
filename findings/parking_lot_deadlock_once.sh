#!/usr/bin/env bash
# parking_lot 0.12.5, feature `deadlock_detection`: what `check_deadlock()` returns the second time.
#
# Guess: the threads that are in a deadlock now. It returns a list and takes no cursor; a deadlock does not go away.
# Reality: each deadlock is returned once, to the first call that finds it. After that the list is empty, and the threads are still locked.
# Nor are threads in it that wait behind a deadlock. Two threads that wait for each other's lock, and a third that waits for one of them:
#
#     call        deadlocks    threads    `try_lock()` of one of the locks
#     first       1            2          None
#     second      0                       None
#     third       0                       None
#
# A call that comes from elsewhere (a test's, a page's, a library's own thread) takes it from the one that would have shown it.
#
# Why it matters: a page or a gauge for deadlocks is right at the first look and then says for ever that all is well, also to a health check,
# which passes again 10 s later; an alert with "for 1 minute" never fires. Threads that a deadlock holds up, all requests mostly, are
# not counted. Keep what was found for as long as the process lives.
set -euo pipefail
command -v cargo > /dev/null || { echo "parking_lot_deadlock_once.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p locked/src
cat > locked/Cargo.toml <<'TOML'
[package]
name = "locked"
version = "0.0.0"
edition = "2024"
[dependencies]
parking_lot = { version = "=0.12.5", features = ["deadlock_detection"] }
[workspace]
TOML
cat > locked/src/main.rs <<'RS'
use std::thread::{sleep, spawn};
use std::time::Duration;

use parking_lot::{Mutex, deadlock::check_deadlock};

static STOCK: Mutex<()> = Mutex::new(());
static ORDERS: Mutex<()> = Mutex::new(());

fn main() {
    for (first, second) in [(&STOCK, &ORDERS), (&ORDERS, &STOCK)] {
        spawn(move || {
            let _first = first.lock();
            sleep(Duration::from_millis(200));
            let _second = second.lock();
        });
    }
    sleep(Duration::from_millis(100));
    spawn(|| drop(STOCK.lock()));
    sleep(Duration::from_millis(400));
    for call in 1..=3 {
        let deadlocks = check_deadlock();
        let threads: Vec<_> = deadlocks.iter().map(Vec::len).collect();
        println!("call {call}: {} deadlocks {threads:?}, try_lock {:?}", deadlocks.len(), STOCK.try_lock().map(|_| ()));
        sleep(Duration::from_millis(100));
    }
}
RS
cargo run --quiet --manifest-path locked/Cargo.toml --target-dir target > seen
cat seen
diff seen - <<'TXT' || { echo "changed: a deadlock is returned again" >&2; exit 1; }
call 1: 1 deadlocks [2], try_lock None
call 2: 0 deadlocks [], try_lock None
call 3: 0 deadlocks [], try_lock None
TXT
