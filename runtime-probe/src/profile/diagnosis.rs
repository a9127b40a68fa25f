//! The lines of the index page about the state of the probe: what this build, this binary and this process prevent it
//! from showing.

use super::selection::grouped;
use crate::environment;
use crate::registry::endings;
use crate::registry::runtimes::{self, Replaced};
use crate::registry::sites::Site;
use crate::registry::slab;
use crate::registry::task::Record;
use crate::snapshot::tasks;
use crate::source::{self, signal};
use crate::stack::{template, unwind, wait_set};
use crate::symbol::resolver::{Detail, resolver};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The state of the probe.
#[derive(Clone, Debug)]
pub(crate) struct Diagnosis {
    on: bool,
    patched: bool,
    detail: Detail,
    tasks: usize,
    foreign: usize,
    unlisted: u64,
    /// The number of `LocalSet`s.
    local_sets: usize,
    /// Runtimes by name, with those of our hooks that other hooks replaced.
    replaced: Vec<(Arc<str>, Replaced)>,
    /// Tasks on runtimes that have no hook of ours.
    unhooked: usize,
    unwinding: bool,
    /// Times that modules were loaded whose unwind tables were not read.
    unread_modules: u64,
    /// The signal that asks threads for stacks, or the reason why there is none.
    signal: Result<String, String>,
    stacks: usize,
    walks: u64,
    overflowed: u64,
    evictions: u64,
    records: usize,
    /// Whether further spawn sites are not kept apart.
    sites_are_full: bool,
    /// Complaints about the environment.
    complaints: Vec<String>,
}

/// The reason with the probe switched off.
pub(crate) const OFF: &str = "the probe is switched off by RUNTIME_PROBE in the environment";

/// The reason why a dump is empty.
pub(crate) fn no_tasks() -> &'static str {
    empty(!endings::under_way().is_empty(), is_patched())
}

fn empty(is_ending: bool, is_patched: bool) -> &'static str {
    match (is_ending, is_patched) {
        (true, _) => "no tasks: those of a runtime that is being dropped have ended",
        (false, true) => {
            "no tasks: none is alive. `runtime-dump patch` gave every crate of this build the instrumented tokio"
        }
        (false, false) => {
            "no tasks: either none is alive, or they are spawned through plain tokio. The crate that spawns needs tokio = \
             { package = \"runtime-probe\", .. }"
        }
    }
}

/// A sentence on the tasks that no dump lists; `None` if there are none.
pub(crate) fn unlisted(unlisted: u64, listed: usize) -> Option<String> {
    let all = grouped(listed as u64 + unlisted);
    let are = match unlisted {
        0 => return None,
        1 => format!("1 of {all} tasks is not listed"),
        _ => format!("{} of {all} tasks are not listed", grouped(unlisted)),
    };
    Some(match is_patched() {
        true => format!("{are}: nothing but tokio's own count tells of them"),
        false => format!(
            "{are}: spawned by dependencies through plain tokio; `runtime-dump patch` shows them"
        ),
    })
}

/// A sentence for programs that use a `LocalSet`; `None` in a patched build, whose spawns are all instrumented.
pub(crate) fn local_sets(count: usize) -> Option<&'static str> {
    (count > 0 && !is_patched()).then_some(
        "tasks that dependencies spawn on a LocalSet through plain tokio are in no dump, as tokio tells nothing of them; \
         `runtime-dump patch` shows them, and `runtime-dump pid` does from outside",
    )
}

/// The number of `LocalSet`s that are alive.
pub(crate) fn count_local_sets() -> usize {
    crate::registry::local_sets::all().len()
}

/// How many tasks no dump lists, by tokio's count of live tasks. May wait some milliseconds, to be sure.
pub(crate) fn count_unlisted() -> u64 {
    #[cfg(feature = "rt")]
    return crate::snapshot::unlisted::count();
    #[cfg(not(feature = "rt"))]
    0
}

/// The same without a wait: a task that is just being spawned may count.
pub(crate) fn count_unlisted_at_once() -> u64 {
    #[cfg(feature = "rt")]
    return crate::snapshot::unlisted::look();
    #[cfg(not(feature = "rt"))]
    0
}

/// Whether `runtime-dump patch` gave every crate of this build the instrumented tokio: that builds the probe in a
/// directory of its own.
pub(crate) fn is_patched() -> bool {
    env!("CARGO_MANIFEST_DIR").ends_with("/.runtime-probe/runtime-probe")
}

impl Diagnosis {
    /// Collects the state.
    pub(crate) fn now() -> Self {
        let tasks::Counts {
            foreign,
            unhooked,
            all: tasks,
        } = tasks::counts();
        let (stacks, _, overflowed) = wait_set::table_sizes();
        Diagnosis {
            on: source::is_on(),
            patched: is_patched(),
            detail: resolver().detail(),
            tasks,
            foreign,
            unlisted: count_unlisted(),
            local_sets: count_local_sets(),
            replaced: runtimes::alive()
                .iter()
                .map(|runtime| (runtime.name.clone(), runtime.replaced()))
                .collect(),
            unhooked,
            unwinding: unwind::tables().is_some_and(unwind::Tables::any),
            unread_modules: unwind::missed(),
            signal: match signal::chosen() {
                Ok(signal) => Ok(signal.to_string()),
                Err(why) => Err(why.to_string()),
            },
            stacks,
            walks: template::COUNTERS.walks.load(Ordering::Relaxed),
            overflowed,
            evictions: template::COUNTERS.evictions.load(Ordering::Relaxed),
            records: slab::capacity(),
            sites_are_full: Site::are_full(),
            complaints: environment::complaints(),
        }
    }

