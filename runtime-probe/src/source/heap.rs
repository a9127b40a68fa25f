//! The sampling global allocator: it wraps any other allocator, and counts bytes up to the next sample.
//!
//! Allowed in an allocation: this thread's cells, which have no destructors, and the words of preallocated tables; in a
//! sampled allocation also a stack walk, as in a signal handler. Forbidden: allocating, locks, waiting, panicking. The
//! inner allocator is called before a block is recorded, or after it was removed, so it holds none of its locks
//! meanwhile.
//!
//! Nothing is sampled before the start of the probe, which makes walkers and tables. If a walker or room in a table is
//! missing later, the sample or its stack is lost, and counted.

use super::polled_task::PolledTask;
use crate::clock;
use crate::labels::LabelSet;
use crate::primitive::{AtomicPtr, AtomicU64, Ordering};
use crate::registry::address_filter::AddressFilter;
use crate::registry::names::NameNumber;
use crate::registry::sampled_blocks::{Block, SampledBlocks};
use crate::sampling;
use crate::sampling::bytes::Countdown;
use crate::stack::anchor::here;
use crate::stack::interrupted::Trace;
use crate::stack::raw::FutureMeta;
use crate::stack::walkers::Walkers;
use crate::sys::inner_allocator::{Facts, InnerAllocator};
use crate::sys::reserved;
use crate::sys::signal::Registers;
use crate::tally::allocations::{self, Allocations, Missing, Origin, SIZES, Sum, Total, Walked};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::panic::Location;

/// A sample for each 512 KiB, as in Go.
pub(crate) const DEFAULT_RATE: u64 = 512 << 10;

/// The most frames of a stack, as in Go: half of them the innermost.
const MOST_FRAMES: usize = 128;

/// The number of levels of the table of blocks: two million blocks in 50 MB, which are 1 TB at the default rate.
const LEVELS: u32 = 11;

/// A global allocator that samples the allocations of another one.
///
/// ```
/// use runtime_probe::pprof::heap::Allocator;
/// use std::alloc::System;
///
/// // Around std's; `Allocator::new(tikv_jemallocator::Jemalloc)` and `Allocator::new(mimalloc::MiMalloc)` are around theirs.
/// #[global_allocator]
/// static HEAP: Allocator<System> = Allocator::system();
/// # assert!(runtime_probe::pprof::lookup("heap").is_some());
/// ```
///
/// The inner allocator does alignment, zeroing and reallocation. A reallocation counts as a free and an allocation of
/// the new size, as in Go. A block that is sampled before and after it keeps the time of its first allocation.
///
/// A program without instrumented tasks starts the probe by
/// [`set_mem_profile_rate`](crate::pprof::set_mem_profile_rate). Allocations before the start are in no profile.
#[derive(Debug, Default)]
pub struct Allocator<A = System> {
    inner: A,
}

impl Allocator<System> {
    /// Wraps [`System`].
    pub const fn system() -> Self {
        Allocator::new(System)
    }
}

impl<A> Allocator<A> {
    /// Wraps any other allocator.
    pub const fn new(inner: A) -> Self {
        Allocator { inner }
    }
}

#[expect(unsafe_code, reason = "an allocator")]
// SAFETY: the blocks are the inner allocator's, and its functions get the caller's arguments.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Allocator<A> {
    // The common path is counted first and ends with a jump to the inner allocator. These functions MUST stay out of their
    // callers: inside of them they made std's and serde's own functions too large to be inlined, and a program that reads
    // and writes small JSON documents took 1.13 times as long as with the inner allocator, where it takes 1.01 times.
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if passes(layout.size()) {
            // SAFETY: the caller's contract.
            return looked::<A>(layout.size(), move || unsafe { self.inner.alloc(layout) });
        }
        // SAFETY: the caller's contract.
        unsafe { self.inner.alloc(layout) }
    }

    #[inline(never)]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if passes(layout.size()) {
            // SAFETY: the caller's contract.
            return looked::<A>(layout.size(), move || unsafe {
                self.inner.alloc_zeroed(layout)
            });
        }
        // SAFETY: the caller's contract.
        unsafe { self.inner.alloc_zeroed(layout) }
    }

    #[inline(never)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract.
        unsafe {
            match FILTER.may_have(block.addr()) {
                true => freed(&self.inner, block, layout),
                false => self.inner.dealloc(block, layout),
            }
        }
    }

    #[inline(never)]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let is_due = passes(new_size);
        // SAFETY: the caller's contract.
        unsafe {
            match is_due || FILTER.may_have(block.addr()) {
                true => moved(&self.inner, block, layout, new_size, is_due),
                false => self.inner.realloc(block, layout, new_size),
            }
        }
    }
}

