//! Profiles of the program's own, as Go's `pprof.NewProfile`: the values that were added and not removed, by the stack
//! that added them.

use super::condensed::Crates;
use super::goroutine::missing;
use super::leaf_stacks::assemble;
use super::mappings::mappings;
use crate::clock;
use crate::registry::custom::{self, CustomProfile};
use crate::snapshot::remaining::Remaining;
use crate::symbol::name::Names;
use crate::symbol::resolver::resolver;
use crate::symbol::role;
use runtime_dump::profile::count::CountProfile;
use runtime_dump::profile::proto;
use runtime_dump::stack::{Location, Mapping, Stack};
use std::io::{self, Write};

/// The profile of that name.
pub(crate) fn find(name: &str) -> Option<&'static CustomProfile> {
    let mut all = custom::all().into_iter();
    all.find(|profile| profile.name() == name)
}

/// (name, number of values) of all profiles, ordered by name.
pub(crate) fn counts() -> Vec<(&'static str, usize)> {
    let all = custom::all().into_iter();
    all.map(|profile| (profile.name(), profile.len())).collect()
}

/// The values of a profile, with names.
pub(crate) struct Custom {
    counts: CountProfile,
    mappings: Vec<Mapping>,
    time_ns: i64,
}

impl Custom {
    /// Counts the values of now.
    pub(crate) fn collect(profile: &CustomProfile, crates: &Crates) -> Self {
        crate::stack::unwind::refresh();
        let stacks = profile.stacks();
        let mut resolver = resolver();
        let named = stacks.iter().map(|(waits, count)| {
            let mut stack = match waits {
                Some(waits) => {
                    let names = Names::Short;
                    assemble(waits, Remaining::All, None, names, &mut resolver).stack
                }
                None => missing("more stacks than are kept apart"),
            };
            begin_with_the_caller(&mut stack);
            crates.condense(&mut stack);
            (stack, *count)
        });
        let named: Vec<_> = named.collect();
        let records = named.iter().map(|(stack, count)| (stack, *count));
        let mut counts = CountProfile::new(profile.name(), records);
        if profile.dropped() > 0 {
            counts.comment(format!(
                "{} values were not added: the profile was full",
                profile.dropped()
            ));
        }
        Custom {
            counts,
            mappings: mappings(&resolver),
            time_ns: clock::wall_ns(),
        }
    }

    /// The binary form.
    pub(crate) fn profile(&self) -> proto::Profile {
        self.counts.to_profile(&self.mappings, self.time_ns)
    }

    /// The same without scaffolding.
    pub(crate) fn shown_profile(&self) -> proto::Profile {
        self.counts.shown().to_profile(&self.mappings, self.time_ns)
    }

    /// The text of `debug=1`.
    ///
    /// # Errors
    /// The errors of `out`.
    pub(crate) fn write_text(&self, out: impl Write) -> io::Result<()> {
        super::address_names::remember(self.counts.locations());
        self.counts.write_text(out)
    }
}

/// As in Go, the stack of a value begins with the function that called `add`, not with the probe's frames.
fn begin_with_the_caller(stack: &mut Stack) {
    let is_own = |location: &Location| {
        let mut frames = location.frames.iter();
        !location.frames.is_empty() && frames.all(|frame| role::is_own(&frame.function))
    };
    let own = stack.trunk.iter().take_while(|location| is_own(location));
    let own = own.count();
    if own < stack.trunk.len() {
        stack.trunk.drain(..own);
        stack.elided = stack
            .elided
            .map(|(gap, elided)| (gap.saturating_sub(own), elided));
    }
}
