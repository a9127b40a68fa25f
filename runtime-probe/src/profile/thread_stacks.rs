//! A thread's frames become the stack of a task that runs on it, or that of the thread.
//!
//! A task of ours is cut out by address: its wrapper's poll, and what it has called. Of a task that a dependency spawned by
//! plain tokio, nothing is on the stack but tokio's own functions, so it is cut by their names.

use super::leaf_stacks::{
    self, Beside, Innermost, Leaf, Step, expand, hide_leaf, kept, leave_out, locations,
};
use crate::ask::thread_stack::Capture;
use crate::source::creation::Creation;
use crate::source::signal::PollThere;
use crate::stack::interrupted::Frame;
use crate::stack::raw::{End, FutureMeta, WaitSet};
use crate::symbol::name::Names;
use crate::symbol::reason::Reason;
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
    let (count, end) = own_frames(capture, poll);
    let root = (end == End::Root).then_some(poll.meta);
    let mut steps = steps(&capture.frames[..count], root, resolver);
    // Where all in between was inlined into it (LTO does that to blocking closures) the frame of the wrapper's poll is tokio's.
    if end == End::Root
        && let Some((outermost, inner)) = steps.split_last()
        && role::polls_task(&outermost.frame.function)
    {
        let root = inner.len();
        cut_harness(&mut steps, root);
    }
    finish(capture, count, end, steps, names)
}

/// How many of a thread's innermost frames are of this poll, and how they end.
fn own_frames(capture: &Capture, poll: &PollThere) -> (usize, End) {
    let own = capture
        .frames
        .iter()
        .position(|frame| frame.end > poll.root);
    match own {
        // The last frame of a walk that got lost has no end either.
        Some(last) if last + 1 < capture.frames.len() => (last + 1, End::Root),
        _ => (capture.frames.len(), capture.end),
    }
}

/// What a task that runs waits for beside: its branches that it does not poll at the moment.
pub(super) fn beside(capture: &Capture, poll: &PollThere, resolver: &mut Resolver) -> Vec<Beside> {
    let (count, end) = own_frames(capture, poll);
    if end != End::Root {
        return Vec::new();
    }
    let pcs: Vec<usize> = capture.frames[..count]
        .iter()
        .map(|frame| frame.pc)
        .collect();
    let running = expand(&pcs, Innermost::Instruction, Some(poll.meta), resolver);
    let waits: Vec<&'static WaitSet> = poll.waits.into_iter().chain(poll.before).collect();
    leaf_stacks::beside(running, &pcs, &waits, resolver)
}

/// The stack of a foreign task; `None` if the thread polls none. Without symbols, the thread's.
pub(super) fn of_foreign(
    capture: &Capture,
    names: Names,
    resolver: &mut Resolver,
) -> Option<Walked> {
    let mut steps = steps(&capture.frames, None, resolver);
    if !cut_foreign(&mut steps) && matches!(resolver.detail(), Detail::Lines | Detail::Symbols) {
        return None;
    }
    let frames = steps.iter().filter(|step| step.physical).count();
    Some(finish(capture, frames, End::Root, steps, names))
}

/// All of a thread's stack.
pub(super) fn of_thread(capture: &Capture, names: Names, resolver: &mut Resolver) -> Walked {
    let mut steps = steps(&capture.frames, None, resolver);
    hide_begin(&mut steps);
    finish(capture, capture.frames.len(), capture.end, steps, names)
}

/// Whether a thread reads standard input, which nothing but input ends.
pub(super) fn reads_stdin(capture: &Capture, resolver: &mut Resolver) -> bool {
    let pcs: Vec<usize> = capture.frames.iter().map(|frame| frame.pc).collect();
    let steps = expand(&pcs, Innermost::Instruction, None, resolver);
    let mut functions = steps.iter().map(|step| &*step.frame.function);
    functions.any(role::is_stdin)
}

