//! Makes one readable stack and a wait reason of a task's raw stacks.
//!
//! A poll records a stack for each leaf that it registers with, in order. **A registration is not always a wait.** In
//! one poll a task may register with the leaves of a `select!`, find one ready, and go on to wait elsewhere; the
//! earlier leaves stay registered. So each registration is compared with every later one (see [`super::parting`]). It
//! is a wait unless a later one shows that its async body has moved on. If the names do not decide it (without line
//! tables, inlined functions are unknown), it is shown as "also registered".

use super::leaves::{Leaves, Registration};
use super::parting::Parting;
use crate::snapshot::remaining::Remaining;
use crate::stack::raw::{End, FutureMeta, RawStack};
use crate::stack::wait_set::WaitSet;
use crate::symbol::name::Names;
use crate::symbol::reason::{self, Reason};
use crate::symbol::resolver::{Code, Resolver};
use crate::symbol::role;
use runtime_dump::stack::{Branch, BranchKind, Frame, Location, SYNTHETIC_BASE, Stack};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// A frame of one leaf's stack, inlined ones expanded.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) frame: Frame,
    /// The function under its full name.
    pub(super) full: Arc<str>,
    pub(super) closures: usize,
    /// The return address of the physical frame.
    pub(super) pc: u64,
    /// The entry of the physical function; 0 if unknown.
    pub(super) entry: u64,
    /// Whether this is the innermost frame of its address.
    innermost: bool,
    /// Whether this is the physical function, not one inlined into it.
    pub(super) physical: bool,
    pub(super) inlining_known: bool,
    /// Identifies the copy of an inlined function.
    pub(super) copy: u64,
    pub(super) shown: bool,
    /// Whether the frame is in no form at all: a frame of the probe, or between a leaf and the waker. A physical frame
    /// with a shown function is kept.
    left_out: bool,
    /// Whether this is the library's public function that the program called.
    pub(super) call: bool,
}

impl Step {
    /// Whether the function has no name: the binary is stripped.
    pub(super) fn is_nameless(&self) -> bool {
        self.entry == 0 && self.frame.function.starts_with("0x")
    }
}

/// The stack and the reasons of a set of registrations.
pub(crate) struct Assembled {
    pub(crate) stack: Stack,
    /// What the task waits for.
    pub(crate) reason: Reason,
    /// The reason of each branch; of a single leaf, the same reason.
    pub(crate) leaves: Vec<Reason>,
    /// What the wrapper of the waiting future waits for, such as the timer of a `timeout`.
    pub(crate) deadline: Option<Reason>,
}

/// Makes the readable stack of a set of registrations, and the reason of the wait. `remaining` tells which
/// registrations still hold. `around` is the registration of the task around a nested future: its stack continues the
/// nested future's.
pub(crate) fn assemble(
    waits: &'static WaitSet,
    remaining: Remaining,
    around: Option<&'static WaitSet>,
    names: Names,
    resolver: &mut Resolver,
) -> Assembled {
    let stacks: Vec<Vec<Step>> = waits
        .stacks()
        .map(|raw| expand_raw(raw, resolver))
        .collect();
    let addresses: Vec<&[usize]> = waits.stacks().map(|raw| &raw.pcs[..]).collect();
    let mut leaves = Leaves::of(&stacks, &addresses, remaining);
    let (mut reason, mut reasons) = leaves.reasons();
    // Whether the known registrations have ended. `Inner` is the wait of a nested future, which its task has as well.
    let over = match remaining {
        // A timer that has woken the task does not register again until it is reset.
        Remaining::Repeated => leaves.all.iter().all(Registration::is_timer),
        remaining => !remaining.is_some() && reason != Reason::Inner,
    };
    if let Some(around) = around {
        let outer = expand_raw(around.last, resolver);
        // The leaf of the outer stack is the nested wrapper's poll. Only the frames further out are added.
        let news: Vec<Step> = outer.into_iter().skip_while(|step| !step.shown).collect();
        let all = leaves.all.iter_mut();
        all.for_each(|leaf| leaf.steps.extend(news.iter().cloned()));
    }
    let all = leaves.all.iter_mut();
    all.for_each(|leaf| leave_out(&mut leaf.steps, Leaf::Wait));
    let raw = waits.last;
    let gap = match &leaves.all[..] {
        [leaf] => Some(kept(&leaf.steps, raw.pcs.len() / 2)),
        _ => None,
    };
    let mut stack = match over {
        false => stack(&leaves.all, names),
        true => {
            (reason, reasons) = (Reason::Unknown, vec![Reason::Unknown]);
            passed(&leaves.all, remaining, names, resolver)
        }
    };
    if raw.elided > 0 {
        stack.elided = Some((gap.unwrap_or(stack.trunk.len() / 2), raw.elided));
    }
    match raw.end {
        End::Root | End::Thread => {}
        End::Lost if stack.trunk.is_empty() => stack.missing = Some(LOST.into()),
        End::Switched if stack.trunk.is_empty() => stack.missing = Some(SWITCHED.into()),
        End::Unkept => stack.missing = Some(UNKEPT.into()),
        End::Lost | End::Switched | End::NoRoom => {}
    }
    Assembled {
        stack,
        reason,
        leaves: reasons,
        deadline: leaves.deadline.filter(|_| !over),
    }
}

