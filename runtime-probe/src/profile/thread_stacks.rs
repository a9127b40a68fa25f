//! A thread's frames become the stack of a task that runs on it, or that of the thread.
//!
//! A task of ours is cut out by address: its wrapper's poll, and what it has called. Of a task that somebody else spawned
//! nothing is on the stack but tokio's own functions, so it is cut by their names.

use super::leaf_stacks::{Innermost, Step, expand, locations};
use crate::source::signal::{Capture, PollThere};
use crate::stack::interrupted::Frame;
use crate::stack::raw::{End, FutureMeta};
use crate::symbol::name::Names;
use crate::symbol::resolver::{Detail, Resolver};
use crate::symbol::role;
use runtime_dump::stack::Stack;

/// A stack, and why it may not be the whole one.
pub(super) struct Walked {
    pub(super) stack: Stack,
    pub(super) unfinished: Option<&'static str>,
}

const NO_ROOM: &str =
    "only its innermost function: too little of the thread's stack was left to walk it in";
const LOST: &str = "the stack goes on: the binary's unwind tables end here";

/// The stack of a task, from where its thread is up to the poll.
pub(super) fn of_task(
    capture: &Capture,
    poll: &PollThere,
    names: Names,
    resolver: &mut Resolver,
) -> Walked {
    let own = capture
        .frames
        .iter()
        .position(|frame| frame.end > poll.root);
    let (count, end) = match own {
        // The last frame of a walk that got lost has no end either.
        Some(last) if last + 1 < capture.frames.len() => (last + 1, End::Root),
        _ => (capture.frames.len(), capture.end),
    };
    let root = (end == End::Root).then_some(poll.meta);
    let steps = steps(&capture.frames[..count], root, resolver);
    finish(capture, count, end, &steps, names)
}

/// The stack of a task that somebody else spawned; `None` if the thread polls none. Without symbols, the thread's.
pub(super) fn of_foreign(
    capture: &Capture,
    names: Names,
    resolver: &mut Resolver,
) -> Option<Walked> {
    let mut steps = steps(&capture.frames, None, resolver);
    let root = steps
        .iter()
        .position(|step| role::polls_task(&step.frame.function));
    let count = match root {
        None if resolver.detail() == Detail::Nothing => steps.len(),
        root => root?,
    };
    steps.truncate(count);
    let harness = |step: &&mut Step| !step.shown || role::is_harness(&step.frame.function);
    let outer = steps.iter_mut().rev().take_while(harness);
    outer.for_each(|step| step.shown = false);
    let frames = steps.iter().filter(|step| step.is_physical()).count();
    Some(finish(capture, frames, End::Root, &steps, names))
}

/// All of a thread's stack.
pub(super) fn of_thread(capture: &Capture, names: Names, resolver: &mut Resolver) -> Walked {
    let mut steps = steps(&capture.frames, None, resolver);
    let begins = |step: &&mut Step| !step.shown || role::begins_thread(&step.frame.function);
    let outer = steps.iter_mut().rev().take_while(begins);
    outer.for_each(|step| step.shown = false);
    finish(capture, capture.frames.len(), capture.end, &steps, names)
}

/// The functions of frames, innermost first. Of what std and other libraries do at the innermost end, only the call that
/// somebody made is shown, and what it does in C.
fn steps(
    frames: &[Frame],
    root: Option<&'static FutureMeta>,
    resolver: &mut Resolver,
) -> Vec<Step> {
    let pcs: Vec<usize> = frames.iter().map(|frame| frame.pc).collect();
    let mut steps = expand(&pcs, Innermost::Instruction, root, resolver);
    let library = |step: &&Step| {
        let function = &step.frame.function;
        role::is_library(function) || role::is_c(function)
    };
    let machinery = steps.iter().take_while(library).count();
    if machinery == steps.len() {
        // Nobody called it: a worker that has nothing to do.
        return steps;
    }
    let rust = |step: &Step| {
        let function = &step.frame.function;
        !role::is_c(function) && !role::is_own(function)
    };
    let call = steps[..machinery].iter().rposition(rust);
    for (at, step) in steps[..machinery].iter_mut().enumerate() {
        step.shown = role::is_c(&step.frame.function) || call == Some(at);
    }
    steps
}

fn finish(capture: &Capture, frames: usize, end: End, steps: &[Step], names: Names) -> Walked {
    let mut stack = Stack {
        trunk: locations(steps, names),
        ..Stack::default()
    };
    stack.elided = capture
        .elided
        .filter(|(gap, _)| *gap < frames)
        .map(|(gap, elided)| (gap, u32::try_from(elided).unwrap_or(u32::MAX)));
    let unfinished = match end {
        End::NoRoom => Some(NO_ROOM),
        End::Lost => Some(LOST),
        End::Root | End::Thread | End::Switched | End::Unkept => None,
    };
    Walked { stack, unfinished }
}