/// The innermost function that the stack of a thread shows, if it is not the C library's.
pub(super) fn innermost_call(capture: &Capture, resolver: &mut Resolver) -> Option<String> {
    let walked = of_thread(capture, Names::Short, resolver);
    let shown = walked
        .stack
        .trunk
        .iter()
        .filter(|location| !location.hidden);
    let mut frames = shown.flat_map(|location| &location.frames);
    let call = frames.find(|frame| !role::is_c(&frame.function))?;
    Some(call.function.to_string())
}

/// Whether the thread of a runtime sleeps until another thread of it wakes it: a worker that has left timers and I/O to
/// another, or a thread of the blocking pool. `false` where names do not tell.
pub(super) fn sleeps_until_woken(capture: &Capture, resolver: &mut Resolver) -> bool {
    if capture.end != End::Thread || capture.elided.is_some() {
        return false;
    }
    let pcs: Vec<usize> = capture.frames.iter().map(|frame| frame.pc).collect();
    let steps = expand(&pcs, Innermost::Instruction, None, resolver);
    let names = || steps.iter().map(|step| &*step.frame.function);
    let in_pool = || names().any(role::is_in_blocking_pool) && !names().any(role::is_in_scheduler);
    names().any(role::sleeps_as_a_worker) || in_pool()
}

/// The stack of a thread that sleeps, as a wait's: from the call that waits up to the task that is being polled, if there is
/// one, and what is waited for.
pub(super) fn of_waiting(capture: &Capture, resolver: &mut Resolver) -> (Stack, Reason) {
    // Futures that are wrapped by hand inside a task are a part of it.
    let poll = capture.polls.last();
    let own = poll.and_then(|poll| {
        let mut frames = capture.frames.iter();
        frames.position(|frame| frame.end > poll.root)
    });
    let (count, root) = match own {
        Some(last) if last + 1 < capture.frames.len() => (last + 1, poll.map(|poll| poll.meta)),
        _ => (capture.frames.len(), None),
    };
    let pcs: Vec<usize> = capture.frames[..count]
        .iter()
        .map(|frame| frame.pc)
        .collect();
    let mut steps = expand(&pcs, Innermost::Instruction, root, resolver);
    // The system call.
    let below = steps
        .iter()
        .take_while(|step| role::is_c(&step.frame.function))
        .count();
    steps[..below]
        .iter_mut()
        .for_each(|step| step.shown = false);
    let reason = hide_leaf(&mut steps[below..]);
    if root.is_none() {
        hide_begin(&mut steps);
    }
    leave_out(&mut steps, Leaf::Wait);
    let stack = Stack {
        trunk: locations(&steps, Names::Short),
        elided: elided(capture, count, &steps),
        ..Stack::default()
    };
    (stack, reason)
}

/// The stack of who created a thread, and the function that asked for it: the innermost that is no library's, if there is one.
pub(super) struct Created {
    pub(super) stack: Stack,
    pub(super) by: Option<runtime_dump::stack::Frame>,
    /// Whether it was a task.
    pub(super) in_task: bool,
}

/// Where the creator of a thread stood.
pub(super) fn of_creation(creation: &Creation, names: Names, resolver: &mut Resolver) -> Created {
    let mut steps = steps_at(&creation.pcs, creation.polled.root, resolver);
    let in_task =
        creation.polled.root.is_some() || creation.polled.id != 0 && cut_foreign(&mut steps);
    if !in_task {
        hide_begin(&mut steps);
    }
    leave_out(&mut steps, Leaf::Code);
    let asks = |step: &&Step| {
        let function = &step.frame.function;
        !role::is_library(function) && !role::is_c(function)
    };
    let shown = || steps.iter().filter(|step| step.shown);
    Created {
        by: shown()
            .find(asks)
            .or(shown().next())
            .map(|step| step.frame.clone()),
        stack: Stack {
            trunk: locations(&steps, names),
            elided: (creation.elided > 0)
                .then(|| (kept(&steps, creation.pcs.len() / 2), creation.elided)),
            ..Stack::default()
        },
        in_task,
    }
}