/// The state of a thread. MUST have no destructor: blocks are freed after a thread's destructors have run.
struct Own {
    countdown: Countdown,
    /// Whether a sample is being taken.
    inside: Cell<bool>,
    /// Whether the probe answers a reader.
    answers: Cell<bool>,
}

thread_local! {
    static OWN: Own = const {
        Own {
            countdown: Countdown::new(),
            inside: Cell::new(false),
            answers: Cell::new(false),
        }
    };
}

static FILTER: AddressFilter = AddressFilter::new();
/// The rate in force. 0 before the probe has started, and while sampling is off.
static RATE: AtomicU64 = AtomicU64::new(0);
/// The rate that was asked for.
static WANTED: AtomicU64 = AtomicU64::new(DEFAULT_RATE);
/// A `fn() -> &'static str`: the name of the inner allocator's type. Null before the first allocation.
static INNER: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());
static TABLES: AtomicPtr<Tables> = AtomicPtr::new(std::ptr::null_mut());

static REENTERED: AtomicU64 = AtomicU64::new(0);
static UNWALKED: AtomicU64 = AtomicU64::new(0);
static UNTRACKED: AtomicU64 = AtomicU64::new(0);

/// Made at the start of the probe, and never freed.
struct Tables {
    allocations: Allocations,
    blocks: SampledBlocks,
    walkers: Walkers,
}

#[expect(unsafe_code, reason = "reads a pointer that is published once")]
fn tables() -> Option<&'static Tables> {
    // SAFETY: null, or published by `start` with Release and never freed.
    unsafe { TABLES.load(Ordering::Acquire).as_ref() }
}

/// Counts an allocation. Returns whether [`look`] is needed.
#[inline(always)]
fn passes(size: usize) -> bool {
    OWN.with(|own| own.countdown.pass(size))
}

/// An allocation at which a sample may be due, or the rate may have changed. The decision is made before the inner call: an
/// inner allocator that allocates from this one counts these blocks on their own.
#[cold]
#[inline(never)]
fn looked<A>(size: usize, allocate: impl FnOnce() -> *mut u8) -> *mut u8 {
    let sampled = look::<A>(size);
    let block = allocate();
    if let Some(rate) = sampled {
        record(block, size, rate, None);
    }
    block
}

/// Returns the rate at which the allocation that was counted last is sampled, if it is.
fn look<A>(size: usize) -> Option<u64> {
    if INNER.load(Ordering::Relaxed).is_null() {
        let name: fn() -> &'static str = std::any::type_name::<A>;
        INNER.store(name as *mut (), Ordering::Relaxed);
    }
    let rate = RATE.load(Ordering::Relaxed);
    OWN.with(|own| own.countdown.look(size, rate, sampling::random))
}

