//! Owned copies of what is alive, taken at one moment.

pub(crate) mod tasks;
pub(crate) mod waits;
