//! Compares two registrations of one poll: where their stacks part, and whether the earlier one is still a wait.
//!
//! Code that polls several futures (`select!`, `join!`, a hand-written `poll`) calls each of them from a different
//! place: if the stacks part at such calls, the task waits for both. An async body calls one future at a time: if the
//! stacks part at two lines of a body, the body has moved on, and the earlier registration is past. Two calls inside a
//! macro have the same line. So calls are distinguished by address, and inlined calls by copy.

use super::leaf_stacks::Step;
use crate::symbol::role;
use runtime_dump::stack::BranchKind;

/// The relation of an earlier registration to a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Earlier {
    /// Both are the same registration, made twice.
    Repeated,
    /// The body that made the earlier one has moved on.
    Past,
    /// Both are registrations of different futures.
    Beside(BranchKind, By),
}

/// The code that polls both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// The closure of a macro such as `select!` or `join!`.
    Closure,
    /// A function, such as a hand-written `poll`.
    Function,
    /// Not known: names are missing.
    Unknown,
}

/// Where two stacks part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parting {
    /// How many frames, from the root, are equal.
    pub(super) common: usize,
    /// The index, from the root, of the function whose calls differ.
    pub(super) function: usize,
    pub(super) earlier: Earlier,
}

impl Parting {
    /// Compares two stacks, leaf first.
    pub(super) fn of(earlier: &[Step], later: &[Step]) -> Self {
        let shorter = earlier.len().min(later.len());
        let outer = |at: usize| (from_root(earlier, at), from_root(later, at));
        // A function that polls many futures by one call: the stacks inside of it may be of one future or of two.
        let mut many = false;
        for at in 0..shorter {
            let (a, b) = outer(at);
            let known = a.inlining_known && b.inlining_known;
            // The caller of the functions that are compared; of the first function, itself.
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
            // One stack is the end of the other: the same leaf at two depths, or a repetition.
            false => UNKNOWN,
        };
        Parting {
            common: shorter,
            function: shorter.saturating_sub(1),
            earlier,
        }
    }
}

/// The result if names are missing.
pub(super) const UNKNOWN: Earlier = Earlier::Beside(BranchKind::AlsoRegistered, By::Unknown);

/// Compares the innermost addresses of two stacks with equal functions and lines. If inlined functions are not known,
/// different addresses may be two leaves.
fn repeated(earlier: &[Step], later: &[Step]) -> Earlier {
    match (earlier.first(), later.first()) {
        (Some(a), Some(b)) if a.pc != b.pc && !a.inlining_known => UNKNOWN,
        _ => Earlier::Repeated,
    }
}

fn from_root(steps: &[Step], at: usize) -> &Step {
    &steps[steps.len() - 1 - at]
}

/// Whether a function calls another from two different places.
fn called_from_two_places(callers: (&Step, &Step), called: (&Step, &Step)) -> bool {
    match called.0.physical {
        true => callers.0.pc != callers.1.pc,
        false => called.0.copy != called.1.copy,
    }
}

/// [`polls_several`] for a frame, by its index from the root.
fn is_closure_of_several(steps: &[Step], at: usize) -> bool {
    let around = at.checked_sub(1).map(|at| from_root(steps, at));
    polls_several(from_root(steps, at), around)
}

/// Whether a closure polls several futures and is not an async body. The frame around it tells.
fn polls_several(closure: &Step, around: Option<&Step>) -> bool {
    // futures' select! has a closure for each branch.
    role::is_macro_file(&closure.frame.file)
        || around.is_some_and(|step| role::is_poll_fn(&step.frame.function))
}
