//! Names of tasks, waits and threads in a trace. Each name is written once.

use super::Labels;
use crate::ask::trace_session as trace;
use crate::labels::LabelSet;
use crate::profile::condensed::crate_of;
use crate::profile::cpu;
use crate::profile::goroutine::named;
use crate::profile::leaf_stacks::{assemble, functions};
use crate::registry::sites::Site;
use crate::registry::task::Spawn;
use crate::snapshot::remaining::Remaining;
use crate::snapshot::tasks::SpawnSite;
use crate::source::cpu::Sample;
use crate::stack::raw::FutureMeta;
use crate::stack::wait_set::WaitSet;
use crate::symbol::name::Names;
use crate::symbol::reason::{self, Reason};
use crate::symbol::resolver::{Resolver, resolver};
use crate::symbol::role;
use runtime_dump::source_path::shortened;
use runtime_dump::stack::{Frame, Stack};
use runtime_dump::trace::{LabelsNumber, StackNumber, TextNumber, TraceFormat};
use std::collections::HashMap;
use std::sync::Arc;

/// The reason of a wait whose stack is not known.
pub(super) const UNKNOWN: &str = "unknown";
/// The reason of a wait after a poll that began before the trace.
pub(super) const BEFORE: &str = "unknown: it was polled when the trace began";

/// The spawn site and the future of a task.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SpawnedAt {
    pub(super) spawn: Option<Spawn>,
    pub(super) meta: Option<&'static FutureMeta>,
}

impl From<Option<&'static Site>> for SpawnedAt {
    fn from(site: Option<&'static Site>) -> Self {
        site.map_or_else(SpawnedAt::default, |site| SpawnedAt {
            spawn: site.location.map(|location| Spawn {
                location,
                pc: site.pc,
                parent: 0,
            }),
            meta: site.meta,
        })
    }
}

impl SpawnedAt {
    fn key(&self) -> [usize; 3] {
        [
            self.spawn
                .map_or(0, |spawn| std::ptr::from_ref(spawn.location).addr()),
            self.spawn.map_or(0, |spawn| spawn.pc),
            self.meta.map_or(0, |meta| std::ptr::from_ref(meta).addr()),
        ]
    }
}

/// The reason and the stack of a wait.
#[derive(Clone, Copy)]
pub(super) struct Wait {
    pub(super) of: Reason,
    pub(super) reason: TextNumber,
    pub(super) stack: StackNumber,
    /// Whether the task yields (`yield_now` and the like), so it is runnable.
    pub(super) is_a_yield: bool,
}

/// The text of a reason, by which `go tool trace` finds the waits of its profiles: `network` for `-pprof=net`; a text with
/// `chan`, `sync` or `select` in it for `-pprof=sync`.
fn reason_in_a_trace(reason: Reason) -> &'static str {
    match reason {
        Reason::Unknown => UNKNOWN,
        Reason::Io => "network",
        Reason::Semaphore => "sync.Semaphore.Acquire",
        Reason::Join => "join (sync)",
        known => known.text(),
    }
}

/// The names that were written so far.
#[derive(Default)]
pub(super) struct Naming {
    tasks: HashMap<[usize; 3], StackNumber>,
    spawners: HashMap<[usize; 3], StackNumber>,
    /// By the address of the set of registrations.
    waits: HashMap<usize, Wait>,
    /// The same, for threads that wait inside of a function of another reason.
    inner_locks: HashMap<usize, Reason>,
    threads: HashMap<u32, StackNumber>,
    with_labels: Labels,
    labels: HashMap<LabelSet, LabelsNumber>,
    /// By the address of the stack of a span's exit: whether it is that of an instrumented future in a
    /// `FuturesUnordered`.
    children: HashMap<usize, bool>,
    /// By return addresses and the future at the root.
    samples: HashMap<(Box<[usize]>, usize), StackNumber>,
}

impl Naming {
    /// Without any names yet.
    pub(super) fn new(with_labels: Labels) -> Self {
        Naming {
            with_labels,
            ..Naming::default()
        }
    }