/// Records a sampled block, unless its allocation failed.
fn record(block: *mut u8, size: usize, rate: u64, born: Option<u32>) {
    if block.is_null() {
        return;
    }
    OWN.with(|own| {
        // The inner allocator may use this one itself, and a signal handler may allocate although it must not.
        if own.inside.replace(true) {
            REENTERED.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if let Some(tables) = tables() {
            let sample = match own.answers.get() {
                true => sample_of_the_probe,
                false => sample,
            };
            sample(tables, block.addr(), size, rate, born);
        }
        own.inside.set(false);
    });
}

/// Records a sampled block.
#[inline(never)]
#[expect(unsafe_code, reason = "reads registers")]
fn sample(tables: &Tables, address: usize, size: usize, rate: u64, born: Option<u32>) {
    let anchor = here!();
    let registers = Registers {
        pc: anchor.pc,
        sp: anchor.sp,
        fp: anchor.fp,
        lr: 0,
    };
    let (task, end) = PolledTask::here();
    let origin = Origin {
        spawned_at: task.own_location(),
        labels: task.labels,
    };
    let walked = tables.walkers.with_one(|walker, trace: &mut Trace| {
        trace.take(walker, &registers, end);
        // The first frame is this function.
        let frames = trace.iter().skip(1);
        let dropped = frames.clone().count().saturating_sub(MOST_FRAMES);
        let (inner, outer) = (MOST_FRAMES / 2, MOST_FRAMES / 2 + dropped);
        let kept = frames.enumerate();
        let kept = kept.filter(|(at, _)| *at < inner || *at >= outer);
        let walked = Walked {
            root: task.root,
            elided: (trace.elided() + dropped) as u32,
            pcs: kept.map(|(_, frame)| frame.pc as u64),
        };
        tables.allocations.site(walked, size, origin, rate)
    });
    let site = walked.unwrap_or_else(|| {
        UNWALKED.fetch_add(1, Ordering::Relaxed);
        without_stack(tables, Missing::Walker, size, origin, rate)
    });
    let Some(site) = site else { return };
    tables.allocations.allocated(site, size);
    let block = Block {
        site,
        born: born.unwrap_or_else(now),
        task: task.name.0,
    };
    keep(tables, address, size, block);
}

/// Records a block that the probe allocates to answer a reader, without a stack: otherwise each dump would add all
/// stacks of the reader of debug information, which the next dump would have to name.
fn sample_of_the_probe(tables: &Tables, address: usize, size: usize, rate: u64, born: Option<u32>) {
    let Some(site) = without_stack(tables, Missing::Probe, size, Origin::default(), rate) else {
        return;
    };
    tables.allocations.allocated(site, size);
    let block = Block {
        site,
        born: born.unwrap_or_else(now),
        task: 0,
    };
    keep(tables, address, size, block);
}

fn without_stack(
    tables: &Tables,
    why: Missing,
    size: usize,
    origin: Origin,
    rate: u64,
) -> Option<u32> {
    let walked = Walked {
        root: None,
        elided: why as u32,
        pcs: std::iter::empty(),
    };
    tables.allocations.site(walked, size, origin, rate)
}

/// Runs the answer to a reader. Its allocations are counted as the probe's, without stacks.
pub(crate) fn answering<R>(answer: impl FnOnce() -> R) -> R {
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            OWN.with(|own| own.answers.set(self.0));
        }
    }
    let _before = Before(OWN.with(|own| own.answers.replace(true)));
    answer()
}

/// Adds a block to the table, where its free finds it.
fn keep(tables: &Tables, address: usize, size: usize, block: Block) {
    match tables.blocks.insert(address, block) {
        true => FILTER.add(address),
        false => {
            // The free will not be seen, so the block counts as freed now.
            UNTRACKED.fetch_add(1, Ordering::Relaxed);
            tables.allocations.freed(block.site, size);
        }
    }
}

/// Removes a block, whose memory no other thread owns yet.
fn take(address: usize) -> Option<Block> {
    let block = tables()?.blocks.take(address)?;
    FILTER.remove(address);
    Some(block)
}

/// A free of a block that may be sampled.
///
/// # Safety
/// As [`GlobalAlloc::dealloc`].
#[cold]
#[inline(never)]
#[expect(unsafe_code, reason = "an allocator")]
unsafe fn freed<A: GlobalAlloc>(inner: &A, block: *mut u8, layout: Layout) {
    // Before the block's memory is another thread's.
    if let (Some(block), Some(tables)) = (take(block.addr()), tables()) {
        tables.allocations.freed(block.site, layout.size());
    }
    // SAFETY: the caller's contract.
    unsafe { inner.dealloc(block, layout) }
}

