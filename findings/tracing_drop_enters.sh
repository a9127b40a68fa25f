#!/usr/bin/env bash
# tracing 0.1.44 with tracing-subscriber 0.3.23 and tokio 1.54.1: how often the span of a future is entered.
#
# Guess: once for each poll. The documentation of `instrument` names the drop as well, that of `#[instrument]` does not; but a future that
# has returned Ready has nothing left to drop, and one that was never polled has done nothing.
# Reality: once more for each future, when it is dropped, by the thread that drops it. tokio's own span of a task, `runtime.spawn`, which
# tokio-console is fed by, is one of these:
#
#     future                                          polls    enters
#     async {}.instrument(span), awaited              1        2
#     #[instrument] async fn, three polls             3        4
#     instrumented, dropped before its first poll     0        1
#     a task of tokio, its span `runtime.spawn`       3        4
#     a task that is aborted before its first poll    0        1
#
# Why it matters: polls counted by enters are one too many, which doubles them for tasks of one poll, the shortest and most frequent. The last
# "poll" is the drop of all that the future holds. A time line has a request busy after its answer, a bar of a task that never ran, and one
# on a thread that is no worker; the mean length of polls is that of polls and drops.
set -euo pipefail
command -v cargo > /dev/null || { echo "tracing_drop_enters.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p enters/src
cat > enters/Cargo.toml <<'TOML'
[package]
name = "enters"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=1.54.1", features = ["rt", "tracing"] }
tracing = "=0.1.44"
tracing-subscriber = "=0.3.23"
[workspace]
TOML
cat > enters/src/main.rs <<'RS'
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use tokio::task::yield_now;
use tracing::span::{Attributes, Id};
use tracing::{Instrument, Subscriber, info_span, instrument};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// The span that was made last, and the spans that were entered.
static LAST: Mutex<Option<Id>> = Mutex::new(None);
static ENTERED: Mutex<Vec<Id>> = Mutex::new(Vec::new());
static POLLS: AtomicU32 = AtomicU32::new(0);

struct Spans;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        if ["request", "runtime.spawn"].contains(&attributes.metadata().name()) { *LAST.lock().unwrap() = Some(id.clone()) }
    }
    fn on_enter(&self, id: &Id, _: Context<'_, S>) { ENTERED.lock().unwrap().push(id.clone()) }
}

/// Counts the polls of the future.
async fn counted(future: impl Future) {
    let mut future = pin!(future);
    poll_fn(|context| { POLLS.fetch_add(1, Relaxed); future.as_mut().poll(context) }).await;
}

fn last() -> Id { LAST.lock().unwrap().clone().unwrap() }

fn say(what: &str, span: &Id) {
    let enters = ENTERED.lock().unwrap().drain(..).filter(|id| id == span).count();
    println!("{what}: polls {} enters {enters}", POLLS.swap(0, Relaxed));
}

#[instrument(name = "request")]
async fn three() { counted(async { yield_now().await; yield_now().await }).await }

fn main() {
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Spans)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        counted(async {}).instrument(info_span!("request")).await;
        say("awaited", &last());
        three().await;
        say("three polls", &last());
        drop(counted(async {}).instrument(info_span!("request")));
        say("never polled", &last());
    });
    let task = runtime.spawn(counted(async { yield_now().await; yield_now().await }));
    let span = last();
    runtime.block_on(task).unwrap();
    say("task", &span);
    let task = runtime.spawn(counted(async {}));
    let span = last();
    task.abort();
    assert!(runtime.block_on(task).unwrap_err().is_cancelled());
    say("aborted task", &span);
}
RS
RUSTFLAGS="--cfg tokio_unstable" cargo run --quiet --manifest-path enters/Cargo.toml --target-dir target > seen
cat seen
diff seen - <<'TXT' || { echo "changed: a future that is dropped does not enter its span" >&2; exit 1; }
awaited: polls 1 enters 2
three polls: polls 3 enters 4
never polled: polls 0 enters 1
task: polls 3 enters 4
aborted task: polls 0 enters 1
TXT