    /// The name of a task: its future and its spawn location.
    pub(super) fn task(
        &mut self,
        site: &SpawnedAt,
        writer: &mut dyn TraceFormat,
        resolver: &mut Resolver,
    ) -> StackNumber {
        *self.tasks.entry(site.key()).or_insert_with(|| {
            let future = site.meta.map(|meta| role::root_name(meta.type_name()));
            let at = site.spawn.map(|spawn| {
                let file = shortened(spawn.location.file());
                format!("{file}:{}", spawn.location.line())
            });
            let function = match (future, at) {
                (Some(future), Some(at)) => format!("{future} at {at}"),
                (Some(future), None) => future,
                (None, Some(at)) => format!("task spawned at {at}"),
                (None, None) => "task spawned at an unknown place".to_owned(),
            };
            let (file, line) = site.spawn.map_or(("", 0), |spawn| {
                (spawn.location.file(), spawn.location.line())
            });
            let frame = Frame {
                function: resolver.text(function),
                file: resolver.text(file.to_owned()),
                line,
            };
            writer.stack(&[frame])
        })
    }

    /// The function that spawned a task.
    pub(super) fn spawner(
        &mut self,
        site: &SpawnedAt,
        writer: &mut dyn TraceFormat,
        resolver: &mut Resolver,
    ) -> StackNumber {
        let Some(Spawn { location, pc, .. }) = site.spawn else {
            return StackNumber::default();
        };
        *self.spawners.entry(site.key()).or_insert_with(|| {
            let found = named(&SpawnSite { location, pc }, Names::Short, resolver);
            let unknown = || resolver.text("unknown function".to_owned());
            let frame = Frame {
                function: found.function.unwrap_or_else(unknown),
                file: found.file,
                line: found.line,
            };
            writer.stack(&[frame])
        })
    }

    /// The reason and the stack of a set of registrations.
    pub(super) fn wait(
        &mut self,
        waits: &'static WaitSet,
        writer: &mut dyn TraceFormat,
        resolver: &mut Resolver,
    ) -> Wait {
        let key = std::ptr::from_ref(waits).addr();
        *self.waits.entry(key).or_insert_with(|| {
            let found = assemble(waits, Remaining::All, None, Names::Short, resolver);
            Wait {
                of: found.reason,
                reason: writer.text(reason_in_a_trace(found.reason)),
                stack: writer.stack(&frames(&found.stack)),
                is_a_yield: found.reason == Reason::Yield,
            }
        })
    }

    /// The same. The resolver is locked only if the set is new.
    pub(super) fn wait_once(
        &mut self,
        waits: &'static WaitSet,
        writer: &mut dyn TraceFormat,
    ) -> Wait {
        match self.waits.get(&std::ptr::from_ref(waits).addr()) {
            Some(known) => *known,
            None => self.wait(waits, writer, &mut resolver()),
        }
    }

    /// The reason of a thread's wait. `of`: the reason by the public function that the thread called. In a function
    /// where a task waits for something else or not at all, the thread waits for a lock inside of it.
    pub(super) fn of_a_thread(&mut self, waits: Option<&'static WaitSet>, of: Reason) -> Reason {
        let is_of_threads = of.is_lock()
            || matches!(
                of,
                Reason::ChanSend
                    | Reason::ChanReceive
                    | Reason::Condition
                    | Reason::WaitGroup
                    | Reason::Park
            );
        let Some(waits) = waits.filter(|_| !is_of_threads) else {
            return of;
        };
        let key = std::ptr::from_ref(waits).addr();
        *self.inner_locks.entry(key).or_insert_with(|| {
            let functions = functions(waits.last, &mut resolver());
            let mut reasons = functions
                .iter()
                .filter_map(|function| reason::reason_of(function));
            let innermost = reasons.next();
            innermost
                .filter(|reason| reason.is_lock())
                .unwrap_or(Reason::Unknown)
        })
    }

    /// Whether a span is exited at the end of a poll of an instrumented future, inside of a poll of `FuturesUnordered`.
    pub(super) fn is_of_a_child(&mut self, place: &'static WaitSet) -> bool {
        let key = std::ptr::from_ref(place).addr();
        *self
            .children
            .entry(key)
            .or_insert_with(|| is_of_a_child(&functions(place.last, &mut resolver())))
    }

