//! `runtime-dump pid PID` and `runtime-dump core FILE`: the tasks of a process without preparation.
//!
//! In the order of the data:
//! * [`target`]: memory, threads and registers;
//! * [`threads`]: their stacks;
//! * [`program`]: the program's file, and the file with its debug information, whose types the crate
//!   `runtime-dump-decode` reads;
//! * [`view`]: one look at a process or a core file;
//! * [`surface`]: the tasks as text, JSON and profile;
//! * [`command`]: the command lines.

pub(crate) mod command;
mod program;
mod refusal;
mod surface;
mod target;
#[cfg(test)]
mod tests;
mod threads;
mod view;

use program::Program;
use refusal::Refusal;
use runtime_dump_decode::debug::index::{Index, Sections};
use runtime_dump_decode::debug::types::Types;
use runtime_dump_decode::mapped::Mapped;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
pub(crate) use surface::{Form, Options};
use target::core::Core;
use target::live::{DELETED, Process};
use target::snapshot::Snapshot;
use target::{Mapping, NoName};
use threads::modules::{Module, modules};
use threads::names::{self, Names};
use threads::symbols::Symbols;
use threads::unwind::{Stack, Unwinder, walk};
use view::{Seen, View};

/// The options of a dump.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) subject: Subject,
    /// The file with the debug information.
    pub(crate) debug_file: Option<PathBuf>,
    /// Whether threads are written instead of tasks.
    pub(crate) threads: bool,
    pub(crate) options: Options,
}

/// The process or core file to dump.
#[derive(Clone, Debug)]
pub(crate) enum Subject {
    Process {
        pid: u32,
        /// Whether the process runs on during the dump.
        no_stop: bool,
        /// The time until a second look, which is compared with the first one.
        twice: Option<Duration>,
    },
    Core {
        file: PathBuf,
        /// The program, if it is not at its original path.
        exe: Option<PathBuf>,
    },
}

/// Writes the dump.
pub(crate) fn dump(request: &Request, out: &mut dyn Write) -> Result<(), Refusal> {
    match &request.subject {
        Subject::Process {
            pid,
            no_stop,
            twice,
        } => dump_process(request, *pid, *no_stop, *twice, out).map_err(|why| match why {
            Refusal::NoDebugInformation(_) | Refusal::NoTypes(_) | Refusal::NoTokio(_) => {
                of_parent(why, *pid)
            }
            why => why,
        }),
        Subject::Core { file, exe } => dump_core(request, file, exe.as_deref(), out),
    }
}

/// The refusal with the processes that the process has started: a shell may have started the program.
fn of_parent(why: Refusal, pid: u32) -> Refusal {
    let children = Process::find(pid).map_or_else(|_| Vec::new(), Process::children);
    if children.is_empty() {
        return why;
    }
    Refusal::Parent {
        why: Box::new(why),
        children,
    }
}

fn dump_process(
    request: &Request,
    pid: u32,
    no_stop: bool,
    twice: Option<Duration>,
    out: &mut dyn Write,
) -> Result<(), Refusal> {
    let process = Process::find(pid)?;
    let name = process.program_name()?;
    let program = Program::open(&process.program(), &name)?;
    let headers = process.program_headers()?;
    process.check_readable(headers)?;
    let mappings = process.mappings()?;
    let modules = modules(&mappings, &name, &process.program(), |mapping| {
        process.mapped_file(mapping)
    });
    let path = name.to_string_lossy();
    let path = path.strip_suffix(DELETED).unwrap_or(&path);
    let loaded = Loaded {
        bias: headers.wrapping_sub(program.headers),
        program,
        pid,
        root: process.file("/"),
        beside: process.file(path),
        name,
        mappings: &mappings,
        modules: &modules,
    };
    if request.threads {
        let mut unwinder = Unwinder::new(&modules);
        let stopped = process.stop()?;
        let snapshot = Snapshot::new(process.thread)?;
        let stacks = walk(stopped.threads(), &mut unwinder, &snapshot);
        drop(stopped);
        let debug_file = loaded.debug_file_for_threads(request)?;
        return loaded.write_threads(request, debug_file.as_ref(), &stacks, out);
    }
    loaded.write_tasks(request, out, |view| {
        view.is_traced = twice.is_some();
        let mut look = || match no_stop {
            true => view.look_at_running_process(process),
            false => view.look_at_process(process),
        };
        let mut how = String::new();
        let mut seen = look()?;
        if let Some(pause) = twice {
            let (earlier, begin) = (seen, Instant::now());
            std::thread::sleep(pause);
            seen = look()?;
            seen.dump.compare(&earlier.dump, pause);
            how = format!(", looked at twice within {:.1?}", begin.elapsed());
        }
        how += &match no_stop {
            true => ", approximate: it ran on".to_owned(),
            false => {
                let stop = seen.stopped_for.as_secs_f64() * 1000.0;
                format!(", which was stopped for {stop:.1}ms")
            }
        };
        Ok((seen, how))
    })
}

