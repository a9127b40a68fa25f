//! The layout of tokio's structures, by the names of their members.

use super::Decoder;
use crate::debug::index::{Die, Poll};
use crate::debug::types::{POINTER, Shape};
use std::rc::Rc;

/// Offsets in a task's memory, relative to its header.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) size: u64,
    pub(crate) state: u64,
    pub(crate) vtable: u64,
    /// The offset of the pointer to the poll function in the vtable.
    pub(crate) poll: u64,
    pub(crate) id: u64,
    /// The future or its result.
    pub(crate) stage: (u64, Die),
    pub(crate) next: u64,
    pub(crate) prev: u64,
    pub(crate) any: Option<AnyTask>,
    pub(crate) scheduler: Option<(u64, Die)>,
    /// `None` unless tokio was built with spawn locations.
    pub(crate) spawned_at: Option<(u64, Die)>,
}

/// The offsets of the parts of a task of any type, from its vtable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AnyTask {
    /// The offsets in the vtable of the offsets of the task's trailer, scheduler and id.
    pub(crate) trailer: u64,
    pub(crate) scheduler: u64,
    pub(crate) id: u64,
    /// The offsets in the trailer.
    pub(crate) next: u64,
    pub(crate) prev: u64,
}

impl Decoder<'_, '_, '_> {
    /// The layout of the tasks with this poll function.
    pub(crate) fn layout(&mut self, poll: Poll) -> Option<Rc<Layout>> {
        let cell = self.types.index.cell(poll)?;
        if let Some(known) = self.layouts.get(&cell) {
            return known.clone();
        }
        let layout = self.read_layout(cell).map(Rc::new);
        self.layouts.insert(cell, layout.clone());
        layout
    }

    fn read_layout(&self, cell: Die) -> Option<Layout> {
        let types = self.types;
        let header = types.find(cell, "header")?;
        let core = types.find(cell, "core")?;
        let trailer = types.find(cell, "trailer")?;
        let within = |outer: (u64, Die), name| {
            let (offset, die) = types.find(outer.1, name)?;
            Some((outer.0 + offset, die))
        };
        let vtable = within(header, "vtable")?;
        let functions = types.pointee(vtable.1)?;
        let (poll, _) = types.find(functions, "poll")?;
        let owned = within(trailer, "owned")?;
        let (stage, of) = types.find_type(core.1, "tokio::runtime::task::core::Stage<")?;
        let (next, prev) = (within(owned, "next")?.0, within(owned, "prev")?.0);
        let offset = |name| Some(types.find(functions, name)?.0);
        let any = || {
            Some(AnyTask {
                trailer: offset("trailer_offset")?,
                scheduler: offset("scheduler_offset")?,
                id: offset("id_offset")?,
                next: next - trailer.0,
                prev: prev - trailer.0,
            })
        };
        Some(Layout {
            any: any(),
            size: types.get(cell).size,
            state: within(header, "state")?.0,
            vtable: vtable.0,
            poll,
            id: within(core, "task_id")?.0,
            stage: (core.0 + stage, of),
            next,
            prev,
            scheduler: within(core, "scheduler"),
            spawned_at: within(core, "spawned_at"),
        })
    }

    /// The layout of some task. The headers of all tasks are alike.
    pub(crate) fn any_layout(&mut self) -> Option<Rc<Layout>> {
        if self.any_layout.is_none() {
            let polls: Vec<Poll> = self.types.index.polls.values().flatten().copied().collect();
            self.any_layout = polls.into_iter().find_map(|poll| self.layout(poll));
        }
        self.any_layout.clone()
    }

    /// The offsets of the pointer and the vtable of a wide pointer.
    pub(crate) fn wide_pointer(&self, die: Die) -> Option<(u64, u64)> {
        self.pair_of(die, "pointer", "vtable")
    }

    /// The offsets of the pointer and the length of a slice, and the type of its elements.
    pub(crate) fn slice(&self, die: Die) -> Option<(u64, u64, Die)> {
        let (pointer, length) = self.pair_of(die, "data_ptr", "length")?;
        let (_, of) = self.types.find(die, "data_ptr")?;
        match self.types.get(of).shape {
            Shape::Pointer(Some(of)) => Some((pointer, length, of)),
            _ => None,
        }
    }

    fn pair_of(&self, die: Die, first: &str, second: &str) -> Option<(u64, u64)> {
        let of = self.types.get(die);
        let Shape::Structure(members) = &of.shape else {
            return None;
        };
        let offset = |name: &str| {
            let found = members.iter().find(|member| member.name == name)?;
            Some(found.offset)
        };
        (of.size == 2 * POINTER).then_some((offset(first)?, offset(second)?))
    }
}
