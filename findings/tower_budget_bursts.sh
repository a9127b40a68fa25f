#!/usr/bin/env bash
# tower 0.5.3, `retry::budget::TpsBudget::default()`: how many retries a second it allows while a server is down.
#
# Guess: ten a second, and a fifth of the requests that succeed. The arguments of the default are a `ttl` of 10 s, `min_per_sec` of 10, "the
# minimum rate of retries allowed", and 0.2; a budget is there to spread retries.
# Reality: the minimum of the whole `ttl` may be used at once, and comes back at once when that is over. A client with 100 requests a second, a
# server that answers each with an error, one retry for a request at most. Retries in each of 20 seconds (the clock is tokio's, paused):
#
#     default                                         100 0 0 0 0 0 0 0 0 0 0  100 0 0 0 0 0 0 0 0
#     TpsBudget::new(Duration::from_secs(1), 10, 0.2) 10 or 0 in each
#
# The rate is ten a second on average, as a burst which is as large as the load itself.
#
# Why it matters: the budget is what keeps retries from doubling the load on a server that has just started or is overloaded. For a second it
# doubles the load of a client with up to 100 requests a second, and all clients that saw the failure begin at the same time. Clients with ten
# requests a second or fewer retry every one of them, as each client has a budget of its own. Metrics with a step of 15 s or more show the
# average. For an even rate give a `ttl` of a second.
set -euo pipefail
command -v cargo > /dev/null || { echo "tower_budget_bursts.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p budget/src
cat > budget/Cargo.toml <<'TOML'
[package]
name = "budget"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=1.54.1", features = ["rt", "test-util", "time"] }
tower = { version = "=0.5.3", features = ["retry", "util"] }
[workspace]
TOML
cat > budget/src/main.rs <<'RS'
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::sleep;
use tower::retry::budget::{Budget, TpsBudget};
use tower::retry::{Policy, Retry};
use tower::{ServiceExt, service_fn};

/// One retry for a request, if the budget has one.
#[derive(Clone)]
struct Once(Arc<TpsBudget>, bool);

impl Policy<(), (), ()> for Once {
    type Future = Ready<()>;
    fn retry(&mut self, _: &mut (), result: &mut Result<(), ()>) -> Option<Ready<()>> {
        if result.is_ok() {
            self.0.deposit();
            return None;
        }
        (!std::mem::replace(&mut self.1, true) && self.0.withdraw()).then(|| ready(()))
    }
    fn clone_request(&mut self, (): &()) -> Option<()> { Some(()) }
}

fn main() {
    for (name, budget) in [("default", TpsBudget::default as fn() -> TpsBudget), ("one_second", || TpsBudget::new(Duration::from_secs(1), 10, 0.2))] {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let budget = Arc::new(budget());
            let calls = AtomicU32::new(0);
            print!("{name}");
            for _ in 0..20 {
                for _ in 0..100 {
                    let server = service_fn(|()| { calls.fetch_add(1, Ordering::Relaxed); ready(Err::<(), ()>(())) });
                    assert!(Retry::new(Once(budget.clone(), false), server).oneshot(()).await.is_err());
                    sleep(Duration::from_millis(10)).await;
                }
                print!(" {}", calls.swap(0, Ordering::Relaxed) - 100);
            }
            println!();
        });
    }
}
RS
cargo run --quiet --manifest-path budget/Cargo.toml --target-dir target > seen
cat seen
awk '
    { sum = most = none = 0; for (field = 2; field <= NF; field++) { sum += $field; if ($field > most) most = $field; none += $field == 0 } }
    $1 == "default" { good += most > 90 && none >= 12 && sum >= 200 && sum <= 400 }
    $1 == "one_second" { good += most <= 20 && none <= 2 }
    END { exit good != 2 }
' seen || { echo "changed: the retries that a budget allows" >&2; exit 1; }
