#!/usr/bin/env bash
# Linux 6.18 (seen): a process that is killed while another one traces a thread of it.
#
# Guess: SIGKILL ends a process whatever its tracer does; the parent's `wait` returns at once, as without a tracer.
# Reality: all threads end at once, but the parent is not told, and can not wait for the process, before the tracer has seen the end of each
# thread that it traces, or has ended itself. One thread is enough, seized and never stopped. Killed by its parent, the tracer sleeping
# for 2 s:
#
#     traced by a sleeping process    parent's `wait` returns after    in between
#     nothing                         less than 0.5 s                  -
#     the first thread                2.0 s                            zombie, its listening port free
#     another thread                  2.0 s                            zombie, its listening port free
#
# `Child::try_wait` says meanwhile that the child runs.
#
# Why it matters: debuggers, strace and dumps trace servers just when these hang, which is when a supervisor kills them. For as long as
# the tool computes, waits for its output to be read, or is itself suspended, the supervisor takes the server for one that SIGKILL
# does not end, and does not start the next. A tool should trace for no longer than it copies, and never while it writes.
set -euo pipefail
command -v cargo > /dev/null || { echo "linux_killed_while_traced.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset RUSTFLAGS

uname -sr
mkdir -p killed/src
cat > killed/Cargo.toml <<'TOML'
[package]
name = "killed"
version = "0.0.0"
edition = "2024"
[dependencies]
libc = "=0.2.191"
[workspace]
TOML
cat > killed/src/main.rs <<'RS'
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// This program in another role, when it has said a line.
fn role(words: &[&str]) -> (Child, String) {
    let program = std::env::current_exe().unwrap();
    let mut child = Command::new(program).args(words).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (child, line.trim().to_owned())
}

fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let other = thread::spawn(move || {
        // SAFETY: no arguments.
        println!("{} {port}", unsafe { libc::gettid() });
        thread::sleep(Duration::from_secs(60));
    });
    other.join().unwrap();
    drop(listener);
}

fn trace(thread: i32) {
    // SAFETY: numbers only.
    assert_eq!(unsafe { libc::ptrace(libc::PTRACE_SEIZE, thread, 0, 0) }, 0, "{}", std::io::Error::last_os_error());
    println!("traces");
    thread::sleep(Duration::from_secs(2));
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.first().map(String::as_str) {
        Some("serve") => return serve(),
        Some("trace") => return trace(words[1].parse().unwrap()),
        _ => {}
    }
    for traced in ["nothing", "first", "another"] {
        let (mut server, other) = role(&["serve"]);
        let (other, port) = other.split_once(' ').unwrap();
        let port = port.parse().unwrap();
        assert!(!is_free(port));
        let first = server.id().to_string();
        let mut tracer = match traced {
            "nothing" => None,
            "first" => Some(role(&["trace", &first]).0),
            _ => Some(role(&["trace", other]).0),
        };
        let start = Instant::now();
        server.kill().unwrap();
        thread::sleep(Duration::from_millis(500));
        let runs = server.try_wait().unwrap().is_none();
        let state = std::fs::read_to_string(format!("/proc/{first}/stat")).map_or("-".into(), |stat| stat[stat.rfind(')').unwrap() + 2..][..1].to_owned());
        let free = is_free(port);
        server.wait().unwrap();
        println!("{traced} runs {runs} state {state} port_free {free} ended_after {:.1}", start.elapsed().as_secs_f32());
        if let Some(tracer) = &mut tracer {
            tracer.wait().unwrap();
        }
    }
}
RS
cargo run --quiet --manifest-path killed/Cargo.toml --target-dir target > seen
cat seen
sed -E 's/ended_after (2|1\.9|2\.1).*/ended_after 2/; s/ended_after 0.*/ended_after 0/' seen | diff - <(cat <<'TXT'
nothing runs false state - port_free true ended_after 0
first runs true state Z port_free true ended_after 2
another runs true state Z port_free true ended_after 2
TXT
) || { echo "changed: a killed process is gone for its parent at another time" >&2; exit 1; }