    /// The stack of a CPU sample.
    pub(super) fn sample(&mut self, sample: &Sample, writer: &mut dyn TraceFormat) -> StackNumber {
        let polled = &sample.polled;
        let root = polled
            .root
            .map_or(0, |root| std::ptr::from_ref(root).addr());
        let key = (sample.pcs.clone(), root);
        *self.samples.entry(key).or_insert_with(|| {
            let is_foreign = polled.root.is_none() && polled.id != 0;
            let mut resolver = resolver();
            let stack = cpu::named(
                &sample.pcs,
                sample.elided,
                polled.root,
                is_foreign,
                &mut resolver,
            );
            writer.stack(&frames(&stack))
        })
    }

    /// The number of a set of labels; the number of the empty set if labels are left out.
    pub(super) fn labels(&mut self, set: LabelSet, writer: &mut dyn TraceFormat) -> LabelsNumber {
        if set.is_none() || self.with_labels == Labels::LeftOut {
            return LabelsNumber::default();
        }
        let number = || writer.labels(&set.pairs());
        *self.labels.entry(set).or_insert_with(number)
    }

    /// The name of a thread outside of any task.
    pub(super) fn thread(&mut self, tid: u32, writer: &mut dyn TraceFormat) -> StackNumber {
        if let Some(known) = self.threads.get(&tid) {
            return *known;
        }
        let threads = trace::threads();
        let thread = threads.values().find(|thread| thread.tid == tid);
        let name = thread.map_or("", |thread| &*thread.name);
        let text = match name {
            "" => "thread outside of any task".to_owned(),
            name => format!("thread {name} outside of any task"),
        };
        let stack = self.frame(&text, writer);
        self.threads.insert(tid, stack);
        stack
    }

    /// A stack of one frame, as a text.
    pub(super) fn frame(&self, text: &str, writer: &mut dyn TraceFormat) -> StackNumber {
        writer.stack(&[Frame {
            function: text.into(),
            file: "".into(),
            line: 0,
        }])
    }
}

/// The crates between a span's exit and the function that exits it.
const OF_SPANS: [&str; 7] = [
    "tracing",
    "tracing_core",
    "tracing_subscriber",
    "core",
    "alloc",
    "std",
    "runtime_probe",
];

/// The functions of the stack, leaf first. Without debug information, an inlined function is not among them.
fn is_of_a_child(functions: &[Arc<str>]) -> bool {
    let polls =
        |function: &str| function.contains("tracing::instrument::") && function.ends_with("::poll");
    let is_of_spans = |function: &str| OF_SPANS.contains(&crate_of(function));
    let exits = functions
        .iter()
        .position(|function| polls(function) || !is_of_spans(function));
    exits.is_some_and(|at| {
        let mut outer = functions[at..].iter();
        polls(&functions[at]) && outer.any(|function| function.contains("::futures_unordered::"))
    })
}

/// The shown frames of a stack, leaf first. A stack with branches is shown as a frame "select" and the shared trunk,
/// since Go's stacks have no branches.
fn frames(stack: &Stack) -> Vec<Frame> {
    let select = (!stack.branches.is_empty()).then(|| Frame {
        function: Reason::Select.text().into(),
        file: "".into(),
        line: 0,
    });
    let shown = stack.trunk.iter().filter(|location| !location.hidden);
    let shown = shown.flat_map(|location| location.frames.iter().cloned());
    select.into_iter().chain(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_for_other_tasks_have_a_word_of_gos_profile() {
        for reason in [
            Reason::ChanSend,
            Reason::ChanReceive,
            Reason::Mutex,
            Reason::RwLockRead,
            Reason::RwLockWrite,
            Reason::RwLock,
            Reason::Semaphore,
            Reason::Condition,
            Reason::WaitGroup,
            Reason::Join,
            Reason::Select,
        ] {
            let text = reason_in_a_trace(reason);
            let words = ["chan", "sync", "select"];
            assert!(words.iter().any(|word| text.contains(word)), "{text}");
        }
        assert_eq!(reason_in_a_trace(Reason::Io), "network");
    }
}
