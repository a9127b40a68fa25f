//! Go's `runtime.MemStats` at the end of the text of `heap`. Most of its fields describe a garbage collector and are 0
//! in a Rust program.

use std::fmt::Write as _;

/// Numbers of an allocator and the system, in bytes unless the field says otherwise. `None` means unknown, and is
/// written as 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemStats {
    /// Bytes in use: `Alloc` and `HeapAlloc`.
    pub in_use: Option<u64>,
    /// Bytes allocated since the start.
    pub total_alloc: Option<u64>,
    /// Resident memory of the process.
    pub sys: Option<u64>,
    /// Number of allocations since the start.
    pub mallocs: Option<u64>,
    /// Number of allocations that were freed.
    pub frees: Option<u64>,
    /// Bytes that the allocator has from the system.
    pub heap_sys: Option<u64>,
    /// Bytes of these that no allocation uses.
    pub heap_idle: Option<u64>,
    /// Bytes of the threads' stacks.
    pub stack: Option<u64>,
    /// The highest resident memory so far.
    pub max_rss: Option<u64>,
}

/// The number of pauses that Go keeps.
const PAUSES: usize = 256;

impl MemStats {
    /// The fields with known values, under Go's names.
    fn known(&self) -> [(&'static str, Option<u64>); 11] {
        let in_use = self.heap_sys.zip(self.heap_idle);
        let objects = self.mallocs.zip(self.frees);
        [
            ("Alloc", self.in_use),
            ("TotalAlloc", self.total_alloc),
            ("Sys", self.sys),
            ("Mallocs", self.mallocs),
            ("Frees", self.frees),
            ("HeapAlloc", self.in_use),
            ("HeapSys", self.heap_sys),
            ("HeapIdle", self.heap_idle),
            (
                "HeapInuse",
                in_use.map(|(sys, idle)| sys.saturating_sub(idle)),
            ),
            (
                "HeapObjects",
                objects.map(|(mallocs, frees)| mallocs.saturating_sub(frees)),
            ),
            ("MaxRSS", self.max_rss),
        ]
    }

    /// Appends the fields, as comments.
    pub(crate) fn push(&self, text: &mut Vec<u8>) {
        let known = self.known();
        let value = |name: &str| {
            let found = known.iter().find(|(known, _)| *known == name);
            found.and_then(|(_, value)| *value).unwrap_or(0)
        };
        let mut lines = String::from("# runtime.MemStats\n");
        let unknown: Vec<&str> = known
            .iter()
            .filter(|(_, value)| value.is_none())
            .map(|(name, _)| *name)
            .collect();
        let _ = writeln!(
            lines,
            "# 0 stands for what there is not: no garbage collector, no spans or caches of a runtime{}",
            match unknown.is_empty() {
                true => String::new(),
                false => format!(
                    "; and for what this allocator does not tell: {}",
                    unknown.join(", ")
                ),
            }
        );
        for name in [
            "Alloc",
            "TotalAlloc",
            "Sys",
            "Lookups",
            "Mallocs",
            "Frees",
            "HeapAlloc",
            "HeapSys",
            "HeapIdle",
            "HeapInuse",
            "HeapReleased",
            "HeapObjects",
        ] {
            let _ = writeln!(lines, "# {name} = {}", value(name));
        }
        let stack = self.stack.unwrap_or(0);
        let _ = writeln!(lines, "# Stack = {stack} / {stack}");
        for name in ["MSpan", "MCache"] {
            let _ = writeln!(lines, "# {name} = 0 / 0");
        }
        for name in ["BuckHashSys", "GCSys", "OtherSys", "NextGC", "LastGC"] {
            let _ = writeln!(lines, "# {name} = 0");
        }
        let pauses = vec!["0"; PAUSES].join(" ");
        for name in ["PauseNs", "PauseEnd"] {
            let _ = writeln!(lines, "# {name} = [{pauses}]");
        }
        for name in ["NumGC", "NumForcedGC", "GCCPUFraction"] {
            let _ = writeln!(lines, "# {name} = 0");
        }
        let _ = writeln!(lines, "# DebugGC = false");
        let _ = writeln!(lines, "# MaxRSS = {}", value("MaxRSS"));
        text.extend_from_slice(lines.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_zero_and_said() {
        let mut text = Vec::new();
        let stats = MemStats {
            in_use: Some(7),
            heap_sys: Some(100),
            heap_idle: Some(40),
            max_rss: Some(9),
            ..MemStats::default()
        };
        stats.push(&mut text);
        let text = String::from_utf8(text).unwrap();
        assert!(text.starts_with("# runtime.MemStats\n"));
        for line in [
            "# HeapAlloc = 7",
            "# HeapInuse = 60",
            "# Mallocs = 0",
            "# MaxRSS = 9",
        ] {
            assert!(text.lines().any(|own| own == line), "{line}: {text}");
        }
        assert!(
            text.contains("does not tell: TotalAlloc, Sys, Mallocs, Frees, HeapObjects\n"),
            "{text}"
        );
        let go = include_str!("../../tests/go/mem_stats.txt");
        let names = |text: &str| -> Vec<String> {
            let lines = text
                .lines()
                .filter_map(|line| line.strip_prefix("# ")?.split_once(" = "));
            lines.map(|(name, _)| name.to_owned()).collect()
        };
        assert_eq!(names(&text), names(go));
    }
}
