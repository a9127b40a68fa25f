//! The types of channels' ends that a program may keep where the decoder does not look, or looks for names only: in closures and queues, also in the futures
//! there, behind shared pointers, in collections, in statics, in trait objects, and in enums and arrays of async bodies.
//!
//! A variable that was borrowed before it was moved is listed to the end of its scope. If a thread's closure or a map has
//! the end since, the variable looks like its only owner. Of types that are in no such place, it is the only owner.

use super::channels::is_end;
use super::plan::unresumed;
use crate::debug::index::Die;
use crate::debug::types::{Shape, Types};
use crate::numbers::NumberSet;
use std::collections::HashSet;

/// Generic types that keep their parameters where the decoder does not look, by the beginning of the name. The futures
/// in these are followed where a task awaits them.
const PLACES: [&[u8]; 5] = [b"ArcInner<", b"RcInner<", b"RcBox<", b"Vec<", b"Cell<"];

/// The same of types whose futures are not followed either. A `Block` is a part of an `mpsc` channel, with messages that were not
/// yet received.
const QUEUES: [&[u8]; 15] = [
    b"VecDeque<",
    b"LinkedList<",
    b"BinaryHeap<",
    b"LeafNode<",
    b"RawTable<",
    b"Block<",
    b"Slab<",
    b"RefCell<",
    b"Mutex<",
    b"RwLock<",
    b"OnceCell<",
    b"OnceLock<",
    b"LazyLock<",
    b"Lazy<",
    b"LazyCell<",
];

/// Crates whose closures have futures that become tasks. Any other closure with a future may block a thread on it, and the
/// futures of such threads are not read in the own process.
const SPAWNING: [&str; 6] = [
    "tokio::",
    "runtime_probe",
    "futures_util::",
    "core::",
    "alloc::",
    "std::",
];

/// The kinds of places, by what is read there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Sight {
    /// Ends are read.
    Read,
    /// Ends are not read, but async bodies are.
    Hidden,
    /// Nothing is read.
    HiddenWithFutures,
}

/// The paths of the types.
#[derive(Debug)]
pub(crate) struct Elsewhere {
    paths: HashSet<String>,
}

impl Elsewhere {
    /// Searches all types of a program.
    pub(crate) fn of(types: &Types<'_, '_>) -> Self {
        let index = types.index;
        let mut paths = HashSet::new();
        let mut seen: [NumberSet<Die>; 3] = Default::default();
        let mut next: Vec<(Die, Sight)> = Vec::new();
        for place in index.named(|name| begins(name, &PLACES) || begins(name, &QUEUES)) {
            let Some(of) = types.read(place) else {
                continue;
            };
            let sight = match begins(of.name.as_bytes(), &QUEUES) {
                true => Sight::HiddenWithFutures,
                false => Sight::Hidden,
            };
            next.extend(of.parameters.iter().map(|(_, die)| (*die, sight)));
        }
        for closure in index.named(is_closure) {
            let path = index.path(closure).unwrap_or_default();
            let spawns = SPAWNING.iter().any(|root| path.starts_with(root));
            let sight = if spawns {
                Sight::Hidden
            } else {
                Sight::HiddenWithFutures
            };
            next.push((closure, sight));
        }
        let objects = || {
            let objects = index.named(is_vtable);
            objects.filter_map(|vtable| index.implementor(vtable))
        };
        next.extend(objects().map(|object| (object, Sight::Hidden)));
        for body in index.named(is_body) {
            let Some(Shape::Enum(states)) = types.read(body).map(|of| of.shape) else {
                continue;
            };
            next.extend(
                states
                    .variants
                    .iter()
                    .map(|state| (state.member.of, Sight::Read)),
            );
        }
        // Whether trait objects that are futures may be where futures are not followed.
        let mut has_boxed_futures = false;
        while let Some((die, sight)) = next.pop() {
            let is_hidden = sight != Sight::Read;
            if !seen[sight as usize].insert(die) {
                continue;
            }
            let Some(of) = types.read(die) else { continue };
            if is_end(&of.path) {
                if is_hidden {
                    paths.insert(of.path);
                }
                continue;
            }
            if sight == Sight::HiddenWithFutures && is_boxed_future(&of.path) && !has_boxed_futures
            {
                has_boxed_futures = true;
                next.extend(objects().map(|object| (object, Sight::HiddenWithFutures)));
            }
            if is_body(of.name.as_bytes()) {
                if let (Sight::HiddenWithFutures, Shape::Enum(states)) = (sight, &of.shape) {
                    // An end that came there from a variable of a task was captured. Ends that the body makes itself are in
                    // no such variable.
                    let first = unresumed(types, states);
                    next.extend(first.map(|state| (state.member.of, sight)));
                }
                continue;
            }
            match of.shape {
                Shape::Structure(_) if of.path.starts_with("alloc::boxed::Box<[") => {
                    let each = types.find(die, "data_ptr");
                    let each = each.and_then(|(_, pointer)| types.pointee(pointer));
                    next.extend(each.map(|each| (each, sight.max(Sight::Hidden))));
                }
                Shape::Structure(members) => {
                    next.extend(members.iter().map(|member| (member.of, sight)));
                }
                Shape::Enum(variants) => {
                    // An end in an `Option` is read, what else an enum contains is not.
                    let payload = |die| types.find(die, "__0").map(|(_, of)| of);
                    let is_read = !is_hidden
                        && of.name.starts_with("Option<")
                        && variants.variants.iter().all(|variant| {
                            let payload = payload(variant.member.of);
                            payload.is_none_or(|of| is_end(&types.get(of).path))
                        });
                    let variants = variants.variants.iter();
                    let sight = match sight {
                        Sight::Read if !is_read => Sight::Hidden,
                        sight => sight,
                    };
                    next.extend(variants.map(|variant| (variant.member.of, sight)));
                }
                Shape::Array(Some(each)) => next.push((each, sight.max(Sight::Hidden))),
                Shape::Pointer(Some(inner)) if of.path.starts_with("alloc::boxed::Box<") => {
                    next.push((inner, sight));
                }
                _ => {}
            }
        }
        Self { paths }
    }

    /// Whether an end of this type may be there.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.paths.contains(path)
    }
}

fn begins(name: &[u8], prefixes: &[&[u8]]) -> bool {
    prefixes.iter().any(|prefix| name.starts_with(prefix))
}

fn is_boxed_future(path: &str) -> bool {
    path.starts_with("alloc::boxed::Box<") && path.contains("dyn core::future::future::Future<")
}

/// Whether the type is an async body, whose locals are read.
fn is_body(name: &[u8]) -> bool {
    name.starts_with(b"{async_")
}

fn is_closure(name: &[u8]) -> bool {
    name.starts_with(b"{closure_env#")
}

/// Whether the type is a vtable's, of another trait than those of formatting, which only borrow.
fn is_vtable(name: &[u8]) -> bool {
    let has = |part: &[u8]| name.windows(part.len()).any(|window| window == part);
    name.ends_with(b"::{vtable_type}") && !has(b" as core::fmt::")
}