const LOST: &str = "unwinding failed: the binary's unwind tables end here";
const UNKEPT: &str =
    "stack not kept: the program has more ways to wait than the probe has room for";
const SWITCHED: &str = "switched stack: the poll ran on a stack that a library switched to";

/// The frames of a raw stack, leaf first.
fn expand_raw(raw: &'static RawStack, resolver: &mut Resolver) -> Vec<Step> {
    expand(
        &raw.pcs,
        Innermost::Call,
        (raw.end == End::Root).then_some(raw.root),
        resolver,
    )
}

/// The functions of a raw stack, leaf first.
pub(super) fn functions(raw: &'static RawStack, resolver: &mut Resolver) -> Vec<Arc<str>> {
    let steps = expand_raw(raw, resolver).into_iter();
    steps.map(|step| step.frame.function).collect()
}

/// The innermost function of the application in the stack of a registration.
pub(super) fn own_frame(raw: &'static RawStack, resolver: &mut Resolver) -> Option<Frame> {
    own_step(&expand_raw(raw, resolver)).map(|step| step.frame.clone())
}

fn own_step(steps: &[Step]) -> Option<&Step> {
    steps.iter().find(|step| {
        step.shown && !role::is_library(&step.frame.function) && !role::is_own(&step.frame.function)
    })
}

/// A branch of a task that waits while another one runs, as of the last poll of that branch: the innermost function of the
/// application's, and what it waits for.
pub(super) struct Beside {
    pub(super) frame: Frame,
    pub(super) reason: Reason,
}

/// What a task waits for beside where it runs, at `pcs` and so in `running`: the registrations of the poll and of the one before,
/// which are `waits`, the last first, past which the code has not moved on.
pub(super) fn beside(
    running: Vec<Step>,
    pcs: &[usize],
    waits: &[&'static WaitSet],
    resolver: &mut Resolver,
) -> Vec<Beside> {
    let raw = waits.iter().flat_map(|waits| waits.stacks());
    let raw: Vec<&'static RawStack> = raw.collect();
    let runs: Vec<u64> = running.iter().map(|step| step.pc).collect();
    let mut stacks = vec![running];
    stacks.extend(raw.iter().map(|raw| expand_raw(raw, resolver)));
    let mut addresses = vec![pcs];
    addresses.extend(raw.iter().map(|raw| &raw.pcs[..]));
    let leaves = Leaves::of(&stacks, &addresses, Remaining::All);
    let waits = leaves.all.iter().filter(|leaf| {
        let pcs = leaf.steps.iter().map(|step| step.pc);
        leaf.kind == BranchKind::Waiting && !pcs.eq(runs.iter().copied())
    });
    let waits = waits.filter_map(|leaf| {
        Some(Beside {
            frame: own_step(&leaf.steps)?.frame.clone(),
            reason: leaf.reason,
        })
    });
    waits.collect()
}

/// The kind of the innermost address of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Innermost {
    /// A return address. A program has few, so their names are cached.
    Call,
    /// One past any instruction. The names are not cached.
    Instruction,
}

/// The functions at return addresses, leaf first. If there is a future at the root, the last address is in its
/// wrapper's poll.
pub(super) fn expand(
    pcs: &[usize],
    innermost: Innermost,
    root: Option<&'static FutureMeta>,
    resolver: &mut Resolver,
) -> Vec<Step> {
    let mut steps = Vec::new();
    for (index, pc) in pcs.iter().enumerate() {
        let code: Arc<Code> = match innermost {
            Innermost::Instruction if index == 0 => resolver.interrupted(*pc as u64 - 1),
            _ => resolver.code(*pc as u64 - 1),
        };
        let count = code.frames.len();
        for (index, frame) in code.frames.iter().enumerate() {
            steps.push(Step {
                frame: Frame {
                    function: frame.function.clone(),
                    file: frame.file.clone(),
                    line: frame.line,
                },
                full: frame.full.clone(),
                closures: frame.closures,
                pc: *pc as u64,
                entry: code.entry,
                innermost: index == 0,
                physical: index + 1 == count,
                inlining_known: code.inlining_known,
                copy: frame.copy,
                shown: !role::is_scaffolding(&frame.function) && !role::is_macro_file(&frame.file),
                left_out: false,
                call: false,
            });
        }
        if count == 0 {
            let frame = Frame {
                function: format!("{pc:#x}").into(),
                file: "".into(),
                line: 0,
            };
            steps.push(Step {
                full: frame.function.clone(),
                frame,
                closures: 0,
                pc: *pc as u64,
                entry: 0,
                innermost: true,
                physical: true,
                inlining_known: false,
                copy: 0,
                shown: true,
                left_out: false,
                call: false,
            });
        }
    }
    if let Some(root) = root {
        name_root(&mut steps, root, resolver);
    }
    steps
}

