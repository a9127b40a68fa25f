//! Named profiles.

use crate::pages::routes;
use crate::profile::condensed::Crates;
use crate::profile::custom::Custom;
use crate::profile::named::{NamedProfile, PROFILES};
use crate::registry::custom::{self, CustomProfile, MOST_PROFILES, Refused};
use crate::source;
use std::fmt;
use std::io::{self, Write};

/// A named profile: a built-in one, or one of the program's own ([`Profile::new`]). Mirrors Go's `pprof.Profile`.
#[derive(Clone, Copy, Debug)]
pub struct Profile(Kind);

#[derive(Clone, Copy, Debug)]
enum Kind {
    Named(&'static NamedProfile),
    Custom(&'static CustomProfile),
}

/// The profile of that name: `goroutine`, `goroutineleak`, `heap`, `allocs`, `block`, `mutex`, `threads` or `threadcreate`, or one of the
/// program's own. Mirrors Go's `pprof.Lookup`.
///
/// ```
/// assert!(runtime_probe::pprof::lookup("goroutine").is_some());
/// assert!(runtime_probe::pprof::lookup("nosuch").is_none());
/// ```
pub fn lookup(name: &str) -> Option<Profile> {
    profiles().find(|profile| profile.name() == name)
}

/// All profiles: the built-in ones ordered by name, then the program's own ordered by name. Mirrors Go's
/// `pprof.Profiles`.
///
/// ```
/// let names: Vec<_> = runtime_probe::pprof::profiles().map(|profile| profile.name()).collect();
/// assert_eq!(names[..4], ["allocs", "block", "goroutine", "goroutineleak"]);
/// assert_eq!(names[4..], ["heap", "mutex", "threadcreate", "threads"]);
/// ```
pub fn profiles() -> impl Iterator<Item = Profile> {
    let named = PROFILES.iter().map(Kind::Named);
    let custom = custom::all().into_iter().map(Kind::Custom);
    named.chain(custom).map(Profile)
}

impl Profile {
    /// A profile of the program's own, for resources that it holds: connections, transactions, open files. It is on the
    /// index page and at `/debug/pprof/NAME` until the process ends. Mirrors Go's `pprof.NewProfile`.
    ///
    /// # Errors
    /// A profile or a page has that name already; the name is not 1 to 64 letters, digits, `_`, `-` and `.`; or there
    /// are 64 profiles. Go panics in these cases.
    ///
    /// ```
    /// use runtime_probe::pprof::Profile;
    ///
    /// let connections = Profile::new("connections")?;
    /// let socket = 17; // A file descriptor, an id, an address: what tells one value from another.
    /// assert!(connections.add(socket));
    /// assert_eq!(connections.count(), 1);
    /// assert!(connections.remove(socket));
    /// assert!(Profile::new("connections").is_err());
    /// # Ok::<(), runtime_probe::pprof::NewProfileError>(())
    /// ```
    pub fn new(name: &str) -> Result<Profile, NewProfileError> {
        source::start();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        let entered = match name.len() {
            1..=64 if name.chars().all(is_plain) => match routes::is_taken(name) {
                true => Err(Refused::Taken),
                false => custom::enter(name),
            },
            _ => return Err(NewProfileError(WrongName::NotPlain)),
        };
        match entered {
            Ok(profile) => Ok(Profile(Kind::Custom(profile))),
            Err(Refused::Taken) => Err(NewProfileError(WrongName::Taken)),
            Err(Refused::TooMany) => Err(NewProfileError(WrongName::TooMany)),
        }
    }

    /// Adds a value to a profile of the program's own, under the stack of this call: the task's, or outside of any task
    /// the thread's. Returns whether it was added. It is not if it is in the profile already, if there are 1,048,576
    /// values (the profile has a remark then), or if the profile is a built-in one. Any thread may call it. The cost is
    /// a walk of known frames, and a lock during the look-up of the value. Mirrors Go's `Profile.Add`.
    #[inline(never)]
    pub fn add(&self, value: u64) -> bool {
        match self.0 {
            Kind::Named(_) => false,
            Kind::Custom(profile) => profile.add(value, source::stack_here()),
        }
    }

    /// Removes a value. Returns whether it was in the profile. Mirrors Go's `Profile.Remove`.
    pub fn remove(&self, value: u64) -> bool {
        match self.0 {
            Kind::Named(_) => false,
            Kind::Custom(profile) => profile.remove(value),
        }
    }

    /// The profile's name.
    pub fn name(&self) -> &'static str {
        match self.0 {
            Kind::Named(profile) => profile.name,
            Kind::Custom(profile) => profile.name(),
        }
    }

    /// The number of entries now: for `goroutine` the live tasks, for `block` the stacks that waited, for `mutex` the
    /// stacks whose release ended waits of others, for `threads` and `threadcreate` the threads, for a profile of the
    /// program's own the values. Mirrors Go's `Profile.Count`.
    pub fn count(&self) -> usize {
        match self.0 {
            Kind::Named(profile) => (profile.count)(),
            Kind::Custom(profile) => profile.len(),
        }
    }

    /// Writes the profile. `debug` 0 is gzipped `profile.proto`, 1 is Go's text by count. For `goroutine`, 2 is a block
    /// of text per task, and 3 is `profile.proto` with a sample for each task and its id, state and wait as labels. For
    /// `threads` and `threadcreate`, 2 is a block of text per thread. Mirrors Go's `Profile.WriteTo`. Costs about a
    /// microsecond a task, on the calling thread; no task is disturbed.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for a `debug` that the profile has no form for; [`io::ErrorKind::Unsupported`]
    /// for `heap` and `allocs` without the global allocator [`heap::Allocator`](crate::pprof::heap::Allocator); and
    /// errors of `out`.
    ///
    /// ```
    /// let block = runtime_probe::pprof::lookup("block").unwrap();
    /// let refused = block.write_to(std::io::sink(), 2).unwrap_err();
    /// assert_eq!(refused.to_string(), "the profile block has no form for debug = 2: 0 and 1 are known");
    /// ```
    pub fn write_to(&self, mut out: impl Write, debug: u32) -> io::Result<()> {
        let name = self.name();
        let most_debug = match self.0 {
            Kind::Named(profile) => profile.most_debug,
            Kind::Custom(_) => 1,
        };
        if debug > most_debug {
            let known: Vec<String> = (0..most_debug).map(|form| form.to_string()).collect();
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "the profile {name} has no form for debug = {debug}: {} and {most_debug} are known",
                    known.join(", ")
                ),
            ));
        }
        source::start();
        source::heap::answering(|| match self.0 {
            Kind::Named(profile) => (profile.write)(&mut out, debug),
            Kind::Custom(profile) => {
                let values = Custom::collect(profile, &Crates::default());
                match debug {
                    0 => out.write_all(&values.profile().to_gzip()),
                    _ => values.write_text(out),
                }
            }
        })
    }
}

/// Why there is no profile of that name.
#[derive(Debug)]
pub struct NewProfileError(WrongName);

#[derive(Debug)]
enum WrongName {
    Taken,
    NotPlain,
    TooMany,
}

impl std::error::Error for NewProfileError {}

impl fmt::Display for NewProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            WrongName::Taken => f.write_str("there is a profile or a page of this name already"),
            WrongName::NotPlain => {
                f.write_str("a name is 1 to 64 letters, digits, '_', '-' and '.'")
            }
            WrongName::TooMany => write!(f, "there are {MOST_PROFILES} profiles already"),
        }
    }
}
