//! Walks this thread's stack from an [`Anchor`] by the unwind tables that every binary has for panics.
//!
//! framehop reads the DWARF tables: it is pure Rust, caches rules by address, and walks 23 frames in about a
//! microsecond (libgcc: 2.4 us). Rejected: frame pointers. Crates and the C library are built without them by default (std has
//! them), and a function without a frame, such as memcpy, removes its caller from the stack.
//!
//! framehop falls back to frame pointers without notice if it finds no rule. Two checks prevent a wrong stack: every
//! return address must lie in a module's executable segment, and every frame must lie above the previous one and below
//! the root.

use super::anchor::Anchor;
use super::raw::End;
use super::signature;
use crate::primitive;
use crate::sys::modules::{self, Module, Section};
use crate::sys::signal::Registers;
use framehop::{
    AllocationPolicy, FrameAddress, MayAllocateDuringUnwind, MustNotAllocateDuringUnwind,
    Unwinder as _,
};
use std::borrow::Cow;
use std::ops::{ControlFlow, Range};
use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

#[cfg(target_arch = "aarch64")]
use framehop::aarch64::{
    CacheAarch64 as CacheOf, PtrAuthMask, UnwindRegsAarch64 as Regs, UnwinderAarch64 as UnwinderOf,
};
#[cfg(not(target_arch = "aarch64"))]
use framehop::x86_64::{
    CacheX86_64 as CacheOf, UnwindRegsX86_64 as Regs, UnwinderX86_64 as UnwinderOf,
};

/// The cache of rules, one for each walking thread.
pub(crate) type Cache = CacheOf<MayAllocateDuringUnwind>;

/// The same for a walk in a signal handler, which uses this memory: 30 KB. It MUST NOT be a cache whose use the handler
/// may have interrupted. Otherwise the walk reads half-written rules.
pub(crate) type SignalCache = CacheOf<MustNotAllocateDuringUnwind>;

type Bytes = &'static [u8];

/// The modules of this process and their tables. Immutable once made.
pub(crate) struct Tables {
    unwinder: UnwinderOf<Bytes>,
    /// For walks in signal handlers, with the same modules.
    in_signals: UnwinderOf<Bytes, MustNotAllocateDuringUnwind>,
    executable: Vec<Range<u64>>,
    /// The main binary.
    program: Range<u64>,
}

/// A return address and its place on the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Bytes above the anchor's stack pointer; `None` if the place is ambiguous (aarch64: two equal words).
    pub(crate) offset: Option<u32>,
    /// The return address.
    pub(crate) pc: usize,
    /// Whether the frame that it returns from has one size whenever it is called from there: by the tables, the frame's end
    /// depends on the stack pointer alone. A frame that realigns its stack, or allocates on it, is found by another register.
    pub(crate) is_fixed: bool,
}

/// The current tables. Replaced after modules were loaded. Replaced tables are never freed, because a walk may be using
/// them.
static TABLES: AtomicPtr<Tables> = AtomicPtr::new(std::ptr::null_mut());

/// The most different sets of modules for which tables are made. A process loads modules a few times in its life; if it
/// loads and unloads the same module repeatedly, the sets repeat. Each set takes some 10 KB beside its sections.
const MOST_SETS: usize = 512;

/// Times that [`refresh`] could make no tables for new modules.
static MISSED: AtomicU64 = AtomicU64::new(0);

