//! One task's raw stacks become one readable stack and a wait reason.
//!
//! A poll leaves a stack per leaf that it registered with, in order. **A registration is not yet a wait.** In one poll a
//! task may register with a select's leaves, get one ready, and go on to wait elsewhere; the earlier leaves stay
//! registered. So each registration is compared with every later one, those that are past included (see
//! [`super::parting`]): it is a wait as long as none of them says that its body has moved on. Where names cannot tell (no
//! line tables, so inlined functions are unknown), it is shown as "also registered".

use super::leaves::{Leaves, Registration};
use super::parting::Parting;
use crate::snapshot::remaining::Remaining;
use crate::stack::raw::{End, FutureMeta, RawStack, WaitSet};
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
    /// Entry of the physical function; 0 where unknown.
    pub(super) entry: u64,
    /// The innermost frame of its address.
    innermost: bool,
    /// The physical function itself, not one inlined into it.
    pub(super) physical: bool,
    pub(super) inlining_known: bool,
    /// Which of its copies an inlined function is.
    pub(super) copy: u64,
    pub(super) shown: bool,
    /// In no form, unless its frame has something that is shown: the probe's, or the way from a leaf to the waker.
    left_out: bool,
    /// The public call of the leaf's libraries.
    pub(super) call: bool,
}

impl Step {
    /// Nothing is known of its function: the binary is stripped.
    pub(super) fn is_nameless(&self) -> bool {
        self.entry == 0 && self.frame.function.starts_with("0x")
    }
}

/// What a set of registrations tells.
pub(crate) struct Assembled {
    pub(crate) stack: Stack,
    /// What the task waits for.
    pub(crate) reason: Reason,
    /// What it waits for in each branch; in one leaf, the same.
    pub(crate) leaves: Vec<Reason>,
    /// What may end the future that waits: its wrapper waits for that, too.
    pub(crate) deadline: Option<Reason>,
}

/// The readable stack of a set of registrations, of which so many are `remaining`, and what the task waits for. `around` is
/// what the task around a nested future registered: its stack goes on where the nested one's ends.
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
    // Of a future wrapped by hand that waits: its task waits there.
    let over = match remaining {
        // A timer that has woken the task is not asked again before it is set again.
        Remaining::Repeated => leaves.all.iter().all(Registration::is_timer),
        remaining => !remaining.is_some() && reason != Reason::Inner,
    };
    if let Some(around) = around {
        let outer = expand_raw(around.last, resolver);
        // The outer stack's leaf is the nested wrapper's own poll: only what lies above it is news.
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

/// The innermost function of the application's on the way to a registration.
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

/// What the innermost address of a stack is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Innermost {
    /// A return address, of which a program has few.
    Call,
    /// One past any instruction.
    Instruction,
}

/// The functions at return addresses, leaf first. With a future at the root, the last address is in its wrapper's poll.
pub(super) fn expand(
    pcs: &[usize],
    innermost: Innermost,
    root: Option<&'static FutureMeta>,
    resolver: &mut Resolver,
) -> Vec<Step> {
    let mut steps = Vec::new();
    for (index, pc) in pcs.iter().enumerate() {
        let code: Arc<Code> = match innermost {
            Innermost::Instruction if index == 0 => resolver.code_once(*pc as u64 - 1),
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

/// Makes the future at the root visible under its own name, where inlining has swallowed its poll and no line table
/// brings it back, or not all of its name: the type's name is always known.
fn name_root(steps: &mut Vec<Step>, meta: &'static FutureMeta, resolver: &mut Resolver) {
    let Some(root) = steps.last() else { return };
    let type_name = meta.type_name();
    if root.inlining_known {
        // Inlined into its wrapper's poll, an async fn has only a part of its name in the line tables.
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

/// Finds the leaf's reason and its public call, and hides the machinery below that.
pub(super) fn hide_leaf(steps: &mut [Step]) -> Reason {
    let mut reason = Reason::Unknown;
    let mut public = None;
    for (index, step) in steps.iter().enumerate() {
        // A timeout is another future's wait with a sleep beside it; its own leaf is the sleep.
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

/// What is at the innermost end of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaf {
    /// A library's call that waits: what it calls is its machinery.
    Wait,
    /// What runs.
    Code,
}

/// Leaves out frames that tell nothing of the program: the probe's own and, below a wait's innermost shown function, the
/// way to the waker's clone, where every wait would seem to be. Nothing, where no function is shown.
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

/// How many frames, from the root, all leaves share. Each keeps its public call for itself, even where they differ in nothing
/// that is shown.
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

/// The stack of a task of which only the last registrations are known, and they are over, or may be: below a frame that says
/// so there is what called them.
fn passed(
    leaves: &[Registration],
    remaining: Remaining,
    names: Names,
    resolver: &mut Resolver,
) -> Stack {
    // Where the program's own code begins, outside of a library's call.
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

/// In the place of a leaf's function where the task waits for something unknown, at a later line than the one below.
const AFTER: &str = "waits.after";
/// The same where it may be that line.
const AT_OR_AFTER: &str = "waits.at_or_after";

/// Steps of one physical frame become one location. Only what is shown is in it; a frame of which nothing is shown is a
/// hidden location, or none if it is left out.
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
            // A part of a physical frame is not what its address stands for elsewhere: it gets an address of its own.
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

/// A stable address for something that has none of its own, below those that `runtime-dump` gives out.
pub(crate) fn synthetic(what: &impl Hash, salt: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (what, salt).hash(&mut hasher);
    // 39 bits of hash: among 10,000 such frames two would share an address once in 10,000 programs.
    SYNTHETIC_BASE + 1 + (hasher.finish() >> 25)
}
