//! Stack templates: the second capture of a path compares words instead of walking the stack.
//!
//! Two kinds are tried before a walk: the path of the task's last wait ([`repeats`]), and the templates of this thread
//! ([`capture`]).
//!
//! Allowed here on a known path: reading this thread's stack between the anchor and the root, this thread's own
//! template table, and atomics. Forbidden: allocating, blocking, logging, calling foreign code.
//!
//! None of 4.7 million hits differed from a full walk; `set_verify` switches that comparison on.

use super::anchor::Anchor;
use super::intern::mix;
use super::own::OwnStack;
use super::path::Path;
use super::raw::{End, FutureMeta, RawStack};
use super::signature;
use super::unwind::{self, Slot};
use super::wait_set::{OnlyPath, WaitSet};
use crate::primitive::{AtomicU64, Ordering};
use std::cell::{Cell, UnsafeCell};
use std::iter;
use std::sync::atomic::AtomicBool;

/// Sets of the table. With [`WAYS`], a thread has 1,024 templates in 32 KB.
const SETS: usize = 256;
/// Templates of a set. Paths of one future to one leaf that differ only in the middle have the same set.
const WAYS: usize = 4;
/// The most frames of a captured stack: half at the leaf, half at the root.
pub(crate) const MOST_FRAMES: usize = 128;

/// Counters of captures, over all threads. Only slow paths count.
#[derive(Debug)]
pub(crate) struct Counters {
    /// Full walks.
    pub(crate) walks: AtomicU64,
    /// Templates replaced by others.
    pub(crate) evictions: AtomicU64,
    /// Captures that were left out because the thread was inside another capture.
    pub(crate) reentered: AtomicU64,
    /// Hits that were compared with a full walk. `wrong` counts those that differed.
    pub(crate) verified: AtomicU64,
    pub(crate) wrong: AtomicU64,
}

pub(crate) static COUNTERS: Counters = Counters {
    walks: AtomicU64::new(0),
    evictions: AtomicU64::new(0),
    reentered: AtomicU64::new(0),
    verified: AtomicU64::new(0),
    wrong: AtomicU64::new(0),
};

static VERIFY: AtomicBool = AtomicBool::new(false);

#[inline(always)]
fn is_verifying() -> bool {
    cfg!(feature = "test-util") && VERIFY.load(Ordering::Relaxed)
}

/// Compares every hit with a full walk from now on (slow; for tests).
#[cfg(feature = "test-util")]
pub(crate) fn set_verify(on: bool) {
    VERIFY.store(on, Ordering::Relaxed);
}

/// The offset of the capturing function's return address from its stack pointer at the anchor. Learned by the first
/// walk, and constant: it belongs to one instruction of one function. There is one for each capturing function.
pub(crate) struct AnchorFrame {
    /// Two words, because offset and instruction do not fit into one. `pc` is written last.
    offset: AtomicU64,
    pc: AtomicU64,
}

impl AnchorFrame {
    pub(crate) const fn new() -> Self {
        Self {
            offset: AtomicU64::new(0),
            pc: AtomicU64::new(0),
        }
    }

    #[inline(always)]
    fn offset(&self, anchor: &Anchor) -> Option<usize> {
        // Acquire: pairs with the Release in `learn`. Compilers may copy a function; another copy has another pc and
        // never hits.
        if self.pc.load(Ordering::Acquire) == anchor.pc as u64 {
            Some(self.offset.load(Ordering::Relaxed) as usize)
        } else {
            None
        }
    }

    fn learn(&self, anchor: &Anchor, offset: usize) {
        if self.pc.load(Ordering::Relaxed) == 0 {
            self.offset.store(offset as u64, Ordering::Relaxed);
            self.pc.store(anchor.pc as u64, Ordering::Release);
        }
    }
}

struct Template {
    key: u64,
    path: &'static Path,
    /// The last result of [`Template::after`], by its argument: most waits register with one leaf only.
    earlier: Cell<Option<&'static WaitSet>>,
    set: Cell<Option<&'static WaitSet>>,
}

impl Template {
    /// The set with this stack added, cached for the next time.
    #[inline(never)]
    fn after(
        &self,
        earlier: Option<&'static WaitSet>,
        busy: &Cell<bool>,
    ) -> Option<&'static WaitSet> {
        busy.set(true);
        let _done = Done(busy);
        self.set.set(push(earlier, Some(self.path.stack)));
        self.earlier.set(earlier);
        self.set.get()
    }
}

