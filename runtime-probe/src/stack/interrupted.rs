//! Walks the stack of a thread in a signal handler, from any interrupted instruction.
//!
//! Allowed here: preallocated memory, the module tables (an atomic load), one system call, which reads the stack.
//! Forbidden: locks, allocating, logging, panicking. `errno` may change: `sys::signal` restores it.
//!
//! A thread that has captured a stack knows the bounds of its own. What lies between its stack pointer and the upper bound is
//! loaded. Everything else is read in windows of 8 KB, by a call that cannot fault (`sys::own_memory`): on a wrong walk it
//! fails, where a load would end the process. The calls were two thirds of a walk of 20 frames. The walker belongs to the module that sends the signal, and is used by one
//! handler at a time. The interrupted thread may be inside of a walk with its own walker.

use super::own::OwnStack;
use super::raw::End;
use super::unwind::{self, SignalCache};
use crate::sys::own_memory;
use crate::sys::signal::Registers;
use std::ops::ControlFlow;

/// The stack that the unwinder may use below the interrupted function, with a reserve. It used 38 KB without
/// optimization. A test checks that each build uses at most three quarters.
const ROOM: usize = if cfg!(debug_assertions) {
    96 << 10
} else {
    48 << 10
};
/// The bytes below its stack pointer that the ABI lets a function use.
const RED_ZONE: usize = 128;

/// Words of a window.
const WINDOW: usize = 1024;

/// The most frames of a trace: half of them the innermost, half the outermost.
pub(crate) const MOST_FRAMES: usize = 256;
const HALF: usize = MOST_FRAMES / 2;
/// The most frames that are walked. An endless recursion has more.
const MOST_WALKED: usize = 1 << 15;

/// The preallocated memory of a walk in a handler: some 40 KB.
pub(crate) struct Walker {
    cache: SignalCache,
    window: Window,
}

impl Walker {
    /// Allocates the memory.
    pub(crate) fn new() -> Walker {
        Walker {
            cache: SignalCache::new_in(),
            window: Window {
                begin: 0,
                words: [0; WINDOW],
                len: 0,
            },
        }
    }

    /// Walks from `registers` of this thread to the frame that contains the stack address `root` (`usize::MAX` for
    /// none). Visits the interrupted instruction and then each return address, with the end of its frame. All addresses
    /// are one past an instruction of their function, as return addresses are. Async-signal-safe if `visit` is.
    ///
    /// [`End::Lost`] if `visit` breaks off; [`End::NoRoom`] if the thread has too little stack left.
    pub(crate) fn walk(
        &mut self,
        registers: &Registers,
        root: usize,
        mut visit: impl FnMut(Frame) -> ControlFlow<()>,
    ) -> End {
        let frame = |pc| Frame {
            pc,
            end: usize::MAX,
        };
        let mut below = frame(registers.pc.wrapping_add(1));
        let Some(tables) = unwind::tables() else {
            return End::Lost;
        };
        self.window.len = 0;
        let window = &mut self.window;
        let own = OwnStack::here().from(registers.sp);
        let mut read = |address: u64| {
            let address = address as usize;
            let word = own.word(address).map_or_else(|| window.word(address), Ok);
            word.map(|word| word as u64)
        };
        let has_room = match own.room() {
            Some(room) => room >= ROOM + RED_ZONE,
            None => has_room(registers.sp),
        };
        let end = match has_room {
            true => {
                let mut each = |pc, end| {
                    let done = Frame { end, ..below };
                    below = frame(pc);
                    visit(done)
                };
                tables.walk_interrupted(registers, root, &mut self.cache, &mut read, &mut each)
            }
            false => End::NoRoom,
        };
        // The frame of the last function contains the root, or its end is not known.
        let _ = visit(below);
        end
    }
}

/// One function of an interrupted thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    /// One past an instruction of the function.
    pub(crate) pc: usize,
    /// The stack address at which its caller's frame begins. Its own frame lies below that, and above the end of the
    /// previous frame. [`usize::MAX`] for the last frame of a walk.
    pub(crate) end: usize,
}

/// The frames of a walk, in preallocated memory.
pub(crate) struct Trace {
    frames: [Frame; MOST_FRAMES],
    visited: usize,
    end: End,
}

impl Trace {
    pub(crate) const EMPTY: Trace = Trace {
        frames: [Frame { pc: 0, end: 0 }; MOST_FRAMES],
        visited: 0,
        end: End::Lost,
    };

    /// Replaces the content by a walk. Async-signal-safe.
    pub(crate) fn take(&mut self, walker: &mut Walker, registers: &Registers, root: usize) {
        self.visited = 0;
        self.end = walker.walk(registers, root, |frame| self.push(frame));
    }

