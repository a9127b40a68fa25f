//! A dump ends within its budget, on any contents of memory.

use super::surface::{self, Form, Options, Source};
use proptest::prelude::*;
use runtime_dump_decode::debug::index::{Index, Poll, Sections};
use runtime_dump_decode::debug::types::Types;
use runtime_dump_decode::mapped::Mapped;
use runtime_dump_decode::model::{Body, Chain, Dump};
use runtime_dump_decode::{Budget, Decoder, Look, Memory, Process, RootFrame, ThreadView};
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::Command;

const BIAS: u64 = 0x5555_0000_0000;

/// The end of the readable noise.
const END: u64 = 1 << 22;

const SMALL: Budget = Budget {
    tasks: 300,
    nodes: 300,
    depth: 60,
    children: 50,
    bytes: 4 << 20,
};

/// Memory of words that lead a decoder on: addresses in the noise, addresses of functions and vtables, small numbers.
struct Noise {
    seed: u64,
    plausible: Vec<u64>,
}

impl Noise {
    fn word(&self, address: u64) -> u64 {
        let mut x = (address ^ self.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        x ^= x >> 29;
        x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x ^= x >> 32;
        match x % 8 {
            0..3 => ((x >> 8) % END) & !7,
            3..6 => self.plausible[(x >> 8) as usize % self.plausible.len()],
            6 => (x >> 8) % 8,
            _ => x,
        }
    }
}

impl Memory for Noise {
    fn read(&self, address: u64, into: &mut [u8]) -> bool {
        for (offset, byte) in into.iter_mut().enumerate() {
            let Some(at) = address.checked_add(offset as u64).filter(|at| *at < END) else {
                return false;
            };
            *byte = self.word(at & !7).to_le_bytes()[(at & 7) as usize];
        }
        true
    }
}

#[test]
fn any_memory_gives_a_dump_within_the_budget() {
    let file = Mapped::open(&waits()).unwrap();
    let sections = Sections::read((&file, Path::new("waits")), None).unwrap();
    let index = Index::build(&sections, Path::new("waits"), usize::MAX).unwrap();
    let types = Types::new(&index);
    let mut decoder = Decoder::new(&types);
    let polls: Vec<Poll> = index.polls.values().flatten().copied().collect();
    let mut plausible: Vec<u64> = index.polls.keys().map(|poll| poll + BIAS).collect();
    plausible.extend(index.vtables.keys().map(|vtable| vtable + BIAS));
    let schedulers = decoder.schedulers();
    assert!(!schedulers.is_empty());

    let decoder = RefCell::new(decoder);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 20,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let input = (any::<u64>(), 0..END, 0..END, any::<prop::sample::Index>());
    runner
        .run(&input, |(seed, first, second, pick)| {
            let decoder = &mut *decoder.borrow_mut();
            let noise = Noise {
                seed,
                plausible: plausible.clone(),
            };
            let poll = *pick.get(&polls);
            let threads = [ThreadView {
                tid: 1,
                pointer: second,
                roots: vec![RootFrame {
                    futures: vec![poll.future],
                    low: first,
                    high: first.saturating_add(4096),
                }],
            }];
            let seeds: Vec<_> = schedulers
                .iter()
                .enumerate()
                .map(|(number, of)| ((second & !7) + 8 * number as u64, *of))
                .collect();
            let process = Process {
                memory: &noise,
                bias: BIAS,
                thread_locals: 0x200,
                threads: &threads,
                seeds: &seeds,
                is_traced: true,
            };
            for look in [Look::All, Look::New] {
                decoder.decode(&process, SMALL, look);
            }
            let dump = decoder.decode(&process, SMALL, Look::Decode);
            // Each list may end with one task above the budget.
            prop_assert!(dump.tasks.len() as u64 <= SMALL.tasks + 1);
            for task in &dump.tasks {
                if let Body::Chain(chain) = &task.body {
                    prop_assert!(nodes(chain) <= 2 * SMALL.nodes as usize + 2);
                }
            }
            write(&dump);
            Ok(())
        })
        .unwrap();
}

fn nodes(chain: &Chain) -> usize {
    chain.frames.len() + chain.branches.iter().map(nodes).sum::<usize>()
}

fn write(dump: &Dump) {
    let source = Source {
        title: "noise".into(),
        now: Some((1, 2)),
        threads: Vec::new(),
    };
    for form in [Form::Text, Form::Json, Form::Folded, Form::Profile] {
        let options = Options {
            form,
            verbose: true,
            ..Options::default()
        };
        surface::write(dump, &source, &options, &mut std::io::sink()).unwrap();
    }
}

/// The test program of tests/pid.rs.
fn waits() -> PathBuf {
    let here = std::env::current_exe().unwrap();
    // The path is target/debug/deps/NAME.
    let target = here.ancestors().nth(3).unwrap().join("waits-stable");
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/waits/Cargo.toml");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--quiet", "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(&target)
        .env("RUSTFLAGS", "-Cdebuginfo=2")
        .status();
    assert!(built.unwrap().success());
    target.join("release/waits")
}
