#!/usr/bin/env bash
# tracing 0.1.44 with tracing-attributes 0.1.31: the last expression of a plain function decides whether `#[instrument]` is for the call or for
# the future that it returns.
#
# Guess: the function is not async, so the span is of the call that makes the future: it begins with the call, has the code of the
# function's body in it, and is over when the future is returned. For the future itself `#[instrument]` is for async functions and async_trait.
# Reality: the macro looks at the last expression. If that is an async block, bare or in `Box::pin`, or `Box::pin` of a call of an async function
# that is declared inside, the span is the future's: it begins with the first poll, and the code before the last expression is in no span.
# With the same future in any other form the span is the call's, and the future is in none:
#
#     last expression, after some checks                span made by    the checks run in    the future runs in
#     Box::pin(async { .. }), with or without move      first poll      no span              the span
#     async move { .. }                                 first poll      no span              the span
#     Box::pin(inner()), an async fn declared inside    first poll      no span              the span
#     future, made by `let` before                      call            the span             no span
#     return Box::pin(async move { .. });               call            the span             no span
#     if .. { Box::pin(async ..) } else { .. }          call            the span             no span
#     Box::pin(async move { .. }) as Boxed              call            the span             no span
#
# Why it matters: an early return, a `let` or a cast in a `Service::call`, which is of this shape, takes all events of the request out of their span,
# and its duration falls to microseconds. The other way round, a log line of the checks lacks the request's fields. A future that is
# made and polled late, as in a queue, has a span from the poll on. `.instrument(span)` on the future says what is meant.
set -euo pipefail
command -v cargo > /dev/null || { echo "tracing_instrument_last_expression.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p last/src
cat > last/Cargo.toml <<'TOML'
[package]
name = "last"
version = "0.0.0"
edition = "2024"
[dependencies]
tracing = "=0.1.44"
tracing-attributes = "=0.1.31"
tracing-subscriber = { version = "=0.3.23", default-features = false, features = ["registry"] }
[workspace]
TOML
cat > last/src/main.rs <<'RS'
use std::cell::RefCell;
use std::env;
use std::pin::{Pin, pin};
use std::task::{Context, Waker};
use tracing::{Span, Subscriber, instrument, span};
use tracing_subscriber::layer::{self, Layer, SubscriberExt};

type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;

thread_local! { static SEEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) }; }

fn note(what: impl Into<String>) {
    SEEN.with_borrow_mut(|seen| seen.push(what.into()));
}

fn note_span(what: &str) {
    let inside = Span::current().metadata().map_or("no span", |_| "the span");
    note(format!("{what} in {inside},"));
}

fn checks() {
    note_span("checks");
}

async fn work() {
    note_span("future");
}

#[instrument]
fn boxed() -> Boxed { checks(); Box::pin(async move { work().await }) }
#[instrument]
fn boxed_without_move() -> Boxed { checks(); Box::pin(async { work().await }) }
#[instrument]
fn bare() -> impl Future<Output = ()> { checks(); async move { work().await } }
#[instrument]
fn inner() -> Boxed {
    async fn inner() { work().await }
    checks();
    Box::pin(inner())
}
#[instrument]
#[allow(clippy::let_and_return)]
fn bound() -> Boxed { checks(); let future = async move { work().await }; Box::pin(future) }
#[instrument]
#[allow(clippy::needless_return)]
fn returned() -> Boxed { checks(); return Box::pin(async move { work().await }); }
#[instrument]
fn branches() -> Boxed {
    checks();
    if env::args().count() > 9 { Box::pin(async move {}) } else { Box::pin(async move { work().await }) }
}
#[instrument]
fn cast() -> Boxed { checks(); Box::pin(async move { work().await }) as Boxed }
#[instrument]
async fn async_function() { checks(); work().await }

struct Notes;

impl<S: Subscriber> Layer<S> for Notes {
    fn on_new_span(&self, _: &span::Attributes<'_>, _: &span::Id, _: layer::Context<'_, S>) {
        note("begins,");
    }
    fn on_close(&self, _: span::Id, _: layer::Context<'_, S>) {
        note("closes,");
    }
}

fn main() {
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Notes)).unwrap();
    macro_rules! run {
        ($($function:ident)*) => {$({
            note("call:");
            let future = $function();
            note("poll:");
            assert!(pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_ready());
            println!("{}: {}", stringify!($function), SEEN.take().join(" "));
        })*};
    }
    run!(async_function boxed boxed_without_move bare inner bound returned branches cast);
}
RS
cargo run --quiet --manifest-path last/Cargo.toml --target-dir target | tee seen
{
    echo 'async_function: call: poll: begins, checks in the span, future in the span, closes,'
    for form in boxed boxed_without_move bare inner; do
        echo "$form: call: checks in no span, poll: begins, future in the span, closes,"
    done
    for form in bound returned branches cast; do
        echo "$form: call: begins, checks in the span, closes, poll: future in no span,"
    done
} > expected
diff seen expected || { echo "changed: another form of the last expression counts" >&2; exit 1; }
