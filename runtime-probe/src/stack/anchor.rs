//! The registers at the point of capture: where a walk of this thread's stack starts.

/// Registers of the function in which [`here!`] stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Anchor {
    /// An instruction of the function, after its prologue.
    pub(crate) pc: usize,
    /// Stack pointer at that instruction.
    pub(crate) sp: usize,
    /// The frame pointer register at that instruction, whatever it contains.
    pub(crate) fp: usize,
}

/// The registers at this place. It is a macro because it must read the registers of the calling function, which must be
/// `#[inline(never)]` so that its frame has one size.
macro_rules! here {
    () => {{
        #[cfg(target_arch = "x86_64")]
        {
            let (pc, sp, fp): (usize, usize, usize);
            // SAFETY: copies three registers and touches nothing else.
            unsafe {
                core::arch::asm!(
                    // The frame pointer's register may be one of the outputs, so it is read first.
                    "mov {fp}, rbp", "mov {sp}, rsp", "lea {pc}, [rip]",
                    fp = out(reg) fp, sp = out(reg) sp, pc = out(reg) pc,
                    options(nomem, nostack, preserves_flags),
                );
            }
            $crate::stack::anchor::Anchor { pc, sp, fp }
        }
        #[cfg(target_arch = "aarch64")]
        {
            let (pc, sp, fp): (usize, usize, usize);
            // SAFETY: copies three registers and touches nothing else.
            unsafe {
                core::arch::asm!(
                    // As above.
                    "mov {fp}, x29", "mov {sp}, sp", "adr {pc}, .",
                    fp = out(reg) fp, sp = out(reg) sp, pc = out(reg) pc,
                    options(nomem, nostack, preserves_flags),
                );
            }
            $crate::stack::anchor::Anchor { pc, sp, fp }
        }
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        {
            $crate::stack::anchor::Anchor { pc: 0, sp: 0, fp: 0 }
        }
    }};
}
pub(crate) use here;

/// An address inside the code that this is inlined into, which identifies the calling function. 0 if unsupported.
#[inline(always)]
#[expect(unsafe_code, reason = "reads the program counter")]
pub(crate) fn pc() -> usize {
    #[cfg(target_arch = "x86_64")]
    {
        let pc: usize;
        // SAFETY: reads the instruction pointer and touches nothing else.
        unsafe {
            core::arch::asm!("lea {}, [rip]", out(reg) pc, options(nomem, nostack, preserves_flags))
        };
        pc
    }
    #[cfg(target_arch = "aarch64")]
    {
        let pc: usize;
        // SAFETY: reads the program counter and touches nothing else.
        unsafe {
            core::arch::asm!("adr {}, .", out(reg) pc, options(nomem, nostack, preserves_flags))
        };
        pc
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        0
    }
}
