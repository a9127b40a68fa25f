#!/usr/bin/env bash
# rustc 1.95.0, release, `debug = 2`: the `poll` of a future that wraps a boxed future, in a backtrace.
#
# Guess: a frame for each poll between the task and its leaf, real or inlined; Rust makes no tail calls unless `become` is written, and full
# debug information has what the optimiser did.
# Reality: a `poll` whose last act is to poll the inner future becomes a jump, and has no frame and no record of it. Two wrappers that
# count their polls and then poll a `Pin<Box<dyn Future>>`; the second looks at the result:
#
#     source (outermost last)                      debug build    release, debug = 2
#     order::leaf                                  shown          shown
#     <Looks as Future>::poll   match inner.poll   shown          shown
#     <Counts as Future>::poll  inner.poll         shown          missing
#
# It is missing at opt-level 1, "s", 2 and 3. Frame pointers do not bring it back. Where the compiler inlines the wrapper
# into its caller it is shown again, as an inlined frame.
#
# Why it matters: thin wrappers that count, limit or label are what tells one middleware from another, and boxed futures are what routers
# and object-safe traits hold. A dump shows the inner future under the outer caller, as if there were no wrapper, and a reader who
# searches stacks or profiles for it finds nothing. Where a wrapper must be seen, its poll needs something to do after the inner one.
set -euo pipefail
command -v cargo > /dev/null || { echo "rustc_tail_call_poll.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
rustc --version

mkdir -p order/src
cat > order/Cargo.toml <<'TOML'
[package]
name = "order"
version = "0.0.0"
edition = "2024"
[profile.release]
debug = 2
[profile.one]
inherits = "release"
opt-level = 1
[profile.two]
inherits = "release"
opt-level = 2
[profile.small]
inherits = "release"
opt-level = "s"
[workspace]
TOML
cat > order/src/main.rs <<'RS'
use std::future::Future;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

type Boxed = Pin<Box<dyn Future<Output = u64>>>;

struct Counts { inner: Boxed, polls: u64 }
impl Future for Counts {
    type Output = u64;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<u64> {
        self.polls += 1;
        self.inner.as_mut().poll(context)
    }
}

struct Looks { inner: Boxed, polls: u64 }
impl Future for Looks {
    type Output = u64;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<u64> {
        self.polls += 1;
        match self.inner.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(value + self.polls),
            Poll::Pending => Poll::Pending,
        }
    }
}

async fn leaf(n: u64) -> u64 {
    println!("{}", std::backtrace::Backtrace::force_capture());
    black_box(n)
}

fn main() {
    let looks: Boxed = Box::pin(Looks { inner: Box::pin(leaf(black_box(1))), polls: 0 });
    let counts: Boxed = black_box(Box::pin(Counts { inner: looks, polls: 0 }));
    let counts = pin!(counts);
    assert!(counts.poll(&mut Context::from_waker(Waker::noop())).is_ready());
}
RS
frames() {
    cargo build --quiet --profile "$1" --manifest-path order/Cargo.toml --target-dir "target$3"
    echo "$1$3:" "$("target$3/$2/order" | sed -nE 's/^ +[0-9]+: .*(leaf|Looks|Counts).*$/\1/p' | paste -sd' ')"
}
{
    frames dev debug ''
    frames one one ''
    frames small small ''
    frames two two ''
    frames release release ''
    RUSTFLAGS='-C force-frame-pointers=yes' frames release release _pointers
} | tee seen
cat > expected <<'TXT'
dev: leaf Looks Counts
one: leaf Looks
small: leaf Looks
two: leaf Looks
release: leaf Looks
release_pointers: leaf Looks
TXT
diff expected seen || { echo "changed" >&2; exit 1; }