fn dump_core(
    request: &Request,
    file: &Path,
    exe: Option<&Path>,
    out: &mut dyn Write,
) -> Result<(), Refusal> {
    let mut core = Core::open(file)?;
    let name = core.program_name();
    let named = exe.is_some();
    let exe = exe.map(Path::to_owned).or_else(|| name.clone());
    let exe = exe.ok_or_else(|| Refusal::NoProgramOfCore(file.into()))?;
    let program = Program::open(&exe, &exe).map_err(|refusal| match refusal {
        Refusal::Unreadable(program, why) if !named => Refusal::ProgramOfCore {
            core: file.into(),
            program,
            why,
        },
        other => other,
    })?;
    let bias = core.program_headers.wrapping_sub(program.headers);
    if let Some((address, id)) = program.build_id_note()
        && !core.agrees(address.wrapping_add(bias), &id)
    {
        return Err(Refusal::OtherProgram {
            core: file.into(),
            program: exe,
        });
    }
    let name = name.unwrap_or_else(|| exe.clone());
    core.fill_from_files(&name, &exe);
    let core = core;
    let modules = modules(&core.mappings, &name, &exe, |mapping| {
        PathBuf::from(&mapping.path)
    });
    let loaded = Loaded {
        program,
        bias,
        pid: core.pid,
        name,
        root: PathBuf::from("/"),
        beside: exe,
        mappings: &core.mappings,
        modules: &modules,
    };
    if request.threads {
        let mut unwinder = Unwinder::new(&modules);
        let mut stacks = walk(core.threads.clone(), &mut unwinder, &core);
        let debug_file = loaded.debug_file_for_threads(request)?;
        loaded.name_threads(&mut stacks, debug_file.as_ref(), &core);
        return loaded.write_threads(request, debug_file.as_ref(), &stacks, out);
    }
    let mut how = format!(", as {} has it", file.display());
    if let Some(cut) = core.cut {
        how += &format!(", which {cut}");
    }
    let written = loaded.write_tasks(request, out, |view| Ok((view.look_at_core(&core), how)));
    match (written, core.cut) {
        (Err(Refusal::NoRuntime(_)), Some(cut)) => Err(Refusal::Cut {
            core: file.into(),
            cut,
        }),
        (written, _) => written,
    }
}

/// A program and its addresses in memory.
struct Loaded<'l> {
    program: Program,
    /// The offset that was added to the program's addresses at load time.
    bias: u64,
    pid: u32,
    name: PathBuf,
    /// The root directory of the process, as a path for this command.
    root: PathBuf,
    /// The file beside which debug files are searched for.
    beside: PathBuf,
    mappings: &'l [Mapping],
    modules: &'l [Module],
}

