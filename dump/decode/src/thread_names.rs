//! The names that std keeps of its threads. The kernel's names are not in a core file.
//!
//! std has a thread-local pointer to the thread's own `Inner`. The debug information has the type `Inner`, because programs have code with
//! it, and not the variable, because std itself is compiled without types. So the variable's offset comes from the symbol table.

use crate::debug::index::Index;
use crate::debug::types::{Shape, Types};
use crate::memory::{Memory, Reader};

/// The variable with the pointer, since Rust 1.84.
pub const CURRENT: &str = "std::thread::current::CURRENT";

/// The variable with the number that std gave to the thread.
pub const ID: &str = "std::thread::current::id::ID";

/// Smaller values of `CURRENT` are marks: no thread, a thread that is being made, a thread that has ended.
const FIRST_POINTER: u64 = 4096;

/// The most bytes of a name.
const MOST_BYTES: usize = 4096;

/// The most bytes that are read of one thread.
const MOST_READ: u64 = 2 * MOST_BYTES as u64;

/// The offsets of the thread-local variables [`CURRENT`] and [`ID`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variables {
    /// The offset of `CURRENT`.
    pub current: u64,
    /// The offset of `ID`.
    pub id: u64,
}

/// The name of a thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ThreadName {
    /// This name.
    Named(String),
    /// std knows the thread and has no name of it: it was spawned without one, or it is the main thread.
    Unnamed,
    /// std does not know the thread: it was not spawned by std, or it begins or ends.
    NotOfStd,
}

/// Reads names of threads.
#[derive(Clone, Copy, Debug)]
pub struct ThreadNames {
    variables: Variables,
    /// The offset of the number, in the `Inner`.
    id: u64,
    /// The offset of the pointer to the name, as the next one.
    pointer: u64,
    /// The offset of the name's length.
    length: u64,
}

impl ThreadNames {
    /// Searches the type of a thread; `None` if the debug information does not have it.
    pub fn new(index: &Index<'_>, variables: Variables) -> Option<Self> {
        let types = Types::new(index);
        let inner = index.named(|name| name == b"Inner").find(|die| {
            let path = types.index.path(*die).unwrap_or_default();
            path.starts_with("std::thread::")
        })?;
        let (id, _) = types.find(inner, "id")?;
        let (place, option) = types.find(inner, "name")?;
        let Shape::Enum(of) = &types.get(option).shape else {
            return None;
        };
        // `None` has a null pointer to the text.
        let (offset, text) = of.variants.iter().find_map(|variant| {
            let (offset, of) = types.find(variant.member.of, "__0")?;
            Some((place + variant.member.offset + offset, of))
        })?;
        let (pointer, _) = types.find(text, "data_ptr")?;
        let (length, _) = types.find(text, "length")?;
        Some(Self {
            variables,
            id,
            pointer: offset + pointer,
            length: offset + length,
        })
    }

    /// The name of the thread whose variables begin at `variables`.
    pub fn read(&self, memory: &dyn Memory, variables: u64) -> ThreadName {
        let reader = Reader::new(memory, MOST_READ);
        self.try_read(&reader, variables)
            .unwrap_or(ThreadName::NotOfStd)
    }

    fn try_read(&self, reader: &Reader<'_>, variables: u64) -> Option<ThreadName> {
        let variable = |offset: u64| reader.word(variables.wrapping_add(offset));
        let inner = variable(self.variables.current).filter(|at| *at >= FIRST_POINTER)?;
        let of = |offset: u64| reader.word(inner.wrapping_add(offset));
        // Both have the same number, unless the pointer leads elsewhere.
        (variable(self.variables.id)? == of(self.id)?).then_some(())?;
        let pointer = of(self.pointer)?;
        if pointer == 0 {
            return Some(ThreadName::Unnamed);
        }
        // A C string ends with a zero byte.
        let length = of(self.length)?.checked_sub(1)?;
        let name = reader.text(pointer, length, MOST_BYTES)?;
        Some(ThreadName::Named(name))
    }
}
