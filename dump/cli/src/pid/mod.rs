//! `runtime-dump pid PID`: the tasks of a process that was never prepared.
//!
//! In the order of the data:
//! * [`target`]: memory, threads and registers of the process;
//! * [`debug`]: the types of its program;
//! * [`decode`]: from both, its tasks: pure and total;
//! * [`surface`]: their text.

mod debug;
mod decode;
pub(crate) mod refusal;
mod surface;
mod target;

use debug::index::{Index, Sections};
use debug::program::Program;
use debug::types::Types;
use decode::model::Dump;
use decode::{Budget, Decoder};
use refusal::Refusal;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};
pub(crate) use surface::Options;
use target::live::{self, Process, Stopped};
use target::snapshot::Snapshot;

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) pid: u32,
    /// The file that has the debug information.
    pub(crate) debug_file: Option<PathBuf>,
    pub(crate) options: Options,
}

/// Writes the dump of a live process.
pub(crate) fn dump(request: &Request, out: &mut dyn Write) -> Result<(), Refusal> {
    let process = Process::find(request.pid)?;
    let real = process.program_name()?;
    let program = Program::open(&process.program(), &real)?;
    let headers = process.program_headers()?;
    process.check_readable(headers)?;
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
    let mut decoder = Decoder::new(&types);

    let (size, align) = program.thread_locals;
    let seen = look(process, bias, size.next_multiple_of(align), &mut decoder)?;
    if seen.dump.runtimes.is_empty() {
        return Err(Refusal::NoRuntime(request.pid));
    }
    surface::write(
        &seen.dump,
        &surface::Source {
            pid: request.pid,
            program: real,
            now: Some(seen.now),
            stopped_for: seen.stopped_for,
        },
        &request.options,
        out,
    )
    .map_err(|error| Refusal::Output(error.to_string()))
}

/// A dump, and when it was taken.
struct Seen {
    dump: Dump,
    now: (i64, u32),
    stopped_for: Duration,
}

/// Stops the process, copies what there is to decode and lets it run on.
///
/// What that is, a look at the running process tells, so that most of it is copied in a few calls.
fn look(
    process: Process,
    bias: u64,
    thread_locals: u64,
    decoder: &mut Decoder<'_, '_, '_>,
) -> Result<Seen, Refusal> {
    let mut decode = |snapshot: &Snapshot, threads: &[(u32, u64)]| {
        let view = decode::Process {
            memory: snapshot,
            bias,
            thread_locals,
            threads,
        };
        decoder.decode(&view, Budget::default())
    };
    let threads = pointers(&process.stop()?);
    let rehearsal = Snapshot::new(process.pid);
    decode(&rehearsal, &threads);
    let pages = rehearsal.pages();
    drop(rehearsal);

    let snapshot = Snapshot::new(process.pid);
    snapshot.prepare(pages.len() + pages.len() / 8 + 64);
    let begin = Instant::now();
    let stopped = process.stop()?;
    let now = live::monotonic();
    let threads = pointers(&stopped);
    snapshot.fetch(&pages);
    let dump = decode(&snapshot, &threads);
    drop(stopped);
    Ok(Seen {
        dump,
        now,
        stopped_for: begin.elapsed(),
    })
}

/// Threads and where their variables are.
fn pointers(stopped: &Stopped) -> Vec<(u32, u64)> {
    let threads = stopped.threads().into_iter();
    threads
        .filter_map(|thread| Some((thread.tid, thread.registers?.fs_base)))
        .collect()
}
