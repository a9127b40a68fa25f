//! Named profiles, and their forms.

use crate::profile::named::{NamedProfile, PROFILES};
use crate::source;
use std::io::{self, Write};

/// A named profile. Mirrors Go's `pprof.Profile`.
#[derive(Clone, Copy, Debug)]
pub struct Profile(&'static NamedProfile);

/// The profile of that name: `goroutine`, `heap`, `allocs`, `block`, `mutex`, `threads` or `threadcreate`. Mirrors Go's `pprof.Lookup`.
///
/// ```
/// assert!(runtime_probe::pprof::lookup("goroutine").is_some());
/// assert!(runtime_probe::pprof::lookup("nosuch").is_none());
/// ```
pub fn lookup(name: &str) -> Option<Profile> {
    profiles().find(|profile| profile.name() == name)
}

/// All of them, in the order of their names. Mirrors Go's `pprof.Profiles`.
///
/// ```
/// let names: Vec<_> = runtime_probe::pprof::profiles().map(|profile| profile.name()).collect();
/// assert_eq!(names, ["allocs", "block", "goroutine", "heap", "mutex", "threadcreate", "threads"]);
/// ```
pub fn profiles() -> impl Iterator<Item = Profile> {
    PROFILES.iter().map(Profile)
}

impl Profile {
    /// Its name.
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// How many entries it has now: for `goroutine` the tasks alive, for `block` the places where something waited,
    /// for `mutex` those where a holder made others wait, for `threads` and `threadcreate` the threads. Mirrors Go's `Profile.Count`.
    pub fn count(&self) -> usize {
        (self.0.count)()
    }

    /// Writes it. `debug` 0 is gzipped `profile.proto`, 1 Go's text by count. `goroutine` has a block of text per task (2), and
    /// `profile.proto` with a sample for each task and its id, state and wait as labels (3); `threads` and `threadcreate` have a
    /// block of text per thread (2). Mirrors Go's `Profile.WriteTo`. Costs about a microsecond a task, on the calling thread; no
    /// task is disturbed.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for a `debug` that the profile has no form for; [`io::ErrorKind::Unsupported`] for `heap` and
    /// `allocs` without the global allocator [`heap::Allocator`](crate::pprof::heap::Allocator); those of `out`.
    ///
    /// ```
    /// let block = runtime_probe::pprof::lookup("block").unwrap();
    /// let refused = block.write_to(std::io::sink(), 2).unwrap_err();
    /// assert_eq!(refused.to_string(), "the profile block has no form for debug = 2: 0 and 1 are known");
    /// ```
    pub fn write_to(&self, mut out: impl Write, debug: u32) -> io::Result<()> {
        let NamedProfile {
            name, most_debug, ..
        } = self.0;
        if debug > *most_debug {
            let known: Vec<String> = (0..*most_debug).map(|form| form.to_string()).collect();
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "the profile {name} has no form for debug = {debug}: {} and {most_debug} are known",
                    known.join(", ")
                ),
            ));
        }
        source::start();
        source::heap::answering(|| (self.0.write)(&mut out, debug))
    }
}
