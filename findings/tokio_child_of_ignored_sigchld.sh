#!/usr/bin/env bash
# tokio 1.54.1 and rustc 1.95.0 on Linux 6.18 (seen): the exit status of programs that a service starts, if SIGCHLD was ignored when the service
# was started.
#
# Guess: it makes no difference. Signal handlers end with `exec`, and tokio and std wait for their children by pidfd and `waitpid`.
# Reality: that a signal is ignored is inherited through `exec`, and the kernel then keeps no exit status of children. std never gets one, until a
# handler is installed. tokio loses those of the first children. After the first failure it installs a handler, and with it the status is kept
# again. A service that starts `exit 3` four times, one after the other:
#
#     SIGCHLD at the start    tokio, status().await                          std, status()
#     default                 3, 3, 3, 3                                     3, 3, 3, 3
#     ignored                 "No child processes" (ECHILD), 3, 3, 3         "No child processes" four times
#
# Why it matters: daemons that do not want to wait for children ignore SIGCHLD, and what they start inherits it: some supervisors, cron jobs,
# scripts with `trap '' CHLD` and containers whose first process does so. In the service a health check or a conversion by an external program has
# run, and its result is an error of the operating system. With tokio only the first ones after each start are lost, which looks like a race. It
# is in /proc/PID/status: bit 16 of SigIgn. A service that starts programs can reset the signal first, by `libc::signal(SIGCHLD, SIG_DFL)`.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_child_of_ignored_sigchld.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
uname -sr

mkdir -p starts/src
cat > starts/Cargo.toml <<'TOML'
[package]
name = "starts"
version = "0.0.0"
edition = "2024"
[dependencies]
libc = "=0.2.191"
tokio = { version = "=1.54.1", features = ["macros", "process", "rt-multi-thread", "time"] }
[workspace]
TOML
cat > starts/src/main.rs <<'RS'
use std::io::Result;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus};
use std::time::Duration;

fn show(status: Result<ExitStatus>) {
    match status {
        Ok(status) => print!(" {}", status.code().unwrap()),
        Err(error) => print!(" {}", if error.raw_os_error() == Some(libc::ECHILD) { "ECHILD".into() } else { error.to_string() }),
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.len() == 3 {
        // The parent: it sets what is inherited, and becomes the service.
        // SAFETY: no handler is replaced, and none installed.
        unsafe { libc::signal(libc::SIGCHLD, if arguments[1] == "ignored" { libc::SIG_IGN } else { libc::SIG_DFL }) };
        panic!("{}", Command::new(&arguments[0]).arg(&arguments[2]).exec());
    }
    for _ in 0..4 {
        let script = ["-c", "sleep 0.1; exit 3"];
        if arguments[1] == "tokio" {
            show(tokio::process::Command::new("sh").args(script).status().await);
            // So that the runtime has time for what it does about an orphan.
            tokio::time::sleep(Duration::from_millis(100)).await;
        } else {
            show(Command::new("sh").args(script).status());
        }
    }
    println!();
}
RS
cargo build --quiet --manifest-path starts/Cargo.toml --target-dir target
for signal in default ignored; do
    for library in tokio std; do
        printf '%s %s' $signal $library
        target/debug/starts $signal $library
    done
done > seen
cat seen
awk '
    $1 == "default" { good += $0 ~ / 3 3 3 3$/ }
    $1 == "ignored" && $2 == "std" { good += $0 ~ / ECHILD ECHILD ECHILD ECHILD$/ }
    $1 == "ignored" && $2 == "tokio" { good += $3 == "ECHILD" && $NF == 3 }
    END { exit good != 4 }
' seen || { echo "changed: the exit status of children where SIGCHLD is ignored" >&2; exit 1; }
