//! One task's raw stacks become one readable stack and a wait reason.
//!
//! A poll leaves a stack per leaf that it registered with, in order. **A registration is not yet a wait.** In one poll a
//! task may register with a select's leaves, get one ready, and go on to wait elsewhere; the earlier leaves stay
//! registered. So each registration is compared with every later one, those that are past included (see
//! [`super::parting`]): it is a wait as long as none of them says that its body has moved on. Where names cannot tell (no
//! line tables, so inlined functions are unknown), it is shown as "also registered".

use super::parting::{Earlier, Parting, polls_several};
use crate::stack::raw::{End, FutureMeta, RawStack, WaitSet};
use crate::symbol::learned;
use crate::symbol::name::Names;
use crate::symbol::resolver::{Code, Resolver};
use crate::symbol::role::{self, Reason, SELECT};
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
    call: bool,
}

impl Step {
    /// Nothing is known of its function: the binary is stripped.
    fn is_nameless(&self) -> bool {
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
}

/// The readable stack of a set of registrations, and what the task waits for. `around` is what the task around a
/// nested future registered: its stack goes on where the nested one's ends.
pub(crate) fn assemble(
    waits: &'static WaitSet,
    around: Option<&'static WaitSet>,
    names: Names,
    resolver: &mut Resolver,
) -> Assembled {
    let stacks: Vec<Vec<Step>> = waits
        .stacks()
        .map(|raw| expand_raw(raw, resolver))
        .collect();
    let mut reasons = Vec::new();
    let mut leaves: Vec<(BranchKind, Vec<Step>)> = Vec::new();
    for (at, raw) in waits.stacks().enumerate() {
        let (later, earlier) = stacks.split_at(at);
        let Some(kind) = kind(&earlier[0], later) else {
            continue;
        };
        let mut steps = earlier[0].clone();
        let reason = match steps.first() {
            Some(leaf) if leaf.is_nameless() => learned::reason(&raw.pcs),
            _ => hide_leaf(&mut steps),
        };
        if leaves.iter().all(|(_, other)| !same_call(other, &steps)) {
            if kind == BranchKind::Waiting {
                reasons.push(reason);
            }
            leaves.push((kind, steps));
        }
    }
    let mut reason = reasons[0];
    if reasons.len() > 1 {
        reason = Reason::Known(SELECT);
    }
    // In the order of the code: `select!` and `join!` change that of the polls.
    leaves.sort_by(|(_, a), (_, b)| {
        let calls = |steps: &[Step]| steps.iter().rev().map(|step| step.pc).collect::<Vec<_>>();
        calls(a).cmp(&calls(b))
    });
    if let Some(around) = around {
        let outer = expand_raw(around.last, resolver);
        // The outer stack's leaf is the nested wrapper's own poll: only what lies above it is news.
        let news: Vec<Step> = outer.into_iter().skip_while(|step| !step.shown).collect();
        leaves
            .iter_mut()
            .for_each(|(_, steps)| steps.extend(news.iter().cloned()));
    }
    leaves
        .iter_mut()
        .for_each(|(_, steps)| leave_out(steps, Leaf::Wait));
    let raw = waits.last;
    let gap = match &leaves[..] {
        [(_, steps)] => Some(kept(steps, raw.pcs.len() / 2)),
        _ => None,
    };
    let mut stack = stack(leaves, names);
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
    let type_name = (meta.type_name)();
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
        // A timeout is somebody else's wait with a sleep beside it; its own leaf is the sleep.
        if !role::is_library(&step.frame.function)
            || (public.is_some() && role::is_beside(&step.frame.function))
        {
            break;
        }
        if let Some(found) = role::reason_of(&step.frame.function) {
            if found == Reason::Inner {
                return found;
            }
            reason = role::combine(reason, found, &step.frame.function);
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
            reason = role::alone(reason, &steps[public].frame.function);
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

/// Whether two registrations are of one wait: both were made inside the same public call of a library, as that of a
/// socket that reads and writes, or of a queue that waits for a timer and for whoever fills it.
fn same_call(a: &[Step], b: &[Step]) -> bool {
    let call = |steps: &[Step]| steps.iter().position(|step| step.call);
    let (Some(a_call), Some(b_call)) = (call(a), call(b)) else {
        return false;
    };
    let (a, b) = (&a[a_call..], &b[b_call..]);
    // In the physical function that the call is inlined into, addresses differ anyway, and equal lines may be two calls
    // of somebody who polls several futures.
    let inlined = a.iter().take_while(|step| step.pc == a[0].pc).count();
    let once = (1..inlined).all(|at| {
        let plumbing = role::is_scaffolding(&a[at].frame.function);
        (plumbing || a[at].closures > 0) && !polls_several(&a[at], a.get(at + 1))
    });
    let from_one_place = || {
        let mut callers = a.iter().zip(b).enumerate().skip(1);
        callers.all(|(at, (a, b))| a.frame == b.frame && (at < inlined || a.pc == b.pc))
    };
    a.len() == b.len()
        && a[0].inlining_known
        && a[0].frame.function == b[0].frame.function
        && once
        && from_one_place()
}

/// What a registration is, by those that were made later in the same poll; `None` if it is past, or made again.
fn kind(earlier: &[Step], later: &[Vec<Step>]) -> Option<BranchKind> {
    let mut kind = BranchKind::Waiting;
    for later in later {
        match Parting::of(earlier, later).earlier {
            Earlier::Repeated | Earlier::Past => return None,
            Earlier::Beside(BranchKind::AlsoRegistered) => kind = BranchKind::AlsoRegistered,
            Earlier::Beside(BranchKind::Waiting) => {}
        }
    }
    Some(kind)
}

/// One trunk and, for several leaves, a branch each.
fn stack(leaves: Vec<(BranchKind, Vec<Step>)>, names: Names) -> Stack {
    if leaves.len() == 1 {
        let trunk = leaves
            .into_iter()
            .next()
            .map_or_else(Vec::new, |(_, steps)| locations(&steps, names));
        return Stack {
            trunk,
            ..Stack::default()
        };
    }
    // Each branch keeps its leaf's public call, even where the branches differ in nothing that is shown.
    let below_leaf = |steps: &[Step]| {
        let leaf = steps.iter().position(|step| step.shown);
        steps.len() - leaf.map_or(0, |leaf| leaf + 1)
    };
    let shortest = leaves
        .iter()
        .map(|(_, steps)| below_leaf(steps))
        .min()
        .unwrap_or(0);
    let parted = leaves[1..]
        .iter()
        .map(|(_, steps)| Parting::of(&leaves[0].1, steps).common);
    let common = parted.min().unwrap_or(0).min(shortest);
    let trunk = leaves.first().map_or_else(Vec::new, |(_, steps)| {
        locations(&steps[steps.len() - common..], names)
    });
    let branches = leaves
        .iter()
        .map(|(kind, steps)| Branch {
            kind: *kind,
            locations: locations(&steps[..steps.len() - common], names),
        })
        .collect();
    Stack {
        trunk,
        branches,
        ..Stack::default()
    }
}

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