/// Shows the future at the root by the name of its type, if its poll was inlined and the line tables have no name or
/// only a part of the name.
fn name_root(steps: &mut Vec<Step>, meta: &'static FutureMeta, resolver: &mut Resolver) {
    let Some(root) = steps.last() else { return };
    let type_name = meta.type_name();
    if root.inlining_known {
        // The line tables have only a part of the name of an async fn that is inlined into its wrapper's poll.
        let pc = root.pc;
        let polled = steps.iter_mut().rev().find(|step| step.shown);
        if let Some(step) = polled
            && step.pc == pc
            && type_name.ends_with("{{closure}}")
            && step.frame.function.ends_with("::{async fn}")
        {
            step.frame.function = resolver.text(role::root_name(type_name));
            step.full = resolver.text(type_name.to_owned());
        }
        return;
    }
    let name = role::root_name(type_name);
    let last_shown = steps.iter().rev().find(|step| step.shown);
    if last_shown.is_some_and(|step| step.physical && *step.frame.function == *name) {
        return;
    }
    let frame = Frame {
        function: resolver.text(name),
        file: "".into(),
        line: 0,
    };
    let root = Step {
        frame,
        full: resolver.text(type_name.to_owned()),
        closures: 1,
        shown: true,
        call: false,
        innermost: false,
        ..root.clone()
    };
    steps.push(root);
}

/// Finds the leaf's reason and its public call, and hides the frames inside of that call.
pub(super) fn hide_leaf(steps: &mut [Step]) -> Reason {
    let mut reason = Reason::Unknown;
    let mut public = None;
    for (index, step) in steps.iter().enumerate() {
        // A timeout polls a sleep beside another future, so its own leaf is the sleep.
        if !role::is_library(&step.frame.function)
            || (public.is_some() && role::is_beside(&step.frame.function))
        {
            break;
        }
        if let Some(found) = reason::reason_of(&step.frame.function) {
            if found == Reason::Inner {
                return found;
            }
            reason = reason::combine(reason, found, &step.frame.function);
            public = Some(index);
        }
    }
    if let Some(public) = public {
        steps[..public]
            .iter_mut()
            .for_each(|step| step.shown = false);
        steps[public].shown = true;
        steps[public].call = true;
        if !steps[public].inlining_known {
            reason = reason::alone(reason, &steps[public].frame.function);
        }
    }
    reason
}

/// The kind of the innermost end of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaf {
    /// A library's call that waits. The frames inside of it are hidden.
    Wait,
    /// Running code.
    Code,
}

/// Leaves out the probe's own frames, and the frames between a wait's innermost shown function and the waker's clone.
/// If no function is shown, all frames stay.
pub(super) fn leave_out(steps: &mut [Step], leaf: Leaf) {
    let Some(innermost) = steps.iter().position(|step| step.shown) else {
        return;
    };
    for (at, step) in steps.iter_mut().enumerate() {
        let below = leaf == Leaf::Wait && at < innermost;
        step.left_out = below || role::is_own(&step.frame.function);
    }
}

/// How many of the innermost `frames` physical frames become locations.
pub(super) fn kept(steps: &[Step], frames: usize) -> usize {
    let kept = physical_frames(steps).take(frames);
    kept.filter(|steps| !is_left_out(steps)).count()
}

/// The functions of each physical frame.
fn physical_frames(steps: &[Step]) -> impl Iterator<Item = &[Step]> {
    steps.chunk_by(|a, b| a.pc == b.pc && !a.physical)
}

fn is_left_out(frame: &[Step]) -> bool {
    frame.iter().all(|step| !step.shown) && frame.iter().any(|step| step.left_out)
}

/// One trunk and, for several leaves, a branch each.
fn stack(leaves: &[Registration], names: Names) -> Stack {
    if let [leaf] = leaves {
        return Stack {
            trunk: locations(&leaf.steps, names),
            ..Stack::default()
        };
    }
    let common = common(leaves);
    let trunk = leaves.first().map_or_else(Vec::new, |leaf| {
        locations(&leaf.steps[leaf.steps.len() - common..], names)
    });
    let branches = leaves
        .iter()
        .map(|leaf| Branch {
            kind: leaf.kind,
            locations: locations(&leaf.steps[..leaf.steps.len() - common], names),
        })
        .collect();
    Stack {
        trunk,
        branches,
        ..Stack::default()
    }
}

