//! Raw stacks: return addresses as they lie in memory. No names here, those cost too much for where this runs.
//!
//! In reading order:
//! * [`intern`]: an append-only, lock-free table in which equal things are one thing;
//! * [`raw`]: a captured stack, and the set of stacks that one poll left behind;
//! * [`anchor`]: the registers at the point of capture;
//! * [`own`]: what a thread has at hand for a capture;
//! * [`signature`]: what of a word on the stack is a code address;
//! * [`unwind`]: walks from an anchor by the binary's own unwind tables;
//! * [`interrupted`]: the same from wherever a signal stopped a thread;
//! * [`walkers`]: what it takes, for many threads at once;
//! * [`path`]: where on the stack a known path's return addresses lie;
//! * [`word_lists`]: equal stacks are one, where nothing may be allocated;
//! * [`template`]: finds the path that is being taken among the known ones, so that most captures need no walk.

pub(crate) mod anchor;
pub(crate) mod intern;
pub(crate) mod interrupted;
pub(crate) mod own;
pub(crate) mod path;
pub(crate) mod raw;
pub(crate) mod signature;
pub(crate) mod template;
pub(crate) mod unwind;
pub(crate) mod walkers;
pub(crate) mod word_lists;
