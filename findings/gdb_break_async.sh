#!/usr/bin/env bash
# gdb 13.1 (Debian 12's) with rustc 1.95.0, `-g`: a breakpoint at an async function, by its name.
#
# Guess: `break shop::charge` stops when `charge` runs, once for each call, and a name that a backtrace shows can be given to gdb.
# Reality: the name is that of the function which makes the future and returns. It is reached for a future that is never polled, before
# any of the body. The body has another name, in gdb `{async_fn#0}` below it and in backtraces `{{closure}}`, which gdb does not know; a
# method's is below `{impl#0}`, without its type. There it stops at each poll. Three futures made, two of them awaited, three polls each;
# one of a method, three polls:
#
#     break at                                             debug build       optimised build
#     shop::charge                                         3 stops           no such function
#     shop::charge::{{closure}}                            no such function  no such function
#     shop::charge::{async_fn#0}                           6 stops           stops
#     shop::Store::load                                    1 stop            no such function
#     shop::{impl#0}::load::{async_fn#0}, in quotes        3 stops           stops
#
# Why it matters: the backtrace at the stop is that of the code that made the future, and nothing of the body has happened yet. "Is this
# handler ever run?" is answered with yes for a future that was dropped, and in a release build with "not defined". A count of stops is
# one of futures, or of polls, never one of calls. Take the file and line of a statement between two awaits, which is passed once.
set -euo pipefail
command -v gdb > /dev/null || { echo "gdb_break_async.sh: needs gdb" >&2; exit 2; }
command -v rustc > /dev/null || { echo "gdb_break_async.sh: needs rustc" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat > main.rs <<'RS'
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

async fn two_waits() {
    let mut waits = 2;
    poll_fn(|_| if waits == 0 { Poll::Ready(()) } else { waits -= 1; Poll::Pending }).await
}

async fn charge(order: u64) -> u64 {
    two_waits().await;
    order + 1
}

struct Store;

impl Store {
    async fn load(&self, key: u64) -> u64 {
        two_waits().await;
        key + 1
    }
}

fn main() {
    let (never, later) = (charge(1), charge(2));
    let mut all = pin!(async { charge(3).await + later.await + Store.load(4).await });
    let mut context = Context::from_waker(Waker::noop());
    let mut polls = 1;
    while all.as_mut().poll(&mut context).is_pending() { polls += 1 }
    drop(never);
    println!("{polls}");
}
RS
rustc --version
gdb --version | sed -n 1p
stops() { # PROGRAM PLACE
    gdb -batch -nx -ex "set breakpoint pending off" -ex "break $2" -ex "ignore 1 1000000" -ex run -ex "info breakpoints" "$1" 2>&1 |
        sed -nE 's/^Function .* not defined\.$/none/p; s/.*already hit ([0-9]+) times?.*/\1/p' | sed -n 1p
}
rustc --edition 2024 -g main.rs --crate-name shop -o debug
rustc --edition 2024 -g -O main.rs --crate-name shop -o release
for place in "shop::charge" "'shop::charge::{{closure}}'" "'shop::charge::{async_fn#0}'" "shop::Store::load" "'shop::{impl#0}::load::{async_fn#0}'"; do
    echo "$place $(stops debug "$place") $(gdb -batch -nx -ex "set breakpoint pending off" -ex "break $place" release 2>&1 | grep -c '^Breakpoint 1 at' || true)"
done > seen
cat seen
diff seen - <<'TXT' || { echo "changed: the name of an async function is that of its body" >&2; exit 1; }
shop::charge 3 0
'shop::charge::{{closure}}' none 0
'shop::charge::{async_fn#0}' 6 1
shop::Store::load 1 0
'shop::{impl#0}::load::{async_fn#0}' 3 1
TXT
