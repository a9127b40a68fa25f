//! What decodes, and what it learns.

use crate::channels::EndPart;
use crate::debug::index::{Die, Poll};
use crate::debug::types::Types;
use crate::layout::Layout;
use crate::memory::{Memory, Reader};
use crate::model::{Dump, Frame};
use crate::numbers::{NumberMap, NumberSet};
use crate::plan::Plan;
use crate::seeds;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// What bounds a dump.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Tasks of all runtimes.
    pub tasks: u64,
    /// Futures that are looked into for one task.
    pub nodes: u32,
    /// Futures inside each other.
    pub depth: u32,
    /// Futures side by side in one.
    pub children: u64,
    /// Bytes that are read for all of it.
    pub bytes: u64,
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
pub enum Look {
    /// All are read as decoding does, so that the memory has what that reads. Only which tasks they were is kept.
    All,
    /// As `All` for tasks that no such look has met. Of other tasks only their own memory is read, not what they point to.
    New,
    /// All are decoded.
    Decode,
}

/// The process as the decoder sees it.
pub struct Process<'m> {
    /// Its memory.
    pub memory: &'m dyn Memory,
    /// What was added to the program's addresses when it was loaded.
    pub bias: u64,
    /// How far below a thread's pointer its variables begin.
    pub thread_locals: u64,
    /// Its threads.
    pub threads: &'m [ThreadView],
    /// Schedulers that may be there beside those of the threads.
    pub seeds: &'m [seeds::Seed],
    /// Whether a later look is compared with this one.
    pub is_traced: bool,
}

/// A thread as the decoder sees it.
#[derive(Clone, Debug)]
pub struct ThreadView {
    /// Its number.
    pub tid: u32,
    /// Of its variables.
    pub pointer: u64,
    /// Its frames that are inside `block_on`, the innermost first.
    pub roots: Vec<RootFrame>,
}

/// A part of a stack.
#[derive(Clone, Debug)]
pub struct RootFrame {
    /// Types of the futures that may be in it.
    pub futures: Vec<Die>,
    /// Its lowest address.
    pub low: u64,
    /// The first address behind it.
    pub high: u64,
}

/// Decodes dumps; what it learns of types stays for the next one.
pub struct Decoder<'t, 'i, 'd> {
    pub(crate) types: &'t Types<'i, 'd>,
    pub(crate) own_crates: HashSet<String>,
    pub(crate) plans: NumberMap<Die, Rc<Plan>>,
    pub(crate) holds: NumberMap<Die, bool>,
    pub(crate) acquires: NumberMap<Die, bool>,
    pub(crate) ends: NumberMap<Die, Rc<[EndPart]>>,
    pub(crate) layouts: NumberMap<Die, Option<Rc<Layout>>>,
    pub(crate) any_layout: Option<Rc<Layout>>,
    /// The types of schedulers, once they are known.
    pub(crate) schedulers_behind_arcs: Option<Rc<[(u64, Die)]>>,
    /// What tasks with these vtables are, in this dump.
    pub(crate) vtables: NumberMap<u64, Option<(Rc<Layout>, Poll)>>,
    /// Tasks that a look at all has met: ids by addresses.
    pub(crate) met: NumberMap<u64, u64>,
    pub(crate) frames: Vec<Frame>,
    pub(crate) frame_numbers: HashMap<Frame, u32>,
    /// Addresses of the schedulers of this dump.
    pub(crate) schedulers: NumberSet<u64>,
    /// Whether what is followed may be no future at all.
    pub(crate) is_guessing: bool,
    /// Types by the addresses of vtables in the file.
    pub(crate) dynamic: NumberMap<u64, Option<Die>>,
}

impl<'t, 'i, 'd> Decoder<'t, 'i, 'd> {
    /// A decoder that knows no types yet.
    pub fn new(types: &'t Types<'i, 'd>) -> Self {
        Self {
            types,
            own_crates: types.index.own_crates(),
            plans: NumberMap::default(),
            holds: NumberMap::default(),
            acquires: NumberMap::default(),
            ends: NumberMap::default(),
            layouts: NumberMap::default(),
            any_layout: None,
            schedulers_behind_arcs: None,
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
    pub fn decode(&mut self, process: &Process<'_>, budget: Budget, look: Look) -> Dump {
        self.vtables.clear();
        let reader = Reader::new(process.memory, budget.bytes);
        let mut dump = Dump::default();
        self.find_tasks(process, &reader, budget, look, &mut dump);
        dump.out_of_bytes = reader.is_exhausted();
        dump.frames = self.frames.clone();
        dump
    }

    /// What chains point into. It grows with each dump.
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// The type of the object that has this vtable, by the vtable's address in the file.
    pub(crate) fn dynamic_type(&mut self, address: u64) -> Option<Die> {
        if let Some(known) = self.dynamic.get(&address) {
            return *known;
        }
        let index = self.types.index;
        let found = index.vtables.get(&address).and_then(|die| {
            let (_, unit, offset) = index.unit_of(*die)?;
            let start = die - u32::try_from(offset.0).ok()?;
            let entry = unit.entry(offset).ok()?;
            let containing = entry.attr_value(gimli::DW_AT_containing_type)?;
            crate::debug::index::reference(containing, start)
        });
        self.dynamic.insert(address, found);
        found
    }

    pub(crate) fn frame(&mut self, frame: Frame) -> u32 {
        if let Some(number) = self.frame_numbers.get(&frame) {
            return *number;
        }
        let number = u32::try_from(self.frames.len()).unwrap_or(u32::MAX);
        self.frames.push(frame.clone());
        self.frame_numbers.insert(frame, number);
        number
    }
}
