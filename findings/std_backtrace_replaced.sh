#!/usr/bin/env bash
# rustc 1.95.0, `std::backtrace::Backtrace` in a program whose file was replaced or deleted while it runs (Linux).
#
# Guess: a running program keeps its file, whatever becomes of the name: `/proc/self/exe` opens it, and gdb and perf read it there. So a
# backtrace after a deployment is as good as before it.
# Reality: std asks for the name of the file, which then ends in " (deleted)", and opens nothing. Each frame is `<unknown>`, also where
# the symbol table would do, and no error says why. After one that was printed before, all later ones are whole. The first frame of a
# program, run as ./app:
#
#     while it runs                                first backtrace after it    one was printed before it
#     nothing                                      app::charge, main.rs:7      app::charge, main.rs:7
#     ./app is renamed                             app::charge, main.rs:7
#     ./app is deleted                             <unknown>                   app::charge, main.rs:7
#     a new build is renamed to ./app              <unknown>                   app::charge, main.rs:7
#
# At each of these times the kernel opens /proc/self/exe.
#
# Why it matters: package managers, `cargo build`, `cargo install` and rsync replace files so. A panic in the old process, of which there are
# some in each deployment, has a backtrace without a name, and the test of the same release has one with all names. Print one backtrace
# at the start, or resolve the addresses from /proc/self/exe.
set -euo pipefail
command -v rustc > /dev/null || { echo "std_backtrace_replaced.sh: needs rustc" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat > main.rs <<'RS'
use std::backtrace::Backtrace;
use std::io::stdin;

#[inline(never)]
fn charge() -> String {
    // The frame of interest.
    Backtrace::force_capture().to_string()
}

fn main() {
    let early = std::env::args().nth(1).is_some();
    if early { charge(); }
    println!("ready");
    stdin().read_line(&mut String::new()).unwrap();
    let first: Vec<_> = charge().lines().take(2).map(|line| line.trim().replace("0: ", "").replace("at ./", "")).collect();
    let opens = std::fs::File::open("/proc/self/exe").is_ok();
    println!("{} opens {opens}", if first[0] == "<unknown>" { first[0].clone() } else { first.join(" ") });
}
RS
rustc --version
rustc --edition 2024 -g main.rs --crate-name app -o built
look() { # NAME CHANGE [early]
    cp built app
    coproc PROGRAM { ./app ${3:-}; }
    local pid=$PROGRAM_PID in=${PROGRAM[1]} out=${PROGRAM[0]} line
    read -r line <&"$out"
    eval "$2"
    echo >&"$in"
    read -r line <&"$out"
    echo "$1: $line"
    wait "$pid"
    rm -f app moved
}
{
    look nothing :
    look renamed "mv app moved"
    look deleted "rm app"
    look replaced "cp built new; mv new app"
    look "deleted, one before" "rm app" early
    look "replaced, one before" "cp built new; mv new app" early
} > seen
cat seen
diff <(sed 's/main.rs:7:[0-9]*/main.rs:7/' seen) - <<'TXT' || { echo "changed: std reads the program that runs" >&2; exit 1; }
nothing: app::charge main.rs:7 opens true
renamed: app::charge main.rs:7 opens true
deleted: <unknown> opens true
replaced: <unknown> opens true
deleted, one before: app::charge main.rs:7 opens true
replaced, one before: app::charge main.rs:7 opens true
TXT
