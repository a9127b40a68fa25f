//! The output line of a workload: `metric=value ops=count`.

use std::fmt;
use std::time::Duration;

/// One measured value, and the number of operations of which it is the mean.
pub struct Line {
    metric: &'static str,
    value: f64,
    ops: u64,
}

impl Line {
    /// Nanoseconds for each operation.
    pub fn time(elapsed: Duration, ops: u64) -> Self {
        Self {
            metric: "ns_per_op",
            value: elapsed.as_nanos() as f64 / ops.max(1) as f64,
            ops,
        }
    }

    /// Bytes for each task.
    pub fn memory(bytes: u64, tasks: u64) -> Self {
        Self {
            metric: "bytes_per_task",
            value: bytes as f64 / tasks.max(1) as f64,
            ops: tasks,
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={:.3} ops={}", self.metric, self.value, self.ops)
    }
}
