//! Examples: one program per user task.
