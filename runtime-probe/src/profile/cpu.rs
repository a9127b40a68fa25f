//! The CPU profile, as Go's: the CPU time of tasks and threads, by samples of their stacks.
//!
//! A task's stack ends at its root, as a goroutine's does, whichever thread polls it. Code outside of any task (the
//! scheduler, threads of the program's own) has the whole stack of its thread.

use super::condensed::Crates;
use super::conditions::{self, Condition};
use super::goroutine::missing;
use super::leaf_stacks::{Innermost, expand, locations};
use super::mappings::mappings;
use crate::ask::cpu_session::{CpuTime, Seen};
use crate::stack::raw::FutureMeta;
use crate::stack::unwind;
use crate::symbol::name::Names;
use crate::symbol::resolver::{Resolver, resolver};
use crate::symbol::role;
use crate::sys::cpu_timer;
use runtime_dump::profile::cpu::{CpuProfile, Ran, Taken};
use runtime_dump::profile::proto;
use runtime_dump::stack::{Mapping, Stack};
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

/// The name, as in Go.
pub(crate) const NAME: &str = "profile";

/// Samples for each second of CPU time, as in Go: enough to see what takes a hundredth of the time, with hardly any
/// load.
pub(crate) const HZ: u32 = 100;

/// A smaller difference is the time that threads used since their last samples.
const MUCH_MISSING: Duration = Duration::from_millis(100);

/// A CPU profile with names.
pub(crate) struct Cpu {
    profile: CpuProfile,
    mappings: Vec<Mapping>,
    taken: Taken,
}

impl Cpu {
    /// Looks up the names.
    pub(crate) fn new(time: &CpuTime, crates: &Crates) -> Self {
        // Code may have been loaded meanwhile.
        unwind::refresh();
        let conditions = conditions::now();
        let mut resolver = resolver();
        let both = |seen: &Seen| (stack(seen, &mut resolver), labels(seen));
        let (mut stacks, labels): (Vec<Stack>, Vec<_>) = time.stacks.keys().map(both).unzip();
        for stack in &mut stacks {
            crates.condense(stack);
        }
        let elsewhere = missing("more stacks than are kept apart");
        let labels: Vec<Vec<(&str, &str)>> = labels
            .iter()
            .map(|labels| labels.iter().map(|(key, value)| (*key, &**value)).collect())
            .collect();
        let ran = stacks.iter().zip(&labels).zip(time.stacks.values());
        let ran = ran.map(|((stack, labels), samples)| Ran {
            stack,
            labels,
            samples: *samples,
        });
        let rest = Ran {
            stack: &elsewhere,
            labels: &[],
            samples: time.elsewhere,
        };
        let nanos = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        let mut profile = CpuProfile::new(nanos(time.period), ran.chain([rest]));
        let conditions = conditions.iter().map(Condition::text);
        for remark in conditions.chain(remarks(time, profile.total())) {
            profile.comment(remark);
        }
        Cpu {
            profile,
            mappings: mappings(&resolver),
            taken: Taken {
                time_ns: time.time_ns,
                duration_ns: nanos(time.duration),
            },
        }
    }

    /// The binary form, with everything.
    pub(crate) fn profile(&self) -> proto::Profile {
        self.profile.to_profile(&self.mappings, self.taken)
    }

    /// The same without scaffolding.
    pub(crate) fn shown_profile(&self) -> proto::Profile {
        self.profile.shown().to_profile(&self.mappings, self.taken)
    }

    /// The text of `debug=1`.
    ///
    /// # Errors
    /// The errors of `out`.
    pub(crate) fn write_text(&self, out: impl Write) -> io::Result<()> {
        super::address_names::remember(self.profile.locations());
        self.profile.write_text(out)
    }
}

/// Labels of a sample, ordered by key.
fn labels(seen: &Seen) -> Vec<(&'static str, Arc<str>)> {
    let spawned_at = seen.spawned_at.map(|at| at.to_string().into());
    let ours = [
        ("spawned_at", spawned_at),
        ("task", seen.task.clone()),
        ("thread", seen.thread.clone()),
    ];
    let ours = ours
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)));
    let set = seen.labels.pairs().into_iter();
    let mut labels: Vec<_> = ours
        .chain(set.map(|(key, value)| (key, value.into())))
        .collect();
    // The sort is stable: our labels come before a user's label with the same key.
    labels.sort_by_key(|(key, _)| *key);
    labels
}

fn stack(seen: &Seen, resolver: &mut Resolver) -> Stack {
    let is_foreign = seen.root().is_none() && seen.spawned_at.is_some();
    named(&seen.pcs, seen.elided, seen.root(), is_foreign, resolver)
}

/// The stack of a sample, with names.
pub(super) fn named(
    pcs: &[usize],
    elided: u32,
    root: Option<&'static FutureMeta>,
    is_foreign: bool,
    resolver: &mut Resolver,
) -> Stack {
    let mut steps = expand(pcs, Innermost::Instruction, root, resolver);
    if is_foreign {
        // A task spawned through plain tokio has no wrapper on its stack, so the stack ends where tokio polls the task.
        let end = steps
            .iter()
            .position(|step| role::polls_task(&step.frame.function));
        steps.truncate(end.unwrap_or(steps.len()));
    }
    // The innermost frames are always shown, because the time is spent there; further out scaffolding is hidden.
    let leaf = steps.iter_mut().take_while(|step| !step.shown);
    leaf.for_each(|step| step.shown = true);
    if steps.is_empty() {
        return missing("no stack: the unwind tables do not reach there");
    }
    Stack {
        trunk: locations(&steps, Names::Short),
        elided: (elided > 0).then_some((pcs.len() / 2, elided)),
        ..Stack::default()
    }
}

/// Remarks for the reader, such as why the profile is empty.
fn remarks(time: &CpuTime, samples: u64) -> Vec<String> {
    let seconds = |time: Duration| time.as_secs_f64();
    let (period, tick) = (time.period, cpu_timer::tick());
    let in_samples = Duration::from_secs_f64(samples as f64 * seconds(period));
    let mut remarks = vec![format!(
        "rate: a sample for each {period:?} that a thread uses the CPU; samples stand for {:.2} s of the {:.2} s that all \
         threads used",
        seconds(in_samples),
        seconds(time.used)
    )];
    if period < tick {
        remarks.push(format!(
            "effective rate: {:.0} points a second, the kernel's clock tick; more of hz adds to the weight of the points, not \
             to their number",
            1.0 / seconds(tick)
        ));
    }
    if samples == 0 && time.trouble.refusal.is_none() {
        remarks.push("no sample: no thread used the CPU for long enough".to_owned());
    }
    if time.lost > 0 {
        remarks.push(format!(
            "{} samples were lost: the buffer was full",
            time.lost
        ));
    }
    let missing = time.used.saturating_sub(in_samples);
    if missing > MUCH_MISSING && missing * 5 > time.used {
        remarks.push(format!(
            "{:.2} s are in no sample: above all what threads used that began and ended between two looks for new ones",
            seconds(missing)
        ));
    }
    let trouble = &time.trouble;
    if trouble.gone > 0 {
        remarks.push(format!(
            "{} threads ended before they were found",
            trouble.gone
        ));
    }
    if let Some(error) = &trouble.refusal {
        remarks.push(format!(
            "{} threads are not in here, the system refused their timers: {error}",
            trouble.refused
        ));
    }
    if let Some(replaced) = trouble.replaced {
        remarks.push(format!(
            "another profiler had its own handler for SIGPROF in the place of ours for {:.2} s: nothing was sampled meanwhile",
            seconds(replaced)
        ));
    }
    remarks
}
