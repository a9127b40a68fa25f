//! The memory that the process holds, as the kernel counts it.

use std::fs;

/// Bytes; each `None` where the kernel does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProcessMemory {
    pub(crate) resident: Option<u64>,
    /// Of it what is no file's: heap and stacks.
    pub(crate) anonymous: Option<u64>,
    /// The most that was ever resident.
    pub(crate) peak: Option<u64>,
    pub(crate) swapped: Option<u64>,
}

/// As of now.
pub(crate) fn read() -> ProcessMemory {
    fs::read_to_string("/proc/self/status")
        .map_or_else(|_| ProcessMemory::default(), |text| of(&text))
}

fn of(status: &str) -> ProcessMemory {
    let bytes = |key: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kibibytes << 10)
    };
    ProcessMemory {
        resident: bytes("VmRSS:"),
        anonymous: bytes("RssAnon:"),
        peak: bytes("VmHWM:"),
        swapped: bytes("VmSwap:"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_lines_are_read() {
        let read = of("Name:\tx\nVmHWM:\t   2048 kB\nVmRSS:\t      4 kB\nRssAnon:\t 1 kB\n");
        assert_eq!(
            (read.peak, read.resident, read.anonymous, read.swapped),
            (Some(2 << 20), Some(4 << 10), Some(1 << 10), None)
        );
        assert!(super::read().resident > Some(1 << 10));
    }
}
