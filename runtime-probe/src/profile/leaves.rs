//! Finds the registrations of a poll that are waits.

use super::leaf_stacks::{Step, hide_leaf};
use super::parting::{By, Earlier, Parting, UNKNOWN};
use crate::snapshot::remaining::Remaining;
use crate::symbol::learned;
use crate::symbol::reason::{self, Reason};
use crate::symbol::role;
use runtime_dump::stack::BranchKind;
use std::sync::Arc;

/// A registration that is a wait, or may be one.
#[derive(Clone, Debug)]
pub(super) struct Registration {
    pub(super) kind: BranchKind,
    pub(super) reason: Reason,
    /// The stack, leaf first.
    pub(super) steps: Vec<Step>,
}

impl Registration {
    /// Whether one of tokio's timers registered.
    pub(super) fn is_timer(&self) -> bool {
        let call = self.steps.iter().find(|step| step.call);
        call.is_some_and(|call| role::is_timer(&call.frame.function))
    }
}

/// The waits of a task.
pub(super) struct Leaves {
    /// In the order of the code. The order of the polls varies with `select!` and `join!`.
    pub(super) all: Vec<Registration>,
    /// What the wrapper of the waiting future waits for, such as the timer of a `timeout`.
    pub(super) deadline: Option<Reason>,
}

impl Leaves {
    /// The waits of `stacks`, whose return addresses are `addresses`. The last registration comes first; each stack is
    /// leaf first.
    pub(super) fn of(stacks: &[Vec<Step>], addresses: &[&[usize]], remaining: Remaining) -> Self {
        let mut all: Vec<Registration> = Vec::new();
        for (at, stack) in stacks.iter().enumerate() {
            let Some(kind) = kind(stack, &stacks[..at]) else {
                continue;
            };
            let mut steps = stack.clone();
            let reason = match steps.first() {
                Some(leaf) if leaf.is_nameless() => learned::reason(addresses[at]),
                _ => hide_leaf(&mut steps),
            };
            if all.iter().all(|other| !same_leaf(&other.steps, &steps)) {
                all.push(Registration {
                    kind,
                    reason,
                    steps,
                });
            }
        }
        if let Remaining::AtMost(wakers) = remaining {
            doubt(&mut all, wakers);
        }
        let mut deadline = None;
        while let Some(clock) = (0..all.len()).find(|at| is_deadline(*at, &all)) {
            deadline = Some(all.remove(clock).reason);
        }
        all.sort_by(|a, b| calls(a).cmp(calls(b)));
        Leaves { all, deadline }
    }

    /// The reason of the whole wait, and of each branch.
    pub(super) fn reasons(&self) -> (Reason, Vec<Reason>) {
        let of = |leaves: &[&Registration]| leaves.iter().map(|leaf| leaf.reason).collect();
        let all: Vec<_> = self.all.iter().collect();
        let waiting: Vec<_> = self.all.iter().filter(waits).collect();
        match (&waiting[..], &all[..]) {
            ([one], _) => (one.reason, of(&waiting)),
            ([_, _, ..], _) => (Reason::Select, of(&waiting)),
            ([], [first, others @ ..]) if others.iter().all(|leaf| leaf.reason == first.reason) => {
                (first.reason, of(&all))
            }
            ([], _) => (Reason::Unknown, of(&all)),
        }
    }
}

fn waits(leaf: &&Registration) -> bool {
    leaf.kind == BranchKind::Waiting
}

fn calls(leaf: &Registration) -> impl Iterator<Item = u64> {
    leaf.steps.iter().rev().map(|step| step.pc)
}

/// Whether two registrations belong to one wait. That is so if both were made inside the same call of a library (a
/// socket that reads and writes, a queue that waits for a timer and for its senders), or by one function that registers
/// itself.
fn same_leaf(a: &[Step], b: &[Step]) -> bool {
    // From the root.
    let leaf = |steps: &[Step]| {
        let shown = steps.iter().position(|step| step.shown)?;
        Some(steps.len() - 1 - shown)
    };
    let parting = Parting::of(a, b);
    leaf(a).is_some()
        && leaf(a) == leaf(b)
        && leaf(a) <= Some(parting.function)
        && parting.earlier != UNKNOWN
}

/// The kind of a registration, compared with the later ones of the same poll. `None` if it is past, or was made again.
fn kind(earlier: &[Step], later: &[Vec<Step>]) -> Option<BranchKind> {
    let mut kind = BranchKind::Waiting;
    for later in later {
        match Parting::of(earlier, later).earlier {
            Earlier::Repeated | Earlier::Past => return None,
            Earlier::Beside(BranchKind::AlsoRegistered, _) => kind = BranchKind::AlsoRegistered,
            Earlier::Beside(BranchKind::Waiting, _) => {}
        }
    }
    Some(kind)
}