/// A reallocation of a block that may be sampled, or at which a sample may be due. The old block counts as freed, unless the
/// reallocation failed.
///
/// # Safety
/// As [`GlobalAlloc::realloc`].
#[cold]
#[inline(never)]
#[expect(unsafe_code, reason = "an allocator")]
unsafe fn moved<A: GlobalAlloc>(
    inner: &A,
    block: *mut u8,
    layout: Layout,
    new_size: usize,
    is_due: bool,
) -> *mut u8 {
    let (address, size) = (block.addr(), layout.size());
    // Before the block's memory is another thread's.
    let before = FILTER.may_have(address).then(|| take(address)).flatten();
    let sampled = if is_due { look::<A>(new_size) } else { None };
    // SAFETY: the caller's contract.
    let new = unsafe { inner.realloc(block, layout, new_size) };
    if let (Some(before), Some(tables)) = (before, tables()) {
        match new.is_null() {
            true => keep(tables, address, size, before),
            false => tables.allocations.freed(before.site, size),
        }
    }
    if let Some(rate) = sampled {
        record(new, new_size, rate, before.map(|before| before.born));
    }
    new
}

/// The unit of `born`: 2^26 ticks, some 20 ms.
const AGE_BITS: u32 = 26;

fn now() -> u32 {
    (clock::ticks() >> AGE_BITS) as u32
}

/// The time of a block's `born`.
pub(crate) fn ticks_of(born: u32) -> clock::Ticks {
    u64::from(born) << AGE_BITS
}

/// Makes walkers and tables at the start of the probe, if this is the global allocator.
pub(super) fn start() {
    if !is_installed() || tables().is_some() {
        return;
    }
    let memory = || {
        let allocations = Allocations::new(reserved::words(allocations::WORDS)?)?;
        let blocks = SampledBlocks::new(reserved::words(SampledBlocks::words(LEVELS))?);
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        Some(Tables {
            allocations,
            blocks,
            // A thread that the system has stopped keeps its walker, so more than there are CPUs.
            walkers: Walkers::new((cpus + 2).clamp(4, 16)),
        })
    };
    let Some(tables) = memory() else { return };
    let tables = Box::into_raw(Box::new(tables));
    // Release: pairs with the Acquire in `tables`. If another thread was faster, its tables are used.
    let none = std::ptr::null_mut();
    let first = TABLES.compare_exchange(none, tables, Ordering::Release, Ordering::Relaxed);
    if first.is_ok() {
        RATE.store(WANTED.load(Ordering::Relaxed), Ordering::Release);
    }
}

/// Whether this is the global allocator: it has allocated.
pub(crate) fn is_installed() -> bool {
    !INNER.load(Ordering::Relaxed).is_null()
}

/// The name of the inner allocator's type.
#[expect(unsafe_code, reason = "a function comes back as an address")]
pub(crate) fn inner() -> Option<&'static str> {
    let name = INNER.load(Ordering::Relaxed);
    // SAFETY: null, or stored by `look`, of this type.
    let name = unsafe { std::mem::transmute::<*mut (), Option<fn() -> &'static str>>(name) };
    name.map(|name| name())
}

/// Whether the tables were made. The system may have had no room for them.
pub(crate) fn is_started() -> bool {
    tables().is_some()
}

/// Sets the rate in bytes; 0 for no samples. Returns the previous one.
pub(crate) fn set_rate(bytes: u64) -> u64 {
    let before = WANTED.swap(bytes, Ordering::Relaxed);
    if is_started() {
        RATE.store(bytes, Ordering::Relaxed);
        OWN.with(|own| own.countdown.restart());
    }
    before
}

/// The rate that was asked for.
pub(crate) fn rate() -> u64 {
    WANTED.load(Ordering::Relaxed)
}