/// The memory of a thread for captures. Made at its first capture, freed at its end.
struct Capturer {
    /// Whether a walk is under way, or a set is being made. Then `inner` is exclusively used by that: both may call the
    /// user's allocator, which could capture a stack itself.
    busy: Cell<bool>,
    inner: UnsafeCell<Inner>,
}

/// A thread's templates, unwind cache and scratch space.
struct Inner {
    sets: Box<[[Option<Template>; WAYS]]>,
    cache: unwind::Cache,
    scratch: Vec<Slot>,
    victim: usize,
}

/// Frees the thread's capturer.
struct Owner;

impl Drop for Owner {
    #[expect(unsafe_code, reason = "frees what `make` leaked")]
    fn drop(&mut self) {
        OwnStack::here().forget_bounds();
        let capturer = CAPTURER.with(|cell| cell.replace(std::ptr::null_mut()));
        if !capturer.is_null() {
            // SAFETY: made by `make` with Box::into_raw, and out of reach from now on.
            drop(unsafe { Box::from_raw(capturer) });
        }
    }
}

thread_local! {
    /// No destructor, so it can be read while threads are torn down. Null before the first capture and after the last.
    static CAPTURER: Cell<*mut Capturer> = const { Cell::new(std::ptr::null_mut()) };
    static OWNER: Owner = const { Owner };
    /// Whether the capturer is being made: the allocator may call this module meanwhile.
    static MAKING: Cell<bool> = const { Cell::new(false) };
}

/// Makes the thread's capturer. `None` if the thread is being torn down, or is already making it.
#[cold]
fn make() -> Option<*mut Capturer> {
    // Before the first use of `OWNER`: registering its destructor may allocate.
    if MAKING.with(|making| making.replace(true)) {
        COUNTERS.reentered.fetch_add(1, Ordering::Relaxed);
        return None;
    }
    // On a thread that is being torn down this stays set, because no capturer will be made.
    OWNER.try_with(|_| ()).ok()?;
    OwnStack::here().learn_bounds();
    let inner = Inner {
        // Made on the heap directly: this thread's stack may be small.
        sets: iter::repeat_with(|| [const { None }; WAYS])
            .take(SETS)
            .collect(),
        cache: unwind::Cache::new(),
        scratch: Vec::with_capacity(MOST_FRAMES),
        victim: 0,
    };
    let capturer = Box::into_raw(Box::new(Capturer {
        busy: Cell::new(false),
        inner: UnsafeCell::new(inner),
    }));
    CAPTURER.with(|cell| cell.set(capturer));
    MAKING.with(|making| making.set(false));
    Some(capturer)
}

/// The thread's capturer, made on the first call; see [`make`].
fn capturer() -> Option<*mut Capturer> {
    let capturer = CAPTURER.with(Cell::get);
    if capturer.is_null() {
        make()
    } else {
        Some(capturer)
    }
}

/// Whether the current registration repeats the one that `last` leads to, by a path of fixed frames.
///
/// # Safety
/// As for [`capture`].
#[inline(always)]
#[expect(unsafe_code, reason = "passes its own contract on")]
pub(crate) unsafe fn repeats(anchor: &Anchor, last: &OnlyPath) -> bool {
    // SAFETY: passed on.
    unsafe { last.is_taken(anchor) && !is_verifying() }
}

/// The set of the current registration, if it is the one that followed `last` in an earlier poll, by a path of fixed frames.
///
/// # Safety
/// As for [`capture`], and `last` is of the same future.
#[inline(always)]
#[expect(unsafe_code, reason = "passes its own contract on")]
pub(crate) unsafe fn follows(anchor: &Anchor, last: Option<&WaitSet>) -> Option<&'static WaitSet> {
    // SAFETY: passed on.
    let set = unsafe { last?.successor(anchor) };
    set.filter(|_| !is_verifying())
}

/// The same as [`repeats`] by any other path.
///
/// # Safety
/// As for [`capture`].
#[expect(unsafe_code, reason = "passes its own contract on")]
pub(crate) unsafe fn repeats_loosely(anchor: &Anchor, root: usize, last: &WaitSet) -> bool {
    // SAFETY: passed on.
    let repeats = unsafe { takes_loose_path(anchor, root, last) };
    repeats && !is_verifying()
}

/// # Safety
/// As for [`capture`].
#[expect(unsafe_code, reason = "reads this thread's stack")]
unsafe fn takes_loose_path(anchor: &Anchor, root: usize, last: &WaitSet) -> bool {
    let path = last.loose_path(anchor.pc);
    path.filter(|_| OwnStack::here().holds(anchor.sp, root))
        .is_some_and(|path| {
            // SAFETY: both are on this thread's own stack, and the caller took the anchor.
            unsafe { path.is_taken(anchor, root - anchor.sp) }
        })
}

