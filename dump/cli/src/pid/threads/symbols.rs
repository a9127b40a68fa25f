//! The functions and lines of frames, inlined functions included.

use super::modules::Module;
use super::unwind::Frame;
use addr2line::Loader;
use runtime_dump::naming::name::readable;
use runtime_dump::naming::role;
use runtime_dump::stack::{self, Location};
use std::cell::OnceCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The names of the modules' functions, read at their first use.
pub(crate) struct Symbols<'m> {
    modules: Vec<(&'m Module, PathBuf, OnceCell<Option<Loader>>)>,
    known: HashMap<u64, Arc<Location>>,
}

impl<'m> Symbols<'m> {
    /// Prepares the names. Those of the program come from its debug file, if there is one.
    pub(crate) fn new(modules: &'m [Module], debug_file: Option<&Path>, program: &Path) -> Self {
        let of = |module: &'m Module| {
            let path = match debug_file {
                Some(debug_file) if module.file.path == program => debug_file.to_owned(),
                _ => module.file.path.clone(),
            };
            (module, path, OnceCell::new())
        };
        Self {
            modules: modules.iter().map(of).collect(),
            known: HashMap::new(),
        }
    }

    /// The functions and lines of a frame.
    pub(crate) fn location(&mut self, frame: &Frame) -> Arc<Location> {
        let lookup = frame.lookup();
        if let Some(known) = self.known.get(&lookup) {
            return known.clone();
        }
        let location = Arc::new(self.read(lookup));
        self.known.insert(lookup, location.clone());
        location
    }

    fn read(&self, lookup: u64) -> Location {
        let mut location = Location {
            return_address: lookup.wrapping_add(1).max(1),
            function_offset: None,
            frames: Vec::new(),
            hidden: false,
        };
        let module = self
            .modules
            .iter()
            .find(|(module, ..)| module.range.contains(&lookup));
        let Some((module, path, loader)) = module else {
            return location;
        };
        let Some(loader) = loader.get_or_init(|| Loader::new(path).ok()) else {
            return location;
        };
        let probe = lookup.wrapping_sub(module.bias);
        let mut frames = Vec::new();
        if let Ok(mut found) = loader.find_frames(probe) {
            while let Ok(Some(frame)) = found.next() {
                let function = frame.function.as_ref();
                let name = function.and_then(|function| Some(readable(&function.raw_name().ok()?)));
                let line = frame.location.as_ref();
                frames.push(stack::Frame {
                    function: name.unwrap_or_default().into(),
                    file: line.and_then(|line| line.file).unwrap_or_default().into(),
                    line: line.and_then(|line| line.line).unwrap_or(0),
                });
            }
        }
        // The symbol table has the full name of the outermost function.
        let symbol = loader.find_symbol_info(probe);
        if let Some(symbol) = symbol {
            let name: Arc<str> = readable(symbol.name()).into();
            location.function_offset = probe.checked_sub(symbol.address());
            match frames.last_mut() {
                Some(last) => last.function = name,
                None => frames.push(stack::Frame {
                    function: name,
                    file: "".into(),
                    line: 0,
                }),
            }
        }
        frames.retain(|frame| !frame.function.is_empty());
        location.hidden = !frames.is_empty()
            && frames.iter().all(|frame| {
                role::is_scaffolding(&frame.function)
                    || role::begins_thread(&frame.function)
                    || role::is_harness(&frame.function)
            });
        location.frames = frames;
        location
    }
}