/// All tables and sections that were made. They are never freed.
struct Made {
    generation: Option<u64>,
    sets: Vec<(Vec<Shape>, &'static Tables)>,
    sections: Vec<Bytes>,
}

/// The identity of a module: its range, and its kept sections.
#[derive(PartialEq, Eq)]
struct Shape {
    range: Range<u64>,
    base: u64,
    eh_frame_hdr: Option<*const u8>,
    eh_frame: Option<*const u8>,
}

#[expect(unsafe_code, reason = "pointers that are only compared")]
// SAFETY: the pointers are only compared; no code reads through them.
unsafe impl Send for Shape {}

static MADE: Mutex<Made> = Mutex::new(Made {
    generation: None,
    sets: Vec::new(),
    sections: Vec::new(),
});

/// Makes the tables, if the loaded modules have changed. Takes the loader's lock, so it is called at the start of the
/// probe and by readers, never by a capture.
pub(crate) fn refresh() {
    let made = &mut *primitive::lock(&MADE);
    let generation = Some(modules::generation());
    if made.generation == generation {
        return;
    }
    made.generation = generation;
    let modules = modules::loaded();
    let highest = modules.iter().map(|module| module.range.end).max();
    match made.tables(modules) {
        // Release: pairs with the Acquire in `tables`.
        Some(tables) => {
            signature::code_reaches(highest.unwrap_or(0));
            TABLES.store(std::ptr::from_ref(tables).cast_mut(), Ordering::Release);
        }
        None => _ = MISSED.fetch_add(1, Ordering::Relaxed),
    }
}

/// How often no tables were made for loaded modules, because there were too many different sets before.
pub(crate) fn missed() -> u64 {
    MISSED.load(Ordering::Relaxed)
}

impl Made {
    /// The tables of these modules: existing ones, if the same modules were loaded at the same places before; `None`
    /// beyond the bound.
    fn tables(&mut self, modules: Vec<Module>) -> Option<&'static Tables> {
        let is_full = self.sets.len() >= MOST_SETS;
        let mut kept = Vec::with_capacity(modules.len());
        for module in &modules {
            let mut keep = |section: &Option<Section>| match section {
                None => Some(None),
                Some(section) => self.section(section, is_full).map(Some),
            };
            kept.push((keep(&module.eh_frame_hdr)?, keep(&module.eh_frame)?));
        }
        let shape = |(module, (hdr, frames)): (&Module, &(Option<Bytes>, Option<Bytes>))| Shape {
            range: module.range.clone(),
            base: module.base,
            eh_frame_hdr: hdr.map(<[u8]>::as_ptr),
            eh_frame: frames.map(<[u8]>::as_ptr),
        };
        let shapes: Vec<Shape> = modules.iter().zip(&kept).map(shape).collect();
        if let Some((_, tables)) = self.sets.iter().find(|(set, _)| *set == shapes) {
            return Some(tables);
        }
        if is_full {
            return None;
        }
        let tables = Box::leak(Box::new(Tables::new(modules, kept)));
        self.sets.push((shapes, tables));
        Some(tables)
    }

    /// Bytes equal to the section's that are never freed; `None` if there are none and the bound is reached.
    fn section(&mut self, section: &Section, is_full: bool) -> Option<Bytes> {
        let bytes = match &section.bytes {
            Cow::Borrowed(bytes) => return Some(bytes),
            Cow::Owned(bytes) => bytes,
        };
        if let Some(known) = self
            .sections
            .iter()
            .find(|known| **known == bytes.as_slice())
        {
            return Some(known);
        }
        (!is_full).then(|| {
            let bytes = bytes.clone().leak();
            self.sections.push(bytes);
            &*bytes
        })
    }
}

/// The tables, if [`refresh`] was ever called.
#[expect(
    unsafe_code,
    reason = "reads a pointer that is published once and never freed"
)]
pub(crate) fn tables() -> Option<&'static Tables> {
    // SAFETY: null, or published by `refresh` with Release and never freed.
    unsafe { TABLES.load(Ordering::Acquire).as_ref() }
}

impl Tables {
    /// Makes tables of modules and their kept sections.
    fn new(modules: Vec<Module>, kept: Vec<(Option<Bytes>, Option<Bytes>)>) -> Tables {
        let (mut unwinder, mut in_signals) = (UnwinderOf::new(), UnwinderOf::new());
        let mut executable = Vec::new();
        let program = modules.first().map_or(0..0, |main| main.range.clone());
        for (module, (eh_frame_hdr, eh_frame)) in modules.into_iter().zip(kept) {
            executable.extend(module.executable.iter().map(|(range, _)| range.clone()));
            let relative = |section: &Section| {
                section.range.start.wrapping_sub(module.base)
                    ..section.range.end.wrapping_sub(module.base)
            };
            let sections = framehop::ExplicitModuleSectionInfo {
                eh_frame_hdr_svma: module.eh_frame_hdr.as_ref().map(relative),
                eh_frame_svma: module.eh_frame.as_ref().map(relative),
                eh_frame_hdr,
                eh_frame,
                ..Default::default()
            };
            let module = framehop::Module::new(String::new(), module.range, module.base, sections);
            in_signals.add_module(module.clone());
            unwinder.add_module(module);
        }
        Tables {
            unwinder,
            in_signals,
            executable,
            program,
        }
    }

    /// Whether there are any modules.
    pub(crate) fn any(&self) -> bool {
        !self.executable.is_empty()
    }

    /// Whether an address lies in the program itself, and not in a library.
    pub(crate) fn is_program(&self, address: u64) -> bool {
        self.program.contains(&address)
    }

    /// Whether an address lies in an executable segment.
    pub(crate) fn is_code(&self, address: u64) -> bool {
        self.executable.iter().any(|range| range.contains(&address))
    }

