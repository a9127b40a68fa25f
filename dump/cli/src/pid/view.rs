//! One look at a process or a core file: threads, their stacks, tasks.

use super::debug::index::{Die, Index};
use super::debug::types::Types;
use super::decode::model::Dump;
use super::decode::seeds::Seed;
use super::decode::{Budget, Decoder, Memory, Process as Decoded, RootFrame, ThreadView};
use super::refusal::Refusal;
use super::target::Mapping;
use super::target::core::Core;
use super::target::live::{self, Process};
use super::target::snapshot::Snapshot;
use super::threads::unwind::{Frame, Stack, Unwinder, walk};
use std::collections::HashMap;
use std::ops::Range;
use std::time::{Duration, Instant};

/// The most data that is searched for schedulers that no thread is inside of; 0.8 s of CPU.
const MOST_SCANNED: u64 = 1 << 30;

/// A dump that takes longer is decoded after the process runs again.
const LARGE: Duration = Duration::from_millis(100);

/// A dump, and when it was taken.
pub(super) struct Seen {
    pub(super) dump: Dump,
    pub(super) stacks: Vec<Stack>,
    /// By the monotonic clock; a core file does not tell.
    pub(super) now: Option<(i64, u32)>,
    pub(super) stopped_for: Duration,
}

/// What looks.
pub(super) struct View<'v, 'i, 'd> {
    bias: u64,
    thread_locals: u64,
    mappings: &'v [Mapping],
    index: &'i Index<'d>,
    decoder: Decoder<'v, 'i, 'd>,
    unwinder: Unwinder<'v>,
    /// Futures of `block_on` by code addresses.
    blocked_on: HashMap<u64, Vec<Die>>,
}

impl<'v, 'i, 'd> View<'v, 'i, 'd> {
    pub(super) fn new(
        bias: u64,
        thread_locals: u64,
        mappings: &'v [Mapping],
        types: &'v Types<'i, 'd>,
        unwinder: Unwinder<'v>,
    ) -> Self {
        Self {
            bias,
            thread_locals,
            mappings,
            index: types.index,
            decoder: Decoder::new(types),
            unwinder,
            blocked_on: HashMap::new(),
        }
    }

    /// Stops the process, copies what there is to decode and lets it run on.
    ///
    /// What that is, a look at the running process tells, so that most of it is copied in a few calls.
    pub(super) fn look_at_process(&mut self, process: Process) -> Result<Seen, Refusal> {
        let rehearsal = Snapshot::new(process.pid);
        let stacks = {
            let stopped = process.stop()?;
            walk(stopped.threads(), &mut self.unwinder, &rehearsal)
        };
        let seeds = self.seeds(&process);
        let begin = Instant::now();
        self.decode(&rehearsal, &stacks, &seeds, Budget::default());
        let is_large = begin.elapsed() > LARGE;
        let pages = rehearsal.pages();
        drop(rehearsal);

        let snapshot = Snapshot::new(process.pid);
        snapshot.prepare(pages.len() + pages.len() / 8 + 64);
        let begin = Instant::now();
        let stopped = process.stop()?;
        let now = live::monotonic();
        snapshot.fetch(&pages);
        let stacks = walk(stopped.threads(), &mut self.unwinder, &snapshot);
        // Of many tasks only the lists are followed meanwhile, and what is on pages that were not known before is not read.
        let budget = match is_large {
            true => Budget {
                nodes: 0,
                ..Budget::default()
            },
            false => Budget::default(),
        };
        let mut dump = self.decode(&snapshot, &stacks, &seeds, budget);
        drop(stopped);
        let stopped_for = begin.elapsed();
        if is_large {
            snapshot.close();
            dump = self.decode(&snapshot, &stacks, &seeds, Budget::default());
        }
        Ok(Seen {
            dump,
            stacks,
            now: Some(now),
            stopped_for,
        })
    }

    /// A core does not change, so one look is enough.
    pub(super) fn look_at_core(&mut self, core: &Core) -> Seen {
        let stacks = walk(core.threads.clone(), &mut self.unwinder, core);
        let seeds = self.seeds(core);
        Seen {
            dump: self.decode(core, &stacks, &seeds, Budget::default()),
            stacks,
            now: None,
            stopped_for: Duration::ZERO,
        }
    }

    /// Schedulers that no thread needs to be inside of.
    fn seeds(&mut self, memory: &dyn Memory) -> Vec<Seed> {
        let all = self.mappings.iter();
        let data: Vec<Range<u64>> = all
            .clone()
            .filter(|mapping| mapping.is_data)
            .map(|mapping| mapping.start..mapping.end)
            .collect();
        if data
            .iter()
            .map(|range| range.end - range.start)
            .sum::<u64>()
            > MOST_SCANNED
        {
            return Vec::new();
        }
        let constants: Vec<Range<u64>> = all
            .filter(|mapping| self.is_constants(mapping))
            .map(|mapping| mapping.start..mapping.end)
            .collect();
        self.decoder.seeds(memory, self.bias, &constants, &data)
    }

    /// Whether vtables can be in it: it is of the program, and no code.
    fn is_constants(&self, mapping: &Mapping) -> bool {
        let program = self
            .mappings
            .iter()
            .find(|mapping| !mapping.path.is_empty());
        !mapping.executable && program.is_some_and(|program| program.path == mapping.path)
    }

    fn decode(
        &mut self,
        memory: &dyn Memory,
        stacks: &[Stack],
        seeds: &[Seed],
        budget: Budget,
    ) -> Dump {
        let views: Vec<ThreadView> = stacks
            .iter()
            .filter_map(|stack| {
                Some(ThreadView {
                    tid: stack.thread.tid,
                    pointer: stack.thread.registers?.fs_base,
                    roots: stack
                        .frames
                        .iter()
                        .filter_map(|frame| self.root(frame))
                        .collect(),
                })
            })
            .collect();
        let process = Decoded {
            memory,
            bias: self.bias,
            thread_locals: self.thread_locals,
            threads: &views,
            seeds,
        };
        self.decoder.decode(&process, budget)
    }

    /// The frame, if it is inside `block_on`.
    fn root(&mut self, frame: &Frame) -> Option<RootFrame> {
        let address = frame.lookup().wrapping_sub(self.bias);
        let index = self.index;
        let known = self.blocked_on.entry(address);
        let futures = known.or_insert_with(|| index.blocked_on(address)).clone();
        (!futures.is_empty()).then_some(RootFrame {
            futures,
            low: frame.low,
            high: frame.high,
        })
    }
}
