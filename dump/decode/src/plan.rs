//! The parts of a type that lead from a future to its leaf, compiled once for each type.

use super::Decoder;
use super::channels::Ends;
use super::held::Held;
use super::kept::KeptPart;
use super::leaf::{self, Row};
use super::model::Frame;
use super::way::Way;
use crate::debug::index::{Die, Position};
use crate::debug::types::{Enum, Member, Shape, Type, Types, Variant};
use runtime_dump::naming::name::readable;
use runtime_dump::naming::role::{is_macro_file, is_scaffolding};
use std::rc::Rc;

/// The offset and type of a part.
pub(crate) type Part = (u64, Die);

/// The parts of a type to follow.
#[derive(Debug)]
pub(crate) enum Plan {
    /// An async body.
    Coroutine {
        place: Option<(u64, u64)>,
        states: Vec<Rc<CoroutineState>>,
    },
    /// A pointer to a trait object.
    Dynamic {
        pointer: u64,
        vtable: u64,
    },
    Pointer(Die),
    /// An enum with one active variant.
    Variants {
        place: Option<(u64, u64)>,
        variants: Vec<(Option<u128>, Vec<Part>)>,
        /// The frame of a type without futures inside.
        leaf: Option<u32>,
    },
    /// A structure whose parts are polled side by side. Without parts it is a leaf.
    Structure {
        /// The way to the file descriptor.
        descriptor: Option<Way>,
        frame: Option<u32>,
        row: Option<&'static Row>,
        parts: Vec<Part>,
        /// Whether the future may poll more than its parts.
        polls_more: bool,
    },
    /// A pointer to a number of futures in a row.
    Row {
        pointer: u64,
        length: u64,
        each: Die,
    },
    /// A future behind a shared pointer. The pointer is null after the future has returned.
    Shared {
        frame: u32,
        pointer: u64,
        future: Part,
    },
    /// Futures in a linked list, each in a task of its own.
    Unordered {
        head: u64,
        next: u64,
        future: Part,
    },
}

/// A state of an async body.
#[derive(Debug)]
pub(crate) struct CoroutineState {
    pub(crate) value: Option<u128>,
    pub(crate) phase: Phase,
    /// The frames, the outermost first.
    pub(crate) frames: Vec<u32>,
    /// The awaited future.
    pub(crate) parts: Vec<Part>,
    pub(crate) held: Held,
    pub(crate) ends: Ends,
    pub(crate) kept: Vec<KeptPart>,
}

/// The phase of an async body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    NotPolled,
    Over,
    Suspended,
}

impl Plan {
    /// Whether the future leads to one other future, or to none.
    pub(crate) fn is_way(&self) -> bool {
        match self {
            Plan::Variants { variants, .. } => variants.iter().all(|(_, parts)| parts.len() <= 1),
            Plan::Structure { parts, .. } => parts.len() <= 1,
            Plan::Row { .. } | Plan::Unordered { .. } => false,
            Plan::Coroutine { .. } | Plan::Dynamic { .. } | Plan::Pointer(_) => true,
            Plan::Shared { .. } => true,
        }
    }

    /// Whether there is more to read of a structure than where the futures are.
    pub(crate) fn has_details(&self) -> bool {
        match self {
            Plan::Structure {
                descriptor,
                row,
                polls_more,
                ..
            } => *polls_more || descriptor.is_some() || row.is_some_and(|row| row.detail.is_some()),
            _ => false,
        }
    }
}

impl CoroutineState {
    /// Whether there is more to read than where the futures are.
    pub(crate) fn has_details(&self) -> bool {
        self.phase == Phase::NotPolled || !self.held.is_empty() || !self.ends.is_empty()
    }
}