    /// Walks from `anchor` to the frame that contains the stack address `root`. Visits each return address; the last
    /// one returns into that frame. The caller has checked that `anchor.sp`, `root` and `high` lie on one stack in this
    /// order; `high` is its end.
    #[expect(unsafe_code, reason = "reads this thread's stack")]
    pub(crate) fn walk(
        &self,
        anchor: Anchor,
        root: usize,
        high: usize,
        cache: &mut Cache,
        visit: &mut impl FnMut(Slot),
    ) -> End {
        let mut read = |address: u64| {
            let address = address as usize;
            if address < anchor.sp || address >= high || !address.is_multiple_of(8) {
                return Err(());
            }
            // SAFETY: aligned, and between the stack pointer of the capturing function and the end of this thread's
            // stack, all of which is mapped.
            Ok(unsafe { (address as *const u64).read_volatile() })
        };
        // The anchor lies after the prologue, so the value of the link register is on the stack.
        let registers = Registers {
            pc: anchor.pc,
            sp: anchor.sp,
            fp: anchor.fp,
            lr: anchor.pc,
        };
        let slot = |frame: &Frame, cache: &mut Cache, read: &mut _| {
            let offset = slot_of(frame.return_address, frame.low, frame.high, read)
                .map(|slot| (slot - anchor.sp as u64) as u32);
            let mut bare = with_stack_pointer_alone(&frame.registers);
            let unwound = self.unwinder.unwind_frame(frame.at, &mut bare, cache, read);
            visit(Slot {
                offset,
                pc: frame.return_address as usize,
                is_fixed: unwound.is_ok() && bare.sp() == frame.high,
            });
            ControlFlow::Continue(())
        };
        self.follow(&self.unwinder, &registers, root, cache, &mut read, slot)
    }

    /// Walks from an interrupted instruction to the frame that contains the stack address `root`, or to the end of the
    /// stack. Visits each return address with the end of the frame that it returns from, until `visit` breaks off.
    /// Allocates nothing and takes no lock. Words of the stack come from `read`, which fails for unreadable addresses.
    pub(crate) fn walk_interrupted(
        &self,
        registers: &Registers,
        root: usize,
        cache: &mut SignalCache,
        read: &mut impl FnMut(u64) -> Result<u64, ()>,
        visit: &mut impl FnMut(usize, usize) -> ControlFlow<()>,
    ) -> End {
        let frame = |frame: &Frame, _: &mut SignalCache, _: &mut _| {
            visit(frame.return_address as usize, frame.high as usize)
        };
        self.follow(&self.in_signals, registers, root, cache, read, frame)
    }

    /// The walk.
    fn follow<P: AllocationPolicy, R: FnMut(u64) -> Result<u64, ()>>(
        &self,
        unwinder: &UnwinderOf<Bytes, P>,
        registers: &Registers,
        root: usize,
        cache: &mut CacheOf<P>,
        read: &mut R,
        mut visit: impl FnMut(&Frame, &mut CacheOf<P>, &mut R) -> ControlFlow<()>,
    ) -> End {
        let mut regs = unwound(registers);
        let mut at = FrameAddress::from_instruction_pointer(registers.pc as u64);
        let mut sp = registers.sp as u64;
        let mut first = true;
        loop {
            let before = regs;
            let return_address = match unwinder.unwind_frame(at, &mut regs, cache, read) {
                Ok(Some(return_address)) => return_address,
                // By the tables, this function has no caller.
                Ok(None) => return End::Thread,
                Err(_) => return End::Lost,
            };
            // Without a cached rule, framehop returns the word as it is on the stack.
            let return_address = signature::strip(return_address as usize) as u64;
            let above = regs.sp();
            if above > root as u64 {
                // The frame just left contains the root.
                return End::Root;
            }
            // The innermost frame may be empty only if a call pushes nothing (aarch64).
            let advanced = above > sp || (first && above == sp);
            if !advanced || !self.is_code(return_address.wrapping_sub(1)) {
                return End::Lost;
            }
            let frame = Frame {
                at,
                registers: before,
                return_address,
                low: sp,
                high: above,
            };
            if visit(&frame, cache, read).is_break() {
                return End::Lost;
            }
            (sp, first) = (above, false);
            let Some(next) = FrameAddress::from_return_address(return_address) else {
                return End::Lost;
            };
            at = next;
        }
    }
}

/// A frame that was left.
struct Frame {
    at: FrameAddress,
    /// Inside of it.
    registers: Regs,
    return_address: u64,
    low: u64,
    high: u64,
}

/// These registers, of which only instruction and stack pointer have their values.
#[cfg(not(target_arch = "aarch64"))]
fn with_stack_pointer_alone(registers: &Regs) -> Regs {
    Regs::new(registers.ip(), registers.sp(), 0)
}

/// The same, with the link register.
#[cfg(target_arch = "aarch64")]
fn with_stack_pointer_alone(registers: &Regs) -> Regs {
    let mut bare = *registers;
    bare.set_fp(0);
    bare
}

/// The registers for framehop.
#[cfg(not(target_arch = "aarch64"))]
fn unwound(registers: &Registers) -> Regs {
    let Registers { pc, sp, fp, .. } = *registers;
    Regs::new(pc as u64, sp as u64, fp as u64)
}