/// The sums of a site.
#[derive(Clone, Debug)]
pub(crate) struct Sampled {
    pub(crate) site: u32,
    /// The future whose poll the stack ends at; `None` for the stack of a thread.
    pub(crate) root: Option<&'static FutureMeta>,
    pub(crate) elided: u32,
    /// Return addresses, innermost first.
    pub(crate) pcs: Vec<usize>,
    /// The reason why there are none.
    pub(crate) missing: Option<Missing>,
    /// The average size of the size class.
    pub(crate) size: u64,
    pub(crate) spawned_at: Option<&'static Location<'static>>,
    /// The labels in force.
    pub(crate) labels: LabelSet,
    pub(crate) rate: u64,
    pub(crate) allocated: Sum,
    pub(crate) freed: Sum,
}

/// Of each site the sampling rate, and the samples that are allocated and not freed; `None` if nothing is sampled.
pub(crate) fn in_use() -> Option<Vec<(u64, Sum)>> {
    let tables = tables().filter(|_| is_installed() && rate() != 0)?;
    Some(tables.allocations.in_use().collect())
}

/// All sites, in no particular order.
pub(crate) fn totals() -> Vec<Sampled> {
    let all = tables().map(|tables| tables.allocations.totals().map(sampled).collect());
    all.unwrap_or_default()
}

#[expect(unsafe_code, reason = "references come back as addresses")]
fn sampled(total: Total) -> Sampled {
    // SAFETY: 0, or the address of a type's `META`; only `sample` writes to the table.
    let root = unsafe { (total.root as *const FutureMeta).as_ref() };
    // SAFETY: as above, of a location that is 'static.
    let spawned_at = unsafe { (total.spawned_at as *const Location<'static>).as_ref() };
    Sampled {
        site: total.site,
        root,
        elided: total.elided,
        pcs: total.pcs,
        missing: total.missing,
        size: SIZES.middle(total.class),
        spawned_at,
        labels: total.labels,
        rate: total.rate,
        allocated: total.allocated,
        freed: total.freed,
    }
}

/// The live blocks: (site, name of the allocating task, time).
pub(crate) fn alive() -> Vec<(u32, NameNumber, clock::Ticks)> {
    let each = |block: Block| (block.site, NameNumber(block.task), ticks_of(block.born));
    let all = tables().map(|tables| tables.blocks.alive().map(each).collect());
    all.unwrap_or_default()
}

/// Counts of losses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Losses {
    /// Samples without a stack: all walkers were in use.
    pub(crate) unwalked: u64,
    /// Samples without a stack: the table was full.
    pub(crate) unkept: u64,
    /// Samples in no profile: the table was full.
    pub(crate) lost: u64,
    /// Samples that count as freed: the table of blocks was full.
    pub(crate) untracked: u64,
    /// Samples in no profile: they happened inside of another sample.
    pub(crate) reentered: u64,
}

pub(crate) fn losses() -> Losses {
    let (unkept, lost) = tables().map_or((0, 0), |tables| tables.allocations.losses());
    let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
    Losses {
        unwalked: load(&UNWALKED),
        unkept,
        lost,
        untracked: load(&UNTRACKED),
        reentered: load(&REENTERED),
    }
}

fn inner_allocator() -> InnerAllocator {
    InnerAllocator::named(inner().unwrap_or_default())
}

/// The counts of the inner allocator and of the system.
pub(crate) fn facts() -> Facts {
    inner_allocator().facts()
}

/// Makes the inner allocator return free memory to the system. The text tells the result.
pub(crate) fn give_back() -> String {
    let allocator = inner_allocator();
    let before = allocator.facts().resident;
    if !allocator.give_back() {
        let name = inner().unwrap_or_default();
        return format!("gc: no way is known to have {name} give free memory back to the system");
    }
    match before.zip(allocator.facts().resident) {
        Some((before, after)) => format!(
            "gc: free memory was given back to the system: {} KiB resident before, {} KiB after",
            before >> 10,
            after >> 10
        ),
        None => "gc: free memory was given back to the system".to_owned(),
    }
}
