//! Raw stacks: return addresses. No names here: looking them up would take too long in a poll or a handler.
//!
//! In reading order:
//! * [`intern`]: an append-only, lock-free table in which equal values are stored once;
//! * [`raw`]: a captured stack;
//! * [`anchor`]: the registers at the point of capture;
//! * [`own`]: the thread-local state of captures;
//! * [`signature`]: the code address in a word of the stack;
//! * [`unwind`]: walks from an anchor by the binary's own unwind tables;
//! * [`interrupted`]: the same from any instruction that a signal interrupted;
//! * [`walkers`]: the memory for that, for many threads at once;
//! * [`path`]: a known path, with the stack offsets of its return addresses;
//! * [`wait_set`]: the set of stacks of one poll, with the path to its only one;
//! * [`word_lists`]: interned stacks in preallocated memory;
//! * [`template`]: finds the current path among the known ones, so that most captures need no walk.

pub(crate) mod anchor;
pub(crate) mod intern;
pub(crate) mod interrupted;
pub(crate) mod own;
pub(crate) mod path;
pub(crate) mod raw;
pub(crate) mod signature;
pub(crate) mod template;
pub(crate) mod unwind;
pub(crate) mod wait_set;
pub(crate) mod walkers;
pub(crate) mod word_lists;
