//! The system's figures of the whole process.

use super::status_file::StatusFile;

/// The figures of one moment; `None` for those that the system does not have.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ProcessStatus {
    /// Bytes of address space.
    pub(crate) virtual_bytes: Option<u64>,
    /// Bytes of resident memory.
    pub(crate) resident_bytes: Option<u64>,
    pub(crate) open_fds: Option<u64>,
    pub(crate) most_fds: Option<u64>,
    pub(crate) threads: Option<u64>,
    /// Seconds since 1970.
    pub(crate) started: Option<f64>,
}

impl ProcessStatus {
    /// Reads five files of `/proc`: some 50 us, and more for each open file.
    pub(crate) fn read() -> Self {
        let status = StatusFile::read();
        ProcessStatus {
            virtual_bytes: status.bytes("VmSize:"),
            resident_bytes: status.bytes("VmRSS:"),
            threads: status.number("Threads:"),
            // The folder itself is open while it is read.
            open_fds: std::fs::read_dir("/proc/self/fd")
                .map(|files| files.count().saturating_sub(1) as u64)
                .ok(),
            most_fds: std::fs::read_to_string("/proc/self/limits")
                .ok()
                .and_then(|limits| {
                    let mut lines = limits.lines();
                    number(lines.find_map(|line| line.strip_prefix("Max open files"))?)
                }),
            started: started(),
        }
    }
}

/// The first word, if it is a number.
fn number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

fn started() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name before the parenthesis may have spaces; the time is the 20th word behind it.
    let (_, behind) = stat.rsplit_once(") ")?;
    let ticks: f64 = behind.split(' ').nth(19)?.parse().ok()?;
    let system = std::fs::read_to_string("/proc/stat").ok()?;
    let mut lines = system.lines();
    let booted: f64 = number(lines.find_map(|line| line.strip_prefix("btime "))?)? as f64;
    // USER_HZ is 100 on every architecture of Linux that this runs on.
    Some(booted + ticks / 100.0)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_itself() {
        let files: Vec<_> = (0..10).map(|_| std::fs::File::open("/dev/null")).collect();
        let status = ProcessStatus::read();
        assert!(
            status.open_fds.unwrap() >= files.len() as u64 + 3,
            "{status:?}"
        );
        assert!(
            status.most_fds.unwrap() > status.open_fds.unwrap(),
            "{status:?}"
        );
        assert!(status.threads.unwrap() >= 1);
        let resident = status.resident_bytes.unwrap();
        assert!((1 << 20..1 << 40).contains(&resident), "{status:?}");
        assert!(status.virtual_bytes.unwrap() >= resident);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let age = now.unwrap().as_secs_f64() - status.started.unwrap();
        // Both times are exact to a second; a test is over within the hour.
        assert!((-2.0..3_600.0).contains(&age), "{age}");
    }
}