/// The set for the current registration: `earlier` and the stack from `anchor` up to the stack address `root`. If the
/// tables are full, or the thread is being torn down, it is `earlier`. `last` is the argument of [`repeats`].
///
/// # Safety
/// `anchor` was taken by the function of `frame`, which is still running on this thread. `root` is the address of an
/// object in a frame of the same thread further up.
#[expect(
    unsafe_code,
    reason = "reads this thread's stack, and the thread-local through a raw pointer"
)]
pub(crate) unsafe fn capture(
    frame: &AnchorFrame,
    anchor: Anchor,
    root: usize,
    meta: &'static FutureMeta,
    earlier: Option<&'static WaitSet>,
    last: Option<&'static WaitSet>,
) -> Option<&'static WaitSet> {
    // SAFETY: null, or this thread's own, which lives until the thread ends.
    if let Some(capturer) = unsafe { CAPTURER.with(Cell::get).as_ref() }
        && !capturer.busy.get()
        && OwnStack::here().holds(anchor.sp, root)
        // SAFETY: not busy, so there is no other reference to `inner`. This one ends with the call.
        && let Some(template) = unsafe { known(&*capturer.inner.get(), frame, &anchor, root, meta) }
        && !is_verifying()
    {
        if same(template.earlier.get(), earlier) {
            return template.set.get();
        }
        return template.after(earlier, &capturer.busy);
    }
    // SAFETY: passed on.
    unsafe { walk(frame, anchor, root, meta, earlier, last) }
}

/// The type at the root of a stack outside of any poll of ours.
pub(crate) struct WholeThread;

/// The end of this thread's stack, as the root outside of any poll of ours. `None` if the thread is being torn down, or
/// if the system does not tell its stack.
pub(crate) fn stack_end() -> Option<usize> {
    capturer()?;
    OwnStack::here().high().checked_sub(1)
}

/// [`WaitSet::carried`]; `None` if a capture is under way on this thread.
#[cold]
#[expect(unsafe_code, reason = "the thread-local through a raw pointer")]
pub(crate) fn carried(set: &'static WaitSet) -> Option<&'static WaitSet> {
    // The task may have moved to a thread that has captured nothing yet. SAFETY: this thread's own, which lives until
    // the thread ends.
    let capturer = unsafe { &*capturer()? };
    if capturer.busy.replace(true) {
        return None;
    }
    let _done = Done(&capturer.busy);
    set.carried()
}

/// The template of the current path, if there is one.
///
/// # Safety
/// As for [`capture`], and the anchor and the root are on this thread's own stack.
#[inline(always)]
#[expect(unsafe_code, reason = "reads this thread's stack")]
unsafe fn known<'a>(
    inner: &'a Inner,
    frame: &AnchorFrame,
    anchor: &Anchor,
    root: usize,
    meta: &'static FutureMeta,
) -> Option<&'a Template> {
    let own = frame.offset(anchor)?;
    let depth = root - anchor.sp;
    // SAFETY: `own` is the offset of the return address of the anchor's function, in its own live frame.
    let first = unsafe { ((anchor.sp + own) as *const usize).read() };
    let key = key(signature::strip(first), depth, meta);
    let set = &inner.sets[key as usize % SETS];
    set.iter().flatten().find(|template| {
        // SAFETY: by contract.
        template.key == key && unsafe { template.path.is_taken(anchor, depth) }
    })
}

#[inline(always)]
fn same(a: Option<&'static WaitSet>, b: Option<&'static WaitSet>) -> bool {
    a.map(std::ptr::from_ref) == b.map(std::ptr::from_ref)
}

#[inline(always)]
fn key(first: usize, depth: usize, meta: &'static FutureMeta) -> u64 {
    // The future's type is part of the key: it distinguishes paths with the same leaf and depth.
    let hash = mix(
        first as u64 ^ (depth as u64) << 40,
        std::ptr::from_ref(meta) as u64,
    );
    hash ^ (hash >> 32)
}

