//! The profiles `heap` and `allocs`, as Go's: allocations by stack. They differ in the value that is shown first.
//!
//! A stack begins with the function that called an allocating one. The frames of the allocator and of the standard
//! library's collections and smart pointers below it are left out, as Go leaves out its runtime. A task's stack ends at
//! its root, as a goroutine's does.

use super::condensed::{Crates, crate_of};
use super::conditions::{self, Condition};
use super::diagnosis::OFF;
use super::goroutine::missing;
use super::leaf_stacks::{Innermost, Leaf, Step, expand, leave_out, locations};
use super::mappings::mappings;
use super::named::NamedProfile;
use crate::clock;
use crate::snapshot::heap::{self as snapshot, Heap, Samples, SplitBy};

use crate::source::heap;
use crate::source::{self};
use crate::symbol::name::Names;
use crate::symbol::resolver::{Resolver, resolver};
use crate::symbol::role;
use crate::tally::allocations::{Missing, Sum};
use runtime_dump::profile::heap::{Allocated, HeapProfile, Objects};
use runtime_dump::profile::mem_stats::MemStats;
use runtime_dump::profile::proto;
use runtime_dump::stack::{Mapping, Stack};
use std::io::{self, Write};
use std::time::Duration;

/// The value that is shown first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shows {
    /// `heap`: live allocations.
    InUse,
    /// `allocs`: all allocations since the start.
    Allocated,
}

impl Shows {
    /// The name, as in Go.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Shows::InUse => "heap",
            Shows::Allocated => "allocs",
        }
    }
}

/// The entry of `heap` in the list of profiles.
pub(crate) const HEAP_PROFILE: NamedProfile = NamedProfile {
    name: Shows::InUse.name(),
    most_debug: 1,
    count,
    write: |out, debug| write(Shows::InUse, out, debug),
};
pub(crate) const ALLOCS_PROFILE: NamedProfile = NamedProfile {
    name: Shows::Allocated.name(),
    most_debug: 1,
    count,
    write: |out, debug| write(Shows::Allocated, out, debug),
};

fn write(shows: Shows, out: &mut dyn Write, debug: u32) -> io::Result<()> {
    if let Some(why) = unavailable() {
        return Err(io::Error::new(io::ErrorKind::Unsupported, why));
    }
    let allocations = Allocations::collect(shows, SplitBy::default(), &Crates::default());
    match debug {
        0 => out.write_all(&allocations.profile().to_gzip()),
        _ => allocations.write_text(out),
    }
}

/// The number of pairs of stack and size.
pub(crate) fn count() -> usize {
    snapshot::count()
}

/// The reason why there is no profile, with the remedy.
pub(crate) fn unavailable() -> Option<&'static str> {
    match () {
        () if !source::is_on() => Some(OFF),
        () if !heap::is_installed() => Some(
            "no profile of the heap: the global allocator is not the probe's. In main.rs: #[global_allocator] static HEAP: \
             tokio::pprof::heap::Allocator = tokio::pprof::heap::Allocator::system(); or Allocator::new(...) around another \
             allocator",
        ),
        () if !heap::is_started() => Some(
            "no profile of the heap: the system has no room for its tables, or the probe started before the allocator did",
        ),
        () => None,
    }
}

/// Returns free memory to the system. The text tells the result.
pub(crate) fn give_back() -> String {
    heap::give_back()
}

/// The allocations that samples stand for, estimated.
pub(super) fn estimated(sum: Sum, rate: u64) -> Objects {
    objects(sum).estimated(rate)
}

fn objects(sum: Sum) -> Objects {
    Objects {
        objects: sum.objects,
        bytes: sum.bytes,
    }
}

/// A heap profile with names.
pub(crate) struct Allocations {
    shows: Shows,
    profile: HeapProfile,
    mem_stats: MemStats,
    mappings: Vec<Mapping>,
    time_ns: i64,
}

impl Allocations {
    /// A profile as of now.
    pub(crate) fn collect(shows: Shows, split_by: SplitBy, crates: &Crates) -> Self {
        crate::stack::unwind::refresh();
        let heap = snapshot::take(split_by);
        let conditions = conditions::now();
        let mut resolver = resolver();
        let stacks: Vec<Stack> = heap
            .samples
            .iter()
            .map(|samples| {
                let mut stack = stack(samples, &mut resolver);
                crates.condense(&mut stack);
                stack
            })
            .collect();
        let labels: Vec<Vec<(&str, String)>> = heap.samples.iter().map(labels).collect();
        let labels: Vec<Vec<(&str, &str)>> = labels
            .iter()
            .map(|labels| labels.iter().map(|(key, value)| (*key, &**value)).collect())
            .collect();
        let samples = heap.samples.iter().zip(&stacks).zip(&labels);
        let samples = samples.map(|((samples, stack), labels)| Allocated {
            stack,
            labels,
            size_class: samples.of.size,
            rate: samples.of.rate,
            allocated: objects(samples.allocated),
            in_use: objects(samples.in_use),
        });
        let mut profile = HeapProfile::new(heap.rate, samples);
        let conditions = conditions.iter().map(Condition::text);
        for remark in conditions.chain(remarks(&heap)) {
            profile.comment(remark);
        }
        Allocations {
            shows,
            mem_stats: mem_stats(&profile),
            profile,
            mappings: mappings(&resolver),
            time_ns: clock::wall_ns(),
        }
    }

    /// The difference to `before`, `span` ago.
    pub(crate) fn since(self, before: &Allocations, span: Duration) -> Self {
        let span = i64::try_from(span.as_nanos()).unwrap_or(i64::MAX);
        Allocations {
            profile: self.profile.since(&before.profile, span),
            ..self
        }
    }

