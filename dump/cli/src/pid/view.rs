//! One look at a process or a core file: its threads, their stacks, and its tasks.

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

/// The most bytes that are searched for schedulers without a thread inside; 0.8 s of CPU time.
const MOST_SCANNED: u64 = 1 << 30;

/// The number of tasks above which a full look is too slow for a stop: it takes some 100 ms. Then only new tasks are followed during
/// the stop. The time of the first look says little, because it also finds the types, and other load makes it longer.
const MANY: usize = 20_000;

/// The time of the first look above which the tasks are many, whatever their number: each has thousands of futures.
const LONG: Duration = Duration::from_secs(1);

/// The treatment of unknown code addresses. The search for their functions takes milliseconds, too long for a stop.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unknown {
    Search,
    Skip,
}

/// A dump and its time.
pub(super) struct Seen {
    pub(super) dump: Dump,
    pub(super) stacks: Vec<Stack>,
    /// The time of the monotonic clock; `None` for a core file, which does not contain it.
    pub(super) now: Option<(i64, u32)>,
    pub(super) stopped_for: Duration,
}

/// The state of looks at one process.
pub(super) struct View<'v, 'i, 'd> {
    bias: u64,
    thread_locals: u64,
    /// Whether looks are compared.
    pub(super) is_traced: bool,
    mappings: &'v [Mapping],
    index: &'i Index<'d>,
    decoder: Decoder<'v, 'i, 'd>,
    unwinder: Unwinder<'v>,
    /// The futures of `block_on`, by code address.
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

    /// Stops the process, copies the memory of its tasks and resumes it.
    ///
    /// A look at the running process finds the pages, so that most of them are copied in a few calls. In a process with
    /// many tasks, only the lists and the memory of new tasks are read again during the stop.
    pub(super) fn look_at_process(&mut self, process: Process) -> Result<Seen, Refusal> {
        let snapshot = Snapshot::new(process.thread)?;
        let stacks = {
            let stopped = process.stop()?;
            walk(stopped.threads(), &mut self.unwinder, &snapshot)
        };
        let seeds = self.seeds(&process);
        let views = self.threads(&stacks, Unknown::Search);
        let begin = Instant::now();
        snapshot.fetch(&seeds.tasks);
        self.look(&snapshot, &views, &seeds.schedulers, Look::All);
        let look = match self.decoder.met() > MANY || begin.elapsed() > LONG {
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

    /// Looks at a process that runs on. Memory that changes meanwhile may be decoded wrongly, and threads have no
    /// stacks.
    pub(super) fn look_at_running_process(&mut self, process: Process) -> Result<Seen, Refusal> {
        let snapshot = Snapshot::new(process.thread)?;
        let seeds = self.seeds(&process);
        let threads = process.threads()?;
        let tids = threads.iter().map(|thread| thread.tid);
        let tids = tids.map(|tid| (process.tid_inside(tid), tid)).collect();
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

    /// Looks at a core file once, because it does not change.
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

    /// Schedulers without a thread inside.
    fn seeds(&mut self, memory: &dyn Memory) -> Seeds {
        let data = self.data();
        let constants = searched(self.mappings.iter(), |mapping| self.is_constants(mapping));
        self.decoder.seeds(memory, self.bias, &constants, &data)
    }

    /// The memory to search for tasks.
    fn data(&self) -> Vec<Range<u64>> {
        searched(self.mappings.iter(), |mapping| mapping.is_data)
    }

    /// Whether the mapping can contain vtables: it belongs to the program, and is no code.
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

/// The wanted mappings; none if they are too large to search, as in a damaged core file.
fn searched<'m>(
    mappings: impl Iterator<Item = &'m Mapping>,
    is_wanted: impl Fn(&Mapping) -> bool,
) -> Vec<Range<u64>> {
    let wanted = mappings.filter(|mapping| is_wanted(mapping));
    let ranges: Vec<Range<u64>> = wanted.map(|mapping| mapping.start..mapping.end).collect();
    let lengths = ranges
        .iter()
        .map(|range| range.end.saturating_sub(range.start));
    match lengths.fold(0, u64::saturating_add) > MOST_SCANNED {
        true => Vec::new(),
        false => ranges,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(start: u64, end: u64, is_data: bool) -> Mapping {
        Mapping {
            start,
            end,
            offset: 0,
            executable: false,
            is_data,
            path: String::new(),
        }
    }

    #[test]
    fn memory_that_is_too_large_is_not_searched() {
        let small = [
            mapping(0x1000, 0x3000, true),
            mapping(0x3000, 0x4000, false),
        ];
        let is_data = |mapping: &Mapping| mapping.is_data;
        assert_eq!(searched(small.iter(), is_data), vec![0x1000..0x3000]);
        let others = searched(small.iter(), |mapping| !is_data(mapping));
        assert_eq!(others, vec![0x3000..0x4000]);
        // The sum of two damaged lengths does not fit into 64 bits.
        let damaged = [(1, u64::MAX), (2, u64::MAX)].map(|(start, end)| mapping(start, end, false));
        let ranges = searched(damaged.iter(), |mapping| !is_data(mapping));
        assert_eq!(ranges, [] as [Range<u64>; 0]);
    }
}
