//! The frames of a thread, from its registers, by the unwind tables that programs contain for panics.

use super::modules::Module;
use crate::pid::target::{Registers, Thread};
use framehop::x86_64::{CacheX86_64, UnwindRegsX86_64, UnwinderX86_64};
use framehop::{ExplicitModuleSectionInfo, FrameAddress, Unwinder as _};
use object::{Object, ObjectSection};
use runtime_dump_decode::Memory;

/// The most frames of one thread.
const MOST_FRAMES: usize = 512;

/// The most pages of one stack.
const MOST_PAGES: usize = 2048;

/// A function call that has not returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The return address; for the innermost frame the next instruction.
    pub(crate) pc: u64,
    /// Whether `pc` is behind a call. The innermost frame of a thread in the kernel is behind its system call.
    pub(crate) is_behind_call: bool,
    /// The bounds of the frame on the stack.
    pub(crate) low: u64,
    pub(crate) high: u64,
}

impl Frame {
    /// An address inside the current instruction or call.
    pub(crate) fn lookup(&self) -> u64 {
        match self.is_behind_call {
            true => self.pc.wrapping_sub(1),
            false => self.pc,
        }
    }
}

/// A thread and its frames, the innermost first.
#[derive(Clone, Debug)]
pub(crate) struct Stack {
    pub(crate) thread: Thread,
    pub(crate) frames: Vec<Frame>,
}

/// The stacks of stopped threads.
pub(crate) fn walk(
    threads: Vec<Thread>,
    unwinder: &mut Unwinder<'_>,
    memory: &dyn Memory,
) -> Vec<Stack> {
    let stack = |thread: Thread| {
        let registers = thread.registers;
        let frames = registers.map_or_else(Vec::new, |registers| unwinder.walk(registers, memory));
        // The future that a thread is blocked on may be anywhere between these addresses, so all pages are read.
        if let (Some(first), Some(last)) = (frames.first(), frames.last()) {
            for address in (first.low..last.high).step_by(4096).take(MOST_PAGES) {
                memory.read(address, &mut [0]);
            }
        }
        Stack { thread, frames }
    };
    threads.into_iter().map(stack).collect()
}

/// Whether the instruction before `pc` is a system call. The instruction behind it is often that of another, inlined function.
fn is_behind_system_call(pc: u64, memory: &dyn Memory) -> bool {
    const SYSCALL: [u8; 2] = [0x0f, 0x05];
    let mut before = [0; SYSCALL.len()];
    memory.read(pc.wrapping_sub(SYSCALL.len() as u64), &mut before) && before == SYSCALL
}

/// Walks stacks.
pub(crate) struct Unwinder<'m> {
    unwinder: UnwinderX86_64<&'m [u8]>,
    cache: CacheX86_64,
    modules: &'m [Module],
}

impl<'m> Unwinder<'m> {
    /// Creates an unwinder with the unwind tables of these modules.
    pub(crate) fn new(modules: &'m [Module]) -> Self {
        let mut unwinder = UnwinderX86_64::new();
        for module in modules {
            let Ok(object) = object::File::parse(&*module.file) else {
                continue;
            };
            let section = |name: &str| {
                let section = object.section_by_name(name)?;
                let start = section.address();
                let range = start..start.checked_add(section.size())?;
                Some((range, section.data().ok()?))
            };
            let (text, frames, index) = (
                section(".text"),
                section(".eh_frame"),
                section(".eh_frame_hdr"),
            );
            let sections = ExplicitModuleSectionInfo {
                base_svma: 0,
                text_svma: text.as_ref().map(|(range, _)| range.clone()),
                text: text.map(|(_, data)| data),
                eh_frame_svma: frames.as_ref().map(|(range, _)| range.clone()),
                eh_frame: frames.map(|(_, data)| data),
                eh_frame_hdr_svma: index.as_ref().map(|(range, _)| range.clone()),
                eh_frame_hdr: index.map(|(_, data)| data),
                ..ExplicitModuleSectionInfo::default()
            };
            unwinder.add_module(framehop::Module::new(
                String::new(),
                module.range.clone(),
                module.bias,
                sections,
            ));
        }
        Self {
            unwinder,
            cache: CacheX86_64::new(),
            modules,
        }
    }

    /// Walks a stack, innermost frame first. The walk ends at a return address that is no code, the usual result of a
    /// wrong guess.
    pub(crate) fn walk(&mut self, registers: Registers, memory: &dyn Memory) -> Vec<Frame> {
        let mut read = |address: u64| {
            let mut bytes = [0; 8];
            match memory.read(address, &mut bytes) {
                true => Ok(u64::from_le_bytes(bytes)),
                false => Err(()),
            }
        };
        let mut state = UnwindRegsX86_64::new(registers.pc, registers.sp, registers.fp);
        let mut address = FrameAddress::from_instruction_pointer(registers.pc);
        let mut frames: Vec<Frame> = Vec::new();
        let mut pc = registers.pc;
        while frames.len() < MOST_FRAMES {
            let low = state.sp();
            let is_innermost = frames.is_empty();
            if !is_innermost
                && self
                    .modules
                    .iter()
                    .all(|module| !module.range.contains(&pc))
            {
                break;
            }
            let next = self
                .unwinder
                .unwind_frame(address, &mut state, &mut self.cache, &mut read);
            let high = state.sp();
            frames.push(Frame {
                pc,
                is_behind_call: !is_innermost || is_behind_system_call(pc, memory),
                low,
                high: high.max(low),
            });
            let Ok(Some(return_address)) = next else {
                break;
            };
            if high <= low {
                break;
            }
            let Some(caller) = FrameAddress::from_return_address(return_address) else {
                break;
            };
            (address, pc) = (caller, return_address);
        }
        frames
    }
}
