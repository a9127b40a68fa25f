//! Where two registrations of one poll part, and what that says of the earlier one.
//!
//! Code that polls several futures (`select!`, `join!`, a hand-written `poll`) calls each of them from a place of its own:
//! where the stacks part by such a call, the task waits at both ends. An async body calls one future at a time: where the
//! stacks part by the lines of a body, the body has moved on, and the earlier registration is past. The lines of two calls
//! inside a macro are the same, so calls are told apart by their addresses, and inlined ones by their copies.

use super::leaf_stacks::Step;
use crate::symbol::role;
use runtime_dump::stack::BranchKind;

/// How an earlier registration stands to a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Earlier {
    /// It is the same one again.
    Repeated,
    /// The body that made it has moved on.
    Past,
    /// It is another one.
    Beside(BranchKind, By),
}

/// What polls the one and the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// A closure that is made for it, as in `select!` and `join!`.
    Closure,
    /// A function, such as a `poll` that is written by hand.
    Function,
    /// The names do not tell.
    Unknown,
}

/// Where two stacks part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parting {
    /// How many frames, from the root, are those of both.
    pub(super) common: usize,
    /// Which frame, from the root, is that of the function that goes two ways.
    pub(super) function: usize,
    pub(super) earlier: Earlier,
}

impl Parting {
    /// Compares two stacks, leaf first.
    pub(super) fn of(earlier: &[Step], later: &[Step]) -> Self {
        let shorter = earlier.len().min(later.len());
        let outer = |at: usize| (from_root(earlier, at), from_root(later, at));
        // A function that polls many futures by one call: nothing tells whether the stacks inside it are of one of them.
        let mut many = false;
        for at in 0..shorter {
            let (a, b) = outer(at);
            let known = a.inlining_known && b.inlining_known;
            // The functions that are compared were called by this one, or it is the first.
            let caller = at.saturating_sub(1);
            let parts = |function: usize, earlier| Parting {
                common: at,
                function,
                earlier,
            };
            let by = |function: usize| match from_root(later, function) {
                _ if is_closure_of_several(later, function) => Some(By::Closure),
                step if step.closures == 0 => Some(By::Function),
                _ => None,
            };
            let by_lines = |function: usize| match by(function) {
                Some(by) => parts(function, Earlier::Beside(BranchKind::Waiting, by)),
                None if many => parts(function, UNKNOWN),
                None => parts(function, Earlier::Past),
            };
            if a.entry != b.entry || a.frame.function != b.frame.function {
                let known = known && at > 0 && outer(caller).0.inlining_known;
                return match known {
                    true => by_lines(caller),
                    false => parts(caller, UNKNOWN),
                };
            }
            if at > 0 && called_from_two_places(outer(caller), (a, b)) {
                if !known {
                    return parts(caller, UNKNOWN);
                }
                if by(caller) == Some(By::Closure) {
                    return parts(caller, Earlier::Beside(BranchKind::Waiting, By::Closure));
                }
            }
            if a.frame != b.frame {
                return by_lines(at);
            }
            many |= role::polls_many(&a.frame.function);
        }
        let earlier = match earlier.len() == later.len() {
            true => repeated(earlier, later),
            // One stack is the other's end: the same leaf polled at two depths cannot be told from a repetition.
            false => UNKNOWN,
        };
        Parting {
            common: shorter,
            function: shorter.saturating_sub(1),
            earlier,
        }
    }
}

/// The names do not tell.
pub(super) const UNKNOWN: Earlier = Earlier::Beside(BranchKind::AlsoRegistered, By::Unknown);

/// The same functions and lines. Their innermost addresses may differ still: where nothing is known of inlined functions, two
/// leaves.
fn repeated(earlier: &[Step], later: &[Step]) -> Earlier {
    match (earlier.first(), later.first()) {
        (Some(a), Some(b)) if a.pc != b.pc && !a.inlining_known => UNKNOWN,
        _ => Earlier::Repeated,
    }
}

fn from_root(steps: &[Step], at: usize) -> &Step {
    &steps[steps.len() - 1 - at]
}

/// Whether two calls of one function by another are not the same one.
fn called_from_two_places(callers: (&Step, &Step), called: (&Step, &Step)) -> bool {
    match called.0.physical {
        true => callers.0.pc != callers.1.pc,
        false => called.0.copy != called.1.copy,
    }
}

/// [`polls_several`] of a frame, from the root.
fn is_closure_of_several(steps: &[Step], at: usize) -> bool {
    let around = at.checked_sub(1).map(|at| from_root(steps, at));
    polls_several(from_root(steps, at), around)
}

/// Whether a closure is one that polls several futures, not an async body: the next around it says so.
fn polls_several(closure: &Step, around: Option<&Step>) -> bool {
    // futures' select! has a closure for each branch.
    role::is_macro_file(&closure.frame.file)
        || around.is_some_and(|step| role::is_poll_fn(&step.frame.function))
}
