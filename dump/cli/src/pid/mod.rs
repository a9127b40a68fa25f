//! `runtime-dump pid PID`: the tasks of a process that was never prepared.
//!
//! In the order of the data:
//! * [`target`]: memory, threads and registers of the process;
//! * [`threads`]: their stacks;
//! * [`debug`]: the types of its program;
//! * [`decode`]: from both, its tasks: pure and total;
//! * [`surface`]: their text.

mod debug;
mod decode;
pub(crate) mod refusal;
mod surface;
mod target;
mod threads;

use debug::index::{Die, Index, Sections};
use debug::program::Program;
use debug::types::Types;
use decode::model::Dump;
use decode::seeds::Seed;
use decode::{Budget, Decoder, Memory, RootFrame, ThreadView};
use refusal::Refusal;
use std::collections::HashMap;
use std::io::Write;
use std::ops::Range;
use std::path::PathBuf;
use std::time::{Duration, Instant};
pub(crate) use surface::Options;
use target::live::{self, Process, Stopped};
use target::snapshot::Snapshot;
use target::{Mapping, Thread};
use threads::modules::{Module, modules};
use threads::symbols::Symbols;
use threads::unwind::{Frame, Unwinder};

/// The most data that is searched for schedulers that no thread is inside of; 0.8 s of CPU.
const MOST_SCANNED: u64 = 1 << 30;

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) pid: u32,
    /// The file that has the debug information.
    pub(crate) debug_file: Option<PathBuf>,
    /// Threads instead of tasks.
    pub(crate) threads: bool,
    pub(crate) options: Options,
}

/// Writes the dump of a live process.
pub(crate) fn dump(request: &Request, out: &mut dyn Write) -> Result<(), Refusal> {
    let process = Process::find(request.pid)?;
    let real = process.program_name()?;
    let program = Program::open(&process.program(), &real)?;
    let headers = process.program_headers()?;
    process.check_readable(headers)?;
    let mappings = process.mappings()?;
    let modules = modules(&mappings, &real, |path| match path {
        "" => process.program(),
        path => process.file(path),
    });
    if request.threads {
        return dump_threads(request, process, &modules, out);
    }
    let bias = headers.wrapping_sub(program.headers);
    let debug_file = program.debug_file(
        &process.file(&real.to_string_lossy()),
        request.debug_file.as_deref(),
    )?;
    let (bytes, path) = match &debug_file {
        Some(file) => (&**file, file.path.clone()),
        None => (&*program.file, real.clone()),
    };
    let sections = Sections::read(bytes, &path)?;
    let index = Index::build(&sections, &path)?;
    let types = Types::new(&index);
    let (size, align) = program.thread_locals;
    let mut view = View {
        process,
        bias,
        thread_locals: size.next_multiple_of(align),
        mappings: &mappings,
        index: &index,
        decoder: Decoder::new(&types),
        unwinder: Unwinder::new(&modules),
        blocked_on: HashMap::new(),
    };
    let seen = view.look()?;
    if seen.dump.runtimes.is_empty() {
        return Err(Refusal::NoRuntime(request.pid));
    }
    let debug_path = debug_file.as_ref().map(|file| file.path.as_path());
    let mut symbols = Symbols::new(&modules, debug_path, &process.program());
    let source = surface::Source {
        pid: request.pid,
        program: real,
        now: Some(seen.now),
        stopped_for: seen.stopped_for,
        threads: stacks(&seen.threads, &mut symbols),
    };
    surface::write(&seen.dump, &source, &request.options, out)
        .map_err(|error| Refusal::Output(error.to_string()))
}

/// Writes threads and their stacks: what there is without types.
fn dump_threads(
    request: &Request,
    process: Process,
    modules: &[Module],
    out: &mut dyn Write,
) -> Result<(), Refusal> {
    let mut unwinder = Unwinder::new(modules);
    let stopped = process.stop()?;
    let snapshot = Snapshot::new(process.pid);
    let threads = walk(&stopped, &mut unwinder, &snapshot);
    drop(stopped);
    let mut symbols = Symbols::new(modules, request.debug_file.as_deref(), &process.program());
    surface::write_threads(&stacks(&threads, &mut symbols), &request.options, out)
        .map_err(|error| Refusal::Output(error.to_string()))
}

