#!/usr/bin/env bash
# prost 0.14.6, a field of an enumeration whose number the reader does not know yet.
#
# Guess: the accessor of the field says that the value is unknown: an error, `None`, or a variant for it. Decoding has no error, so the
# accessor is where it shows.
# Reality: the accessor returns the default, the variant with 0, as if the field were not set. The number is in the field itself, an i32. A
# writer has the states idle 0, running 1 and stuck 2, its reader is older and has the first two:
#
#     written     reader: task.state()    task.state    State::try_from(task.state)    {task:?}
#     running     Running                 1             Ok(Running)                    state: Running
#     stuck       Idle                    2             Err(UnknownEnumValue(2))       state: 2
#
# Why it matters: services and their consoles are not updated at one time. An old viewer of a new service shows a stuck task as idle, with
# numbers that add up, and its test with files of its own version passes. A rule like `if state() == Idle { free(task) }` acts on it. The
# number 0 is best kept for "unspecified"; a reader has to match on `try_from`.
set -euo pipefail
command -v cargo > /dev/null || { echo "prost_unknown_state.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p states/src
cat > states/Cargo.toml <<'TOML'
[package]
name = "states"
version = "0.0.0"
edition = "2024"
[dependencies]
prost = "=0.14.6"
[workspace]
TOML
cat > states/src/main.rs <<'RS'
use prost::Message;

mod new {
    #[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
    #[repr(i32)]
    pub enum State { Idle = 0, Running = 1, Stuck = 2 }
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Task {
        #[prost(enumeration = "State", tag = "1")]
        pub state: i32,
    }
}
mod old {
    #[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
    #[repr(i32)]
    pub enum State { Idle = 0, Running = 1 }
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Task {
        #[prost(enumeration = "State", tag = "1")]
        pub state: i32,
    }
}

fn main() {
    for written in [new::State::Running, new::State::Stuck] {
        let bytes = new::Task { state: written.into() }.encode_to_vec();
        let task = old::Task::decode(&bytes[..]).unwrap();
        println!("{written:?}: {:?} {} {:?} {task:?}", task.state(), task.state, old::State::try_from(task.state));
    }
}
RS
cargo run --quiet --manifest-path states/Cargo.toml --target-dir target > seen
cat seen
diff seen - <<'TXT' || { echo "changed: an unknown number is told from the default" >&2; exit 1; }
Running: Running 1 Ok(Running) Task { state: Running }
Stuck: Idle 2 Err(UnknownEnumValue(2)) Task { state: 2 }
TXT
