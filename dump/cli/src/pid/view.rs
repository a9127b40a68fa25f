//! One look at a process or a core file: threads, their stacks, tasks.

use super::refusal::Refusal;
use super::target::Mapping;
use super::target::core::Core;
use super::target::live::{self, Process};
use super::target::snapshot::Snapshot;
use super::threads::pointers::thread_pointers;
use super::threads::unwind::{Frame, Stack, Unwinder, walk};
use runtime_dump_decode::debug::index::{Die, Index};
use runtime_dump_decode::debug::types::Types;
use runtime_dump_decode::model::Dump;
use runtime_dump_decode::numbers::NumberMap;
use runtime_dump_decode::seeds::{Seed, Seeds};
use runtime_dump_decode::{
    Budget, Decoder, Look, Memory, Process as Decoded, RootFrame, ThreadView,
};
use std::ops::Range;
use std::time::{Duration, Instant};

/// The most data that is searched for schedulers that no thread is inside of; 0.8 s of CPU.
const MOST_SCANNED: u64 = 1 << 30;

/// If the tasks take longer to read than this, only new tasks are followed while the process stands still.
const LARGE: Duration = Duration::from_millis(100);

/// Code addresses that were not met before. To search for their functions takes milliseconds, too long for a stop.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unknown {
    Search,
    Skip,
}

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
    /// Whether looks are compared.
    pub(super) is_traced: bool,
    mappings: &'v [Mapping],
    index: &'i Index<'d>,
    decoder: Decoder<'v, 'i, 'd>,
    unwinder: Unwinder<'v>,
    /// Futures of `block_on` by code addresses.
    blocked_on: NumberMap<u64, Vec<Die>>,
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
            is_traced: false,
            mappings,
            index: types.index,
            decoder: Decoder::new(types),
            unwinder,
            blocked_on: NumberMap::default(),
        }
    }

    /// Stops the process, copies what there is to decode and lets it run on.
    ///
    /// What that is, a look at the running process tells, so that most of it is copied in a few calls. Of a process of many
    /// tasks only the lists are read again while it stands still, and what new tasks point to.
    pub(super) fn look_at_process(&mut self, process: Process) -> Result<Seen, Refusal> {
        let snapshot = Snapshot::new(process.pid)?;
        let stacks = {
            let stopped = process.stop()?;
            walk(stopped.threads(), &mut self.unwinder, &snapshot)
        };
        let seeds = self.seeds(&process);
        let views = self.threads(&stacks, Unknown::Search);
        let begin = Instant::now();
        snapshot.fetch(&seeds.tasks);
        self.look(&snapshot, &views, &seeds.schedulers, Look::All);
        let look = match begin.elapsed() > LARGE {
            true => Look::New,
            false => Look::All,
        };
        let pages = snapshot.prepare();

        let stopped = process.stop()?;
        let now = live::monotonic();
        snapshot.renew(&pages);
        let stacks = walk(stopped.threads(), &mut self.unwinder, &snapshot);
        let views = self.threads(&stacks, Unknown::Skip);
        self.look(&snapshot, &views, &seeds.schedulers, look);
        let stopped_for = stopped.release();
        snapshot.close();
        let views = self.threads(&stacks, Unknown::Search);
        Ok(Seen {
            dump: self.look(&snapshot, &views, &seeds.schedulers, Look::Decode),
            stacks,
            now: Some(now),
            stopped_for,
        })
    }

    /// The same of a process that runs on. What changes meanwhile is wrong, and threads have no stacks.
    pub(super) fn look_at_running_process(&mut self, process: Process) -> Result<Seen, Refusal> {
        let snapshot = Snapshot::new(process.pid)?;
        let seeds = self.seeds(&process);
        let threads = process.threads()?;
        let tids: Vec<u32> = threads.iter().map(|thread| thread.tid).collect();
        let pointers = thread_pointers(&process, &self.data(), &tids);
        let view = |(tid, pointer)| ThreadView {
            tid,
            pointer,
            roots: Vec::new(),
        };
        let views: Vec<ThreadView> = pointers.into_iter().map(view).collect();
        snapshot.fetch(&seeds.tasks);
        self.look(&snapshot, &views, &seeds.schedulers, Look::All);
        let pages = snapshot.prepare();
        let now = live::monotonic();
        snapshot.renew(&pages);
        self.look(&snapshot, &views, &seeds.schedulers, Look::All);
        snapshot.close();
        let stack = |thread| Stack {
            thread,
            frames: Vec::new(),
        };
        Ok(Seen {
            dump: self.look(&snapshot, &views, &seeds.schedulers, Look::Decode),
            stacks: threads.into_iter().map(stack).collect(),
            now: Some(now),
            stopped_for: Duration::ZERO,
        })
    }

    /// A core does not change, so one look is enough.
    pub(super) fn look_at_core(&mut self, core: &Core) -> Seen {
        let stacks = walk(core.threads.clone(), &mut self.unwinder, core);
        let seeds = self.seeds(core);
        let views = self.threads(&stacks, Unknown::Search);
        Seen {
            dump: self.look(core, &views, &seeds.schedulers, Look::Decode),
            stacks,
            now: None,
            stopped_for: Duration::ZERO,
        }
    }

    /// Schedulers that no thread needs to be inside of.
    fn seeds(&mut self, memory: &dyn Memory) -> Seeds {
        let data = self.data();
        let constants: Vec<Range<u64>> = self
            .mappings
            .iter()
            .filter(|mapping| self.is_constants(mapping))
            .map(|mapping| mapping.start..mapping.end)
            .collect();
        self.decoder.seeds(memory, self.bias, &constants, &data)
    }

    /// What is searched: nothing, where that is too much.
    fn data(&self) -> Vec<Range<u64>> {
        let all = self.mappings.iter().filter(|mapping| mapping.is_data);
        let bytes: u64 = all.clone().map(|mapping| mapping.end - mapping.start).sum();
        match bytes > MOST_SCANNED {
            true => Vec::new(),
            false => all.map(|mapping| mapping.start..mapping.end).collect(),
        }
    }

    /// Whether vtables can be in it: it is of the program, and no code.
    fn is_constants(&self, mapping: &Mapping) -> bool {
        let program = self
            .mappings
            .iter()
            .find(|mapping| !mapping.path.is_empty());
        !mapping.executable && program.is_some_and(|program| program.path == mapping.path)
    }

    fn look(
        &mut self,
        memory: &dyn Memory,
        threads: &[ThreadView],
        seeds: &[Seed],
        look: Look,
    ) -> Dump {
        let process = Decoded {
            memory,
            bias: self.bias,
            thread_locals: self.thread_locals,
            threads,
            seeds,
            is_traced: self.is_traced,
        };
        self.decoder.decode(&process, Budget::default(), look)
    }

    fn threads(&mut self, stacks: &[Stack], unknown: Unknown) -> Vec<ThreadView> {
        if unknown == Unknown::Search {
            let frames = stacks.iter().flat_map(|stack| &stack.frames);
            let addresses = frames.map(|frame| frame.lookup().wrapping_sub(self.bias));
            let new: Vec<u64> = addresses
                .filter(|address| !self.blocked_on.contains_key(address))
                .collect();
            self.blocked_on.extend(self.index.blocked_on(&new));
        }
        let view = |stack: &Stack| {
            let frames = stack.frames.iter();
            Some(ThreadView {
                tid: stack.thread.tid,
                pointer: stack.thread.registers?.fs_base,
                roots: frames.filter_map(|frame| self.root(frame)).collect(),
            })
        };
        stacks.iter().filter_map(view).collect()
    }

    /// The frame, if it is inside `block_on`.
    fn root(&self, frame: &Frame) -> Option<RootFrame> {
        let address = frame.lookup().wrapping_sub(self.bias);
        let futures = self.blocked_on.get(&address)?.clone();
        (!futures.is_empty()).then_some(RootFrame {
            futures,
            low: frame.low,
            high: frame.high,
        })
    }
}
