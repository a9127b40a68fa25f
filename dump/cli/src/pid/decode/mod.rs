//! Memory and types in, tasks out.
//!
//! The decoder knows no process: it reads through [`Memory`] and an index of types. The memory may be anything: freed,
//! half written, hostile. So the decoder is total: nothing that is read is trusted, and each loop has a bound.
//!
//! * [`memory`]: numbers and variants from memory, within a bound of bytes;
//! * [`layout`]: where in tokio's structures everything is;
//! * [`runtimes`]: runtimes and their lists of tasks;
//! * [`list`]: a list that a thread may be changing;
//! * [`seeds`]: schedulers that no thread is inside of;
//! * [`roots`]: futures that threads are blocked on;
//! * [`plan`]: what to follow in a type, compiled once;
//! * [`chain`]: from a task's future down to what it waits for;
//! * [`held`]: what an async body has beside what it awaits;
//! * [`leaf`]: what is known of a leaf beside its name;
//! * [`pool`]: blocking closures that wait for a thread;
//! * [`workers`]: what a runtime counts of its workers;
//! * [`trace`]: what a poll changes;
//! * [`model`]: the result.

mod chain;
mod held;
mod layout;
mod leaf;
mod list;
mod memory;
pub(crate) mod model;
mod plan;
mod pool;
mod roots;
mod runtimes;
pub(crate) mod seeds;
#[cfg(test)]
mod tests;
mod trace;
mod workers;

use crate::pid::debug::index::{Die, Poll};
use crate::pid::debug::types::Types;
use crate::pid::numbers::{NumberMap, NumberSet};
use layout::Layout;
use memory::Reader;
pub(crate) use memory::{Memory, each_chunk};
use model::{Dump, Frame};
use plan::Plan;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// What bounds a dump.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    /// Tasks of all runtimes.
    pub(crate) tasks: u64,
    /// Futures that are looked into for one task.
    pub(crate) nodes: u32,
    /// Futures inside each other.
    pub(crate) depth: u32,
    /// Futures side by side in one.
    pub(crate) children: u64,
    /// Bytes that are read for all of it.
    pub(crate) bytes: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            tasks: 4_000_000,
            nodes: 5_000,
            depth: 250,
            children: 1_000,
            bytes: 16 << 30,
        }
    }
}

/// How closely tasks are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// All are read as decoding does, so that the memory has what that reads. Only which tasks they were is kept.
    All,
    /// The same of tasks that no such look has met; of the others only their own memory is read, not what they point to.
    New,
    /// All are decoded.
    Decode,
}

/// The process as the decoder sees it.
pub(crate) struct Process<'m> {
    pub(crate) memory: &'m dyn Memory,
    /// What was added to the program's addresses when it was loaded.
    pub(crate) bias: u64,
    /// How far below a thread's pointer its variables begin.
    pub(crate) thread_locals: u64,
    pub(crate) threads: &'m [ThreadView],
    /// Schedulers that may be there beside those of the threads.
    pub(crate) seeds: &'m [seeds::Seed],
    /// Whether a later look is compared with this one.
    pub(crate) is_traced: bool,
}

/// A thread as the decoder sees it.
#[derive(Clone, Debug)]
pub(crate) struct ThreadView {
    pub(crate) tid: u32,
    /// Of its variables.
    pub(crate) pointer: u64,
    /// Its frames that are inside `block_on`, the innermost first.
    pub(crate) roots: Vec<RootFrame>,
}

/// A part of a stack.
#[derive(Clone, Debug)]
pub(crate) struct RootFrame {
    pub(crate) futures: Vec<Die>,
    pub(crate) low: u64,
    pub(crate) high: u64,
}

/// Decodes dumps; what it learns of types stays for the next one.
pub(crate) struct Decoder<'t, 'i, 'd> {
    types: &'t Types<'i, 'd>,
    own_crates: HashSet<String>,
    plans: NumberMap<Die, Rc<Plan>>,
    holds: NumberMap<Die, bool>,
    layouts: NumberMap<Die, Option<Rc<Layout>>>,
    any_layout: Option<Rc<Layout>>,
    /// What tasks with these vtables are, in this dump.
    vtables: NumberMap<u64, Option<(Rc<Layout>, Poll)>>,
    /// Tasks that a look at all has met: ids by addresses.
    met: NumberMap<u64, u64>,
    frames: Vec<Frame>,
    frame_numbers: HashMap<Frame, u32>,
    /// Addresses of the schedulers of this dump.
    schedulers: NumberSet<u64>,
    /// Whether what is followed may be no future at all.
    is_guessing: bool,
    /// Types by the addresses of vtables in the file.
    dynamic: NumberMap<u64, Option<Die>>,
}

impl<'t, 'i, 'd> Decoder<'t, 'i, 'd> {
    /// One that has learned nothing yet.
    pub(crate) fn new(types: &'t Types<'i, 'd>) -> Self {
        Self {
            types,
            own_crates: types.index.own_crates(),
            plans: NumberMap::default(),
            holds: NumberMap::default(),
            layouts: NumberMap::default(),
            any_layout: None,
            vtables: NumberMap::default(),
            met: NumberMap::default(),
            frames: Vec::new(),
            frame_numbers: HashMap::new(),
            schedulers: NumberSet::default(),
            is_guessing: false,
            dynamic: NumberMap::default(),
        }
    }

    /// All tasks of all runtimes. A look that keeps none returns none.
    pub(crate) fn decode(&mut self, process: &Process<'_>, budget: Budget, look: Look) -> Dump {
        self.vtables.clear();
        let reader = Reader::new(process.memory, budget.bytes);
        let mut dump = Dump::default();
        self.find_tasks(process, &reader, budget, look, &mut dump);
        dump.out_of_bytes = reader.is_exhausted();
        dump.frames = self.frames.clone();
        dump
    }

    /// The type of the object that has this vtable, by the vtable's address in the file.
    fn dynamic_type(&mut self, address: u64) -> Option<Die> {
        if let Some(known) = self.dynamic.get(&address) {
            return *known;
        }
        let index = self.types.index;
        let found = index.vtables.get(&address).and_then(|die| {
            let (_, unit, offset) = index.unit_of(*die)?;
            let start = die - u32::try_from(offset.0).ok()?;
            let entry = unit.entry(offset).ok()?;
            let containing = entry.attr_value(gimli::DW_AT_containing_type)?;
            crate::pid::debug::index::reference(containing, start)
        });
        self.dynamic.insert(address, found);
        found
    }

    fn frame(&mut self, frame: Frame) -> u32 {
        if let Some(number) = self.frame_numbers.get(&frame) {
            return *number;
        }
        let number = u32::try_from(self.frames.len()).unwrap_or(u32::MAX);
        self.frames.push(frame.clone());
        self.frame_numbers.insert(frame, number);
        number
    }
}
