#!/usr/bin/env bash
# tokio 1.54.1 on Linux 6.18 (seen): the file /proc/PID/task/PID/children of a service that starts programs.
#
# Guess: it lists the children of the process; the first thread stands for the process there, as in many files of /proc.
# Reality: a child is in the file of the thread that started it, and in no other, for as long as that thread lives. When it ends, its
# children are in the file of the first thread. A service starts `sleep` from a worker, from a thread that is there still, and from one that
# has ended:
#
#     file                            children in it
#     first thread (PID/task/PID)     that of the ended thread
#     the worker                      its own
#     the other thread                its own
#     PPid of all three               PID
#
# Why it matters: the file is the short way to the tree of a process, and scripts read that of the PID: supervisors that end a service with
# its helpers, collectors that add the memory of children, checks for children that were left. The tree of a program without threads is
# right, that of a tokio service is empty, and a helper shows up when its thread of the blocking pool has ended, 10 s later. Read the
# files of all threads, or PPid.
set -euo pipefail
command -v cargo > /dev/null || { echo "linux_children_of_a_thread.sh: needs cargo" >&2; exit 2; }
[ -e /proc/self/task/$BASHPID/children ] || { echo "linux_children_of_a_thread.sh: needs a kernel with CONFIG_PROC_CHILDREN" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
uname -sr

mkdir -p family/src
cat > family/Cargo.toml <<'TOML'
[package]
name = "family"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=1.54.1", features = ["rt-multi-thread"] }
[workspace]
TOML
cat > family/src/main.rs <<'RS'
use std::fs::{read_dir, read_to_string};
use std::process::{Child, Command, id};
use std::sync::mpsc::channel;
use std::thread;

fn start() -> Child { Command::new("sleep").arg("60").spawn().unwrap() }

fn parent(child: u32) -> u32 {
    let status = read_to_string(format!("/proc/{child}/status")).unwrap();
    status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim().parse().unwrap()
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("worker").build().unwrap();
    let of_worker = runtime.block_on(async { tokio::spawn(async { start() }).await.unwrap() });
    let of_ended = thread::Builder::new().name("ended".into()).spawn(start).unwrap().join().unwrap();
    let (give, given) = channel();
    let (end, ended) = channel::<()>();
    let other = thread::Builder::new().name("other".into()).spawn(move || {
        give.send(start()).unwrap();
        let _ = ended.recv();
    }).unwrap();
    let mut children = [("worker's", of_worker), ("ended's", of_ended), ("other's", given.recv().unwrap())];

    let mut lines = Vec::new();
    for thread in read_dir("/proc/self/task").unwrap() {
        let thread = thread.unwrap().path();
        let listed = read_to_string(thread.join("children")).unwrap();
        let listed: Vec<u32> = listed.split_whitespace().map(|child| child.parse().unwrap()).collect();
        let names: Vec<_> = children.iter().filter(|(_, child)| listed.contains(&child.id())).map(|(name, _)| *name).collect();
        lines.push(format!("{}: {}", read_to_string(thread.join("comm")).unwrap().trim(), names.join(" ")));
    }
    lines.sort();
    println!("{}", lines.join("\n"));
    println!("of the process by PPid: {}", children.iter().filter(|(_, child)| parent(child.id()) == id()).count());
    for (_, child) in &mut children {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    drop(end);
    other.join().unwrap();
}
RS
cargo run --quiet --manifest-path family/Cargo.toml --target-dir target > seen
cat seen
diff seen - <<'TXT' || { echo "changed: the file lists others" >&2; exit 1; }
family: ended's
other: other's
worker: worker's
of the process by PPid: 3
TXT
