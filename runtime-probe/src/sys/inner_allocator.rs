//! What an allocator tells of itself, and how it gives memory back: each by its own functions.

use super::status_file::StatusFile;

/// What is known of a process's memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// What the program has allocated and not freed, by the allocator's own count.
    pub(crate) in_use: Option<u64>,
    /// What the allocator has from the system.
    pub(crate) reserved: Option<u64>,
    /// Of this, what no allocation has.
    pub(crate) idle: Option<u64>,
    /// What of the process is in memory, by the kernel's word.
    pub(crate) resident: Option<u64>,
    /// The most that ever was.
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

    /// What it tells, and the kernel.
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

    /// Gives free memory back to the system. Whether it has a way to.
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
