//! Queues from signal handlers and threads to a reader.

pub(crate) mod chunks;
pub(crate) mod ring;
