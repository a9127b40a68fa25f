//! The process, by the system's counts, with the names of Prometheus' client libraries.

use super::{Family, Number, Unit};
use crate::sys::cpu_timer;
use crate::sys::process_status::ProcessStatus;

/// The families of the process. They must not be added to a registry that has them already.
pub(crate) fn families() -> Vec<Family> {
    let status = ProcessStatus::read();
    let whole = |number: Option<u64>| number.map(Number::Whole);
    let cpu = cpu_timer::process_cpu_ns() as f64 / 1e9;
    let mut families = vec![
        Family::counter("process_cpu", "CPU time of all threads")
            .unit(Unit::Seconds)
            .with(Some(Number::Real(cpu))),
        Family::gauge("process_virtual_memory", "Address space")
            .unit(Unit::Bytes)
            .with(whole(status.virtual_bytes)),
        Family::gauge("process_resident_memory", "Memory")
            .unit(Unit::Bytes)
            .with(whole(status.resident_bytes)),
        Family::gauge("process_open_fds", "Open files").with(whole(status.open_fds)),
        Family::gauge("process_max_fds", "Open files that the process may have")
            .with(whole(status.most_fds)),
        Family::gauge("process_threads", "Threads").with(whole(status.threads)),
        Family::gauge("process_start_time", "When the process began, since 1970")
            .unit(Unit::Seconds)
            .with(status.started.map(Number::Real)),
    ];
    families.retain(|family| !family.samples.is_empty());
    families
}