impl Decoder<'_, '_, '_> {
    pub(crate) fn plan(&mut self, die: Die) -> Rc<Plan> {
        if let Some(known) = self.plans.get(&die) {
            return known.clone();
        }
        let plan = Rc::new(self.make_plan(die));
        self.plans.insert(die, plan.clone());
        plan
    }

    fn make_plan(&mut self, die: Die) -> Plan {
        let of = self.types.get(die);
        if let Some((pointer, vtable)) = self.wide_pointer(die) {
            return Plan::Dynamic { pointer, vtable };
        }
        if let Some((pointer, length, each)) = self.slice(die) {
            return Plan::Row {
                pointer,
                length,
                each,
            };
        }
        if let Some(plan) = self.collection(die, &of) {
            return plan;
        }
        match &of.shape {
            Shape::Enum(variants) if is_coroutine(&of) => self.coroutine(die, variants, &of),
            Shape::Enum(variants) => {
                let parts: Vec<_> = variants
                    .variants
                    .iter()
                    .map(|variant| {
                        let inner = self.types.get(variant.member.of);
                        let mut parts = match &inner.shape {
                            Shape::Structure(members) => self.parts(members),
                            _ => Vec::new(),
                        };
                        for part in &mut parts {
                            part.0 += variant.member.offset;
                        }
                        (variant.value, parts)
                    })
                    .collect();
                let leaf = (!self.holds_future(die)).then(|| self.type_frame(&of, true));
                Plan::Variants {
                    place: variants.discriminant,
                    variants: parts,
                    leaf,
                }
            }
            Shape::Pointer(Some(of)) => Plan::Pointer(*of),
            Shape::Structure(members) => {
                let row = leaf::row_of(&of.path);
                let parts: Vec<Part> = match row {
                    Some(row) if row.is_leaf => Vec::new(),
                    Some(Row {
                        only: Some(only), ..
                    }) => members
                        .iter()
                        .filter(|member| member.name == *only)
                        .map(|member| (member.offset, member.of))
                        .collect(),
                    _ => self.parts(members),
                };
                let is_plumbing = is_scaffolding(&of.path) && of.path.starts_with("core::")
                    || of.path.starts_with("alloc::")
                    || is_glue(&of);
                let frame = match parts.is_empty() {
                    true => Some(self.type_frame(&of, true)),
                    false if is_plumbing => None,
                    false => Some(self.type_frame(&of, false)),
                };
                let descriptor = (is_io(&of.path) && parts.is_empty())
                    .then(|| self.descriptor(die, 3))
                    .flatten();
                let polls_more = !parts.is_empty() && row.is_none() && self.polls_more(die, &of);
                Plan::Structure {
                    descriptor,
                    frame,
                    row,
                    parts,
                    polls_more,
                }
            }
            _ => Plan::Structure {
                descriptor: None,
                frame: Some(self.type_frame(&of, true)),
                row: None,
                parts: Vec::new(),
                polls_more: false,
            },
        }
    }

    /// Whether a structure with futures may poll more than these: a receiver, or what the function of a `poll_fn` borrows.
    fn polls_more(&mut self, die: Die, of: &Type) -> bool {
        if of.path.starts_with("tokio::") {
            return false;
        }
        if !is_poll_fn(&of.path) {
            return self.has_receiver(die);
        }
        let Some((_, function)) = of.parameters.first() else {
            return false;
        };
        let declared = self.types.index.function(*function);
        let file = declared.map(|function| self.types.index.file(function.position));
        let environment = self.types.get(*function);
        let is_librarys = environment.path.starts_with("tokio::")
            || file.is_some_and(|file| is_macro_file(&file));
        !is_librarys
            && members_of(&environment).iter().any(|member| {
                let is_borrowed = self.types.get(member.of).path.starts_with("&mut ");
                is_borrowed && !self.holds_future(member.of)
            })
    }

    fn parts(&mut self, members: &[Member]) -> Vec<Part> {
        members
            .iter()
            .filter(|member| self.holds_future(member.of))
            .map(|member| (member.offset, member.of))
            .collect()
    }

    fn collection(&mut self, die: Die, of: &Type) -> Option<Plan> {
        let types = self.types;
        if of.path.starts_with("alloc::vec::Vec<") {
            let (_, each) = of.parameters.iter().find(|(name, _)| name == "T")?;
            let (pointer, inner) = types.find(die, "ptr")?;
            let (length, _) = types.find(die, "len")?;
            let (offset, _) = types.peel(inner);
            return Some(Plan::Row {
                pointer: pointer + offset,
                length,
                each: *each,
            });
        }
        if of.path.starts_with(leaf::UNORDERED) {
            let (head, pointer) = types.find(die, "head_all")?;
            let task = types.pointee(pointer)?;
            let (next, _) = types.find(task, "next_all")?;
            let future = types.find(task, "future")?;
            return Some(Plan::Unordered { head, next, future });
        }
        if of.path.starts_with(leaf::SHARED) {
            let (at, option) = types.find(die, "inner")?;
            let (offset, arc) = self.payload(option)?;
            let (data, inner) = types.find(types.pointee(arc)?, "data")?;
            let (future, of_future) = types.find(inner, "future_or_output")?;
            return Some(Plan::Shared {
                frame: self.type_frame(of, false),
                pointer: at + offset,
                future: (data + future, of_future),
            });
        }
        None
    }

    /// The offset and type of an `Option`'s payload.
    pub(crate) fn payload(&self, option: Die) -> Option<Part> {
        let Shape::Enum(variants) = &self.types.get(option).shape else {
            return None;
        };
        variants.variants.iter().find_map(|variant| {
            let (offset, of) = self.types.find(variant.member.of, "__0")?;
            Some((variant.member.offset + offset, of))
        })
    }

    fn coroutine(&mut self, die: Die, variants: &Enum, of: &Type) -> Plan {
        let index = self.types.index;
        let function = index.function(die);
        let name = match function.and_then(|function| function.linkage_name) {
            Some(symbol) => readable(&String::from_utf8_lossy(symbol)),
            None => readable(&of.path.replace("_env#", "#")),
        };
        let unresumed = unresumed(self.types, variants);
        let declared = function
            .map(|function| function.position)
            .filter(|position| position.line > 0)
            .or(unresumed.map(|variant| variant.member.position));
        let unresumed = unresumed.map(|variant| self.types.get(variant.member.of));
        let captures = unresumed.as_deref().map_or(&[][..], members_of);
        let is_io = is_io(&name);
        let is_function = of.name.starts_with("{async_fn_env");
        let states = variants
            .variants
            .iter()
            .map(|variant| {
                let inner = self.types.get(variant.member.of);
                let phase = match inner.name.as_str() {
                    "Unresumed" => Phase::NotPolled,
                    "Returned" | "Panicked" => Phase::Over,
                    _ => Phase::Suspended,
                };
                let frames = self.coroutine_frames(&name, variant.member.position, declared);
                let offset = variant.member.offset;
                let members = members_of(&inner);
                let (locals, awaitee) = match phase {
                    Phase::Suspended => (
                        self.locals(members, captures, is_function),
                        members.iter().find(|member| member.name == "__awaitee"),
                    ),
                    Phase::NotPolled | Phase::Over => (Vec::new(), None),
                };
                let parts = awaitee.map(|awaitee| (offset + awaitee.offset, awaitee.of));
                let held = self.held(offset, &locals, is_io);
                let ends = match phase {
                    Phase::Suspended => self.ends(offset, &locals, awaitee, &name),
                    Phase::NotPolled => self.first_ends(offset, members),
                    Phase::Over => Ends::default(),
                };
                let kept = self.kept(offset, &locals);
                Rc::new(CoroutineState {
                    held,
                    ends,
                    kept,
                    value: variant.value,
                    phase,
                    frames,
                    parts: parts.into_iter().collect(),
                })
            })
            .collect();
        Plan::Coroutine {
            place: variants.discriminant,
            states,
        }
    }

    /// The variables in a state of an async body, without the future that it awaits.
    ///
    /// An async function moves its arguments to its own variables. An argument that is listed only at its original
    /// offset was moved away, so it is left out. A reference stays valid as long as the future exists.
    fn locals<'m>(
        &self,
        members: &'m [Member],
        captures: &[Member],
        is_function: bool,
    ) -> Vec<Local<'m>> {
        let is_at = |one: &Member, other: &Member| one.offset == other.offset && one.of == other.of;
        let mut locals: Vec<Local<'_>> = Vec::new();
        for member in members.iter().filter(|member| member.name != "__awaitee") {
            if locals.iter().any(|known| is_at(known.member, member)) {
                continue;
            }
            let is_once = members.iter().filter(|other| is_at(other, member)).count() == 1;
            let is_first = |capture: &Member| capture.name == member.name && is_at(capture, member);
            let is_captured = is_once
                && captures.iter().any(is_first)
                && !self.types.get(member.of).path.starts_with('&');
            if !(is_captured && is_function) {
                locals.push(Local {
                    member,
                    is_captured,
                });
            }
        }
        locals
    }

    /// The frame of an async body at the line of its await. For an await inside a macro the line is in the macro's
    /// file. Then the function is shown at its begin, and the macro is a frame of its own.
    fn coroutine_frames(
        &mut self,
        name: &str,
        awaits: Position,
        declared: Option<Position>,
    ) -> Vec<u32> {
        let index = self.types.index;
        let file = index.file(awaits);
        let whole = |function: &str, file: String, line| Frame {
            function: function.into(),
            file: file.into(),
            line,
            is_folded: false,
        };
        match macro_name(&file) {
            None => vec![self.frame(whole(name, file, awaits.line))],
            Some(macro_name) => {
                let declared = declared.unwrap_or_default();
                let outer = whole(name, index.file(declared), declared.line);
                let inner = whole(&macro_name, file, awaits.line);
                vec![self.frame(outer), self.frame(inner)]
            }
        }
    }

    /// The frame of a closure's or a function item's type.
    pub(crate) fn closure_frame(&mut self, die: Die) -> u32 {
        let path = self.types.get(die).path.replace("_env#", "#");
        let index = self.types.index;
        let function = index.function(die);
        let symbol = function.and_then(|function| function.linkage_name);
        let position = function
            .map(|function| function.position)
            .unwrap_or_default();
        self.frame(Frame {
            function: match symbol {
                Some(symbol) => readable(&String::from_utf8_lossy(symbol)).into(),
                None => readable(&path).into(),
            },
            file: index.file(position).into(),
            line: position.line,
            is_folded: false,
        })
    }

    /// The frame of a future that is no async body, named by its type.
    fn type_frame(&mut self, of: &Type, is_leaf: bool) -> u32 {
        let function = readable(&of.path);
        let root = function.split("::").next().unwrap_or_default();
        let is_folded = match is_leaf {
            true => function.starts_with("core::future::poll_fn"),
            false => !self
                .own_crates
                .contains(root.trim_start_matches(['<', '&'])),
        };
        self.frame(Frame {
            function: function.into(),
            file: "".into(),
            line: 0,
            is_folded,
        })
    }

    /// Whether this type can contain a future, by value or behind a pointer that owns or exclusively borrows it.
    pub(crate) fn holds_future(&mut self, die: Die) -> bool {
        if let Some(known) = self.holds.get(&die) {
            return *known;
        }
        // A recursive type needs another reason to hold a future.
        self.holds.insert(die, false);
        let holds = self.looks_like_future(die);
        self.holds.insert(die, holds);
        holds
    }

    fn looks_like_future(&mut self, die: Die) -> bool {
        let of = self.types.get(die);
        let path = &of.path;
        if self.wide_pointer(die).is_some() {
            let object = path.find("dyn ").map_or("", |at| &path[at..]);
            return is_owner(path)
                && ["Future", "Stream", "Body"]
                    .iter()
                    .any(|name| object.contains(name));
        }
        if let Some((_, _, each)) = self.slice(die) {
            return is_owner(path) && self.holds_future(each);
        }
        let has_plan = [leaf::UNORDERED, leaf::SHARED];
        if leaf::row_of(path).is_some() || has_plan.iter().any(|prefix| path.starts_with(prefix)) {
            return true;
        }
        if is_poll_fn(path) {
            return true;
        }
        if path.starts_with("alloc::vec::Vec<") {
            let each = of.parameters.iter().find(|(name, _)| name == "T");
            return each.is_some_and(|(_, each)| self.holds_future(*each));
        }
        match &of.shape {
            Shape::Enum(_) if is_coroutine(&of) => true,
            Shape::Enum(variants) => variants
                .variants
                .iter()
                .any(|variant| self.holds_future(variant.member.of)),
            Shape::Structure(_) if is_shared(path) => false,
            Shape::Structure(members) => members.iter().any(|member| self.holds_future(member.of)),
            Shape::Pointer(Some(inner)) if is_owner(path) => {
                // A shared reference leads to the futures of others, except for one that a macro has made.
                let is_borrowed = path.starts_with('&') && !path.starts_with("&mut ");
                let is_tuple = self.types.get(*inner).name.starts_with('(');
                (!is_borrowed || is_tuple) && self.holds_future(*inner)
            }
            _ => false,
        }
    }
}

