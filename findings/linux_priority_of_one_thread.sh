#!/usr/bin/env bash
# Linux 6.18 (seen) with util-linux 2.38.1 (Debian 12's) and tokio 1.54.1: `renice -p PID`, `taskset -p` and `ionice -p` of a running service.
#
# Guess: they are set for the process. Their help and their answers say process ID, or pid.
# Reality: Linux has them for each thread, and the number of a process is also that of its first thread. The others are left as they
# were. In a program of tokio the first thread sits in `block_on`, and the workers do the work. Two workers, all three commands for PID:
#
#     thread             nice    processors          class of I/O
#     shop (first)       15      the first one       idle
#     tokio-rt-worker    0       all                 none
#     tokio-rt-worker    0       all                 none
#
#     "PID (process ID) old priority 0, new priority 15", "pid PID's new affinity list: 0", exit code 0
#
# `taskset -a` is for all threads. `renice -g` is for all threads of all processes of a group; else renice takes each number in /proc/PID/task.
#
# Why it matters: an indexer that was given low priority, or kept to some processors during an incident, goes on as before, and `top` and
# `ps` without threads show the nice value that was asked for. A thread has them from the thread that created it: threads of the blocking
# pool that come later have those of a worker, and a thread that `main` creates later has the new ones, so the service is mixed. Before
# the start, as `nice program`, they are for all.
set -euo pipefail
for tool in cargo renice taskset ionice; do
    command -v "$tool" > /dev/null || { echo "linux_priority_of_one_thread.sh: needs $tool" >&2; exit 2; }
done
work=$(mktemp -d)
service=
trap '[ -z "$service" ] || kill "$service" 2> /dev/null || true; rm -rf "$work"' EXIT
cd "$work"
uname -sr
renice --version

mkdir -p shop/src
cat > shop/Cargo.toml <<'TOML'
[package]
name = "shop"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=1.54.1", features = ["rt-multi-thread", "time"] }
[workspace]
TOML
cat > shop/src/main.rs <<'RS'
fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    runtime.block_on(async { tokio::time::sleep(std::time::Duration::from_secs(60)).await });
}
RS
cargo build --quiet --manifest-path shop/Cargo.toml --target-dir target
target/debug/shop &
service=$!
for _ in $(seq 100); do [ "$(cat /proc/$service/task/*/comm | grep -c tokio-rt-worker)" = 2 ] && break; sleep 0.1; done

before=$(awk '/^Cpus_allowed_list/ { print $2 }' /proc/$service/status)
one=${before%%[-,]*}
nice_before=$(awk '{ print $19 }' /proc/$service/stat)
renice -n 15 -p "$service"
taskset -p -c "$one" "$service"
ionice -c 3 -p "$service"
for thread in /proc/"$service"/task/*; do
    number=${thread##*/}
    processors=$(awk '/^Cpus_allowed_list/ { print $2 }' "$thread/status")
    io=$(ionice -p "$number")
    echo "$(cat "$thread/comm") nice $(awk '{ print $19 }' "$thread/stat") processors $processors io ${io%%:*}"
done | tee seen
[ "$before" != "$one" ] || { echo "linux_priority_of_one_thread.sh: needs two processors" >&2; exit 2; }
[ "$nice_before" -lt 15 ] || { echo "linux_priority_of_one_thread.sh: is to start with a nice value below 15" >&2; exit 2; }
diff seen - <<TXT || { echo "changed: all threads were set" >&2; exit 1; }
shop nice 15 processors $one io idle
tokio-rt-worker nice $nice_before processors $before io none
tokio-rt-worker nice $nice_before processors $before io none
TXT
