//! The decoder, and the state that it keeps between dumps.

use crate::channels::{Beside, Found};
use crate::debug::index::{Die, Poll};
use crate::debug::types::Types;
use crate::elsewhere::Elsewhere;
use crate::layout::Layout;
use crate::memory::{Memory, Reader};
use crate::model::{Dump, Frame, Stored};
use crate::numbers::{NumberMap, NumberSet};
use crate::plan::Plan;
use crate::routes::Routes;
use crate::runtimes::Stage;
use crate::seeds;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// The bounds of a dump.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// The most tasks of all runtimes.
    pub tasks: u64,
    /// The most futures that are followed for one task.
    pub nodes: u32,
    /// The most futures nested inside each other.
    pub depth: u32,
    /// The most futures side by side in one future.
    pub children: u64,
    /// The most bytes that are read for the whole dump.
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

/// The depth of a look at the tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Every task is read as in a decoding, so that a caching memory has the bytes. Only addresses and ids of the tasks
    /// are kept.
    All,
    /// Like `All` for tasks that the last look `All` has not met. Of the others only the task's own memory is read.
    New,
    /// Every task is decoded.
    Decode,
}

/// The process, as input of the decoder.
pub struct Process<'m> {
    /// The memory.
    pub memory: &'m dyn Memory,
    /// The offset that was added to the program's addresses at load time.
    pub bias: u64,
    /// The distance of a thread's variables below its thread pointer.
    pub thread_locals: u64,
    /// The threads.
    pub threads: &'m [ThreadView],
    /// Further schedulers that may exist, beside those of the threads.
    pub seeds: &'m [seeds::Seed],
    /// Whether a later look is compared with this one.
    pub is_traced: bool,
}

/// A thread, as input of the decoder.
#[derive(Clone, Debug)]
pub struct ThreadView {
    /// The kernel's id.
    pub tid: u32,
    /// The thread pointer, which the thread-local variables are relative to.
    pub pointer: u64,
    /// The frames inside `block_on`, the innermost first.
    pub roots: Vec<RootFrame>,
}

/// A part of a stack that may contain a future.
#[derive(Clone, Debug)]
pub struct RootFrame {
    /// The types of futures that may be there.
    pub futures: Vec<Die>,
    /// The lowest address.
    pub low: u64,
    /// The first address after the part.
    pub high: u64,
}

/// Decodes dumps. Knowledge of types is kept for later dumps.
pub struct Decoder<'t, 'i, 'd> {
    pub(crate) types: &'t Types<'i, 'd>,
    pub(crate) own_crates: HashSet<String>,
    pub(crate) plans: NumberMap<Die, Rc<Plan>>,
    /// The routes of walks, for one process.
    pub(crate) routes: Routes,
    pub(crate) holds: NumberMap<Die, bool>,
    pub(crate) acquires: NumberMap<Die, bool>,
    pub(crate) ends: NumberMap<Die, Rc<Found>>,
    /// The messages and collections that were read for this dump.
    pub(crate) beside: Beside,
    /// Whether the ends in a message are being found.
    pub(crate) is_in_message: bool,
    /// The types of ends that may be where the decoder does not look, after their first use.
    pub(crate) elsewhere: Option<Elsewhere>,
    pub(crate) layouts: NumberMap<Die, Option<Rc<Layout>>>,
    /// The states of a task's memory, by its type and that of the future.
    pub(crate) stages: NumberMap<(Die, Die), Stage>,
    /// The offsets of the seconds and nanoseconds of a timer's deadline.
    pub(crate) deadlines: NumberMap<Die, Option<(u64, u64)>>,
    pub(crate) any_layout: Option<Rc<Layout>>,
    /// The types of schedulers and their offsets behind an `Arc`'s counts, after their first use.
    pub(crate) schedulers_behind_arcs: Option<Rc<[(u64, Die)]>>,
    /// The layouts and types of tasks, by vtable, for this dump.
    pub(crate) vtables: NumberMap<u64, Option<(Rc<Layout>, Poll)>>,
    /// Ids of the tasks that the last look `All` has met, by address.
    pub(crate) met: NumberMap<u64, u64>,
    pub(crate) frames: Vec<Frame>,
    pub(crate) frame_numbers: HashMap<Frame, u32>,
    /// The addresses of the schedulers of this dump.
    pub(crate) schedulers: NumberSet<u64>,
    /// Whether the followed place may contain no future.
    pub(crate) is_guessing: bool,
    /// The types of trait objects, by the vtable's address in the file.
    pub(crate) dynamic: NumberMap<u64, Option<Die>>,
}

impl<'t, 'i, 'd> Decoder<'t, 'i, 'd> {
    /// Starts without any known type.
    pub fn new(types: &'t Types<'i, 'd>) -> Self {
        Self {
            types,
            own_crates: types.index.own_crates(),
            plans: NumberMap::default(),
            routes: Routes::default(),
            holds: NumberMap::default(),
            acquires: NumberMap::default(),
            ends: NumberMap::default(),
            beside: Beside::default(),
            is_in_message: false,
            elsewhere: None,
            layouts: NumberMap::default(),
            stages: NumberMap::default(),
            deadlines: NumberMap::default(),
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

    /// The number of tasks that the last look `All` has met.
    pub fn met(&self) -> usize {
        self.met.len()
    }

    /// Decodes all tasks of all runtimes. Only `Look::Decode` returns tasks.
    pub fn decode(&mut self, process: &Process<'_>, budget: Budget, look: Look) -> Dump {
        self.vtables.clear();
        self.routes = Routes::default();
        self.beside = Beside::default();
        if look == Look::All {
            self.met.clear();
        }
        let reader = Reader::new(process.memory, budget.bytes);
        let mut dump = Dump::default();
        self.find_tasks(process, &reader, budget, look, &mut dump);
        dump.out_of_bytes = reader.is_exhausted();
        dump.stored = self.take_stored();
        dump.frames = self.frames.clone();
        dump
    }

    /// The ends of channels that are in no variable, of the tasks that were decoded since the last call.
    pub fn take_stored(&mut self) -> Stored {
        let Beside {
            inboxes,
            collections,
            tokens,
        } = std::mem::take(&mut self.beside);
        Stored {
            unreceived: inboxes.unreceived,
            collected: collections.collected,
            left_out: collections.left_out,
            parents: tokens.parents,
        }
    }

    /// The frames that chains refer to. Each dump adds frames.
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// The type of a trait object, by the address of its vtable in the file.
    pub(crate) fn dynamic_type(&mut self, address: u64) -> Option<Die> {
        if let Some(known) = self.dynamic.get(&address) {
            return *known;
        }
        let index = self.types.index;
        let vtable = index.vtables.get(&address);
        let found = vtable.and_then(|vtable| index.implementor(*vtable));
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
