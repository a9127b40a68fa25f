//! The built-in profiles by name, as Go's `pprof.Lookup` finds them.

use super::{block, goroutine, heap, leaks, mutex, threads};
use std::io::{self, Write};

/// A profile.
#[derive(Debug)]
pub(crate) struct NamedProfile {
    pub(crate) name: &'static str,
    /// The largest `debug` with a form.
    pub(crate) most_debug: u32,
    /// The number of entries now.
    pub(crate) count: fn() -> usize,
    /// Writes the form of `debug`, which is at most `most_debug`.
    pub(crate) write: fn(&mut dyn Write, debug: u32) -> io::Result<()>,
}

/// All built-in profiles, ordered by name.
pub(crate) static PROFILES: [NamedProfile; 8] = [
    heap::ALLOCS_PROFILE,
    block::PROFILE,
    goroutine::PROFILE,
    leaks::PROFILE,
    heap::HEAP_PROFILE,
    mutex::PROFILE,
    threads::CREATION_PROFILE,
    threads::PROFILE,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted() {
        assert!(PROFILES.windows(2).all(|pair| pair[0].name < pair[1].name));
    }
}