/// How many frames, from the root, all leaves share. The public call of a leaf is never shared, even if the shown
/// frames are equal.
fn common(leaves: &[Registration]) -> usize {
    let [first, others @ ..] = leaves else {
        return 0;
    };
    let below_leaf = |leaf: &Registration| {
        let call = leaf.steps.iter().position(|step| step.shown);
        leaf.steps.len() - call.map_or(0, |call| call + 1)
    };
    let parted = others
        .iter()
        .map(|leaf| Parting::of(&first.steps, &leaf.steps).common);
    let below_leaf = leaves.iter().map(below_leaf);
    parted.chain(below_leaf).min().unwrap_or(0)
}

/// The stack of a task whose known registrations have ended, or may have: a frame that says so, and the callers of the
/// registrations.
fn passed(
    leaves: &[Registration],
    remaining: Remaining,
    names: Names,
    resolver: &mut Resolver,
) -> Stack {
    // The index of the first frame of the program's own code, outside of the library's call.
    let own = |steps: &[Step]| match steps.iter().position(|step| step.call) {
        None => 0,
        Some(call) => {
            let of_a_library = |step: &&Step| !step.shown || role::is_library(&step.frame.function);
            call + steps[call..].iter().take_while(of_a_library).count()
        }
    };
    let (name, steps) = match (leaves, remaining) {
        ([leaf], Remaining::None | Remaining::Repeated) => (AFTER, &leaf.steps[own(&leaf.steps)..]),
        ([leaf], _) => (AT_OR_AFTER, &leaf.steps[..]),
        ([first, ..], _) => (AFTER, &first.steps[first.steps.len() - common(leaves)..]),
        ([], _) => (AFTER, &[][..]),
    };
    let known = steps[own(steps)..].iter().find(|step| step.shown);
    let known = known.map(|step| &step.frame);
    let frame = Frame {
        function: resolver.text(name.to_owned()),
        file: known.map_or_else(|| "".into(), |frame| frame.file.clone()),
        line: known.map_or(0, |frame| frame.line),
    };
    let after = Location {
        return_address: synthetic(&frame, 0),
        function_offset: None,
        frames: vec![frame],
        hidden: false,
    };
    let mut trunk = vec![Arc::new(after)];
    trunk.extend(locations(steps, names));
    Stack {
        trunk,
        ..Stack::default()
    }
}

/// Replaces the leaf's function if the task waits at an unknown, later line of the function below.
const AFTER: &str = "waits.after";
/// The same if it may wait at the known line.
const AT_OR_AFTER: &str = "waits.at_or_after";

/// Makes a location of the steps of each physical frame, with the shown functions only. A frame without shown functions
/// is a hidden location, or none if it is left out.
pub(super) fn locations(steps: &[Step], names: Names) -> Vec<Arc<Location>> {
    let named = |step: &Step| match names {
        Names::Short => step.frame.clone(),
        Names::Full => Frame {
            function: step.full.clone(),
            ..step.frame.clone()
        },
    };
    physical_frames(steps)
        .filter(|steps| !is_left_out(steps))
        .map(|steps| {
            let shown: Vec<Frame> = steps.iter().filter(|step| step.shown).map(named).collect();
            let hidden = shown.is_empty();
            let frames = if hidden {
                steps.iter().map(named).collect()
            } else {
                shown
            };
            let (first, last) = (&steps[0], &steps[steps.len() - 1]);
            let offset = (last.entry != 0 && last.physical).then(|| last.pc - 1 - last.entry);
            let known = frames
                .iter()
                .any(|frame: &Frame| !frame.function.starts_with("0x"));
            // A part of a physical frame gets another address: the real one stands for the whole frame elsewhere.
            let part = !first.innermost || !last.physical;
            let return_address = if part {
                synthetic(&frames, last.entry)
            } else {
                last.pc
            };
            Arc::new(Location {
                return_address,
                function_offset: if known { offset } else { None },
                frames: if known { frames } else { Vec::new() },
                hidden,
            })
        })
        .collect()
}

/// A stable address for a thing without one. It lies below the addresses that `runtime-dump` makes.
pub(crate) fn synthetic(what: &impl Hash, salt: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (what, salt).hash(&mut hasher);
    // 39 bits of hash: two of 10,000 such frames share an address in one of 10,000 programs.
    SYNTHETIC_BASE + 1 + (hasher.finish() >> 25)
}
