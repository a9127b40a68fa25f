//! The names of the threads of a core file, by std's own memory: the kernel's names are in no note, but the main thread's.

use crate::pid::program::Program;
use crate::pid::target::{NoName, Thread};
use crate::pid::threads::unwind::Stack;
use object::{Object, ObjectSymbol, SymbolKind};
use runtime_dump::naming::name::readable;
use runtime_dump_decode::Memory;
use runtime_dump_decode::debug::index::Index;
use runtime_dump_decode::thread_names::{CURRENT, ID, ThreadName, ThreadNames, Variables};

/// Reads the names.
pub(crate) struct Names {
    names: ThreadNames,
    /// The distance of a thread's variables below its thread pointer.
    thread_locals: u64,
}

impl Names {
    /// Prepares the names of a program. `files` are those that may have its symbols. Returns the reason if names cannot be read.
    pub(crate) fn new(
        program: &Program,
        index: Option<&Index<'_>>,
        files: &[&[u8]],
    ) -> Result<Self, NoName> {
        let index = index.ok_or(NoName::NoTypes)?;
        let variables = files.iter().find_map(|file| variables(file));
        let variables = variables.ok_or(NoName::NoVariable)?;
        Ok(Self {
            names: ThreadNames::new(index, variables).ok_or(NoName::NoTypes)?,
            thread_locals: program.thread_locals_below_pointer(),
        })
    }

    fn name(&self, thread: &Thread, memory: &dyn Memory) -> Result<String, NoName> {
        let registers = thread.registers.ok_or(NoName::NotOfStd)?;
        let variables = registers.fs_base.wrapping_sub(self.thread_locals);
        match self.names.read(memory, variables) {
            ThreadName::Named(name) => Ok(name),
            ThreadName::Unnamed => Err(NoName::Unnamed),
            ThreadName::NotOfStd => Err(NoName::NotOfStd),
        }
    }
}

/// Adds names to the threads that have none.
pub(crate) fn add(names: &Result<Names, NoName>, stacks: &mut [Stack], memory: &dyn Memory) {
    for Stack { thread, .. } in stacks {
        if !thread.name.is_empty() {
            continue;
        }
        let name = match names {
            Ok(names) => names.name(thread, memory),
            Err(why) => Err(*why),
        };
        match name {
            Ok(name) => thread.name = name,
            Err(why) => thread.no_name = Some(why),
        }
    }
}

/// The offsets of std's variables, by the symbols of a file.
fn variables(file: &[u8]) -> Option<Variables> {
    let object = object::File::parse(file).ok()?;
    let offset = |wanted: &str| {
        let mut symbols = object.symbols().filter(|symbol| {
            // Only few symbols are variables of threads.
            symbol.kind() == SymbolKind::Tls
                && !symbol.is_undefined()
                && symbol.name().is_ok_and(|name| readable(name) == wanted)
        });
        Some(symbols.next()?.address())
    };
    Some(Variables {
        current: offset(CURRENT)?,
        id: offset(ID)?,
    })
}