/// Leaves what a foreign task has on the stack; `false` and all of it if there is none.
fn cut_foreign(steps: &mut Vec<Step>) -> bool {
    let polls = |step: &Step| role::polls_task(&step.frame.function);
    let Some(root) = steps.iter().position(polls) else {
        return false;
    };
    cut_harness(steps, root);
    true
}

/// Leaves what is inside of tokio's poll of a task, and shows of that what is not tokio's.
fn cut_harness(steps: &mut Vec<Step>, root: usize) {
    steps.truncate(root);
    let harness = |step: &&mut Step| !step.shown || role::is_harness(&step.frame.function);
    let outer = steps.iter_mut().rev().take_while(harness);
    outer.for_each(|step| step.shown = false);
}

/// Hides what the C library begins a thread with.
fn hide_begin(steps: &mut [Step]) {
    let begins = |step: &&mut Step| !step.shown || role::begins_thread(&step.frame.function);
    let outer = steps.iter_mut().rev().take_while(begins);
    outer.for_each(|step| step.shown = false);
}

/// The functions of frames, innermost first. Of what std and other libraries do at the innermost end, only the call
/// into them is shown, and what it does in C.
fn steps(
    frames: &[Frame],
    root: Option<&'static FutureMeta>,
    resolver: &mut Resolver,
) -> Vec<Step> {
    let pcs: Vec<usize> = frames.iter().map(|frame| frame.pc).collect();
    steps_at(&pcs, root, resolver)
}

fn steps_at(
    pcs: &[usize],
    root: Option<&'static FutureMeta>,
    resolver: &mut Resolver,
) -> Vec<Step> {
    let mut steps = expand(pcs, Innermost::Instruction, root, resolver);
    let library = |step: &&Step| {
        let function = &step.frame.function;
        role::is_library(function) || role::is_c(function)
    };
    let machinery = steps.iter().take_while(library).count();
    if machinery == steps.len() {
        // No other code called it: a worker that has nothing to do.
        return steps;
    }
    let rust = |step: &Step| {
        let function = &step.frame.function;
        !role::is_c(function) && !role::is_own(function)
    };
    let call = name_dropped(&mut steps[..machinery], resolver)
        .or_else(|| steps[..machinery].iter().rposition(rust));
    for (at, step) in steps[..machinery].iter_mut().enumerate() {
        step.shown = role::is_c(&step.frame.function) || call == Some(at);
    }
    steps
}

/// Where the call is the end of a value: the step that stands for it, which gets the name of the type if that is known.
fn name_dropped(machinery: &mut [Step], resolver: &mut Resolver) -> Option<usize> {
    let outermost = machinery.iter().rposition(|step| {
        let function = &step.frame.function;
        !role::is_c(function) && !role::is_own(function)
    })?;
    match role::dropped(&machinery[outermost].full)? {
        Some(name) => {
            machinery[outermost].frame.function = resolver.text(format!("{name}::drop"));
            Some(outermost)
        }
        // What it calls says more.
        None => machinery.iter().rposition(|step| {
            let function = &step.frame.function;
            let plumbing = role::dropped(function).is_some() || role::is_own(function);
            !plumbing && !role::is_c(function)
        }),
    }
}

fn finish(
    capture: &Capture,
    frames: usize,
    end: End,
    mut steps: Vec<Step>,
    names: Names,
) -> Walked {
    leave_out(&mut steps, Leaf::Code);
    let stack = Stack {
        trunk: locations(&steps, names),
        elided: elided(capture, frames, &steps),
        ..Stack::default()
    };
    let unfinished = match end {
        End::NoRoom => Some(NO_ROOM),
        End::Lost => Some(LOST),
        End::Root | End::Thread | End::Switched | End::Unkept => None,
    };
    Walked { stack, unfinished }
}

/// Where frames are missing among the innermost `frames`, and how many.
fn elided(capture: &Capture, frames: usize, steps: &[Step]) -> Option<(usize, u32)> {
    let (gap, elided) = capture.elided.filter(|(gap, _)| *gap < frames)?;
    Some((kept(steps, gap), u32::try_from(elided).unwrap_or(u32::MAX)))
}