/// Removes or marks registrations that may have no waker, when fewer wakers exist than leaves have registered. Three
/// kinds are suspect: calls that register although they are ready, calls whose waker a later call of the same type
/// may have replaced, and functions that clone the waker for what they poll.
fn doubt(leaves: &mut Vec<Registration>, wakers: usize) {
    let call = |leaf: &Registration| {
        let call = leaf.steps.iter().find(|step| step.call)?;
        Some(call.frame.function.clone())
    };
    let calls: Vec<_> = leaves.iter().map(call).collect();
    let suspect = |at: usize| {
        let Some(call) = calls[at].as_deref() else {
            return lends(at, leaves).then_some(Suspect::Lent);
        };
        if role::registers_when_ready(call) {
            return Some(Suspect::Over);
        }
        let of =
            |call: &Option<Arc<str>>| call.as_deref().map(|call| role::type_of(call).to_owned());
        let later = calls[..at].iter();
        let replaced = later
            .map(of)
            .any(|later| later.as_deref() == Some(role::type_of(call)));
        replaced.then_some(Suspect::Replaced)
    };
    let suspects: Vec<_> = (0..leaves.len()).map(suspect).collect();
    let count = |wanted| {
        suspects
            .iter()
            .filter(|suspect| **suspect == Some(wanted))
            .count()
    };
    let missing = leaves.iter().filter(waits).count().saturating_sub(wakers);
    let kinds = [Suspect::Over, Suspect::Replaced, Suspect::Lent].map(count);
    if missing == 0 {
        return;
    }
    let certain = kinds.contains(&missing) && missing == kinds.iter().sum::<usize>();
    let mut suspects = suspects.iter();
    let mut is_suspect = || suspects.next().is_some_and(Option::is_some);
    if certain {
        leaves.retain(|_| !is_suspect());
    } else {
        let doubtful = leaves.iter_mut().filter(|_| is_suspect());
        doubtful.for_each(|leaf| leaf.kind = BranchKind::AlsoRegistered);
    }
}

/// Why a leaf that registered may have no waker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Suspect {
    Over,
    Replaced,
    /// A function of the program's own cloned the waker, and called a function that registered.
    Lent,
}

/// Whether a hand-written leaf cloned the waker in the very function that another leaf registered below: perhaps for the
/// context of that one only.
fn lends(at: usize, leaves: &[Registration]) -> bool {
    let steps = &leaves[at].steps;
    let Some(shown) = steps.iter().position(|step| step.shown) else {
        return false;
    };
    let own = steps.len() - 1 - shown;
    let mut others = leaves.iter().enumerate().filter(|(other, _)| *other != at);
    leaves[at].reason == Reason::Unknown
        && others.any(|(_, other)| {
            other.steps.len() > own && Parting::of(&other.steps, steps).function == own
        })
}

/// Whether a leaf is the timer, or the cancellation token, of a wrapper around one future. That is so if a function
/// (not a macro's closure) waits for the leaf itself, and all other leaves inside that function belong to one future.
fn is_deadline(at: usize, leaves: &[Registration]) -> bool {
    let clock = &leaves[at];
    let others = leaves.iter().enumerate().filter(|(other, _)| *other != at);
    let partings = others.map(|(_, leaf)| (leaf, Parting::of(&leaf.steps, &clock.steps)));
    let Some(wrapper) = partings.clone().map(|(_, parting)| parting.function).max() else {
        return false;
    };
    let mut inside = partings.filter(|(_, parting)| parting.function == wrapper);
    let Some((waiting, parting)) = inside.next() else {
        return false;
    };
    let one_future =
        inside.all(|(leaf, _)| Parting::of(&leaf.steps, &waiting.steps).function > wrapper);
    one_future
        && parting.earlier == Earlier::Beside(BranchKind::Waiting, By::Function)
        && runs_a_clock(clock, wrapper)
}

/// Whether the function at which a leaf parts from others is a wrapper, and the leaf is what may end the wrapped
/// future. `function` is an index from the root.
fn runs_a_clock(leaf: &Registration, function: usize) -> bool {
    let (Some(call), Some(function)) = (
        leaf.steps.iter().position(|step| step.call),
        leaf.steps.len().checked_sub(function + 1),
    ) else {
        return false;
    };
    // The poll of a pointer is not the wrapper.
    let plumbing = |step: &&Step| role::is_scaffolding(&step.frame.function);
    let plumbing = leaf.steps[function..].iter().take_while(plumbing).count();
    let Some(wrapper) = leaf.steps.get(function + plumbing) else {
        return false;
    };
    let may_end = reason::may_end(
        &wrapper.frame.function,
        &leaf.steps[call].frame.function,
        leaf.reason,
    );
    // If they part inside the call itself, there are no frames between.
    let is_clock = |step: &Step| !step.shown || role::is_clock(&step.frame.function);
    let between = leaf.steps.get(call + 1..function);
    wrapper.closures == 0 && may_end && between.is_some_and(|steps| steps.iter().all(is_clock))
}
