#!/usr/bin/env bash
# sqlx 0.8.6 with SQLite (bundled) and tokio 1.54.1: a statement that was given up by a time-out.
#
# Guess: SQLite is in the process, so a dropped query is interrupted (`sqlite3_interrupt` is there for it) or undone, and the connection is free
# again. An INSERT that was given up has written nothing.
# Reality: a thread of the connection runs the statement to its end, and commits it. The connection is back in no pool before that. A statement
# that computes for a second, given up after 0.1 s, on a pool of one connection:
#
#     given up after 0.1 s    the next statement         CPU time used          afterwards
#     SELECT count(*) ..      waits for its whole time   that of the whole      num_idle 0, size 1 until then
#     INSERT .. SELECT        waits for its whole time   that of the whole      the row is there
#     `pool.close()`          waits likewise
#
# `fetch_one` of a query with many rows ends it after the first.
#
# Why it matters: the time-out around a slow report frees the handler and neither the core nor the connection. Clients that try again add one such
# statement after the other; a dump has handlers in `acquire` and no query anywhere, and a CPU profile has `sqlx-sqlite-worker` in no
# request. An order that was "timed out" and is sent again is stored twice. Bound the statement itself, by a progress handler, or put
# what must be undone into a transaction, whose COMMIT is a call of its own.
set -euo pipefail
for tool in cargo cc; do
    command -v $tool > /dev/null || { echo "sqlx_timeout_goes_on.sh: needs $tool" >&2; exit 2; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset RUSTFLAGS DATABASE_URL

mkdir -p orders/src
cat > orders/Cargo.toml <<'TOML'
[package]
name = "orders"
version = "0.0.0"
edition = "2024"
[dependencies]
libc = "=0.2.186"
sqlx = { version = "=0.8.6", default-features = false, features = ["runtime-tokio", "sqlite"] }
tokio = { version = "=1.54.1", features = ["rt", "time"] }
[profile.dev]
debug = 0
[workspace]
TOML
cat > orders/src/main.rs <<'RS'
use sqlx::sqlite::{SqlitePool, SqlitePoolOptions};
use sqlx::{query, query_scalar};
use std::time::{Duration, Instant};
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_millis(100);
const COMPUTES: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000000) SELECT count(*) FROM n";

// CPU time of the process.
fn cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) }, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

async fn orders(pool: &SqlitePool) -> i64 {
    query_scalar("SELECT count(*) FROM orders").fetch_one(pool).await.unwrap()
}

async fn run() -> bool {
    let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite:file:shop?mode=rwc").await.unwrap();
    query("CREATE TABLE orders (pieces)").execute(&pool).await.unwrap();
    let used = cpu();
    let _: i64 = query_scalar(COMPUTES).fetch_one(&pool).await.unwrap();
    let whole = cpu() - used;
    println!("a whole statement: {whole:.1?} of CPU time");

    let used = cpu();
    let given_up = timeout(LIMIT, query_scalar::<_, i64>(COMPUTES).fetch_one(&pool)).await.is_err();
    let (idle, size) = (pool.num_idle(), pool.size());
    let begin = Instant::now();
    let none = orders(&pool).await;
    let (waited, used) = (begin.elapsed(), cpu() - used);
    println!("SELECT: given up {given_up}, idle {idle} of {size}, next after {waited:.1?}, CPU time {used:.1?}");
    let select = given_up && idle == 0 && waited > whole / 2 && used > whole / 2 && none == 0;

    let insert = format!("INSERT INTO orders {COMPUTES}");
    let given_up = timeout(LIMIT, query(&insert).execute(&pool)).await.is_err();
    let stored = orders(&pool).await;
    println!("INSERT: given up {given_up}, orders then {stored}");

    let again = timeout(LIMIT, query(&insert).execute(&pool)).await.is_err();
    let begin = Instant::now();
    pool.close().await;
    let closed = begin.elapsed();
    println!("close: given up {again}, after {closed:.1?}");
    select && given_up && stored == 1 && again && closed > whole / 2
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    if !runtime.block_on(run()) {
        println!("changed: a statement that was given up is interrupted, or not written");
        std::process::exit(1);
    }
}
RS
cargo run --quiet --manifest-path orders/Cargo.toml --target-dir target