    /// The lines, one sentence each.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.on {
            lines.push(OFF.to_owned());
            return lines;
        }
        lines.extend(self.complaints.iter().cloned());
        match &self.detail {
            Detail::Unreadable(error) => lines.push(format!(
                "the binary cannot be read ({error}), so stacks show addresses only"
            )),
            Detail::Lines => lines.push("the binary has line tables: stacks show files, lines and inlined functions".to_owned()),
            Detail::SplitOff => lines.push(
                "the binary's debug information was split off (split-debuginfo) and is not where it was put: stacks show functions only, \
                 inlined ones are missing. Put NAME.dwp beside the binary, or set split-debuginfo = \"off\""
                    .to_owned(),
            ),
            Detail::Symbols => lines.push(
                "the binary has no line tables: stacks show functions only, inlined ones are missing, and wait reasons \
                 may read \"waiting\". Set debug = 1 in the profile of Cargo.toml"
                    .to_owned(),
            ),
            Detail::Nothing => lines.push(
                "the binary is stripped: stacks show addresses only, and waits are told by tokio's primitive (a lock may be \
                 semacquire). Set strip = false and debug = 1 in \
                 the profile of Cargo.toml, or put its debug file beside it"
                    .to_owned(),
            ),
        }
        if !self.unwinding {
            lines.push(
                "this platform has no stacks: they need Linux on x86_64 or aarch64".to_owned(),
            );
        }
        if self.unread_modules > 0 {
            lines.push(format!(
                "libraries were loaded and unloaded so often that the last {} times were left out: stacks end where they \
                 come to one of these",
                self.unread_modules
            ));
        }
        match &self.signal {
            Ok(signal) => lines.push(format!(
                "running tasks have stacks: their threads are asked by {signal}"
            )),
            Err(why) => lines.push(format!("running tasks have no stacks: {why}")),
        }
        if !cfg!(tokio_unstable) && !self.patched {
            lines.push(
                "built without --cfg tokio_unstable: tasks that dependencies spawn with plain tokio are not listed".to_owned(),
            );
        }
        for (runtime, replaced) in &self.replaced {
            for (hooks, so) in [
                (
                    &replaced.on_tasks,
                    "tasks that dependencies spawn there are not listed",
                ),
                (
                    &replaced.on_threads,
                    "polls there may seem longer than they are",
                ),
            ] {
                if !hooks.is_empty() {
                    lines.push(format!(
                        "runtime {runtime}: another hook replaced our {}, so {so}. Set such hooks on \
                         runtime-probe's Builder or on pprof::Hooks, which run them beside ours",
                        hooks.join(" and ")
                    ));
                }
            }
        }
        if self.unhooked > 0 && cfg!(tokio_unstable) {
            lines.push(format!(
                "{} of {} tasks run on a runtime that has no hooks of ours: what dependencies spawn there is not listed. \
                 Build it with runtime-probe's Builder, or give its builder to pprof::Hooks::install",
                self.unhooked, self.tasks
            ));
        }
        if self.foreign > 0 {
            lines.push(format!(
                "{} of {} tasks are foreign: a dependency spawned them with plain tokio, so they have a state and a spawn \
                 site but no stack{}. A crate that depends on runtime-probe under the name tokio has stacks",
                self.foreign,
                self.tasks,
                match cfg!(feature = "decode") {
                    true => " but that of their future, where the binary has types (debug = 2)",
                    false => "; the feature decode reads their futures where the binary has types (debug = 2)",
                }
            ));
        }
        lines.extend(unlisted(self.unlisted, self.tasks));
        lines.extend(local_sets(self.local_sets).map(str::to_owned));
        if self.tasks == 0 && self.unlisted == 0 {
            lines.push(no_tasks().to_owned());
        }
        lines.push(format!(
            "captures: {} distinct stacks, {} full walks, {} templates replaced, {} captures lost to full tables; {} task \
             records of {} bytes",
            self.stacks,
            self.walks,
            self.evictions,
            self.overflowed,
            self.records,
            size_of::<Record>()
        ));
        if self.sites_are_full {
            lines.push(
                "the table of spawn sites is full: tasks of further sites are shown without one"
                    .to_owned(),
            );
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_dump_has_one_of_its_reasons() {
        let advice = "needs tokio = ";
        assert!(empty(false, false).contains(advice));
        assert!(!empty(false, true).contains(advice));
        assert!(!empty(true, false).contains(advice));
    }

    #[test]
    fn a_patched_build_leaves_nothing_unlisted_for_want_of_a_flag() {
        let says_so = |patched| {
            let diagnosis = Diagnosis {
                on: true,
                patched,
                ..Diagnosis::now()
            };
            let lines = diagnosis.lines();
            lines.iter().any(|line| line.contains("tokio_unstable"))
        };
        assert_eq!(says_so(false), !cfg!(tokio_unstable));
        assert!(!says_so(true));
    }
}
