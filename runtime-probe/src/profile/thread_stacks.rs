//! Makes the stack of a running task, or of a thread, from a thread's frames.
//!
//! An instrumented task is cut out by address: its wrapper's poll and the frames inside of it. A task that a dependency
//! spawned through plain tokio has no wrapper on the stack, so it is cut out by the names of tokio's functions.

use super::leaf_stacks::{
    self, Beside, Innermost, Leaf, Step, expand, hide_leaf, kept, leave_out, locations,
};
use crate::ask::thread_stack::Capture;
use crate::source::creation::Creation;
use crate::source::signal::PollThere;
use crate::stack::interrupted::Frame;
use crate::stack::raw::{End, FutureMeta};
use crate::stack::wait_set::WaitSet;
use crate::symbol::name::Names;
use crate::symbol::reason::Reason;
use crate::symbol::resolver::{Detail, Resolver};
use crate::symbol::role;
use runtime_dump::stack::Stack;

/// A stack, and the reason why it may be incomplete.
pub(super) struct Walked {
    pub(super) stack: Stack,
    pub(super) unfinished: Option<&'static str>,
}

const NO_ROOM: &str =
    "only its innermost function: too little of the thread's stack was left to walk it in";
const LOST: &str = "the stack goes on: the binary's unwind tables end here";

/// The stack of a task, from the thread's current function to the wrapper's poll.
pub(super) fn of_task(
    capture: &Capture,
    poll: &PollThere,
    names: Names,
    resolver: &mut Resolver,
) -> Walked {
    let (count, end) = own_frames(capture, poll);
    let root = (end == End::Root).then_some(poll.meta);
    let mut steps = steps(&capture.frames[..count], root, resolver);
    // If everything was inlined (LTO does that to blocking closures), the frame of the wrapper's poll has the name of
    // tokio's function.
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
        // The last frame of an incomplete walk has no end, so it does not count.
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

/// The stack of a foreign task; `None` if the thread polls none. Without symbols, the thread's whole stack.
pub(super) fn of_foreign(
    capture: &Capture,
    names: Names,
    resolver: &mut Resolver,
) -> Option<Walked> {
    let mut steps = steps(&capture.frames, None, resolver);
    if !cut_foreign(&mut steps)
        && matches!(
            resolver.detail(),
            Detail::Lines | Detail::SplitOff | Detail::Symbols
        )
    {
        return None;
    }
    let frames = steps.iter().filter(|step| step.physical).count();
    Some(finish(capture, frames, End::Root, steps, names))
}

/// The whole stack of a thread.
pub(super) fn of_thread(capture: &Capture, names: Names, resolver: &mut Resolver) -> Walked {
    let mut steps = steps(&capture.frames, None, resolver);
    hide_begin(&mut steps);
    finish(capture, capture.frames.len(), capture.end, steps, names)
}

/// Whether a thread reads standard input.
pub(super) fn reads_stdin(capture: &Capture, resolver: &mut Resolver) -> bool {
    let pcs: Vec<usize> = capture.frames.iter().map(|frame| frame.pc).collect();
    let steps = expand(&pcs, Innermost::Instruction, None, resolver);
    let mut functions = steps.iter().map(|step| &*step.frame.function);
    functions.any(role::is_stdin)
}

/// The innermost shown function of a thread's stack that is not a C function.
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

/// Whether a thread of a runtime sleeps until another of its threads wakes it: a worker that leaves timers and I/O to
/// another worker, or a thread of the blocking pool. `false` if names are missing.
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

/// The innermost function of the program's own in a wake that a driver runs, and no task; `None` where the stack shows none.
pub(super) fn in_drivers_wake(capture: &Capture, resolver: &mut Resolver) -> Option<String> {
    if capture.end != End::Thread || capture.elided.is_some() || !capture.polls.is_empty() {
        return None;
    }
    let pcs: Vec<usize> = capture.frames.iter().map(|frame| frame.pc).collect();
    let steps = expand(&pcs, Innermost::Instruction, None, resolver);
    let functions: Vec<&str> = steps.iter().map(|step| &*step.frame.function).collect();
    // Only the outermost: a waker may run a driver of its own.
    let driver = functions.iter().rposition(|name| role::is_driver(name))?;
    let (inside, around) = functions.split_at(driver);
    // A worker is itself a task of the blocking pool: that is around the scheduler.
    let scheduler = around
        .iter()
        .rposition(|name| role::is_in_scheduler(name))?;
    if around[..scheduler]
        .iter()
        .any(|name| role::polls_task(name))
    {
        return None;
    }
    let mut calls = inside.iter();
    let call = calls.find(|name| !role::is_library(name) && !role::is_c(name))?;
    Some((*call).to_owned())
}

/// The stack of a sleeping thread as that of a wait, and the reason: from the waiting call up to the poll of the task,
/// if the thread polls one.
pub(super) fn of_waiting(capture: &Capture, resolver: &mut Resolver) -> (Stack, Reason) {
    // The outermost poll is the task's: nested futures belong to it.
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
    // The frames of the system call are hidden.
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

/// The creator of a thread: its stack, and the function that created the thread.
pub(super) struct Created {
    pub(super) stack: Stack,
    pub(super) by: Option<runtime_dump::stack::Frame>,
    /// Whether the creator was a task.
    pub(super) in_task: bool,
}

/// Makes the creator's stack. Its function is the innermost one that is not a library's, if there is one.
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

/// Removes all frames but those of a foreign task. `false`, and no change, if there is none.
fn cut_foreign(steps: &mut Vec<Step>) -> bool {
    let polls = |step: &Step| role::polls_task(&step.frame.function);
    let Some(root) = steps.iter().position(polls) else {
        return false;
    };
    cut_harness(steps, root);
    true
}

/// Removes the frames outside of tokio's poll of a task, and hides tokio's own frames at the outer end.
fn cut_harness(steps: &mut Vec<Step>, root: usize) {
    steps.truncate(root);
    let harness = |step: &&mut Step| !step.shown || role::is_harness(&step.frame.function);
    let outer = steps.iter_mut().rev().take_while(harness);
    outer.for_each(|step| step.shown = false);
}

/// Hides the C library's frames at the begin of a thread.
fn hide_begin(steps: &mut [Step]) {
    let begins = |step: &&mut Step| !step.shown || role::begins_thread(&step.frame.function);
    let outer = steps.iter_mut().rev().take_while(begins);
    outer.for_each(|step| step.shown = false);
}

/// The functions of frames, innermost first. Of the libraries' frames at the innermost end, only the called function
/// and the C functions are shown.
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
        // Only libraries are on the stack: an idle worker.
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

/// If the call drops a value: the step that represents it. It gets the name of the type, if that is known.
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
        // Without the type, the function that it calls is shown.
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

/// (index, number) of the missing frames among the innermost `frames`.
fn elided(capture: &Capture, frames: usize, steps: &[Step]) -> Option<(usize, u32)> {
    let (gap, elided) = capture.elided.filter(|(gap, _)| *gap < frames)?;
    Some((kept(steps, gap), u32::try_from(elided).unwrap_or(u32::MAX)))
}