impl Loaded<'_> {
    /// Writes the tasks that `look` finds. `look` also returns a description of how they were read.
    fn write_tasks(
        &self,
        request: &Request,
        out: &mut dyn Write,
        look: impl FnOnce(&mut View<'_, '_, '_>) -> Result<(Seen, String), Refusal>,
    ) -> Result<(), Refusal> {
        let debug_file = self
            .program
            .debug_file(&self.root, &self.beside, request.debug_file.as_deref())
            .map_err(|refusal| match refusal {
                Refusal::NoDebugInformation(_) => Refusal::NoDebugInformation(self.name.clone()),
                other => other,
            })?;
        let (bytes, path) = match &debug_file {
            Some(file) => (&**file, file.path.clone()),
            None => (&*self.program.file, self.name.clone()),
        };
        let package = self.program.package(&self.beside, debug_file.as_ref());
        // Names are read from the file that has its package beside it.
        let names = match (&debug_file, &package) {
            (Some(file), _) => Some(file.path.clone()),
            (None, Some(_)) => Some(self.beside.clone()),
            (None, None) => None,
        };
        let package = package.as_ref().map(|file| (&**file, &*file.path));
        let sections = Sections::read((bytes, &path), package)?;
        let index = Index::build(&sections, &path, usize::MAX)?;
        let types = Types::new(&index);
        let mut view = View::new(
            self.bias,
            self.program.thread_locals_below_pointer(),
            self.mappings,
            &types,
            Unwinder::new(self.modules),
        );
        let (seen, how) = look(&mut view)?;
        if seen.dump.runtimes.is_empty() {
            return Err(Refusal::NoRuntime(self.pid));
        }
        let source = surface::Source {
            title: format!("process {} ({}){how}", self.pid, self.name.display()),
            now: seen.now,
            threads: self.named(&seen.stacks, names.as_deref()),
        };
        let written = surface::write(&seen.dump, &source, &request.options, out);
        // The process ends soon, and freeing 100,000 tasks takes 30 ms.
        std::mem::forget(seen);
        written.map_err(Refusal::output)
    }

    /// The file with the debug information, if it is not the program. Threads and their stacks need none.
    fn debug_file_for_threads(&self, request: &Request) -> Result<Option<Mapped>, Refusal> {
        let debug_file =
            self.program
                .debug_file(&self.root, &self.beside, request.debug_file.as_deref());
        match debug_file {
            Err(refusal) if request.debug_file.is_some() => Err(refusal),
            other => Ok(other.ok().flatten()),
        }
    }

    /// Adds the names that std has of the threads of a core file.
    fn name_threads(&self, stacks: &mut [Stack], debug_file: Option<&Mapped>, core: &Core) {
        let program = &self.program.file;
        let (bytes, path) = match debug_file {
            Some(file) => (&**file, &*file.path),
            None => (&**program, &*self.name),
        };
        let package = self.program.package(&self.beside, debug_file);
        let package = package.as_ref().map(|file| (&**file, &*file.path));
        let sections = Sections::read((bytes, path), package).ok();
        let index = sections
            .as_ref()
            .and_then(|sections| Index::build_without_tokio(sections, path, usize::MAX).ok());
        let names = Names::new(&self.program, index.as_ref(), &[&**program, bytes]);
        names::add(&names, stacks, core);
    }

    /// Writes threads and their stacks.
    fn write_threads(
        &self,
        request: &Request,
        debug_file: Option<&Mapped>,
        stacks: &[Stack],
        out: &mut dyn Write,
    ) -> Result<(), Refusal> {
        // Names of functions come from the debug file, or without one from the program's symbols.
        surface::write_threads(
            &self.named(stacks, debug_file.map(|file| &*file.path)),
            &request.options,
            out,
        )
        .map_err(Refusal::output)
    }

    /// The threads, with names for the functions in their stacks.
    fn named(&self, stacks: &[Stack], debug_file: Option<&Path>) -> Vec<surface::Thread> {
        let mut symbols = Symbols::new(self.modules, debug_file, &self.program.file.path);
        let stack = |stack: &Stack| surface::Thread {
            tid: stack.thread.tid,
            name: stack.thread.name.clone(),
            no_name: stack.thread.no_name.map(NoName::text),
            state: stack.thread.state,
            cpu_ns: stack.thread.cpu_ns,
            stack: stack
                .frames
                .iter()
                .map(|frame| symbols.location(frame))
                .collect(),
        };
        stacks.iter().map(stack).collect()
    }
}