/// Names for what the threads are in.
fn stacks(threads: &[(Thread, Vec<Frame>)], symbols: &mut Symbols<'_>) -> Vec<surface::Thread> {
    let stack = |(thread, frames): &(Thread, Vec<Frame>)| surface::Thread {
        tid: thread.tid,
        name: thread.name.clone(),
        state: thread.state,
        cpu_ns: thread.cpu_ns,
        stack: frames.iter().map(|frame| symbols.location(frame)).collect(),
    };
    threads.iter().map(stack).collect()
}

/// Stacks of stopped threads.
fn walk(
    stopped: &Stopped,
    unwinder: &mut Unwinder<'_>,
    memory: &dyn Memory,
) -> Vec<(Thread, Vec<Frame>)> {
    let threads = stopped.threads().into_iter();
    threads
        .map(|thread| {
            let frames = thread
                .registers
                .map_or_else(Vec::new, |registers| unwinder.walk(registers, memory));
            (thread, frames)
        })
        .collect()
}

/// A dump, and when it was taken.
struct Seen {
    dump: Dump,
    threads: Vec<(Thread, Vec<Frame>)>,
    now: (i64, u32),
    stopped_for: Duration,
}

/// What looks at the process.
struct View<'v, 'i, 'd> {
    process: Process,
    bias: u64,
    thread_locals: u64,
    mappings: &'v [Mapping],
    index: &'i Index<'d>,
    decoder: Decoder<'v, 'i, 'd>,
    unwinder: Unwinder<'v>,
    /// Futures of `block_on` by code addresses.
    blocked_on: HashMap<u64, Vec<Die>>,
}

impl View<'_, '_, '_> {
    /// Stops the process, copies what there is to decode and lets it run on.
    ///
    /// What that is, a look at the running process tells, so that most of it is copied in a few calls.
    fn look(&mut self) -> Result<Seen, Refusal> {
        let rehearsal = Snapshot::new(self.process.pid);
        let threads = {
            let stopped = self.process.stop()?;
            walk(&stopped, &mut self.unwinder, &rehearsal)
        };
        let seeds = self.seeds();
        self.decode(&rehearsal, &threads, &seeds);
        let pages = rehearsal.pages();
        drop(rehearsal);

        let snapshot = Snapshot::new(self.process.pid);
        snapshot.prepare(pages.len() + pages.len() / 8 + 64);
        let begin = Instant::now();
        let stopped = self.process.stop()?;
        let now = live::monotonic();
        snapshot.fetch(&pages);
        let threads = walk(&stopped, &mut self.unwinder, &snapshot);
        let dump = self.decode(&snapshot, &threads, &seeds);
        drop(stopped);
        Ok(Seen {
            dump,
            threads,
            now,
            stopped_for: begin.elapsed(),
        })
    }

    /// Schedulers that no thread needs to be inside of.
    fn seeds(&mut self) -> Vec<Seed> {
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
        self.decoder
            .seeds(&self.process, self.bias, &constants, &data)
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
        snapshot: &Snapshot,
        threads: &[(Thread, Vec<Frame>)],
        seeds: &[Seed],
    ) -> Dump {
        let views: Vec<ThreadView> = threads
            .iter()
            .filter_map(|(thread, frames)| {
                Some(ThreadView {
                    tid: thread.tid,
                    pointer: thread.registers?.fs_base,
                    roots: frames.iter().filter_map(|frame| self.root(frame)).collect(),
                })
            })
            .collect();
        let process = decode::Process {
            memory: snapshot,
            bias: self.bias,
            thread_locals: self.thread_locals,
            threads: &views,
            seeds,
        };
        self.decoder.decode(&process, Budget::default())
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
