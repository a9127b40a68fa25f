//! What signal handlers leave for a reader.

pub(crate) mod ring;
