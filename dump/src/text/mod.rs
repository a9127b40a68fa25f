//! Pieces of text that several formats have.
//!
//! * [`digits`]: how numbers are written;
//! * [`duration`]: how durations are;
//! * [`quoted`]: names, quoted where they must be;
//! * [`single_line`]: texts that must not break a line;
//! * [`stack`]: a stack, a frame for two lines;
//! * [`tabwriter`]: cells in columns.

pub(crate) mod digits;
pub(crate) mod duration;
pub(crate) mod quoted;
pub(crate) mod single_line;
pub(crate) mod stack;
pub(crate) mod tabwriter;