/// A variable of a suspended async body.
#[derive(Debug)]
pub(crate) struct Local<'m> {
    pub(crate) member: &'m Member,
    /// Whether the variable is at the offset where the body received it. The compiler lists it there after a move, too.
    pub(crate) is_captured: bool,
}

/// The state of an async body before its first poll, with what it captured.
pub(crate) fn unresumed<'v>(types: &Types<'_, '_>, states: &'v Enum) -> Option<&'v Variant> {
    let mut states = states.variants.iter();
    states.find(|state| types.get(state.member.of).name == "Unresumed")
}

/// The members of a structure. Another type has none.
fn members_of(of: &Type) -> &[Member] {
    match &of.shape {
        Shape::Structure(members) => members,
        _ => &[],
    }
}

/// Whether the future is made of a function.
fn is_poll_fn(path: &str) -> bool {
    path.starts_with("core::future::poll_fn::PollFn<")
        || path.starts_with("futures_util::future::poll_fn::PollFn<")
}

/// Whether the type is the state of an async function, block or closure.
pub(crate) fn is_coroutine(of: &Type) -> bool {
    of.name.starts_with("{async_") && of.name.contains("_env#")
}

/// Whether the type is a tuple or a closure, which are between a macro and its branches.
fn is_glue(of: &Type) -> bool {
    !of.path.contains("::") || of.name.starts_with('(') || of.name.starts_with("{closure_env#")
}

/// Whether the type is a `Box` or a reference.
pub(crate) fn is_owner(path: &str) -> bool {
    path.starts_with('&') || path.starts_with("alloc::boxed::Box<")
}

/// Whether the type is a pointer to shared data.
fn is_shared(path: &str) -> bool {
    [
        "alloc::sync::",
        "alloc::rc::",
        "core::ptr::",
        "core::task::wake::",
        "core::sync::atomic::",
    ]
    .iter()
    .any(|prefix| path.starts_with(prefix))
}

/// Whether the future is one of tokio's that wait for a file descriptor.
fn is_io(path: &str) -> bool {
    ["tokio::net::", "tokio::io::"]
        .iter()
        .any(|prefix| path.trim_start_matches('<').starts_with(prefix))
}

/// The macro that contains the awaits of this file; `None` if the file is no macro's.
fn macro_name(file: &str) -> Option<String> {
    if !is_macro_file(file) {
        return None;
    }
    let stem = file.rsplit('/').next()?.trim_end_matches(".rs");
    let krate = match file.contains("/src/macros/") {
        true => "tokio",
        false => "futures",
    };
    Some(format!("{krate}::{}!", stem.trim_end_matches("_mod")))
}
