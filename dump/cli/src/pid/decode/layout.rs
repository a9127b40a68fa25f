//! Where in tokio's structures everything is, by the names of their members.

use super::Decoder;
use crate::pid::debug::index::{Die, Poll};
use crate::pid::debug::types::{POINTER, Shape};
use std::rc::Rc;

/// Offsets in a task's memory, from its header.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) size: u64,
    pub(super) state: u64,
    pub(super) vtable: u64,
    /// Of the pointer to the poll function in the vtable.
    pub(super) poll: u64,
    pub(super) id: u64,
    /// The future or its result.
    pub(super) stage: (u64, Die),
    pub(super) next: u64,
    pub(super) prev: u64,
    pub(super) scheduler: Option<(u64, Die)>,
    /// `None` unless tokio was built to keep it.
    pub(super) spawned_at: Option<(u64, Die)>,
}

impl Decoder<'_, '_, '_> {
    /// Of the tasks that a poll function is of.
    pub(super) fn layout(&mut self, poll: Poll) -> Option<Rc<Layout>> {
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
        let (poll, _) = types.find(types.pointee(vtable.1)?, "poll")?;
        let owned = within(trailer, "owned")?;
        let (stage, of) = types.find_type(core.1, "tokio::runtime::task::core::Stage<")?;
        Some(Layout {
            size: types.get(cell).size,
            state: within(header, "state")?.0,
            vtable: vtable.0,
            poll,
            id: within(core, "task_id")?.0,
            stage: (core.0 + stage, of),
            next: within(owned, "next")?.0,
            prev: within(owned, "prev")?.0,
            scheduler: within(core, "scheduler"),
            spawned_at: within(core, "spawned_at"),
        })
    }

    /// The layout of any task: their headers are alike.
    pub(super) fn any_layout(&mut self) -> Option<Rc<Layout>> {
        if self.any_layout.is_none() {
            let polls: Vec<Poll> = self.types.index.polls.values().flatten().copied().collect();
            self.any_layout = polls.into_iter().find_map(|poll| self.layout(poll));
        }
        self.any_layout.clone()
    }

    /// A structure of a pointer and a vtable: their offsets.
    pub(super) fn wide_pointer(&self, die: Die) -> Option<(u64, u64)> {
        self.pair_of(die, "pointer", "vtable")
    }

    /// A structure of a pointer and a length: their offsets, and of what.
    pub(super) fn slice(&self, die: Die) -> Option<(u64, u64, Die)> {
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
