//! The types of channels' ends that a program may keep where the decoder does not look: in closures, behind shared pointers,
//! in collections, in statics and in trait objects.
//!
//! A variable that was borrowed before it was moved is listed to the end of its scope. If a thread's closure or a map has
//! the end since, the variable looks like its only owner. Of types that are in no such place, it is the only owner.

use super::channels::is_end;
use crate::debug::index::Die;
use crate::debug::types::{Shape, Types};
use crate::numbers::NumberSet;
use std::collections::HashSet;

/// Generic types that keep their parameters where the decoder does not look, by the beginning of the name. A `Block` is a part of
/// an `mpsc` channel, with messages that were not yet received.
const PLACES: [&[u8]; 20] = [
    b"ArcInner<",
    b"RcInner<",
    b"RcBox<",
    b"Vec<",
    b"VecDeque<",
    b"LinkedList<",
    b"BinaryHeap<",
    b"LeafNode<",
    b"RawTable<",
    b"Block<",
    b"Slab<",
    b"Cell<",
    b"RefCell<",
    b"Mutex<",
    b"RwLock<",
    b"OnceCell<",
    b"OnceLock<",
    b"LazyLock<",
    b"Lazy<",
    b"LazyCell<",
];

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
        let mut seen: NumberSet<Die> = NumberSet::default();
        let mut next: Vec<Die> = Vec::new();
        for place in index.named(is_place) {
            let Some(of) = types.read(place) else { continue };
            next.extend(of.parameters.iter().map(|(_, die)| *die));
        }
        next.extend(index.named(is_closure));
        next.extend(index.named(is_vtable).filter_map(|vtable| index.implementor(vtable)));
        while let Some(die) = next.pop() {
            if !seen.insert(die) {
                continue;
            }
            let Some(of) = types.read(die) else { continue };
            if is_end(&of.path) {
                paths.insert(of.path);
                continue;
            }
            // The locals of async bodies are read.
            if of.name.starts_with("{async_") {
                continue;
            }
            match of.shape {
                Shape::Structure(members) => next.extend(members.iter().map(|member| member.of)),
                Shape::Enum(variants) => {
                    next.extend(variants.variants.iter().map(|variant| variant.member.of));
                }
                Shape::Array(Some(each)) => next.push(each),
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

fn is_place(name: &[u8]) -> bool {
    PLACES.iter().any(|place| name.starts_with(place))
}

fn is_closure(name: &[u8]) -> bool {
    name.starts_with(b"{closure_env#")
}

/// Whether the type is a vtable's, of another trait than those of formatting, which only borrow.
fn is_vtable(name: &[u8]) -> bool {
    let has = |part: &[u8]| name.windows(part.len()).any(|window| window == part);
    name.ends_with(b"::{vtable_type}") && !has(b" as core::fmt::")
}