    fn push(&mut self, frame: Frame) -> ControlFlow<()> {
        // The innermost half stays; in the outer half, the newest frame replaces the oldest.
        let at = match self.visited {
            inner if inner < HALF => inner,
            outer => HALF + (outer - HALF) % HALF,
        };
        self.frames[at] = frame;
        self.visited += 1;
        match self.visited < MOST_WALKED {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    }

    /// The frames, innermost first. Between the two halves [`Trace::elided`] frames are missing. Async-signal-safe.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Frame> + Clone {
        let (inner, outer) = self.frames.split_at(HALF);
        let oldest = self.visited.saturating_sub(MOST_FRAMES) % HALF;
        let outer = outer.iter().cycle().skip(oldest).take(HALF);
        let kept = self.visited.min(MOST_FRAMES);
        inner.iter().chain(outer).take(kept)
    }

    /// A copy of the frames. Not for handlers.
    pub(crate) fn frames(&self) -> Vec<Frame> {
        self.iter().copied().collect()
    }

    /// The number of missing frames after the first half of [`MOST_FRAMES`].
    pub(crate) fn elided(&self) -> usize {
        self.visited.saturating_sub(MOST_FRAMES)
    }

    /// How the walk ended.
    pub(crate) fn end(&self) -> End {
        self.end
    }
}

/// Whether the thread has enough stack below `sp`. The main thread's stack grows, and is assumed to be large enough.
fn has_room(sp: usize) -> bool {
    crate::sys::thread::is_main()
        || own_memory::is_readable_below(sp.saturating_sub(RED_ZONE), ROOM)
}

/// The part of the stack that was read last.
struct Window {
    begin: usize,
    words: [usize; WINDOW],
    len: usize,
}

impl Window {
    fn word(&mut self, address: usize) -> Result<usize, ()> {
        if !address.is_multiple_of(size_of::<usize>()) {
            return Err(());
        }
        let at = |window: &Window| {
            let offset = address.checked_sub(window.begin)? / size_of::<usize>();
            window.words[..window.len].get(offset).copied()
        };
        if let Some(word) = at(self) {
            return Ok(word);
        }
        self.begin = address;
        self.len = own_memory::read(address, &mut self.words);
        at(self).ok_or(())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_long_trace_keeps_both_ends_in_order() {
        for visited in [0, 1, HALF, MOST_FRAMES, MOST_FRAMES + 1, 1000] {
            let mut trace = Trace::EMPTY;
            (0..visited).for_each(|pc| {
                let _ = trace.push(Frame { pc, end: pc });
            });
            let pcs: Vec<usize> = trace.frames().iter().map(|frame| frame.pc).collect();
            let kept = visited.min(MOST_FRAMES);
            let outer = kept.saturating_sub(HALF);
            let expected: Vec<usize> = (0..kept - outer).chain(visited - outer..visited).collect();
            assert_eq!(pcs, expected);
            assert_eq!(trace.elided(), visited - kept);
        }
    }

    #[test]
    fn a_wild_stack_pointer_is_only_the_end() {
        crate::stack::unwind::refresh();
        let mut walker = Walker::new();
        let mut trace = Trace::EMPTY;
        for sp in [0, 8, 4096, usize::MAX - 7, 0xdead_beef_0000] {
            let pc = Walker::new as *const () as usize + 1;
            let registers = Registers {
                pc,
                sp,
                fp: sp,
                lr: 0,
            };
            trace.take(&mut walker, &registers, usize::MAX);
            assert!(!matches!(trace.end(), End::Root | End::Thread));
            assert_eq!(trace.frames().len(), 1);
        }
    }

    const PAINTED: usize = 256 << 10;

    /// Writes a pattern below the caller's frame, and returns its begin.
    #[inline(never)]
    fn paint() -> usize {
        let paint = std::hint::black_box([0xa5u8; PAINTED]);
        paint.as_ptr().addr()
    }

    #[test]
    #[expect(unsafe_code, reason = "reads registers")]
    fn a_walk_keeps_to_its_room() {
        crate::stack::unwind::refresh();
        let thread = std::thread::Builder::new().stack_size(2 * PAINTED + (64 << 10));
        let used = thread.spawn(|| {
            let (mut walker, mut trace) = (Box::new(Walker::new()), Box::new(Trace::EMPTY));
            let low = paint();
            let anchor = crate::stack::anchor::here!();
            let registers = Registers {
                pc: anchor.pc,
                sp: anchor.sp,
                fp: anchor.fp,
                lr: 0,
            };
            trace.take(&mut walker, &registers, usize::MAX);
            assert!(trace.frames().len() > 2, "{:?}", trace.end());
            let mut words = vec![0; 1024];
            let mut at = low;
            // The lowest word that differs from the pattern.
            while at < anchor.sp {
                let read = crate::sys::own_memory::read(at, &mut words);
                let paint = usize::from_ne_bytes([0xa5; size_of::<usize>()]);
                match words[..read].iter().position(|word| *word != paint) {
                    Some(first) => return anchor.sp - (at + first * size_of::<usize>()),
                    None => at += read * size_of::<usize>(),
                }
            }
            0
        });
        let used = used.unwrap().join().unwrap();
        println!("{used} bytes");
        assert!((1..ROOM * 3 / 4).contains(&used), "{used} of {ROOM} bytes");
    }
}
