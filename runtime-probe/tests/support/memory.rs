//! The memory of the process.

/// Resident memory in KiB, as the kernel counts it.
pub fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("this is Linux");
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().strip_suffix("kB"))
        .and_then(|number| number.trim().parse().ok())
        .expect("VmRSS is a number of kB")
}
