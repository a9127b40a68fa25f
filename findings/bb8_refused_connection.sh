#!/usr/bin/env bash
# bb8 0.9.1, r2d2 0.8.10 and deadpool 0.13.1 with tokio 1.54.1: `get()` of a pool whose database refuses connections at once.
#
# Guess: `get` fails at once with the database's error. The time limit of 30 s is for a pool whose connections are all in use.
# Reality: deadpool does so. bb8 and r2d2 try again with growing pauses until the limit, which is 30 s by default, is over. bb8's error then has no
# reason, in neither form: it is that of a pool with all connections in use. The reason goes to the pool's `error_sink`, which drops it
# unless one was given. Each connection is refused at once:
#
#     pool                             after    attempts    error
#     deadpool                         0 s      1           Backend(ConnectionRefused)
#     r2d2                             30 s     dozens      timed out waiting for connection: connection refused
#     bb8                              30 s     7           Timed out in bb8
#     bb8, retry_connection(false)     30 s     1           Timed out in bb8
#
# Why it matters: a database that is down looks like a pool that is too small: `get` is what the tasks wait for in a dump, and "timed out" is what
# the log says, so the pool is made larger. Requests that could fail within a millisecond stay for 30 s, longer than most clients wait,
# and pile up with their memory. Set a `connection_timeout` of a second or two, and an `error_sink` that logs.
set -euo pipefail
command -v cargo > /dev/null || { echo "bb8_refused_connection.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p refused/src
cat > refused/Cargo.toml <<'TOML'
[package]
name = "refused"
version = "0.0.0"
edition = "2024"
[dependencies]
bb8 = "=0.9.1"
deadpool = { version = "=0.13.1", features = ["managed", "rt_tokio_1"] }
r2d2 = "=0.8.10"
tokio = { version = "=1.54.1", features = ["macros", "rt-multi-thread", "time"] }
[workspace]
TOML
cat > refused/src/main.rs <<'RS'
use std::future::Future;
use std::io::{Error, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use deadpool::managed::{Metrics, RecycleResult};

/// A database that is down. Counts attempts to connect.
#[derive(Clone, Default)]
struct Down(Arc<AtomicUsize>);
impl Down {
    fn refuse(&self) -> Result<(), Error> {
        self.0.fetch_add(1, Relaxed);
        Err(ErrorKind::ConnectionRefused.into())
    }
}
impl r2d2::ManageConnection for Down {
    type Connection = ();
    type Error = Error;
    fn connect(&self) -> Result<(), Error> { self.refuse() }
    fn is_valid(&self, _: &mut ()) -> Result<(), Error> { Ok(()) }
    fn has_broken(&self, _: &mut ()) -> bool { false }
}
impl bb8::ManageConnection for Down {
    type Connection = ();
    type Error = Error;
    async fn connect(&self) -> Result<(), Error> { self.refuse() }
    async fn is_valid(&self, _: &mut ()) -> Result<(), Error> { Ok(()) }
    fn has_broken(&self, _: &mut ()) -> bool { false }
}
impl deadpool::managed::Manager for Down {
    type Type = ();
    type Error = Error;
    async fn create(&self) -> Result<(), Error> { self.refuse() }
    async fn recycle(&self, _: &mut (), _: &Metrics) -> RecycleResult<Error> { Ok(()) }
}

/// The name, seconds, attempts and error.
async fn shown<T, E: std::fmt::Display>(pool: &str, down: Down, got: impl Future<Output = Result<T, E>>) {
    let begin = Instant::now();
    let error = got.await.map(|_| ()).unwrap_err();
    println!("{pool}: {} s, {} attempts, {error}", begin.elapsed().as_secs(), down.0.load(Relaxed));
}

#[tokio::main]
async fn main() {
    let [one, two, three, four] = std::array::from_fn(|_| Down::default());
    let deadpool = deadpool::managed::Pool::<Down>::builder(one.clone()).build().unwrap();
    let bb8 = bb8::Pool::builder().build_unchecked(three.clone());
    let no_retry = bb8::Pool::builder().retry_connection(false).build_unchecked(four.clone());
    let r2d2 = {
        let down = two.clone();
        async move {
            tokio::task::spawn_blocking(move || r2d2::Pool::builder().build_unchecked(down).get()).await.unwrap()
        }
    };
    tokio::join!(
        shown("deadpool", one, deadpool.get()),
        shown("r2d2", two, r2d2),
        shown("bb8", three, bb8.get()),
        shown("bb8 without retry", four, no_retry.get()),
    );
}
RS
cargo run --quiet --manifest-path refused/Cargo.toml --target-dir target 2> log | tee seen || { cat log >&2; exit 1; }
# Attempts depend on the machine's speed, and the order of the last three is that of their limits.
sed -E 's/, ([2-9]|[1-9][0-9]+) attempts/, several attempts/; s/ 3[01] s/ 30 s/' seen | sort | diff - <(sort <<'TXT'
deadpool: 0 s, 1 attempts, Error occurred while creating a new object: connection refused
r2d2: 30 s, several attempts, timed out waiting for connection: connection refused
bb8: 30 s, several attempts, Timed out in bb8
bb8 without retry: 30 s, 1 attempts, Timed out in bb8
TXT
) || { echo "changed: a refused connection is told otherwise" >&2; exit 1; }
