//! What signal handlers and threads leave for a reader.

pub(crate) mod chunks;
pub(crate) mod ring;
