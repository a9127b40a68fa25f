//! Functions and lines of addresses.
//!
//! addr2line reads the DWARF of the binary or of its debug file, lazily by compilation unit, and expands inlined
//! functions. Without DWARF the symbol table gives the physical function. Results are cached by address for the life of
//! the process: a program has a few thousand distinct addresses in its stacks.

#[cfg(unix)]
use super::debug_file::{self, CommonPart};
use super::module_path;
use super::name::{Names, closure_depth, full, readable};
use super::symbol_table::SymbolTable;
use crate::primitive;
use crate::sys::modules::{self, Module};
use crate::sys::own_memory;
use addr2line::Loader;
use addr2line::gimli::ReaderOffset;
use std::collections::HashMap;
use std::fs::File;
use std::io;
#[cfg(unix)]
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};

/// One function at one source line.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// The short name.
    pub(crate) function: Arc<str>,
    /// The compiler's name.
    pub(crate) full: Arc<str>,
    /// Empty if unknown.
    pub(crate) file: Arc<str>,
    /// 0 if unknown.
    pub(crate) line: u32,
    /// How many closures the symbol ends in. The body of an async fn ends in one.
    pub(crate) closures: usize,
    /// Identifies the copy of an inlined function in its compilation unit; 0 if unknown.
    pub(crate) copy: u64,
}

impl Frame {
    /// The function's name.
    pub(crate) fn name(&self, names: Names) -> &Arc<str> {
        match names {
            Names::Short => &self.function,
            Names::Full => &self.full,
        }
    }
}

/// The functions at an address.
#[derive(Clone, Debug, Default)]
pub(crate) struct Code {
    /// The innermost inlined function first, the physical one last; empty if no symbol is known.
    pub(crate) frames: Vec<Frame>,
    /// The entry of the physical function; 0 if unknown.
    pub(crate) entry: u64,
    /// Whether the code has debug information, so all inlined functions are among the frames.
    pub(crate) inlining_known: bool,
}

/// The detail of the main binary's information.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Functions, lines, inlined functions.
    Lines,
    /// Functions only: the rest was split off, and is not where it was put.
    SplitOff,
    /// Functions only.
    Symbols,
    /// Nothing: the binary is stripped.
    Nothing,
    /// Nothing: the binary cannot be read.
    Unreadable(io::ErrorKind),
}

/// Names for this process's addresses.
#[derive(Default)]
pub(crate) struct Resolver {
    modules: Vec<Module>,
    generation: u64,
    loaders: HashMap<u64, Option<Loaded>>,
    codes: HashMap<u64, Arc<Code>>,
    texts: HashMap<String, Arc<str>>,
    functions: HashMap<String, Function>,
}

/// The names of a symbol.
#[derive(Clone)]
struct Function {
    readable: Arc<str>,
    full: Arc<str>,
    closures: usize,
}

static RESOLVER: LazyLock<Mutex<Resolver>> = LazyLock::new(Mutex::default);

/// Locks the process's resolver, and updates it if modules were loaded since.
pub(crate) fn resolver() -> MutexGuard<'static, Resolver> {
    let mut resolver = primitive::lock(&RESOLVER);
    resolver.refresh();
    resolver
}

impl Resolver {
    fn refresh(&mut self) {
        let generation = modules::generation();
        if self.modules.is_empty() || generation != self.generation {
            self.generation = generation;
            self.modules = modules::loaded();
            // A module may be at the addresses of an earlier one.
            self.loaders.clear();
            self.codes.clear();
        }
    }

    /// The modules, the main binary first.
    pub(crate) fn modules(&self) -> &[Module] {
        &self.modules
    }

    /// The detail of the main binary's information, by its own code.
    pub(crate) fn detail(&mut self) -> Detail {
        let here = Resolver::detail as *const () as u64 + 1;
        let code = self.code(here);
        match code.frames.last() {
            None => self.modules.first().map_or(Detail::Nothing, |program| {
                match File::open(&program.path) {
                    Ok(_) => Detail::Nothing,
                    Err(error) => Detail::Unreadable(error.kind()),
                }
            }),
            // A frame with a line but without a name is of a debug build with line tables only.
            Some(frame) if frame.line != 0 => Detail::Lines,
            Some(_) => match self.loaders.get(&self.modules[0].range.start) {
                Some(Some(Loaded::Symbols(_))) => Detail::SplitOff,
                _ => Detail::Symbols,
            },
        }
    }

    /// The code at `address`. For a return address, pass the one before.
    pub(crate) fn code(&mut self, address: u64) -> Arc<Code> {
        if let Some(code) = self.codes.get(&address) {
            return code.clone();
        }
        let code = Arc::new(self.look_up(address).unwrap_or_default());
        self.codes.insert(address, code.clone());
        code
    }