    /// Adds a remark.
    pub(crate) fn comment(&mut self, text: String) {
        self.profile.comment(text);
    }

    /// The binary form, with everything.
    pub(crate) fn profile(&self) -> proto::Profile {
        self.of(&self.profile)
    }

    /// The same without scaffolding.
    pub(crate) fn shown_profile(&self) -> proto::Profile {
        self.of(&self.profile.shown())
    }

    fn of(&self, profile: &HeapProfile) -> proto::Profile {
        match self.shows {
            Shows::InUse => profile.to_profile(&self.mappings, self.time_ns),
            Shows::Allocated => profile.to_allocs_profile(&self.mappings, self.time_ns),
        }
    }

    /// The text of `debug=1`.
    ///
    /// # Errors
    /// The errors of `out`.
    pub(crate) fn write_text(&self, out: impl Write) -> io::Result<()> {
        super::address_names::remember(self.profile.locations());
        self.profile.write_text(&self.mem_stats, out)
    }
}

/// Labels of a sample, ordered by key.
fn labels(samples: &Samples) -> Vec<(&'static str, String)> {
    let age = samples.age.map(|age| age.text().to_owned());
    let spawned_at = samples.of.spawned_at.map(|at| at.to_string());
    let task = samples.task.as_ref().map(|task| task.to_string());
    let ours = [("age", age), ("spawned_at", spawned_at), ("task", task)];
    let ours = ours
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)));
    let set = samples.of.labels.pairs().into_iter();
    let mut labels: Vec<_> = ours
        .chain(set.map(|(key, value)| (key, value.to_owned())))
        .collect();
    // The sort is stable: our labels come before a user's label with the same key.
    labels.sort_by_key(|(key, _)| *key);
    labels
}

fn stack(samples: &Samples, resolver: &mut Resolver) -> Stack {
    let of = &samples.of;
    if let Some(why) = of.missing {
        return missing(match why {
            Missing::Room => "more stacks than are kept apart",
            Missing::Walker => "no stack: too many threads took one at this moment",
            Missing::Probe => "the probe itself",
        });
    }
    let mut steps = expand(&of.pcs, Innermost::Call, of.root, resolver);
    let caller = steps.iter().position(|step| !allocates(step));
    let caller = caller.or_else(|| steps.iter().position(|step| !is_allocator(step)));
    let inner = steps.len();
    steps.drain(..caller.unwrap_or(0));
    let dropped = inner - steps.len();
    leave_out(&mut steps, Leaf::Code);
    // The caller is always shown, even if it is scaffolding.
    let leaf = steps.iter_mut().take_while(|step| !step.shown);
    leaf.for_each(|step| step.shown = true);
    let middle = (of.pcs.len() / 2).saturating_sub(dropped);
    Stack {
        trunk: locations(&steps, Names::Short),
        elided: (of.elided > 0).then_some((middle, of.elided)),
        ..Stack::default()
    }
}

/// Whether a frame is of the allocator or of a standard library function that allocates.
fn allocates(step: &Step) -> bool {
    const CRATES: [&str; 4] = ["alloc", "core", "hashbrown", "std"];
    let function = &*step.frame.function;
    // A trait's method for a type without a path, such as u8 or [T], belongs to the trait's crate.
    let of_trait = function.strip_prefix('<').and_then(|inside| {
        let (implementor, implemented) = inside.split_once(" as ")?;
        (!implementor.contains("::")).then_some(implemented)
    });
    is_allocator(step) || CRATES.contains(&crate_of(of_trait.unwrap_or(function)))
}

/// Whether a frame is of the probe's allocator, or of the compiler's glue to it.
fn is_allocator(step: &Step) -> bool {
    let function = &*step.frame.function;
    let compilers = ["__rust_", "__rustc", "__rdl_", "__rg_"];
    role::is_own(function) || compilers.iter().any(|prefix| function.starts_with(prefix))
}

/// Totals by the inner allocator, the system and the samples.
fn mem_stats(profile: &HeapProfile) -> MemStats {
    let facts = heap::facts();
    let [mallocs, total, objects, _] = profile.totals();
    let known = |value: i64| u64::try_from(value).ok();
    MemStats {
        in_use: facts.in_use,
        total_alloc: known(total),
        sys: facts.resident,
        mallocs: known(mallocs),
        frees: known(mallocs - objects),
        heap_sys: facts.reserved,
        heap_idle: facts.idle,
        stack: None,
        max_rss: facts.most_resident,
    }
}

/// Remarks for the reader, such as why the profile has few samples.
fn remarks(heap: &Heap) -> Vec<String> {
    let rate = heap.rate;
    let mut remarks = vec![match rate {
        0 => {
            "sampling is off: RUNTIME_PROBE_MEM_RATE=524288 or pprof::set_mem_profile_rate(524_288)"
                .to_owned()
        }
        1 => "rate: every allocation since the probe started".to_owned(),
        rate => format!("rate: a sample for each {rate} bytes allocated since the probe started"),
    }];
    let losses = heap.losses;
    let kinds = [
        (
            losses.lost,
            "samples are in no profile: there was no room for them",
        ),
        (
            losses.reentered,
            "samples are in no profile: they were due while another one was taken",
        ),
        (
            losses.untracked,
            "samples count as freed: there was no room to note that they are alive",
        ),
        (
            losses.unkept,
            "samples have no stack: there was no room for it",
        ),
        (
            losses.unwalked,
            "samples have no stack: too many threads took one at the same moment",
        ),
    ];
    let lost = kinds.into_iter().filter(|(count, _)| *count > 0);
    remarks.extend(lost.map(|(count, what)| format!("{count} {what}")));
    remarks
}
