#!/usr/bin/env bash
# redis 1.8.1 (the crate) with tokio 1.54.1, and Redis 7.0 (Debian 12's redis-server): `BLPOP` of a worker that waits for its next job.
#
# Guess: `connection.blpop("jobs", 5.0)` waits up to 5 s and gives a job or `None`. Should it fail with a time-out, nothing was taken from the
# list, so the worker calls it again.
# Reality: the client gives up after its own limit, 500 ms by default, for any command. The server does not know it and goes on waiting for that
# call: the next job is taken from the list and sent as an answer that nothing reads. A worker calls BLPOP with 3 s, and a job comes after
# the error:
#
#     limit of the client                    BLPOP, list empty         a job that comes then     list then    next BLPOP
#     default                                error after 0.5 s         taken by the first call   0            the job is lost
#     `set_response_timeout(None)`           `None` after 3 s          stays                     1            the job
#     the same, `timeout(0.5 s, blpop)`      Elapsed after 0.5 s       taken by the first call   0            the job is lost
#
# The connection is whole, and later commands have their own answers.
#
# Why it matters: a queue of jobs is the commonest use of a blocking command. In a test jobs come quickly; in a quiet hour each job that comes
# after a pause is lost, and the log has a time-out of Redis half a second after the pause began, as if the network were bad. A dump
# has the worker at BLPOP, as it should be. `select!` and `tokio::time::timeout` around the call lose jobs likewise. Use a connection
# of its own for blocking commands, with no limit, and drop it when a call was given up; or BLMOVE, which moves the job to a second list.
set -euo pipefail
for tool in cargo redis-server; do
    command -v $tool > /dev/null || { echo "redis_blocked_pop_loses.sh: needs $tool" >&2; exit 2; }
done
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || { kill "$server"; wait "$server" || true; }; rm -rf "$work"' EXIT
cd "$work"
unset RUSTFLAGS
redis-server --version

mkdir -p jobs/src
cat > jobs/Cargo.toml <<'TOML'
[package]
name = "jobs"
version = "0.0.0"
edition = "2024"
[dependencies]
redis = { version = "=1.8.1", features = ["tokio-comp"] }
tokio = { version = "=1.54.1", features = ["macros", "rt", "time"] }
[workspace]
TOML
cat > jobs/src/main.rs <<'RS'
use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands, AsyncConnectionConfig, Client, RedisResult};
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

type Popped = RedisResult<Option<(String, String)>>;

async fn pop(worker: &mut MultiplexedConnection, seconds: f64) -> Popped {
    worker.blpop("jobs", seconds).await
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let client = Client::open(std::env::args().nth(1).unwrap()).unwrap();
    let unlimited = AsyncConnectionConfig::new().set_response_timeout(None);
    for (name, config, limit) in [
        ("default", AsyncConnectionConfig::new(), None),
        ("no limit", unlimited.clone(), None),
        ("timeout around it", unlimited, Some(Duration::from_millis(500))),
    ] {
        let mut worker = client.get_multiplexed_async_connection_with_config(&config).await.unwrap();
        let mut shop = client.get_multiplexed_async_connection().await.unwrap();
        let begin = Instant::now();
        let first = match limit {
            None => format!("{:?}", pop(&mut worker, 3.0).await.map_err(|error| error.is_timeout())),
            Some(limit) => format!("{:?}", timeout(limit, pop(&mut worker, 3.0)).await.map_err(|_| "elapsed")),
        };
        let took = begin.elapsed().as_secs_f64();
        let _: i64 = shop.rpush("jobs", name).await.unwrap();
        sleep(Duration::from_millis(100)).await;
        let left: i64 = shop.llen("jobs").await.unwrap();
        let pong: String = worker.ping().await.unwrap();
        let next = pop(&mut worker, 0.1).await.unwrap();
        println!("{name}: {first} after {took:.1} s, in the list {left}, {pong}, next {next:?}");
    }
}
RS
cargo build --quiet --manifest-path jobs/Cargo.toml --target-dir target
redis-server --port 0 --unixsocket "$work/socket" --save '' --dir "$work" > log &
server=$!
for _ in $(seq 100); do [ -S socket ] && break; sleep 0.1; done
target/debug/jobs "unix://$work/socket" > seen
cat seen
diff seen - <<'TXT' || { echo "changed: a job that comes after a blocking call was given up" >&2; exit 1; }
default: Err(true) after 0.5 s, in the list 0, PONG, next None
no limit: Ok(None) after 3.0 s, in the list 1, PONG, next Some(("jobs", "no limit"))
timeout around it: Err("elapsed") after 0.5 s, in the list 0, PONG, next None
TXT
