//! `/proc/self/status`: lines of a key and a number.

/// The file's text; empty if the system has no such file.
#[derive(Debug)]
pub(crate) struct StatusFile(String);

impl StatusFile {
    pub(crate) fn read() -> Self {
        StatusFile(std::fs::read_to_string("/proc/self/status").unwrap_or_default())
    }

    /// A number of kB (`"VmRSS:"`), in bytes.
    pub(crate) fn bytes(&self, key: &str) -> Option<u64> {
        let kibibytes: u64 = self.value(key)?.strip_suffix("kB")?.trim().parse().ok()?;
        Some(kibibytes << 10)
    }

    /// A plain number (`"Threads:"`).
    pub(crate) fn number(&self, key: &str) -> Option<u64> {
        self.value(key)?.parse().ok()
    }

    fn value(&self, key: &str) -> Option<&str> {
        let mut lines = self.0.lines();
        lines.find_map(|line| line.strip_prefix(key)).map(str::trim)
    }
}

#[cfg(test)]
mod tests {
    use super::StatusFile;

    #[test]
    fn the_kernels_lines_are_read() {
        let text =
            "Name:\tx\nVmHWM:\t   2048 kB\nVmRSS:\t      4 kB\nRssAnon:\t 1 kB\nThreads:\t7\n";
        let status = StatusFile(text.to_owned());
        let keys = ["VmHWM:", "VmRSS:", "RssAnon:", "VmSwap:", "Threads:"];
        assert_eq!(
            keys.map(|key| status.bytes(key)),
            [Some(2 << 20), Some(4 << 10), Some(1 << 10), None, None]
        );
        assert_eq!(status.number("Threads:"), Some(7));
        assert_eq!(status.number("VmRSS:"), None);
        assert!(StatusFile::read().bytes("VmRSS:") > Some(1 << 10));
    }

    #[test]
    fn a_field_is_in_bytes() {
        let status = "VmPeak:\t  100 kB\nVmHWM:\t    2048 kB\nVmRSS:\t      16 kB\n";
        let status = StatusFile(status.to_owned());
        assert_eq!(status.bytes("VmRSS:"), Some(16 << 10));
        assert_eq!(status.bytes("VmHWM:"), Some(2 << 20));
        assert_eq!(StatusFile("VmRSS: much\n".to_owned()).bytes("VmRSS:"), None);
    }
}