    /// The functions at an interrupted instruction. That of a thread in the kernel is behind the system call, where another, inlined
    /// function may begin.
    pub(crate) fn interrupted(&mut self, pc: u64) -> Arc<Code> {
        self.code_once(match is_behind_system_call(pc) {
            true => pc - 1,
            false => pc,
        })
    }

    /// The same as [`Resolver::code`] without caching, for an address that is hardly looked up again.
    pub(crate) fn code_once(&mut self, address: u64) -> Arc<Code> {
        match self.codes.get(&address) {
            Some(code) => code.clone(),
            None => Arc::new(self.look_up(address).unwrap_or_default()),
        }
    }

    /// Whether the code at an address is cached.
    #[cfg(test)]
    pub(crate) fn remembers(&self, address: u64) -> bool {
        self.codes.contains_key(&address)
    }

    fn look_up(&mut self, address: u64) -> Option<Code> {
        let module = self.modules.iter().find(|module| {
            module.range.contains(&address)
                && module
                    .executable
                    .iter()
                    .any(|(range, _)| range.contains(&address))
        })?;
        let relative = address - module.base;
        let loaded = self
            .loaders
            .entry(module.range.start)
            .or_insert_with(|| load(module))
            .as_ref()?;
        let mut found = Vec::new();
        if let Loaded::Lines(loader) = loaded
            && let Ok(mut frames) = loader.find_frames(relative)
        {
            while let Ok(Some(frame)) = frames.next() {
                let symbol = frame
                    .function
                    .as_ref()
                    .and_then(|function| function.raw_name().ok().map(|n| n.into_owned()));
                let file = frame
                    .location
                    .as_ref()
                    .and_then(|location| location.file)
                    .unwrap_or_default()
                    .to_owned();
                let line = frame
                    .location
                    .as_ref()
                    .and_then(|location| location.line)
                    .unwrap_or_default();
                let copy = frame.dw_die_offset.map_or(0, |offset| offset.0.into_u64());
                found.push((symbol, file, line, copy));
            }
        }
        let symbol = match loaded {
            Loaded::Lines(loader) => loader
                .find_symbol_info(relative)
                .map(|symbol| (public(symbol.name()).to_owned(), symbol.address())),
            Loaded::Symbols(table) => table
                .find(relative)
                .map(|(name, entry)| (public(name).to_owned(), entry)),
        };
        let entry = symbol.as_ref().map_or(0, |(_, entry)| module.base + entry);
        // A frame without symbol and file does not count.
        let inlining_known = found
            .iter()
            .any(|(symbol, file, ..)| symbol.is_some() || !file.is_empty());
        // The symbol table has the full name of the physical function, even if the DWARF has only the last part, or
        // nothing.
        match (found.last_mut(), symbol) {
            (Some((name, ..)), Some((symbol, _)))
                if name.as_deref().is_none_or(|name| !is_full(name)) =>
            {
                *name = Some(symbol)
            }
            (None, Some((symbol, _))) => found.push((Some(symbol), String::new(), 0, 0)),
            (None, None) => return None,
            _ => {}
        }
        let frames = found
            .into_iter()
            .map(|(symbol, file, line, copy)| {
                let function = match symbol {
                    Some(symbol) if is_full(&symbol) => self.function(&symbol),
                    Some(part) => self.function_in(&part, &file),
                    None => self.function("??"),
                };
                Frame {
                    function: function.readable,
                    full: function.full,
                    file: self.text(file),
                    line,
                    closures: function.closures,
                    copy,
                }
            })
            .collect();
        Some(Code {
            frames,
            entry,
            inlining_known,
        })
    }

    fn function(&mut self, symbol: &str) -> Function {
        if let Some(known) = self.functions.get(symbol) {
            return known.clone();
        }
        let made = Function {
            readable: self.text(readable(symbol)),
            full: self.text(full(symbol)),
            closures: closure_depth(symbol),
        };
        self.functions.insert(symbol.to_owned(), made.clone());
        made
    }

    /// The name of a function of which only the last part is known: the module comes from the file name.
    fn function_in(&mut self, part: &str, file: &str) -> Function {
        let module = module_path::of_file(file).unwrap_or_default();
        let mut inside = |part: String| {
            self.text(if module.is_empty() {
                part
            } else {
                format!("{module}::{part}")
            })
        };
        Function {
            readable: inside(part_name(part)),
            full: inside(part.to_owned()),
            closures: closure_depth(part),
        }
    }

    /// The interned text.
    pub(crate) fn text(&mut self, text: String) -> Arc<str> {
        if let Some(known) = self.texts.get(&text) {
            return known.clone();
        }
        let made: Arc<str> = text.as_str().into();
        self.texts.insert(text, made.clone());
        made
    }
}

