//! The figures of an allocator, and how it returns free memory to the system: each allocator has functions of its own.

use super::status_file::StatusFile;

/// Figures of the process's memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Allocated by the program and not freed, by the allocator's own count.
    pub(crate) in_use: Option<u64>,
    /// Taken by the allocator from the system.
    pub(crate) reserved: Option<u64>,
    /// The part of `reserved` that no allocation has.
    pub(crate) idle: Option<u64>,
    /// The process's resident memory, by the kernel's count.
    pub(crate) resident: Option<u64>,
    /// The highest `resident` so far.
    pub(crate) most_resident: Option<u64>,
}

/// An allocator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InnerAllocator {
    /// The C library's.
    System,
    /// Another one.
    Other,
}

impl InnerAllocator {
    /// By the name of its type.
    pub(crate) fn named(name: &str) -> Self {
        match name {
            "std::alloc::System" => InnerAllocator::System,
            _ => InnerAllocator::Other,
        }
    }

    /// The figures of the allocator and of the kernel.
    pub(crate) fn facts(self) -> Facts {
        let facts = match self {
            InnerAllocator::System => imp::facts(),
            InnerAllocator::Other => Facts::default(),
        };
        let status = StatusFile::read();
        Facts {
            resident: status.bytes("VmRSS:"),
            most_resident: status.bytes("VmHWM:"),
            ..facts
        }
    }

    /// Returns free memory to the system. `false` if the allocator has no function for it.
    pub(crate) fn give_back(self) -> bool {
        match self {
            InnerAllocator::System => imp::give_back(),
            InnerAllocator::Other => false,
        }
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "functions of glibc")]
mod imp {
    use super::Facts;

    pub(super) fn facts() -> Facts {
        // SAFETY: reads glibc's counters, under its locks.
        let info = unsafe { libc::mallinfo2() };
        Facts {
            in_use: Some((info.uordblks + info.hblkhd) as u64),
            reserved: Some((info.arena + info.hblkhd) as u64),
            idle: Some(info.fordblks as u64),
            ..Facts::default()
        }
    }

    pub(super) fn give_back() -> bool {
        // SAFETY: gives free pages of all arenas back, under glibc's locks.
        unsafe { libc::malloc_trim(0) };
        true
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod imp {
    use super::Facts;

    pub(super) fn facts() -> Facts {
        Facts::default()
    }

    pub(super) fn give_back() -> bool {
        false
    }
}