/// The slow path: walks the stack, interns it, and stores a template.
///
/// # Safety
/// As for [`capture`].
#[cold]
#[inline(never)]
#[expect(unsafe_code, reason = "the capturer through its cell")]
unsafe fn walk(
    frame: &AnchorFrame,
    anchor: Anchor,
    root: usize,
    meta: &'static FutureMeta,
    earlier: Option<&'static WaitSet>,
    last: Option<&'static WaitSet>,
) -> Option<&'static WaitSet> {
    let Some(tables) = unwind::tables() else {
        return earlier;
    };
    let Some(capturer) = capturer() else {
        return earlier;
    };
    // SAFETY: this thread's own, which lives until the thread ends.
    let capturer = unsafe { &*capturer };
    let own = OwnStack::here();
    if capturer.busy.replace(true) {
        COUNTERS.reentered.fetch_add(1, Ordering::Relaxed);
        return earlier;
    }
    let _done = Done(&capturer.busy);
    COUNTERS.walks.fetch_add(1, Ordering::Relaxed);
    if !own.holds(anchor.sp, root) {
        let stack = RawStack::intern(meta, &[], 0, End::Switched);
        return push(earlier, stack);
    }
    // SAFETY: as for `capture`; `busy` was clear and is set now, so these are the only references until `_done` is
    // dropped.
    let (inner, hit, others) = unsafe {
        let hit = known(&*capturer.inner.get(), frame, &anchor, root, meta);
        let hit = hit.map(|template| template.path.stack);
        let repeated = last
            .filter(|last| last.takes_fixed_path(&anchor) || takes_loose_path(&anchor, root, last));
        let followed = last.and_then(|last| last.successor(&anchor));
        (&mut *capturer.inner.get(), hit, [repeated, followed])
    };
    let high = own.high();
    let scratch = &mut inner.scratch;
    scratch.clear();
    let mut elided = 0;
    let end = tables.walk(anchor, root, high, &mut inner.cache, &mut |slot| {
        if scratch.len() == MOST_FRAMES {
            // Keeps the halves at the leaf and at the root: removes the oldest frame of the upper half.
            scratch.remove(MOST_FRAMES / 2);
            elided += 1;
        }
        scratch.push(slot);
    });
    let mut pcs = [0usize; MOST_FRAMES];
    for (pc, slot) in pcs.iter_mut().zip(scratch.iter()) {
        *pc = slot.pc;
    }
    // The first return address is the capturing function's own, the clone's caller: `pcs[0]`.
    let stack = RawStack::intern(meta, &pcs[..scratch.len()], elided, end);
    let set = push(earlier, stack);
    let Some(stack) = stack else { return set };

    let others = others.into_iter().flatten();
    let hits = hit.into_iter().chain(others.map(|set| set.last));
    for hit in hits {
        COUNTERS.verified.fetch_add(1, Ordering::Relaxed);
        if !std::ptr::eq(hit, stack) {
            COUNTERS.wrong.fetch_add(1, Ordering::Relaxed);
        }
    }
    if hit.is_some() {
        return set;
    }
    let slots: Option<Vec<(u32, usize)>> = scratch
        .iter()
        .map(|slot| Some((slot.offset?, slot.pc)))
        .collect();
    let is_fixed = scratch.iter().all(|slot| slot.is_fixed);
    if let (Some(slots), End::Root | End::Thread, 0) = (slots, end, elided)
        && let Some(&(offset, first)) = slots.first()
    {
        frame.learn(&anchor, offset as usize);
        let depth = root - anchor.sp;
        if frame.offset(&anchor) == Some(offset as usize)
            && let Some(path) = Path::intern(&anchor, depth, &slots, is_fixed, stack)
        {
            if let Some(set) = set {
                set.set_path(path);
            }
            inner.remember(Template {
                key: key(first, depth, meta),
                path,
                earlier: Cell::new(earlier),
                set: Cell::new(set),
            });
        }
    }
    set
}

/// `earlier` and then `stack`. If the tables have no room, `earlier`, or else the placeholder.
fn push(
    earlier: Option<&'static WaitSet>,
    stack: Option<&'static RawStack>,
) -> Option<&'static WaitSet> {
    stack
        .and_then(|stack| WaitSet::push(earlier, stack))
        .or(earlier)
        .or_else(WaitSet::unkept)
}

struct Done<'a>(&'a Cell<bool>);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

impl Inner {
    fn remember(&mut self, template: Template) {
        let set = &mut self.sets[template.key as usize % SETS];
        let way = set.iter().position(Option::is_none).unwrap_or_else(|| {
            COUNTERS.evictions.fetch_add(1, Ordering::Relaxed);
            self.victim = (self.victim + 1) % WAYS;
            self.victim
        });
        set[way] = Some(template);
    }
}