/// The registers for framehop.
#[cfg(target_arch = "aarch64")]
fn unwound(registers: &Registers) -> Regs {
    let Registers { lr, sp, fp, .. } = *registers;
    let mask = PtrAuthMask(signature::address_bits());
    Regs::new_with_ptr_auth_mask(mask, lr as u64, sp as u64, fp as u64)
}

/// The place of the return address, in a frame from `low` to `high`: on x86_64 the call pushed it directly below the
/// frame above.
#[cfg(not(target_arch = "aarch64"))]
fn slot_of(
    pc: u64,
    _low: u64,
    high: u64,
    read: &mut impl FnMut(u64) -> Result<u64, ()>,
) -> Option<u64> {
    (read(high - 8) == Ok(pc)).then_some(high - 8)
}

/// The place of the return address, in a frame from `low` to `high`: on aarch64 the function may have saved it
/// anywhere. If exactly one word of the frame equals it, that is the place.
#[cfg(target_arch = "aarch64")]
fn slot_of(
    pc: u64,
    low: u64,
    high: u64,
    read: &mut impl FnMut(u64) -> Result<u64, ()>,
) -> Option<u64> {
    let mut places = (low..high).step_by(8).filter(|address| {
        read(*address).map(|word| signature::strip(word as usize) as u64) == Ok(pc)
    });
    let place = places.next();
    if places.next().is_some() { None } else { place }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// The modules of the program, and a copy of the program at `base`.
    fn with_library(base: u64) -> Vec<Module> {
        let mut modules = modules::loaded();
        modules.truncate(1);
        let mut library = modules[0].clone();
        library.range = base..base + 4096;
        library.base = base;
        for section in [&mut library.eh_frame_hdr, &mut library.eh_frame] {
            let section = section.as_mut().unwrap();
            section.bytes = Cow::Owned(section.bytes.to_vec());
        }
        modules.push(library);
        modules
    }

    #[inline(never)]
    #[expect(unsafe_code, reason = "reads registers")]
    fn walk_to(root: usize) -> Vec<Slot> {
        let anchor = crate::stack::anchor::here!();
        let own = crate::stack::own::OwnStack::here();
        own.learn_bounds();
        let mut slots = Vec::new();
        let visit = &mut |slot| slots.push(slot);
        tables()
            .unwrap()
            .walk(anchor, root, own.high(), &mut Cache::new(), visit);
        slots
    }

    /// The frames of a call through `through`.
    fn frames(through: fn(&mut dyn FnMut())) -> Vec<Slot> {
        let (root, mut slots) = (0u8, Vec::new());
        let root = std::hint::black_box(&raw const root).addr();
        through(&mut || slots = walk_to(root));
        slots
    }

    #[inline(never)]
    fn plainly(call: &mut dyn FnMut()) {
        call();
        std::hint::black_box(());
    }

    #[inline(never)]
    fn realigned(call: &mut dyn FnMut()) {
        #[repr(align(256))]
        struct Wide(u8);
        let wide = Wide(1);
        std::hint::black_box(&wide);
        call();
        std::hint::black_box(wide.0);
    }

    #[test]
    fn a_frame_that_realigns_its_stack_is_not_fixed() {
        refresh();
        let (plain, realigned) = (frames(plainly), frames(realigned));
        assert!(plain.len() > 2);
        assert_eq!(plain.len(), realigned.len());
        let loose = |slots: &[Slot]| slots.iter().filter(|slot| !slot.is_fixed).count();
        if cfg!(target_arch = "aarch64") {
            // A function with a frame pointer is found by it, so the tables prove no size.
            assert_eq!(
                (loose(&plain), loose(&realigned)),
                (plain.len(), plain.len())
            );
        } else {
            assert_eq!((loose(&plain), loose(&realigned)), (0, 1));
        }
    }

    #[test]
    fn what_is_loaded_again_takes_no_more_memory_and_the_rest_is_bounded() {
        let mut made = Made {
            generation: None,
            sets: Vec::new(),
            sections: Vec::new(),
        };
        let first = made.tables(with_library(1 << 32)).unwrap();
        let other = made.tables(with_library(2 << 32)).unwrap();
        assert!(!std::ptr::eq(first, other));
        let again = made.tables(with_library(1 << 32)).unwrap();
        assert!(std::ptr::eq(first, again));
        assert_eq!((made.sets.len(), made.sections.len()), (2, 2));

        for base in 3..=MOST_SETS as u64 {
            assert!(made.tables(with_library(base << 32)).is_some());
        }
        assert!(made.tables(with_library(1 << 60)).is_none());
        assert!(std::ptr::eq(
            first,
            made.tables(with_library(1 << 32)).unwrap()
        ));
        assert_eq!((made.sets.len(), made.sections.len()), (MOST_SETS, 2));
    }
}