/// The information of a module.
enum Loaded {
    /// Debug information, loaded as needed, and symbols.
    Lines(Box<Loader>),
    /// Symbols only, for a library with a separate debug file. The debug information of libc took 36 MB, and only told
    /// in which lines of libc threads sleep.
    /// Also of a program whose debug information was split off and is not there.
    Symbols(SymbolTable),
}

/// Reads the file with a module's debug information; the module itself if that cannot be read.
#[cfg(unix)]
fn load(module: &Module) -> Option<Loaded> {
    let file = debug_file::of(module);
    if file != module.path && !module.is_program() {
        return SymbolTable::read(&file).map(Loaded::Symbols);
    }
    // A package of split debug information (`NAME.dwp`) is beside the program's own name, not beside `/proc/self/exe`. A program that
    // was deleted or replaced has no such name.
    let file = std::fs::canonicalize(&file).unwrap_or(file);
    read(&file).or_else(|| read(&module.path))
}

/// Reads a file's debug information; its symbols only if a part of the debug information is in another file that cannot be read. What is
/// left would give the name of one frame and the line of another.
#[cfg(unix)]
fn read(file: &Path) -> Option<Loaded> {
    let symbols = || SymbolTable::read(file).map(Loaded::Symbols);
    if debug_file::is_split_off(file) {
        return symbols();
    }
    match CommonPart::of(file) {
        CommonPart::None => lines(Loader::new(file)),
        CommonPart::In(common) => lines(Loader::new_with_sup(file, Some(common))).or_else(symbols),
        CommonPart::Missing => symbols(),
    }
}

#[cfg(not(unix))]
fn load(module: &Module) -> Option<Loaded> {
    lines(Loader::new(&module.path))
}

fn lines<E>(loader: Result<Loader, E>) -> Option<Loaded> {
    Some(Loaded::Lines(Box::new(loader.ok()?)))
}

/// The public name of a function. glibc's debug files also have the internal alias `__GI_NAME`.
fn public(symbol: &str) -> &str {
    symbol.strip_prefix("__GI_").unwrap_or(symbol)
}

/// Whether a name has the path of its function: a mangled symbol, or a path.
fn is_full(name: &str) -> bool {
    rustc_demangle::try_demangle(name).is_ok()
        || name
            .split('<')
            .next()
            .is_some_and(|head| head.contains("::"))
}

/// `recv` for `recv<u32>`, `{async fn}` for `{async_fn#0}<u32>`.
fn part_name(part: &str) -> String {
    let bare = part.split('<').next().unwrap_or(part);
    match bare
        .strip_prefix('{')
        .and_then(|inside| inside.split(['#', '}']).next())
    {
        Some(kind) => format!("{{{}}}", kind.replace('_', " ")),
        None => readable(bare),
    }
}

/// Whether the instruction before `pc` is a system call.
fn is_behind_system_call(pc: u64) -> bool {
    const CALL: &[u8] = match cfg!(target_arch = "aarch64") {
        // `svc #0`
        true => &[0x01, 0x00, 0x00, 0xd4],
        false => &[0x0f, 0x05],
    };
    let mut before = [0usize];
    let begin = (pc as usize).wrapping_sub(size_of_val(&before));
    own_memory::read(begin, &mut before) == 1 && before[0].to_ne_bytes().ends_with(CALL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alias_inside_of_glibc_has_the_public_name() {
        assert_eq!(public("__GI___clone3"), "__clone3");
        assert_eq!(public("start_thread"), "start_thread");
    }

    #[test]
    fn a_function_of_ours_is_found_by_its_address() {
        let mut resolver = resolver();
        let code = resolver.code(modules::loaded as *const () as u64 + 1);
        let last = code.frames.last().unwrap();
        assert_eq!(&*last.function, "runtime_probe::sys::modules::loaded");
        assert!(last.file.ends_with("modules.rs"), "{}", last.file);
        assert_eq!(code.entry, modules::loaded as *const () as u64);
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn a_thread_in_the_kernel_is_behind_a_system_call() {
        let code = [0x90u8, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x0f, 0x05, 0x90];
        let at = |offset| std::ptr::from_ref(&code).addr() as u64 + offset;
        assert!(is_behind_system_call(at(9)));
        assert!(!is_behind_system_call(at(8)));
        assert!(!is_behind_system_call(at(10)));
        assert!(!is_behind_system_call(0));
        assert!(!is_behind_system_call(u64::MAX));
    }

    #[test]
    fn an_address_outside_of_code_is_nothing() {
        let mut resolver = resolver();
        assert!(resolver.code(8).frames.is_empty());
        assert!(resolver.code(u64::MAX).frames.is_empty());
    }
}
